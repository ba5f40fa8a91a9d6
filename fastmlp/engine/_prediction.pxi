# Evaluation and prediction, chunk by chunk or row by row; part of _core.pyx.

cdef void evaluate_chunk(Job *job, real *parameters, Py_ssize_t chunk, int worker) noexcept nogil:
    """Totals of a chunk of rows, or its outputs where `out` is given."""
    cdef real *scratch = <real *> (job.scratch.matrices + worker * job.scratch.matrices_bytes)
    cdef real *own = <real *> (job.scratch.own + worker * job.scratch.own_bytes)
    cdef Layer *last = &job.network.layers[job.network.n_layers - 1]
    cdef Py_ssize_t begin = chunk * job.run.full.chunk_rows
    cdef Py_ssize_t n = min(job.run.full.chunk_rows, job.data.n_rows - begin)
    cdef Weights now
    cdef Rows rows
    cdef real *z
    if is_stopped(job, worker):
        return
    now.matrices, now.biases = parameters, job.network.biases
    rows = load_rows(job, scratch, 0, begin, n)
    z = forward(job, &now, scratch, own, &rows)
    if job.data.out == NULL:
        job.scratch.totals[chunk] = add_totals(NULL, 0)
        finish_output(job, &now, own, load_targets(job, own, begin, n), n,
                      &job.scratch.totals[chunk])
        return
    # Here, where the rows are in the cache, instead of in a pass of its own before.
    if job.data.columns == NULL and not kernels(z).all_finite(
            (<real *> job.data.x) + begin * job.network.n_features, n * job.network.n_features):
        atomic_store(&job.run.broken, 1)
    kernels(z).output_activation(z, job.scratch.row_stride, (<real *> job.network.biases) + last.bias,
                                 last.n_out, n, last.function, False)
    kernels(z).scatter_transposed((<real *> job.data.out) + begin * job.network.n_out, z,
                                  job.scratch.row_stride, n, job.network.n_out)


cdef void predict_few(Job *job, real *parameters, real *x, Py_ssize_t n_rows, real *buffer,
                      real *out) noexcept nogil:
    """Without BLAS, team or copies of the weights; buffer has a row of zeros, in the place of biases
    that dot_rows has already added, and two matrices of at most FEW_AT_ONCE rows of the widest
    layer."""
    cdef Py_ssize_t n_together = min(n_rows, <Py_ssize_t> FEW_AT_ONCE), begin = 0
    cdef real *a = buffer + job.network.widest
    while begin < n_rows:
        predict_together(job, parameters, x + begin * job.network.n_features,
                         min(n_rows - begin, n_together), a, a + n_together * job.network.widest,
                         buffer, out + begin * job.network.n_out)
        begin += n_together


cdef void predict_together(Job *job, real *parameters, real *x, Py_ssize_t n_rows, real *a,
                           real *spare, real *zeros, real *out) noexcept nogil:
    """All layers for at most FEW_AT_ONCE rows."""
    cdef Layer *layer
    cdef real *below = x
    cdef Py_ssize_t l, r
    for l in range(job.network.n_layers):
        layer = &job.network.layers[l]
        if l == job.network.n_layers - 1:
            a = out
        kernels(a).dot_rows(a, layer.n_out, below, layer.n_in, parameters + layer.public, n_rows,
                            layer.n_out, layer.n_in + 1)
        if layer.function < FM_SOFTMAX:
            kernels(a).bias_activation(a, <real *> NULL, layer.n_out, <real *> NULL, layer.n_out,
                                       n_rows, layer.function)
        else:
            for r in range(n_rows):
                kernels(a).output_activation(a + r * layer.n_out, 1, zeros, layer.n_out, 1,
                                             layer.function, False)
        below, a, spare = a, spare, a
