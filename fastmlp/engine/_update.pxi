# The update of a batch: its rule, clipping, and the new weights from lanes or block by block; part
# of _core.pyx.

cdef fm_rule batch_rule(Job *job, fm_totals total, Py_ssize_t n_rows,
                        Py_ssize_t step) noexcept nogil:
    """The update rule of step number `step` with its scale and share of the penalty."""
    cdef fm_rule rule = job.run.rule
    cdef double share = 1.0
    if job.run.penalty_scale == PER_SAMPLE:
        share = (<double> n_rows) / (job.shards.n_rows or job.data.n_rows)
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
                       fm_rule *rule, bint penalized, double *penalty) noexcept nogil:
    """Update a block that begins at offset `at` of the padded vectors and of nothing else."""
    cdef real *first = NULL
    cdef real *second = NULL
    if job.network.n_states > 0:
        first = (<real *> job.network.states) + at
    if job.network.n_states > 1:
        second = (<real *> job.network.states) + job.network.n_padded + at
    if not kernels(new).update(new + at, old + at, first, second, lanes, job.scratch.lane_stride,
                               n_lanes, stride, n_rows, n_columns, rule, penalized, penalty):
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


cdef Py_ssize_t place_of(Job *job, Block *block) noexcept nogil:
    """Where a block begins in a padded vector."""
    cdef Layer *layer = &job.network.layers[block.layer]
    return layer.padded_weights + block.row * layer.padded_stride + block.column


cdef void add_squares(Job *job, real *lanes, Py_ssize_t i) noexcept nogil:
    """The squared gradient of block i of a step in lanes."""
    cdef Block *block = &job.run.blocks[i]
    cdef Layer *layer = &job.network.layers[block.layer]
    cdef bint has_biases = block.row == 0 if layer.sparse else block.column == 0
    cdef Py_ssize_t at = place_of(job, block), bias_at = layer.padded_bias + block.row
    cdef Py_ssize_t n_lanes = job.run.step.plan.n_lanes
    cdef real *old = <real *> job.run.step.old
    cdef fm_rule *rule = &job.run.step.rule
    job.scratch.block_squares[i] = kernels(old).gradient_squares(
        old + at, lanes + at, job.scratch.lane_stride, n_lanes, layer.padded_stride, block.n_rows,
        block.n_columns, rule, True)
    if has_biases:
        job.scratch.block_squares[i] += kernels(old).gradient_squares(
            old + bias_at, lanes + bias_at, job.scratch.lane_stride, n_lanes, 0, 1,
            layer.n_out if layer.sparse else block.n_rows, rule, False)


cdef void clip(Job *job, fm_rule *rule) noexcept nogil:
    """Shorten the gradient to max_norm if it is longer."""
    cdef double squares = 0, factor
    for i in range(job.run.n_blocks):
        squares += job.scratch.block_squares[i]
    if squares <= job.run.max_norm * job.run.max_norm:
        return
    factor = job.run.max_norm / sqrt(squares)
    rule.gradient_scale *= factor
    rule.l1 *= factor
    rule.l2 *= factor


cdef Rows rows_of_step(Job *job, real *scratch) noexcept nogil:
    """The inputs of all rows of the step; sparse ones have none that a product wants."""
    cdef Py_ssize_t begin = job.run.step.begin
    cdef Rows rows
    rows.n, rows.at, rows.begin = job.run.step.plan.n_rows, 0, begin
    rows.index, rows.x = NULL, NULL
    if job.data.sparse:
        return rows
    rows.x = (<real *> job.data.x) + begin * job.network.n_features
    if job.data.order != NULL:
        rows.index, rows.x = job.data.order + begin, job.data.x
    if job.data.gathers:
        rows.index, rows.x = NULL, scratch + job.scratch.inputs
    return rows


cdef void update_piece(Job *job, real *new, Py_ssize_t i, int worker) noexcept nogil:
    """The new weights of block i, from the lanes or, where there are none, from its gradient."""
    cdef Step *step = &job.run.step
    cdef Block *block = &job.run.blocks[i]
    cdef Layer *layer = &job.network.layers[block.layer]
    cdef real *lanes = (<real *> job.scratch.lanes) + place_of(job, block)
    cdef real *bias_lanes = (<real *> job.scratch.lanes) + layer.padded_bias + block.row
    cdef real *own = <real *> (job.scratch.own + worker * job.scratch.own_bytes)
    cdef real *scratch = <real *> job.scratch.matrices
    cdef Rows rows
    if layer.sparse:
        update_columns(job, new, block, own, &job.scratch.block_penalties[i])
        return
    if step.plan.blocks and not job.sparse.in_lane:
        lanes, bias_lanes = own + job.scratch.block_at, own + job.scratch.block_bias_at
        rows = rows_of_step(job, scratch)
        weight_gradient(job, scratch, own, &rows, block, lanes, False)
        if block.column == 0:
            bias_gradient(job, scratch, &rows, block.layer, block.row, block.n_rows, bias_lanes,
                          False)
    update_block(job, new, <real *> step.old, lanes, bias_lanes, step.plan.n_lanes, block,
                 &step.rule, &job.scratch.block_penalties[i])
