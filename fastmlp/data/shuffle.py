"""The order of the rows of an epoch: blocks in random order, and rows within a window of them.

A shuffle of all rows would read a file in single rows. So the blocks are put in random order, the
rows are read in that order into a window, and shuffled within it: a row meets, in its batch, the
rows of all blocks of its window. Everything follows from one seed. If one window holds all rows the
order is that of an array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmlp.data.source import Indices
from fastmlp.engine import _core

Span = tuple[int, int]
"""Begin and end (excluded) of rows that lie side by side in a source."""


@dataclass(frozen=True)
class WindowOrder:
    """The order of the rows of one epoch, window by window.

    Attributes
    ----------
    blocks : ndarray of shape (n_blocks + 1,), intp
        Boundaries of the blocks of the source.
    window_rows : int >= 1
        Rows of every window but the last.
    seed : int or None
        From 0 to 2^64 - 1; None for the order of the source.
    """

    blocks: Indices
    window_rows: int
    seed: int | None

    @property
    def n_rows(self) -> int:
        """Number of rows of the source."""
        return int(self.blocks[-1])

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return -(-self.n_rows // self.window_rows)

    def rows_of(self, window: int) -> Span:
        """Return the positions in the epoch of a window's rows."""
        begin = window * self.window_rows
        return begin, min(begin + self.window_rows, self.n_rows)

    def read_order(self) -> tuple[Indices, Indices]:
        """Return the blocks in the order in which they are read, and the positions they begin at.

        Both are (n_blocks,) intp; one window is read in the order of the source.
        """
        n_blocks = len(self.blocks) - 1
        order = np.arange(n_blocks, dtype=np.intp)
        if self.seed is not None and self.n_windows > 1:
            order = _core.permutation(n_blocks, derived_seed(self.seed, 0))
        lengths = np.diff(self.blocks)[order]
        return order, np.cumsum(lengths) - lengths

    def spans(self, window: int, read_order: tuple[Indices, Indices]) -> list[Span]:
        """Return what is read for a window: parts of the source, in the order of reading."""
        begin, end = self.rows_of(window)
        order, positions = read_order
        first = int(np.searchsorted(positions, begin, side="right")) - 1
        spans = []
        for block, at in zip(order[first:].tolist(), positions[first:].tolist(), strict=True):
            if at >= end:
                break
            shift = int(self.blocks[block]) - at
            spans.append((max(begin, at) + shift, min(end + shift, int(self.blocks[block + 1]))))
        return spans

    def order_within(self, window: int) -> Indices | None:
        """Return the order of a window's rows, as they have been read; None for that."""
        if self.seed is None:
            return None
        begin, end = self.rows_of(window)
        seed = self.seed if self.n_windows == 1 else derived_seed(self.seed, window + 1)
        return _core.permutation(end - begin, seed)


def derived_seed(seed: int, number: int) -> int:
    """Return a seed of its own for each number, from 0 to 2^64 - 1."""
    sequence = np.random.SeedSequence(seed, spawn_key=(number,))
    return int(sequence.generate_state(1, np.uint64)[0])
