# One chunk of rows through the layers and back: products and fused passes, part of _core.pyx.
#
# A chunk lies at row `at` of its scratch: the matrices of a layer are (rows, stride) each.

cdef struct Rows:            # the inputs of a chunk: row r at x + (index[r] or r) * input_stride
    Py_ssize_t n, at, begin  # begin: position in the epoch of the first
    Py_ssize_t mask          # number of the first one's dropout mask
    Py_ssize_t *index
    Py_ssize_t *row_begin    # of sparse rows, whose values are x
    void *x


cdef Rows load_rows(Job *job, real *scratch, Py_ssize_t at, Py_ssize_t begin,
                    Py_ssize_t n) noexcept nogil:
    """Rows begin..begin+n of the epoch's order, copied side by side if the job says so."""
    cdef Rows rows
    cdef Py_ssize_t skipped = begin if job.data.order == NULL else 0
    cdef real *x = <real *> job.data.x
    rows.n, rows.at, rows.begin, rows.mask, rows.x = n, at, begin, begin, x
    rows.index = NULL if job.data.order == NULL else job.data.order + begin
    if job.data.sparse:
        rows.row_begin = job.data.row_begin + skipped
        return rows
    rows.x = x + skipped * job.network.n_features
    if job.data.gathers:
        rows.x = scratch + job.scratch.inputs + at * job.data.input_stride
        if job.data.columns != NULL:
            kernels(scratch).scatter_rows(<real *> rows.x, job.data.input_stride, x,
                                          job.data.columns, job.data.row_begin + skipped,
                                          rows.index, n)
        else:
            kernels(scratch).gather_rows(<real *> rows.x, job.data.input_stride,
                                         x + skipped * job.network.n_features, rows.index, n,
                                         job.network.n_features)
        rows.index = NULL
    return rows


cdef real *load_targets(Job *job, real *own, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    """Targets of the same rows, feature-major; returns the rows' weights or NULL."""
    cdef Py_ssize_t *index = NULL if job.data.order == NULL else job.data.order + begin
    cdef Py_ssize_t skipped = begin if job.data.order == NULL else 0
    kernels(own).gather_transposed(own + job.scratch.targets_at, job.scratch.row_stride,
                                   (<real *> job.data.targets) + skipped * job.network.n_out, index,
                                   n, job.network.n_out)
    if job.data.sample_weights == NULL:
        return NULL
    kernels(own).gather_transposed(own + job.scratch.sample_weights_at, job.scratch.row_stride,
                                   (<real *> job.data.sample_weights) + skipped, index, n, 1)
    return own + job.scratch.sample_weights_at


cdef real *slope_matrix(Job *job, real *scratch, Rows *rows, Layer *layer) noexcept nogil:
    """f'(Z_l) of layers for which it does not follow from A_l, in training; NULL otherwise."""
    if not job.run.training or layer.slope < 0:
        return NULL
    return scratch + layer.slope + rows.at * layer.stride


cdef void multiply_feature_major(Job *job, Layer *layer, real *a, real *x, Py_ssize_t x_stride,
                                 real *w, real *own, Py_ssize_t n) noexcept nogil:
    """a = x W^T, (n, n_out), of a few dozen rows: transposing these costs less than panels of W."""
    cdef Py_ssize_t stride = (n + 15) // 16 * 16
    cdef real *columns = own + job.scratch.columns_at
    cdef real *z = columns + layer.n_in * stride
    kernels(a).transpose_padded(columns, stride, x, x_stride, n, layer.n_in)
    kernels(a).feature_product(z, stride, columns, stride, w, layer.weight_stride, <real *> NULL,
                               <Py_ssize_t> 1, n, layer.n_in, layer.n_out)
    kernels(a).transpose_padded(a, layer.stride, z, stride, layer.n_out, n)


cdef void forward_layer(Job *job, Weights *now, real *scratch, real *own, Rows *rows,
                        Py_ssize_t l) noexcept nogil:
    """A_l = f(A_{l-1} W_l^T + b_l), (n, n_out); of the last layer only A_{l-1} W_l^T."""
    cdef Layer *layer = &job.network.layers[l]
    cdef real *a = scratch + layer.activation + rows.at * layer.stride
    cdef real *x = <real *> rows.x
    cdef real *w = (<real *> now.matrices) + layer.weights
    cdef real *bias = (<real *> now.biases) + layer.bias
    cdef Py_ssize_t x_stride = job.data.input_stride
    cdef Py_ssize_t *index = rows.index
    cdef real *slope
    if l == job.network.n_layers - 1:
        bias = NULL
    if l > 0:
        x_stride, index = job.network.layers[l - 1].stride, NULL
        x = scratch + job.network.layers[l - 1].activation + rows.at * x_stride
    if layer.sparse:
        multiply_values(job, now, a, rows)
    elif layer.narrow:
        kernels(a).narrow_product(a, layer.stride, x, x_stride, index,
                                  (<real *> job.network.packed) + layer.packed, layer.stride, bias,
                                  rows.n, layer.n_in, layer.n_out)
        bias = NULL
    elif layer.blas:
        gemm_nt(a, x, w, rows.n, layer.n_out, layer.n_in, layer.stride, x_stride,
                layer.weight_stride, False)
    elif FEWEST_FEATURE_ROWS <= rows.n <= FEATURE_ROWS:
        multiply_feature_major(job, layer, a, x, x_stride, w, own, rows.n)
    else:
        kernels(a).panel_product(a, layer.stride, x, x_stride, w, layer.weight_stride, <real *> NULL,
                                 <Py_ssize_t> 1, <real *> NULL, rows.n, layer.n_in, layer.n_out)
    if l == job.network.n_layers - 1:
        return
    slope = slope_matrix(job, scratch, rows, layer)
    kernels(a).bias_activation(a, slope, layer.stride, bias, layer.n_out, rows.n, layer.function)
    if job.run.training and layer.dropout > 0:
        kernels(a).dropout(a, slope, layer.stride, rows.n, layer.function, layer.dropout,
                           job.run.dropout_seed + <uint64_t> l * LAYER_KEY, rows.mask)


cdef real *forward(Job *job, Weights *now, real *scratch, real *own, Rows *rows) noexcept nogil:
    """The output layer's sums without bias, feature-major (n_out, row_stride)."""
    cdef Layer *last = &job.network.layers[job.network.n_layers - 1]
    for l in range(job.network.n_layers):
        forward_layer(job, now, scratch, own, rows, l)
    kernels(own).transpose_padded(own + job.scratch.output_at, job.scratch.row_stride,
                                  scratch + last.activation + rows.at * last.stride, last.stride,
                                  rows.n, last.n_out)
    return own + job.scratch.output_at


cdef matrix_view(void *matrix, Job *job, Py_ssize_t n, Py_ssize_t item):
    """A feature-major matrix (n_out, row_stride) as an array (n, n_out)."""
    cdef Py_ssize_t n_bytes = job.network.n_out * job.scratch.row_stride * item
    memory = PyMemoryView_FromMemory(<char *> matrix, n_bytes, PyBUF_WRITE)
    values = np.frombuffer(memory, np.float32 if item == 4 else np.float64)
    return values.reshape(job.network.n_out, job.scratch.row_stride)[:, :n].T


cdef double call_custom_loss(Job *job, void *a, void *delta, void *targets, void *sample_weights,
                          Py_ssize_t n, Py_ssize_t item) noexcept with gil:
    """The user's loss of n rows: their weighted sum; weighted dC/dA goes into delta."""
    cdef Engine engine = <Engine> job.run.engine
    cdef uint64_t mode = fm_float_mode()
    fm_set_float_mode(job.run.float_mode)
    try:
        losses, gradients = engine.custom_loss(matrix_view(targets, job, n, item).copy(),
                                            matrix_view(a, job, n, item).copy())
        weights = 1.0
        if sample_weights != NULL:
            memory = PyMemoryView_FromMemory(<char *> sample_weights, n * item, PyBUF_READ)
            weights = np.frombuffer(memory, np.float32 if item == 4 else np.float64)
        out = matrix_view(delta, job, n, item)
        out[...] = gradients * (weights[:, np.newaxis] if sample_weights != NULL else 1.0)
        return float((losses * weights).sum())
    except BaseException as error:
        stop_with(job, error)
        return 0.0
    finally:
        fm_set_float_mode(mode)


cdef void finish_output(Job *job, Weights *now, real *own, real *sample_weights, Py_ssize_t n,
                        fm_totals *totals) noexcept nogil:
    """Output activation, totals, and the output delta, all feature-major."""
    cdef Layer *last = &job.network.layers[job.network.n_layers - 1]
    cdef real *a = own + job.scratch.output_at
    cdef real *delta = own + job.scratch.output_delta_at
    cdef real *targets = own + job.scratch.targets_at
    cdef real *bias = (<real *> now.biases) + last.bias
    if job.network.loss != CUSTOM_LOSS:
        kernels(a).output_loss(a, delta, totals, bias, targets, sample_weights,
                               <real *> job.network.loss_parameters, job.scratch.row_stride,
                               last.n_out, n, last.function, job.network.loss)
        return
    kernels(a).output_activation(a, job.scratch.row_stride, bias, last.n_out, n, last.function,
                                 True)
    totals.loss += call_custom_loss(job, a, delta, targets, sample_weights, n, sizeof(real))
    kernels(delta).output_backward(delta, a, totals, targets, sample_weights,
                                   job.scratch.row_stride, last.n_out, n, last.function)


cdef bint uses_narrow_kernels(Layer *layer, Py_ssize_t n_rows) noexcept nogil:
    """Whether the kernels of narrow layers compute deltas and gradients of so many rows."""
    return layer.narrow or not layer.blas and n_rows <= OWN_ROWS


cdef void backward_layer(Job *job, Weights *now, real *scratch, Rows *rows,
                         Py_ssize_t l) noexcept nogil:
    """D_{l-1} = (D_l W_l) * f'(A_{l-1}), (n, n_in), of a layer l > 0."""
    cdef Layer *layer = &job.network.layers[l]
    cdef Layer *below = &job.network.layers[l - 1]
    cdef real *w = (<real *> now.matrices) + layer.weights
    cdef real *delta = scratch + layer.delta + rows.at * layer.stride
    cdef real *delta_below = scratch + below.delta + rows.at * below.stride
    if uses_narrow_kernels(layer, rows.n):
        kernels(delta_below).narrow_product(delta_below, below.stride, delta, layer.stride,
                                            <Py_ssize_t *> NULL, w, layer.weight_stride,
                                            <real *> NULL, rows.n, layer.n_out, layer.n_in)
    elif layer.blas:
        gemm_nn(delta_below, delta, w, rows.n, layer.n_in, layer.n_out, below.stride, layer.stride,
                layer.weight_stride, False)
    else:
        kernels(delta_below).panel_delta(delta_below, below.stride, delta, layer.stride, w,
                                         layer.weight_stride, rows.n, layer.n_out, layer.n_in)
    kernels(delta_below).activation_backward(delta_below,
                                             scratch + below.activation + rows.at * below.stride,
                                             slope_matrix(job, scratch, rows, below),
                                             rows.n * below.stride, below.function)


cdef void backward(Job *job, Weights *now, real *scratch, real *own, Rows *rows) noexcept nogil:
    """The deltas of all layers, beginning with the output delta that finish_output left."""
    cdef Layer *last = &job.network.layers[job.network.n_layers - 1]
    cdef Py_ssize_t l = job.network.n_layers - 1
    kernels(scratch).transpose_padded(scratch + last.delta + rows.at * last.stride, last.stride,
                                      own + job.scratch.output_delta_at, job.scratch.row_stride,
                                      last.n_out, rows.n)
    while l > 0:
        backward_layer(job, now, scratch, rows, l)
        l -= 1


cdef void weight_gradient(Job *job, real *scratch, real *own, Rows *rows, Block *block, real *g,
                          bint accumulate) noexcept nogil:
    """g = or += D_l^T A_{l-1} for a block of W_l; g has the row stride of the padded weights."""
    cdef Layer *layer = &job.network.layers[block.layer]
    cdef real *delta = scratch + layer.delta + rows.at * layer.stride + block.row
    cdef real *x = <real *> rows.x
    cdef Py_ssize_t x_stride = job.data.input_stride, n_columns = block.n_columns
    cdef Py_ssize_t *index = rows.index
    if block.layer > 0:
        x_stride, index = job.network.layers[block.layer - 1].stride, NULL
        x = scratch + job.network.layers[block.layer - 1].activation + rows.at * x_stride
    if block.layer > 0 or job.data.gathers:
        n_columns = (n_columns + 15) // 16 * 16   # the padding is there, and zero
    x += block.column
    if uses_narrow_kernels(layer, rows.n):
        kernels(g).narrow_gradient(g, layer.padded_stride, delta, layer.stride, x, x_stride, index,
                                   rows.n, n_columns, block.n_rows, accumulate)
    elif layer.blas:
        gemm_tn(g, delta, x, block.n_rows, block.n_columns, rows.n, layer.padded_stride,
                layer.stride, x_stride, accumulate)
    else:
        kernels(g).panel_gradient(g, layer.padded_stride, delta, layer.stride, x, x_stride,
                                  own + job.scratch.turned_at, rows.n, n_columns, block.n_rows,
                                  accumulate)


cdef void bias_gradient(Job *job, real *scratch, Rows *rows, Py_ssize_t l, Py_ssize_t row,
                        Py_ssize_t n, real *g, bint accumulate) noexcept nogil:
    """g (n) = or += the column sums of D_l from column `row` on."""
    cdef Layer *layer = &job.network.layers[l]
    kernels(g).column_sums(g, scratch + layer.delta + rows.at * layer.stride + row, layer.stride, n,
                           rows.n, accumulate)
