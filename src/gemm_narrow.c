/* The products of a narrow first layer, without packing or gathering the input.
 *
 *     forward    z (batch, n_out) = x (batch, n_in) @ w (n_out, n_in)^T
 *     gradient   g (n_out, n_in)  = delta (batch, n_out)^T @ x (batch, n_in)
 *
 * BLAS copies both operands into its own layout before it multiplies; with fewer than some 128
 * outputs every copied input is used too few times to pay for that. Here the rows of x are read
 * where they lie, through the index array, and the weights are kept packed as (n_in, stride), padded
 * with zeros to whole vectors, from one step to the next.
 *
 * Both kernels hold a tile of the result in registers and add one outer product per k (forward) or
 * per row (gradient). Tiles are written once as inline functions of constant size; every size that
 * a remainder can have is an instance of its own. The order of additions does not depend on the
 * tile, so a row gives the same bits whatever rows are beside it.
 */
#include "real.h"

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define FORWARD_ROWS 5    /* 5 x 5 accumulators + 5 weights + 1 input of 32 registers */
#define FORWARD_VECTORS 5
#define GRADIENT_ROWS 7   /* 7 x 4 accumulators + 4 inputs */
#define GRADIENT_VECTORS 4
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define FORWARD_ROWS 4    /* 4 x 3 accumulators + 3 weights + 1 input of 16 registers */
#define FORWARD_VECTORS 3
#define GRADIENT_ROWS 6   /* 6 x 2 accumulators + 2 inputs */
#define GRADIENT_VECTORS 2
#else
#define VECTOR_BYTES 16
#define FORWARD_ROWS 4
#define FORWARD_VECTORS 3
#define GRADIENT_ROWS 6
#define GRADIENT_VECTORS 2
#endif

#define LANES (VECTOR_BYTES / (ptrdiff_t)sizeof(real))
#define UNROLL FM_PRAGMA(GCC unroll 8)

#define LINE (64 / (ptrdiff_t)sizeof(real)) /* numbers in a cache line */

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

FM_INLINE vec load(const real *p) { return *(const unaligned *)p; }
FM_INLINE void store(real *p, vec v) { *(unaligned *)p = v; }

FM_INLINE const real *row_of(const real *x, const ptrdiff_t *index, ptrdiff_t r, ptrdiff_t n_in)
{
    return x + (index ? index[r] : r) * n_in;
}

/* --- Weights --------------------------------------------------------------------------------- */

void FM_NAME(pack_weights)(real *packed, ptrdiff_t stride, const real *w, ptrdiff_t n_rows,
                           ptrdiff_t n_cols)
{
    enum { BLOCK = 16 };
    for (ptrdiff_t j = 0; j < n_rows; j += BLOCK) {
        const ptrdiff_t n = n_rows - j < BLOCK ? n_rows - j : BLOCK;
        for (ptrdiff_t k = 0; k < n_cols - 1; k++)
            for (ptrdiff_t i = 0; i < n; i++)
                packed[k * stride + j + i] = w[(j + i) * n_cols + 1 + k];
    }
}

/* --- Forward --------------------------------------------------------------------------------- */

/* z[r][v] = sum_k x[r][k] packed[k][v] for n_rows rows and n_vectors vectors of outputs. Meanwhile
 * the rows of the next tile are fetched, a cache line each per line of this tile's rows: shuffled
 * rows defeat the hardware prefetcher. */
FM_INLINE void forward_tile(real *z, ptrdiff_t stride, const real *const *rows,
                            const real *const *next_rows, const real *packed, ptrdiff_t n_in,
                            const int n_rows, const int n_vectors)
{
    vec sum[FORWARD_ROWS][FORWARD_VECTORS];
    UNROLL
    for (int r = 0; r < n_rows; r++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[r][v] = (vec){0};
    for (ptrdiff_t begin = 0; begin < n_in; begin += LINE) {
        const ptrdiff_t end = begin + LINE < n_in ? begin + LINE : n_in;
        for (int r = 0; r < FORWARD_ROWS; r++)
            __builtin_prefetch(next_rows[r] + begin);
        for (ptrdiff_t k = begin; k < end; k++) {
            vec w[FORWARD_VECTORS];
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                w[v] = load(packed + k * stride + v * LANES);
            UNROLL
            for (int r = 0; r < n_rows; r++) {
                const real input = rows[r][k];
                UNROLL
                for (int v = 0; v < n_vectors; v++)
                    sum[r][v] += input * w[v];
            }
        }
    }
    UNROLL
    for (int r = 0; r < n_rows; r++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(z + r * stride + v * LANES, sum[r][v]);
}

#define VECTORS_CASE(n_rows, n_vectors)                                                            \
    case n_vectors:                                                                                \
        forward_tile(z, stride, rows, next_rows, packed, n_in, n_rows, n_vectors);                 \
        break
#define ROWS_CASE(n_rows)                                                                          \
    case n_rows:                                                                                   \
        switch (n_vectors) {                                                                       \
            VECTORS_CASE(n_rows, 1);                                                               \
            VECTORS_CASE(n_rows, 2);                                                               \
            VECTORS_CASE(n_rows, 3);                                                               \
            VECTORS_4_AND_5(n_rows)                                                                \
        }                                                                                          \
        break
#if FORWARD_VECTORS == 5
#define VECTORS_4_AND_5(n_rows)                                                                    \
    VECTORS_CASE(n_rows, 4);                                                                       \
    VECTORS_CASE(n_rows, 5);
#else
#define VECTORS_4_AND_5(n_rows)
#endif

static void forward_any(real *z, ptrdiff_t stride, const real *const *rows,
                        const real *const *next_rows, const real *packed, ptrdiff_t n_in,
                        int n_rows, int n_vectors)
{
    switch (n_rows) {
        ROWS_CASE(1);
        ROWS_CASE(2);
        ROWS_CASE(3);
        ROWS_CASE(4);
#if FORWARD_ROWS == 5
        ROWS_CASE(5);
#endif
    }
}

/* Rows r .. r + FORWARD_ROWS of the batch; beyond its end, the last row again. */
FM_INLINE void point_to_rows(const real **rows, const real *x, const ptrdiff_t *index, ptrdiff_t r,
                             ptrdiff_t batch, ptrdiff_t n_in)
{
    for (int i = 0; i < FORWARD_ROWS; i++)
        rows[i] = row_of(x, index, r + i < batch ? r + i : batch - 1, n_in);
}

void FM_NAME(narrow_forward)(real *z, ptrdiff_t stride, const real *x, const ptrdiff_t *index,
                             const real *packed, ptrdiff_t batch, ptrdiff_t n_in)
{
    const ptrdiff_t n_vectors = stride / LANES;
    const ptrdiff_t n_groups = (n_vectors + FORWARD_VECTORS - 1) / FORWARD_VECTORS;
    const real *rows[FORWARD_ROWS], *next_rows[FORWARD_ROWS];
    for (ptrdiff_t r = 0; r < batch; r += FORWARD_ROWS) {
        const int n_rows = batch - r < FORWARD_ROWS ? (int)(batch - r) : FORWARD_ROWS;
        point_to_rows(rows, x, index, r, batch, n_in);
        point_to_rows(next_rows, x, index, r + FORWARD_ROWS, batch, n_in);
        for (ptrdiff_t group = 0; group < n_groups; group++) {
            const ptrdiff_t begin = n_vectors * group / n_groups;
            const ptrdiff_t end = n_vectors * (group + 1) / n_groups;
            forward_any(z + r * stride + begin * LANES, stride, rows, next_rows,
                        packed + begin * LANES, n_in, n_rows, (int)(end - begin));
        }
    }
}

/* --- Gradient -------------------------------------------------------------------------------- */

typedef struct {
    real *g;           /* (n_out, n_in) with rows grad_stride apart */
    const real *delta; /* (batch, n_out) with rows stride apart */
    const real *x;
    const ptrdiff_t *index;
    ptrdiff_t grad_stride, stride, batch, n_in;
    int accumulate;
} gradient_t;

/* g[j][v] (+)= sum_r delta[r][j] x[r][v] for n_rows rows j and n_vectors vectors of inputs from k. */
FM_INLINE void gradient_tile(const gradient_t *job, ptrdiff_t j, ptrdiff_t k, const int n_rows,
                             const int n_vectors)
{
    real *g = job->g + j * job->grad_stride + k;
    vec sum[GRADIENT_ROWS][GRADIENT_VECTORS];
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] = job->accumulate ? load(g + i * job->grad_stride + v * LANES) : (vec){0};
    for (ptrdiff_t r = 0; r < job->batch; r++) {
        const real *row = row_of(job->x, job->index, r, job->n_in) + k;
        const real *delta = job->delta + r * job->stride + j;
        vec input[GRADIENT_VECTORS];
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            input[v] = load(row + v * LANES);
        UNROLL
        for (int i = 0; i < n_rows; i++)
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                sum[i][v] += delta[i] * input[v];
    }
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(g + i * job->grad_stride + v * LANES, sum[i][v]);
}

/* The columns that do not fill a vector. */
static void gradient_rest(const gradient_t *job, ptrdiff_t j, ptrdiff_t k)
{
    for (; k < job->n_in; k++) {
        real sum = job->accumulate ? job->g[j * job->grad_stride + k] : 0;
        for (ptrdiff_t r = 0; r < job->batch; r++)
            sum += job->delta[r * job->stride + j] *
                   row_of(job->x, job->index, r, job->n_in)[k];
        job->g[j * job->grad_stride + k] = sum;
    }
}

#define GRADIENT_CASE(n)                                                                           \
    case n:                                                                                        \
        gradient_tile(job, j, k, n, n_vectors);                                                    \
        break

FM_INLINE void gradient_columns(const gradient_t *job, ptrdiff_t k, ptrdiff_t n_out,
                                const int n_vectors)
{
    for (ptrdiff_t j = 0; j < n_out; j += GRADIENT_ROWS) {
        switch (n_out - j < GRADIENT_ROWS ? n_out - j : GRADIENT_ROWS) {
            GRADIENT_CASE(1);
            GRADIENT_CASE(2);
            GRADIENT_CASE(3);
            GRADIENT_CASE(4);
            GRADIENT_CASE(5);
            GRADIENT_CASE(6);
#if GRADIENT_ROWS == 7
            GRADIENT_CASE(7);
#endif
        }
    }
}

void FM_NAME(narrow_gradient)(real *g, ptrdiff_t grad_stride, const real *delta, ptrdiff_t stride,
                              const real *x, const ptrdiff_t *index, ptrdiff_t batch,
                              ptrdiff_t n_in, ptrdiff_t n_out, int accumulate)
{
    const gradient_t job = {g, delta, x, index, grad_stride, stride, batch, n_in, accumulate};
    ptrdiff_t k = 0;
    for (; k + GRADIENT_VECTORS * LANES <= n_in; k += GRADIENT_VECTORS * LANES)
        gradient_columns(&job, k, n_out, GRADIENT_VECTORS);
    for (; k + LANES <= n_in; k += LANES)
        gradient_columns(&job, k, n_out, 1);
    for (ptrdiff_t j = 0; j < n_out; j++)
        gradient_rest(&job, j, k);
}
