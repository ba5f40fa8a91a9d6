"""Windows of a source whose rows belong to shards, all of them or some.

Shard s of S has the rows from ``s n // S``, about, to the next one's; the first n mod S shards have
one row more. Each has an order of its own, and position p of an epoch is the row number ``p // S``
in the order of shard ``p mod S``. So every batch takes its rows from all shards in turn, and a
shard's part of it follows from numbers alone, whoever reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp._checks import check_integer
from fastmlp.data.reader import Format, Window, WindowReader
from fastmlp.data.shuffle import Span, WindowOrder
from fastmlp.data.source import Indices, Source
from fastmlp.engine import _core
from fastmlp.engine.rows import Rows
from fastmlp.engine.shards import Exchange, Shards, plan_sum

N_SHARDS = 8
"""Number of shards by default."""

MASK_ROWS = 1 << 40
"""Between the numbers of the dropout masks of two shards; more than any shard has rows."""


class ShardReader(WindowReader):
    """Reads the own shards of a source in windows.

    Parameters
    ----------
    source : Source
        Dense. Only the rows of own shards, and the first ones, are read.
    format : Format
    batch_size : int >= 1
        Of all shards together.
    window_rows : int >= 1, optional
        Rows of a window, of all shards together: rounded down to a common multiple of the batch
        size and the number of shards, but at least one, unless it holds all rows.
    n_shards : int >= 1
        At most as many as there are rows.
    bounds : list of int, optional
        Of the shards of all processes, as :func:`fastmlp.engine.shards.plan_sum` has them.
    rank : int
        Number of this process.
    exchange : callable, optional
        Exchanges sums with the other processes.
    local_steps : int >= 1 or None
        Steps that every shard makes by itself between two averages; None for none, but a step of
        all shards together.

    Raises
    ------
    ValueError
    """

    def __init__(
        self,
        source: Source,
        format: Format,
        batch_size: int,
        window_rows: int | None = None,
        *,
        n_shards: int = N_SHARDS,
        bounds: list[int] | None = None,
        rank: int = 0,
        exchange: Exchange | None = None,
        local_steps: int | None = None,
    ) -> None:
        check_integer("n_shards", n_shards, minimum=1)
        if local_steps is not None:
            check_integer("local_steps", local_steps, minimum=1)
        if n_shards > len(source):
            raise ValueError(
                f"n_shards must be at most the number of rows, {len(source)}; got {n_shards}"
            )
        if source.is_sparse:
            raise ValueError("n_shards is for dense rows; got a source of sparse ones")
        step = math.lcm(batch_size, n_shards)
        super().__init__(source, format, step, window_rows)
        self.batch_size, self.exchange, self.local_steps = batch_size, exchange, local_steps
        self.sums = plan_sum([0, n_shards] if bounds is None else bounds, rank)
        own = range(self.sums.first, self.sums.first + self.sums.n_own)
        spans = [shard_rows(len(source), n_shards, shard) for shard in own]
        self._shards = [
            _Shard(shard, begin, _blocks_within(source.blocks, begin, end))
            for shard, (begin, end) in zip(own, spans, strict=True)
        ]
        self.n_windows = -(-len(source) // self.window_rows)
        self._buffer_rows = sum(shard.n_rows(self.window_rows, n_shards) for shard in self._shards)

    @property
    def n_shards(self) -> int:
        """Number of shards of all processes."""
        return self.sums.n_shards

    @property
    def settings(self) -> dict[str, Any]:
        """What the order of the rows depends on, and the order of the sums."""
        settings = {"window_rows": self.window_rows, "n_shards": self.n_shards}
        return settings | ({} if self.local_steps is None else {"local_steps": self.local_steps})

    def _windows(self, seed: int | None, first: int, end: int | None) -> Iterator[Window]:
        """Yield the windows of an epoch, as the WindowReader does, with the own shards' rows.

        Positions count the rows of all shards.
        """
        rows_of_shard = self.window_rows // self.n_shards
        orders = [
            shard.order(rows_of_shard, seed, is_only=self.n_windows == 1) for shard in self._shards
        ]
        if self.n_windows == 1:
            if self._only is None:
                self._only = self._filled(self._empty(self._buffer_rows), _spans(orders, 0))
            yield self._window(self._only, 0, _joined(orders, 0))
            return
        end = len(self) if end is None else end
        numbers = range(first // self.window_rows, -(-end // self.window_rows))
        if not numbers:  # an epoch that was saved after its last batch
            return
        takes = self.source.can_take and seed is not None
        for order in orders:
            order.prepare(takes=takes)

        def read(number: int) -> Window:
            n_rows = sum(order.n_rows(number) for order in orders)
            buffer = self._buffer(number, n_rows)
            if takes:
                taken = np.concatenate([order.taken(number) for order in orders])
                return self._window(self._taken(buffer, taken), number, None)
            rows = self._filled(buffer, _spans(orders, number))
            return self._window(rows, number, _joined(orders, number))

        yield from self._prefetched(read, numbers)

    def _refuse_weightless(self, window: Window) -> None:
        """Refuse an epoch of weights that are all 0, where all of them are seen."""
        if self.sums.n_own == self.n_shards:
            super()._refuse_weightless(window)

    def _window(self, rows: Rows, number: int, order: Indices | None) -> Window:
        """Return a window with the lanes of its batches."""
        begin = number * self.window_rows
        n_rows = min(self.window_rows, len(self) - begin)
        batches = np.arange(0, n_rows, self.batch_size)
        ends = np.minimum(batches + self.batch_size, n_rows)
        lanes = np.empty((len(batches), len(self._shards), 3), np.intp)
        at = 0
        for own, shard in enumerate(self._shards):
            firsts = shard.n_rows(batches, self.n_shards)
            lanes[:, own, 0] = at + firsts
            lanes[:, own, 1] = shard.n_rows(ends, self.n_shards) - firsts
            lanes[:, own, 2] = shard.number * MASK_ROWS + begin // self.n_shards + firsts
            at += shard.n_rows(n_rows, self.n_shards)
        shards = Shards(
            sums=self.sums,
            lanes=lanes,
            batch_rows=ends - batches,
            n_rows=n_rows,
            lane_rows=-(-self.batch_size // self.n_shards),
            exchange=self.exchange,
        )
        return Window(rows, order, begin, shards)


def shard_rows(n_rows: int, n_shards: int, shard: int) -> Span:
    """Return begin and end of a shard's rows in a source of `n_rows` rows."""
    share, rest = divmod(n_rows, n_shards)
    begin = shard * share + min(shard, rest)
    return begin, begin + share + (shard < rest)


@dataclass(frozen=True)
class _Shard:
    """A shard's number, its first row in the source, and its blocks, counted from there."""

    number: int
    begin: int
    blocks: Indices

    def n_rows(self, positions: Any, n_shards: int) -> Any:
        """Return how many of the first `positions` positions of an epoch are of this shard."""
        return (positions - self.number + n_shards - 1) // n_shards

    def order(self, rows_of_window: int, seed: int | None, *, is_only: bool) -> _ShardOrder:
        """Return its order in an epoch, for `seed` of the epoch."""
        if seed is not None:
            sequence = np.random.SeedSequence(seed, spawn_key=(self.number, 0))
            seed = int(sequence.generate_state(1, np.uint64)[0])
        rows = int(self.blocks[-1]) if is_only else rows_of_window
        return _ShardOrder(self.begin, WindowOrder(self.blocks, rows, seed))


class _ShardOrder:
    """The order of a shard's rows in one epoch.

    Parameters
    ----------
    begin : int
        The shard's first row in the source.
    order : WindowOrder
        Of the shard's rows, counted from `begin`.
    """

    def __init__(self, begin: int, order: WindowOrder) -> None:
        self.begin, self.order = begin, order
        self._mixed = np.empty(0, np.intp)
        self._read_order = order.read_order() if order.n_windows == 1 else None

    def prepare(self, *, takes: bool) -> None:
        """Mix what is needed: single rows (`takes`) or blocks."""
        if takes and self.order.seed is not None:
            self._mixed = _core.permutation(self.order.n_rows, self.order.seed)
        else:
            self._read_order = self.order.read_order()

    def n_rows(self, window: int) -> int:
        """Return the number of rows in a window."""
        begin, end = self.order.rows_of(window)
        return max(0, end - begin)

    def taken(self, window: int) -> Indices:
        """Return the rows of a window in the source, in their order."""
        return self.begin + self._mixed[slice(*self.order.rows_of(window))]

    def spans(self, window: int) -> list[Span]:
        """Return the parts of the source that are read for a window."""
        if self.n_rows(window) == 0 or self._read_order is None:
            return []
        spans = self.order.spans(window, self._read_order)
        return [(begin + self.begin, end + self.begin) for begin, end in spans]

    def order_within(self, window: int) -> Indices | None:
        """Return the order of a window's rows, as they have been read; None for that."""
        return self.order.order_within(window)


def _spans(orders: list[_ShardOrder], window: int) -> list[Span]:
    """Return the parts of the source that are read for a window of all own shards."""
    return [span for order in orders for span in order.spans(window)]


def _joined(orders: list[_ShardOrder], window: int) -> Indices | None:
    """Return the orders of the shards' rows in a window that has one shard after the other."""
    at, parts = 0, []
    for order in orders:
        within = order.order_within(window)
        if within is None:
            return None
        parts.append(within + at)
        at += len(within)
    return np.concatenate(parts)


def _blocks_within(blocks: Indices, begin: int, end: int) -> Indices:
    """Return the boundaries of the blocks of a part of a source, counted from its begin."""
    inner = blocks[(blocks > begin) & (blocks < end)]
    return np.concatenate([[begin], inner, [end]]).astype(np.intp) - begin
