# What an Engine's calls are given, against what it was made for; part of _core.pyx.
#
# The last line before native code: Python has checked everything with better sentences, but its
# objects can be changed afterwards. Once a call, before any pass runs.

cdef void *checked_or_none(str name, array, char format, Py_ssize_t n,
                           bint writable) except? NULL:
    """As `checked`; NULL for None."""
    return NULL if array is None else checked(name, array, format, n, writable)


cdef void *checked(str name, array, char format, Py_ssize_t n, bint writable) except? NULL:
    """Address of a C-ordered, aligned array of n numbers."""
    cdef Py_buffer view
    cdef void *data
    cdef bint fits
    try:
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
                           | (PyBUF_WRITABLE if writable else 0))
    except (TypeError, BufferError, ValueError) as error:
        raise ValueError(f"{name} must be a C-ordered{' writable' if writable else ''} array; "
                         f"got {type(array).__name__}") from error
    data = view.buf
    fits = (view.format[0] == format and view.format[1] == 0 and view.len == n * view.itemsize
            and <size_t> data % view.itemsize == 0)
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"{name} must hold {n} aligned numbers of type {chr(format)!r}; "
                         f"got {getattr(array, 'dtype', type(array).__name__)} of {len(array)}")
    return data


cdef bint all_below(Py_ssize_t *values, Py_ssize_t n, Py_ssize_t end) noexcept nogil:
    """Whether all of n values lie from 0 to end - 1."""
    cdef Py_ssize_t i
    cdef size_t largest = 0
    for i in range(n):
        largest = max(largest, <size_t> values[i])   # a negative one is larger than all
    return n == 0 or largest < <size_t> end


cdef bint all_columns_below(int32_t *values, Py_ssize_t n, Py_ssize_t end) noexcept nogil:
    """The same for columns of a sparse matrix."""
    cdef Py_ssize_t i
    cdef uint32_t largest = 0
    for i in range(n):
        largest = max(largest, <uint32_t> values[i])
    return n == 0 or <Py_ssize_t> largest < end


cdef bint is_rising(Py_ssize_t *values, Py_ssize_t n, Py_ssize_t end) noexcept nogil:
    """Whether n values begin with 0, never fall and stay up to `end`."""
    cdef Py_ssize_t i
    if values[0] != 0 or values[n - 1] > end:
        return False
    for i in range(1, n):
        if values[i] < values[i - 1]:
            return False
    return True


cdef int check_between(str name, Py_ssize_t value, Py_ssize_t low, Py_ssize_t high) except -1:
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}; got {value}")
    return 0
