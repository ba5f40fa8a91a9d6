/* The first layer over the non-zeros of sparse rows alone; its weights lie transposed, (n, m).
 *
 *     product    z (batch, m) = X @ W^T           lines of W^T, one per non-zero, added up
 *     transpose  the batch's non-zeros by column   X^T, so that a thread can own columns
 *     gradient   g (n, m) = X^T @ delta           lines of delta, added up column by column
 *     step       W^T -= rate X^T @ delta          for a rule that leaves all other columns alone
 *     columns    W^T of the columns that occur    for predictions of rows that have few of them
 *
 * Row i of X has values[k] in column columns[k] for begin[i] <= k < begin[i + 1]; values of the same
 * place add up. A sum goes over the non-zeros of a row in their order, or over those of a column in
 * the order of their rows: no bit depends on who computes what beside it.
 */
#include <string.h>

#include "vectors.h"

#define GROUP 8      /* vectors of a result that stay in registers */
#define ROWS_AHEAD 4
#define LOOK_AHEAD 8 /* non-zeros between the one that is multiplied and the one that is fetched */

/* sum += sum over n non-zeros of values[i] matrix[lines[i]], n_vectors vectors each. */
FM_INLINE void add_lines(vec *sum, const real *values, const int32_t *lines, ptrdiff_t n,
                         const real *matrix, ptrdiff_t stride, const int n_vectors)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *line = matrix + lines[i] * stride;
        if (i + LOOK_AHEAD < n) {
            const real *next = matrix + lines[i + LOOK_AHEAD] * stride;
            UNROLL
            for (ptrdiff_t at = 0; at < n_vectors * LANES; at += LINE)
                __builtin_prefetch(next + at);
        }
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[v] += values[i] * load(line + v * LANES);
    }
}

#define CASE(n, function, ...)                                                                     \
    case n:                                                                                        \
        function(__VA_ARGS__, at, n);                                                              \
        break

/* function(..., column, vectors) for m columns, in groups of vectors that differ by one at most. */
#define IN_GROUPS(m, function, ...)                                                                \
    do {                                                                                           \
        const ptrdiff_t n_all = ((m) + LANES - 1) / LANES;                                         \
        const ptrdiff_t n_groups = (n_all + GROUP - 1) / GROUP;                                    \
        for (ptrdiff_t group = 0; group < n_groups; group++) {                                     \
            const ptrdiff_t first = n_all * group / n_groups, at = first * LANES;                  \
            switch (n_all * (group + 1) / n_groups - first) {                                      \
                CASE(1, function, __VA_ARGS__);                                                    \
                CASE(2, function, __VA_ARGS__);                                                    \
                CASE(3, function, __VA_ARGS__);                                                    \
                CASE(4, function, __VA_ARGS__);                                                    \
                CASE(5, function, __VA_ARGS__);                                                    \
                CASE(6, function, __VA_ARGS__);                                                    \
                CASE(7, function, __VA_ARGS__);                                                    \
                CASE(8, function, __VA_ARGS__);                                                    \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* --- Product --------------------------------------------------------------------------------- */

typedef struct {
    real *z; /* (batch, m) */
    const real *values;
    const int32_t *columns;
    const ptrdiff_t *begin, *index;
    const real *right; /* (n, m) */
    ptrdiff_t z_stride, right_stride, batch;
} product_t;

FM_INLINE void product_group(const product_t *job, ptrdiff_t at, const int n_vectors)
{
    for (ptrdiff_t r = 0; r < job->batch; r++) {
        const ptrdiff_t row = job->index ? job->index[r] : r, first = job->begin[row];
        vec sum[GROUP];
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[v] = (vec){0};
        add_lines(sum, job->values + first, job->columns + first, job->begin[row + 1] - first,
                  job->right + at, job->right_stride, n_vectors);
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(job->z + r * job->z_stride + at + v * LANES, sum[v]);
    }
}

void FM_NAME(sparse_product)(real *z, ptrdiff_t z_stride, const real *values,
                             const int32_t *columns, const ptrdiff_t *begin,
                             const ptrdiff_t *index, const real *right, ptrdiff_t right_stride,
                             ptrdiff_t batch, ptrdiff_t m)
{
    const product_t job = {z, values, columns, begin, index, right, z_stride, right_stride, batch};
    IN_GROUPS(m, product_group, &job);
}

/* --- Columns that occur ---------------------------------------------------------------------- */

ptrdiff_t FM_NAME(compact_columns)(int32_t *touched, int32_t *places, uint64_t *marks,
                                   int32_t *ranks, const int32_t *columns, ptrdiff_t n_values,
                                   ptrdiff_t n)
{
    int32_t n_touched = 0;
    for (ptrdiff_t k = 0; k < n_values; k++)
        marks[columns[k] / 64] |= (uint64_t)1 << columns[k] % 64;
    for (ptrdiff_t word = 0; word < (n + 63) / 64; word++) {
        ranks[word] = n_touched;
        for (uint64_t rest = marks[word]; rest; rest &= rest - 1)
            touched[n_touched++] = (int32_t)(word * 64 + __builtin_ctzll(rest));
    }
    for (ptrdiff_t k = 0; k < n_values; k++) {
        const int32_t word = columns[k] / 64;
        const uint64_t before = ((uint64_t)1 << columns[k] % 64) - 1;
        places[k] = ranks[word] + __builtin_popcountll(marks[word] & before);
    }
    memset(marks, 0, (size_t)((n + 63) / 64) * sizeof *marks);
    return n_touched;
}

/* LANES rows of w at a time, which are as many streams. */
void FM_NAME(gather_columns)(real *out, ptrdiff_t out_stride, const real *w, ptrdiff_t w_stride,
                             const int32_t *touched, ptrdiff_t n_touched, ptrdiff_t m)
{
    for (ptrdiff_t j = 0; j < m; j += LANES) {
        const ptrdiff_t n = m - j < LANES ? m - j : LANES;
        const real *rows = w + j * w_stride;
        for (ptrdiff_t i = 0; i < n_touched; i++) {
            vec line = {0};
            if (n == LANES) {
                UNROLL
                for (ptrdiff_t lane = 0; lane < LANES; lane++)
                    line[lane] = rows[lane * w_stride + touched[i]];
            } else {
                for (ptrdiff_t lane = 0; lane < n; lane++)
                    line[lane] = rows[lane * w_stride + touched[i]];
            }
            store(out + i * out_stride + j, line);
        }
    }
}

/* --- Transposition --------------------------------------------------------------------------- */

/* Shuffled rows defeat the hardware prefetcher. */
FM_INLINE void prefetch_values(const real *values, const int32_t *columns, ptrdiff_t begin,
                               ptrdiff_t end)
{
    for (ptrdiff_t k = begin; k < end; k += LINE) {
        __builtin_prefetch(values + k);
        __builtin_prefetch(columns + k);
    }
}

/* A counting sort by column. `marks` has a bit for every column that occurs, so that the others cost
 * an eighth of a byte each. */
ptrdiff_t FM_NAME(sparse_transpose)(int32_t *touched, ptrdiff_t *starts, int32_t *rows,
                                    real *values_out, ptrdiff_t *places, uint64_t *marks,
                                    const real *values, const int32_t *columns,
                                    const ptrdiff_t *begin, const ptrdiff_t *index,
                                    ptrdiff_t batch, ptrdiff_t n)
{
    for (ptrdiff_t r = 0; r < batch; r++) {
        const ptrdiff_t row = index ? index[r] : r;
        if (index && r + ROWS_AHEAD < batch)
            prefetch_values(values, columns, begin[index[r + ROWS_AHEAD]],
                            begin[index[r + ROWS_AHEAD] + 1]);
        for (ptrdiff_t k = begin[row]; k < begin[row + 1]; k++) {
            const int32_t column = columns[k];
            places[column]++;
            marks[column / 64] |= (uint64_t)1 << column % 64;
        }
    }
    ptrdiff_t n_touched = 0, at = 0;
    for (ptrdiff_t word = 0; word < (n + 63) / 64; word++) {
        for (uint64_t rest = marks[word]; rest; rest &= rest - 1) {
            const ptrdiff_t column = word * 64 + __builtin_ctzll(rest), count = places[column];
            touched[n_touched] = (int32_t)column;
            starts[n_touched++] = places[column] = at;
            at += count;
        }
        marks[word] = 0;
    }
    starts[n_touched] = at;
    for (ptrdiff_t r = 0; r < batch; r++) {
        const ptrdiff_t row = index ? index[r] : r;
        for (ptrdiff_t k = begin[row]; k < begin[row + 1]; k++) {
            const ptrdiff_t place = places[columns[k]]++;
            rows[place] = (int32_t)r;
            values_out[place] = values[k];
        }
    }
    for (ptrdiff_t i = 0; i < n_touched; i++)
        places[touched[i]] = 0;
    return n_touched;
}

/* --- Gradient -------------------------------------------------------------------------------- */

typedef struct {
    const int32_t *touched, *rows;
    const ptrdiff_t *starts;
    const real *values, *delta;
    ptrdiff_t n_touched, delta_stride;
} transposed_t;

/* sum += the gradient of touched column i. */
FM_INLINE void add_column(vec *sum, const transposed_t *x, ptrdiff_t i, ptrdiff_t at,
                          const int n_vectors)
{
    const ptrdiff_t first = x->starts[i];
    add_lines(sum, x->values + first, x->rows + first, x->starts[i + 1] - first, x->delta + at,
              x->delta_stride, n_vectors);
}

FM_INLINE void gradient_group(const transposed_t *x, real *g, ptrdiff_t g_stride,
                              ptrdiff_t first_column, ptrdiff_t n_columns, int accumulate,
                              ptrdiff_t at, const int n_vectors)
{
    ptrdiff_t i = 0;
    for (ptrdiff_t column = 0; column < n_columns; column++) {
        real *out = g + column * g_stride + at;
        const int occurs = i < x->n_touched && x->touched[i] == first_column + column;
        vec sum[GROUP];
        if (accumulate && !occurs)
            continue;
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[v] = accumulate ? load(out + v * LANES) : (vec){0};
        if (occurs)
            add_column(sum, x, i++, at, n_vectors);
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            store(out + v * LANES, sum[v]);
    }
}

void FM_NAME(sparse_gradient)(real *g, ptrdiff_t g_stride, ptrdiff_t first_column,
                              ptrdiff_t n_columns, const int32_t *touched, const ptrdiff_t *starts,
                              ptrdiff_t n_touched, const int32_t *rows, const real *values,
                              const real *delta, ptrdiff_t delta_stride, ptrdiff_t m,
                              int accumulate)
{
    const transposed_t x = {touched, rows, starts, values, delta, n_touched, delta_stride};
    IN_GROUPS(m, gradient_group, &x, g, g_stride, first_column, n_columns, accumulate);
}

/* --- Step ------------------------------------------------------------------------------------ */

FM_INLINE void step_group(const transposed_t *x, real *w_out, const real *w, ptrdiff_t stride,
                          real rate, real scale, int *n_broken, ptrdiff_t at, const int n_vectors)
{
    vec zeros = {0}; /* NaN once a number is not finite */
    for (ptrdiff_t i = 0; i < x->n_touched; i++) {
        const ptrdiff_t place = x->touched[i] * stride + at;
        vec sum[GROUP];
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[v] = (vec){0};
        add_column(sum, x, i, at, n_vectors);
        UNROLL
        for (int v = 0; v < n_vectors; v++) {
            const vec new = load(w + place + v * LANES) - rate * (scale * sum[v]);
            zeros += new - new;
            store(w_out + place + v * LANES, new);
        }
    }
    for (int lane = 0; lane < LANES; lane++)
        *n_broken += zeros[lane] != 0;
}

int FM_NAME(sparse_step)(real *w_out, const real *w, ptrdiff_t stride, const int32_t *touched,
                         const ptrdiff_t *starts, ptrdiff_t n_touched, const int32_t *rows,
                         const real *values, const real *delta, ptrdiff_t delta_stride,
                         ptrdiff_t m, double rate, double scale)
{
    const transposed_t x = {touched, rows, starts, values, delta, n_touched, delta_stride};
    int n_broken = 0;
    IN_GROUPS(m, step_group, &x, w_out, w, stride, (real)rate, (real)scale, &n_broken);
    return n_broken == 0;
}
