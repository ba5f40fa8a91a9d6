# Batch after batch, each shared with the team; part of _core.pyx.

cdef double seconds() noexcept nogil:
    return 1e-9 * fm_nanoseconds()


cdef void check_signals(Job *job) noexcept with gil:
    cdef uint64_t mode = fm_float_mode()
    fm_set_float_mode(job.run.float_mode)
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        stop_with(job, error)
    finally:
        fm_set_float_mode(mode)


cdef void stop_with(Job *job, error):
    """End the run with the first exception: without a GIL, several workers may have one at once."""
    if not atomic_exchange(&job.run.stop, 1):
        (<Engine> job.run.engine).interruption = error


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
                    Py_ssize_t begin, Py_ssize_t n, Py_ssize_t mask_shift,
                    fm_totals *totals) noexcept nogil:
    """Activations and deltas of n rows from position `begin` of the epoch."""
    cdef Rows rows = load_rows(job, scratch, at, begin, n)
    rows.mask += mask_shift
    cdef real *sample_weights = load_targets(job, own, begin, n)
    forward(job, now, scratch, own, &rows)
    finish_output(job, now, own, sample_weights, n, totals)
    backward(job, now, scratch, own, &rows)
    return rows


cdef void layer_gradients(Job *job, real *scratch, real *own, Rows *rows, real *gradient,
                          bint accumulate) noexcept nogil:
    """Weight and bias gradients of a chunk, all layers, into a lane."""
    cdef Layer *layer
    cdef Block whole
    whole.row = whole.column = 0
    for l in range(job.network.n_layers - 1, -1, -1):
        layer = &job.network.layers[l]
        whole.layer, whole.n_rows, whole.n_columns = l, layer.n_out, layer.n_in
        weight_gradient(job, scratch, own, rows, &whole, gradient + layer.padded_weights, accumulate)
        bias_gradient(job, scratch, rows, l, 0, layer.n_out, gradient + layer.padded_bias,
                      accumulate)


cdef struct Lane:            # rows whose gradient is one sum
    Py_ssize_t begin, end, mask_shift
    fm_totals *totals


cdef Lane lane_of(Job *job, Plan *plan, Py_ssize_t batch_begin, Py_ssize_t number) noexcept nogil:
    """The rows of a lane of the step."""
    cdef Lane lane
    cdef Py_ssize_t begin = number * plan.lane_rows
    if job.shards.n_own > 0:
        return lane_of_shard(job, batch_begin // job.run.batch_size, number)
    lane.begin = batch_begin + begin
    lane.end = batch_begin + min(begin + plan.lane_rows, plan.n_rows)
    lane.mask_shift, lane.totals = 0, &job.scratch.totals[number]
    return lane


cdef void run_lane(Job *job, Weights *now, real *scratch, real *own, Plan *plan,
                   Py_ssize_t batch_begin, Py_ssize_t number, int worker) noexcept nogil:
    """Totals and gradient of one lane, chunk by chunk."""
    cdef real *gradient = (<real *> job.scratch.lanes) + number * job.scratch.lane_stride
    cdef Lane lane = lane_of(job, plan, batch_begin, number)
    cdef Py_ssize_t begin = lane.begin
    cdef Py_ssize_t n
    cdef bint accumulate = False
    cdef Rows rows
    lane.totals[0] = add_totals(NULL, 0)
    if begin == lane.end:   # a shard may have no row in a short batch
        memset(gradient, 0, job.network.n_padded * sizeof(real))
    while begin < lane.end:
        if is_stopped(job, worker):
            return
        n = min(plan.chunk_rows, lane.end - begin)
        rows = run_chunk(job, now, scratch, own, 0, begin, n, lane.mask_shift, lane.totals)
        layer_gradients(job, scratch, own, &rows, gradient, accumulate)
        accumulate = True
        begin += n


cdef void run_rows(Job *job, real *weights, Py_ssize_t piece, int worker) noexcept nogil:
    """A piece of the step's rows: a lane, or a chunk whose deltas are kept for blocks; of sparse rows
    the values by column first."""
    cdef real *own = <real *> (job.scratch.own + worker * job.scratch.own_bytes)
    cdef Step *step = &job.run.step
    cdef Plan *plan = step.plan
    cdef real *scratch = <real *> (
        job.scratch.matrices + (0 if plan.blocks else worker * job.scratch.matrices_bytes))
    cdef Py_ssize_t begin, n
    cdef Weights now
    if job.data.sparse:
        if piece == 0:
            sort_values(job, <real *> job.sparse.values)
            return
        piece -= 1
    begin = piece * plan.chunk_rows
    now.matrices = now.biases = weights
    if not plan.blocks:
        for _ in range(MAX_ATTEMPTS):
            run_lane(job, &now, scratch, own, plan, step.begin, piece, worker)
            if not fm_blas_was_disturbed():
                return
    elif not is_stopped(job, worker):
        job.scratch.totals[piece] = add_totals(NULL, 0)
        n = min(plan.chunk_rows, plan.n_rows - begin)
        run_chunk(job, &now, scratch, own, begin, step.begin + begin, n, 0,
                  &job.scratch.totals[piece])
        if job.data.sparse:
            clear_padding(job, scratch, begin, n)


cdef void record_batch(Job *job, Py_ssize_t batch, fm_totals total, double scale) noexcept nogil:
    cdef double penalty = 0
    cdef double weight = total.weight if total.weight > 0 else 1.0
    for i in range(job.run.n_blocks):
        penalty += job.scratch.block_penalties[i]
    job.run.costs[batch] = scale * total.loss + penalty
    job.run.penalties[batch] = penalty
    job.run.errors[batch] = total.error / (weight * job.network.n_out)
    job.run.accuracies[batch] = total.n_correct / weight


cdef void train_batches(Job *job, real *vectors, int n_workers) noexcept nogil:
    """All batches of the call: the rows of each, then its update, shared with the team.

    A step reads one of two weight vectors and writes the other; whoever stops before its end has
    not done it.
    """
    cdef Step *step = &job.run.step
    cdef fm_totals total
    cdef double loss_scale
    cdef Py_ssize_t batch
    step.old, step.new = vectors, vectors + job.network.n_padded
    for batch in range(job.run.first_batch, job.run.last_batch):
        step.begin = batch * job.run.batch_size
        step.plan = &job.run.short_last
        if job.shards.n_own > 0:
            step.plan.n_rows = job.shards.batch_rows[batch]
        elif step.begin + job.run.batch_size <= job.data.n_rows:
            step.plan = &job.run.full
        fm_team_share(n_workers, job.passes.rows, job, step.plan.n_totals + job.data.sparse)
        if is_stopped(job, 0):   # looks once a batch, also where helpers have taken all pieces
            job.run.status = STOPPED
            return
        if job.shards.n_own > 0:
            total = sum_shards(job, n_workers)
            if is_stopped(job, 0):
                job.run.status = STOPPED
                return
        else:
            total = add_totals(job.scratch.totals, step.plan.n_totals)
        if not is_finite(total.loss):
            job.run.status = BROKEN
            return
        step.rule = batch_rule(job, total, step.plan.n_rows,
                               job.run.n_steps + batch - job.run.first_batch + 1)
        loss_scale = step.rule.gradient_scale
        if job.sparse.in_lane:
            fm_team_share(n_workers, job.passes.gradients, job, job.run.n_blocks)
        if job.run.max_norm > 0:
            fm_team_share(n_workers, job.passes.squares, job, job.run.n_blocks)
            clip(job, &step.rule)
        fm_team_share(n_workers, job.passes.update, job, job.run.n_blocks)
        if atomic_load(&job.run.broken):
            job.run.status = BROKEN
            return
        step.old, step.new = step.new, step.old
        job.sparse.now, job.sparse.before = job.sparse.before, job.sparse.now
        record_batch(job, batch, total, loss_scale)
        job.run.batches_done += 1


cdef void gradient_of_rows(Job *job, int n_workers) noexcept nogil:
    """The lanes of one batch of all rows; nothing is updated."""
    job.run.step.old, job.run.step.plan = job.network.vectors, &job.run.full
    job.run.step.begin = 0
    fm_team_share(n_workers, job.passes.rows, job, job.run.full.n_lanes)
    job.run.total = add_totals(job.scratch.totals, job.run.full.n_totals)


cdef void add_lanes(Job *job, real *lanes) noexcept nogil:
    """The lanes of job.run.full, in their order, into the first."""
    cdef Py_ssize_t lane, i
    for lane in range(1, job.run.full.n_lanes):
        for i in range(job.network.n_padded):
            lanes[i] += lanes[lane * job.scratch.lane_stride + i]
