# One chunk of rows through the layers and back: products and fused passes, part of _core.pyx.
#
# A chunk lies at row `at` of its scratch: the matrices of a layer are (rows, stride) each.

cdef struct Rows:            # the inputs of a chunk: row r at x + (index[r] or r) * input_stride
    Py_ssize_t n, at
    Py_ssize_t *index
    void *x


cdef Rows load_rows(Job *job, real *scratch, Py_ssize_t at, Py_ssize_t begin,
                    Py_ssize_t n) noexcept nogil:
    """Rows begin..begin+n of the epoch's order, copied side by side if the job says so."""
    cdef Rows rows
    cdef real *x = (<real *> job.x) + (begin * job.n_features if job.order == NULL else 0)
    rows.n, rows.at, rows.x = n, at, x
    rows.index = NULL if job.order == NULL else job.order + begin
    if job.gathers:
        rows.x = scratch + job.inputs + at * job.input_stride
        gather_rows(<real *> rows.x, job.input_stride, x, rows.index, n, job.n_features)
        rows.index = NULL
    return rows


cdef real *load_targets(Job *job, real *own, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    """Targets of the same rows, feature-major; returns the rows' weights or NULL."""
    cdef Py_ssize_t *index = NULL if job.order == NULL else job.order + begin
    cdef Py_ssize_t skipped = begin if job.order == NULL else 0
    gather_transposed(own + job.targets_at, job.row_stride,
                      (<real *> job.targets) + skipped * job.n_out, index, n, job.n_out)
    if job.row_weights == NULL:
        return NULL
    gather_transposed(own + job.row_weights_at, job.row_stride,
                      (<real *> job.row_weights) + skipped, index, n, 1)
    return own + job.row_weights_at


cdef void forward_layer(Job *job, Weights *now, real *scratch, Rows *rows,
                        Py_ssize_t l) noexcept nogil:
    """A_l = f(A_{l-1} W_l^T + b_l), (n, n_out); of the last layer only A_{l-1} W_l^T."""
    cdef Layer *layer = &job.layers[l]
    cdef real *a = scratch + layer.activation + rows.at * layer.stride
    cdef real *x = <real *> rows.x
    cdef real *w = (<real *> now.matrices) + layer.weights
    cdef real *bias = (<real *> now.biases) + layer.bias
    cdef Py_ssize_t x_stride = job.input_stride
    cdef Py_ssize_t *index = rows.index
    if l == job.n_layers - 1:
        bias = NULL
    if l > 0:
        x_stride, index = job.layers[l - 1].stride, NULL
        x = scratch + job.layers[l - 1].activation + rows.at * x_stride
    if layer.narrow:
        narrow_product(a, layer.stride, x, x_stride, index,
                       (<real *> job.packed) + layer.packed, layer.stride, bias, rows.n,
                       layer.n_in, layer.n_out)
        bias = NULL
    else:
        gemm_nt(a, x, w, rows.n, layer.n_out, layer.n_in, layer.stride, x_stride,
                layer.weight_stride, False)
    if l < job.n_layers - 1:
        bias_activation(a, layer.stride, bias, layer.n_out, rows.n, layer.function)


cdef real *forward(Job *job, Weights *now, real *scratch, real *own, Rows *rows) noexcept nogil:
    """The output layer's sums without bias, feature-major (n_out, row_stride)."""
    cdef Layer *last = &job.layers[job.n_layers - 1]
    for l in range(job.n_layers):
        forward_layer(job, now, scratch, rows, l)
    transpose_padded(own + job.output_at, job.row_stride,
                     scratch + last.activation + rows.at * last.stride, last.stride, rows.n,
                     last.n_out)
    return own + job.output_at


cdef void finish_output(Job *job, Weights *now, real *own, real *row_weights, Py_ssize_t n,
                        fm_totals *totals) noexcept nogil:
    """Output activation, totals, and the output delta, all feature-major."""
    cdef Layer *last = &job.layers[job.n_layers - 1]
    output_loss(own + job.output_at, own + job.output_delta_at, totals,
                (<real *> now.biases) + last.bias, own + job.targets_at, row_weights,
                job.row_stride, last.n_out, n, last.function, job.loss)


cdef void backward_layer(Job *job, Weights *now, real *scratch, Rows *rows,
                         Py_ssize_t l) noexcept nogil:
    """D_{l-1} = (D_l W_l) * f'(A_{l-1}), (n, n_in), of a layer l > 0."""
    cdef Layer *layer = &job.layers[l]
    cdef Layer *below = &job.layers[l - 1]
    cdef real *w = (<real *> now.matrices) + layer.weights
    cdef real *delta = scratch + layer.delta + rows.at * layer.stride
    cdef real *delta_below = scratch + below.delta + rows.at * below.stride
    if layer.narrow:
        narrow_product(delta_below, below.stride, delta, layer.stride, <Py_ssize_t *> NULL, w,
                       layer.weight_stride, <real *> NULL, rows.n, layer.n_out, layer.n_in)
    else:
        gemm_nn(delta_below, delta, w, rows.n, layer.n_in, layer.n_out, below.stride, layer.stride,
                layer.weight_stride, False)
    activation_backward(delta_below, scratch + below.activation + rows.at * below.stride,
                        rows.n * below.stride, below.function)


cdef void backward(Job *job, Weights *now, real *scratch, real *own, Rows *rows) noexcept nogil:
    """The deltas of all layers, beginning with the output delta that finish_output left."""
    cdef Layer *last = &job.layers[job.n_layers - 1]
    cdef Py_ssize_t l = job.n_layers - 1
    transpose_padded(scratch + last.delta + rows.at * last.stride, last.stride,
                     own + job.output_delta_at, job.row_stride, last.n_out, rows.n)
    while l > 0:
        backward_layer(job, now, scratch, rows, l)
        l -= 1


cdef void weight_gradient(Job *job, real *scratch, Rows *rows, Block *block, real *g,
                          bint accumulate) noexcept nogil:
    """g = or += D_l^T A_{l-1} for a block of W_l; g has the row stride of the padded weights."""
    cdef Layer *layer = &job.layers[block.layer]
    cdef real *delta = scratch + layer.delta + rows.at * layer.stride + block.row
    cdef real *x = <real *> rows.x
    cdef Py_ssize_t x_stride = job.input_stride, n_columns = block.n_columns
    cdef Py_ssize_t *index = rows.index
    if block.layer > 0:
        x_stride, index = job.layers[block.layer - 1].stride, NULL
        x = scratch + job.layers[block.layer - 1].activation + rows.at * x_stride
    if block.layer > 0 or job.gathers:
        n_columns = (n_columns + 15) // 16 * 16   # the padding is there, and zero
    x += block.column
    if layer.narrow:
        narrow_gradient(g, layer.padded_stride, delta, layer.stride, x, x_stride, index, rows.n,
                        n_columns, block.n_rows, accumulate)
    else:
        gemm_tn(g, delta, x, block.n_rows, block.n_columns, rows.n, layer.padded_stride,
                layer.stride, x_stride, accumulate)


cdef void bias_gradient(Job *job, real *scratch, Rows *rows, Py_ssize_t l, Py_ssize_t row,
                        Py_ssize_t n, real *g, bint accumulate) noexcept nogil:
    """g (n) = or += the column sums of D_l from column `row` on."""
    cdef Layer *layer = &job.layers[l]
    column_sums(g, scratch + layer.delta + rows.at * layer.stride + row, layer.stride, n, rows.n,
                accumulate)
