# Functions of every element of an array; part of _core.pyx.

cdef bint finite(void *values, Py_ssize_t n, Py_ssize_t item) noexcept nogil:
    return all_finite(<float *> values, n) if item == 4 else all_finite(<double *> values, n)


ctypedef void (*apply_f32)(float *, const float *, Py_ssize_t) noexcept nogil
ctypedef void (*apply_f64)(double *, const double *, Py_ssize_t) noexcept nogil


def apply(str name, x):
    """exp, log, sigmoid, tanh or softplus of every element of a C-ordered float array."""
    cdef apply_f32 f32
    cdef apply_f64 f64
    if name == "exp":
        f32, f64 = fm_f32.apply_exp, fm_f64.apply_exp
    elif name == "log":
        f32, f64 = fm_f32.apply_log, fm_f64.apply_log
    elif name == "sigmoid":
        f32, f64 = fm_f32.apply_sigmoid, fm_f64.apply_sigmoid
    elif name == "tanh":
        f32, f64 = fm_f32.apply_tanh, fm_f64.apply_tanh
    elif name == "softplus":
        f32, f64 = fm_f32.apply_softplus, fm_f64.apply_softplus
    else:
        raise ValueError(f"unknown function {name!r}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x must be of dtype float32 or float64; got {x.dtype}")
    x = np.require(x, requirements=["C", "A"])
    out = np.empty_like(x)
    if x.dtype == np.float32:
        f32(<float *> address(out), <float *> address(x), x.size)
    else:
        f64(<double *> address(out), <double *> address(x), x.size)
    return out
