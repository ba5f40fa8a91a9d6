# Functions of every element of an array; part of _core.pyx.

cdef bint finite(void *values, Py_ssize_t n, Py_ssize_t item) noexcept nogil:
    if item == 4:
        return kernels(<float *> values).all_finite(<float *> values, n)
    return kernels(<double *> values).all_finite(<double *> values, n)


cdef double squares(real *values, Py_ssize_t n) noexcept nogil:
    """Sum of the squares, as of a gradient without penalty."""
    cdef fm_rule rule
    memset(&rule, 0, sizeof(rule))
    rule.gradient_scale = 1
    return kernels(values).gradient_squares(values, values, 0, 1, 0, 1, n, &rule, False)


def norm(x):
    """Square root of the sum of all squares of a C-ordered float array; never overflows early:
    the squares of float32 are summed in float64."""
    cdef Py_buffer view
    cdef double sum
    PyObject_GetBuffer(x, &view, PyBUF_C_CONTIGUOUS)
    if view.itemsize == 4:
        sum = squares(<float *> view.buf, view.len // 4)
    else:
        sum = squares(<double *> view.buf, view.len // 8)
    PyBuffer_Release(&view)
    return sqrt(sum)


def multiply_adds(Py_ssize_t n_rounds):
    """Do n_rounds of independent float32 multiply-adds; returns how many numbers a round has."""
    cdef float[192] sums
    cdef Py_ssize_t width
    memset(sums, 0, sizeof(sums))
    with nogil:
        width = kernels(sums).multiply_adds(sums, n_rounds)
    return width


cdef int apply_to(str name, real *out, real *x, Py_ssize_t n) except -1:
    if name == "exp":
        kernels(x).apply_exp(out, x, n)
    elif name == "log":
        kernels(x).apply_log(out, x, n)
    elif name == "sigmoid":
        kernels(x).apply_sigmoid(out, x, n)
    elif name == "tanh":
        kernels(x).apply_tanh(out, x, n)
    elif name == "softplus":
        kernels(x).apply_softplus(out, x, n)
    else:
        raise ValueError(f"unknown function {name!r}")
    return 0


def apply(str name, x):
    """exp, log, sigmoid, tanh or softplus of every element of a C-ordered float array."""
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x must be of dtype float32 or float64; got {x.dtype}")
    x = np.require(x, requirements=["C", "A"])
    out = np.empty_like(x)
    cdef Py_ssize_t n = x.size
    if x.dtype == np.float32:
        apply_to(name, <float *> address(out), <float *> address(x), n)
    else:
        apply_to(name, <double *> address(out), <double *> address(x), n)
    return out
