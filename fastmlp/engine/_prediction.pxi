# Evaluation, and prediction of sparse rows or with BLAS, chunk by chunk; part of _core.pyx.

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
