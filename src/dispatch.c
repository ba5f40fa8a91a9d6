/* Which levels exist in this build, and which of them this machine can run.
 *
 * A table of function pointers rather than ifunc or target_clones, which musl and macOS lack. */
#include "fastmlp.h"

extern const fm_kernels_f32 fm_table_f32_baseline;
extern const fm_kernels_f64 fm_table_f64_baseline;
#ifdef FM_HAVE_X86_LEVELS
extern const fm_kernels_f32 fm_table_f32_avx2, fm_table_f32_avx512;
extern const fm_kernels_f64 fm_table_f64_avx2, fm_table_f64_avx512;
#endif

int fm_best_level(void)
{
#ifdef FM_HAVE_X86_LEVELS
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")))
        return FM_BASELINE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return FM_AVX512;
    return FM_AVX2;
#else
    return FM_BASELINE;
#endif
}

const fm_kernels_f32 *fm_table_f32(int level)
{
    switch (level) {
    case FM_BASELINE: return &fm_table_f32_baseline;
#ifdef FM_HAVE_X86_LEVELS
    case FM_AVX2: return &fm_table_f32_avx2;
    case FM_AVX512: return &fm_table_f32_avx512;
#endif
    default: return NULL;
    }
}

const fm_kernels_f64 *fm_table_f64(int level)
{
    switch (level) {
    case FM_BASELINE: return &fm_table_f64_baseline;
#ifdef FM_HAVE_X86_LEVELS
    case FM_AVX2: return &fm_table_f64_avx2;
    case FM_AVX512: return &fm_table_f64_avx512;
#endif
    default: return NULL;
    }
}
