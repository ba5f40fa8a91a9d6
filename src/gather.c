/* Rows of a data set into the layout of a chunk, and outputs back.
 *
 * Inputs keep their row-major form (gemm transposes for free); targets and outputs are narrow and
 * are transposed to and from the feature-major form of the output pass.
 */
#include <string.h>

#include "real.h"

#define CACHE_LINE 64
#define ROWS_AHEAD 2

/* Shuffled rows defeat the hardware prefetcher: each row begins in a page of its own. */
static void prefetch_row(const real *row, ptrdiff_t n_cols)
{
    const char *bytes = (const char *)row;
    for (ptrdiff_t at = 0; at < n_cols * (ptrdiff_t)sizeof(real); at += CACHE_LINE)
        __builtin_prefetch(bytes + at);
}

void FM_NAME(gather_rows)(real *out, const real *x, const ptrdiff_t *index, ptrdiff_t batch,
                          ptrdiff_t n_cols)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        if (r + ROWS_AHEAD < batch)
            prefetch_row(x + index[r + ROWS_AHEAD] * n_cols, n_cols);
        memcpy(out + r * n_cols, x + index[r] * n_cols, (size_t)n_cols * sizeof(real));
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
