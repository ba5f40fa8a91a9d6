"""A source that says how many of its rows are in memory and shuffled at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastmlp._checks import check_integer
from fastmlp.data.source import Source
from fastmlp.data.wrapped import WrappedSource, check_source


class WindowSizeSource(WrappedSource):
    """The rows of a source, with the size of its windows. Made by :func:`with_window`."""

    __module__ = "fastmlp.data"

    def __init__(self, source: Source, window_rows: int) -> None:
        super().__init__(source)
        self._window_rows = window_rows

    @property
    def window_rows(self) -> int | None:
        """Number of rows of a window."""
        return self._window_rows

    def facts(self) -> Mapping[str, Any]:
        """Return the facts of the source, and the size of a window, on which the order depends."""
        return {**self._source.facts(), "window_rows": self._window_rows}


def with_window(source: Source, window_rows: int) -> Source:
    """Return a source of which `window_rows` rows are in memory and shuffled at once.

    Everything that trains on it uses this size: the estimators, `MyANN`, and a Trainer, unless its
    `fit` is given another one. Without it, a window takes 64 MiB.

    Parameters
    ----------
    source : Source
    window_rows : int >= 1
        Rounded down to whole mini-batches, but at least one. Twice as many rows are in memory, in
        the network's type: a thread reads the next window while one is trained on.

    Returns
    -------
    Source

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    """
    check_source("source", source)
    return WindowSizeSource(source, check_integer("window_rows", window_rows, minimum=1))
