"""Who decides the thread count, and the guard that keeps BLAS on one thread meanwhile.

fastmlp splits the mini-batch itself; every product inside a share must be single-threaded, or two
pools would fight for the same processors. The BLAS setting belongs to the whole process, so the
guard counts its users: the first one lowers the setting, the last one restores it.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastmlp._checks import check_integer

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
MAX_THREADS = 256


@dataclass(frozen=True)
class ThreadCount:
    """A number of threads, and what decided it."""

    n_threads: int
    source: str


def cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Processors that the control group allows, rounded up; None without a limit (v2, then v1)."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        if quota == "max" or int(quota) <= 0:
            return None
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return None


@functools.cache
def _quota_of_this_process() -> int | None:
    """Read once: it takes longer than the prediction of some rows."""
    return cgroup_quota()


def usable_processors() -> int:
    """Processors this process may use: affinity mask, and control-group quota at its first use."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return min(count, _quota_of_this_process() or count)


def resolve_threads(
    n_threads: int | None = None, environ: Mapping[str, str] = os.environ
) -> ThreadCount:
    """The number of threads for a run.

    Parameters
    ----------
    n_threads : int or None
        At least 1; None means the first of ``OPENBLAS_NUM_THREADS`` and ``OMP_NUM_THREADS`` that
        holds a positive number, else the processors this process may use.

    Raises
    ------
    ValueError, TypeError
        If `n_threads` is not None and no integer from 1 to 256.
    """
    if n_threads is not None:
        check_integer("n_threads", n_threads, minimum=1, maximum=MAX_THREADS)
        return ThreadCount(int(n_threads), "n_threads")
    for name in THREAD_VARIABLES:
        count = _count_in(environ.get(name, ""))
        if count:
            return ThreadCount(min(count, MAX_THREADS), name)
    return ThreadCount(min(usable_processors(), MAX_THREADS), "usable processors")


def _count_in(value: str) -> int:
    """The number of threads that a variable holds; 0 where it holds none.

    OMP_NUM_THREADS may list one value per nesting level; the first one counts.
    """
    first = value.split(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def ignored_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the variables that are set, but to no positive number."""
    return [n for n in THREAD_VARIABLES if environ.get(n) and not _count_in(environ[n])]


def find_blas(package: str = "scipy") -> list[Any]:
    """Return threadpoolctl's controllers of the BLAS that a package calls.

    Parameters
    ----------
    package : {"scipy", "numpy"}
        SciPy's is the one the engine calls.

    Returns
    -------
    list
        Every BLAS library of the process where none lies in the package's folders.
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


def _set_blas_threads(library: Any, n_threads: int) -> None:
    """Set a BLAS library's thread count from whatever Python thread this is.

    threadpoolctl >= 3.8 lets only one "controlling" Python thread set OpenBLAS and ignores the
    others without a word. The guard is called by several, and leaves the control to nobody.
    """
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    library.set_num_threads(n_threads)
    if release is not None:
        release(force=True)


class _BlasGuard:
    """Reference-counted "BLAS on one thread"."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the thread that forks may be the one that has it
        self._users = 0
        self._libraries: list[Any] | None = None
        self._saved: list[int] = []

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                if self._libraries is None:
                    self._libraries = find_blas()
                self._saved = [library.get_num_threads() for library in self._libraries]
                self._set([1] * len(self._saved))
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            if self._users == 0:  # a child forked inside the guard has already left it
                return
            self._users -= 1
            if self._users == 0:
                self._set(self._saved)

    def _set(self, counts: list[int]) -> None:
        """Set all libraries; where Ctrl-C comes in between, to what they had before the guard."""
        libraries = self._libraries or []
        try:
            for library, count in zip(libraries, counts, strict=True):
                _set_blas_threads(library, count)
        except BaseException:
            for library, count in zip(libraries, self._saved, strict=True):
                _set_blas_threads(library, count)
            raise

    def before_fork(self) -> None:
        """Wait for a thread that changes the setting: its lock in BLAS would hang the child."""
        self._lock.acquire()

    def go_on_after_fork(self) -> None:
        """Let the parent's threads in again."""
        self._lock.release()

    def forget_after_fork(self) -> None:
        """In a forked child the parent's other threads are gone, and with them their leave()."""
        inherited = self._users > 0
        self._lock = threading.RLock()
        if inherited:
            self._users = 1
            self.leave()


_guard = _BlasGuard()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.before_fork,
        after_in_parent=_guard.go_on_after_fork,
        after_in_child=_guard.forget_after_fork,
    )


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Within this block, in any thread, BLAS calls use one thread; then the old setting returns."""
    _guard.enter()
    try:
        yield
    finally:
        _guard.leave()
