/* The kernels of one precision. Included twice by fastmlp.h, hence no include guard. */
typedef struct {
    /* a = f(a + bias), in place; a is (n_out, batch), bias has n_out values bias_stride apart.
     * FM_SOFTMAX normalises over the features of each sample. */
    void (*bias_activation)(FM_REAL *a, ptrdiff_t stride, const FM_REAL *bias, ptrdiff_t bias_stride,
                            ptrdiff_t n_out, ptrdiff_t batch, int function);

    /* delta = delta * f'(z), in place, with f' computed from a = f(z); and the bias gradient
     * sum_r delta[j, r], stored or (accumulate) added. delta and a are (n_out, batch). */
    void (*activation_backward)(FM_REAL *delta, FM_REAL *bias_grad, ptrdiff_t grad_stride,
                                const FM_REAL *a, ptrdiff_t stride, ptrdiff_t n_out,
                                ptrdiff_t batch, int function, int accumulate);

    /* The two passes above for a sample-major hidden layer: a and delta are (batch, stride), the
     * n_out <= FM_NARROW_MAX features of a sample side by side. */
    void (*bias_activation_rows)(FM_REAL *a, ptrdiff_t stride, const FM_REAL *bias,
                                 ptrdiff_t bias_stride, ptrdiff_t n_out, ptrdiff_t batch,
                                 int function);
    void (*activation_backward_rows)(FM_REAL *delta, FM_REAL *bias_grad, ptrdiff_t grad_stride,
                                     const FM_REAL *a, ptrdiff_t stride, ptrdiff_t n_out,
                                     ptrdiff_t batch, int function, int accumulate);

    /* packed[k * stride + j] = w[j, 1 + k] for the n_rows rows j of w (n_rows, n_cols). */
    void (*pack_weights)(FM_REAL *packed, ptrdiff_t stride, const FM_REAL *w, ptrdiff_t n_rows,
                         ptrdiff_t n_cols);

    /* z (batch, stride) = rows of x (:, n_in) @ packed (n_in, stride), stride a multiple of 16;
     * rows index[r], or 0, 1, ... when index is NULL. */
    void (*narrow_forward)(FM_REAL *z, ptrdiff_t stride, const FM_REAL *x, const ptrdiff_t *index,
                           const FM_REAL *packed, ptrdiff_t batch, ptrdiff_t n_in);

    /* g[j * grad_stride + k] = or += sum_r delta[r * stride + j] x[row r, k], j < n_out, k < n_in. */
    void (*narrow_gradient)(FM_REAL *g, ptrdiff_t grad_stride, const FM_REAL *delta,
                            ptrdiff_t stride, const FM_REAL *x, const ptrdiff_t *index,
                            ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out, int accumulate);

    /* a = f(a + bias) in place; delta_out = dC/dz; the bias gradient as above; totals += sums.
     * a, delta_out and targets are (n_out, batch); row_weights has batch values or is NULL (all 1).
     * bias_grad may be NULL when only the totals are wanted; delta_out is then scratch. */
    void (*output_loss)(FM_REAL *a, FM_REAL *delta_out, FM_REAL *bias_grad, ptrdiff_t grad_stride,
                        fm_totals *totals, const FM_REAL *bias, ptrdiff_t bias_stride,
                        const FM_REAL *targets, const FM_REAL *row_weights, ptrdiff_t stride,
                        ptrdiff_t n_out, ptrdiff_t batch, int function, int loss, int accumulate);

    /* One optimiser step on n_rows rows of a weight matrix (n_rows, n_cols), column 0 the bias.
     * The gradient is the sum of n_lanes buffers, lane_stride apart, in order of the lanes.
     * w and memory (n_rows, n_cols; may be NULL when momentum is 0) are updated in place; the
     * weights before the step are left in lane 0. row_penalty_out has n_rows values: the
     * regularisation cost of the weights before the step. Returns 1 if every new weight and
     * every penalty is finite, else 0. */
    int (*sgd_update)(FM_REAL *w, FM_REAL *memory, double *row_penalty_out, FM_REAL *lanes,
                      ptrdiff_t lane_stride, ptrdiff_t n_lanes, ptrdiff_t n_rows, ptrdiff_t n_cols,
                      const fm_sgd *rule);

    /* out (batch, n_cols) = rows index[0..batch) of x (:, n_cols), all C order. */
    void (*gather_rows)(FM_REAL *out, const FM_REAL *x, const ptrdiff_t *index, ptrdiff_t batch,
                        ptrdiff_t n_cols);

    /* out (n_cols, batch) = transposed rows of x; rows index[r], or 0, 1, ... when index is NULL. */
    void (*gather_transposed)(FM_REAL *out, ptrdiff_t stride, const FM_REAL *x,
                              const ptrdiff_t *index, ptrdiff_t batch, ptrdiff_t n_cols);

    /* out (batch, n_out) in C order = a (n_out, batch) transposed. */
    void (*scatter_transposed)(FM_REAL *out, const FM_REAL *a, ptrdiff_t stride, ptrdiff_t batch,
                               ptrdiff_t n_out);

    /* The functions themselves, element by element, out[i] = f(x[i]); for tests and users. */
    void (*apply_exp)(FM_REAL *out, const FM_REAL *x, ptrdiff_t n);
    void (*apply_log)(FM_REAL *out, const FM_REAL *x, ptrdiff_t n);
    void (*apply_sigmoid)(FM_REAL *out, const FM_REAL *x, ptrdiff_t n);
    void (*apply_tanh)(FM_REAL *out, const FM_REAL *x, ptrdiff_t n);
    void (*apply_softplus)(FM_REAL *out, const FM_REAL *x, ptrdiff_t n);
} FM_TABLE;
#undef FM_REAL
#undef FM_TABLE
