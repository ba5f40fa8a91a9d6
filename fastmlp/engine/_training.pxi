# Batch after batch on all threads; part of _core.pyx.

cdef double seconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + 1e-9 * now.tv_nsec


cdef void check_signals(Job *job) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<Engine> job.run.engine).interruption = error
        atomic_store(&job.run.stop, 1)


cdef bint is_stopped(Job *job, int worker) noexcept nogil:
    """Let Python see Ctrl-C, at most every POLL_SECONDS; only the Python thread, worker 0, asks."""
    cdef double now
    if worker == 0:
        now = seconds()
        if now >= job.run.next_poll:
            job.run.next_poll = now + POLL_SECONDS
            check_signals(job)
    return atomic_load(&job.run.stop) != 0


cdef fm_totals add_totals(fm_totals *parts, Py_ssize_t n) noexcept nogil:
    cdef fm_totals total
    total.loss = total.error = total.weight = total.n_correct = 0
    for i in range(n):
        total.loss += parts[i].loss
        total.error += parts[i].error
        total.weight += parts[i].weight
        total.n_correct += parts[i].n_correct
    return total


cdef bint is_finite(double x) noexcept nogil:
    return x - x == 0


# --- Training ---------------------------------------------------------------------------------

cdef Rows run_chunk(Job *job, Weights *now, real *scratch, real *own, Py_ssize_t at,
                    Py_ssize_t begin, Py_ssize_t n, fm_totals *totals) noexcept nogil:
    """Activations and deltas of n rows from position `begin` of the epoch."""
    cdef Rows rows = load_rows(job, scratch, at, begin, n)
    cdef real *sample_weights = load_targets(job, own, begin, n)
    forward(job, now, scratch, own, &rows)
    finish_output(job, now, own, sample_weights, n, totals)
    backward(job, now, scratch, own, &rows)
    return rows


cdef void layer_gradients(Job *job, real *scratch, Rows *rows, real *gradient,
                          bint accumulate) noexcept nogil:
    """Weight and bias gradients of a chunk, all layers, into a lane."""
    cdef Layer *layer
    cdef Block whole
    whole.row = whole.column = 0
    for l in range(job.network.n_layers - 1, -1, -1):
        layer = &job.network.layers[l]
        whole.layer, whole.n_rows, whole.n_columns = l, layer.n_out, layer.n_in
        weight_gradient(job, scratch, rows, &whole, gradient + layer.padded_weights, accumulate)
        bias_gradient(job, scratch, rows, l, 0, layer.n_out, gradient + layer.padded_bias,
                      accumulate)


cdef void run_lane(Job *job, Weights *now, real *scratch, real *own, Plan *plan,
                   Py_ssize_t batch_begin, Py_ssize_t lane, int worker) noexcept nogil:
    """Totals and gradient of one lane, chunk by chunk."""
    cdef real *gradient = (<real *> job.scratch.lanes) + lane * job.scratch.lane_stride
    cdef Py_ssize_t begin = lane * plan.lane_rows
    cdef Py_ssize_t end = min(begin + plan.lane_rows, plan.n_rows)
    cdef Py_ssize_t n
    cdef bint accumulate = False
    cdef Rows rows
    job.scratch.totals[lane] = add_totals(NULL, 0)
    while begin < end:
        if is_stopped(job, worker):
            return
        n = min(plan.chunk_rows, end - begin)
        rows = run_chunk(job, now, scratch, own, 0, batch_begin + begin, n,
                         &job.scratch.totals[lane])
        layer_gradients(job, scratch, &rows, gradient, accumulate)
        accumulate = True
        begin += n


cdef void run_rows(Job *job, Weights *now, real *own, Plan *plan, Py_ssize_t batch_begin,
                   int worker) noexcept nogil:
    """This worker's share of the batch: whole lanes, or chunks whose deltas are kept for blocks."""
    cdef real *scratch = <real *> (
        job.scratch.matrices + (0 if plan.blocks else worker * job.scratch.matrices_bytes))
    cdef Py_ssize_t piece, begin
    if is_stopped(job, worker):   # once a batch, also where the others have taken all pieces
        return
    while True:
        piece = atomic_fetch_add(&job.run.next_piece, 1)
        if plan.blocks:
            begin = piece * plan.chunk_rows
            if begin >= plan.n_rows or is_stopped(job, worker):
                return
            job.scratch.totals[piece] = add_totals(NULL, 0)
            run_chunk(job, now, scratch, own, begin, batch_begin + begin,
                      min(plan.chunk_rows, plan.n_rows - begin), &job.scratch.totals[piece])
        elif piece >= plan.n_lanes:
            return
        else:
            for _ in range(MAX_ATTEMPTS):
                run_lane(job, now, scratch, own, plan, batch_begin, piece, worker)
                if not fm_blas_was_disturbed():
                    break


cdef void synchronise(Job *job, int n_workers) noexcept nogil:
    """All workers wait for each other."""
    if fm_team_barrier(n_workers):
        atomic_fetch_add(&job.run.sleeps, 1)


cdef void watch_sleeps(Job *job, Py_ssize_t batch) noexcept nogil:
    """Let worker 0 go on alone where the others cost more time than they save.

    On a busy machine every barrier of a short step can become a wait for the scheduler. The bits do
    not depend on the number of workers. All of them begin again in a call after ALONE_SECONDS.
    """
    cdef double now, elapsed
    cdef bint is_slow
    if (batch - job.run.first_batch) % WATCHED_STEPS != WATCHED_STEPS - 1:
        return
    now = seconds()
    elapsed = now - job.run.watched_since
    is_slow = atomic_load(&job.run.sleeps) >= MANY_SLEEPS and elapsed > job.run.alone_window > 0
    job.run.slow_windows = job.run.slow_windows + 1 if is_slow else 0
    if job.run.slow_windows >= SLOW_WINDOWS:
        atomic_store(&job.run.alone, 1)
    atomic_store(&job.run.sleeps, 0)
    job.run.watched_since = now


cdef void end(Job *job, int status, int worker) noexcept nogil:
    """All workers come to the same end; one says so."""
    if worker == 0:
        job.run.status = status


cdef void record_batch(Job *job, Py_ssize_t batch, fm_totals total, double scale) noexcept nogil:
    cdef double penalty = 0
    cdef double weight = total.weight if total.weight > 0 else 1.0
    for i in range(job.run.n_blocks):
        penalty += job.scratch.block_penalties[i]
    job.run.costs[batch] = scale * total.loss + penalty
    job.run.penalties[batch] = penalty
    job.run.errors[batch] = total.error / (weight * job.network.n_out)
    job.run.accuracies[batch] = total.n_correct / weight


cdef void train_batches(Job *job, real *vectors, int worker, int n_workers) noexcept nogil:
    """What every worker does: rows, barrier, update, barrier, for all batches of the call.

    A step reads one of two weight vectors and writes the other; whoever stops before the end of a
    step has not done it.
    """
    cdef real *own = <real *> (job.scratch.own + worker * job.scratch.own_bytes)
    cdef real *old = vectors
    cdef real *new = vectors + job.network.n_padded
    cdef Weights now
    cdef Plan *plan
    cdef fm_totals total
    cdef fm_rule rule
    cdef double loss_scale
    cdef Py_ssize_t batch, begin
    for batch in range(job.run.first_batch, job.run.last_batch):
        begin = batch * job.run.batch_size
        plan = &job.run.short_last
        if begin + job.run.batch_size <= job.data.n_rows:
            plan = &job.run.full
        now.matrices = now.biases = old
        if worker == 0:
            atomic_store(&job.run.next_block, 0)
        run_rows(job, &now, own, plan, begin, worker)
        synchronise(job, n_workers)

        # From here to the next barrier nobody writes stop or totals: all take the same branch.
        if atomic_load(&job.run.stop):
            end(job, STOPPED, worker)
            return
        total = add_totals(job.scratch.totals, plan.n_totals)
        if not is_finite(total.loss):
            end(job, BROKEN, worker)
            return
        rule = batch_rule(job, total, plan.n_rows,
                          job.run.n_steps + batch - job.run.first_batch + 1)
        loss_scale = rule.gradient_scale
        if job.run.max_norm > 0:
            add_squares(job, old, plan.n_lanes, &rule, worker, n_workers)
            synchronise(job, n_workers)
            clip(job, &rule)
        if plan.blocks:
            update_by_blocks(job, new, old, own, begin, plan, &rule, worker)
        else:
            update_from_lanes(job, new, old, plan.n_lanes, &rule, worker, n_workers)
        if worker == 0:
            atomic_store(&job.run.next_piece, 0)
            if n_workers > 1:
                watch_sleeps(job, batch)
        synchronise(job, n_workers)

        if atomic_load(&job.run.broken):
            end(job, BROKEN, worker)
            return
        old, new = new, old
        if worker == 0:
            record_batch(job, batch, total, loss_scale)
            job.run.batches_done += 1
        if atomic_load(&job.run.alone):   # written before the barrier: all see the same
            if worker > 0:
                return
            n_workers = 1


cdef void train_f32(void *job, int worker, int n_workers) noexcept nogil:
    train_batches(<Job *> job, <float *> (<Job *> job).network.vectors, worker, n_workers)


cdef void train_f64(void *job, int worker, int n_workers) noexcept nogil:
    train_batches(<Job *> job, <double *> (<Job *> job).network.vectors, worker, n_workers)


cdef void gradient_lanes(Job *job, real *vector, int worker) noexcept nogil:
    """This worker's lanes of one batch of all rows; nothing is updated."""
    cdef Weights now
    now.matrices = now.biases = vector
    run_rows(job, &now, <real *> (job.scratch.own + worker * job.scratch.own_bytes), &job.run.full,
             0, worker)


cdef void gradient_f32(void *job, int worker, int n_workers) noexcept nogil:
    gradient_lanes(<Job *> job, <float *> (<Job *> job).network.vectors, worker)


cdef void gradient_f64(void *job, int worker, int n_workers) noexcept nogil:
    gradient_lanes(<Job *> job, <double *> (<Job *> job).network.vectors, worker)


cdef void add_lanes(Job *job, real *lanes) noexcept nogil:
    """The lanes of job.run.full, in their order, into the first."""
    cdef Py_ssize_t lane, i
    for lane in range(1, job.run.full.n_lanes):
        for i in range(job.network.n_padded):
            lanes[i] += lanes[lane * job.scratch.lane_stride + i]
