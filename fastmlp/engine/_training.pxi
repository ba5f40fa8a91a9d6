# Batch after batch on all threads: training, evaluation, prediction; part of _core.pyx.

cdef double seconds() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + 1e-9 * now.tv_nsec


cdef void check_signals(Job *job) noexcept with gil:
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<Engine> job.engine).interruption = error
        atomic_store(&job.stop, 1)


cdef bint is_stopped(Job *job, int worker) noexcept nogil:
    """Let Python see Ctrl-C, at most every POLL_SECONDS; only the Python thread, worker 0, asks."""
    cdef double now
    if worker == 0:
        now = seconds()
        if now >= job.next_poll:
            job.next_poll = now + POLL_SECONDS
            check_signals(job)
    return atomic_load(&job.stop) != 0


cdef fm_totals add_totals(fm_totals *parts, Py_ssize_t n) noexcept nogil:
    cdef fm_totals total
    total.loss = total.error = total.weight = total.hits = 0
    for i in range(n):
        total.loss += parts[i].loss
        total.error += parts[i].error
        total.weight += parts[i].weight
        total.hits += parts[i].hits
    return total


cdef bint is_finite(double x) noexcept nogil:
    return x - x == 0


# --- Training ---------------------------------------------------------------------------------

cdef Rows run_chunk(Job *job, Weights *now, real *scratch, real *own, Py_ssize_t at,
                    Py_ssize_t begin, Py_ssize_t n, fm_totals *totals) noexcept nogil:
    """Activations and deltas of n rows from position `begin` of the epoch."""
    cdef Rows rows = load_rows(job, scratch, at, begin, n)
    cdef real *row_weights = load_targets(job, own, begin, n)
    forward(job, now, scratch, own, &rows)
    finish_output(job, now, own, row_weights, n, totals)
    backward(job, now, scratch, own, &rows)
    return rows


cdef void layer_gradients(Job *job, real *scratch, Rows *rows, real *gradient,
                          bint accumulate) noexcept nogil:
    """Weight and bias gradients of a chunk, all layers, into a lane."""
    cdef Layer *layer
    cdef Block whole
    whole.row = whole.column = 0
    for l in range(job.n_layers - 1, -1, -1):
        layer = &job.layers[l]
        whole.layer, whole.n_rows, whole.n_columns = l, layer.n_out, layer.n_in
        weight_gradient(job, scratch, rows, &whole, gradient + layer.padded_weights, accumulate)
        bias_gradient(job, scratch, rows, l, 0, layer.n_out, gradient + layer.padded_bias,
                      accumulate)


cdef void run_lane(Job *job, Weights *now, real *scratch, real *own, Plan *plan,
                   Py_ssize_t batch_begin, Py_ssize_t lane, int worker) noexcept nogil:
    """Totals and gradient of one lane, chunk by chunk."""
    cdef real *gradient = (<real *> job.lanes) + lane * job.lane_stride
    cdef Py_ssize_t begin = lane * plan.lane_rows
    cdef Py_ssize_t end = min(begin + plan.lane_rows, plan.n_rows)
    cdef Py_ssize_t n
    cdef bint accumulate = False
    cdef Rows rows
    job.totals[lane] = add_totals(NULL, 0)
    while begin < end:
        if is_stopped(job, worker):
            return
        n = min(plan.chunk_rows, end - begin)
        rows = run_chunk(job, now, scratch, own, 0, batch_begin + begin, n, &job.totals[lane])
        layer_gradients(job, scratch, &rows, gradient, accumulate)
        accumulate = True
        begin += n


cdef void run_rows(Job *job, Weights *now, real *own, Plan *plan, Py_ssize_t batch_begin,
                   int worker) noexcept nogil:
    """This worker's share of the batch: whole lanes, or chunks whose deltas are kept for blocks."""
    cdef real *scratch = <real *> (job.scratch + (0 if plan.blocks else worker * job.scratch_bytes))
    cdef Py_ssize_t piece, begin
    while True:
        piece = atomic_fetch_add(&job.next_piece, 1)
        if plan.blocks:
            begin = piece * plan.chunk_rows
            if begin >= plan.n_rows or is_stopped(job, worker):
                return
            job.totals[piece] = add_totals(NULL, 0)
            run_chunk(job, now, scratch, own, begin, batch_begin + begin,
                      min(plan.chunk_rows, plan.n_rows - begin), &job.totals[piece])
        elif piece >= plan.n_lanes:
            return
        else:
            run_lane(job, now, scratch, own, plan, batch_begin, piece, worker)


cdef fm_rule batch_rule(Job *job, fm_totals total, Py_ssize_t n_rows,
                        Py_ssize_t step) noexcept nogil:
    """The update rule of step number `step` with its scale and share of the regularisation."""
    cdef fm_rule rule = job.rule
    cdef double share = 1.0
    if job.penalty_scale == PER_SAMPLE:
        share = (<double> n_rows) / job.n_rows
    elif job.penalty_scale == PER_WEIGHT:
        share = 1.0 / total.weight if total.weight > 0 else 0.0
    rule.l2 *= share
    rule.l1 *= share
    rule.l1_cost *= share
    rule.l2_cost = rule.l2
    rule.gradient_scale = 1.0
    if job.mean_reduction:
        rule.gradient_scale = 1.0 / total.weight if total.weight > 0 else 0.0
    if rule.kind == FM_ADAM:
        rule.learning_rate /= 1 - rule.beta_1 ** <double> step
        rule.root_scale = 1 / sqrt(1 - rule.beta_2 ** <double> step)
        if job.scales_epsilon:
            rule.epsilon *= rule.root_scale
    return rule


cdef void update_range(Job *job, real *new, real *old, real *lanes, Py_ssize_t n_lanes,
                       Py_ssize_t at, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t n_columns,
                       fm_rule *rule, bint penalised, double *penalty) noexcept nogil:
    """Update a block that begins at offset `at` of the padded vectors and of nothing else."""
    cdef real *first = NULL
    cdef real *second = NULL
    if job.n_states > 0:
        first = (<real *> job.states) + at
    if job.n_states > 1:
        second = (<real *> job.states) + job.n_padded + at
    if not update(new + at, old + at, first, second, lanes, job.lane_stride, n_lanes, stride,
                  n_rows, n_columns, rule, penalised, penalty):
        atomic_store(&job.broken, 1)


cdef void update_block(Job *job, real *new, real *old, real *lanes, real *bias_lanes,
                       Py_ssize_t n_lanes, Block *block, fm_rule *rule,
                       double *penalty) noexcept nogil:
    """Update a block of weights, with the biases of its rows if it begins in column 0, and keep
    the transposed copy current that the forward product of a narrow layer wants."""
    cdef Layer *layer = &job.layers[block.layer]
    cdef Py_ssize_t at = layer.padded_weights + block.row * layer.padded_stride + block.column
    penalty[0] = 0
    update_range(job, new, old, lanes, n_lanes, at, layer.padded_stride, block.n_rows,
                 block.n_updated_columns, rule, True, penalty)
    if block.column == 0:
        update_range(job, new, old, bias_lanes, n_lanes, layer.padded_bias + block.row, 0, 1,
                     block.n_updated_biases, rule, False, penalty)
    if layer.narrow:
        transpose_padded((<real *> job.packed) + layer.packed + block.column * layer.stride
                         + block.row, layer.stride, new + at, layer.padded_stride, block.n_rows,
                         block.n_columns)


cdef void update_from_lanes(Job *job, real *new, real *old, Py_ssize_t n_lanes, fm_rule *rule,
                            int worker, int n_workers) noexcept nogil:
    """The blocks that begin in this worker's share of the padded vector."""
    cdef real *lanes = <real *> job.lanes
    cdef Py_ssize_t low = job.n_padded * worker // n_workers
    cdef Py_ssize_t high = job.n_padded * (worker + 1) // n_workers
    cdef Py_ssize_t at
    cdef Block *block
    cdef Layer *layer
    for i in range(job.n_blocks):
        block = &job.blocks[i]
        layer = &job.layers[block.layer]
        at = layer.padded_weights + block.row * layer.padded_stride + block.column
        if low <= at < high:
            update_block(job, new, old, lanes + at, lanes + layer.padded_bias + block.row, n_lanes,
                         block, rule, &job.block_penalties[i])


cdef void add_squares(Job *job, real *old, Py_ssize_t n_lanes, fm_rule *rule, int worker,
                      int n_workers) noexcept nogil:
    """The squared gradient of this worker's share of the blocks, one number a block."""
    cdef Py_ssize_t low = job.n_padded * worker // n_workers
    cdef Py_ssize_t high = job.n_padded * (worker + 1) // n_workers
    cdef Py_ssize_t at, bias_at
    cdef real *lanes = <real *> job.lanes
    cdef Block *block
    cdef Layer *layer
    for i in range(job.n_blocks):
        block = &job.blocks[i]
        layer = &job.layers[block.layer]
        at = layer.padded_weights + block.row * layer.padded_stride + block.column
        if not low <= at < high:
            continue
        job.block_squares[i] = gradient_squares(
            old + at, lanes + at, job.lane_stride, n_lanes, layer.padded_stride, block.n_rows,
            block.n_columns, rule, True)
        if block.column == 0:
            bias_at = layer.padded_bias + block.row
            job.block_squares[i] += gradient_squares(
                old + bias_at, lanes + bias_at, job.lane_stride, n_lanes, 0, 1, block.n_rows, rule,
                False)


cdef void clip(Job *job, fm_rule *rule) noexcept nogil:
    """Shorten the gradient to max_norm if it is longer; every worker finds the same factor."""
    cdef double squares = 0, factor
    for i in range(job.n_blocks):
        squares += job.block_squares[i]
    if squares <= job.max_norm * job.max_norm:
        return
    factor = job.max_norm / sqrt(squares)
    rule.gradient_scale *= factor
    rule.l1 *= factor
    rule.l2 *= factor


cdef void update_by_blocks(Job *job, real *new, real *old, real *own, Py_ssize_t batch_begin,
                           Plan *plan, fm_rule *rule, int worker) noexcept nogil:
    """Gradient and update of one block after the other, whoever comes first."""
    cdef real *scratch = <real *> job.scratch
    cdef real *g = own + job.block_at
    cdef real *bias_g = own + job.block_bias_at
    cdef Rows rows
    cdef Block *block
    cdef Py_ssize_t i
    rows.n, rows.at, rows.begin = plan.n_rows, 0, batch_begin
    rows.index, rows.x = NULL, (<real *> job.x) + batch_begin * job.n_features
    if job.order != NULL:
        rows.index, rows.x = job.order + batch_begin, job.x
    if job.gathers:
        rows.index, rows.x = NULL, scratch + job.inputs
    while True:
        i = atomic_fetch_add(&job.next_block, 1)
        if i >= job.n_blocks:
            return
        block = &job.blocks[i]
        weight_gradient(job, scratch, &rows, block, g, False)
        if block.column == 0:
            bias_gradient(job, scratch, &rows, block.layer, block.row, block.n_rows, bias_g, False)
        update_block(job, new, old, g, bias_g, 1, block, rule, &job.block_penalties[i])


cdef void synchronise(Job *job, int n_workers) noexcept nogil:
    """All workers wait for each other."""
    if fm_team_barrier(n_workers):
        atomic_fetch_add(&job.sleeps, 1)


cdef void watch_sleeps(Job *job, Py_ssize_t batch) noexcept nogil:
    """Let worker 0 go on alone where the others cost more time than they save.

    On a busy machine every barrier of a short step can become a wait for the scheduler. The bits do
    not depend on the number of workers. All of them begin again in a call after ALONE_SECONDS.
    """
    cdef double now, elapsed
    cdef bint is_slow
    if (batch - job.first_batch) % WATCHED_STEPS != WATCHED_STEPS - 1:
        return
    now = seconds()
    elapsed = now - job.watched_since
    is_slow = atomic_load(&job.sleeps) >= MANY_SLEEPS and elapsed > job.alone_window > 0
    job.slow_windows = job.slow_windows + 1 if is_slow else 0
    if job.slow_windows >= SLOW_WINDOWS:
        atomic_store(&job.alone, 1)
    atomic_store(&job.sleeps, 0)
    job.watched_since = now


cdef void end(Job *job, int status, int worker) noexcept nogil:
    """All workers come to the same end; one says so."""
    if worker == 0:
        job.status = status


cdef void record_batch(Job *job, Py_ssize_t batch, fm_totals total, double scale) noexcept nogil:
    cdef double penalty = 0
    cdef double weight = total.weight if total.weight > 0 else 1.0
    for i in range(job.n_blocks):
        penalty += job.block_penalties[i]
    job.costs[batch] = scale * total.loss + penalty
    job.penalties[batch] = penalty
    job.errors[batch] = total.error / (weight * job.n_out)
    job.hits[batch] = total.hits / weight


cdef void train_batches(Job *job, real *vectors, int worker, int n_workers) noexcept nogil:
    """What every worker does: rows, barrier, update, barrier, for all batches of the call.

    A step reads one of two weight vectors and writes the other; whoever stops before the end of a
    step has not done it.
    """
    cdef real *own = <real *> (job.own + worker * job.own_bytes)
    cdef real *old = vectors
    cdef real *new = vectors + job.n_padded
    cdef Weights now
    cdef Plan *plan
    cdef fm_totals total
    cdef fm_rule rule
    cdef double loss_scale
    cdef Py_ssize_t batch, begin
    for batch in range(job.first_batch, job.last_batch):
        begin = batch * job.batch_size
        plan = &job.full if begin + job.batch_size <= job.n_rows else &job.short_last
        now.matrices = now.biases = old
        if worker == 0:
            atomic_store(&job.next_block, 0)
        run_rows(job, &now, own, plan, begin, worker)
        synchronise(job, n_workers)

        # From here to the next barrier nobody writes stop or totals: all take the same branch.
        if atomic_load(&job.stop):
            end(job, STOPPED, worker)
            return
        total = add_totals(job.totals, plan.n_totals)
        if not is_finite(total.loss):
            end(job, BROKEN, worker)
            return
        rule = batch_rule(job, total, plan.n_rows, job.n_steps + batch - job.first_batch + 1)
        loss_scale = rule.gradient_scale
        if job.max_norm > 0:
            add_squares(job, old, plan.n_lanes, &rule, worker, n_workers)
            synchronise(job, n_workers)
            clip(job, &rule)
        if plan.blocks:
            update_by_blocks(job, new, old, own, begin, plan, &rule, worker)
        else:
            update_from_lanes(job, new, old, plan.n_lanes, &rule, worker, n_workers)
        if worker == 0:
            atomic_store(&job.next_piece, 0)
            if n_workers > 1:
                watch_sleeps(job, batch)
        synchronise(job, n_workers)

        if atomic_load(&job.broken):
            end(job, BROKEN, worker)
            return
        old, new = new, old
        if worker == 0:
            record_batch(job, batch, total, loss_scale)
            job.batches_done += 1
        if atomic_load(&job.alone):   # written before the barrier: all see the same
            if worker > 0:
                return
            n_workers = 1


cdef void train_f32(void *job, int worker, int n_workers) noexcept nogil:
    train_batches(<Job *> job, <float *> (<Job *> job).vectors, worker, n_workers)


cdef void train_f64(void *job, int worker, int n_workers) noexcept nogil:
    train_batches(<Job *> job, <double *> (<Job *> job).vectors, worker, n_workers)


cdef void gradient_lanes(Job *job, real *vector, int worker) noexcept nogil:
    """This worker's lanes of one batch of all rows; nothing is updated."""
    cdef Weights now
    now.matrices = now.biases = vector
    run_rows(job, &now, <real *> (job.own + worker * job.own_bytes), &job.full, 0, worker)


cdef void gradient_f32(void *job, int worker, int n_workers) noexcept nogil:
    gradient_lanes(<Job *> job, <float *> (<Job *> job).vectors, worker)


cdef void gradient_f64(void *job, int worker, int n_workers) noexcept nogil:
    gradient_lanes(<Job *> job, <double *> (<Job *> job).vectors, worker)


cdef void add_lanes(Job *job, real *lanes) noexcept nogil:
    """The lanes of job.full, in their order, into the first."""
    cdef Py_ssize_t lane, i
    for lane in range(1, job.full.n_lanes):
        for i in range(job.n_padded):
            lanes[i] += lanes[lane * job.lane_stride + i]


# --- Between the public layout and the padded one ---------------------------------------------

cdef void pad(Job *job, real *out, real *parameters) noexcept nogil:
    """Padded biases and matrices from (n_out, n_in + 1) matrices with the bias in column 0."""
    cdef Layer *layer
    cdef real *row
    cdef Py_ssize_t l, j
    for l in range(job.n_layers):
        layer = &job.layers[l]
        for j in range(layer.n_out):
            row = parameters + layer.public + j * (layer.n_in + 1)
            out[layer.padded_bias + j] = row[0]
            memcpy(out + layer.padded_weights + j * layer.padded_stride, row + 1,
                   layer.n_in * sizeof(real))


cdef void unpad(Job *job, real *parameters, real *vector) noexcept nogil:
    """The inverse of `pad`."""
    cdef Layer *layer
    cdef real *row
    cdef Py_ssize_t l, j
    for l in range(job.n_layers):
        layer = &job.layers[l]
        for j in range(layer.n_out):
            row = parameters + layer.public + j * (layer.n_in + 1)
            row[0] = vector[layer.padded_bias + j]
            memcpy(row + 1, vector + layer.padded_weights + j * layer.padded_stride,
                   layer.n_in * sizeof(real))


cdef void pack(Job *job, Weights *now, real *packed) noexcept nogil:
    """W^T of all narrow layers, as their forward product wants it."""
    cdef Layer *layer
    for l in range(job.n_layers):
        layer = &job.layers[l]
        if layer.narrow:
            transpose_padded(packed + layer.packed, layer.stride,
                             (<real *> now.matrices) + layer.weights, layer.weight_stride,
                             layer.n_out, layer.n_in)


cdef void copy_biases(Job *job, real *out, real *parameters) noexcept nogil:
    """The biases alone, padded, from public parameters."""
    cdef Layer *layer
    cdef Py_ssize_t l, j
    for l in range(job.n_layers):
        layer = &job.layers[l]
        for j in range(layer.n_out):
            out[layer.bias + j] = parameters[layer.public + j * (layer.n_in + 1)]


# --- Evaluation and prediction ----------------------------------------------------------------

cdef void evaluate_chunks(Job *job, real *parameters, int worker) noexcept nogil:
    """Chunks of rows: totals of each, or outputs where `out` is given."""
    cdef real *scratch = <real *> (job.scratch + worker * job.scratch_bytes)
    cdef real *own = <real *> (job.own + worker * job.own_bytes)
    cdef Layer *last = &job.layers[job.n_layers - 1]
    cdef Py_ssize_t chunk, begin, n
    cdef Weights now
    cdef Rows rows
    cdef real *z
    now.matrices, now.biases = parameters, job.biases
    while True:
        chunk = atomic_fetch_add(&job.next_piece, 1)
        begin = chunk * job.full.chunk_rows
        if begin >= job.n_rows:
            return
        if is_stopped(job, worker):
            return
        n = min(job.full.chunk_rows, job.n_rows - begin)
        rows = load_rows(job, scratch, 0, begin, n)
        z = forward(job, &now, scratch, own, &rows)
        if job.out != NULL:
            # Here, where the rows are in the cache, instead of in a pass of its own before.
            if job.columns == NULL and not all_finite(
                    (<real *> job.x) + begin * job.n_features, n * job.n_features):
                atomic_store(&job.broken, 1)
            output_activation(z, job.row_stride, (<real *> job.biases) + last.bias, last.n_out, n,
                              last.function, False)
            scatter_transposed((<real *> job.out) + begin * job.n_out, z, job.row_stride, n,
                               job.n_out)
        else:
            job.totals[chunk] = add_totals(NULL, 0)
            finish_output(job, &now, own, load_targets(job, own, begin, n), n, &job.totals[chunk])


cdef void evaluate_f32(void *job, int worker, int n_workers) noexcept nogil:
    evaluate_chunks(<Job *> job, <float *> (<Job *> job).parameters, worker)


cdef void evaluate_f64(void *job, int worker, int n_workers) noexcept nogil:
    evaluate_chunks(<Job *> job, <double *> (<Job *> job).parameters, worker)


cdef void predict_few(Job *job, real *parameters, real *x, Py_ssize_t n_rows, real *buffer,
                      real *out) noexcept nogil:
    """Row by row, without BLAS or team; buffer has two padded rows of the widest layer, and one of
    zeros in the place of biases that dot_row has already added."""
    cdef Layer *layer
    cdef real *a
    cdef real *below
    cdef Py_ssize_t r, l
    for r in range(n_rows):
        below = x + r * job.n_features
        for l in range(job.n_layers):
            layer = &job.layers[l]
            a = buffer + (l & 1) * job.widest
            if l == job.n_layers - 1:
                a = out + r * job.n_out
            dot_row(a, below, parameters + layer.public, layer.n_out, layer.n_in + 1)
            if layer.function >= FM_SOFTMAX:
                output_activation(a, 1, buffer + 2 * job.widest, layer.n_out, 1, layer.function,
                                  False)
            else:
                bias_activation(a, <real *> NULL, layer.n_out, <real *> NULL, layer.n_out, 1,
                                layer.function)
            below = a
