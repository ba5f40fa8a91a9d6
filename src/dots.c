/* Products of a few rows with the weights where they lie: a sum over vectors of inputs for every output.
 *
 *     z (n_rows, n_out) = (1, x) w^T
 *
 * Every weight is read once for up to DOT_ROWS rows of x. A tile keeps one sum of vectors for every row
 * and output, and adds it up in the same order whatever its shape: the result of a row does not depend
 * on the others.
 */
#include "vectors.h"

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
