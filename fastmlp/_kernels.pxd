# The C interface (src/fastmlp.h, which documents every kernel) as Cython sees it.
from libc.stdint cimport int64_t

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
    const fm_kernels_f32 *fm_table_f32(int level)
    const fm_kernels_f64 *fm_table_f64(int level)

    ctypedef void (*fm_task)(void *context, int worker, int n_workers) noexcept nogil
    int fm_team_run(fm_task task, void *context, int n_wanted)
    void fm_team_barrier(int n_workers)
