# Evaluation and prediction, chunk by chunk on all threads or row by row; part of _core.pyx.

cdef void evaluate_chunks(Job *job, real *parameters, int worker) noexcept nogil:
    """Chunks of rows: totals of each, or outputs where `out` is given."""
    cdef real *scratch = <real *> (job.scratch.matrices + worker * job.scratch.matrices_bytes)
    cdef real *own = <real *> (job.scratch.own + worker * job.scratch.own_bytes)
    cdef Layer *last = &job.network.layers[job.network.n_layers - 1]
    cdef Py_ssize_t chunk, begin, n
    cdef Weights now
    cdef Rows rows
    cdef real *z
    now.matrices, now.biases = parameters, job.network.biases
    while True:
        chunk = atomic_fetch_add(&job.run.next_piece, 1)
        begin = chunk * job.run.full.chunk_rows
        if begin >= job.data.n_rows:
            return
        if is_stopped(job, worker):
            return
        n = min(job.run.full.chunk_rows, job.data.n_rows - begin)
        rows = load_rows(job, scratch, 0, begin, n)
        z = forward(job, &now, scratch, own, &rows)
        if job.data.out != NULL:
            # Here, where the rows are in the cache, instead of in a pass of its own before.
            if job.data.columns == NULL and not kernels(z).all_finite(
                    (<real *> job.data.x) + begin * job.network.n_features,
                    n * job.network.n_features):
                atomic_store(&job.run.broken, 1)
            kernels(z).output_activation(z, job.scratch.row_stride,
                                         (<real *> job.network.biases) + last.bias, last.n_out, n,
                                         last.function, False)
            kernels(z).scatter_transposed((<real *> job.data.out) + begin * job.network.n_out, z,
                                          job.scratch.row_stride, n, job.network.n_out)
        else:
            job.scratch.totals[chunk] = add_totals(NULL, 0)
            finish_output(job, &now, own, load_targets(job, own, begin, n), n,
                          &job.scratch.totals[chunk])


cdef void evaluate_f32(void *job, int worker, int n_workers) noexcept nogil:
    evaluate_chunks(<Job *> job, <float *> (<Job *> job).network.parameters, worker)


cdef void evaluate_f64(void *job, int worker, int n_workers) noexcept nogil:
    evaluate_chunks(<Job *> job, <double *> (<Job *> job).network.parameters, worker)


cdef void predict_few(Job *job, real *parameters, real *x, Py_ssize_t n_rows, real *buffer,
                      real *out) noexcept nogil:
    """Row by row, without BLAS or team; buffer has two padded rows of the widest layer, and one of
    zeros in the place of biases that dot_row has already added."""
    cdef Layer *layer
    cdef real *a
    cdef real *below
    cdef Py_ssize_t r, l
    for r in range(n_rows):
        below = x + r * job.network.n_features
        for l in range(job.network.n_layers):
            layer = &job.network.layers[l]
            a = buffer + (l & 1) * job.network.widest
            if l == job.network.n_layers - 1:
                a = out + r * job.network.n_out
            kernels(a).dot_row(a, below, parameters + layer.public, layer.n_out, layer.n_in + 1)
            if layer.function >= FM_SOFTMAX:
                kernels(a).output_activation(a, 1, buffer + 2 * job.network.widest, layer.n_out, 1,
                                             layer.function, False)
            else:
                kernels(a).bias_activation(a, <real *> NULL, layer.n_out, <real *> NULL,
                                           layer.n_out, 1, layer.function)
            below = a
