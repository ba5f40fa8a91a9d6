"""Pools: where tasks run. In threads, processes, a user's executor, or on a Dask cluster."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from fastmlp._checks import check_choice, check_integer, shown
from fastmlp.engine.threads import usable_processors
from fastmlp.search.shared import SharedData

BACKENDS = ("threads", "processes")
WATCH_SECONDS = 1.0
MAX_WORKERS = 1024
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

Work = Callable[[Any, Any, Callable[[], bool]], Any]
"""``work(task, data, is_cancelled)``, a function of a module, returns the outcome of a task."""


class Pool:
    """Tasks that are under way, and the outcomes of those that are done, in any order.

    Parameters
    ----------
    start : callable
        Starts a task and returns its future, as of `concurrent.futures` or of Dask.
    """

    def __init__(self, start: Callable[[Any], Any]) -> None:
        self._start = start
        self._under_way: set[Any] = set()
        self._done: SimpleQueue[Any] = SimpleQueue()

    def submit(self, task: Any) -> None:
        """Start a task as soon as a worker is free."""
        future = self._start(task)
        self._under_way.add(future)
        future.add_done_callback(self._done.put)

    def next_outcome(self) -> Any:
        """Wait for the next outcome, and return it; an error of the task is raised."""
        future = self._done.get()
        self._under_way.discard(future)
        return future.result()

    def cancel(self) -> None:
        """Cancel the tasks that have not begun."""
        for future in self._under_way:
            future.cancel()


def check_backend(backend: Any, n_workers: Any) -> None:
    """Raise TypeError or ValueError for a backend, or number of workers, that is not allowed."""
    if isinstance(backend, str):
        check_choice("backend", backend, BACKENDS)
    elif isinstance(backend, type) or not callable(getattr(backend, "submit", None)):
        raise TypeError(
            "backend must be 'threads', 'processes', an executor with submit, or a client of Dask; "
            f"got {shown(backend)}"
        )
    if n_workers is not None:
        check_integer("n_workers", n_workers, minimum=1, maximum=MAX_WORKERS)
        if not isinstance(backend, str):
            raise ValueError(
                "n_workers is for backend='threads' and 'processes'; an executor or client has its "
                f"own workers; got {n_workers}"
            )


@contextmanager
def open_pool(backend: Any, n_workers: int | None, work: Work, data: Any) -> Iterator[Pool]:
    """Open a pool for tasks; at the end, also after an error, tasks under way are cancelled.

    Parameters
    ----------
    backend : {"threads", "processes"}, executor or client
    n_workers : int or None
        For the first two; None for the number of usable processors.
    work : callable
    data : object
        Every process gets a copy with its first task.
    """
    n = n_workers or usable_processors()
    if backend == "threads":
        opened = _threads(n, work, data)
    elif backend == "processes":
        opened = _processes(n, work, data)
    elif _is_dask_client(backend):
        opened = _dask(backend, work, data)
    else:
        opened = _executor(backend, work, data)
    with opened as pool:
        try:
            yield pool
        finally:
            pool.cancel()


@contextmanager
def _threads(n_workers: int, work: Work, data: Any) -> Iterator[Pool]:
    over = threading.Event()
    with ThreadPoolExecutor(n_workers, "fastmlp-search") as executor:
        try:
            yield Pool(lambda task: executor.submit(work, task, data, over.is_set))
        finally:
            over.set()


@contextmanager
def _processes(n_workers: int, work: Work, data: Any) -> Iterator[Pool]:
    """Run tasks in loky's processes: they need no guard of `__main__` and send local classes."""
    from joblib.externals.loky import ProcessPoolExecutor

    n_threads = max(1, usable_processors() // n_workers)
    environment = dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    executor = ProcessPoolExecutor(
        n_workers, env=environment, initializer=end_with_parent, initargs=(os.getpid(),)
    )
    is_done = False
    try:
        with _executor(executor, work, data) as pool:
            yield pool
            is_done = True
    finally:
        executor.shutdown(kill_workers=not is_done)


def end_with_parent(pid: int) -> None:
    """Let this process end soon after its parent, which may be killed without any notice.

    loky's processes would wait for more tasks for ever.
    """

    def watch() -> None:
        while os.getppid() == pid:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="fastmlp-watch", daemon=True).start()


@contextmanager
def _executor(executor: Any, work: Work, data: Any) -> Iterator[Pool]:
    shared = SharedData(data)
    try:
        yield Pool(lambda task: executor.submit(work_on_shared, work, task, shared))
    finally:
        shared.close()


def work_on_shared(work: Work, task: Any, shared: Any) -> Any:
    """Return the outcome of a task on data that may have been loaded from a file."""
    return work(task, shared.data, shared.is_over)


@contextmanager
def _dask(client: Any, work: Work, data: Any) -> Iterator[Pool]:
    """Run tasks on a cluster; a task of a worker that dies runs again on another one."""
    scattered = client.scatter(data, broadcast=True, hash=False)

    def start(task: Any) -> Any:
        with warnings.catch_warnings():
            # The model is a part of the task on purpose: the scheduler can send it again.
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            return client.submit(work_on_cluster, work, task, scattered, pure=False)

    try:
        yield Pool(start)
    finally:
        scattered.release()


def work_on_cluster(work: Work, task: Any, data: Any) -> Any:
    """Return the outcome of a task on a worker of Dask."""
    return work(task, data, _never)


def _never() -> bool:
    return False


def _is_dask_client(backend: Any) -> bool:
    """Return whether it is a client of Dask, without importing Dask."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(backend, distributed.Client)
