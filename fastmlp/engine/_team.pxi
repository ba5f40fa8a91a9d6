# The passes of each precision, as the team wants them; part of _core.pyx.

cdef void rows_f32(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    run_rows(<Job *> job, <float *> (<Job *> job).run.step.old, piece, worker)


cdef void rows_f64(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    run_rows(<Job *> job, <double *> (<Job *> job).run.step.old, piece, worker)


cdef void gradients_f32(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    gradient_piece(<Job *> job, <float *> (<Job *> job).scratch.lanes, piece, worker)


cdef void gradients_f64(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    gradient_piece(<Job *> job, <double *> (<Job *> job).scratch.lanes, piece, worker)


cdef void squares_f32(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    add_squares(<Job *> job, <float *> (<Job *> job).scratch.lanes, piece)


cdef void squares_f64(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    add_squares(<Job *> job, <double *> (<Job *> job).scratch.lanes, piece)


cdef void update_f32(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    update_piece(<Job *> job, <float *> (<Job *> job).run.step.new, piece, worker)


cdef void update_f64(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    update_piece(<Job *> job, <double *> (<Job *> job).run.step.new, piece, worker)


cdef void chunk_f32(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    evaluate_chunk(<Job *> job, <float *> (<Job *> job).network.parameters, piece, worker)


cdef void chunk_f64(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    evaluate_chunk(<Job *> job, <double *> (<Job *> job).network.parameters, piece, worker)


cdef void add_f32(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    add_slots(<Job *> job, <float *> (<Job *> job).scratch.lanes, piece)


cdef void add_f64(void *job, Py_ssize_t piece, int worker) noexcept nogil:
    add_slots(<Job *> job, <double *> (<Job *> job).scratch.lanes, piece)


cdef void train_f32(Job *job, int n_workers) noexcept nogil:
    train_batches(job, <float *> job.network.vectors, n_workers)


cdef void train_f64(Job *job, int n_workers) noexcept nogil:
    train_batches(job, <double *> job.network.vectors, n_workers)


cdef Passes passes_f32 = Passes(train=train_f32, rows=rows_f32, gradients=gradients_f32,
                                squares=squares_f32, update=update_f32, chunk=chunk_f32, add=add_f32)
cdef Passes passes_f64 = Passes(train=train_f64, rows=rows_f64, gradients=gradients_f64,
                                squares=squares_f64, update=update_f64, chunk=chunk_f64, add=add_f64)


cdef void evaluate_rows(Job *job, int n_workers) noexcept nogil:
    """All chunks of an evaluation or prediction."""
    fm_team_share(n_workers, job.passes.chunk, job, job.run.full.n_totals)
