# The thread count of BLAS as Python sees it (src/blas_threads.h, declared in _blas.pxd); part of
# _core.pyx.

def add_blas(size_t get, size_t set, bint per_thread):
    if fm_blas_add(<fm_get_threads> get, <fm_set_threads> set, per_thread) != 0:
        raise RuntimeError("more than 8 BLAS libraries are loaded, or no memory is left")


def blas_users():
    return fm_blas_users()


def restore_blas_after_fork():
    fm_blas_after_fork()


cdef class SingleThreadedBlas:

    def __enter__(self):
        fm_blas_enter()

    def __exit__(self, *exception):
        fm_blas_leave()
