# cython: language_level=3
"""Forward pass, back propagation and weight update, batch after batch, without the GIL.

One training step, for the matrices A_l (rows, n_l) of a chunk of rows, weights W_l (n_l, n_{l-1})
and biases b_l:

    A_l = f_l(A_{l-1} W_l^T + b_l)                  product, then one fused pass
    D_L = dC/dZ_L                                   fused with the output function and the cost
    D_{l-1} = (D_l W_l) * f'_{l-1}(A_{l-1})         product, then one pass; not for the input
    G_l = D_l^T A_{l-1},  g_l = D_l^T 1             product, column sums
    W_l, b_l = update(G_l, g_l)                     one pass

Products are the package's own (narrow.c, and panels.c for wide layers), or BLAS gemm if asked for. The calling
thread runs the loop over the batches and shares the rows of each, and then its update, with the
thread team (team.c). Which thread takes what never changes a bit (see plan.py). The calling thread,
worker 0, looks for signals about every 50 ms.

_passes.pxi has the passes over one chunk, _training.pxi the loops over chunks and batches,
_shards.pxi the sums of shards, _update.pxi the update, _sparse.pxi the first layer of sparse rows, _prediction.pxi evaluation,
_outputs.pxi predictions of dense rows, _team.pxi what the team shares of
all these in either precision, _layout.pxi the way between the
public and the padded parameters, _workspace.pxi the memory, _arguments.pxi the last checks,
_blas_threads.pxi the thread count of BLAS, _elementwise.pxi functions of every element of an array,
_names.pxi the names, and _job.pxd what all of them work on.
"""
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_READ, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBUF_WRITE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.math cimport sqrt
from libc.string cimport memcpy, memset

cdef extern from "system.h" nogil:
    int64_t fm_nanoseconds()
    void *fm_allocate(size_t alignment, size_t size)
    void fm_deallocate(void *memory)

from fastmlp.engine._blas cimport (
    MAX_ATTEMPTS, fm_blas_add, fm_blas_after_fork, fm_blas_enter, fm_blas_leave, fm_blas_users,
    fm_blas_was_disturbed, fm_get_threads, fm_set_threads, gemm_nn, gemm_nt, gemm_tn, real,
)
from fastmlp.engine._job cimport *
from fastmlp.engine._kernels cimport *

import os

import numpy as np

from fastmlp.engine import plan as planner
from fastmlp.engine.products import resolve_products
from fastmlp.engine.rows import SparseRows

include "_blas_threads.pxi"
include "_names.pxi"
include "_arguments.pxi"
include "_passes.pxi"
include "_training.pxi"
include "_shards.pxi"
include "_update.pxi"
include "_sparse.pxi"
include "_layout.pxi"
include "_prediction.pxi"
include "_team.pxi"
include "_workspace.pxi"
include "_outputs.pxi"
include "_elementwise.pxi"



def permutation(Py_ssize_t n, uint64_t seed):
    """A random order of 0 … n - 1, (n,) intp."""
    order = np.empty(n, dtype=np.intp)
    fm_permutation(<Py_ssize_t *> address(order), n, seed)
    return order


cdef class Engine(_Predictions):
    """Runs one network's passes; see _core.pyi for the meaning of every argument.

    Not for concurrent use: one engine per thread. Python has checked the numbers of its arguments;
    _arguments.pxi compares sizes and types.
    """

    cdef object custom_loss, loss_parameters, sparse_x
    cdef object interruption
    cdef object shards, exchange, slots, shard_totals
    cdef atomic_int busy
    cdef char format

    def __cinit__(self, tuple sizes, tuple functions, loss, dtype, int n_threads,
                  network_plan=None, products="auto"):
        is_float = self.dtype.itemsize == 4
        self.format, self.job.passes = (c"f", passes_f32) if is_float else (c"d", passes_f64)
        self.enter_loss()

    cdef int enter_loss(self) except -1:
        """Kind, numbers and function of the loss."""
        self.job.network.loss, self.custom_loss = LOSSES[self.loss.name], self.loss.function
        self.loss_parameters = self.loss.parameters(self.job.network.n_out)
        if self.loss_parameters is not None:
            self.loss_parameters = np.ascontiguousarray(self.loss_parameters, self.dtype)
        self.job.network.loss_parameters = address(self.loss_parameters)
        return 0

    def __reduce__(self):
        """Copies and pickles begin with buffers of their own."""
        return Engine, (self.sizes, self.functions, self.loss, self.dtype, self.n_threads, None,
                        self.network_plan.products)

    cdef int start(self, parameters, x, targets, sample_weights, order, bint training,
                   bint writes=False) except -1:
        cdef Job *job = &self.job
        cdef Py_ssize_t n_rows = len(x)
        job.network.parameters = checked("parameters", parameters, self.format, self.n_parameters,
                                         writes)
        job.data.targets = checked_or_none("targets", targets, self.format,
                                           n_rows * job.network.n_out, False)
        job.run.training = training
        self.enter_inputs(x)
        job.data.sample_weights = checked_or_none("sample_weights", sample_weights, self.format,
                                                  n_rows, False)
        self.enter_order(order, n_rows)
        job.data.gathers = not job.data.sparse and (job.data.columns != NULL or training and (
            self.gathers if order is None else self.gathers_shuffled))
        job.data.input_stride = job.network.n_features
        if job.data.gathers:
            job.data.input_stride = self.input_stride
        job.data.n_rows, job.data.out = len(x if order is None else order), NULL
        job.run.status, job.run.batches_done, self.interruption = OK, 0, None
        job.run.next_poll = seconds() + POLL_SECONDS
        atomic_store(&job.run.stop, 0)
        atomic_store(&job.run.broken, 0)
        return 0

    cdef int need_targets(self, targets) except -1:
        """Only predictions work without."""
        if targets is None:
            raise ValueError("targets must be an array; got None")
        return 0

    cdef int enter_inputs(self, x) except -1:
        """An array, or the SparseRows of a matrix."""
        cdef Job *job = &self.job
        self.sparse_x = x if isinstance(x, SparseRows) else None
        cdef Py_ssize_t n_values
        if self.sparse_x is None:
            job.data.x = checked("x", x, self.format, len(x) * job.network.n_features, False)
            job.data.columns, job.data.row_begin = NULL, NULL
            self.enter_first_layer(False)
            return 0
        n_values = len(x.values)
        job.data.x = checked("x.values", x.values, self.format, n_values, False)
        job.data.columns = <int32_t *> checked("x.columns", x.columns, INT32, n_values, False)
        job.data.row_begin = <Py_ssize_t *> checked("x.begin", x.begin, INTP, len(x) + 1, False)
        if not (all_columns_below(job.data.columns, n_values, job.network.n_features)
                and is_rising(job.data.row_begin, len(x) + 1, n_values)):
            raise ValueError("x is no longer the sparse matrix that was checked")
        self.n_sparse_rows, self.n_values = len(x), job.data.row_begin[len(x)]
        self.enter_first_layer(planner.multiplies_values(self.network_plan, len(x), self.n_values))
        return 0

    cdef int enter_order(self, order, Py_ssize_t n_rows) except -1:
        """The positions of the rows, or None for all as they lie."""
        cdef Py_ssize_t n = 0 if order is None else len(order)
        self.job.data.order = <Py_ssize_t *> checked_or_none("order", order, INTP, n, False)
        if not all_below(self.job.data.order, n, n_rows):
            raise ValueError(f"order must hold positions from 0 to {n_rows - 1}")
        return 0

    cdef void launch(self, Pass run, int n_wanted, Py_ssize_t flop):
        """Run a pass with up to n_wanted workers; a short one keeps the GIL.

        Subnormal numbers are 0 in training, but not in what Python runs meanwhile (float_mode.h).
        """
        cdef Job *job = &self.job
        cdef int n_workers
        job.run.float_mode = fm_flush_subnormals() if job.run.training else fm_float_mode()
        if flop < SHORT_TRAINING_FLOP:
            run(job, 1)
        else:
            with nogil:
                n_workers = fm_team_enter(n_wanted)
                run(job, n_workers)
                fm_team_leave(n_workers)
        fm_set_float_mode(job.run.float_mode)

    def _enter(self):
        """One call at a time: its buffers and the job belong to it until it returns."""
        if atomic_exchange(&self.busy, 1):
            raise RuntimeError("this engine is already running, in another thread or a callback")

    cdef void leave(self):
        """Let go of the call's inputs and of its exception."""
        self.sparse_x, self.interruption = None, None
        atomic_store(&self.busy, 0)

    def time_looks(self, Py_ssize_t n):
        """Seconds that `n` looks for signals take, as the passes take them."""
        cdef Job *job = &self.job
        cdef double begin
        self._enter()
        try:
            begin = seconds()
            job.run.next_poll = begin + POLL_SECONDS
            with nogil:
                for _ in range(n):
                    is_stopped(job, 0)
            return seconds() - begin
        finally:
            self.leave()

    # --- Training

    def train(self, parameters, states, x, targets, *, order, sample_weights, Py_ssize_t batch_size,
              Py_ssize_t first_batch, Py_ssize_t last_batch, optimizer, double learning_rate,
              Py_ssize_t n_steps, double l1, double l2, double l1_cost, bint mean_reduction,
              str penalty_scale, costs, penalties, errors, accuracies, tuple dropout=(),
              uint64_t dropout_seed=0, double max_grad_norm=0.0,
              progress=None, shards=None):
        cdef Job *job = &self.job
        self._enter()
        try:
            self.need_targets(targets)
            self.start(parameters, x, targets, sample_weights, order, True, True)
            self.enter_shards(shards)
            check_between("batch_size", batch_size, 1, MOST_ROWS)
            check_between("last_batch", last_batch, 0,
                          (job.data.n_rows + batch_size - 1) // batch_size
                          if shards is None else len(shards.lanes))
            check_between("first_batch", first_batch, 0, last_batch)
            job.run.batch_size = batch_size
            self.enter_batch_rows(batch_size if shards is None
                                  else job.shards.lane_rows * job.shards.n_shards)
            job.run.first_batch, job.run.last_batch = first_batch, last_batch
            job.run.n_steps = n_steps
            self.enter_rule(optimizer, learning_rate)
            checked("states", states, self.format, optimizer.n_states * self.n_parameters, True)
            job.run.rule.l1, job.run.rule.l2, job.run.rule.l1_cost = l1, l2, l1_cost
            job.run.mean_reduction = mean_reduction
            job.run.penalty_scale = _PENALTY_SCALES[penalty_scale]
            job.run.dropout_seed, job.run.max_norm = dropout_seed, max_grad_norm
            self.enter_dropout(dropout)
            self.enter_records(last_batch, costs, penalties, errors, accuracies, progress)
            self.run_training(states)
            return job.run.status, job.run.batches_done, self.interruption
        finally:
            self.enter_shards(None)
            self.leave()

    cdef int enter_records(self, Py_ssize_t last_batch, costs, penalties, errors, accuracies,
                           progress) except -1:
        """Where the numbers of every batch go, and the number of finished ones."""
        cdef Job *job = &self.job
        cdef Py_ssize_t n = len(costs)
        check_between("last_batch", last_batch, 0, n)
        job.run.costs = <double *> checked("costs", costs, c"d", n, True)
        job.run.penalties = <double *> checked("penalties", penalties, c"d", n, True)
        job.run.errors = <double *> checked("errors", errors, c"d", n, True)
        job.run.accuracies = <double *> checked("accuracies", accuracies, c"d", n, True)
        job.run.progress = <Py_ssize_t *> checked_or_none("progress", progress, INTP, 1, True)
        return 0

    cdef int enter_shards(self, shards) except -1:
        """The lanes of every batch, and how their sums are added."""
        cdef Job *job = &self.job
        job.shards.n_own = job.shards.n_rows = 0
        self.shards, self.exchange, self.slots, self.shard_totals = shards, None, None, None
        if shards is None:
            return 0
        if self.sparse_x is not None:
            raise ValueError("x must be dense for shards; got SparseRows")
        shards.check(job.data.n_rows)
        sums = shards.sums
        job.shards.n_shards, job.shards.first = sums.n_shards, sums.first
        job.shards.n_slots, job.shards.n_rows = sums.n_slots, shards.n_rows
        job.shards.n_own, job.shards.lane_rows = sums.n_own, shards.lane_rows
        job.shards.lanes = <Py_ssize_t *> checked(
            "lanes", shards.lanes, INTP, len(shards.lanes) * sums.n_own * 3, False)
        job.shards.batch_rows = <Py_ssize_t *> checked(
            "batch_rows", shards.batch_rows, INTP, len(shards.lanes), False)
        job.shards.n_before, job.shards.n_after = len(sums.before), len(sums.after)
        job.shards.before = <Py_ssize_t *> checked(
            "before", sums.before, INTP, 2 * len(sums.before), False)
        job.shards.after = <Py_ssize_t *> checked(
            "after", sums.after, INTP, 2 * len(sums.after), False)
        self.exchange, job.shards.exchanges = shards.exchange, shards.exchange is not None
        return 0

    cdef int reserve_slots(self) except -1:
        """Memory for the sums of shards, which Python sees where it exchanges them."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize
        cdef Py_ssize_t n_bytes = job.shards.n_slots * job.network.n_padded * item
        job.scratch.lanes = self.lanes.reserve(n_bytes)
        self.reserve_totals(job.shards.n_shards)
        if self.exchange is not None:
            self.slots = self.lanes.bytes[:n_bytes].view(self.dtype).reshape(job.shards.n_slots, -1)
            n_bytes = job.shards.n_shards * sizeof(fm_totals)
            self.shard_totals = self.totals.bytes[:n_bytes].view(np.float64).reshape(-1, 4)
        return 0

    cdef int enter_dropout(self, tuple rates) except -1:
        """Rates of the hidden layers, or none."""
        check_between("len(dropout)", len(rates), 0, self.job.network.n_layers - 1)
        for l in range(self.job.network.n_layers):
            self.job.network.layers[l].dropout = rates[l] if l < len(rates) else 0.0
        return 0

    cdef int enter_rule(self, optimizer, double learning_rate) except -1:
        """The optimizer's numbers, and how many of its states are in use."""
        cdef fm_rule *rule = &self.job.run.rule
        coefficients = optimizer.coefficients()
        rule.kind, rule.learning_rate = UPDATES[optimizer.kind], learning_rate
        rule.momentum = coefficients.get("momentum", 0.0)
        rule.beta_1 = coefficients.get("beta_1", 0.0)
        rule.beta_2 = coefficients.get("beta_2", coefficients.get("rho", 0.0))
        # Never 0: 0 / 0 would be NaN where a gradient is 0.
        rule.epsilon = max(coefficients.get("epsilon", 0.0), np.finfo(self.dtype).tiny)
        self.job.run.scales_epsilon = coefficients.get("epsilon_hat", False)
        rule.keep = 1.0 - learning_rate * coefficients.get("weight_decay", 0.0)
        rule.root_scale = 1.0
        self.job.network.n_states = optimizer.n_states
        if optimizer.name == "sgd" and rule.momentum == 0:
            rule.kind, self.job.network.n_states = FM_PLAIN, 0
        return 0

    cdef int run_training(self, states) except -1:
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize, block_size, n_rows, done
        cdef int n_copies
        cdef Weights now
        first, last = self.plans()
        job.run.full, job.run.short_last = self.enter_plan(first), self.enter_plan(last)
        if self.shards is not None:   # one piece for each
            job.run.full.n_totals = job.run.short_last.n_totals = job.shards.n_own
        block_size = self.enter_blocks(first.blocks)
        n_rows = max(first.chunk_rows, last.chunk_rows)
        n_copies = 1 if first.blocks else first.n_workers
        self.reserve_scratch(first.n_rows if first.blocks else n_rows, n_copies, n_rows, block_size,
                             first.n_workers, True)
        self.reserve_totals(max(job.run.full.n_totals, job.run.short_last.n_totals))
        self.enter_sparse(first.n_rows, job.run.max_norm > 0)
        job.scratch.lane_stride = job.network.n_padded
        if self.shards is not None:
            self.reserve_slots()
        elif not first.blocks or job.sparse.in_lane:
            job.scratch.lanes = self.lanes.reserve(
                max(first.n_lanes, last.n_lanes) * job.network.n_padded * item)
        job.network.vectors = self.vectors.reserve(2 * job.network.n_padded * item)
        job.network.states = self.states.reserve(
            job.network.n_states * job.network.n_padded * item + 64)
        self.use_padded()
        self.copy_in(states)
        if job.sparse.lazy:
            memcpy((<char *> job.network.vectors) + job.network.n_padded * item,
                   job.network.vectors, job.network.n_padded * item)
        now.matrices = now.biases = job.network.vectors
        self.enter_weights(now)
        n_rows = min(job.data.n_rows,   # a batch size may be far above
                     (job.run.last_batch - job.run.first_batch) * job.run.batch_size)
        self.launch(job.passes.train, first.n_workers,
                    n_rows * <Py_ssize_t> self.network_plan.training_row_flop)
        self.copy_out(states)
        if job.run.status == BROKEN:
            # 0 * inf in the padding, which nobody writes anew: begin with zeros again.
            self.vectors, self.states, self.lanes = _Buffer(), _Buffer(), _Buffer()
        return 0

    def gradient(self, parameters, x, targets, sample_weights, out):
        cdef fm_totals total
        self._enter()
        try:
            self.need_targets(targets)
            self.start(parameters, x, targets, sample_weights, None, True)
            self.enter_dropout(())
            checked("out", out, self.format, self.n_parameters, True)
            self.run_gradient(out)
            total = self.job.run.total
            return total.loss, total.error, total.weight, total.n_correct
        finally:
            self.leave()

    cdef int run_gradient(self, out) except -1:
        """Gradient of all rows, in lanes: an optimizer from outside wants it whole.

        Of sparse rows GRADIENT_ROWS at a time, in blocks of the one lane.
        """
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize
        cdef Weights now
        cdef Py_ssize_t n_rows = job.data.n_rows, block_size = 0
        if job.data.sparse:
            n_rows = min(n_rows, <Py_ssize_t> planner.GRADIENT_ROWS)
            last = self.plan_of_data(job.data.n_rows % n_rows or n_rows, True)
            job.run.short_last = self.enter_plan(last)
            block_size = self.enter_blocks(True)
        plan = self.plan_of_data(n_rows, job.data.sparse)
        job.run.full = self.enter_plan(plan)
        self.reserve_scratch(plan.n_rows if plan.blocks else plan.chunk_rows,
                             1 if plan.blocks else plan.n_workers, plan.chunk_rows, block_size,
                             plan.n_workers, True)
        self.reserve_totals(job.run.full.n_totals)
        self.enter_sparse(n_rows, True)
        job.scratch.lane_stride = job.network.n_padded
        job.scratch.lanes = self.lanes.reserve(plan.n_lanes * job.network.n_padded * item)
        job.network.vectors = self.vectors.reserve(2 * job.network.n_padded * item)
        self.use_padded()
        if item == 4:
            pad(job, <float *> job.network.vectors, <float *> job.network.parameters)
        else:
            pad(job, <double *> job.network.vectors, <double *> job.network.parameters)
        now.matrices = now.biases = job.network.vectors
        self.enter_weights(now)
        self.launch(gradient_of_sparse_rows if job.data.sparse else gradient_of_rows,
                    plan.n_workers, job.data.n_rows * <Py_ssize_t> self.network_plan.training_row_flop)
        if self.interruption is not None:
            raise self.interruption
        if item == 4:
            add_lanes(job, <float *> job.scratch.lanes)
            unpad(job, <float *> address(out), <float *> job.scratch.lanes)
        else:
            add_lanes(job, <double *> job.scratch.lanes)
            unpad(job, <double *> address(out), <double *> job.scratch.lanes)
        return 0

    # --- Evaluation and prediction

    cdef int run_evaluation(self) except -1:
        """Over chunks of job.run.full.chunk_rows rows."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize, n_chunks, chunk
        cdef Weights now
        cdef Py_ssize_t flop = job.data.n_rows * self.row_flop
        chunk = self.chunk_rows if job.data.columns == NULL else self.sparse_chunk_rows
        if job.data.sparse:
            flop = planner.value_flop(self.network_plan, job.data.n_rows, self.n_values)
            chunk = self.network_plan.value_chunk_rows
        chunk = min(job.data.n_rows, chunk)
        n_chunks = (job.data.n_rows + chunk - 1) // chunk
        cdef int n_workers = max(1, min(self.n_threads, n_chunks, flop // self.worker_flop))
        job.run.full.chunk_rows, job.run.full.n_totals = chunk, n_chunks
        self.use_public()
        job.network.biases = self.biases.reserve(self.n_biases * item)
        if item == 4:
            copy_biases(job, <float *> job.network.biases, <float *> job.network.parameters)
        else:
            copy_biases(job, <double *> job.network.biases, <double *> job.network.parameters)
        now.matrices, now.biases = job.network.parameters, job.network.biases
        if job.data.sparse and planner.compacts_columns(self.network_plan, self.n_values):
            self.compact_columns()
        self.enter_weights(now)
        self.reserve_scratch(chunk, n_workers, chunk, 0, n_workers, False)
        self.reserve_totals(n_chunks)
        self.launch(evaluate_rows, n_workers, flop)
        if self.interruption is not None:
            raise self.interruption
        return n_chunks

    def evaluate(self, parameters, x, targets, sample_weights=None):
        cdef fm_totals total
        self._enter()
        try:
            self.need_targets(targets)
            self.start(parameters, x, targets, sample_weights, None, False)
            n_chunks = self.run_evaluation()
            total = add_totals(self.job.scratch.totals, n_chunks)
            return total.loss, total.error, total.weight, total.n_correct
        finally:
            self.leave()

    def predict(self, parameters, x, out):
        self._enter()
        try:
            self.start(parameters, x, None, None, None, False)
            self.job.data.out = checked("out", out, self.format,
                                        self.job.data.n_rows * self.job.network.n_out, True)
            self.run_evaluation()
            return not atomic_load(&self.job.run.broken)
        finally:
            self.leave()
