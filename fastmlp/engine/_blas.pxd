# Row-major matrix products over SciPy's Fortran BLAS; the only place that calls BLAS.
#
# Fortran reads a row-major matrix as its transpose, and (A B)^T = B^T A^T, so every product is the
# Fortran product with the operands swapped. Calls are single-threaded: blas_threads.c sees to that.
from scipy.linalg.cython_blas cimport dgemm, sgemm

# SciPy >= 1.18 may be built with 64-bit BLAS integers; CMake writes the type into _blas_int.pxd.
from fastmlp.engine._blas_int cimport blas_int

cdef extern from "blas_threads.h" nogil:
    ctypedef int (*fm_get_threads)() noexcept
    ctypedef void (*fm_set_threads)(long) noexcept
    int fm_blas_add(fm_get_threads get, fm_set_threads set, int per_thread) noexcept
    void fm_blas_enter() noexcept
    void fm_blas_leave() noexcept
    int fm_blas_users() noexcept
    void fm_blas_after_fork() noexcept
    unsigned fm_blas_keep_single() noexcept
    bint fm_blas_stayed_single(unsigned changes_before) noexcept
    void fm_blas_mark_disturbed() noexcept
    bint fm_blas_was_disturbed() noexcept

cdef enum:
    MAX_ATTEMPTS = 100   # against others that change the thread count all the time

ctypedef fused real:
    float
    double


cdef inline void gemm(
    char ta, char tb, real *c, real *a, real *b,
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t ldc, Py_ssize_t lda, Py_ssize_t ldb, bint accumulate,
) noexcept nogil:
    """c (m, n) = op(a) (m, k) @ op(b) (k, n), or += when `accumulate`; all row-major."""
    cdef blas_int m_ = <blas_int> m, n_ = <blas_int> n, k_ = <blas_int> k
    cdef blas_int ldc_ = <blas_int> ldc, lda_ = <blas_int> lda, ldb_ = <blas_int> ldb
    cdef unsigned changes_before
    cdef real alpha = 1, beta = 1 if accumulate else 0
    for _ in range(MAX_ATTEMPTS):
        changes_before = fm_blas_keep_single()
        if real is float:
            sgemm(&tb, &ta, &n_, &m_, &k_, &alpha, b, &ldb_, a, &lda_, &beta, c, &ldc_)
        else:
            dgemm(&tb, &ta, &n_, &m_, &k_, &alpha, b, &ldb_, a, &lda_, &beta, c, &ldc_)
        if fm_blas_stayed_single(changes_before):
            return
        if accumulate:
            fm_blas_mark_disturbed()
            return


cdef inline void gemm_nn(
    real *c, real *a, real *b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t ldc, Py_ssize_t lda, Py_ssize_t ldb, bint accumulate,
) noexcept nogil:
    """c (m, n) = a (m, k) @ b (k, n)."""
    gemm(c"N", c"N", c, a, b, m, n, k, ldc, lda, ldb, accumulate)


cdef inline void gemm_nt(
    real *c, real *a, real *b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t ldc, Py_ssize_t lda, Py_ssize_t ldb, bint accumulate,
) noexcept nogil:
    """c (m, n) = a (m, k) @ b (n, k).T."""
    gemm(c"N", c"T", c, a, b, m, n, k, ldc, lda, ldb, accumulate)


cdef inline void gemm_tn(
    real *c, real *a, real *b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t ldc, Py_ssize_t lda, Py_ssize_t ldb, bint accumulate,
) noexcept nogil:
    """c (m, n) = a (k, m).T @ b (k, n)."""
    gemm(c"T", c"N", c, a, b, m, n, k, ldc, lda, ldb, accumulate)
