# cython: language_level=3
"""Forward pass, back propagation and weight update, batch after batch, without the GIL.

One training step, for the chunk matrices A_l (n_l, rows), weights W_l (n_l, n_{l-1}), biases b_l:

    A_l = f_l(W_l A_{l-1} + b_l)                    gemm, then one fused pass
    D_L = dC/dZ_L                                   fused with the output function and the cost
    G_l = D_l A_{l-1}^T,  g_l = D_l 1               gemm; the bias sums are part of the pass before
    D_{l-1} = (W_l^T D_l) * f'_{l-1}(A_{l-1})       gemm, then one fused pass; not for the input
    W_l, b_l = update(sum of the lanes' G_l, g_l)   one pass over the flat parameter vector

Every thread runs the same loop over the batches: take lanes, barrier, update a share of the
parameters, barrier. Which thread takes a lane never changes a bit (see _plan.py). Worker 0 is the
Python thread; it looks for signals about every 50 ms.
"""
from cpython.exc cimport PyErr_CheckSignals
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from fastmlp._blas cimport gemm_nn, gemm_nt, gemm_tn, real
from fastmlp._kernels cimport *

import os

import numpy as np

from fastmlp._plan import BatchPlan, first_layer_is_narrow, plan_batch

cdef extern from "<stdatomic.h>" nogil:
    ctypedef int atomic_int
    int atomic_fetch_add(atomic_int *, int)
    int atomic_load(atomic_int *)
    void atomic_store(atomic_int *, int)

FUNCTIONS = {
    "sigmoid": FM_SIGMOID, "tanh": FM_TANH, "relu": FM_RELU,
    "identity": FM_IDENTITY, "softmax": FM_SOFTMAX,
}
LOSSES = {
    "log_loss": FM_LOG_LOSS, "cross_entropy": FM_CROSS_ENTROPY, "squared_error": FM_SQUARED_ERROR,
}
MOMENTUM_RULES = {"one_step": FM_ONE_STEP, "classical": FM_CLASSICAL, "nesterov": FM_NESTEROV}
LEVELS = {"baseline": FM_BASELINE, "avx2": FM_AVX2, "avx512": FM_AVX512}

cdef enum: OK = 0, STOPPED = 1, BROKEN = 2
DONE, INTERRUPTED, DIVERGED = OK, STOPPED, BROKEN

cdef enum: PREDICT_ROWS = 256
cdef enum: NARROW_ROWS = 64  # from here on, predicting pays for packing the weights
cdef double POLL_SECONDS = 0.05

cdef str _level = "baseline"


def best_level():
    """Name of the highest SIMD level this processor can run."""
    return {code: name for name, code in LEVELS.items()}[fm_best_level()]


def select_level(str name, *, str argument="name"):
    """Use the kernels of one SIMD level, baseline, avx2 or avx512, from now on."""
    global _level
    if name not in LEVELS:
        raise ValueError(f"{argument} must be one of {', '.join(LEVELS)}; got {name!r}")
    if LEVELS[name] > fm_best_level():
        raise ValueError(
            f"{argument} must be at most {best_level()!r} on this processor; got {name!r}")
    fm_select_level(LEVELS[name])
    _level = name


def selected_level():
    """Name of the SIMD level in use."""
    return _level


select_level(os.environ.get("FASTMLP_SIMD") or best_level(), argument="FASTMLP_SIMD")


# --- What a run works on ----------------------------------------------------------------------

cdef struct Layer:
    Py_ssize_t n_in, n_out
    Py_ssize_t weights       # offset of its (n_out, n_in + 1) matrix in the parameter vector
    Py_ssize_t activation    # offset of its (n_out, stride) matrix in a worker's scratch;
                             # (rows, first_stride) for a narrow first layer
    int function

cdef struct Plan:            # _plan.BatchPlan
    Py_ssize_t n_rows, n_lanes, lane_rows, chunk_rows

cdef struct Job:
    # The network
    Layer *layers
    Py_ssize_t n_layers, n_features, n_out, n_parameters
    int loss
    bint narrow              # the first layer's products are narrow_forward and narrow_gradient
    void *packed             # its weights (n_features, first_stride), kept current by the update
    Py_ssize_t first_stride
    # The data: x (n_rows, n_features), targets (n_rows, n_out), C order
    void *parameters
    void *memory
    void *x
    void *targets
    void *row_weights
    void *out
    Py_ssize_t *order        # row of each position of the epoch, or NULL for 0, 1, ...
    Py_ssize_t n_rows
    # The training run
    Py_ssize_t batch_size, first_batch, last_batch
    Plan full, short_last
    fm_sgd rule
    bint mean_reduction, penalty_per_sample
    double *costs
    double *penalties
    double *errors
    double *hits
    # Scratch: per worker, and per lane
    char *scratch
    Py_ssize_t scratch_bytes
    Py_ssize_t stride, chunk_x, delta_a, delta_b, chunk_targets, chunk_weights
    void *lanes
    Py_ssize_t lane_stride
    fm_totals *totals        # per lane (training) or chunk (evaluation)
    double *row_penalties    # per row of a weight matrix
    # What the workers agree on
    atomic_int next_piece, stop, broken
    int status
    Py_ssize_t batches_done
    double next_poll
    void *engine


cdef double seconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + 1e-9 * now.tv_nsec


cdef void check_signals(Job *job) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<Engine> job.engine).interruption = error
        atomic_store(&job.stop, 1)


cdef void poll_signals(Job *job) noexcept nogil:
    """Let Python see Ctrl-C, at most every POLL_SECONDS; only the Python thread calls this."""
    cdef double now = seconds()
    if now >= job.next_poll:
        job.next_poll = now + POLL_SECONDS
        check_signals(job)


# --- One chunk --------------------------------------------------------------------------------

cdef struct Rows:            # rows r = 0..n of a chunk: x + index[r] * n_features, or x + r * ...
    Py_ssize_t n
    Py_ssize_t *index
    void *x


cdef Rows load_rows(Job *job, real *scratch, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    """Rows begin..begin+n of the epoch's order. BLAS needs them side by side: gathered."""
    cdef Rows rows
    rows.n, rows.index, rows.x = n, NULL, (<real *> job.x) + begin * job.n_features
    if job.order != NULL:
        rows.index, rows.x = job.order + begin, job.x
        if not job.narrow:
            gather_rows(scratch + job.chunk_x, <real *> job.x, rows.index, n, job.n_features)
            rows.index, rows.x = NULL, scratch + job.chunk_x
    return rows


cdef real *load_targets(Job *job, real *scratch, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    """Targets of the same rows into scratch, (n_out, stride); returns their weights or NULL."""
    cdef Py_ssize_t *index = NULL if job.order == NULL else job.order + begin
    cdef Py_ssize_t skipped = begin if job.order == NULL else 0
    gather_transposed(scratch + job.chunk_targets, job.stride,
                      (<real *> job.targets) + skipped * job.n_out, index, n, job.n_out)
    if job.row_weights == NULL:
        return NULL
    gather_transposed(scratch + job.chunk_weights, job.stride,
                      (<real *> job.row_weights) + skipped, index, n, 1)
    return scratch + job.chunk_weights


cdef void multiply_layer(Job *job, real *scratch, Rows *rows, Py_ssize_t l) noexcept nogil:
    """Z_l (n_out, n) = W_l A_{l-1}, where A is sample-major below layer 0 and a narrow layer."""
    cdef Layer *layer = &job.layers[l]
    cdef real *z = scratch + layer.activation
    cdef real *w = (<real *> job.parameters) + layer.weights + 1
    cdef Py_ssize_t n_in = layer.n_in
    if l == 0 and job.narrow:
        narrow_forward(z, job.first_stride, <real *> rows.x, rows.index, <real *> job.packed,
                       rows.n, n_in)
    elif l == 0:
        gemm_nt(z, w, <real *> rows.x, layer.n_out, rows.n, n_in, job.stride, n_in + 1, n_in, False)
    elif l == 1 and job.narrow:
        gemm_nt(z, w, scratch + job.layers[0].activation, layer.n_out, rows.n, n_in,
                job.stride, n_in + 1, job.first_stride, False)
    else:
        gemm_nn(z, w, scratch + job.layers[l - 1].activation, layer.n_out, rows.n, n_in,
                job.stride, n_in + 1, job.stride, False)


cdef void forward_hidden(Job *job, real *scratch, Rows *rows) noexcept nogil:
    """Activations of all hidden layers, and the output layer's Z without bias."""
    cdef Layer *layer
    cdef real *bias
    for l in range(job.n_layers):
        layer = &job.layers[l]
        bias = (<real *> job.parameters) + layer.weights
        multiply_layer(job, scratch, rows, l)
        if l == 0 and job.narrow:
            bias_activation_rows(scratch + layer.activation, job.first_stride, bias,
                                 layer.n_in + 1, layer.n_out, rows.n, layer.function)
        elif l < job.n_layers - 1:
            bias_activation(scratch + layer.activation, job.stride, bias, layer.n_in + 1,
                            layer.n_out, rows.n, layer.function)


cdef void finish_output(Job *job, real *scratch, real *gradient, real *row_weights, Py_ssize_t n,
                        fm_totals *totals, bint accumulate) noexcept nogil:
    """Output activation, totals, output delta and its bias gradient (none if gradient is NULL)."""
    cdef Layer *layer = &job.layers[job.n_layers - 1]
    cdef real *bias_grad = NULL if gradient == NULL else gradient + layer.weights
    output_loss(scratch + layer.activation, scratch + job.delta_a, bias_grad, layer.n_in + 1,
                totals, (<real *> job.parameters) + layer.weights, layer.n_in + 1,
                scratch + job.chunk_targets, row_weights, job.stride, layer.n_out, n,
                layer.function, job.loss, accumulate)


cdef void backward_layer(Job *job, real *scratch, real *delta, real *delta_below, real *gradient,
                         Py_ssize_t l, Py_ssize_t n, bint accumulate) noexcept nogil:
    """Weight gradient of layer l > 0, and delta and bias gradient of the layer below."""
    cdef Layer *layer = &job.layers[l]
    cdef Layer *below = &job.layers[l - 1]
    cdef real *w = (<real *> job.parameters) + layer.weights + 1
    cdef real *g = gradient + layer.weights + 1
    cdef real *a = scratch + below.activation
    cdef Py_ssize_t n_in = layer.n_in, n_out = layer.n_out
    if l == 1 and job.narrow:
        gemm_nn(g, delta, a, n_out, n_in, n, n_in + 1, job.stride, job.first_stride, accumulate)
        gemm_tn(delta_below, delta, w, n, n_in, n_out, job.first_stride, job.stride, n_in + 1,
                False)
        activation_backward_rows(delta_below, gradient + below.weights, below.n_in + 1, a,
                                 job.first_stride, n_in, n, below.function, accumulate)
    else:
        gemm_nt(g, delta, a, n_out, n_in, n, n_in + 1, job.stride, job.stride, accumulate)
        gemm_tn(delta_below, w, delta, n_in, n, n_out, job.stride, n_in + 1, job.stride, False)
        activation_backward(delta_below, gradient + below.weights, below.n_in + 1, a, job.stride,
                            n_in, n, below.function, accumulate)


cdef void backward(Job *job, real *scratch, Rows *rows, real *gradient,
                   bint accumulate) noexcept nogil:
    """Weight gradients of all layers from the output delta; bias gradients of the hidden ones."""
    cdef Layer *first = &job.layers[0]
    cdef real *delta = scratch + job.delta_a
    cdef real *delta_below = scratch + job.delta_b
    cdef Py_ssize_t l = job.n_layers - 1
    while l > 0:
        backward_layer(job, scratch, delta, delta_below, gradient, l, rows.n, accumulate)
        delta, delta_below = delta_below, delta
        l -= 1
    if job.narrow:
        narrow_gradient(gradient + 1, first.n_in + 1, delta, job.first_stride, <real *> rows.x,
                        rows.index, rows.n, first.n_in, first.n_out, accumulate)
    else:
        gemm_nn(gradient + 1, delta, <real *> rows.x, first.n_out, first.n_in, rows.n,
                first.n_in + 1, job.stride, first.n_in, accumulate)


# --- Training ---------------------------------------------------------------------------------

cdef void run_lane(Job *job, real *scratch, Plan *plan, Py_ssize_t batch_begin,
                   Py_ssize_t lane, bint is_python_thread) noexcept nogil:
    """Totals and gradient of one lane, chunk by chunk."""
    cdef real *gradient = (<real *> job.lanes) + lane * job.lane_stride
    cdef fm_totals *totals = &job.totals[lane]
    cdef Py_ssize_t begin = lane * plan.lane_rows
    cdef Py_ssize_t end = min(begin + plan.lane_rows, plan.n_rows)
    cdef Py_ssize_t n
    cdef bint accumulate = False
    cdef Rows rows
    cdef real *row_weights
    totals.loss = totals.error = totals.weight = totals.hits = 0
    while begin < end:
        if is_python_thread:
            poll_signals(job)
        if atomic_load(&job.stop):
            return
        n = min(plan.chunk_rows, end - begin)
        rows = load_rows(job, scratch, batch_begin + begin, n)
        row_weights = load_targets(job, scratch, batch_begin + begin, n)
        forward_hidden(job, scratch, &rows)
        finish_output(job, scratch, gradient, row_weights, n, totals, accumulate)
        backward(job, scratch, &rows, gradient, accumulate)
        accumulate = True
        begin += n


cdef fm_totals add_totals(fm_totals *parts, Py_ssize_t n) noexcept nogil:
    cdef fm_totals total
    total.loss = total.error = total.weight = total.hits = 0
    for i in range(n):
        total.loss += parts[i].loss
        total.error += parts[i].error
        total.weight += parts[i].weight
        total.hits += parts[i].hits
    return total


cdef fm_sgd batch_rule(Job *job, fm_totals total, Py_ssize_t n_rows) noexcept nogil:
    """The update rule with this batch's scale and share of the regularisation."""
    cdef fm_sgd rule = job.rule
    cdef double share = (<double> n_rows) / job.n_rows if job.penalty_per_sample else 1.0
    rule.l2 *= share
    rule.l1 *= share
    rule.l1_cost *= share
    rule.gradient_scale = 1.0
    if job.mean_reduction:
        rule.gradient_scale = 1.0 / total.weight if total.weight > 0 else 0.0
    return rule


cdef void update_share(Job *job, real *parameters, Py_ssize_t n_lanes, fm_sgd *rule, int worker,
                       int n_workers) noexcept nogil:
    """Update the weight rows whose first element lies in this worker's share of the vector."""
    cdef real *memory = <real *> job.memory
    cdef real *lanes = <real *> job.lanes
    cdef Py_ssize_t low = job.n_parameters * worker // n_workers
    cdef Py_ssize_t high = job.n_parameters * (worker + 1) // n_workers
    cdef Py_ssize_t first_row = 0, n_cols, begin, end, at
    cdef Layer *layer
    for l in range(job.n_layers):
        layer = &job.layers[l]
        n_cols = layer.n_in + 1
        begin = min(layer.n_out, max(0, (low - layer.weights + n_cols - 1) // n_cols))
        end = min(layer.n_out, max(0, (high - layer.weights + n_cols - 1) // n_cols))
        if begin < end:
            at = layer.weights + begin * n_cols
            if not sgd_update(parameters + at, NULL if memory == NULL else memory + at,
                              job.row_penalties + first_row + begin, lanes + at, job.lane_stride,
                              n_lanes, end - begin, n_cols, rule):
                atomic_store(&job.broken, 1)
            if l == 0 and job.narrow:
                pack_weights((<real *> job.packed) + begin, job.first_stride, parameters + at,
                             end - begin, n_cols)
        first_row += layer.n_out


cdef double total_penalty(Job *job) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t n_rows = 0
    for l in range(job.n_layers):
        n_rows += job.layers[l].n_out
    for i in range(n_rows):
        total += job.row_penalties[i]
    return total


cdef void record_batch(Job *job, Py_ssize_t batch, fm_totals total, double scale) noexcept nogil:
    cdef double penalty = total_penalty(job)
    cdef double weight = total.weight if total.weight > 0 else 1.0
    job.costs[batch] = scale * total.loss + penalty
    job.penalties[batch] = penalty
    job.errors[batch] = total.error / (weight * job.n_out)
    job.hits[batch] = total.hits / weight


cdef bint is_finite(double x) noexcept nogil:
    return x - x == 0


cdef void train_batches(Job *job, real *parameters, int worker, int n_workers) noexcept nogil:
    """What every worker does: lanes, barrier, update, barrier, for all batches of the call."""
    cdef real *scratch = <real *> (job.scratch + worker * job.scratch_bytes)
    cdef Plan *plan
    cdef fm_totals total
    cdef fm_sgd rule
    cdef Py_ssize_t batch, lane, begin
    for batch in range(job.first_batch, job.last_batch):
        begin = batch * job.batch_size
        plan = &job.full if begin + job.batch_size <= job.n_rows else &job.short_last
        while True:
            lane = atomic_fetch_add(&job.next_piece, 1)
            if lane >= plan.n_lanes:
                break
            run_lane(job, scratch, plan, begin, lane, worker == 0)
        fm_team_barrier(n_workers)

        # From here to the next barrier nobody writes stop or totals: all take the same branch.
        if atomic_load(&job.stop):
            job.status = STOPPED
            return
        total = add_totals(job.totals, plan.n_lanes)
        if not is_finite(total.loss):
            job.status = BROKEN
            return
        rule = batch_rule(job, total, plan.n_rows)
        update_share(job, parameters, plan.n_lanes, &rule, worker, n_workers)
        if worker == 0:
            atomic_store(&job.next_piece, 0)
        fm_team_barrier(n_workers)

        if atomic_load(&job.broken):
            if worker == 0:  # the update left the old weights in lane 0
                memcpy(parameters, job.lanes, job.n_parameters * sizeof(real))
                job.status = BROKEN
            return
        if worker == 0:
            record_batch(job, batch, total, rule.gradient_scale)
            job.batches_done += 1


cdef void train_f32(void *job, int worker, int n_workers) noexcept nogil:
    train_batches(<Job *> job, <float *> (<Job *> job).parameters, worker, n_workers)


cdef void train_f64(void *job, int worker, int n_workers) noexcept nogil:
    train_batches(<Job *> job, <double *> (<Job *> job).parameters, worker, n_workers)


# --- Evaluation and prediction ----------------------------------------------------------------

cdef void evaluate_chunks(Job *job, real *parameters, int worker) noexcept nogil:
    """Chunks of PREDICT_ROWS rows: totals of each, or outputs where `out` is given."""
    cdef real *scratch = <real *> (job.scratch + worker * job.scratch_bytes)
    cdef Layer *layer = &job.layers[job.n_layers - 1]
    cdef Py_ssize_t chunk, begin, n
    cdef Rows rows
    cdef real *row_weights
    while True:
        chunk = atomic_fetch_add(&job.next_piece, 1)
        begin = chunk * PREDICT_ROWS
        if begin >= job.n_rows:
            break
        if worker == 0:
            poll_signals(job)
        if atomic_load(&job.stop):
            job.status = STOPPED
            return
        n = min(<Py_ssize_t> PREDICT_ROWS, job.n_rows - begin)
        rows = load_rows(job, scratch, begin, n)
        forward_hidden(job, scratch, &rows)
        if job.out != NULL:
            bias_activation(scratch + layer.activation, job.stride, parameters + layer.weights,
                            layer.n_in + 1, layer.n_out, n, layer.function)
            scatter_transposed((<real *> job.out) + begin * job.n_out, scratch + layer.activation,
                               job.stride, n, job.n_out)
        else:
            row_weights = load_targets(job, scratch, begin, n)
            finish_output(job, scratch, <real *> NULL, row_weights, n, &job.totals[chunk], False)


cdef void evaluate_f32(void *job, int worker, int n_workers) noexcept nogil:
    evaluate_chunks(<Job *> job, <float *> (<Job *> job).parameters, worker)


cdef void evaluate_f64(void *job, int worker, int n_workers) noexcept nogil:
    evaluate_chunks(<Job *> job, <double *> (<Job *> job).parameters, worker)


# --- The face to Python -----------------------------------------------------------------------

def _aligned(Py_ssize_t n_bytes):
    """A byte array of at least n_bytes whose data starts at a multiple of 64."""
    raw = np.empty(n_bytes + 64, dtype=np.uint8)
    return raw[64 - raw.ctypes.data % 64:]


cdef Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t multiple) noexcept:
    return (n + multiple - 1) // multiple * multiple


cdef void *address(array) except? NULL:
    """Of the first element of a C-ordered array, or NULL for None."""
    cdef size_t value
    if array is None:
        return NULL
    value = array.ctypes.data
    return <void *> value


cdef class Engine:
    """Runs one network's passes; see _core.pyi for the meaning of every argument.

    Not for concurrent use: one engine per thread. Arguments are trusted, _checks.py checks them.
    """

    cdef Job job
    cdef readonly tuple sizes, functions
    cdef readonly str loss
    cdef readonly object dtype
    cdef readonly int n_threads
    cdef object interruption
    cdef object scratch, lanes, totals, row_penalties, packed
    cdef bint narrow, busy

    def __cinit__(self, tuple sizes, tuple functions, str loss, dtype, int n_threads):
        cdef Py_ssize_t offset = 0
        cdef Layer *layer
        self.sizes, self.functions, self.loss = sizes, functions, loss
        self.dtype, self.n_threads = np.dtype(dtype), n_threads
        job = &self.job
        job.n_layers = len(functions)
        job.layers = <Layer *> calloc(job.n_layers, sizeof(Layer))
        if job.layers == NULL:
            raise MemoryError()
        for l in range(job.n_layers):
            layer = &job.layers[l]
            layer.n_in, layer.n_out, layer.weights = sizes[l], sizes[l + 1], offset
            layer.function = FUNCTIONS[functions[l]]
            offset += layer.n_out * (layer.n_in + 1)
        job.n_features, job.n_out, job.n_parameters = sizes[0], sizes[job.n_layers], offset
        job.loss = LOSSES[loss]
        job.engine = <void *> self
        self.narrow = first_layer_is_narrow(sizes)
        job.first_stride = round_up(sizes[1], 16)
        self.row_penalties = np.zeros(sum(sizes[1:]))
        job.row_penalties = <double *> address(self.row_penalties)

    def __reduce__(self):
        """Copies and pickles begin with buffers of their own."""
        return Engine, (self.sizes, self.functions, self.loss, self.dtype, self.n_threads)

    def __dealloc__(self):
        free(self.job.layers)

    cdef void reserve_scratch(self, Py_ssize_t chunk_rows, int n_workers):
        """Chunk buffers for every worker; grown, never shrunk."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize, at
        cdef Py_ssize_t widest = max(job.first_stride, max(self.sizes[1:]))
        cdef Py_ssize_t stride = max(job.stride, round_up(chunk_rows, 16))
        cdef Py_ssize_t bytes_each
        at = round_up(stride * job.n_features, 16)
        for l in range(job.n_layers):
            job.layers[l].activation = at
            at += max(job.layers[l].n_out, job.first_stride if l == 0 else 0) * stride
        job.stride, job.chunk_x = stride, 0
        job.delta_a, job.delta_b = at, at + widest * stride
        job.chunk_targets = at + 2 * widest * stride
        job.chunk_weights = job.chunk_targets + job.n_out * stride
        bytes_each = round_up((job.chunk_weights + stride) * item, 64)
        if self.scratch is None or len(self.scratch) < bytes_each * n_workers:
            job.stride = 0  # in case there is no memory: the next call begins anew
            self.scratch = _aligned(bytes_each * n_workers)
            self.scratch[...] = 0  # padding is computed with, though never read into a result
            job.stride = stride
        job.scratch, job.scratch_bytes = <char *> address(self.scratch), bytes_each

    cdef void reserve_lanes(self, Py_ssize_t n_lanes):
        """One gradient buffer per lane, each on cache lines of its own."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize
        job.lane_stride = round_up(job.n_parameters, 64)
        if self.lanes is None or len(self.lanes) < n_lanes * job.lane_stride * item:
            self.lanes = _aligned(n_lanes * job.lane_stride * item)
        job.lanes = address(self.lanes)

    cdef void reserve_totals(self, Py_ssize_t n):
        if self.totals is None or len(self.totals) < n:
            self.totals = np.zeros((n, sizeof(fm_totals) // sizeof(double)))
        self.job.totals = <fm_totals *> address(self.totals)

    cdef void choose_products(self, bint narrow):
        """Own products for the first layer, with its weights packed, or BLAS."""
        cdef Job *job = &self.job
        cdef Layer *first = &job.layers[0]
        job.narrow = narrow
        if not narrow:
            return
        if self.packed is None:
            self.packed = _aligned(job.n_features * job.first_stride * self.dtype.itemsize)
            self.packed[...] = 0
        job.packed = address(self.packed)
        if self.dtype.itemsize == 4:
            pack_weights(<float *> job.packed, job.first_stride, <float *> job.parameters,
                         first.n_out, first.n_in + 1)
        else:
            pack_weights(<double *> job.packed, job.first_stride, <double *> job.parameters,
                         first.n_out, first.n_in + 1)

    cdef void start(self, parameters, x, targets, row_weights, order):
        cdef Job *job = &self.job
        job.parameters, job.x, job.targets = address(parameters), address(x), address(targets)
        job.row_weights, job.order = address(row_weights), <Py_ssize_t *> address(order)
        job.n_rows = len(x)
        job.memory = job.out = NULL
        job.status, job.batches_done, self.interruption = OK, 0, None
        job.next_poll = seconds() + POLL_SECONDS
        atomic_store(&job.next_piece, 0)
        atomic_store(&job.stop, 0)
        atomic_store(&job.broken, 0)

    cdef void launch(self, fm_task task, int n_workers):
        cdef Job *job = &self.job
        with nogil:
            fm_team_run(task, job, n_workers)

    def _enter(self):
        """One call at a time: its buffers and the job belong to it until it returns."""
        if self.busy:
            raise RuntimeError("this engine is already running, in another thread or a callback")
        self.busy = True

    def plan(self, Py_ssize_t n_rows):
        """The BatchPlan of a batch of n_rows."""
        return plan_batch(n_rows, self.sizes, self.dtype.itemsize, self.n_threads)

    cdef Plan enter_plan(self, plan):
        cdef Plan result
        result.n_rows, result.n_lanes = plan.n_rows, plan.n_lanes
        result.lane_rows, result.chunk_rows = plan.lane_rows, plan.chunk_rows
        return result

    def train(self, parameters, memory, x, targets, *, order, row_weights, Py_ssize_t batch_size,
              Py_ssize_t first_batch, Py_ssize_t last_batch, double learning_rate,
              double momentum, str momentum_rule, double l1, double l2, double l1_cost,
              bint mean_reduction, bint penalty_per_sample, costs, penalties, errors, hits):
        self._enter()
        try:
            return self._train(parameters, memory, x, targets, order, row_weights, batch_size,
                               first_batch, last_batch, learning_rate, momentum, momentum_rule,
                               l1, l2, l1_cost, mean_reduction, penalty_per_sample, costs,
                               penalties, errors, hits)
        finally:
            self.busy = False

    cdef _train(self, parameters, memory, x, targets, order, row_weights, Py_ssize_t batch_size,
                Py_ssize_t first_batch, Py_ssize_t last_batch, double learning_rate,
                double momentum, str momentum_rule, double l1, double l2, double l1_cost,
                bint mean_reduction, bint penalty_per_sample, costs, penalties, errors, hits):
        cdef Job *job = &self.job
        self.start(parameters, x, targets, row_weights, order)
        full = self.plan(min(batch_size, job.n_rows))
        short_last = self.plan(job.n_rows % batch_size or min(batch_size, job.n_rows))
        job.full, job.short_last = self.enter_plan(full), self.enter_plan(short_last)
        self.reserve_scratch(max(full.chunk_rows, short_last.chunk_rows), full.n_workers)
        self.reserve_lanes(max(full.n_lanes, short_last.n_lanes))
        self.reserve_totals(max(full.n_lanes, short_last.n_lanes))
        self.choose_products(self.narrow)
        job.batch_size, job.first_batch, job.last_batch = batch_size, first_batch, last_batch
        job.memory = address(memory) if momentum != 0 else NULL
        job.rule.learning_rate, job.rule.momentum = learning_rate, momentum
        job.rule.kind = MOMENTUM_RULES[momentum_rule]
        job.rule.l1, job.rule.l2, job.rule.l1_cost = l1, l2, l1_cost
        job.mean_reduction, job.penalty_per_sample = mean_reduction, penalty_per_sample
        job.costs, job.penalties = <double *> address(costs), <double *> address(penalties)
        job.errors, job.hits = <double *> address(errors), <double *> address(hits)
        self.launch(train_f32 if self.dtype.itemsize == 4 else train_f64, full.n_workers)
        return job.status, job.batches_done, self.interruption

    cdef int workers_for(self, Py_ssize_t n_rows):
        plan = self.plan(min(n_rows, PREDICT_ROWS * self.n_threads))
        return min(self.n_threads, plan.n_workers, round_up(n_rows, PREDICT_ROWS) // PREDICT_ROWS)

    def evaluate(self, parameters, x, targets, row_weights=None):
        self._enter()
        try:
            return self._evaluate(parameters, x, targets, row_weights)
        finally:
            self.busy = False

    cdef _evaluate(self, parameters, x, targets, row_weights):
        cdef Job *job = &self.job
        cdef Py_ssize_t n_chunks = round_up(len(x), PREDICT_ROWS) // PREDICT_ROWS
        cdef int n_workers = self.workers_for(len(x))
        cdef fm_totals total
        self.start(parameters, x, targets, row_weights, None)
        self.choose_products(self.narrow and len(x) >= NARROW_ROWS)
        self.reserve_scratch(min(PREDICT_ROWS, len(x)), n_workers)
        self.reserve_totals(n_chunks)
        self.totals[:n_chunks] = 0
        self.launch(evaluate_f32 if self.dtype.itemsize == 4 else evaluate_f64, n_workers)
        if self.interruption is not None:
            raise self.interruption
        total = add_totals(job.totals, n_chunks)
        return total.loss, total.error, total.weight, total.hits

    def predict(self, parameters, x, out):
        self._enter()
        try:
            self._predict(parameters, x, out)
        finally:
            self.busy = False

    cdef _predict(self, parameters, x, out):
        cdef int n_workers = self.workers_for(len(x))
        self.start(parameters, x, None, None, None)
        self.choose_products(self.narrow and len(x) >= NARROW_ROWS)
        self.reserve_scratch(min(PREDICT_ROWS, len(x)), n_workers)
        self.job.out = address(out)
        self.launch(evaluate_f32 if self.dtype.itemsize == 4 else evaluate_f64, n_workers)
        if self.interruption is not None:
            raise self.interruption


ctypedef void (*apply_f32)(float *, const float *, Py_ssize_t) noexcept nogil
ctypedef void (*apply_f64)(double *, const double *, Py_ssize_t) noexcept nogil


def apply(str name, x):
    """exp, log, sigmoid, tanh or softplus of every element of a C-ordered float array."""
    cdef apply_f32 single
    cdef apply_f64 twice
    if name == "exp":
        single, twice = fm_f32.apply_exp, fm_f64.apply_exp
    elif name == "log":
        single, twice = fm_f32.apply_log, fm_f64.apply_log
    elif name == "sigmoid":
        single, twice = fm_f32.apply_sigmoid, fm_f64.apply_sigmoid
    elif name == "tanh":
        single, twice = fm_f32.apply_tanh, fm_f64.apply_tanh
    elif name == "softplus":
        single, twice = fm_f32.apply_softplus, fm_f64.apply_softplus
    else:
        raise ValueError(f"unknown function {name!r}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x must be of dtype float32 or float64; got {x.dtype}")
    x = np.require(x, requirements=["C", "A"])
    out = np.empty_like(x)
    if x.dtype == np.float32:
        single(<float *> address(out), <float *> address(x), x.size)
    else:
        twice(<double *> address(out), <double *> address(x), x.size)
    return out
