# Outputs of dense rows with the package's own products; part of _core.pyx.
#
# A call has memory of its own and changes nothing of its engine, so that any number of threads can
# predict with one network. What a row gives depends neither on chunks and threads nor on whether
# panels have been filled before.

cdef void look_for_signals(Prediction *call) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        Py_INCREF(error)
        call.interruption = <void *> error
        atomic_store(&call.stop, 1)


cdef real *rows_from(Prediction *call, real *place, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    """n rows of x, converted into `place` if they are of the other precision."""
    cdef Py_ssize_t skipped = begin * call.network.n_features, i
    cdef double *doubles
    cdef float *floats
    if not call.converts:
        return (<real *> call.x) + skipped
    if real is float:
        doubles = (<double *> call.x) + skipped
        for i in range(n * call.network.n_features):
            place[i] = <float> doubles[i]
    else:
        floats = (<float *> call.x) + skipped
        for i in range(n * call.network.n_features):
            place[i] = floats[i]
    return place


cdef void predict_few(Prediction *call, real *parameters) noexcept nogil:
    """All rows together, with the weights where they lie: without a copy or a team."""
    cdef Network *network = call.network
    cdef Py_ssize_t n_rows = call.n_rows, l, r
    cdef real *zeros = <real *> call.scratch   # in the place of biases, which dot_rows adds
    cdef real *a = zeros + network.widest
    cdef real *spare = a + n_rows * network.widest
    cdef real *below = rows_from(call, spare + n_rows * network.widest, 0, n_rows)
    cdef Layer *layer
    if not kernels(a).all_finite(below, n_rows * network.n_features):
        atomic_store(&call.broken, 1)
        return
    for l in range(network.n_layers):
        layer = &network.layers[l]
        if l == network.n_layers - 1:
            a = <real *> call.out
        kernels(a).dot_rows(a, layer.n_out, below, layer.n_in, parameters + layer.public, n_rows,
                            layer.n_out, layer.n_in + 1)
        if layer.function < FM_SOFTMAX:
            kernels(a).bias_activation(a, <real *> NULL, layer.n_out, <real *> NULL, layer.n_out,
                                       n_rows, layer.function)
        else:
            memset(zeros, 0, layer.n_out * sizeof(real))
            for r in range(n_rows):
                kernels(a).output_activation(a + r * layer.n_out, 1, zeros, layer.n_out, 1,
                                             layer.function, False)
        below, a, spare = a, spare, a


cdef void predict_chunk(Prediction *call, real *parameters, Py_ssize_t chunk,
                        int worker) noexcept nogil:
    """A chunk of rows through all layers."""
    cdef Network *network = call.network
    cdef Py_ssize_t begin = chunk * call.chunk_rows
    cdef Py_ssize_t n_rows = min(call.chunk_rows, call.n_rows - begin), l
    cdef Py_ssize_t size = call.chunk_rows * network.widest_stride
    cdef Py_ssize_t below_stride = network.n_features
    cdef real *a = <real *> (call.scratch + worker * call.scratch_bytes)
    cdef real *spare = a + size
    cdef real *output = spare + size
    cdef real *inputs = a + chunk_numbers(call)
    cdef real *below = rows_from(call, inputs, begin, n_rows)
    cdef Layer *layer
    cdef double now
    if worker == 0:
        now = seconds()
        if now >= call.next_poll:
            call.next_poll = now + POLL_SECONDS
            look_for_signals(call)
    if atomic_load(&call.stop):
        return
    if not kernels(a).all_finite(below, n_rows * network.n_features):
        atomic_store(&call.broken, 1)
        atomic_store(&call.stop, 1)
        return
    if call.chunk_rows <= FEATURE_ROWS:
        predict_feature_major(call, parameters, a, below, n_rows,
                              (<real *> call.out) + begin * network.n_out)
        return
    for l in range(network.n_layers):
        layer = &network.layers[l]
        multiply_with_panels(call, layer, parameters + layer.public, a, below, below_stride, n_rows)
        if l < network.n_layers - 1:
            kernels(a).bias_activation(a, <real *> NULL, layer.stride, <real *> NULL, layer.n_out,
                                       n_rows, layer.function)
        below, below_stride, a, spare = a, layer.stride, spare, a
    finish_outputs(network, layer, below, n_rows, output,
                   (<real *> call.out) + begin * network.n_out)


cdef void predict_feature_major(Prediction *call, real *parameters, real *x, real *rows,
                                Py_ssize_t n_rows, real *out) noexcept nogil:
    """A few dozen rows, whose inputs and activations lie side by side; weights where they lie."""
    cdef Network *network = call.network
    cdef Py_ssize_t stride = (n_rows + 15) // 16 * 16, l
    cdef real *a = x + network.n_features * stride
    cdef real *spare = a + network.widest * stride
    cdef real *zeros = spare + network.widest * stride
    cdef real *w
    cdef Layer *layer
    kernels(x).transpose_padded(x, stride, rows, network.n_features, n_rows, network.n_features)
    for l in range(network.n_layers):
        layer = &network.layers[l]
        w = parameters + layer.public   # the bias is in column 0
        kernels(a).feature_product(a, stride, x, stride, w + 1, layer.n_in + 1, w, layer.n_in + 1,
                                   n_rows, layer.n_in, layer.n_out)
        if l < network.n_layers - 1:
            kernels(a).bias_activation(a, <real *> NULL, stride, <real *> NULL, stride, layer.n_out,
                                       layer.function)
            x, a, spare = a, spare, a
    memset(zeros, 0, network.n_out * sizeof(real))
    kernels(a).output_activation(a, stride, zeros, network.n_out, n_rows, layer.function, False)
    kernels(a).scatter_transposed(out, a, stride, n_rows, network.n_out)


cdef void multiply_with_panels(Prediction *call, Layer *layer, real *w, real *a, real *below,
                               Py_ssize_t below_stride, Py_ssize_t n_rows) noexcept nogil:
    """a (n_rows, n_out) = W (1, below), W being public: the bias is in column 0."""
    cdef real *panels = NULL
    if call.panels != NULL:
        panels = (<real *> call.panels) + layer.panels
    kernels(a).panel_product(a, layer.stride, below, below_stride, w + 1, layer.n_in + 1, w,
                             layer.n_in + 1, panels, n_rows, layer.n_in, layer.n_out)


cdef void finish_outputs(Network *network, Layer *last, real *z, Py_ssize_t n_rows, real *output,
                         real *out) noexcept nogil:
    """out (n_rows, n_out) = f(z). Feature-major between, where vectors are full."""
    cdef Py_ssize_t row_stride = (n_rows + 15) // 16 * 16
    cdef real *zeros = output + last.n_out * row_stride
    memset(zeros, 0, last.n_out * sizeof(real))
    kernels(z).transpose_padded(output, row_stride, z, last.stride, n_rows, last.n_out)
    kernels(z).output_activation(output, row_stride, zeros, last.n_out, n_rows, last.function,
                                 False)
    kernels(z).scatter_transposed(out, output, row_stride, n_rows, last.n_out)


cdef Py_ssize_t chunk_numbers(Prediction *call) noexcept nogil:
    """Numbers of scratch for a chunk, its inputs of the other precision aside."""
    cdef Network *network = call.network
    cdef Py_ssize_t n_rows = (call.chunk_rows + 15) // 16 * 16
    if call.chunk_rows <= FEATURE_ROWS:
        return (network.n_features + 2 * network.widest) * n_rows + network.widest
    return (3 * call.chunk_rows + 16) * network.widest_stride


cdef Py_ssize_t scratch_numbers(Prediction *call, bint few) noexcept nogil:
    """Numbers of scratch that a worker needs."""
    cdef Network *network = call.network
    cdef Py_ssize_t n_rows = call.chunk_rows
    cdef Py_ssize_t inputs = n_rows * network.n_features if call.converts else 0
    if few:
        return network.widest + 2 * n_rows * network.widest + inputs
    return chunk_numbers(call) + inputs


cdef void outputs_f32(void *call, Py_ssize_t piece, int worker) noexcept nogil:
    predict_chunk(<Prediction *> call, <float *> (<Prediction *> call).parameters, piece, worker)


cdef void outputs_f64(void *call, Py_ssize_t piece, int worker) noexcept nogil:
    predict_chunk(<Prediction *> call, <double *> (<Prediction *> call).parameters, piece, worker)


cdef Py_ssize_t shares(Py_ssize_t n, Py_ssize_t largest) noexcept nogil:
    """How many shares of at most `largest` make up n."""
    return (n + largest - 1) // largest


cdef class Panels:
    """The weights of a network, packed by `Engine.fill_panels` for the SIMD level of then."""

    cdef _Buffer memory
    cdef int level

    def __cinit__(self, Py_ssize_t n_bytes):
        self.memory, self.level = _Buffer(), _level
        self.memory.reserve(n_bytes)


cdef class _Predictions(_Workspace):
    """An engine's outputs of dense rows."""

    cdef atomic_uintptr_t kept   # scratch of the last call, unless another one is using it

    def __dealloc__(self):
        fm_deallocate(<void *> take_pointer(&self.kept, 0))

    cdef char *borrow(self, size_t n_bytes) except NULL:
        """Memory on cache lines of its own, with its size in the line before."""
        cdef char *memory = <char *> take_pointer(&self.kept, 0)
        if memory != NULL and (<size_t *> memory)[0] >= n_bytes:
            return memory + 64
        fm_deallocate(memory)
        memory = <char *> fm_allocate(64, 64 + n_bytes)
        if memory == NULL:
            raise MemoryError()
        (<size_t *> memory)[0] = n_bytes
        return memory + 64

    cdef void give_back(self, char *memory):
        """Keep borrowed memory for the next call."""
        fm_deallocate(<void *> take_pointer(&self.kept, <size_t> (memory - 64)))

    def fill_panels(self, parameters):
        cdef Panels panels
        cdef Py_ssize_t l
        cdef Layer *layer
        cdef char *w = <char *> address(parameters)
        if parameters.dtype != self.dtype or parameters.shape != (self.n_parameters,):
            raise ValueError(f"parameters must hold {self.n_parameters} numbers")
        if self.needs_no_panels():
            return None
        panels = Panels(self.n_panels * self.dtype.itemsize)
        for l in range(self.job.network.n_layers):
            layer = &self.job.network.layers[l]
            if self.dtype.itemsize == 4:
                kernels(<float *> w).pack_panels(
                    (<float *> panels.memory.data) + layer.panels,
                    (<float *> w) + layer.public + 1, layer.n_in + 1, layer.n_in, layer.n_out)
            else:
                kernels(<double *> w).pack_panels(
                    (<double *> panels.memory.data) + layer.panels,
                    (<double *> w) + layer.public + 1, layer.n_in + 1, layer.n_in, layer.n_out)
        return panels

    def predict_dense(self, parameters, x, out=None, Py_ssize_t n_threads=1, Panels panels=None):
        cdef Prediction call
        cdef Py_buffer rows, weights, outputs
        cdef bint taken = False
        try:
            PyObject_GetBuffer(x, &rows, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (TypeError, BufferError, ValueError):
            return None
        try:
            if not self.takes(&rows):
                return None
            if out is None:
                out = np.empty((rows.shape[0], self.job.network.n_out), self.dtype)
            elif not (isinstance(out, np.ndarray) and out.dtype == self.dtype
                      and out.shape == (rows.shape[0], self.job.network.n_out)
                      and out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
                return None
            call.converts = rows.itemsize != self.dtype.itemsize
            call.network, call.x, call.n_rows = &self.job.network, <char *> rows.buf, rows.shape[0]
            call.panels = NULL
            if panels is not None and panels.level == _level:
                call.panels = panels.memory.data
            PyObject_GetBuffer(out, &outputs, PyBUF_SIMPLE)
            try:
                PyObject_GetBuffer(parameters, &weights, PyBUF_SIMPLE)
                try:
                    if weights.len != self.n_parameters * self.dtype.itemsize:
                        raise ValueError(f"parameters must hold {self.n_parameters} numbers")
                    call.parameters, call.out = weights.buf, outputs.buf
                    taken = self.run_prediction(&call, n_threads)
                finally:
                    PyBuffer_Release(&weights)
            finally:
                PyBuffer_Release(&outputs)
            return out if taken else None
        finally:
            PyBuffer_Release(&rows)

    cdef bint takes(self, Py_buffer *rows):
        """Whether these are rows of this network, of one precision or the other."""
        return (rows.ndim == 2 and rows.format[0] in (c"f", c"d") and rows.format[1] == 0
                and 1 <= rows.shape[0] and rows.shape[1] == self.job.network.n_features
                and (rows.shape[0] <= self.few_rows or self.has_panels)
                and <size_t> rows.buf % rows.itemsize == 0)

    cdef bint run_prediction(self, Prediction *call, Py_ssize_t n_threads) except -1:
        """False if a row is not finite; what signal handlers raise is raised."""
        cdef bint few = call.n_rows <= self.few_rows
        cdef Py_ssize_t item = self.dtype.itemsize
        cdef Py_ssize_t n_wanted = min(n_threads, call.n_rows * self.row_flop // self.worker_flop)
        n_wanted = 1 if few else max(1, n_wanted)
        call.chunk_rows = call.n_rows if few else self.rows_of_chunk(call.n_rows, n_wanted)
        call.scratch_bytes = round_up(scratch_numbers(call, few) * item, 64)
        call.scratch = self.borrow(n_wanted * call.scratch_bytes)
        call.interruption, call.next_poll = NULL, seconds() + POLL_SECONDS
        atomic_store(&call.stop, 0)
        atomic_store(&call.broken, 0)
        if few and call.n_rows * self.row_flop < SHORT_FLOP:
            self.predict_few(call)
        else:
            with nogil:
                if few:
                    self.predict_few(call)
                else:
                    self.share_prediction(call, n_wanted, shares(call.n_rows, call.chunk_rows))
        self.give_back(call.scratch)
        if call.interruption != NULL:
            error = <object> call.interruption
            Py_DECREF(error)
            raise error
        return not atomic_load(&call.broken)

    cdef bint needs_no_panels(self) noexcept nogil:
        """Whether all rows of predictions lie feature-major, however many."""
        return _has_32_registers or self.job.network.widest <= FEATURE_NODES

    cdef Py_ssize_t rows_of_chunk(self, Py_ssize_t n_rows, Py_ssize_t n_workers) noexcept nogil:
        """Chunks of whole vectors if their rows lie feature-major, else of equal size."""
        cdef Py_ssize_t n_chunks
        if self.needs_no_panels() or n_rows <= MOST_FEATURE_CHUNKS * FEATURE_ROWS * n_workers:
            n_chunks = n_workers * shares(n_rows, n_workers * FEATURE_ROWS)
            return round_up(shares(n_rows, n_chunks), 16)
        return shares(n_rows, n_workers * shares(n_rows, n_workers * self.panel_rows))

    cdef void predict_few(self, Prediction *call) noexcept nogil:
        if self.is_double:
            predict_few(call, <double *> call.parameters)
        else:
            predict_few(call, <float *> call.parameters)

    cdef void share_prediction(self, Prediction *call, int n_wanted,
                               Py_ssize_t n_chunks) noexcept nogil:
        cdef int n_workers = fm_team_enter(n_wanted)
        fm_team_share(n_workers, outputs_f64 if self.is_double else outputs_f32, call, n_chunks)
        fm_team_leave(n_workers)
