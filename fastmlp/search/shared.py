"""Data that workers in other processes load once, from a file, when their first task arrives.

The file is a pickle of joblib in a folder that only this user can read; its large arrays are mapped
into the memory of all workers, which share the pages. It is written when the object is pickled for
the first time: workers in threads of this process never need it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FILE_NAME = "data.joblib"


class SharedData:
    """An object for workers, with the end of the work.

    Parameters
    ----------
    data : object
        Not modified; pickled at most once.
    """

    def __init__(self, data: Any) -> None:
        self.data = data
        self._lock = threading.Lock()
        self._folder: TemporaryDirectory[str] | None = None
        self._is_over = False

    def is_over(self) -> bool:
        """Return whether `close` has been called."""
        return self._is_over

    def close(self) -> None:
        """End the work: `is_over` becomes True, in other processes too."""
        self._is_over = True
        with self._lock:
            if self._folder is not None:
                self._folder.cleanup()

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return load_shared, (self._write(),)

    def _write(self) -> str:
        from joblib import dump

        with self._lock:
            if self._folder is None:
                self._folder = TemporaryDirectory(prefix="fastmlp-search-")
                dump(self.data, Path(self._folder.name) / FILE_NAME)
            return str(Path(self._folder.name) / FILE_NAME)


class LoadedData:
    """The object in another process.

    Attributes
    ----------
    data : object
    """

    def __init__(self, path: str) -> None:
        from joblib import load

        self._path = Path(path)
        self.data = load(path, mmap_mode="r")

    def is_over(self) -> bool:
        """Return whether the work has ended: its file has been removed."""
        return not self._path.exists()


_loaded: dict[str, LoadedData] = {}
"""The object loaded last, by the name of its file."""

_loading = threading.Lock()


def load_shared(path: str) -> LoadedData:
    """Return the object of a file, which is read at the first call; the one before is dropped."""
    with _loading:
        if path not in _loaded:
            _loaded.clear()
            _loaded[path] = LoadedData(path)
        return _loaded[path]
