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

#if defined(FM_HAVE_X86_LEVELS)
static const char *const names[FM_LEVELS] = {"baseline", "avx2", "avx512"};
#elif defined(__aarch64__) /* where what every processor has is called NEON */
static const char *const names[FM_LEVELS] = {"neon"};
#else
static const char *const names[FM_LEVELS] = {"baseline"};
#endif

const char *fm_level_name(int level)
{
    return level >= 0 && level < FM_LEVELS ? names[level] : NULL;
}

const fm_kernels_f32 *fm_f32 = &fm_table_f32_baseline;
const fm_kernels_f64 *fm_f64 = &fm_table_f64_baseline;

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

int fm_select_level(int level)
{
    if (level < FM_BASELINE || level > fm_best_level())
        return 0;
    fm_f32 = &fm_table_f32_baseline;
    fm_f64 = &fm_table_f64_baseline;
#ifdef FM_HAVE_X86_LEVELS
    if (level == FM_AVX2) {
        fm_f32 = &fm_table_f32_avx2;
        fm_f64 = &fm_table_f64_avx2;
    } else if (level == FM_AVX512) {
        fm_f32 = &fm_table_f32_avx512;
        fm_f64 = &fm_table_f64_avx512;
    }
#endif
    return 1;
}
