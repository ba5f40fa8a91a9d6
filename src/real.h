/* Names for precision and SIMD level, and the kernels' prototypes under these names.
 *
 * Every kernel file is compiled once per precision (FM_BITS 32 or 64) and level (FM_LEVEL baseline,
 * avx2 or avx512) and gives its entry points the name of both: FM_NAME(exp) is fm_exp_f32_avx2. */
#ifndef FASTMLP_REAL_H
#define FASTMLP_REAL_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#include "fastmlp.h"

#if FM_BITS == 32
typedef float real;
typedef uint32_t bits_t;
#define REAL_C(x) x##f
#define REAL_MAX FLT_MAX
#define REAL_EPSILON FLT_EPSILON
#define REAL_TINY FLT_MIN
#define REAL_ABS __builtin_fabsf
#define REAL_SQRT __builtin_sqrtf
#define REAL_COPYSIGN __builtin_copysignf
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define FM_PRECISION f32
#define FM_TABLE_TYPE fm_kernels_f32
#elif FM_BITS == 64
typedef double real;
typedef uint64_t bits_t;
#define REAL_C(x) x
#define REAL_MAX DBL_MAX
#define REAL_EPSILON DBL_EPSILON
#define REAL_TINY DBL_MIN
#define REAL_ABS __builtin_fabs
#define REAL_SQRT __builtin_sqrt
#define REAL_COPYSIGN __builtin_copysign
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define FM_PRECISION f64
#define FM_TABLE_TYPE fm_kernels_f64
#else
#error "FM_BITS must be 32 or 64"
#endif

#define FM_JOIN_(name, precision, level) fm_##name##_##precision##_##level
#define FM_JOIN(name, precision, level) FM_JOIN_(name, precision, level)
#define FM_NAME(name) FM_JOIN(name, FM_PRECISION, FM_LEVEL)

/* A loop whose iterations may be computed in any order and width; sums named in a reduction clause
 * of their own are split over the vector lanes. Without OpenMP's SIMD pragmas it is a plain loop. */
#define FM_PRAGMA(text) _Pragma(#text)
#define FM_SIMD FM_PRAGMA(omp simd)
#define FM_SIMD_SUM(...) FM_PRAGMA(omp simd reduction(+ : __VA_ARGS__))

#define KERNEL(result, name, ...) result FM_NAME(name)(__VA_ARGS__);
#define FM_REAL real
#include "kernels.h"
#undef FM_REAL
#undef KERNEL

#define FM_INLINE static inline __attribute__((always_inline))

#endif
