# Between the public layout of the parameters and the padded one; part of _core.pyx.

cdef void pad(Job *job, real *out, real *parameters) noexcept nogil:
    """Padded biases and matrices from (n_out, n_in + 1) matrices with the bias in column 0."""
    cdef Layer *layer
    cdef real *row
    cdef Py_ssize_t l, j
    for l in range(job.network.n_layers):
        layer = &job.network.layers[l]
        for j in range(layer.n_out):
            row = parameters + layer.public + j * (layer.n_in + 1)
            out[layer.padded_bias + j] = row[0]
            if not layer.sparse:
                memcpy(out + layer.padded_weights + j * layer.padded_stride, row + 1,
                       layer.n_in * sizeof(real))
        if layer.sparse:
            pad_transposed(layer, out + layer.padded_weights, parameters)


cdef void unpad(Job *job, real *parameters, real *vector) noexcept nogil:
    """The inverse of `pad`."""
    cdef Layer *layer
    cdef real *row
    cdef Py_ssize_t l, j
    for l in range(job.network.n_layers):
        layer = &job.network.layers[l]
        for j in range(layer.n_out):
            row = parameters + layer.public + j * (layer.n_in + 1)
            row[0] = vector[layer.padded_bias + j]
            if not layer.sparse:
                memcpy(row + 1, vector + layer.padded_weights + j * layer.padded_stride,
                       layer.n_in * sizeof(real))
        if layer.sparse:
            unpad_transposed(layer, parameters, vector + layer.padded_weights)


cdef void pack(Job *job, Weights *now, real *packed) noexcept nogil:
    """W^T of all layers whose forward product wants it."""
    cdef Layer *layer
    for l in range(job.network.n_layers):
        layer = &job.network.layers[l]
        if layer.sparse and job.data.touched != NULL:
            kernels(packed).gather_columns(packed + layer.packed, layer.stride,
                                           (<real *> now.matrices) + layer.weights,
                                           layer.weight_stride, job.data.touched,
                                           job.data.n_touched, layer.n_out)
        elif layer.copied:
            kernels(packed).transpose_padded(packed + layer.packed, layer.stride,
                                             (<real *> now.matrices) + layer.weights,
                                             layer.weight_stride, layer.n_out, layer.n_in)


cdef void copy_biases(Job *job, real *out, real *parameters) noexcept nogil:
    """The biases alone, padded, from public parameters."""
    cdef Layer *layer
    cdef Py_ssize_t l, j
    for l in range(job.network.n_layers):
        layer = &job.network.layers[l]
        for j in range(layer.n_out):
            out[layer.bias + j] = parameters[layer.public + j * (layer.n_in + 1)]
