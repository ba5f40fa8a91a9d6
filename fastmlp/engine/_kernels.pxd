# The C interface (src/fastmlp.h; src/kernels.h documents every kernel) as Cython sees it, and an
# inline function per kernel that picks the precision.
from libc.stdint cimport uint64_t

from fastmlp.engine._blas cimport real

cdef extern from "fastmlp.h" nogil:
    enum: FM_SIGMOID, FM_TANH, FM_RELU, FM_IDENTITY, FM_LEAKY_RELU, FM_ELU, FM_SELU, FM_SOFTPLUS
    enum: FM_GELU, FM_SILU, FM_SOFTMAX, FM_EXPONENTIAL, FM_INCREASING
    enum: FM_LOG_LOSS, FM_CROSS_ENTROPY, FM_SQUARED_ERROR, FM_BRIER, FM_ABSOLUTE_ERROR
    enum: FM_HUBER, FM_QUANTILE, FM_POISSON, FM_GAMMA
    enum: FM_PLAIN, FM_ONE_STEP, FM_CLASSICAL, FM_NESTEROV, FM_ADAM, FM_RMSPROP
    enum: FM_BASELINE, FM_AVX2, FM_AVX512, FM_LEVELS

    ctypedef struct fm_totals:
        double loss, error, weight, n_correct

    ctypedef struct fm_rule:
        double learning_rate, gradient_scale, l2, l1, l1_cost, l2_cost, momentum
        double beta_1, beta_2, epsilon, root_scale, keep
        int kind

    ctypedef struct fm_kernels_f32:
        void (*narrow_product)(float *, Py_ssize_t, const float *, Py_ssize_t, const Py_ssize_t *,
                               const float *, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                               Py_ssize_t) noexcept nogil
        void (*narrow_gradient)(float *, Py_ssize_t, const float *, Py_ssize_t, const float *,
                                Py_ssize_t, const Py_ssize_t *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                int) noexcept nogil
        void (*dot_row)(float *, const float *, const float *, Py_ssize_t,
                        Py_ssize_t) noexcept nogil
        void (*bias_activation)(float *, float *, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                                int) noexcept nogil
        void (*dropout)(float *, float *, Py_ssize_t, Py_ssize_t, int, double, uint64_t,
                        Py_ssize_t) noexcept nogil
        void (*activation_backward)(float *, const float *, const float *, Py_ssize_t,
                                    int) noexcept nogil
        void (*column_sums)(float *, const float *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                            int) noexcept nogil
        void (*output_activation)(float *, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                                  int, int) noexcept nogil
        void (*output_loss)(float *, float *, fm_totals *, const float *, const float *,
                            const float *, const float *, Py_ssize_t, Py_ssize_t, Py_ssize_t, int,
                            int) noexcept nogil
        void (*output_backward)(float *, const float *, fm_totals *, const float *, const float *,
                                Py_ssize_t, Py_ssize_t, Py_ssize_t, int) noexcept nogil
        int (*update)(float *, const float *, float *, float *, const float *, Py_ssize_t,
                      Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const fm_rule *, int,
                      double *) noexcept nogil
        double (*gradient_squares)(const float *, const float *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t, Py_ssize_t, const fm_rule *, int) noexcept nogil
        int (*all_finite)(const float *, Py_ssize_t) noexcept nogil
        void (*transpose_padded)(float *, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                                 Py_ssize_t) noexcept nogil
        void (*gather_rows)(float *, Py_ssize_t, const float *, const Py_ssize_t *, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        void (*scatter_rows)(float *, Py_ssize_t, const float *, const Py_ssize_t *,
                             const Py_ssize_t *, const Py_ssize_t *, Py_ssize_t) noexcept nogil
        void (*gather_transposed)(float *, Py_ssize_t, const float *, const Py_ssize_t *,
                                  Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*scatter_transposed)(float *, const float *, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t) noexcept nogil
        void (*apply_exp)(float *, const float *, Py_ssize_t) noexcept nogil
        void (*apply_log)(float *, const float *, Py_ssize_t) noexcept nogil
        void (*apply_sigmoid)(float *, const float *, Py_ssize_t) noexcept nogil
        void (*apply_tanh)(float *, const float *, Py_ssize_t) noexcept nogil
        void (*apply_softplus)(float *, const float *, Py_ssize_t) noexcept nogil

    ctypedef struct fm_kernels_f64:
        void (*narrow_product)(double *, Py_ssize_t, const double *, Py_ssize_t, const Py_ssize_t *,
                               const double *, Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t,
                               Py_ssize_t) noexcept nogil
        void (*narrow_gradient)(double *, Py_ssize_t, const double *, Py_ssize_t, const double *,
                                Py_ssize_t, const Py_ssize_t *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                int) noexcept nogil
        void (*dot_row)(double *, const double *, const double *, Py_ssize_t,
                        Py_ssize_t) noexcept nogil
        void (*bias_activation)(double *, double *, Py_ssize_t, const double *, Py_ssize_t,
                                Py_ssize_t, int) noexcept nogil
        void (*dropout)(double *, double *, Py_ssize_t, Py_ssize_t, int, double, uint64_t,
                        Py_ssize_t) noexcept nogil
        void (*activation_backward)(double *, const double *, const double *, Py_ssize_t,
                                    int) noexcept nogil
        void (*column_sums)(double *, const double *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                            int) noexcept nogil
        void (*output_activation)(double *, Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t,
                                  int, int) noexcept nogil
        void (*output_loss)(double *, double *, fm_totals *, const double *, const double *,
                            const double *, const double *, Py_ssize_t, Py_ssize_t, Py_ssize_t, int,
                            int) noexcept nogil
        void (*output_backward)(double *, const double *, fm_totals *, const double *,
                                const double *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                int) noexcept nogil
        int (*update)(double *, const double *, double *, double *, const double *, Py_ssize_t,
                      Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const fm_rule *, int,
                      double *) noexcept nogil
        double (*gradient_squares)(const double *, const double *, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t, Py_ssize_t, Py_ssize_t, const fm_rule *,
                                   int) noexcept nogil
        int (*all_finite)(const double *, Py_ssize_t) noexcept nogil
        void (*transpose_padded)(double *, Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t,
                                 Py_ssize_t) noexcept nogil
        void (*gather_rows)(double *, Py_ssize_t, const double *, const Py_ssize_t *, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
        void (*scatter_rows)(double *, Py_ssize_t, const double *, const Py_ssize_t *,
                             const Py_ssize_t *, const Py_ssize_t *, Py_ssize_t) noexcept nogil
        void (*gather_transposed)(double *, Py_ssize_t, const double *, const Py_ssize_t *,
                                  Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*scatter_transposed)(double *, const double *, Py_ssize_t, Py_ssize_t,
                                   Py_ssize_t) noexcept nogil
        void (*apply_exp)(double *, const double *, Py_ssize_t) noexcept nogil
        void (*apply_log)(double *, const double *, Py_ssize_t) noexcept nogil
        void (*apply_sigmoid)(double *, const double *, Py_ssize_t) noexcept nogil
        void (*apply_tanh)(double *, const double *, Py_ssize_t) noexcept nogil
        void (*apply_softplus)(double *, const double *, Py_ssize_t) noexcept nogil

    int fm_best_level()
    int fm_select_level(int level)
    const fm_kernels_f32 *fm_f32
    const fm_kernels_f64 *fm_f64

    void fm_permutation(Py_ssize_t *out, Py_ssize_t n, uint64_t seed)

    ctypedef void (*fm_task)(void *context, int worker, int n_workers) noexcept nogil
    int fm_team_run(fm_task task, void *context, int n_wanted)
    int fm_team_barrier(int n_workers)


cdef inline void narrow_product(real *z, Py_ssize_t z_stride, real *x, Py_ssize_t x_stride,
        Py_ssize_t *index, real *right, Py_ssize_t right_stride, real *bias, Py_ssize_t batch,
        Py_ssize_t n, Py_ssize_t m) noexcept nogil:
    if real is float:
        fm_f32.narrow_product(z, z_stride, x, x_stride, index, right, right_stride, bias, batch, n,
                              m)
    else:
        fm_f64.narrow_product(z, z_stride, x, x_stride, index, right, right_stride, bias, batch, n,
                              m)


cdef inline void narrow_gradient(real *g, Py_ssize_t g_stride, real *delta, Py_ssize_t delta_stride,
        real *x, Py_ssize_t x_stride, Py_ssize_t *index, Py_ssize_t batch, Py_ssize_t n,
        Py_ssize_t n_out, bint accumulate) noexcept nogil:
    if real is float:
        fm_f32.narrow_gradient(g, g_stride, delta, delta_stride, x, x_stride, index, batch, n,
                               n_out, accumulate)
    else:
        fm_f64.narrow_gradient(g, g_stride, delta, delta_stride, x, x_stride, index, batch, n,
                               n_out, accumulate)


cdef inline void dot_row(real *z, real *x, real *w, Py_ssize_t n_out,
        Py_ssize_t n_cols) noexcept nogil:
    if real is float:
        fm_f32.dot_row(z, x, w, n_out, n_cols)
    else:
        fm_f64.dot_row(z, x, w, n_out, n_cols)


cdef inline void bias_activation(real *a, real *slope_out, Py_ssize_t stride, real *bias,
        Py_ssize_t n_out, Py_ssize_t batch, int function) noexcept nogil:
    if real is float:
        fm_f32.bias_activation(a, slope_out, stride, bias, n_out, batch, function)
    else:
        fm_f64.bias_activation(a, slope_out, stride, bias, n_out, batch, function)


cdef inline void dropout(real *a, real *slope, Py_ssize_t stride, Py_ssize_t batch, int function,
        double rate, uint64_t key, Py_ssize_t first_row) noexcept nogil:
    if real is float:
        fm_f32.dropout(a, slope, stride, batch, function, rate, key, first_row)
    else:
        fm_f64.dropout(a, slope, stride, batch, function, rate, key, first_row)


cdef inline void activation_backward(real *delta, real *a, real *slope, Py_ssize_t n,
        int function) noexcept nogil:
    if real is float:
        fm_f32.activation_backward(delta, a, slope, n, function)
    else:
        fm_f64.activation_backward(delta, a, slope, n, function)


cdef inline void column_sums(real *sum_out, real *delta, Py_ssize_t stride, Py_ssize_t n,
        Py_ssize_t batch, bint accumulate) noexcept nogil:
    if real is float:
        fm_f32.column_sums(sum_out, delta, stride, n, batch, accumulate)
    else:
        fm_f64.column_sums(sum_out, delta, stride, n, batch, accumulate)


cdef inline void output_activation(real *a, Py_ssize_t stride, real *bias, Py_ssize_t n_out,
        Py_ssize_t batch, int function, bint divides) noexcept nogil:
    if real is float:
        fm_f32.output_activation(a, stride, bias, n_out, batch, function, divides)
    else:
        fm_f64.output_activation(a, stride, bias, n_out, batch, function, divides)


cdef inline void output_loss(real *a, real *delta_out, fm_totals *totals, real *bias, real *targets,
        real *sample_weights, real *parameters, Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t batch,
        int function, int loss) noexcept nogil:
    if real is float:
        fm_f32.output_loss(a, delta_out, totals, bias, targets, sample_weights, parameters, stride,
                           n_out, batch, function, loss)
    else:
        fm_f64.output_loss(a, delta_out, totals, bias, targets, sample_weights, parameters, stride,
                           n_out, batch, function, loss)


cdef inline void output_backward(real *delta, real *a, fm_totals *totals, real *targets,
        real *sample_weights, Py_ssize_t stride, Py_ssize_t n_out, Py_ssize_t batch,
        int function) noexcept nogil:
    if real is float:
        fm_f32.output_backward(delta, a, totals, targets, sample_weights, stride, n_out, batch,
                               function)
    else:
        fm_f64.output_backward(delta, a, totals, targets, sample_weights, stride, n_out, batch,
                               function)


cdef inline int update(real *w_out, real *w, real *state_1, real *state_2, real *lanes,
        Py_ssize_t lane_stride, Py_ssize_t n_lanes, Py_ssize_t stride, Py_ssize_t n_rows,
        Py_ssize_t n_cols, fm_rule *rule, bint penalised, double *penalty) noexcept nogil:
    if real is float:
        return fm_f32.update(w_out, w, state_1, state_2, lanes, lane_stride, n_lanes, stride,
                             n_rows, n_cols, rule, penalised, penalty)
    else:
        return fm_f64.update(w_out, w, state_1, state_2, lanes, lane_stride, n_lanes, stride,
                             n_rows, n_cols, rule, penalised, penalty)


cdef inline double gradient_squares(real *w, real *lanes, Py_ssize_t lane_stride,
        Py_ssize_t n_lanes, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t n_cols, fm_rule *rule,
        bint penalised) noexcept nogil:
    if real is float:
        return fm_f32.gradient_squares(w, lanes, lane_stride, n_lanes, stride, n_rows, n_cols, rule,
                                       penalised)
    else:
        return fm_f64.gradient_squares(w, lanes, lane_stride, n_lanes, stride, n_rows, n_cols, rule,
                                       penalised)


cdef inline int all_finite(real *x, Py_ssize_t n) noexcept nogil:
    if real is float:
        return fm_f32.all_finite(x, n)
    else:
        return fm_f64.all_finite(x, n)


cdef inline void transpose_padded(real *out, Py_ssize_t out_stride, real *x, Py_ssize_t x_stride,
        Py_ssize_t n_rows, Py_ssize_t n) noexcept nogil:
    if real is float:
        fm_f32.transpose_padded(out, out_stride, x, x_stride, n_rows, n)
    else:
        fm_f64.transpose_padded(out, out_stride, x, x_stride, n_rows, n)


cdef inline void gather_rows(real *out, Py_ssize_t out_stride, real *x, Py_ssize_t *index,
        Py_ssize_t batch, Py_ssize_t n_cols) noexcept nogil:
    if real is float:
        fm_f32.gather_rows(out, out_stride, x, index, batch, n_cols)
    else:
        fm_f64.gather_rows(out, out_stride, x, index, batch, n_cols)


cdef inline void scatter_rows(real *out, Py_ssize_t out_stride, real *values, Py_ssize_t *columns,
        Py_ssize_t *begin, Py_ssize_t *index, Py_ssize_t batch) noexcept nogil:
    if real is float:
        fm_f32.scatter_rows(out, out_stride, values, columns, begin, index, batch)
    else:
        fm_f64.scatter_rows(out, out_stride, values, columns, begin, index, batch)


cdef inline void gather_transposed(real *out, Py_ssize_t stride, real *x, Py_ssize_t *index,
        Py_ssize_t batch, Py_ssize_t n_cols) noexcept nogil:
    if real is float:
        fm_f32.gather_transposed(out, stride, x, index, batch, n_cols)
    else:
        fm_f64.gather_transposed(out, stride, x, index, batch, n_cols)


cdef inline void scatter_transposed(real *out, real *a, Py_ssize_t stride, Py_ssize_t batch,
        Py_ssize_t n_out) noexcept nogil:
    if real is float:
        fm_f32.scatter_transposed(out, a, stride, batch, n_out)
    else:
        fm_f64.scatter_transposed(out, a, stride, batch, n_out)
