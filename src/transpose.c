/* Between sample-major and feature-major, and rows of a data set into a chunk.
 *
 * Square blocks of LANES x LANES are transposed in registers: at step s, the off-diagonal s x s
 * blocks of every pair of rows i, i + s change places. */
#include <string.h>

#include "vectors.h"

#define CACHE_LINE 64
#define ROWS_AHEAD 4

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

/* out (n, >= n_rows) = x (n_rows, n) transposed, LANES rows at a time; beyond the end of x its last
 * row again, so that out is written in whole vectors. */
void FM_NAME(transpose_padded)(real *out, ptrdiff_t out_stride, const real *x, ptrdiff_t x_stride,
                               ptrdiff_t n_rows, ptrdiff_t n)
{
    for (ptrdiff_t r = 0; r < n_rows; r += LANES) {
        const real *rows[LANES];
        for (ptrdiff_t i = 0; i < LANES; i++)
            rows[i] = x + (r + i < n_rows ? r + i : n_rows - 1) * x_stride;
        ptrdiff_t k = 0;
        for (; k + LANES <= n; k += LANES) {
            transpose_block(out + k * out_stride + r, out_stride, rows);
            for (ptrdiff_t i = 0; i < LANES; i++)
                rows[i] += LANES;
        }
        for (; k < n; k++)
            for (ptrdiff_t i = 0; i < LANES; i++)
                out[k * out_stride + r + i] = *rows[i]++;
    }
}

/* Shuffled rows defeat the hardware prefetcher: each row begins in a page of its own. */
static void prefetch_row(const real *row, ptrdiff_t n_cols)
{
    const char *bytes = (const char *)row;
    for (ptrdiff_t at = 0; at < n_cols * (ptrdiff_t)sizeof(real); at += CACHE_LINE)
        __builtin_prefetch(bytes + at);
}

void FM_NAME(gather_rows)(real *out, ptrdiff_t out_stride, const real *x, const ptrdiff_t *index,
                          ptrdiff_t batch, ptrdiff_t n_cols)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        if (index && r + ROWS_AHEAD < batch)
            prefetch_row(x + index[r + ROWS_AHEAD] * n_cols, n_cols);
        real *row = out + r * out_stride;
        memcpy(row, x + (index ? index[r] : r) * n_cols, (size_t)n_cols * sizeof(real));
        for (ptrdiff_t j = n_cols; j < out_stride; j++)
            row[j] = 0;
    }
}

void FM_NAME(scatter_rows)(real *out, ptrdiff_t out_stride, const real *values,
                           const int32_t *columns, const ptrdiff_t *begin,
                           const ptrdiff_t *index, ptrdiff_t batch)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        const ptrdiff_t source = index ? index[r] : r;
        real *row = out + r * out_stride;
        memset(row, 0, (size_t)out_stride * sizeof(real));
        for (ptrdiff_t k = begin[source]; k < begin[source + 1]; k++)
            row[columns[k]] += values[k];
    }
}

void FM_NAME(gather_transposed)(real *out, ptrdiff_t stride, const real *x, const ptrdiff_t *index,
                                ptrdiff_t batch, ptrdiff_t n_cols)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        const real *row = x + (index ? index[r] : r) * n_cols;
        for (ptrdiff_t j = 0; j < n_cols; j++)
            out[j * stride + r] = row[j];
    }
}

void FM_NAME(scatter_transposed)(real *out, const real *a, ptrdiff_t stride, ptrdiff_t batch,
                                 ptrdiff_t n_out)
{
    for (ptrdiff_t r = 0; r < batch; r++)
        for (ptrdiff_t j = 0; j < n_out; j++)
            out[r * n_out + j] = a[j * stride + r];
}
