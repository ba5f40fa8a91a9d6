/* Products of rows that lie feature-major: input k of all rows side by side.
 *
 *     z (m, batch) = w (m, n) @ x (n, batch) + bias
 *
 * A vector holds the same input of several rows, and every weight is multiplied with it as a scalar: the
 * weights are read where they lie, once, without being transposed or packed, which for a batch of some
 * dozens of rows would cost more than the product. They come from far away, so that those of the next
 * tile are fetched meanwhile.
 *
 * Every sum begins with the bias and adds the inputs in their order, as in panels.c: what a row gives does
 * not depend on the rows beside it.
 */
#include "vectors.h"

/* Outputs of a tile beside n_vectors vectors of rows. With 32 registers 24 sums, so that the processor
 * need not wait for one; a single vector leaves too few registers for the addresses of 24 outputs. */
#if VECTOR_REGISTERS == 32
#define MOST_VECTORS 4
#define OUTPUTS_FOR(n_vectors)                                                                     \
    ((n_vectors) <= 2 ? 12 : (n_vectors) == 3 ? 8 : 6)
#else
#define MOST_VECTORS 3
#define OUTPUTS_FOR(n_vectors) ((n_vectors) == 1 ? 12 : (n_vectors) == 2 ? 6 : 4)
#endif
#define MOST_OUTPUTS 12
#define BLOCK_OUTPUTS 24 /* a multiple of all; their weights stay in L2 while all rows pass */

typedef struct {
    real *z;
    const real *x, *w, *bias;
    ptrdiff_t z_stride, x_stride, w_stride, bias_stride, n, m;
} product_t;

/* Fetches the line at input k of the weights of n_outputs outputs from j on. */
FM_INLINE void fetch_weights(const product_t *job, ptrdiff_t j, ptrdiff_t k, const int n_outputs)
{
    const real *w = job->w + j * job->w_stride + k;
    for (int i = 0; i < n_outputs; i++)
        __builtin_prefetch(w + i * job->w_stride);
}

/* n_outputs outputs from j on of n_vectors vectors of rows from `row` on. */
FM_INLINE void product_tile(const product_t *job, ptrdiff_t j, ptrdiff_t row, int fetches,
                            const int n_outputs, const int n_vectors)
{
    const real *w = job->w + j * job->w_stride, *x = job->x + row;
    real *z = job->z + j * job->z_stride + row;
    vec sum[MOST_OUTPUTS][MOST_VECTORS];
    UNROLL
    for (int i = 0; i < n_outputs; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] = (vec){0} + (job->bias ? job->bias[(j + i) * job->bias_stride] : 0);
    for (ptrdiff_t begin = 0; begin < job->n; begin += LINE) {
        const ptrdiff_t end = begin + LINE < job->n ? begin + LINE : job->n;
        if (fetches)
            fetch_weights(job, j + n_outputs, begin, n_outputs);
        for (ptrdiff_t k = begin; k < end; k++) {
            vec input[MOST_VECTORS];
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                input[v] = load(x + k * job->x_stride + v * LANES);
            UNROLL
            for (int i = 0; i < n_outputs; i++) {
                const real weight = w[i * job->w_stride + k];
                UNROLL
                for (int v = 0; v < n_vectors; v++)
                    sum[i][v] += weight * input[v];
            }
        }
    }
    UNROLL
    for (int i = 0; i < n_outputs; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(z + i * job->z_stride + v * LANES, sum[i][v]);
}

/* Outputs from `begin` to `end`, in whole tiles, then quarters of one, then one by one. */
FM_INLINE void product_outputs(const product_t *job, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t row,
                               const int n_vectors)
{
    const int whole = OUTPUTS_FOR(n_vectors), quarter = 3;
    ptrdiff_t j = begin;
    for (; j + whole <= end; j += whole)
        product_tile(job, j, row, row == 0 && j + 2 * whole <= job->m, whole, n_vectors);
    for (; j + quarter <= end; j += quarter)
        product_tile(job, j, row, 0, quarter, n_vectors);
    for (; j < end; j++)
        product_tile(job, j, row, 0, 1, n_vectors);
}

#define OUTPUTS_CASE(n_vectors)                                                                    \
    case n_vectors: product_outputs(job, begin, end, row, n_vectors); break

static void product_block(const product_t *job, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t row,
                          ptrdiff_t n_vectors)
{
    switch (n_vectors) {
        OUTPUTS_CASE(1);
        OUTPUTS_CASE(2);
        OUTPUTS_CASE(3);
#if MOST_VECTORS == 4
        OUTPUTS_CASE(4);
#endif
    }
}

void FM_NAME(feature_product)(real *z, ptrdiff_t z_stride, const real *x, ptrdiff_t x_stride,
                              const real *w, ptrdiff_t w_stride, const real *bias,
                              ptrdiff_t bias_stride, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t m)
{
    const product_t job = {z, x, w, bias, z_stride, x_stride, w_stride, bias_stride, n, m};
    const ptrdiff_t n_vectors = (batch + LANES - 1) / LANES;
    const ptrdiff_t n_groups = (n_vectors + MOST_VECTORS - 1) / MOST_VECTORS;
    for (ptrdiff_t j = 0; j < m; j += BLOCK_OUTPUTS)
        for (ptrdiff_t group = 0; group < n_groups; group++) {
            const ptrdiff_t first = n_vectors * group / n_groups;
            product_block(&job, j, j + BLOCK_OUTPUTS < m ? j + BLOCK_OUTPUTS : m, first * LANES,
                          n_vectors * (group + 1) / n_groups - first);
        }
}
