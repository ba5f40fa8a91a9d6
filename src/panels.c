/* Products of layers of any width, a panel of outputs after the other.
 *
 *     z (batch, m) = x (batch, n) @ right (n, m) + bias
 *
 * In the forward product `right` is W^T, in the one of deltas W, and for the gradient of W it is the
 * inputs, and x the deltas, transposed.
 *
 * A panel holds the numbers of `right` that belong to a few vectors of outputs and PANEL_DEPTH inputs,
 * side by side, so that it stays in the L1 cache while all rows pass. Filling it costs as much as
 * multiplying it with about five rows; a BLAS, which fills such panels too, spends as much again on
 * x. Where the same weights are used many times, panels are filled before (pack_panels).
 *
 * Every sum begins with the bias and adds the inputs in their order: what a row gives does not depend
 * on the rows beside it.
 */
#include "tile.h"

#if defined(__AVX512F__)
#define PANEL_DEPTH 96
#else
#define PANEL_DEPTH 224
#endif

/* Rows of the batch, and of the gradient, whose deltas are turned at once. */
#define GRADIENT_DEPTH 96
#define GRADIENT_OUTPUTS (FM_TURNED_BYTES / GRADIENT_DEPTH / (ptrdiff_t)sizeof(real))

/* --- Tiles ----------------------------------------------------------------------------------- */

typedef struct {
    real *z;           /* (batch, n_vectors), sums so far unless `start` is given */
    const real *x;     /* (batch, n) */
    const real *panel; /* (n, n_vectors) */
    const real *start; /* (n_vectors): what sums begin with, or NULL */
    ptrdiff_t z_stride, x_stride, batch, n;
    fetched_t ahead; /* what the next panel is filled from: the first tile fetches the first lines of
                      * every row, the second one the next, and so on, ahead_lines of each row */
    ptrdiff_t ahead_lines;
} panel_t;

/* z[r][v] = (start[v] or z[r][v]) + sum_k x[r][k] panel[k][v], n_rows rows from r. */
FM_INLINE void panel_tile(const panel_t *job, ptrdiff_t r, const fetched_t *ahead, const int n_rows,
                          const int n_vectors)
{
    real *z = job->z + r * job->z_stride;
    tile_t sum;
    UNROLL
    for (int i = 0; i < n_rows; i++)
        UNROLL
        for (int v = 0; v < n_vectors; v++)
            sum[i][v] = load((job->start ? job->start : z + i * job->z_stride) + v * LANES);
    add_products(sum, job->x + r * job->x_stride, job->x_stride, job->panel, n_vectors * LANES,
                 job->n, n_rows, n_vectors, ahead);
    store_tile(z, job->z_stride, sum, n_rows, n_vectors);
}

#define TILE_CASE(n)                                                                               \
    case n:                                                                                        \
        if (n <= ROWS_FOR(n_vectors))                                                              \
            panel_tile(job, r, &ahead, n, n_vectors);                                              \
        break

/* All rows, in tiles that differ by one row at most. */
FM_INLINE void panel_rows(const panel_t *job, const int n_vectors)
{
    const ptrdiff_t n_tiles = (job->batch + ROWS_FOR(n_vectors) - 1) / ROWS_FOR(n_vectors);
    for (ptrdiff_t tile = 0; tile < n_tiles; tile++) {
        const ptrdiff_t r = job->batch * tile / n_tiles, line = tile * FETCHED_LINES;
        const fetched_t ahead = {job->ahead.lines + line * LINE, job->ahead.stride,
                                 line < job->ahead_lines ? job->ahead.n : 0};
        switch (job->batch * (tile + 1) / n_tiles - r) {
            TILE_CASE(1);
            TILE_CASE(2);
            TILE_CASE(3);
            TILE_CASE(4);
            TILE_CASE(5);
            TILE_CASE(6);
            TILE_CASE(7);
            TILE_CASE(8);
        }
    }
}

static void multiply_panel(const panel_t *job, ptrdiff_t n_vectors)
{
    switch (n_vectors) {
    case 1: panel_rows(job, 1); break;
    case 2: panel_rows(job, 2); break;
    case 3: panel_rows(job, 3); break;
#if TILE_VECTORS == 5
    case 4: panel_rows(job, 4); break;
    case 5: panel_rows(job, 5); break;
#endif
    }
}

/* --- All panels ------------------------------------------------------------------------------ */

/* Outputs of panel `group` of a layer of m outputs: from *begin on; returns its vectors. Panels
 * differ by one vector at most. */
FM_INLINE ptrdiff_t place_panel(ptrdiff_t group, ptrdiff_t m, ptrdiff_t *begin)
{
    const ptrdiff_t n_vectors = (m + LANES - 1) / LANES;
    const ptrdiff_t n_groups = (n_vectors + TILE_VECTORS - 1) / TILE_VECTORS;
    const ptrdiff_t first = n_vectors * group / n_groups;
    *begin = first * LANES;
    return group < n_groups ? n_vectors * (group + 1) / n_groups - first : 0;
}

FM_INLINE ptrdiff_t at_most(ptrdiff_t n, ptrdiff_t limit) { return n < limit ? n : limit; }

/* Has the tiles of `job` fetch n_columns columns of n_rows rows. */
FM_INLINE void fetch_ahead(panel_t *job, const real *rows, ptrdiff_t stride, ptrdiff_t n_rows,
                           ptrdiff_t n_columns)
{
    job->ahead = (fetched_t){rows, stride, n_rows};
    job->ahead_lines = (n_columns + LINE - 1) / LINE;
}

void FM_NAME(panel_product)(real *z, ptrdiff_t z_stride, const real *x, ptrdiff_t x_stride,
                            const real *w, ptrdiff_t w_stride, const real *bias,
                            ptrdiff_t bias_stride, const real *packed, ptrdiff_t batch, ptrdiff_t n,
                            ptrdiff_t m)
{
    real filled[PANEL_DEPTH * TILE_VECTORS * LANES] __attribute__((aligned(64)));
    real start[TILE_VECTORS * LANES] __attribute__((aligned(64)));
    const ptrdiff_t n_parts = (n + PANEL_DEPTH - 1) / PANEL_DEPTH;
    ptrdiff_t j, n_vectors;
    for (ptrdiff_t group = 0; (n_vectors = place_panel(group, m, &j)) > 0; group++) {
        const ptrdiff_t width = n_vectors * LANES, n_outputs = at_most(m - j, width);
        for (ptrdiff_t i = 0; i < width; i++)
            start[i] = i < n_outputs && bias ? bias[(j + i) * bias_stride] : 0;
        for (ptrdiff_t part = 0; part < n_parts; part++) {
            const ptrdiff_t k = n * part / n_parts, depth = n * (part + 1) / n_parts - k;
            if (!packed)
                FM_NAME(transpose_padded)(filled, width, w + j * w_stride + k, w_stride, n_outputs,
                                          depth);
            panel_t job = {z + j,      x + k,    packed ? packed + j * n + k * width : filled,
                           part ? NULL : start, z_stride, x_stride, batch, depth, {0}, 0};
            const ptrdiff_t next_k = part + 1 < n_parts ? k + depth : 0;
            const ptrdiff_t next_j = part + 1 < n_parts ? j : j + width;
            if (packed && next_j < m)
                fetch_ahead(&job, job.panel + depth * width, width, depth, width);
            else if (next_j < m)
                fetch_ahead(&job, w + next_j * w_stride + next_k, w_stride, at_most(m - next_j, width),
                            depth);
            multiply_panel(&job, n_vectors);
        }
    }
}

/* A panel of the matrix whose rows begin at `rows`: n_columns of its columns, zeros up to `width`. */
static void copy_panel(real *panel, ptrdiff_t width, const real *rows, ptrdiff_t stride,
                       ptrdiff_t n_columns, ptrdiff_t depth)
{
    for (ptrdiff_t k = 0; k < depth; k++, panel += width, rows += stride) {
        ptrdiff_t c = 0;
        for (; c + LANES <= n_columns; c += LANES)
            store(panel + c, load(rows + c));
        for (; c < n_columns; c++)
            panel[c] = rows[c];
        for (; c < width; c++)
            panel[c] = 0;
    }
}

/* z (batch, m) = or += x (batch, n) @ right (n, m). */
static void multiply_rows(real *z, ptrdiff_t z_stride, const real *x, ptrdiff_t x_stride,
                          const real *right, ptrdiff_t right_stride, ptrdiff_t batch, ptrdiff_t n,
                          ptrdiff_t m, int accumulate)
{
    static const real zeros[TILE_VECTORS * LANES] __attribute__((aligned(64)));
    real panel[PANEL_DEPTH * TILE_VECTORS * LANES] __attribute__((aligned(64)));
    const ptrdiff_t n_parts = n > 0 ? (n + PANEL_DEPTH - 1) / PANEL_DEPTH : 1;
    ptrdiff_t j, n_vectors;
    for (ptrdiff_t group = 0; (n_vectors = place_panel(group, m, &j)) > 0; group++)
        for (ptrdiff_t part = 0; part < n_parts; part++) {
            const ptrdiff_t k = n * part / n_parts, depth = n * (part + 1) / n_parts - k;
            const ptrdiff_t width = n_vectors * LANES;
            copy_panel(panel, width, right + k * right_stride + j, right_stride,
                       at_most(m - j, width), depth);
            panel_t job = {z + j, x + k, panel, part || accumulate ? NULL : zeros,
                           z_stride, x_stride, batch, depth, {0}, 0};
            const ptrdiff_t next_k = part + 1 < n_parts ? k + depth : 0;
            const ptrdiff_t next_j = part + 1 < n_parts ? j : j + width;
            if (next_j < m)
                fetch_ahead(&job, right + next_k * right_stride + next_j, right_stride, depth, width);
            multiply_panel(&job, n_vectors);
        }
}

void FM_NAME(panel_delta)(real *z, ptrdiff_t z_stride, const real *x, ptrdiff_t x_stride,
                          const real *w, ptrdiff_t w_stride, ptrdiff_t batch, ptrdiff_t n,
                          ptrdiff_t m)
{
    multiply_rows(z, z_stride, x, x_stride, w, w_stride, batch, n, m, 0);
}

void FM_NAME(panel_gradient)(real *g, ptrdiff_t g_stride, const real *delta,
                             ptrdiff_t delta_stride, const real *x, ptrdiff_t x_stride,
                             real *turned, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t n_out,
                             int accumulate)
{
    const ptrdiff_t n_blocks = (n_out + GRADIENT_OUTPUTS - 1) / GRADIENT_OUTPUTS;
    const ptrdiff_t n_parts = batch > 0 ? (batch + GRADIENT_DEPTH - 1) / GRADIENT_DEPTH : 1;
    for (ptrdiff_t block = 0; block < n_blocks; block++) {
        const ptrdiff_t i = n_out * block / n_blocks, height = n_out * (block + 1) / n_blocks - i;
        for (ptrdiff_t part = 0; part < n_parts; part++) {
            const ptrdiff_t k = batch * part / n_parts, depth = batch * (part + 1) / n_parts - k;
            if (depth > 0)
                FM_NAME(transpose_padded)(turned, GRADIENT_DEPTH, delta + k * delta_stride + i,
                                          delta_stride, depth, height);
            multiply_rows(g + i * g_stride, g_stride, turned, GRADIENT_DEPTH, x + k * x_stride,
                          x_stride, height, depth, n, part || accumulate);
        }
    }
}

void FM_NAME(pack_panels)(real *out, const real *w, ptrdiff_t w_stride, ptrdiff_t n, ptrdiff_t m)
{
    ptrdiff_t j, n_vectors;
    for (ptrdiff_t group = 0; (n_vectors = place_panel(group, m, &j)) > 0; group++) {
        const ptrdiff_t width = n_vectors * LANES;
        FM_NAME(transpose_padded)(out + j * n, width, w + j * w_stride, w_stride,
                                  at_most(m - j, width), n);
    }
}
