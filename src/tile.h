/* The innermost loop of the products in narrow.c and panels.c: a tile of sums in registers. */
#ifndef FASTMLP_TILE_H
#define FASTMLP_TILE_H

#include "vectors.h"

/* The widest tile, and the rows that fit beside so many vectors. */
#if VECTOR_REGISTERS == 32 /* rows x vectors sums + vectors + 1 input */
#define TILE_VECTORS 5
#define ROWS_FOR(n_vectors) ((n_vectors) == 5 ? 5 : (n_vectors) == 4 ? 6 : 8)
#else
#define TILE_VECTORS 3
#define ROWS_FOR(n_vectors) ((n_vectors) == 3 ? 4 : (n_vectors) == 2 ? 6 : 8)
#endif
#define MOST_ROWS 8

typedef vec tile_t[MOST_ROWS][TILE_VECTORS];

/* What is fetched into L2 during a product, because the next panel is filled from it: FETCHED_LINES cache
 * lines of each of n rows, stride apart. */
typedef struct {
    const real *lines;
    ptrdiff_t stride, n;
} fetched_t;
#define FETCHED_LINES 2

FM_INLINE void fetch_row(const fetched_t *ahead, ptrdiff_t k)
{
    if (k < ahead->n)
        for (int line = 0; line < FETCHED_LINES; line++)
            __builtin_prefetch(ahead->lines + k * ahead->stride + line * LINE, 0, 2);
}

/* sum[i][v] += sum_k x[i][k] right[k][v], k in rising order; the rows of x are x_stride apart. Row k of
 * `ahead` is fetched meanwhile, unless that is NULL. */
FM_INLINE void add_products(tile_t sum, const real *x, ptrdiff_t x_stride, const real *right,
                            ptrdiff_t right_stride, ptrdiff_t n, const int n_rows,
                            const int n_vectors, const fetched_t *ahead)
{
    for (ptrdiff_t k = 0; k < n; k++) {
        vec w[TILE_VECTORS];
        if (ahead)
            fetch_row(ahead, k);
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            w[v] = load(right + v * LANES);
        UNROLL
        for (int i = 0; i < n_rows; i++) {
            const real input = x[i * x_stride];
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                sum[i][v] += input * w[v];
        }
        right += right_stride;
        x++;
    }
}

FM_INLINE void store_tile(real *z, ptrdiff_t z_stride, tile_t sum, const int n_rows,
                          const int n_vectors)
{
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(z + i * z_stride + v * LANES, sum[i][v]);
}

#endif
