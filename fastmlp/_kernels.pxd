# The C interface (src/fastmlp.h, which documents every kernel) as Cython sees it, and an inline
# function per kernel that picks the precision.
from fastmlp._blas cimport real

cdef extern from "fastmlp.h" nogil:
    enum: FM_SIGMOID, FM_TANH, FM_RELU, FM_IDENTITY, FM_SOFTMAX
    enum: FM_LOG_LOSS, FM_CROSS_ENTROPY, FM_SQUARED_ERROR
    enum: FM_ONE_STEP, FM_CLASSICAL, FM_NESTEROV
    enum: FM_NARROW_MAX
    enum: FM_BASELINE, FM_AVX2, FM_AVX512, FM_LEVELS

    ctypedef struct fm_totals:
        double loss, error, weight, hits

    ctypedef struct fm_sgd:
        double learning_rate, momentum, gradient_scale, l2, l1, l1_cost
        int kind

    ctypedef struct fm_kernels_f32:
        void (*bias_activation)(float *, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                                Py_ssize_t, int) noexcept nogil
        void (*activation_backward)(float *, float *, Py_ssize_t, const float *, Py_ssize_t,
                                    Py_ssize_t, Py_ssize_t, int, int) noexcept nogil
        void (*bias_activation_rows)(float *, Py_ssize_t, const float *, Py_ssize_t, Py_ssize_t,
                                     Py_ssize_t, int) noexcept nogil
        void (*activation_backward_rows)(float *, float *, Py_ssize_t, const float *, Py_ssize_t,
                                         Py_ssize_t, Py_ssize_t, int, int) noexcept nogil
        void (*pack_weights)(float *, Py_ssize_t, const float *, Py_ssize_t,
                             Py_ssize_t) noexcept nogil
        void (*narrow_forward)(float *, Py_ssize_t, const float *, const Py_ssize_t *,
                               const float *, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*narrow_gradient)(float *, Py_ssize_t, const float *, Py_ssize_t, const float *,
                                const Py_ssize_t *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                int) noexcept nogil
        void (*output_loss)(float *, float *, float *, Py_ssize_t, fm_totals *, const float *,
                            Py_ssize_t, const float *, const float *, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t, int, int, int) noexcept nogil
        int (*sgd_update)(float *, float *, double *, float *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                          Py_ssize_t, const fm_sgd *) noexcept nogil
        void (*gather_rows)(float *, const float *, const Py_ssize_t *, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
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
        void (*bias_activation)(double *, Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t,
                                Py_ssize_t, int) noexcept nogil
        void (*activation_backward)(double *, double *, Py_ssize_t, const double *, Py_ssize_t,
                                    Py_ssize_t, Py_ssize_t, int, int) noexcept nogil
        void (*bias_activation_rows)(double *, Py_ssize_t, const double *, Py_ssize_t, Py_ssize_t,
                                     Py_ssize_t, int) noexcept nogil
        void (*activation_backward_rows)(double *, double *, Py_ssize_t, const double *, Py_ssize_t,
                                         Py_ssize_t, Py_ssize_t, int, int) noexcept nogil
        void (*pack_weights)(double *, Py_ssize_t, const double *, Py_ssize_t,
                             Py_ssize_t) noexcept nogil
        void (*narrow_forward)(double *, Py_ssize_t, const double *, const Py_ssize_t *,
                               const double *, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*narrow_gradient)(double *, Py_ssize_t, const double *, Py_ssize_t, const double *,
                                const Py_ssize_t *, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                int) noexcept nogil
        void (*output_loss)(double *, double *, double *, Py_ssize_t, fm_totals *, const double *,
                            Py_ssize_t, const double *, const double *, Py_ssize_t, Py_ssize_t,
                            Py_ssize_t, int, int, int) noexcept nogil
        int (*sgd_update)(double *, double *, double *, double *, Py_ssize_t, Py_ssize_t,
                          Py_ssize_t, Py_ssize_t, const fm_sgd *) noexcept nogil
        void (*gather_rows)(double *, const double *, const Py_ssize_t *, Py_ssize_t,
                            Py_ssize_t) noexcept nogil
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

    ctypedef void (*fm_task)(void *context, int worker, int n_workers) noexcept nogil
    int fm_team_run(fm_task task, void *context, int n_wanted)
    void fm_team_barrier(int n_workers)


cdef inline void bias_activation(real *a, Py_ssize_t stride, real *bias, Py_ssize_t bias_stride,
                                 Py_ssize_t n_out, Py_ssize_t batch, int function) noexcept nogil:
    if real is float:
        fm_f32.bias_activation(a, stride, bias, bias_stride, n_out, batch, function)
    else:
        fm_f64.bias_activation(a, stride, bias, bias_stride, n_out, batch, function)


cdef inline void activation_backward(
        real *delta, real *bias_grad, Py_ssize_t grad_stride, real *a, Py_ssize_t stride,
        Py_ssize_t n_out, Py_ssize_t batch, int function, bint accumulate) noexcept nogil:
    if real is float:
        fm_f32.activation_backward(delta, bias_grad, grad_stride, a, stride, n_out, batch, function,
                                accumulate)
    else:
        fm_f64.activation_backward(delta, bias_grad, grad_stride, a, stride, n_out, batch, function,
                                accumulate)


cdef inline void bias_activation_rows(real *a, Py_ssize_t stride, real *bias,
                                      Py_ssize_t bias_stride, Py_ssize_t n_out, Py_ssize_t batch,
                                      int function) noexcept nogil:
    if real is float:
        fm_f32.bias_activation_rows(a, stride, bias, bias_stride, n_out, batch, function)
    else:
        fm_f64.bias_activation_rows(a, stride, bias, bias_stride, n_out, batch, function)


cdef inline void activation_backward_rows(
        real *delta, real *bias_grad, Py_ssize_t grad_stride, real *a, Py_ssize_t stride,
        Py_ssize_t n_out, Py_ssize_t batch, int function, bint accumulate) noexcept nogil:
    if real is float:
        fm_f32.activation_backward_rows(delta, bias_grad, grad_stride, a, stride, n_out, batch,
                                     function, accumulate)
    else:
        fm_f64.activation_backward_rows(delta, bias_grad, grad_stride, a, stride, n_out, batch,
                                     function, accumulate)


cdef inline void pack_weights(real *packed, Py_ssize_t stride, real *w, Py_ssize_t n_rows,
                              Py_ssize_t n_cols) noexcept nogil:
    if real is float:
        fm_f32.pack_weights(packed, stride, w, n_rows, n_cols)
    else:
        fm_f64.pack_weights(packed, stride, w, n_rows, n_cols)


cdef inline void narrow_forward(real *z, Py_ssize_t stride, real *x, Py_ssize_t *index,
                                real *packed, Py_ssize_t batch, Py_ssize_t n_in) noexcept nogil:
    if real is float:
        fm_f32.narrow_forward(z, stride, x, index, packed, batch, n_in)
    else:
        fm_f64.narrow_forward(z, stride, x, index, packed, batch, n_in)


cdef inline void narrow_gradient(
        real *g, Py_ssize_t grad_stride, real *delta, Py_ssize_t stride, real *x,
        Py_ssize_t *index, Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out,
        bint accumulate) noexcept nogil:
    if real is float:
        fm_f32.narrow_gradient(g, grad_stride, delta, stride, x, index, batch, n_in, n_out, accumulate)
    else:
        fm_f64.narrow_gradient(g, grad_stride, delta, stride, x, index, batch, n_in, n_out, accumulate)


cdef inline void output_loss(
        real *a, real *delta, real *bias_grad, Py_ssize_t grad_stride, fm_totals *totals,
        real *bias, Py_ssize_t bias_stride, real *targets, real *row_weights, Py_ssize_t stride,
        Py_ssize_t n_out, Py_ssize_t batch, int function, int loss,
        bint accumulate) noexcept nogil:
    if real is float:
        fm_f32.output_loss(a, delta, bias_grad, grad_stride, totals, bias, bias_stride, targets,
                        row_weights, stride, n_out, batch, function, loss, accumulate)
    else:
        fm_f64.output_loss(a, delta, bias_grad, grad_stride, totals, bias, bias_stride, targets,
                        row_weights, stride, n_out, batch, function, loss, accumulate)


cdef inline int sgd_update(real *w, real *memory, double *penalty, real *lanes,
                           Py_ssize_t lane_stride, Py_ssize_t n_lanes, Py_ssize_t n_rows,
                           Py_ssize_t n_cols, fm_sgd *rule) noexcept nogil:
    if real is float:
        return fm_f32.sgd_update(w, memory, penalty, lanes, lane_stride, n_lanes, n_rows, n_cols, rule)
    else:
        return fm_f64.sgd_update(w, memory, penalty, lanes, lane_stride, n_lanes, n_rows, n_cols, rule)


cdef inline void gather_rows(real *out, real *x, Py_ssize_t *index, Py_ssize_t batch,
                             Py_ssize_t n_cols) noexcept nogil:
    if real is float:
        fm_f32.gather_rows(out, x, index, batch, n_cols)
    else:
        fm_f64.gather_rows(out, x, index, batch, n_cols)


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
