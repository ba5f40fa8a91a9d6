"""The BLAS libraries of the process, limited to one thread while the engine computes.

fastmlp splits the mini-batch itself. If BLAS split the products again, the last bits would change,
and two thread pools would compete for the same processors. The setting is process-wide:
``src/blas_threads.c`` lowers and restores it, and checks it again before each product.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from typing import Any

from fastmlp.engine import _core

_OPENBLAS = [
    (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
    for prefix in ("", "scipy_")
    for suffix in ("", "64_", "_64")
]
_OPENMP = [("omp_get_max_threads", "omp_set_num_threads")]
_SYMBOLS = {
    "openblas": _OPENBLAS,
    "mkl": [("MKL_Get_Max_Threads", "MKL_Set_Num_Threads")],
    "blis": [("bli_thread_get_num_threads", "bli_thread_set_num_threads")],
    "flexiblas": [("flexiblas_get_num_threads", "flexiblas_set_num_threads")],
}
"""C functions that get and set the thread count, by threadpoolctl's name of the library."""

_finding = threading.RLock()  # a signal handler may predict while this thread searches
_found = False


def find_blas(package: str = "scipy") -> list[Any]:
    """Return threadpoolctl's controllers of the BLAS libraries used by a package.

    Parameters
    ----------
    package : {"scipy", "numpy"}
        The engine uses SciPy's BLAS.

    Returns
    -------
    list
        All BLAS libraries of the process if none is in the package's folders.
    """
    import scipy.linalg.cython_blas  # noqa: F401  (loads it)
    from threadpoolctl import ThreadpoolController

    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    folders = {f"{package}.libs", package}
    of_package = [
        library
        for library in found
        if folders & {folder.name for folder in Path(library.filepath).parents}
    ]
    return of_package or found


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _thread_functions(library: Any) -> tuple[int, int, bool] | None:
    """Return the addresses of the functions that get and set the thread count; None if missing.

    The third value tells whether the setting is per thread.
    """
    per_thread = getattr(library, "threading_layer", None) == "openmp"
    per_thread &= library.internal_api == "openblas"
    for names in _OPENMP if per_thread else _SYMBOLS.get(library.internal_api, []):
        if all(hasattr(library.dynlib, name) for name in names):
            get, set_ = (_address(getattr(library.dynlib, name)) for name in names)
            return get, set_, per_thread
    return None


def _find_once() -> None:
    global _found
    with _finding:
        libraries = [] if _found else list(filter(None, map(_thread_functions, find_blas())))
        for functions in libraries:
            _core.add_blas(*functions)
        _found = True


def _in_forked_child() -> None:
    """Forget a search of a thread that the child does not have; restore BLAS after its users."""
    global _finding
    _finding = threading.RLock()
    _core.restore_blas_after_fork()


def single_threaded_blas() -> _core.SingleThreadedBlas:
    """Return a context in which BLAS calls of the process, in any thread, use one thread.

    The previous setting is restored when the last context is left, unless another thread has
    changed it meanwhile. Contexts can be nested.
    """
    if not _found:
        _find_once()
    return _core.SingleThreadedBlas()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
