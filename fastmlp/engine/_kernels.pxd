# The C interface (src/fastmlp.h; src/kernels.h documents every kernel) as Cython sees it.
#
# kernels(p).update(...) is the update of numbers like those that p, float * or double *, points to.
from libc.stdint cimport uint64_t

cdef extern from "fastmlp.h" nogil:
    enum: FM_SIGMOID, FM_TANH, FM_RELU, FM_IDENTITY, FM_LEAKY_RELU, FM_ELU, FM_SELU, FM_SOFTPLUS
    enum: FM_GELU, FM_SILU, FM_SOFTMAX, FM_EXPONENTIAL, FM_INCREASING
    enum: FM_LOG_LOSS, FM_CROSS_ENTROPY, FM_SQUARED_ERROR, FM_BRIER, FM_ABSOLUTE_ERROR
    enum: FM_HUBER, FM_QUANTILE, FM_POISSON, FM_GAMMA
    enum: FM_PLAIN, FM_ONE_STEP, FM_CLASSICAL, FM_NESTEROV, FM_ADAM, FM_RMSPROP
    enum: FM_BASELINE, FM_LEVELS
    enum: FM_TURNED_BYTES

    ctypedef struct fm_totals:
        double loss, error, weight, n_correct

    ctypedef struct fm_rule:
        double learning_rate, gradient_scale, l2, l1, l1_cost, l2_cost, momentum
        double beta_1, beta_2, epsilon, root_scale, keep
        int kind

    # Names and results alone: the C compiler checks the arguments against src/kernels.h.
    ctypedef struct fm_kernels:
        void (*narrow_product)(...) noexcept nogil
        void (*narrow_gradient)(...) noexcept nogil
        void (*dot_rows)(...) noexcept nogil
        void (*panel_product)(...) noexcept nogil
        void (*panel_delta)(...) noexcept nogil
        void (*panel_gradient)(...) noexcept nogil
        void (*pack_panels)(...) noexcept nogil
        void (*feature_product)(...) noexcept nogil
        void (*sparse_product)(...) noexcept nogil
        Py_ssize_t (*compact_columns)(...) noexcept nogil
        void (*gather_columns)(...) noexcept nogil
        Py_ssize_t (*sparse_transpose)(...) noexcept nogil
        void (*sparse_gradient)(...) noexcept nogil
        int (*sparse_step)(...) noexcept nogil
        void (*bias_activation)(...) noexcept nogil
        void (*dropout)(...) noexcept nogil
        void (*activation_backward)(...) noexcept nogil
        void (*column_sums)(...) noexcept nogil
        void (*output_activation)(...) noexcept nogil
        void (*output_loss)(...) noexcept nogil
        void (*output_backward)(...) noexcept nogil
        int (*update)(...) noexcept nogil
        double (*gradient_squares)(...) noexcept nogil
        int (*all_finite)(...) noexcept nogil
        Py_ssize_t (*multiply_adds)(...) noexcept nogil
        void (*transpose_padded)(...) noexcept nogil
        void (*gather_rows)(...) noexcept nogil
        void (*scatter_rows)(...) noexcept nogil
        void (*gather_transposed)(...) noexcept nogil
        void (*scatter_transposed)(...) noexcept nogil
        void (*apply_exp)(...) noexcept nogil
        void (*apply_log)(...) noexcept nogil
        void (*apply_sigmoid)(...) noexcept nogil
        void (*apply_tanh)(...) noexcept nogil
        void (*apply_softplus)(...) noexcept nogil
    fm_kernels *kernels "FM_KERNELS_OF"(void *numbers) noexcept

    const char *fm_level_name(int level)
    int fm_best_level()
    int fm_select_level(int level)

    void fm_permutation(Py_ssize_t *out, Py_ssize_t n, uint64_t seed)

    ctypedef void (*fm_piece)(void *context, Py_ssize_t piece, int worker) noexcept nogil
    int fm_team_enter(int n_wanted)
    void fm_team_share(int n_workers, fm_piece task, void *context, Py_ssize_t n_pieces)
    void fm_team_leave(int n_workers)

cdef extern from "float_mode.h" nogil:
    uint64_t fm_float_mode()
    void fm_set_float_mode(uint64_t mode)
    uint64_t fm_flush_subnormals()
