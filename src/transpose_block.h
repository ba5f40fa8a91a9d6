/* A square block of LANES x LANES numbers, transposed in registers.
 *
 * At step s, the off-diagonal s x s blocks of every pair of rows i, i + s change places. */
#ifndef FASTMLP_TRANSPOSE_BLOCK_H
#define FASTMLP_TRANSPOSE_BLOCK_H

#include "vectors.h"

#if FM_BITS == 32
typedef int32_t lane_index;
#else
typedef int64_t lane_index;
#endif

#if defined(__GNUC__) && !defined(__clang__)
typedef lane_index mask __attribute__((vector_size(VECTOR_BYTES)));

/* Exchanges the upper right and the lower left s x s blocks of all pairs of rows i, i + s. */
FM_INLINE void exchange(vec *t, const int s)
{
    mask low, high;
    UNROLL
    for (int c = 0; c < LANES; c++) {
        low[c] = c & s ? LANES + c - s : c;
        high[c] = c & s ? LANES + c : c + s;
    }
    UNROLL
    for (int i = 0; i < LANES; i++)
        if (!(i & s)) {
            const vec upper = t[i], lower = t[i + s];
            t[i] = __builtin_shuffle(upper, lower, low);
            t[i + s] = __builtin_shuffle(upper, lower, high);
        }
}

/* out[i * out_stride + r] = rows[r][i], a block of LANES x LANES. */
FM_INLINE void transpose_block(real *out, ptrdiff_t out_stride, const real *const *rows)
{
    vec t[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++)
        t[i] = load(rows[i]);
    exchange(t, 1);
    if (LANES > 2)
        exchange(t, 2);
    if (LANES > 4)
        exchange(t, 4);
    if (LANES > 8)
        exchange(t, 8);
    UNROLL
    for (int i = 0; i < LANES; i++)
        store(out + i * out_stride, t[i]);
}
#else
FM_INLINE void transpose_block(real *out, ptrdiff_t out_stride, const real *const *rows)
{
    for (int r = 0; r < LANES; r++)
        for (int i = 0; i < LANES; i++)
            out[i * out_stride + r] = rows[r][i];
}
#endif

#endif
