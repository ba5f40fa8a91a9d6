"""Feeds of the training loop: the rows of an epoch, as an array or in windows of a source."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.reader import Window, WindowReader
from fastmlp.engine import _core
from fastmlp.engine.rows import Inputs, Rows, first_rows
from fastmlp.training.epoch import Epoch


class Feed(Protocol):
    """What the loop needs of the rows to train on."""

    n_rows: int
    """Number of rows of an epoch."""

    def windows(self, epoch: Epoch, batch_size: int) -> Generator[Window]:
        """Yield the rows of what is left of an epoch, in windows of whole batches."""
        ...

    def first_rows(self, n: int) -> Inputs:
        """Return the inputs of the first rows, at most n."""
        ...


class ArrayFeed:
    """Rows in memory, which are one window.

    Parameters
    ----------
    rows : Rows
    row_index : ndarray of shape (n_taken,), intp, or None
        The rows to train on; None for all.
    """

    def __init__(self, rows: Rows, row_index: NDArray[np.intp] | None) -> None:
        self.rows, self.row_index = rows, row_index
        self.n_rows = len(rows.x if row_index is None else row_index)

    def windows(self, epoch: Epoch, batch_size: int) -> Generator[Window]:
        """Yield all rows, in the order of the epoch."""
        yield Window(self.rows, self._order(epoch.order_seed), 0)

    def first_rows(self, n: int) -> Inputs:
        """Return the inputs of the first rows of all, at most n, without a copy."""
        return first_rows(self.rows.x, n)

    def _order(self, seed: int | None) -> NDArray[np.intp] | None:
        """Return the rows in the order of an epoch; None for that of the data."""
        if seed is None:
            return self.row_index
        mixed = _core.permutation(self.n_rows, seed)
        return mixed if self.row_index is None else self.row_index[mixed]


class SourceFeed:
    """Rows of a source, which are read window by window.

    Parameters
    ----------
    reader : WindowReader
    """

    def __init__(self, reader: WindowReader) -> None:
        self.reader = reader
        self.n_rows = len(reader)

    def windows(self, epoch: Epoch, batch_size: int) -> Generator[Window]:
        """Yield the windows with batches that are to be done."""
        first, end = epoch.n_done * batch_size, epoch.n_batches * batch_size
        yield from self.reader.windows(epoch.order_seed, first, min(end, self.n_rows))

    def first_rows(self, n: int) -> Inputs:
        """Read the inputs of the first rows, at most n."""
        return self.reader.first_rows(n)


def feed_of(rows: Rows | WindowReader, row_index: NDArray[np.intp] | None) -> Feed:
    """Return the feed of rows in memory or of a source, which has no `row_index`."""
    return SourceFeed(rows) if isinstance(rows, WindowReader) else ArrayFeed(rows, row_index)
