/* The kernels of one precision: KERNEL(result, name, arguments...) each, with numbers of type
 * FM_REAL. Included by fastmlp.h for the tables of function pointers, by real.h for the prototypes
 * and by table.c for the entries, hence no include guard.
 *
 * Matrices of activations and deltas are sample-major, (batch, stride) with the nodes of a layer side
 * by side and stride a multiple of 16 (any, for a prediction of few rows), unless they are called
 * feature-major: (n_out, batch), sample r of feature j at a[j * stride + r]. */

/* --- Products of narrow layers (narrow.c) --- */

/* z (batch, m) = rows of x (:, n) @ right (n, m) [+ bias (m), unless it is NULL]; rows index[r], or
 * 0, 1, ... when index is NULL. Writes whole vectors: z and right have columns up to the next
 * multiple of 16. */
KERNEL(void, narrow_product, FM_REAL *z, ptrdiff_t z_stride, const FM_REAL *x, ptrdiff_t x_stride,
       const ptrdiff_t *index, const FM_REAL *right, ptrdiff_t right_stride, const FM_REAL *bias,
       ptrdiff_t batch, ptrdiff_t n, ptrdiff_t m)

/* g[j * g_stride + k] = or += sum_r delta[r, j] x[row r, k], j < n_out, k < n. Writes whole vectors,
 * zeros beyond column n. */
KERNEL(void, narrow_gradient, FM_REAL *g, ptrdiff_t g_stride, const FM_REAL *delta,
       ptrdiff_t delta_stride, const FM_REAL *x, ptrdiff_t x_stride, const ptrdiff_t *index,
       ptrdiff_t batch, ptrdiff_t n, ptrdiff_t n_out, int accumulate)

/* --- Products of a few rows (dots.c) --- */

/* z (n_rows, n_out) = (1, x) w^T: rows x of n_cols - 1 inputs, w (n_out, n_cols) with the bias in
 * column 0. A row's result does not depend on the other rows. */
KERNEL(void, dot_rows, FM_REAL *z, ptrdiff_t z_stride, const FM_REAL *x, ptrdiff_t x_stride,
       const FM_REAL *w, ptrdiff_t n_rows, ptrdiff_t n_out, ptrdiff_t n_cols)

/* --- Products of layers of any width (panels.c) --- */

/* z (batch, m) = x (batch, n) @ w^T + bias, w (m, n) and m biases bias_stride apart, none where bias is
 * NULL. `packed` is NULL, or what pack_panels made of w, which is not read then. Writes whole vectors: z
 * has columns up to the next multiple of 16. A row's result does not depend on the other rows. */
KERNEL(void, panel_product, FM_REAL *z, ptrdiff_t z_stride, const FM_REAL *x, ptrdiff_t x_stride,
       const FM_REAL *w, ptrdiff_t w_stride, const FM_REAL *bias, ptrdiff_t bias_stride,
       const FM_REAL *packed, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t m)

/* z (batch, m) = x (batch, n) @ w, w (n, m). Writes whole vectors, zeros beyond column m. */
KERNEL(void, panel_delta, FM_REAL *z, ptrdiff_t z_stride, const FM_REAL *x, ptrdiff_t x_stride,
       const FM_REAL *w, ptrdiff_t w_stride, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t m)

/* g (n_out, n) = or += delta (batch, n_out)^T @ x (batch, n), rows summed in their order. Writes whole
 * vectors of g. `turned` has room for FM_TURNED_BYTES, which stacks of threads may not have. */
KERNEL(void, panel_gradient, FM_REAL *g, ptrdiff_t g_stride, const FM_REAL *delta,
       ptrdiff_t delta_stride, const FM_REAL *x, ptrdiff_t x_stride, FM_REAL *turned,
       ptrdiff_t batch, ptrdiff_t n, ptrdiff_t n_out, int accumulate)

/* out (n times m, rounded up to a multiple of 16) = the panels of w (m, n). */
KERNEL(void, pack_panels, FM_REAL *out, const FM_REAL *w, ptrdiff_t w_stride, ptrdiff_t n, ptrdiff_t m)

/* --- Products of a few dozen rows (feature_major.c) --- */

/* z (m, batch) = w (m, n) @ x (n, batch) + bias: the rows of the batch are columns here, as after
 * transpose_padded. Reads and writes whole vectors of x and z. m biases bias_stride apart, none where bias
 * is NULL. The bits of panel_product. */
KERNEL(void, feature_product, FM_REAL *z, ptrdiff_t z_stride, const FM_REAL *x, ptrdiff_t x_stride,
       const FM_REAL *w, ptrdiff_t w_stride, const FM_REAL *bias, ptrdiff_t bias_stride, ptrdiff_t batch,
       ptrdiff_t n, ptrdiff_t m)

/* --- The first layer over sparse rows (sparse.c) --- */

/* Row i of a sparse matrix has the values from begin[i] to begin[i + 1], in the columns that `columns`
 * names; values of the same place add up. Rows are index[r], or 0, 1, ... when index is NULL. */

/* z (batch, m) = rows of a sparse matrix (:, n) @ right (n, m). Writes whole vectors: z and right have
 * columns up to the next multiple of 16. A row's result does not depend on the other rows. */
KERNEL(void, sparse_product, FM_REAL *z, ptrdiff_t z_stride, const FM_REAL *values,
       const int32_t *columns, const ptrdiff_t *begin, const ptrdiff_t *index, const FM_REAL *right,
       ptrdiff_t right_stride, ptrdiff_t batch, ptrdiff_t m)

/* The columns that occur among n_values columns from 0 to n - 1: returns their number; touched has them
 * in rising order, and places[k] says which of them columns[k] is. marks (n / 64, rounded up) is zero
 * before and after; ranks has as many numbers. */
KERNEL(ptrdiff_t, compact_columns, int32_t *touched, int32_t *places, uint64_t *marks,
       int32_t *ranks, const int32_t *columns, ptrdiff_t n_values, ptrdiff_t n)

/* out[i, j] = w[j * w_stride + touched[i]] for j < m. Writes whole vectors, zeros beyond column m. */
KERNEL(void, gather_columns, FM_REAL *out, ptrdiff_t out_stride, const FM_REAL *w,
       ptrdiff_t w_stride, const int32_t *touched, ptrdiff_t n_touched, ptrdiff_t m)

/* The rows' values by column: returns the number of columns that occur, n_touched. touched[i] is the
 * i-th of them, in rising order; it has values[k] in row rows[k] of the batch, rising, for starts[i] <=
 * k < starts[i + 1]. starts has room for one more than touched. places (n) and marks (n / 64, rounded
 * up) are zero before and after. */
KERNEL(ptrdiff_t, sparse_transpose, int32_t *touched, ptrdiff_t *starts, int32_t *rows,
       FM_REAL *values_out, ptrdiff_t *places, uint64_t *marks, const FM_REAL *values,
       const int32_t *columns, const ptrdiff_t *begin, const ptrdiff_t *index, ptrdiff_t batch,
       ptrdiff_t n)

/* Line c of g (n_columns, m) = or += sum_r x[r, first_column + c] delta[r], of a batch that
 * sparse_transpose has made; touched and starts begin with the first column from first_column on.
 * Writes whole vectors. */
KERNEL(void, sparse_gradient, FM_REAL *g, ptrdiff_t g_stride, ptrdiff_t first_column,
       ptrdiff_t n_columns, const int32_t *touched, const ptrdiff_t *starts, ptrdiff_t n_touched,
       const int32_t *rows, const FM_REAL *values, const FM_REAL *delta, ptrdiff_t delta_stride,
       ptrdiff_t m, int accumulate)

/* Line c of w_out = w - rate * (scale * sum_r x[r, c] delta[r]) for the n_touched columns c of a batch
 * that sparse_transpose has made; other lines are not touched. Writes whole vectors; returns 1 if all
 * numbers are finite. */
KERNEL(int, sparse_step, FM_REAL *w_out, const FM_REAL *w, ptrdiff_t stride, const int32_t *touched,
       const ptrdiff_t *starts, ptrdiff_t n_touched, const int32_t *rows, const FM_REAL *values,
       const FM_REAL *delta, ptrdiff_t delta_stride, ptrdiff_t m, double rate, double scale)

/* --- Element-wise passes (activation.c, output.c) --- */

/* a = f(a + bias) in place, and 0 in the columns from n_out to stride; bias is NULL where it is
 * already in a, else it has `stride` values. derivative_out = f'(z) where the function is FM_GELU or
 * FM_SILU and derivative_out is not NULL. For functions of hidden layers. */
KERNEL(void, bias_activation, FM_REAL *a, FM_REAL *derivative_out, ptrdiff_t stride, const FM_REAL *bias,
       ptrdiff_t n_out, ptrdiff_t batch, int function)

/* a = a m and derivative = f'(z) m, in place, where m is 0 with probability `rate` and 1 / (1 - rate)
 * otherwise, drawn anew for every key, row (first_row, first_row + 1, ...) and column. The derivatives of
 * FM_GELU and FM_SILU are there already; those of other functions are computed from a = f(z). */
KERNEL(void, dropout, FM_REAL *a, FM_REAL *derivative, ptrdiff_t stride, ptrdiff_t batch, int function,
       double rate, uint64_t key, ptrdiff_t first_row)

/* delta = delta * f'(z), in place, for n numbers, with f' computed from a = f(z), or taken from
 * `derivative` unless that is NULL. */
KERNEL(void, activation_backward, FM_REAL *delta, const FM_REAL *a, const FM_REAL *derivative,
       ptrdiff_t n, int function)

/* sum_out[j] = or += sum_r delta[r, j] for j < n: the bias gradient. Reads whole vectors of delta. */
KERNEL(void, column_sums, FM_REAL *sum_out, const FM_REAL *delta, ptrdiff_t stride, ptrdiff_t n,
       ptrdiff_t batch, int accumulate)

/* a = f(a + bias) in place, feature-major. FM_SOFTMAX normalizes over the features of a sample, by a
 * product with the reciprocal of their sum, as output_loss does, or by a division if `divides`;
 * FM_INCREASING is z of the first feature and adds softplus(z) from feature to feature. */
KERNEL(void, output_activation, FM_REAL *a, ptrdiff_t stride, const FM_REAL *bias, ptrdiff_t n_out,
       ptrdiff_t batch, int function, int divides)

/* a = f(a + bias) in place; delta_out = dC/dz; totals += sums. All feature-major, (n_out, batch);
 * sample_weights has batch values or is NULL (all 1). parameters (n_out): the levels of FM_QUANTILE or
 * FM_HUBER's delta, else unused. */
KERNEL(void, output_loss, FM_REAL *a, FM_REAL *delta_out, fm_totals *totals, const FM_REAL *bias,
       const FM_REAL *targets, const FM_REAL *sample_weights, const FM_REAL *parameters,
       ptrdiff_t stride, ptrdiff_t n_out, ptrdiff_t batch, int function, int loss)

/* delta = weight dC/da -> delta = weight dC/dz, in place, feature-major, and totals->error, n_correct
 * for a custom loss whose gradient is in delta. */
KERNEL(void, output_backward, FM_REAL *delta, const FM_REAL *a, fm_totals *totals,
       const FM_REAL *targets, const FM_REAL *sample_weights, ptrdiff_t stride, ptrdiff_t n_out,
       ptrdiff_t batch, int function)

/* --- Update (update.c) --- */

/* One optimizer step on the block (n_rows, n_cols) of vectors whose rows are `stride` apart: w_out
 * = w updated with the sum of n_lanes gradients, lane_stride apart, in their order; state_1 and
 * state_2 (NULL where the rule has none) are updated in place. `penalized` is 0 for biases. Adds the
 * regularisation cost of w to *penalty; returns 1 if every new weight and the penalty are finite. */
KERNEL(int, update, FM_REAL *w_out, const FM_REAL *w, FM_REAL *state_1, FM_REAL *state_2,
       const FM_REAL *lanes, ptrdiff_t lane_stride, ptrdiff_t n_lanes, ptrdiff_t stride,
       ptrdiff_t n_rows, ptrdiff_t n_cols, const fm_rule *rule, int penalized, double *penalty)

/* sum over the block of g^2, g being the gradient of `update` with the same arguments. */
KERNEL(double, gradient_squares, const FM_REAL *w, const FM_REAL *lanes, ptrdiff_t lane_stride,
       ptrdiff_t n_lanes, ptrdiff_t stride, ptrdiff_t n_rows, ptrdiff_t n_cols, const fm_rule *rule,
       int penalized)

/* 1 if all of n numbers are finite (finite.c). */
KERNEL(int, all_finite, const FM_REAL *x, ptrdiff_t n)

/* --- The rate of multiply-adds (peak.c) --- */

/* s = s / 2 + 1, n_rounds times, for the first of 192 numbers, as many as the level has in its registers;
 * returns how many these are. */
KERNEL(ptrdiff_t, multiply_adds, FM_REAL *sums, ptrdiff_t n_rounds)

/* --- Copies (transpose.c) --- */

/* out (n, n_rows) = x (n_rows, n) transposed. Rows of out are written in whole vectors: beyond
 * n_rows they repeat the last row of x up to the end of the vector. */
KERNEL(void, transpose_padded, FM_REAL *out, ptrdiff_t out_stride, const FM_REAL *x,
       ptrdiff_t x_stride, ptrdiff_t n_rows, ptrdiff_t n)

/* out (batch, out_stride) = rows of x (:, n_cols), zeros beyond column n_cols; rows index[r], or 0, 1,
 * ... when index is NULL. */
KERNEL(void, gather_rows, FM_REAL *out, ptrdiff_t out_stride, const FM_REAL *x,
       const ptrdiff_t *index, ptrdiff_t batch, ptrdiff_t n_cols)

/* The same from rows of a sparse matrix: row i has the values from begin[i] to begin[i + 1], in the
 * columns that `columns` names. Values of the same place add up. */
KERNEL(void, scatter_rows, FM_REAL *out, ptrdiff_t out_stride, const FM_REAL *values,
       const int32_t *columns, const ptrdiff_t *begin, const ptrdiff_t *index, ptrdiff_t batch)

/* out (n_cols, batch) = transposed rows of x; rows index[r], or 0, 1, ... when index is NULL. */
KERNEL(void, gather_transposed, FM_REAL *out, ptrdiff_t stride, const FM_REAL *x,
       const ptrdiff_t *index, ptrdiff_t batch, ptrdiff_t n_cols)

/* out (batch, n_out) in C order = a (n_out, batch) transposed. */
KERNEL(void, scatter_transposed, FM_REAL *out, const FM_REAL *a, ptrdiff_t stride, ptrdiff_t batch,
       ptrdiff_t n_out)

/* --- The functions themselves, element by element, out[i] = f(x[i]); for tests and users --- */

KERNEL(void, apply_exp, FM_REAL *out, const FM_REAL *x, ptrdiff_t n)
KERNEL(void, apply_log, FM_REAL *out, const FM_REAL *x, ptrdiff_t n)
KERNEL(void, apply_sigmoid, FM_REAL *out, const FM_REAL *x, ptrdiff_t n)
KERNEL(void, apply_tanh, FM_REAL *out, const FM_REAL *x, ptrdiff_t n)
KERNEL(void, apply_softplus, FM_REAL *out, const FM_REAL *x, ptrdiff_t n)
