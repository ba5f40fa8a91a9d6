# The first layer over the values of sparse rows; part of _core.pyx.
#
# Its weights lie transposed, (n_in, stride), in the padded vectors: a value of a row is multiplied
# with a line of them. Worker by worker a step has two parts. In the first, the rows go through the
# layers in chunks, and their deltas are kept, while the first piece sorts the batch's values by
# column. In the second, a piece is a block of columns, whose gradients are added up in the order of
# the rows. Most columns have none in a batch:
#
# - a rule that would leave them alone (lazy) changes those that occur, and copies those that the step
#   before has changed: the two weight vectors then differ in no other line;
# - any other rule goes over all lines, with a tile of gradients that stays in the cache.
#
# An evaluation reads the public weights: it transposes them first, those of the columns that occur, if
# they may be few.

cdef enum: TILE_NUMBERS = 2048   # of a gradient, between its sum and the update


cdef void multiply_values(Job *job, Weights *now, real *a, Rows *rows) noexcept nogil:
    """a (n, n_out) = X W^T, for the values of the rows alone."""
    cdef Layer *layer = &job.network.layers[0]
    cdef real *values = <real *> rows.x
    cdef real *w = (<real *> now.matrices) + layer.weights
    if layer.copied:
        w = (<real *> job.network.packed) + layer.packed
    kernels(a).sparse_product(a, layer.stride, values, job.data.columns, rows.row_begin, rows.index,
                              w, layer.stride, rows.n, layer.n_out)


cdef void clear_padding(Job *job, real *scratch, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Zeros behind the deltas of the first layer, where they become a gradient."""
    cdef Layer *layer = &job.network.layers[0]
    cdef real *delta = scratch + layer.delta + at * layer.stride
    cdef Py_ssize_t r
    if layer.n_out == layer.stride:
        return
    for r in range(n):
        memset(delta + r * layer.stride + layer.n_out, 0,
               (layer.stride - layer.n_out) * sizeof(real))


cdef void sort_values(Job *job, real *values_out) noexcept nogil:
    """The values of the step's rows by column."""
    cdef Sparse *sparse = &job.sparse
    cdef Py_ssize_t begin = job.run.step.begin
    cdef Py_ssize_t *index = NULL if job.data.order == NULL else job.data.order + begin
    sparse.now.n = kernels(values_out).sparse_transpose(
        sparse.now.touched, sparse.now.starts, sparse.rows, values_out, sparse.places,
        sparse.marks, <real *> job.data.x, job.data.columns,
        job.data.row_begin + (begin if index == NULL else 0), index, job.run.step.plan.n_rows,
        job.network.n_features)


cdef Py_ssize_t first_from(Columns *columns, Py_ssize_t column) noexcept nogil:
    """Number of touched columns before `column`."""
    cdef Py_ssize_t low = 0, high = columns.n, middle
    while low < high:
        middle = (low + high) // 2
        if columns.touched[middle] < column:
            low = middle + 1
        else:
            high = middle
    return low


cdef void columns_gradient(Job *job, real *g, Py_ssize_t column, Py_ssize_t n_columns,
                           bint accumulate) noexcept nogil:
    """g (n_columns, stride) = or += lines of X^T D, of all rows of the step."""
    cdef Layer *layer = &job.network.layers[0]
    cdef Sparse *sparse = &job.sparse
    cdef Py_ssize_t first = first_from(&sparse.now, column)
    kernels(g).sparse_gradient(
        g, layer.stride, column, n_columns, sparse.now.touched + first, sparse.now.starts + first,
        sparse.now.n - first, sparse.rows, <real *> sparse.values,
        (<real *> job.scratch.matrices) + layer.delta, layer.stride, layer.stride, accumulate)


cdef void step_columns(Job *job, real *new, Block *block) noexcept nogil:
    """The columns of a block that occur, and those that the step before has changed."""
    cdef Layer *layer = &job.network.layers[0]
    cdef Sparse *sparse = &job.sparse
    cdef fm_rule *rule = &job.run.step.rule
    cdef real *w_out = new + layer.padded_weights
    cdef real *w = (<real *> job.run.step.old) + layer.padded_weights
    cdef Py_ssize_t first = first_from(&sparse.before, block.row), i, line
    cdef Py_ssize_t last = first_from(&sparse.before, block.row + block.n_rows)
    for i in range(first, last):
        line = sparse.before.touched[i] * layer.stride
        memcpy(w_out + line, w + line, layer.stride * sizeof(real))
    first = first_from(&sparse.now, block.row)
    last = first_from(&sparse.now, block.row + block.n_rows)
    if not kernels(new).sparse_step(
            w_out, w, layer.stride, sparse.now.touched + first, sparse.now.starts + first,
            last - first, sparse.rows, <real *> sparse.values,
            (<real *> job.scratch.matrices) + layer.delta, layer.stride, layer.stride,
            rule.learning_rate, rule.gradient_scale):
        atomic_store(&job.run.broken, 1)


cdef void update_columns(Job *job, real *new, Block *block, real *own,
                         double *penalty) noexcept nogil:
    """The new weights of a block of input columns, with all biases if it is the first."""
    cdef Layer *layer = &job.network.layers[0]
    cdef Step *step = &job.run.step
    cdef real *old = <real *> step.old
    cdef real *lane = <real *> job.scratch.lanes
    cdef real *tile = own + job.scratch.block_at
    cdef real *bias = own + job.scratch.block_bias_at
    cdef Py_ssize_t end = block.row + block.n_rows, column = block.row, at, n
    penalty[0] = 0
    if job.sparse.lazy:
        step_columns(job, new, block)
    while column < end and not job.sparse.lazy:
        n = min(job.sparse.tile_columns, end - column)
        at = layer.padded_weights + column * layer.stride
        if not job.sparse.in_lane:
            columns_gradient(job, tile, column, n, False)
        update_range(job, new, old, lane + at if job.sparse.in_lane else tile, 1, at, 0, 1,
                     n * layer.stride, &step.rule, True, penalty)
        column += n
    if block.row > 0:
        return
    if job.sparse.in_lane:
        bias = lane + layer.padded_bias
    else:
        add_biases(job, block, bias, False)
    update_range(job, new, old, bias, 1, layer.padded_bias, 0, 1, layer.n_out, &step.rule, False,
                 penalty)


cdef void add_biases(Job *job, Block *block, real *g, bint accumulate) noexcept nogil:
    """g = or += the bias gradients that belong to a block."""
    cdef Layer *layer = &job.network.layers[block.layer]
    cdef Py_ssize_t row = 0 if layer.sparse else block.row
    cdef Py_ssize_t n = layer.n_out if layer.sparse else block.n_rows
    cdef real *scratch = <real *> job.scratch.matrices
    cdef Rows rows
    if block.row if layer.sparse else block.column:
        return
    rows = rows_of_step(job, scratch)
    bias_gradient(job, scratch, &rows, block.layer, row, n, g, accumulate)


# --- Whole gradients, for clipping and for optimizers from outside

cdef void gradient_piece(Job *job, real *lane, Py_ssize_t i, int worker) noexcept nogil:
    """The gradient of block i of all rows of the step, into the lane."""
    cdef Block *block = &job.run.blocks[i]
    cdef Layer *layer = &job.network.layers[block.layer]
    cdef real *own = (<real *> (job.scratch.own + worker * job.scratch.own_bytes))
    cdef real *g = own + job.scratch.block_at
    cdef real *out = lane + place_of(job, block)
    cdef Py_ssize_t row = 0 if layer.sparse else block.row, j, k
    cdef bint accumulate = job.sparse.accumulate
    cdef Rows rows
    add_biases(job, block, lane + layer.padded_bias + row, accumulate)
    if layer.sparse:
        columns_gradient(job, out, block.row, block.n_rows, accumulate)
        return
    # BLAS repeats a product where its threads were disturbed, which a sum would not survive.
    rows = rows_of_step(job, <real *> job.scratch.matrices)
    weight_gradient(job, <real *> job.scratch.matrices, own, &rows, block, g, False)
    for j in range(block.n_rows):
        for k in range(block.n_columns):
            out[k] = g[k] + (out[k] if accumulate else 0)
        g += layer.padded_stride
        out += layer.padded_stride


cdef void gradient_of_sparse_rows(Job *job, int n_workers) noexcept nogil:
    """The lane of all rows, a batch after the other, and their totals."""
    cdef Step *step = &job.run.step
    cdef fm_totals parts[2]
    step.begin, step.old = 0, job.network.vectors
    job.run.total = add_totals(NULL, 0)
    while step.begin < job.data.n_rows:
        step.plan = &job.run.short_last
        if step.begin + job.run.full.n_rows <= job.data.n_rows:
            step.plan = &job.run.full
        fm_team_share(n_workers, job.passes.rows, job, step.plan.n_totals + 1)
        if is_stopped(job, 0):
            return
        job.sparse.accumulate = step.begin > 0
        fm_team_share(n_workers, job.passes.gradients, job, job.run.n_blocks)
        parts[0], parts[1] = job.run.total, add_totals(job.scratch.totals, step.plan.n_totals)
        job.run.total = add_totals(parts, 2)
        step.begin += step.plan.n_rows


# --- Between the public layout and the transposed one

cdef void pad_transposed(Layer *layer, real *matrix, real *parameters) noexcept nogil:
    """matrix (n_in, stride) = W^T beside zeros."""
    cdef Py_ssize_t i
    kernels(matrix).transpose_padded(matrix, layer.stride, parameters + layer.public + 1,
                                     layer.n_in + 1, layer.n_out, layer.n_in)
    for i in range(layer.n_in if layer.n_out < layer.stride else 0):
        memset(matrix + i * layer.stride + layer.n_out, 0,
               (layer.stride - layer.n_out) * sizeof(real))


cdef void unpad_transposed(Layer *layer, real *parameters, real *matrix) noexcept nogil:
    """The inverse; whole vectors of inputs first, because they are written whole."""
    cdef Py_ssize_t n_whole = layer.n_in // 16 * 16, i, j
    cdef real *w = parameters + layer.public + 1
    kernels(matrix).transpose_padded(w, layer.n_in + 1, matrix, layer.stride, n_whole, layer.n_out)
    for j in range(layer.n_out):
        for i in range(n_whole, layer.n_in):
            w[j * (layer.n_in + 1) + i] = matrix[i * layer.stride + j]


# --- Memory

cdef Py_ssize_t most_values(Job *job, Py_ssize_t n_together) noexcept nogil:
    """The largest number of values in `n_together` rows that follow each other in the order."""
    cdef Py_ssize_t most = 0, n = 0, i, row
    for i in range(job.data.n_rows):
        if i % n_together == 0:
            n = 0
        row = i if job.data.order == NULL else job.data.order[i]
        n += job.data.row_begin[row + 1] - job.data.row_begin[row]
        most = max(most, n)
    return most
