"""Feeds of the training loop: the rows of an epoch, as an array or in windows of a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.reader import Window, WindowReader
from fastmlp.data.sharded import ShardReader
from fastmlp.data.source import Source
from fastmlp.engine import _core
from fastmlp.engine.rows import Inputs, Rows, first_rows
from fastmlp.training.batches import train_batches
from fastmlp.training.epoch import Epoch
from fastmlp.training.local_steps import LocalSteps
from fastmlp.training.protocol import NetworkTraining


class Feed(ABC):
    """Rows to train on, as the loop needs them.

    Attributes
    ----------
    n_rows : int
        Number of rows of an epoch.
    source : Source or None
        Where the rows are, for the comparison of resumed runs; None for rows in memory.
    settings : mapping
        What else a resumed run must share, by name.
    """

    n_rows: int
    source: Source | None = None
    settings: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def windows(self, epoch: Epoch, batch_size: int) -> Generator[Window]:
        """Yield the rows of what is left of an epoch, in windows of whole batches."""

    @abstractmethod
    def first_rows(self, n: int) -> Inputs:
        """Return the inputs of the first rows, at most n."""

    def train(
        self, training: NetworkTraining, window: Window, epoch: Epoch, last_batch: int
    ) -> bool:
        """Train on every batch of a window until `last_batch`; see `train_batches`."""
        return train_batches(training, window, epoch, last_batch, self.n_rows)

    def fault_of_loss(self, training: NetworkTraining, window: Window, batch: int) -> str:
        """Return what is wrong with a custom loss in a batch that has diverged, or ""."""
        rows = window.rows_of_batch(batch, training.batch_size)
        return training.objective.fault_of_loss(window.rows, rows)


class ArrayFeed(Feed):
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


class SourceFeed(Feed):
    """Rows of a source, which are read window by window.

    Parameters
    ----------
    reader : WindowReader
    """

    def __init__(self, reader: WindowReader) -> None:
        self.reader, self.source, self.settings = reader, reader.source, reader.settings
        self.n_rows = len(reader)
        self._local: LocalSteps | None = None

    def train(
        self, training: NetworkTraining, window: Window, epoch: Epoch, last_batch: int
    ) -> bool:
        """Train on a window; of a sharded run perhaps with local steps."""
        reader = self.reader
        if not isinstance(reader, ShardReader) or reader.local_steps is None:
            return super().train(training, window, epoch, last_batch)
        if self._local is None:
            n_threads = training.threads.n_threads
            self._local = LocalSteps(training, reader.local_steps, reader.sums, None, n_threads)
        return self._local.train(window, epoch, last_batch, self.n_rows)

    def windows(self, epoch: Epoch, batch_size: int) -> Generator[Window]:
        """Yield the windows with batches that are to be done."""
        first, end = epoch.n_done * batch_size, epoch.n_batches * batch_size
        yield from self.reader.windows(epoch.order_seed, first, min(end, self.n_rows))

    def first_rows(self, n: int) -> Inputs:
        """Read the inputs of the first rows, at most n."""
        return self.reader.first_rows(n)


def feed_of(rows: Rows | WindowReader | Feed, row_index: NDArray[np.intp] | None) -> Feed:
    """Return the feed of rows in memory or of a source, which has no `row_index`."""
    if isinstance(rows, Feed):
        return rows
    return SourceFeed(rows) if isinstance(rows, WindowReader) else ArrayFeed(rows, row_index)
