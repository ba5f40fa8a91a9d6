/* Own products of narrow layers (_plan.narrow_layers), without packing or gathering rows.
 *
 *     product    z (batch, m) = x (batch, n) @ right (n, m)      forward: right = W^T, packed
 *                                                                deltas:  right = W
 *     gradient   g (n_out, n) = delta (batch, n_out)^T @ x (batch, n)
 *
 * BLAS copies both operands into its own layout before it multiplies; with few outputs every copied
 * input is used too few times to pay for that. The product reads the rows of x where they lie, through
 * the index array; shuffled rows defeat the hardware prefetcher, so they are fetched by hand.
 *
 * Both kernels hold a tile of the result in registers and add one outer product per k (product) or
 * per row (gradient). Tiles are written once as inline functions of constant size. A tile that runs
 * over the end of the batch repeats its last row. The order of additions does not depend on the
 * tile, so a row gives the same bits whatever rows are beside it.
 */
#include "tile.h"

#if VECTOR_REGISTERS == 32
#define GRADIENT_ROWS 7 /* 7 x 4 accumulators + 4 inputs */
#define GRADIENT_VECTORS 4
#else
#define GRADIENT_ROWS 6 /* 6 x 2 accumulators + 2 inputs */
#define GRADIENT_VECTORS 2
#endif

/* Rows of the next tile are fetched into L1, or where the vectors are long, and the weights of a block
 * fill it, into L2. */
#define FETCH_LOCALITY (VECTOR_BYTES == 64 ? 2 : 3)

FM_INLINE const real *row_of(const real *x, ptrdiff_t stride, const ptrdiff_t *index, ptrdiff_t r)
{
    return x + (index ? index[r] : r) * stride;
}

/* --- Product --------------------------------------------------------------------------------- */

typedef struct {
    real *z; /* (batch, m) */
    const real *x;
    const ptrdiff_t *index;
    const real *right; /* (n, m) */
    const real *bias;  /* (m) or NULL */
    ptrdiff_t z_stride, x_stride, right_stride, batch;
    ptrdiff_t begin, end; /* of the inputs k in this block; z has the sums of those before */
} product_t;

/* Vector v of what the sums of a row begin with: bias or zeros, or what earlier blocks have left in z. */
FM_INLINE vec first_sum(const product_t *job, const real *z, ptrdiff_t m, int v)
{
    if (job->begin > 0)
        return load(z + v * LANES);
    return job->bias ? load(job->bias + m + v * LANES) : (vec){0};
}

/* z[r][v] = first_sum + sum_k rows[r][k] right[k][v] for n_rows rows and n_vectors vectors of outputs
 * from column m; row i of the result goes to z + targets[i]. Where `fetches`, the rows of the next
 * tile are fetched meanwhile, a cache line each per line of this tile's rows. */
FM_INLINE void product_tile(const product_t *job, const real *const *rows,
                            const real *const *next_rows, const ptrdiff_t *targets, ptrdiff_t m,
                            const int n_rows, const int n_vectors, const int fetches)
{
    const real *right = job->right + m;
    tile_t sum;
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] = first_sum(job, job->z + targets[i] + m, m, v);
    for (ptrdiff_t begin = job->begin; begin < job->end; begin += LINE) {
        const ptrdiff_t end = begin + LINE < job->end ? begin + LINE : job->end;
        for (int i = 0; fetches && i < n_rows; i++)
            __builtin_prefetch(next_rows[i] + begin, 0, FETCH_LOCALITY);
        for (ptrdiff_t k = begin; k < end; k++) {
            vec w[TILE_VECTORS];
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                w[v] = load(right + k * job->right_stride + v * LANES);
            UNROLL
            for (int i = 0; i < n_rows; i++) {
                const real input = rows[i][k];
                UNROLL
                for (int v = 0; v < n_vectors; v++)
                    sum[i][v] += input * w[v];
            }
        }
    }
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(job->z + targets[i] + m + v * LANES, sum[i][v]);
}

/* The same for rows side by side, x_stride apart: without pointers, and without a loop over lines. */
FM_INLINE void compact_tile(const product_t *job, ptrdiff_t r, ptrdiff_t m, const int n_rows,
                            const int n_vectors)
{
    const real *right = job->right + job->begin * job->right_stride + m;
    real *z = job->z + r * job->z_stride + m;
    tile_t sum;
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] = first_sum(job, z + i * job->z_stride, m, v);
    add_products(sum, job->x + r * job->x_stride + job->begin, job->x_stride, right,
                 job->right_stride, job->end - job->begin, n_rows, n_vectors, NULL);
    store_tile(z, job->z_stride, sum, n_rows, n_vectors);
}

/* n_vectors vectors of outputs from column m, for all rows. Rows beyond the end are the last row. */
FM_INLINE void product_rows(const product_t *job, ptrdiff_t m, const int n_rows, const int n_vectors)
{
    const ptrdiff_t last = job->batch - 1;
    ptrdiff_t r = 0;
    for (; !job->index && r + n_rows <= job->batch; r += n_rows)
        compact_tile(job, r, m, n_rows, n_vectors);
    for (; r <= last; r += n_rows) {
        const real *rows[MOST_ROWS], *next_rows[MOST_ROWS];
        ptrdiff_t targets[MOST_ROWS];
        for (int i = 0; i < n_rows; i++) {
            const ptrdiff_t row = r + i < last ? r + i : last;
            const ptrdiff_t next = r + n_rows + i < last ? r + n_rows + i : last;
            rows[i] = row_of(job->x, job->x_stride, job->index, row);
            next_rows[i] = row_of(job->x, job->x_stride, job->index, next);
            targets[i] = row * job->z_stride;
        }
        product_tile(job, rows, next_rows, targets, m, n_rows, n_vectors, job->index != NULL);
    }
}

/* Inputs whose weights for the outputs of a tile stay in the first-level cache for all rows. */
#define BLOCK (VECTOR_BYTES == 64 ? 96 : 160)

#define PRODUCT_CASE(n_vectors)                                                                    \
    case n_vectors: product_rows(job, m, ROWS_FOR(n_vectors), n_vectors); break

static void product_columns(const product_t *job, ptrdiff_t m, ptrdiff_t n_vectors)
{
    switch (n_vectors) {
        PRODUCT_CASE(1);
        PRODUCT_CASE(2);
        PRODUCT_CASE(3);
#if TILE_VECTORS == 5
        PRODUCT_CASE(4);
        PRODUCT_CASE(5);
#endif
    }
}

void FM_NAME(narrow_product)(real *z, ptrdiff_t z_stride, const real *x, ptrdiff_t x_stride,
                             const ptrdiff_t *index, const real *right, ptrdiff_t right_stride,
                             const real *bias, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t m)
{
    product_t job = {z, x, index, right, bias, z_stride, x_stride, right_stride, batch, 0, 0};
    const ptrdiff_t n_vectors = (m + LANES - 1) / LANES;
    const ptrdiff_t n_groups = (n_vectors + TILE_VECTORS - 1) / TILE_VECTORS;
    do {
        job.end = n - job.begin > BLOCK + BLOCK / 2 ? job.begin + BLOCK : n;
        for (ptrdiff_t group = 0; group < n_groups; group++) {
            const ptrdiff_t begin = n_vectors * group / n_groups;
            const ptrdiff_t end = n_vectors * (group + 1) / n_groups;
            product_columns(&job, begin * LANES, end - begin);
        }
        job.begin = job.end;
    } while (job.begin < n);
}

/* --- Gradient -------------------------------------------------------------------------------- */

typedef struct {
    real *g;           /* (n_out, n) */
    const real *delta; /* (batch, n_out) */
    const real *x;
    const ptrdiff_t *index;
    ptrdiff_t g_stride, delta_stride, x_stride, batch, n_out;
    int accumulate;
} gradient_t;

/* g[j][v] (+)= sum_r delta[r][j] x[r][v] for n_rows rows from j and n_vectors vectors from k. */
FM_INLINE void gradient_tile(const gradient_t *job, ptrdiff_t j, ptrdiff_t k, const int n_rows,
                             const int n_vectors)
{
    real *g = job->g + j * job->g_stride + k;
    vec sum[GRADIENT_ROWS][GRADIENT_VECTORS];
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] = job->accumulate ? load(g + i * job->g_stride + v * LANES) : (vec){0};
    for (ptrdiff_t r = 0; r < job->batch; r++) {
        const real *row = row_of(job->x, job->x_stride, job->index, r) + k;
        const real *delta = job->delta + r * job->delta_stride + j;
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
            store(g + i * job->g_stride + v * LANES, sum[i][v]);
}

#define GRADIENT_CASE(n)                                                                           \
    case n:                                                                                        \
        gradient_tile(job, j, k, n, n_vectors);                                                    \
        break

/* All outputs of n_vectors vectors of inputs, in groups of rows that differ by one at most. */
FM_INLINE void gradient_columns(const gradient_t *job, ptrdiff_t k, const int n_vectors)
{
    const ptrdiff_t n_groups = (job->n_out + GRADIENT_ROWS - 1) / GRADIENT_ROWS;
    for (ptrdiff_t group = 0; group < n_groups; group++) {
        const ptrdiff_t j = job->n_out * group / n_groups;
        switch (job->n_out * (group + 1) / n_groups - j) {
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

/* Columns k to k + n of the rows from `begin`, n_vectors vectors beside each other. */
FM_INLINE void copy_columns(real *columns, const gradient_t *job, ptrdiff_t begin, ptrdiff_t rows,
                            ptrdiff_t k, ptrdiff_t n, const int n_vectors)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *row = row_of(job->x, job->x_stride, job->index, begin + r) + k;
        real *out = columns + r * n_vectors * LANES;
        if (n == n_vectors * LANES) {
            UNROLL
            for (int v = 0; v < n_vectors; v++)
                store(out + v * LANES, load(row + v * LANES));
        } else {
            for (ptrdiff_t i = 0; i < n_vectors * LANES; i++)
                out[i] = i < n ? row[i] : 0;
        }
    }
}

/* n columns from k, in n_vectors vectors. All outputs read them again and again, from where the rows
 * lie, crossing cache lines: they are copied to aligned addresses first, COPIED_ROWS rows at a time.
 * Few outputs do not pay for that, but whole vectors are needed. */
#define COPIED_ROWS (VECTOR_BYTES == 64 ? 64 : 128)
#define FEW_OUTPUTS (2 * GRADIENT_ROWS)
FM_INLINE void gradient_vectors(const gradient_t *whole, ptrdiff_t k, ptrdiff_t n, const int n_vectors)
{
    real columns[COPIED_ROWS * GRADIENT_VECTORS * LANES] __attribute__((aligned(64)));
    gradient_t job = *whole;
    if (job.n_out <= FEW_OUTPUTS && n == n_vectors * LANES) {
        gradient_columns(&job, k, n_vectors);
        return;
    }
    job.g += k;
    job.x = columns;
    job.index = NULL;
    job.x_stride = n_vectors * LANES;
    for (ptrdiff_t begin = 0; begin < whole->batch || begin == 0; begin += COPIED_ROWS) {
        job.batch = whole->batch - begin < COPIED_ROWS ? whole->batch - begin : COPIED_ROWS;
        job.delta = whole->delta + begin * job.delta_stride;
        copy_columns(columns, whole, begin, job.batch, k, n, n_vectors);
        gradient_columns(&job, 0, n_vectors);
        job.accumulate = 1;
    }
}

void FM_NAME(narrow_gradient)(real *g, ptrdiff_t g_stride, const real *delta,
                              ptrdiff_t delta_stride, const real *x, ptrdiff_t x_stride,
                              const ptrdiff_t *index, ptrdiff_t batch, ptrdiff_t n,
                              ptrdiff_t n_out, int accumulate)
{
    const gradient_t job = {g,        delta,    x,     index, g_stride,
                            delta_stride, x_stride, batch, n_out, accumulate};
    const ptrdiff_t n_vectors = (n + LANES - 1) / LANES;
    const ptrdiff_t n_groups = (n_vectors + GRADIENT_VECTORS - 1) / GRADIENT_VECTORS;
    for (ptrdiff_t group = 0; group < n_groups; group++) {
        const ptrdiff_t first = n_vectors * group / n_groups, next = n_vectors * (group + 1) / n_groups;
        const ptrdiff_t k = first * LANES, end = next * LANES < n ? next * LANES : n;
        switch (next - first) {
        case 1: gradient_vectors(&job, k, end - k, 1); break;
        case 2: gradient_vectors(&job, k, end - k, 2); break;
#if GRADIENT_VECTORS == 4
        case 3: gradient_vectors(&job, k, end - k, 3); break;
        case 4: gradient_vectors(&job, k, end - k, 4); break;
#endif
        }
    }
}
