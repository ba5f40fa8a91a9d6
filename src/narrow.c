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

/* --- A few rows ------------------------------------------------------------------------------ */

/* Rows of w are multiplied where they lie, by up to DOT_ROWS rows of x at once. A tile keeps one sum
 * of vectors for every row and output, and adds it up in the same order whatever its shape: the
 * result of a row does not depend on the others. */
#define DOT_BLOCK 48 /* outputs whose weights all rows use while they are in the L2 cache */
#if VECTOR_REGISTERS == 32
#define DOT_ROWS 6
#define DOT_OUTPUTS(n_rows) ((n_rows) > 4 ? 4 : 6)
#else
#define DOT_ROWS 4
#define DOT_OUTPUTS(n_rows) ((n_rows) > 3 ? 3 : (n_rows) > 2 ? 4 : 6)
#endif
#define MOST_DOT_OUTPUTS 6
#define MOST_DOTS 24 /* of all tiles */

#if FM_BITS == 32
typedef int32_t lane_index;
#else
typedef int64_t lane_index;
#endif
#if defined(__GNUC__) && !defined(__clang__)
typedef lane_index lane_order __attribute__((vector_size(VECTOR_BYTES)));
/* Blocks of 2 `half` lanes, of a and then of b: the halves of every block, added. */
FM_INLINE vec add_halves(vec a, vec b, const int half)
{
    lane_order lower, upper;
    UNROLL
    for (int i = 0; i < LANES; i++) {
        lower[i] = i / half * 2 * half + i % half;
        upper[i] = lower[i] + half;
    }
    return __builtin_shuffle(a, b, lower) + __builtin_shuffle(a, b, upper);
}
#else
FM_INLINE vec add_halves(vec a, vec b, const int half)
{
    vec out;
    UNROLL
    for (int i = 0; i < LANES; i++) {
        const int lower = i / half * 2 * half + i % half;
        out[i] = (lower < LANES ? a[lower] : b[lower - LANES]) +
                 (lower + half < LANES ? a[lower + half] : b[lower + half - LANES]);
    }
    return out;
}
#endif

/* One step for the first n vectors, of which (n + 1) / 2 are left. */
#define ADD_HALVES(half)                                                                           \
    if (LANES > half) {                                                                            \
        UNROLL                                                                                     \
        for (int i = 0; i < (n + 1) / 2; i++)                                                      \
            v[i] = add_halves(v[2 * i], v[2 * i + 1 < n ? 2 * i + 1 : 2 * i], half);               \
        n = (n + 1) / 2;                                                                           \
    }

/* The sums over the lanes of n vectors, at most LANES, side by side in one. Halves are added to each
 * other, then quarters, and so on. */
FM_INLINE vec sums_of_lanes(vec *v, int n)
{
    ADD_HALVES(8)
    ADD_HALVES(4)
    ADD_HALVES(2)
    ADD_HALVES(1)
    return v[0];
}

/* The inputs that do not fill a vector, n % LANES of them, as the end of one that begins with zeros:
 * so do the weights, whose last LANES numbers are read. Not for fewer inputs than LANES. */
FM_INLINE vec last_inputs(const real *x, ptrdiff_t n)
{
    real padded[LANES] __attribute__((aligned(64))) = {0};
    for (ptrdiff_t i = LANES - n % LANES; i < LANES; i++)
        padded[i] = x[n - LANES + i];
    return *(vec *)padded;
}

typedef struct {
    real *z;
    const real *x, *w;
    ptrdiff_t z_stride, x_stride, n_cols;
} dot_t;

/* sum[r][j] += x[r] w[j], of vectors of inputs of n_rows rows, x_stride apart, and of weights. */
FM_INLINE void dot_vectors(vec sum[DOT_ROWS][MOST_DOT_OUTPUTS], const real *x, ptrdiff_t x_stride,
                           const real *w, ptrdiff_t n_cols, const int n_rows, const int n_outputs)
{
    if (n_rows <= n_outputs) {
        vec input[DOT_ROWS];
        UNROLL
        for (int r = 0; r < n_rows; r++)
            input[r] = load(x + r * x_stride);
        UNROLL
        for (int j = 0; j < n_outputs; j++) {
            vec weights = load(w + j * n_cols);
            IN_REGISTER(weights);
            UNROLL
            for (int r = 0; r < n_rows; r++)
                sum[r][j] += input[r] * weights;
        }
        return;
    }
    vec weights[MOST_DOT_OUTPUTS];
    UNROLL
    for (int j = 0; j < n_outputs; j++)
        weights[j] = load(w + j * n_cols);
    UNROLL
    for (int r = 0; r < n_rows; r++) {
        vec input = load(x + r * x_stride);
        IN_REGISTER(input);
        UNROLL
        for (int j = 0; j < n_outputs; j++)
            sum[r][j] += input * weights[j];
    }
}

/* z = the sums over the lanes and the bias, of the tile of outputs from j on. Of fewer inputs than LANES
 * nothing has been added yet. */
FM_INLINE void finish_dots(const dot_t *job, ptrdiff_t j, vec sum[DOT_ROWS][MOST_DOT_OUTPUTS],
                           const int n_rows, const int n_outputs)
{
    const ptrdiff_t n = job->n_cols - 1;
    const real *w = job->w + j * job->n_cols + 1;
    const int n_sums = n_rows * n_outputs;
    vec flat[MOST_DOTS], totals[(MOST_DOTS + LANES - 1) / LANES];
    UNROLL
    for (int r = 0; r < n_rows; r++)
        UNROLL
        for (int i = 0; i < n_outputs; i++)
            flat[r * n_outputs + i] = sum[r][i];
    UNROLL
    for (int first = 0; first < n_sums; first += LANES)
        totals[first / LANES] = sums_of_lanes(flat + first, n_sums - first < LANES ? n_sums - first : LANES);
    UNROLL
    for (int r = 0; r < n_rows; r++)
        UNROLL
        for (int i = 0; i < n_outputs; i++) {
            real total = ((const real *)totals)[r * n_outputs + i];
            if (n < LANES)
                for (ptrdiff_t k = 0; k < n; k++)
                    total += job->x[r * job->x_stride + k] * w[i * job->n_cols + k];
            job->z[r * job->z_stride + j + i] = total + w[i * job->n_cols - 1];
        }
}

/* n_outputs outputs from j on; `last` has last_inputs of every row, or is NULL. */
FM_INLINE void dot_tile(const dot_t *job, ptrdiff_t j, const vec *last, const int n_rows,
                        const int n_outputs)
{
    const ptrdiff_t n = job->n_cols - 1, n_whole = n - n % LANES;
    const real *w = job->w + j * job->n_cols + 1;
    vec sum[DOT_ROWS][MOST_DOT_OUTPUTS];
    UNROLL
    for (int r = 0; r < n_rows; r++)
        UNROLL
        for (int i = 0; i < n_outputs; i++)
            sum[r][i] = (vec){0};
    for (ptrdiff_t k = 0; k < n_whole; k += LANES)
        dot_vectors(sum, job->x + k, job->x_stride, w + k, job->n_cols, n_rows, n_outputs);
    if (last)
        dot_vectors(sum, (const real *)last, LANES, w + n - LANES, job->n_cols, n_rows, n_outputs);
    finish_dots(job, j, sum, n_rows, n_outputs);
}

/* Outputs from `begin` to `end` of n_rows rows, in tiles of DOT_OUTPUTS(n_rows) and then of one. */
FM_INLINE void dot_outputs(const dot_t *job, ptrdiff_t begin, ptrdiff_t end, const int n_rows)
{
    const ptrdiff_t n = job->n_cols - 1;
    vec last[DOT_ROWS];
    const int has_last = n > LANES && n % LANES != 0;
    if (has_last)
        for (int r = 0; r < n_rows; r++)
            last[r] = last_inputs(job->x + r * job->x_stride, n);
    ptrdiff_t j = begin;
    for (; j + DOT_OUTPUTS(n_rows) <= end; j += DOT_OUTPUTS(n_rows))
        dot_tile(job, j, has_last ? last : NULL, n_rows, DOT_OUTPUTS(n_rows));
    for (; j < end; j++)
        dot_tile(job, j, has_last ? last : NULL, n_rows, 1);
}

static void dot_block(const dot_t *job, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t n_rows)
{
    switch (n_rows) {
    case 1: dot_outputs(job, begin, end, 1); break;
    case 2: dot_outputs(job, begin, end, 2); break;
    case 3: dot_outputs(job, begin, end, 3); break;
    case 4: dot_outputs(job, begin, end, 4); break;
#if DOT_ROWS == 6
    case 5: dot_outputs(job, begin, end, 5); break;
    case 6: dot_outputs(job, begin, end, 6); break;
#endif
    }
}

void FM_NAME(dot_rows)(real *z, ptrdiff_t z_stride, const real *x, ptrdiff_t x_stride,
                       const real *w, ptrdiff_t n_rows, ptrdiff_t n_out, ptrdiff_t n_cols)
{
    /* Tiles differ by one row at most. */
    const ptrdiff_t n_tiles = (n_rows + DOT_ROWS - 1) / DOT_ROWS;
    for (ptrdiff_t j = 0; j < n_out; j += DOT_BLOCK)
        for (ptrdiff_t tile = 0; tile < n_tiles; tile++) {
            const ptrdiff_t r = n_rows * tile / n_tiles, next = n_rows * (tile + 1) / n_tiles;
            const dot_t job = {z + r * z_stride, x + r * x_stride, w, z_stride, x_stride, n_cols};
            dot_block(&job, j, n_out - j < DOT_BLOCK ? n_out : j + DOT_BLOCK, next - r);
        }
}
