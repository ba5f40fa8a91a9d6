/* Vectors of the level's width, in the vector extension of GCC and Clang. */
#ifndef FASTMLP_VECTORS_H
#define FASTMLP_VECTORS_H

#include "real.h"

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
#define VECTOR_REGISTERS 32
#else
#define VECTOR_REGISTERS 16
#endif

#define LANES (VECTOR_BYTES / (ptrdiff_t)sizeof(real)) /* numbers in a vector */
#define LINE (64 / (ptrdiff_t)sizeof(real))            /* numbers in a cache line */
#define UNROLL FM_PRAGMA(GCC unroll 16)

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
#if FM_BITS == 32
typedef int32_t lane_index; /* in shuffles of a vec */
#else
typedef int64_t lane_index;
#endif
typedef real unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

FM_INLINE vec load(const real *p) { return *(const unaligned *)p; }
/* Has the compiler load a vector once, where it would load it anew for every use. */
#if defined(__x86_64__) || defined(__i386__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define IN_REGISTER(v) __asm__("" : "+w"(v))
#else
#define IN_REGISTER(v) (void)(v)
#endif

FM_INLINE void store(real *p, vec v) { *(unaligned *)p = v; }

#endif
