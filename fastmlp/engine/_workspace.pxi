# The memory of an engine and its layout, and the plans of its batches; part of _core.pyx.

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


cdef Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t multiple) noexcept nogil:
    return (n + multiple - 1) // multiple * multiple


cdef void *address(array) except? NULL:
    """Of the first element of a C-ordered array, or NULL for None."""
    cdef size_t value
    if array is None:
        return NULL
    value = array.ctypes.data
    return <void *> value


cdef class _Workspace:
    """The memory of an engine: where everything lies, in buffers that only grow."""

    cdef Job job
    cdef readonly tuple sizes, functions
    cdef readonly object loss, network_plan
    cdef readonly object dtype
    cdef readonly int n_threads
    cdef readonly Py_ssize_t shared_rows
    cdef readonly bint uses_blas
    cdef _Buffer vectors, states, packed, biases, scratch, own
    cdef _Buffer lanes, totals, blocks, penalties, squares
    cdef _Buffer by_column, compacted
    cdef object planned, last_plans
    cdef Py_ssize_t largest_block, few_rows, chunk_rows, sparse_chunk_rows, row_flop, worker_flop
    cdef Py_ssize_t n_biases, n_parameters, n_panels, panel_rows
    cdef Py_ssize_t n_values, n_sparse_rows, input_stride
    cdef bint is_double, has_panels
    cdef bint gathers, gathers_shuffled
    cdef bint has_table, table_is_for_blocks
    cdef bint transposed          # the first layer's padded weights

    def __cinit__(self, tuple sizes, tuple functions, loss, dtype, int n_threads,
                  network_plan=None, products="auto"):
        self.sizes, self.functions, self.loss = sizes, functions, loss
        self.dtype, self.n_threads = np.dtype(dtype), n_threads
        self.n_parameters = sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))
        self.network_plan = network_plan or planner.plan_network(sizes, self.dtype.itemsize,
                                                                 resolve_products(products))
        self.vectors, self.states, self.packed = _Buffer(), _Buffer(), _Buffer()
        self.biases, self.scratch, self.own = _Buffer(), _Buffer(), _Buffer()
        self.lanes, self.totals, self.blocks = _Buffer(), _Buffer(), _Buffer()
        self.penalties, self.squares = _Buffer(), _Buffer()
        self.by_column, self.compacted = _Buffer(), _Buffer()
        self.job.network.n_layers = len(functions)
        self.job.network.layers = <Layer *> calloc(self.job.network.n_layers, sizeof(Layer))
        if self.job.network.layers == NULL:
            raise MemoryError()
        self.job.run.engine = <void *> self
        self.place_layers(False)

    cdef void place_layers(self, bint transposed):
        """Where everything of a layer lies in public and padded vectors; `transposed` the weights of
        the first in the latter."""
        cdef Job *job = &self.job
        cdef Layer *layer
        cdef Py_ssize_t public = 0, at = 0, panels = 0, widest_stride = 0
        network = self.network_plan
        self.transposed = transposed
        for l in range(job.network.n_layers):
            layer = &job.network.layers[l]
            layer.n_in, layer.n_out = self.sizes[l], self.sizes[l + 1]
            layer.function, layer.narrow = FUNCTIONS[self.functions[l]], network.narrow[l]
            layer.blas = network.products == "blas"
            layer.stride, layer.padded_stride = network.strides[l + 1], network.strides[l]
            layer.public, layer.padded_bias = public, at
            layer.padded_weights = at + layer.stride
            layer.panels = panels
            public += layer.n_out * (layer.n_in + 1)
            panels += layer.n_in * round_up(layer.n_out, 16)
            widest_stride = max(widest_stride, layer.stride)
            at = layer.padded_weights + layer.n_out * layer.padded_stride
            if transposed and l == 0:
                layer.padded_stride = layer.stride
                at = layer.padded_weights + layer.n_in * layer.stride
        job.network.n_features, job.network.n_out = self.sizes[0], self.sizes[job.network.n_layers]
        job.network.n_padded = round_up(at, 64)
        job.network.widest = round_up(max(self.sizes[1:]), 16)
        job.network.widest_stride, self.n_panels = widest_stride, panels
        self.is_double, self.has_panels = self.dtype.itemsize == 8, network.products != "blas"
        self.uses_blas = network.products == "blas"
        self.n_biases = sum(network.strides[1:])
        self.gathers, self.gathers_shuffled = network.gathers, network.gathers_shuffled
        self.chunk_rows, self.sparse_chunk_rows = network.chunk_rows, network.sparse_chunk_rows
        self.row_flop, self.worker_flop = network.row_flop, network.worker_flop
        self.shared_rows = (2 * self.worker_flop + self.row_flop - 1) // self.row_flop
        self.panel_rows = network.panel_rows
        self.few_rows, self.input_stride = network.few_rows, network.strides[0]

    cdef int enter_first_layer(self, bint sparse) except -1:
        """Whether the first layer is multiplied by the values of sparse rows alone."""
        cdef Job *job = &self.job
        if job.run.training and sparse != self.transposed:
            self.vectors, self.states, self.lanes = _Buffer(), _Buffer(), _Buffer()
            self.has_table = False
            self.place_layers(sparse)
        job.data.sparse = job.network.layers[0].sparse = sparse
        for l in range(job.network.n_layers):
            job.network.layers[l].narrow = self.network_plan.narrow[l] and not (sparse and l == 0)
        job.data.touched, job.data.n_touched = NULL, 0
        return 0

    cdef int enter_batch_rows(self, Py_ssize_t batch_rows) except -1:
        """Training in batches of few rows uses the kernels of narrow layers for small ones alone."""
        cdef Job *job = &self.job
        if batch_rows > PANEL_BATCH_ROWS:
            return 0
        narrow = planner.trains_narrowly(self.network_plan, batch_rows)
        for l in range(job.network.n_layers):
            job.network.layers[l].narrow &= <bint> narrow[l]
        if not narrow[0] and not job.data.sparse and job.data.columns == NULL:
            job.data.gathers = job.data.order != NULL
            job.data.input_stride = (self.input_stride if job.data.gathers
                                     else job.network.n_features)
        return 0

    cdef int compact_columns(self) except -1:
        """Number the columns of the values by the place of each among those that occur, if these are
        few."""
        cdef Job *job = &self.job
        cdef Py_ssize_t n_features = job.network.n_features, n_marks = (n_features + 63) // 64
        cdef char *at = <char *> self.compacted.reserve(
            12 * n_marks + 4 * (self.n_values + min(self.n_values, n_features)) + 64)
        cdef uint64_t *marks = <uint64_t *> at
        cdef int32_t *ranks = <int32_t *> (at + 8 * n_marks)
        cdef int32_t *places = ranks + n_marks
        cdef int32_t *touched = places + self.n_values
        cdef Py_ssize_t n_touched
        if self.dtype.itemsize == 4:
            n_touched = kernels(<float *> NULL).compact_columns(
                touched, places, marks, ranks, job.data.columns, self.n_values, n_features)
        else:
            n_touched = kernels(<double *> NULL).compact_columns(
                touched, places, marks, ranks, job.data.columns, self.n_values, n_features)
        if n_touched <= planner.MOST_COMPACT_COLUMNS * n_features:
            job.data.touched, job.data.n_touched, job.data.columns = touched, n_touched, places
        return 0

    cdef int enter_sparse(self, Py_ssize_t batch_rows, bint in_lane) except -1:
        """Memory for the values of a batch by column."""
        cdef Job *job = &self.job
        cdef Sparse *sparse = &job.sparse
        cdef fm_rule *rule = &job.run.rule
        cdef Py_ssize_t n_values, n_touched, n_marks, item = self.dtype.itemsize
        cdef Py_ssize_t n_features = job.network.n_features
        cdef char *at
        sparse.lazy = sparse.in_lane = sparse.accumulate = False
        sparse.now.n = sparse.before.n = 0
        if not job.data.sparse:
            return 0
        sparse.in_lane = in_lane
        sparse.lazy = (rule.kind == FM_PLAIN and rule.l1 == 0 and rule.l2 == 0
                       and rule.l1_cost == 0 and not in_lane)
        sparse.tile_columns = max(1, TILE_NUMBERS // job.network.layers[0].stride)
        n_values = most_values(job, batch_rows)
        n_touched, n_marks = min(n_values, n_features), (n_features + 63) // 64
        at = <char *> self.by_column.reserve(
            8 * (n_features + n_marks + 2 * (n_touched + 1)) + item * n_values
            + 4 * (2 * n_touched + n_values) + 64)
        sparse.places, at = <Py_ssize_t *> at, at + 8 * n_features
        sparse.marks, at = <uint64_t *> at, at + 8 * n_marks
        sparse.now.starts, at = <Py_ssize_t *> at, at + 8 * (n_touched + 1)
        sparse.before.starts, at = <Py_ssize_t *> at, at + 8 * (n_touched + 1)
        sparse.values, at = <void *> at, at + item * n_values
        sparse.rows, at = <int32_t *> at, at + 4 * n_values
        sparse.now.touched, at = <int32_t *> at, at + 4 * n_touched
        sparse.before.touched = <int32_t *> at
        return 0

    def __dealloc__(self):
        free(self.job.network.layers)

    cdef int reserve_scratch(self, Py_ssize_t n_rows, int n_copies, Py_ssize_t chunk_rows,
                             Py_ssize_t block_size, int n_workers, bint deltas) except -1:
        """Matrices of n_rows rows, in n_copies, and every worker's own buffers."""
        cdef Job *job = &self.job
        cdef Py_ssize_t item = self.dtype.itemsize, at = 0, output
        cdef Layer *layer
        for l in range(job.network.n_layers):
            layer = &job.network.layers[l]
            layer.activation = at
            at += layer.stride * n_rows
            layer.delta = at
            at += layer.stride * n_rows if deltas else 0
            layer.slope = -1
            if deltas and (layer.function in (FM_GELU, FM_SILU) or layer.dropout > 0):
                layer.slope = at
                at += layer.stride * n_rows
        job.scratch.inputs = at
        at += n_rows * job.data.input_stride if job.data.gathers else 0
        job.scratch.matrices_bytes = round_up(at * item, 64)
        job.scratch.matrices = <char *> self.scratch.reserve(job.scratch.matrices_bytes * n_copies)

        job.scratch.row_stride = round_up(chunk_rows, 16)
        output = job.network.n_out * job.scratch.row_stride
        job.scratch.output_at, job.scratch.output_delta_at = 0, output
        job.scratch.targets_at = 2 * output
        job.scratch.sample_weights_at = 3 * output
        job.scratch.block_bias_at = job.scratch.sample_weights_at + job.scratch.row_stride
        job.scratch.block_at = job.scratch.block_bias_at + (job.network.widest if block_size else 0)
        job.scratch.turned_at = round_up(job.scratch.block_at + block_size, 16)
        job.scratch.columns_at = round_up(
            job.scratch.turned_at + (FM_TURNED_BYTES // item if deltas else 0), 16)
        job.scratch.own_bytes = round_up(
            (job.scratch.columns_at + self.column_numbers(chunk_rows)) * item, 64)
        job.scratch.own = <char *> self.own.reserve(job.scratch.own_bytes * n_workers)
        return 0

    cdef Py_ssize_t column_numbers(self, Py_ssize_t chunk_rows) noexcept nogil:
        """Numbers of the inputs and outputs of a wide layer that lie feature-major."""
        cdef Py_ssize_t n_rows = round_up(min(chunk_rows, FEATURE_ROWS), 16), most = 0
        cdef Layer *layer
        if chunk_rows < FEWEST_FEATURE_ROWS:
            return 0
        for l in range(self.job.network.n_layers):
            layer = &self.job.network.layers[l]
            if not layer.narrow and not layer.blas:
                most = max(most, layer.n_in + layer.n_out)
        return most * n_rows

    cdef int reserve_totals(self, Py_ssize_t n) except -1:
        self.job.scratch.totals = <fm_totals *> self.totals.reserve(n * sizeof(fm_totals))
        return 0

    cdef Py_ssize_t enter_blocks(self, bint blocks) except -1:
        """The table of blocks; returns the numbers in the gradient of the largest."""
        cdef Job *job = &self.job
        cdef Block *block
        cdef Py_ssize_t largest = 0
        if self.has_table and self.table_is_for_blocks == blocks:
            return self.largest_block
        self.has_table = False
        table = planner.weight_blocks(self.network_plan, blocks, sparse=self.transposed)
        job.run.n_blocks = len(table)
        job.run.blocks = <Block *> self.blocks.reserve(len(table) * sizeof(Block))
        job.scratch.block_penalties = <double *> self.penalties.reserve(len(table) * sizeof(double))
        job.scratch.block_squares = <double *> self.squares.reserve(len(table) * sizeof(double))
        for i, entry in enumerate(table):
            block = &job.run.blocks[i]
            block.layer, block.row, block.n_rows = entry.layer, entry.row, entry.n_rows
            block.column, block.n_columns = entry.column, entry.n_columns
            block.n_updated_columns = entry.n_columns if blocks else round_up(entry.n_columns, 16)
            block.n_updated_biases = entry.n_rows if blocks else round_up(entry.n_rows, 16)
            if self.transposed and entry.layer == 0:
                largest = max(largest, max(TILE_NUMBERS, job.network.layers[0].stride))
                continue
            largest = max(largest, entry.n_rows * job.network.layers[entry.layer].padded_stride)
        self.has_table, self.table_is_for_blocks = True, blocks
        self.largest_block = largest if blocks else 0
        return self.largest_block

    cdef void use_padded(self):
        """The passes read weights and biases from a padded vector."""
        cdef Layer *layer
        for l in range(self.job.network.n_layers):
            layer = &self.job.network.layers[l]
            layer.bias, layer.weights = layer.padded_bias, layer.padded_weights
            layer.weight_stride = layer.padded_stride

    cdef void use_public(self):
        """The passes read weights from the public parameters, and biases from a copy."""
        cdef Layer *layer
        cdef Py_ssize_t at = 0
        for l in range(self.job.network.n_layers):
            layer = &self.job.network.layers[l]
            layer.bias, layer.weights, layer.weight_stride = at, layer.public + 1, layer.n_in + 1
            at += layer.stride

    cdef void enter_weights(self, Weights now):
        """Transposed copies for the layers whose forward product wants them."""
        cdef Job *job = &self.job
        cdef Layer *layer
        cdef Py_ssize_t n = 0, n_lines
        for l in range(job.network.n_layers):
            layer = &job.network.layers[l]
            layer.copied = layer.narrow or layer.sparse and not job.run.training
            layer.packed, n_lines = n, layer.n_in
            if layer.sparse and job.data.touched != NULL:
                n_lines = job.data.n_touched
            n += n_lines * layer.stride if layer.copied else 0
        job.network.packed = self.packed.reserve(n * self.dtype.itemsize + 64)
        if self.dtype.itemsize == 4:
            pack(job, &now, <float *> job.network.packed)
        else:
            pack(job, &now, <double *> job.network.packed)

    def plan(self, Py_ssize_t n_rows, blocks=None):
        """The BatchPlan of a batch of n_rows."""
        return planner.plan_batch(n_rows, self.sizes, self.dtype.itemsize, self.n_threads,
                                  blocks=blocks, network=self.network_plan)

    cdef object plan_of_data(self, Py_ssize_t n_rows, blocks):
        """The BatchPlan of n_rows of the call's data."""
        if not self.job.data.sparse:
            return self.plan(n_rows, blocks)
        return planner.plan_sparse_batch(n_rows, self.network_plan, self.n_threads,
                                         self.n_values / max(1, self.n_sparse_rows))

    cdef Plan enter_plan(self, plan):
        cdef Plan result
        result.n_rows, result.n_lanes, result.blocks = plan.n_rows, plan.n_lanes, plan.blocks
        result.lane_rows, result.chunk_rows = plan.lane_rows, plan.chunk_rows
        result.n_totals = plan.n_lanes
        if plan.blocks:
            result.n_totals = -(-plan.n_rows // plan.chunk_rows)
        return result

    cdef tuple plans(self):
        """Of a full batch and of the last one; kept, because small epochs are over in no time."""
        cdef Job *job = &self.job
        if job.shards.n_own > 0:
            plan = planner.plan_shards(self.network_plan, job.shards.lane_rows, job.shards.n_own,
                                       self.n_threads)
            return plan, plan
        # The length of a gradient is known before the update only if it lies in lanes.
        blocks = False if job.run.max_norm > 0 else None
        key = job.data.n_rows, job.run.batch_size, blocks, self.n_values if job.data.sparse else -1
        if key != self.planned:
            first = self.plan_of_data(min(job.run.batch_size, job.data.n_rows), blocks)
            last = self.plan_of_data(job.data.n_rows % job.run.batch_size or first.n_rows, first.blocks)
            self.planned, self.last_plans = key, (first, last)
        return self.last_plans

    cdef int copy_in(self, states) except -1:
        """Parameters and states into the padded layout."""
        cdef Job *job = &self.job
        cdef char *from_states = <char *> address(states)
        cdef Py_ssize_t n_bytes = self.n_parameters * self.dtype.itemsize, i
        if self.dtype.itemsize == 4:
            pad(job, <float *> job.network.vectors, <float *> job.network.parameters)
            for i in range(job.network.n_states):
                pad(job, (<float *> job.network.states) + i * job.network.n_padded,
                    <float *> (from_states + i * n_bytes))
        else:
            pad(job, <double *> job.network.vectors, <double *> job.network.parameters)
            for i in range(job.network.n_states):
                pad(job, (<double *> job.network.states) + i * job.network.n_padded,
                    <double *> (from_states + i * n_bytes))
        return 0

    cdef int copy_out(self, states) except -1:
        """The weights after the last finished batch, and the states, into the public layout.

        After the first lines no Python code runs: a signal finds all of it done, or nothing.
        """
        cdef Job *job = &self.job
        cdef char *to_states = <char *> address(states)
        cdef Py_ssize_t item = self.dtype.itemsize, i
        cdef Py_ssize_t n_bytes = self.n_parameters * item
        cdef Py_ssize_t at = job.network.n_padded * (job.run.batches_done % 2)
        if item == 4:
            unpad(job, <float *> job.network.parameters, (<float *> job.network.vectors) + at)
            for i in range(job.network.n_states):
                unpad(job, <float *> (to_states + i * n_bytes),
                      (<float *> job.network.states) + i * job.network.n_padded)
        else:
            unpad(job, <double *> job.network.parameters, (<double *> job.network.vectors) + at)
            for i in range(job.network.n_states):
                unpad(job, <double *> (to_states + i * n_bytes),
                      (<double *> job.network.states) + i * job.network.n_padded)
        if job.run.progress != NULL:
            job.run.progress[0] += job.run.batches_done
        return 0
