"""A session runs a study's configurations in parallel and stores each one when it is finished.

The engine works without the GIL, so threads of one process train as many networks at once as there
are processors, on the same data in memory. Each configuration has one thread to itself and draws
its random numbers from its own seed: results depend neither on the order nor on the number at once.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastmlp.engine import environment
from fastmlp.engine.threads import resolve_threads
from fastmlp.exceptions import DataFormatError
from fastmlp.files.json_file import plain, read_json, write_json
from fastmlp.studies.lab.progress import Progress, Silence
from fastmlp.studies.lab.results import FORMAT, fingerprint, result_path

Case = dict[str, Any]


class StoppedError(Exception):
    """Exception raised by a configuration's tick when the study ends early."""


class Tick:
    """Called by a configuration to report progress, also as a Trainer's callback.

    Raises
    ------
    StoppedError
        If the study was stopped: let it through.
    """

    def __init__(self, progress: Progress, stop: threading.Event) -> None:
        self._progress, self._stop = progress, stop
        self.n_ticks = 0

    def __call__(self, trainer: object = None) -> None:
        """Move the progress bar; raise StoppedError after Ctrl-C."""
        if self._stop.is_set():
            raise StoppedError
        self.n_ticks += 1
        self._progress.tick()


Function = Callable[[Case, Tick], dict[str, Any]]


class Session:
    """One run of one study.

    Parameters
    ----------
    study : str
        Its name.
    folder : Path or None
        Existing folder for finished configurations; None keeps none.
    quick : bool
        Recorded in the result.
    n_threads : int or None
        Configurations at once, see :func:`fastmlp.resolve_threads`.
    progress : Progress
    """

    def __init__(
        self,
        study: str,
        folder: Path | None = None,
        *,
        quick: bool = False,
        n_threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.study, self.quick = study, quick
        self.n_threads = resolve_threads(n_threads).n_threads
        self.store = None if folder is None else _store(folder, study, quick)
        self.n_kept = self.n_resumed = 0
        self.complaints: list[str] = []
        self._progress = Silence() if progress is None else progress
        self._start = time.perf_counter()
        self._work_seconds = 0.0
        self._lock = threading.Lock()

    def map(
        self,
        function: Function,
        cases: Iterable[Case],
        *,
        config: Any,
        n_ticks: int = 1,
        alone: bool = False,
    ) -> list[dict[str, Any]]:
        """Call ``function(case, tick)`` for every case whose result is not stored yet.

        Parameters
        ----------
        function : callable
            Returns a dict of plain values or arrays. Uses one thread, unless `alone`.
        cases : iterable of dict
            Plain values: everything in which configurations with an equal `config` differ.
        config : dataclass
            A stored configuration is taken only if it was made with an equal one, by the same
            version of fastmlp, on such a machine.
        n_ticks : int
            Calls of `tick` that a case is expected to make.
        alone : bool
            One after the other in this thread, for times; else `n_threads` at once.

        Returns
        -------
        list of dict
            In the order of `cases`: case, what the function returned, and ``seconds``, as JSON
            has them.

        Raises
        ------
        Exception, KeyboardInterrupt
            The first that a function raised; the others are stopped, and finished ones are kept.
        """
        cases = [plain(case) for case in cases]
        settings = [asdict(config), environment.arithmetic()]
        paths = [self._path(case, settings) for case in cases]
        finished: dict[int, dict[str, Any]] = {}
        stop = threading.Event()

        def work(i: int) -> None:
            finished[i] = self._run(function, cases[i], paths[i], n_ticks, stop)

        self._progress.begin(len(cases), n_ticks * len(cases))
        try:
            missing = []
            for i, path in enumerate(paths):
                if (stored := self._stored(path)) is None:
                    missing.append(i)
                else:
                    finished[i] = self._count_stored(cases[i], stored, n_ticks)
            _work_off(work, missing, 1 if alone else self.n_threads, stop)
        finally:
            self._progress.end()
        return [{**case, **finished[i]} for i, case in enumerate(cases)]

    def record(self, config: Any, **content: Any) -> dict[str, Any]:
        """Return the study's result, as plain values for JSON.

        Parameters
        ----------
        config : dataclass
        content : plain values and arrays
            What the study found.

        Raises
        ------
        ValueError
            If `content` has a name that the record itself uses.
        """
        result = {
            "format": FORMAT,
            "study": self.study,
            "quick": self.quick,
            "config": asdict(config),
            "finished": datetime.now(UTC).isoformat(timespec="minutes"),
            "seconds": {
                "wall": round(time.perf_counter() - self._start, 3),
                "configurations": round(self._work_seconds, 3),
                "resumed_configurations": self.n_resumed,
            },
            "environment": environment.collect(self.n_threads),
        }
        if taken := sorted(result.keys() & content.keys()):
            raise ValueError(f"content of a result must have other names than {', '.join(taken)}")
        text = json.dumps(plain({**result, **content}), allow_nan=False)
        return json.loads(text)  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Remove the stored configurations, which the result now contains."""
        if self.store is not None:
            shutil.rmtree(self.store, ignore_errors=True)

    def _path(self, case: Case, settings: Sequence[Any]) -> Path | None:
        return self.store and self.store / f"{fingerprint(case, *settings)}.json"

    def _stored(self, path: Path | None) -> dict[str, Any] | None:
        """Return the stored result or None; a damaged file is listed in `complaints`."""
        if path is None or not path.exists():
            return None
        try:
            stored = read_json(path)
            if not isinstance(stored.get("seconds"), int | float):
                raise DataFormatError(f"{path}: damaged: expected seconds, found none")
        except (OSError, DataFormatError) as error:
            self.complaints.append(f"{error}; this configuration was repeated")
            return None
        return stored

    def _count_stored(self, case: Case, stored: dict[str, Any], n_ticks: int) -> dict[str, Any]:
        self.n_kept += 1
        self.n_resumed += 1
        self._work_seconds += stored["seconds"]
        self._progress.tick(n_ticks)
        self._progress.finish_case(case, None)
        return stored

    def _run(
        self, function: Function, case: Case, path: Path | None, n_ticks: int, stop: threading.Event
    ) -> dict[str, Any]:
        """Compute one configuration, and store it at once."""
        tick = Tick(self._progress, stop)
        start = time.perf_counter()
        found = function(case, tick)
        seconds = time.perf_counter() - start
        found = json.loads(json.dumps(plain({**found, "seconds": round(seconds, 3)})))
        if path is not None:
            path.parent.mkdir(exist_ok=True)
            write_json(path, found)
        with self._lock:
            self.n_kept += 1
            self._work_seconds += seconds
            self._progress.tick(max(n_ticks - tick.n_ticks, 0))
            self._progress.finish_case(case, seconds)
        return found  # type: ignore[no-any-return]


def _store(folder: Path, study: str, quick: bool) -> Path:
    """Folder of the finished configurations of an unfinished study."""
    return result_path(folder, study, quick).with_suffix(".unfinished")


def _work_off(
    work: Callable[[int], None], items: Sequence[int], n_threads: int, stop: threading.Event
) -> None:
    """Call `work` with every item; any exception, including Ctrl-C, stops all of them."""
    if n_threads == 1:
        for item in items:  # in the main thread, where Ctrl-C arrives
            work(item)
        return

    def work_unless_stopped(item: int) -> None:
        if stop.is_set():
            raise StoppedError
        try:
            work(item)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(n_threads, thread_name_prefix="fastmlp-study") as pool:
        futures = [pool.submit(work_unless_stopped, item) for item in items]
        try:
            for future in as_completed(futures):
                if not isinstance(future.exception(), StoppedError):
                    future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
