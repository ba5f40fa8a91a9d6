# The update of a batch: its rule, clipping, and the new weights from lanes or block by block; part
# of _core.pyx.

cdef fm_rule batch_rule(Job *job, fm_totals total, Py_ssize_t n_rows,
                        Py_ssize_t step) noexcept nogil:
    """The update rule of step number `step` with its scale and share of the penalty."""
    cdef fm_rule rule = job.run.rule
    cdef double share = 1.0
    if job.run.penalty_scale == PER_SAMPLE:
        share = (<double> n_rows) / job.data.n_rows
    elif job.run.penalty_scale == PER_WEIGHT:
        share = 1.0 / total.weight if total.weight > 0 else 0.0
    rule.l2 *= share
    rule.l1 *= share
    rule.l1_cost *= share
    rule.l2_cost = rule.l2
    rule.gradient_scale = 1.0
    if job.run.mean_reduction:
        rule.gradient_scale = 1.0 / total.weight if total.weight > 0 else 0.0
    if rule.kind == FM_ADAM:
        rule.learning_rate /= 1 - rule.beta_1 ** <double> step
        rule.root_scale = 1 / sqrt(1 - rule.beta_2 ** <double> step)
        if job.run.scales_epsilon:
            rule.epsilon *= rule.root_scale
    return rule


cdef void update_range(Job *job, real *new, real *old, real *lanes, Py_ssize_t n_lanes,
                       Py_ssize_t at, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t n_columns,
                       fm_rule *rule, bint penalised, double *penalty) noexcept nogil:
    """Update a block that begins at offset `at` of the padded vectors and of nothing else."""
    cdef real *first = NULL
    cdef real *second = NULL
    if job.network.n_states > 0:
        first = (<real *> job.network.states) + at
    if job.network.n_states > 1:
        second = (<real *> job.network.states) + job.network.n_padded + at
    if not kernels(new).update(new + at, old + at, first, second, lanes, job.scratch.lane_stride,
                               n_lanes, stride, n_rows, n_columns, rule, penalised, penalty):
        atomic_store(&job.run.broken, 1)


cdef void update_block(Job *job, real *new, real *old, real *lanes, real *bias_lanes,
                       Py_ssize_t n_lanes, Block *block, fm_rule *rule,
                       double *penalty) noexcept nogil:
    """Update a block of weights, with the biases of its rows if it begins in column 0, and keep
    the transposed copy current that the forward product of a narrow layer wants."""
    cdef Layer *layer = &job.network.layers[block.layer]
    cdef Py_ssize_t at = layer.padded_weights + block.row * layer.padded_stride + block.column
    penalty[0] = 0
    update_range(job, new, old, lanes, n_lanes, at, layer.padded_stride, block.n_rows,
                 block.n_updated_columns, rule, True, penalty)
    if block.column == 0:
        update_range(job, new, old, bias_lanes, n_lanes, layer.padded_bias + block.row, 0, 1,
                     block.n_updated_biases, rule, False, penalty)
    if layer.narrow:
        kernels(new).transpose_padded((<real *> job.network.packed)
                                      + layer.packed + block.column * layer.stride + block.row,
                                      layer.stride, new + at, layer.padded_stride, block.n_rows,
                                      block.n_columns)


cdef void update_from_lanes(Job *job, real *new, real *old, Py_ssize_t n_lanes, fm_rule *rule,
                            int worker, int n_workers) noexcept nogil:
    """The blocks that begin in this worker's share of the padded vector."""
    cdef real *lanes = <real *> job.scratch.lanes
    cdef Py_ssize_t low = job.network.n_padded * worker // n_workers
    cdef Py_ssize_t high = job.network.n_padded * (worker + 1) // n_workers
    cdef Py_ssize_t at
    cdef Block *block
    cdef Layer *layer
    for i in range(job.run.n_blocks):
        block = &job.run.blocks[i]
        layer = &job.network.layers[block.layer]
        at = layer.padded_weights + block.row * layer.padded_stride + block.column
        if low <= at < high:
            update_block(job, new, old, lanes + at, lanes + layer.padded_bias + block.row, n_lanes,
                         block, rule, &job.scratch.block_penalties[i])


cdef void add_squares(Job *job, real *old, Py_ssize_t n_lanes, fm_rule *rule, int worker,
                      int n_workers) noexcept nogil:
    """The squared gradient of this worker's share of the blocks, one number a block."""
    cdef Py_ssize_t low = job.network.n_padded * worker // n_workers
    cdef Py_ssize_t high = job.network.n_padded * (worker + 1) // n_workers
    cdef Py_ssize_t at, bias_at
    cdef real *lanes = <real *> job.scratch.lanes
    cdef Block *block
    cdef Layer *layer
    for i in range(job.run.n_blocks):
        block = &job.run.blocks[i]
        layer = &job.network.layers[block.layer]
        at = layer.padded_weights + block.row * layer.padded_stride + block.column
        if not low <= at < high:
            continue
        job.scratch.block_squares[i] = kernels(old).gradient_squares(
            old + at, lanes + at, job.scratch.lane_stride, n_lanes, layer.padded_stride,
            block.n_rows, block.n_columns, rule, True)
        if block.column == 0:
            bias_at = layer.padded_bias + block.row
            job.scratch.block_squares[i] += kernels(old).gradient_squares(
                old + bias_at, lanes + bias_at, job.scratch.lane_stride, n_lanes, 0, 1,
                block.n_rows, rule, False)


cdef void clip(Job *job, fm_rule *rule) noexcept nogil:
    """Shorten the gradient to max_norm if it is longer; every worker finds the same factor."""
    cdef double squares = 0, factor
    for i in range(job.run.n_blocks):
        squares += job.scratch.block_squares[i]
    if squares <= job.run.max_norm * job.run.max_norm:
        return
    factor = job.run.max_norm / sqrt(squares)
    rule.gradient_scale *= factor
    rule.l1 *= factor
    rule.l2 *= factor


cdef void update_by_blocks(Job *job, real *new, real *old, real *own, Py_ssize_t batch_begin,
                           Plan *plan, fm_rule *rule, int worker) noexcept nogil:
    """Gradient and update of one block after the other, whoever comes first."""
    cdef real *scratch = <real *> job.scratch.matrices
    cdef real *g = own + job.scratch.block_at
    cdef real *bias_g = own + job.scratch.block_bias_at
    cdef Rows rows
    cdef Block *block
    cdef Py_ssize_t i
    rows.n, rows.at, rows.begin = plan.n_rows, 0, batch_begin
    rows.index, rows.x = NULL, (<real *> job.data.x) + batch_begin * job.network.n_features
    if job.data.order != NULL:
        rows.index, rows.x = job.data.order + batch_begin, job.data.x
    if job.data.gathers:
        rows.index, rows.x = NULL, scratch + job.scratch.inputs
    while True:
        i = atomic_fetch_add(&job.run.next_block, 1)
        if i >= job.run.n_blocks:
            return
        block = &job.run.blocks[i]
        weight_gradient(job, scratch, &rows, block, g, False)
        if block.column == 0:
            bias_gradient(job, scratch, &rows, block.layer, block.row, block.n_rows, bias_g, False)
        update_block(job, new, old, g, bias_g, 1, block, rule, &job.scratch.block_penalties[i])
