# cython: language_level=3
"""Forward pass, back propagation and weight update, batch after batch, without the GIL.

One training step, for the matrices A_l (rows, n_l) of a chunk of rows, weights W_l (n_l, n_{l-1})
and biases b_l:

    A_l = f_l(A_{l-1} W_l^T + b_l)                  product, then one fused pass
    D_L = dC/dZ_L                                   fused with the output function and the cost
    D_{l-1} = (D_l W_l) * f'_{l-1}(A_{l-1})         product, then one pass; not for the input
    G_l = D_l^T A_{l-1},  g_l = D_l^T 1             product, column sums
    W_l, b_l = update(G_l, g_l)                     one pass

Products are the package's own (narrow.c) for narrow layers and BLAS gemm for wide ones. Every thread
runs the same loop over the batches: rows, barrier, update, barrier. Which thread takes what never
changes a bit (see plan.py). Worker 0 is the Python thread; it looks for signals about every 50 ms.

The passes over one chunk are in _passes.pxi, the loops over chunks and batches in _training.pxi.
"""
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_READ, PyBUF_SIMPLE, PyBUF_WRITE, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.math cimport sqrt
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from fastmlp.engine._blas cimport gemm_nn, gemm_nt, gemm_tn, real
from fastmlp.engine._kernels cimport *

import os

import numpy as np

from fastmlp.engine import plan as planner
from fastmlp.engine.rows import SparseRows

cdef extern from "<stdatomic.h>" nogil:
    ctypedef int atomic_int
    int atomic_fetch_add(atomic_int *, int)
    int atomic_load(atomic_int *)
    void atomic_store(atomic_int *, int)

FUNCTIONS = {
    "sigmoid": FM_SIGMOID, "tanh": FM_TANH, "relu": FM_RELU, "identity": FM_IDENTITY,
    "leaky_relu": FM_LEAKY_RELU, "elu": FM_ELU, "selu": FM_SELU, "softplus": FM_SOFTPLUS,
    "gelu": FM_GELU, "silu": FM_SILU,
    "softmax": FM_SOFTMAX, "exponential": FM_EXPONENTIAL, "increasing": FM_INCREASING,
}
cdef enum: OWN_LOSS = -1       # a Python function
LOSSES = {
    "log_loss": FM_LOG_LOSS, "cross_entropy": FM_CROSS_ENTROPY, "squared_error": FM_SQUARED_ERROR,
    "brier": FM_BRIER, "absolute_error": FM_ABSOLUTE_ERROR, "huber": FM_HUBER,
    "quantile": FM_QUANTILE, "poisson": FM_POISSON, "gamma": FM_GAMMA, "own": OWN_LOSS,
}
UPDATES = {
    "one_step": FM_ONE_STEP, "classical": FM_CLASSICAL, "nesterov": FM_NESTEROV,
    "adam": FM_ADAM, "rmsprop": FM_RMSPROP,
}
cdef enum: PER_BATCH, PER_SAMPLE, PER_WEIGHT
_PENALTY_SCALES = {"per_batch": PER_BATCH, "per_sample": PER_SAMPLE, "per_weight": PER_WEIGHT}
LEVELS = {"baseline": FM_BASELINE, "avx2": FM_AVX2, "avx512": FM_AVX512}

cdef enum: OK = 0, STOPPED = 1, BROKEN = 2
DONE, INTERRUPTED, DIVERGED = OK, STOPPED, BROKEN

cdef uint64_t LAYER_KEY = 0x9e3779b97f4a7c15  # between the dropout keys of two layers
cdef double POLL_SECONDS = 0.05
# Where two windows of this many steps in a row, each with this many sleeps at barriers, take longer
# than one thread alone, workers have no processor of their own: one goes on alone for a while.
cdef enum: WATCHED_STEPS = 16, MANY_SLEEPS = 4, SLOW_WINDOWS = 2  # an even number of steps
cdef double ALONE_SECONDS = 0.2


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


def permutation(Py_ssize_t n, uint64_t seed):
    """A random order of 0 … n - 1, (n,) intp."""
    order = np.empty(n, dtype=np.intp)
    fm_permutation(<Py_ssize_t *> address(order), n, seed)
    return order


def selected_level():
    """Name of the SIMD level in use."""
    return _level


select_level(os.environ.get("FASTMLP_SIMD") or best_level(), argument="FASTMLP_SIMD")


# --- What a run works on ----------------------------------------------------------------------

cdef struct Layer:
    Py_ssize_t n_in, n_out
    Py_ssize_t stride          # of the rows of its activations and deltas
    Py_ssize_t public          # offset of its (n_out, n_in + 1) matrix in the public parameters
    Py_ssize_t padded_bias, padded_weights, padded_stride   # where they lie in a padded vector
    Py_ssize_t bias, weights, weight_stride                 # where this call's Weights have them
    Py_ssize_t packed          # offset of W^T (n_in, stride), if narrow
    Py_ssize_t activation, delta, slope                     # offsets in a scratch; slope or -1
    double dropout
    int function
    bint narrow

cdef struct Weights:           # what a forward and a backward pass read
    void *matrices
    void *biases

cdef struct Block:             # plan.Block; the update may run over the padding of a lane
    Py_ssize_t layer, row, n_rows, column, n_columns, n_updated_columns, n_updated_biases

cdef struct Plan:              # plan.BatchPlan
    Py_ssize_t n_rows, n_lanes, lane_rows, chunk_rows, n_totals
    bint blocks

cdef struct Job:
    # The network
    Layer *layers
    Py_ssize_t n_layers, n_features, n_out, n_padded, widest
    int loss
    void *loss_parameters      # (n_out) or NULL
    # Its weights: the public ones; two padded vectors, of which a step reads one and writes the
    # other; padded states; transposed matrices of narrow layers; biases of an evaluation
    void *parameters
    void *vectors
    void *states
    void *packed
    void *biases
    int n_states
    # The data: x (n_rows, n_features), targets (n_rows, n_out), C order; or x sparse, with the
    # values of row i in columns[row_begin[i]] and so on
    void *x
    Py_ssize_t *columns
    Py_ssize_t *row_begin
    void *targets
    void *row_weights
    void *out
    Py_ssize_t *order          # row of each position of the epoch, or NULL for 0, 1, ...
    Py_ssize_t n_rows
    bint gathers               # rows are copied side by side, input_stride apart
    Py_ssize_t input_stride
    # The training run
    Py_ssize_t batch_size, first_batch, last_batch, n_steps
    Plan full, short_last
    Block *blocks
    Py_ssize_t n_blocks
    fm_rule rule
    bint training, mean_reduction, scales_epsilon
    double max_norm            # or 0
    uint64_t dropout_seed
    int penalty_scale
    double *costs
    double *penalties
    double *errors
    double *hits
    # Scratch: matrices of the layers, per worker or for the whole batch
    char *scratch
    Py_ssize_t scratch_bytes, inputs
    # Scratch of a worker of its own: the output layer feature-major, the gradient of a block
    char *own
    Py_ssize_t own_bytes, row_stride, output_at, output_delta_at, targets_at, row_weights_at
    Py_ssize_t block_at, block_bias_at
    # Gradients and sums
    void *lanes
    Py_ssize_t lane_stride
    fm_totals *totals          # per lane or chunk
    double *block_penalties
    double *block_squares
    # What the workers agree on
    atomic_int next_piece, next_block, stop, broken, sleeps, alone
    int status
    Py_ssize_t batches_done
    Py_ssize_t *progress       # of the caller, or NULL
    double next_poll, watched_since, alone_window
    int slow_windows
    void *engine

include "_passes.pxi"
include "_training.pxi"


# --- The face to Python -----------------------------------------------------------------------

cdef class _Buffer:
    """Zeroed memory on cache lines of its own, which grows and never shrinks."""

    cdef object bytes
    cdef void *data

    cdef void *reserve(self, Py_ssize_t n_bytes) except NULL:
        cdef size_t value
        if self.bytes is None or len(self.bytes) < n_bytes:
            self.bytes = None                      # first, in case there is memory for one only
            raw = np.zeros(n_bytes + 64, dtype=np.uint8)
            aligned = raw[-raw.ctypes.data % 64:]
            value = aligned.ctypes.data
            self.bytes, self.data = aligned, <void *> value
        return self.data


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
    cdef readonly object loss, network_plan
    cdef object own_loss, loss_parameters, sparse_x
    cdef readonly object dtype
    cdef readonly int n_threads
    cdef readonly bint uses_blas
    cdef double alone_until
    cdef object interruption
    cdef _Buffer vectors, states, packed, biases, scratch, own, lanes, totals, blocks, penalties, few, squares
    cdef object planned, last_plans
    cdef Py_ssize_t largest_block, few_rows, chunk_rows, sparse_chunk_rows, row_flop, worker_flop
    cdef Py_ssize_t n_biases
    cdef bint gathers, gathers_shuffled
    cdef bint busy, has_table, table_is_for_blocks

    def __cinit__(self, tuple sizes, tuple functions, loss, dtype, int n_threads,
                  network_plan=None):
        self.sizes, self.functions, self.loss = sizes, functions, loss
        self.dtype, self.n_threads = np.dtype(dtype), n_threads
        self.network_plan = network_plan or planner.plan_network(sizes, self.dtype.itemsize)
        self.vectors, self.states, self.packed = _Buffer(), _Buffer(), _Buffer()
        self.biases, self.scratch, self.own = _Buffer(), _Buffer(), _Buffer()
        self.lanes, self.totals, self.blocks = _Buffer(), _Buffer(), _Buffer()
        self.penalties, self.squares, self.few = _Buffer(), _Buffer(), _Buffer()
        self.job.n_layers = len(functions)
        self.job.layers = <Layer *> calloc(self.job.n_layers, sizeof(Layer))
        if self.job.layers == NULL:
            raise MemoryError()
        self.job.engine = <void *> self
        self.place_layers()
        self.enter_loss()

    cdef void place_layers(self):
        """Where everything of a layer lies in public and padded vectors."""
        cdef Job *job = &self.job
        cdef Layer *layer
        cdef Py_ssize_t public = 0, at = 0, packed = 0
        network = self.network_plan
        for l in range(job.n_layers):
            layer = &job.layers[l]
            layer.n_in, layer.n_out = self.sizes[l], self.sizes[l + 1]
            layer.function, layer.narrow = FUNCTIONS[self.functions[l]], network.narrow[l]
            layer.stride, layer.padded_stride = network.strides[l + 1], network.strides[l]
            layer.public, layer.padded_bias, layer.packed = public, at, packed
            layer.padded_weights = at + layer.stride
            public += layer.n_out * (layer.n_in + 1)
            at = layer.padded_weights + layer.n_out * layer.padded_stride
            packed += layer.n_in * layer.stride if layer.narrow else 0
        job.n_features, job.n_out = self.sizes[0], self.sizes[job.n_layers]
        job.n_padded = round_up(at, 64)
        job.widest = round_up(max(self.sizes[1:]), 16)
        self.uses_blas = not all(network.narrow)
        self.n_biases = sum(network.strides[1:])
        self.gathers, self.gathers_shuffled = network.gathers, network.gathers_shuffled
        self.chunk_rows, self.sparse_chunk_rows = network.chunk_rows, network.sparse_chunk_rows
        self.row_flop, self.worker_flop = network.row_flop, network.worker_flop
        # Here, because predict_few may be called from several threads.
        self.few.reserve(3 * job.widest * self.dtype.itemsize)
        self.few_rows = network.few_rows

    cdef int enter_loss(self) except -1:
        """Kind, numbers and function of the loss."""
        self.job.loss, self.own_loss = LOSSES[self.loss.name], self.loss.function
        self.loss_parameters = self.loss.parameters(self.job.n_out)
        if self.loss_parameters is not None:
            self.loss_parameters = np.ascontiguousarray(self.loss_parameters, self.dtype)
        self.job.loss_parameters = address(self.loss_parameters)
        return 0

    def __reduce__(self):
        """Copies and pickles begin with buffers of their own."""
        return Engine, (self.sizes, self.functions, self.loss, self.dtype, self.n_threads)

    def __dealloc__(self):
        free(self.job.layers)

    cdef int reserve_scratch(self, Py_ssize_t n_rows, int n_copies, Py_ssize_t chunk_rows,
                             Py_ssize_t block_size, int n_workers, bint deltas) except -1:
        """Matrices of n_rows rows, in n_copies, and every worker's own buffers."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize, at = 0, output
        cdef Layer *layer
        for l in range(job.n_layers):
            layer = &job.layers[l]
            layer.activation = at
            at += layer.stride * n_rows
            layer.delta = at
            at += layer.stride * n_rows if deltas else 0
            layer.slope = -1
            if deltas and (layer.function in (FM_GELU, FM_SILU) or layer.dropout > 0):
                layer.slope = at
                at += layer.stride * n_rows
        job.inputs = at
        at += n_rows * job.input_stride if job.gathers else 0
        job.scratch_bytes = round_up(at * item, 64)
        job.scratch = <char *> self.scratch.reserve(job.scratch_bytes * n_copies)

        job.row_stride = round_up(chunk_rows, 16)
        output = job.n_out * job.row_stride
        job.output_at, job.output_delta_at, job.targets_at = 0, output, 2 * output
        job.row_weights_at = 3 * output
        job.block_bias_at = job.row_weights_at + job.row_stride
        job.block_at = job.block_bias_at + (job.widest if block_size else 0)
        job.own_bytes = round_up((job.block_at + block_size) * item, 64)
        job.own = <char *> self.own.reserve(job.own_bytes * n_workers)
        return 0

    cdef int reserve_totals(self, Py_ssize_t n) except -1:
        self.job.totals = <fm_totals *> self.totals.reserve(n * sizeof(fm_totals))
        return 0

    cdef Py_ssize_t enter_blocks(self, bint blocks) except -1:
        """The table of blocks; returns the numbers in the gradient of the largest."""
        cdef Job *job = &self.job
        cdef Block *block
        cdef Py_ssize_t largest = 0
        if self.has_table and self.table_is_for_blocks == blocks:
            return self.largest_block
        self.has_table = False
        table = list(planner.weight_blocks(self.sizes, self.dtype.itemsize, blocks))
        job.n_blocks = len(table)
        job.blocks = <Block *> self.blocks.reserve(len(table) * sizeof(Block))
        job.block_penalties = <double *> self.penalties.reserve(len(table) * sizeof(double))
        job.block_squares = <double *> self.squares.reserve(len(table) * sizeof(double))
        for i, entry in enumerate(table):
            block = &job.blocks[i]
            block.layer, block.row, block.n_rows = entry.layer, entry.row, entry.n_rows
            block.column, block.n_columns = entry.column, entry.n_columns
            block.n_updated_columns = entry.n_columns if blocks else round_up(entry.n_columns, 16)
            block.n_updated_biases = entry.n_rows if blocks else round_up(entry.n_rows, 16)
            largest = max(largest, entry.n_rows * job.layers[entry.layer].padded_stride)
        self.has_table, self.table_is_for_blocks = True, blocks
        self.largest_block = largest if blocks else 0
        return self.largest_block

    cdef void use_padded(self):
        """The passes read weights and biases from a padded vector."""
        cdef Layer *layer
        for l in range(self.job.n_layers):
            layer = &self.job.layers[l]
            layer.bias, layer.weights = layer.padded_bias, layer.padded_weights
            layer.weight_stride = layer.padded_stride

    cdef void use_public(self):
        """The passes read weights from the public parameters, and biases from a copy."""
        cdef Layer *layer
        cdef Py_ssize_t at = 0
        for l in range(self.job.n_layers):
            layer = &self.job.layers[l]
            layer.bias, layer.weights, layer.weight_stride = at, layer.public + 1, layer.n_in + 1
            at += layer.stride

    cdef void enter_weights(self, Weights now):
        """Transposed copies for the narrow layers."""
        cdef Job *job = &self.job
        cdef Py_ssize_t n = 0
        for l in range(job.n_layers):
            n += job.layers[l].n_in * job.layers[l].stride if job.layers[l].narrow else 0
        job.packed = self.packed.reserve(n * self.dtype.itemsize + 64)
        if self.dtype.itemsize == 4:
            pack(job, &now, <float *> job.packed)
        else:
            pack(job, &now, <double *> job.packed)

    cdef int start(self, parameters, x, targets, row_weights, order, bint training) except -1:
        cdef Job *job = &self.job
        job.parameters, job.targets = address(parameters), address(targets)
        job.training = training
        self.enter_inputs(x)
        job.row_weights, job.order = address(row_weights), <Py_ssize_t *> address(order)
        job.gathers = job.columns != NULL or training and (
            self.gathers if order is None else self.gathers_shuffled)
        job.input_stride = job.layers[0].padded_stride if job.gathers else job.n_features
        job.n_rows, job.out = len(x if order is None else order), NULL
        job.status, job.batches_done, self.interruption = OK, 0, None
        job.watched_since = seconds()
        job.next_poll = job.watched_since + POLL_SECONDS
        atomic_store(&job.next_piece, 0)
        atomic_store(&job.stop, 0)
        atomic_store(&job.broken, 0)
        atomic_store(&job.sleeps, 0)
        atomic_store(&job.alone, 0)
        job.slow_windows = 0
        return 0

    cdef int enter_inputs(self, x) except -1:
        """An array, or the SparseRows of a matrix."""
        cdef Job *job = &self.job
        self.sparse_x = x if isinstance(x, SparseRows) else None
        if self.sparse_x is None:
            job.x, job.columns, job.row_begin = address(x), NULL, NULL
            return 0
        job.x, job.columns = address(x.values), <Py_ssize_t *> address(x.columns)
        job.row_begin = <Py_ssize_t *> address(x.begin)
        return 0

    cdef void launch(self, fm_task task, int n_workers):
        cdef Job *job = &self.job
        with nogil:
            fm_team_run(task, job, n_workers)

    def _enter(self):
        """One call at a time: its buffers and the job belong to it until it returns."""
        if self.busy:
            raise RuntimeError("this engine is already running, in another thread or a callback")
        self.busy = True

    cdef void leave(self):
        """Let go of the call's inputs and of its exception."""
        self.busy, self.sparse_x, self.interruption = False, None, None

    def plan(self, Py_ssize_t n_rows):
        """The BatchPlan of a batch of n_rows."""
        return planner.plan_batch(n_rows, self.sizes, self.dtype.itemsize, self.n_threads)

    cdef Plan enter_plan(self, plan):
        cdef Plan result
        result.n_rows, result.n_lanes, result.blocks = plan.n_rows, plan.n_lanes, plan.blocks
        result.lane_rows, result.chunk_rows = plan.lane_rows, plan.chunk_rows
        result.n_totals = plan.n_lanes
        if plan.blocks:
            result.n_totals = -(-plan.n_rows // plan.chunk_rows)
        return result

    def time_looks(self, Py_ssize_t n):
        """Seconds that `n` looks for signals take, as the passes take them."""
        cdef Job *job = &self.job
        cdef double begin
        self._enter()
        try:
            begin = seconds()
            job.next_poll = begin + POLL_SECONDS
            with nogil:
                for _ in range(n):
                    is_stopped(job, 0)
            return seconds() - begin
        finally:
            self.leave()

    # --- Training

    def train(self, parameters, states, x, targets, *, order, row_weights, Py_ssize_t batch_size,
              Py_ssize_t first_batch, Py_ssize_t last_batch, optimizer, double learning_rate,
              Py_ssize_t n_steps, double l1, double l2, double l1_cost, bint mean_reduction,
              str penalty_scale, costs, penalties, errors, hits, tuple dropout=(),
              uint64_t dropout_seed=0, double max_grad_norm=0.0,
              progress=None):
        cdef Job *job = &self.job
        self._enter()
        try:
            self.start(parameters, x, targets, row_weights, order, True)
            job.batch_size, job.first_batch, job.last_batch = batch_size, first_batch, last_batch
            job.n_steps = n_steps
            self.enter_rule(optimizer, learning_rate)
            job.rule.l1, job.rule.l2, job.rule.l1_cost = l1, l2, l1_cost
            job.mean_reduction, job.penalty_scale = mean_reduction, _PENALTY_SCALES[penalty_scale]
            job.dropout_seed, job.max_norm = dropout_seed, max_grad_norm
            self.enter_dropout(dropout)
            job.costs, job.penalties = <double *> address(costs), <double *> address(penalties)
            job.errors, job.hits = <double *> address(errors), <double *> address(hits)
            job.progress = <Py_ssize_t *> address(progress)
            self.run_training(states)
            return job.status, job.batches_done, self.interruption
        finally:
            self.leave()

    cdef int enter_dropout(self, tuple rates) except -1:
        """Rates of the hidden layers, or none."""
        for l in range(self.job.n_layers):
            self.job.layers[l].dropout = rates[l] if l < len(rates) else 0.0
        return 0

    cdef int enter_rule(self, optimizer, double learning_rate) except -1:
        """The optimizer's numbers, and how many of its states are in use."""
        cdef fm_rule *rule = &self.job.rule
        coefficients = optimizer.coefficients()
        rule.kind, rule.learning_rate = UPDATES[optimizer.kind], learning_rate
        rule.momentum = coefficients.get("momentum", 0.0)
        rule.beta_1 = coefficients.get("beta_1", 0.0)
        rule.beta_2 = coefficients.get("beta_2", coefficients.get("rho", 0.0))
        # Never 0: 0 / 0 would be NaN where a gradient is 0.
        rule.epsilon = max(coefficients.get("epsilon", 0.0), np.finfo(self.dtype).tiny)
        self.job.scales_epsilon = coefficients.get("epsilon_hat", False)
        rule.keep = 1.0 - learning_rate * coefficients.get("weight_decay", 0.0)
        rule.root_scale = 1.0
        self.job.n_states = optimizer.n_states
        if optimizer.name == "sgd" and rule.momentum == 0:
            rule.kind, self.job.n_states = FM_PLAIN, 0
        return 0

    cdef int run_training(self, states) except -1:
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize, block_size, n_rows, done
        cdef int n_copies
        cdef Weights now
        first, last = self.plans()
        job.full, job.short_last = self.enter_plan(first), self.enter_plan(last)
        block_size = self.enter_blocks(first.blocks)
        n_rows = max(first.chunk_rows, last.chunk_rows)
        n_copies = 1 if first.blocks else first.n_workers
        self.reserve_scratch(first.n_rows if first.blocks else n_rows, n_copies, n_rows, block_size,
                             first.n_workers, True)
        self.reserve_totals(max(job.full.n_totals, job.short_last.n_totals))
        job.lane_stride = job.n_padded
        if not first.blocks:
            job.lanes = self.lanes.reserve(max(first.n_lanes, last.n_lanes) * job.n_padded * item)
        job.vectors = self.vectors.reserve(2 * job.n_padded * item)
        job.states = self.states.reserve(job.n_states * job.n_padded * item + 64)
        self.use_padded()
        self.copy_in(states)
        now.matrices = now.biases = job.vectors
        self.enter_weights(now)
        self.launch_training(train_f32 if item == 4 else train_f64, first.n_workers)
        self.copy_out(states)
        if job.status == BROKEN:
            # 0 * inf in the padding, which nobody writes anew: begin with zeros again.
            self.vectors, self.states, self.lanes = _Buffer(), _Buffer(), _Buffer()
        return 0

    cdef void launch_training(self, fm_task task, int n_workers):
        """All batches, the first few of a plan's first run by one thread, to know how long it takes."""
        cdef Job *job = &self.job
        cdef Py_ssize_t last = job.last_batch
        if seconds() < self.alone_until:
            n_workers = 1
        if n_workers > 1 and job.alone_window == 0 and last - job.first_batch >= 2 * WATCHED_STEPS:
            job.last_batch = job.first_batch + WATCHED_STEPS
            self.launch(task, 1)
            job.alone_window = seconds() - job.watched_since
            job.last_batch = last
            if job.status != OK:
                return
            job.first_batch += WATCHED_STEPS
            job.n_steps += WATCHED_STEPS
            job.watched_since = seconds()
        self.launch(task, n_workers)
        if atomic_load(&job.alone):
            self.alone_until = seconds() + ALONE_SECONDS

    cdef tuple plans(self):
        """Of a full batch and of the last one; kept, because small epochs are over in no time."""
        cdef Job *job = &self.job
        # The length of a gradient is known before the update only if it lies in lanes.
        blocks = False if job.max_norm > 0 else None
        key = job.n_rows, job.batch_size, blocks
        if key != self.planned:
            first = planner.plan_batch(min(job.batch_size, job.n_rows), self.sizes,
                                     self.dtype.itemsize, self.n_threads, blocks=blocks)
            last = planner.plan_batch(job.n_rows % job.batch_size or first.n_rows, self.sizes,
                                    self.dtype.itemsize, self.n_threads, blocks=first.blocks)
            self.planned, self.last_plans = key, (first, last)
            job.alone_window = 0
        return self.last_plans

    cdef int copy_in(self, states) except -1:
        """Parameters and states into the padded layout."""
        cdef Job *job = &self.job
        cdef char *from_states = <char *> address(states)
        cdef Py_ssize_t n_bytes = states.shape[1] * self.dtype.itemsize, i
        if self.dtype.itemsize == 4:
            pad(job, <float *> job.vectors, <float *> job.parameters)
            for i in range(job.n_states):
                pad(job, (<float *> job.states) + i * job.n_padded,
                    <float *> (from_states + i * n_bytes))
        else:
            pad(job, <double *> job.vectors, <double *> job.parameters)
            for i in range(job.n_states):
                pad(job, (<double *> job.states) + i * job.n_padded,
                    <double *> (from_states + i * n_bytes))
        return 0

    cdef int copy_out(self, states) except -1:
        """The weights after the last finished batch, and the states, into the public layout.

        After the first lines no Python code runs: a signal finds all of it done, or nothing.
        """
        cdef Job *job = &self.job
        cdef char *to_states = <char *> address(states)
        cdef Py_ssize_t item = self.dtype.itemsize, i
        cdef Py_ssize_t n_bytes = states.shape[1] * item
        cdef Py_ssize_t at = job.n_padded * (job.batches_done % 2)
        if item == 4:
            unpad(job, <float *> job.parameters, (<float *> job.vectors) + at)
            for i in range(job.n_states):
                unpad(job, <float *> (to_states + i * n_bytes),
                      (<float *> job.states) + i * job.n_padded)
        else:
            unpad(job, <double *> job.parameters, (<double *> job.vectors) + at)
            for i in range(job.n_states):
                unpad(job, <double *> (to_states + i * n_bytes),
                      (<double *> job.states) + i * job.n_padded)
        if job.progress != NULL:
            job.progress[0] += job.batches_done
        return 0

    def gradient(self, parameters, x, targets, row_weights, out):
        cdef fm_totals total
        self._enter()
        try:
            self.start(parameters, x, targets, row_weights, None, True)
            self.enter_dropout(())
            self.run_gradient(out)
            total = add_totals(self.job.totals, self.job.full.n_totals)
            return total.loss, total.error, total.weight, total.hits
        finally:
            self.leave()

    cdef int run_gradient(self, out) except -1:
        """Gradient of all rows, in lanes: an optimizer from outside wants it whole."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize
        cdef Weights now
        plan = planner.plan_batch(job.n_rows, self.sizes, item, self.n_threads, blocks=False)
        job.full = self.enter_plan(plan)
        self.reserve_scratch(plan.chunk_rows, plan.n_workers, plan.chunk_rows, 0, plan.n_workers,
                             True)
        self.reserve_totals(plan.n_lanes)
        job.lane_stride = job.n_padded
        job.lanes = self.lanes.reserve(plan.n_lanes * job.n_padded * item)
        job.vectors = self.vectors.reserve(2 * job.n_padded * item)
        self.use_padded()
        if item == 4:
            pad(job, <float *> job.vectors, <float *> job.parameters)
        else:
            pad(job, <double *> job.vectors, <double *> job.parameters)
        now.matrices = now.biases = job.vectors
        self.enter_weights(now)
        self.launch(gradient_f32 if item == 4 else gradient_f64, plan.n_workers)
        if self.interruption is not None:
            raise self.interruption
        if item == 4:
            add_lanes(job, <float *> job.lanes)
            unpad(job, <float *> address(out), <float *> job.lanes)
        else:
            add_lanes(job, <double *> job.lanes)
            unpad(job, <double *> address(out), <double *> job.lanes)
        return 0

    # --- Evaluation and prediction

    cdef int run_evaluation(self) except -1:
        """Over chunks of job.full.chunk_rows rows."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize, n_chunks, chunk
        cdef Weights now
        chunk = min(job.n_rows, self.chunk_rows if job.columns == NULL else self.sparse_chunk_rows)
        n_chunks = (job.n_rows + chunk - 1) // chunk
        cdef int n_workers = max(1, min(self.n_threads, n_chunks,
                                        job.n_rows * self.row_flop // self.worker_flop))
        job.full.chunk_rows = chunk
        self.use_public()
        job.biases = self.biases.reserve(self.n_biases * item)
        if item == 4:
            copy_biases(job, <float *> job.biases, <float *> job.parameters)
        else:
            copy_biases(job, <double *> job.biases, <double *> job.parameters)
        now.matrices, now.biases = job.parameters, job.biases
        self.enter_weights(now)
        self.reserve_scratch(chunk, n_workers, chunk, 0, n_workers, False)
        self.reserve_totals(n_chunks)
        self.launch(evaluate_f32 if item == 4 else evaluate_f64, n_workers)
        if self.interruption is not None:
            raise self.interruption
        return n_chunks

    def evaluate(self, parameters, x, targets, row_weights=None):
        cdef fm_totals total
        self._enter()
        try:
            self.start(parameters, x, targets, row_weights, None, False)
            n_chunks = self.run_evaluation()
            total = add_totals(self.job.totals, n_chunks)
            return total.loss, total.error, total.weight, total.hits
        finally:
            self.leave()

    def predict(self, parameters, x, out):
        self._enter()
        try:
            self.start(parameters, x, None, None, None, False)
            self.job.out = address(out)
            self.run_evaluation()
            return not atomic_load(&self.job.broken)
        finally:
            self.leave()

    def predict_few(self, parameters, x, out=None):
        """Outputs of a few rows, or None if `x` or `out` is not what this fast path takes."""
        cdef Py_buffer rows, weights, outputs
        cdef Py_ssize_t item = self.dtype.itemsize
        cdef char kind = c"f" if item == 4 else c"d"
        cdef bint taken = False
        if self.busy:
            return None
        try:
            PyObject_GetBuffer(x, &rows, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (TypeError, BufferError, ValueError):
            return None
        if (rows.ndim == 2 and rows.format[0] == kind and rows.format[1] == 0
                and 1 <= rows.shape[0] <= self.few_rows and rows.shape[1] == self.job.n_features
                and <size_t> rows.buf % item == 0):
            taken = True
        n_rows = rows.shape[0] if taken else 0
        try:
            if not taken or not finite(rows.buf, n_rows * self.job.n_features, item):
                return None
            if out is None:
                out = np.empty((n_rows, self.job.n_out), self.dtype)
            elif not (isinstance(out, np.ndarray) and out.dtype == self.dtype
                      and out.shape == (n_rows, self.job.n_out) and out.flags.c_contiguous
                      and out.flags.aligned and out.flags.writeable):
                return None
            PyObject_GetBuffer(out, &outputs, PyBUF_SIMPLE)
            try:
                PyObject_GetBuffer(parameters, &weights, PyBUF_SIMPLE)
                try:
                    self.run_few(weights.buf, rows.buf, n_rows, outputs.buf)
                finally:
                    PyBuffer_Release(&weights)
            finally:
                PyBuffer_Release(&outputs)
            return out
        finally:
            PyBuffer_Release(&rows)

    cdef int run_few(self, void *parameters, void *x, Py_ssize_t n_rows, void *out) except -1:
        cdef Job *job = &self.job
        cdef void *buffer = self.few.data
        if self.dtype.itemsize == 4:
            predict_few(job, <float *> parameters, <float *> x, n_rows, <float *> buffer,
                        <float *> out)
        else:
            predict_few(job, <double *> parameters, <double *> x, n_rows, <double *> buffer,
                        <double *> out)
        return 0


cdef bint finite(void *values, Py_ssize_t n, Py_ssize_t item) noexcept nogil:
    return all_finite(<float *> values, n) if item == 4 else all_finite(<double *> values, n)


ctypedef void (*apply_f32)(float *, const float *, Py_ssize_t) noexcept nogil
ctypedef void (*apply_f64)(double *, const double *, Py_ssize_t) noexcept nogil


def apply(str name, x):
    """exp, log, sigmoid, tanh or softplus of every element of a C-ordered float array."""
    cdef apply_f32 f32
    cdef apply_f64 f64
    if name == "exp":
        f32, f64 = fm_f32.apply_exp, fm_f64.apply_exp
    elif name == "log":
        f32, f64 = fm_f32.apply_log, fm_f64.apply_log
    elif name == "sigmoid":
        f32, f64 = fm_f32.apply_sigmoid, fm_f64.apply_sigmoid
    elif name == "tanh":
        f32, f64 = fm_f32.apply_tanh, fm_f64.apply_tanh
    elif name == "softplus":
        f32, f64 = fm_f32.apply_softplus, fm_f64.apply_softplus
    else:
        raise ValueError(f"unknown function {name!r}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x must be of dtype float32 or float64; got {x.dtype}")
    x = np.require(x, requirements=["C", "A"])
    out = np.empty_like(x)
    if x.dtype == np.float32:
        f32(<float *> address(out), <float *> address(x), x.size)
    else:
        f64(<double *> address(out), <double *> address(x), x.size)
    return out
