"""Windows of a source as the engine reads them, prefetched by a thread.

A window is rows in the network's dtype, checked. While the engine trains on one, without the GIL, a
thread fills the buffers of the next one: there are never more than two.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastmlp._checks import check_integer, check_targets, shown
from fastmlp._types import Array
from fastmlp.data.shuffle import WindowOrder
from fastmlp.data.source import Indices, Source, SourceRows
from fastmlp.engine import _core
from fastmlp.engine.rows import Inputs, Rows, SparseRows
from fastmlp.engine.shards import Shards
from fastmlp.exceptions import DataFormatError

WINDOW_BYTES = 1 << 26
"""Memory of a window by default, in bytes; there are two."""


class Window(NamedTuple):
    """Rows of an epoch that are in memory.

    Attributes
    ----------
    rows : Rows
    order : ndarray of shape (n,), intp, or None
        The order in which they are trained on; None for that of `rows`.
    begin : int
        Position of the first row in the epoch.
    shards : Shards or None
        Which of them belong to which shard, in a sharded run.
    """

    rows: Rows
    order: Indices | None
    begin: int
    shards: Shards | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows that are trained on, of all shards."""
        if self.shards is not None:
            return self.shards.n_rows
        return len(self.rows.y if self.order is None else self.order)

    def rows_of_batch(self, batch: int, batch_size: int) -> slice | Indices:
        """Return the rows, in `rows`, of a batch of the epoch that lies in this window."""
        begin = batch * batch_size - self.begin
        positions: slice | Indices = slice(begin, begin + batch_size)
        if self.shards is not None:
            positions = self.shards.positions(begin // batch_size)
        return positions if self.order is None else self.order[positions]


@dataclass(frozen=True)
class Format:
    """What rows must be like for a network.

    Attributes
    ----------
    dtype : float32 or float64
    n_features, n_outputs : int
    loss : str
        Name of the loss function.
    targets : (float, float)
        Lowest and highest target that it allows.
    """

    dtype: np.dtype[Any]
    n_features: int
    n_outputs: int
    loss: str
    targets: tuple[float, float]

    def check(self, name: str, source: Source) -> None:
        """Raise ValueError if a source, called `name`, has other columns."""
        if source.n_features != self.n_features:
            raise ValueError(
                f"{name} must have {self.n_features} features, as many as the network has inputs; "
                f"got {source.n_features}"
            )
        if source.n_outputs != self.n_outputs:
            advice = ""
            if source.n_outputs == 1:
                advice = ": fastmlp.data.one_hot makes one target per class of labels"
            raise ValueError(
                f"{name} must have {self.n_outputs} target(s) per row, as many as the network has "
                f"outputs; got {source.n_outputs}{advice}"
            )


class WindowReader:
    """Reads a source in windows.

    Parameters
    ----------
    source : Source
    format : Format
    batch_size : int >= 1
    window_rows : int >= 1, optional
        Rows of a window, rounded down to a multiple of `batch_size` but at least one batch, unless
        it holds all rows; by default those of the source, or as many as take WINDOW_BYTES.
    """

    def __init__(
        self, source: Source, format: Format, batch_size: int, window_rows: int | None = None
    ) -> None:
        self.source, self.format = source, format
        _check_blocks(source)
        width = format.n_features + format.n_outputs
        wanted = WINDOW_BYTES // (format.dtype.itemsize * width)
        window_rows = source.window_rows if window_rows is None else window_rows
        if window_rows is not None:
            wanted = check_integer("window_rows", window_rows, minimum=1)
        self.window_rows = max(1, wanted // batch_size) * batch_size
        if max(wanted, self.window_rows) >= len(source):
            self.window_rows = len(source)
        self._buffer_rows = self.window_rows
        self._has_weights = source.has_weights
        self._n_weightless = 0
        self._buffers: dict[int, Rows] = {}
        self._only: Rows | None = None
        self._is_closed = False

    def __len__(self) -> int:
        return len(self.source)

    @property
    def n_rows(self) -> int:
        """Number of rows of an epoch."""
        return len(self.source)

    @property
    def settings(self) -> dict[str, Any]:
        """What the order of the rows depends on, for the comparison of resumed runs."""
        return {"window_rows": self.window_rows}

    def without_weights(self) -> WindowReader:
        """Return a reader of the same rows that all have weight 1."""
        reader = copy.copy(self)
        reader._has_weights, reader._buffers, reader._only = False, {}, None
        return reader

    def first_rows(self, n: int) -> Inputs:
        """Return checked inputs of the first rows, at most n, as arrays of their own."""
        n = min(n, len(self))
        window = self._empty(n)
        return self._filled(window, [(0, n)]).x

    def windows(self, seed: int | None, first: int = 0, end: int | None = None) -> Iterator[Window]:
        """Yield the windows of an epoch, each until the next one is asked for.

        Parameters
        ----------
        seed : int or None
            Of the order of the rows; None for that of the source.
        first, end : int
            Positions in the epoch: windows that end before `first` are left out, and those that
            begin at `end` or later; None for the end of the epoch.

        Raises
        ------
        DataFormatError, OSError
            Where rows cannot be read, or are not finite, or targets not allowed; with the place.
        ValueError
            With the last window, if no row of the epoch has a positive weight.
        """
        self._n_weightless = 0
        for window in self._windows(seed, first, end):
            self._refuse_weightless(window)
            yield window

    def _windows(self, seed: int | None, first: int, end: int | None) -> Iterator[Window]:
        """Yield windows as `windows` does."""
        order = WindowOrder(self.source.blocks, self.window_rows, seed)
        end = len(self) if end is None else end
        numbers = range(first // self.window_rows, -(-end // self.window_rows))
        if order.n_windows == 1:
            if self._only is None:
                self._only = self._filled(self._empty(len(self)), [(0, len(self))])
            yield Window(self._only, order.order_within(0), 0)
            return
        if not numbers:  # an epoch that was saved after its last batch
            return
        read = self._by_rows(order) if self.source.can_take else self._by_blocks(order)
        yield from self._prefetched(read, numbers)

    def _prefetched(self, read: Callable[[int], Window], numbers: range) -> Iterator[Window]:
        """Yield what `read` returns for each number, called in a thread while one is in use."""
        pool = ThreadPoolExecutor(1, "fastmlp-reader")
        try:
            coming = pool.submit(read, numbers[0])
            for number in numbers:
                window = coming.result()
                if number + 1 in numbers:
                    coming = pool.submit(read, number + 1)
                yield window
        finally:
            self._is_closed = True  # a read that is under way ends with its piece
            pool.shutdown(wait=True, cancel_futures=True)
            self._is_closed = False
            self._buffers.clear()  # a validation set has buffers of its own

    def _by_blocks(self, order: WindowOrder) -> Callable[[int], Window]:
        """Return a function that reads a window in whole blocks."""
        read_order = order.read_order()

        def read(number: int) -> Window:
            begin, end = order.rows_of(number)
            rows = self._filled(self._buffer(number, end - begin), order.spans(number, read_order))
            return Window(rows, order.order_within(number), begin)

        return read

    def _by_rows(self, order: WindowOrder) -> Callable[[int], Window]:
        """Return a function that reads a window's rows one by one, in the order of an array."""
        mixed = None if order.seed is None else _core.permutation(len(self), order.seed)

        def read(number: int) -> Window:
            begin, end = order.rows_of(number)
            window = self._buffer(number, end - begin)
            if mixed is None:
                return Window(self._filled(window, [(begin, end)]), None, begin)
            return Window(self._taken(window, mixed[begin:end]), None, begin)

        return read

    # --- Buffers

    def _buffer(self, number: int, n_rows: int) -> Rows:
        """Return the first rows of one of two buffers, in turn."""
        place = number % 2
        if place not in self._buffers:
            self._buffers[place] = self._empty(self._buffer_rows)
        x, y, weights = self._buffers[place]
        return Rows(
            x if self.source.is_sparse else x[:n_rows],
            y[:n_rows],
            None if weights is None else weights[:n_rows],
        )

    def _empty(self, n_rows: int) -> Rows:
        """Return arrays for rows; of sparse ones X is made when they are there."""
        dtype, n_features = self.format.dtype, self.format.n_features
        return Rows(
            np.empty((0 if self.source.is_sparse else n_rows, n_features), dtype),
            np.empty((n_rows, self.format.n_outputs), dtype),
            np.empty(n_rows, dtype) if self._has_weights else None,
        )

    def _filled(self, window: Rows, spans: list[tuple[int, int]]) -> Rows:
        """Read parts of the source, one after the other, into the arrays of a window."""
        step = self.source.piece_rows
        pieces = (
            np.arange(at, min(at + step, end))
            for begin, end in spans
            for at in range(begin, end, step)
        )
        return self._written(window, pieces, lambda rows: self.source.read(rows[0], rows[-1] + 1))

    def _taken(self, window: Rows, rows: Indices) -> Rows:
        """Read single rows into the arrays of a window."""
        step = self.source.piece_rows
        parts = (rows[at : at + step] for at in range(0, len(rows), step))
        return self._written(window, parts, self.source.take)

    def _written(
        self, window: Rows, pieces: Iterator[Indices], read: Callable[[Any], SourceRows]
    ) -> Rows:
        """Read pieces, given by row numbers, convert and check them, and write them to a window."""
        at, sparse = 0, []
        for numbers in pieces:
            if self._is_closed:  # nobody waits for this window
                break
            piece = self._checked(read, numbers)
            end = at + len(numbers)
            if self.source.is_sparse:
                sparse.append(self._sparse(piece.X, numbers))
            else:
                self._convert("X", piece.X, window.x[at:end], numbers)
            y = piece.y if piece.y.ndim == 2 else piece.y[:, np.newaxis]
            self._convert("y", y, window.y[at:end], numbers)
            self._check_targets(window.y[at:end], numbers)
            if window.weights is not None:
                self._convert("sample_weight", piece.weights, window.weights[at:end], numbers)
                self._check_weights(window.weights[at:end], numbers)
            at = end
        if sparse:
            from scipy.sparse import vstack

            return window._replace(
                x=SparseRows.from_matrix(vstack(sparse, "csr"), self.format.dtype)
            )
        return window

    # --- Checks

    def _checked(self, read: Callable[[Any], SourceRows], numbers: Indices) -> SourceRows:
        """Read rows, and check their shapes, because NumPy would repeat a single row.

        What a source raises becomes a DataFormatError, before which a run is saved; errors of the
        system and of memory say enough.
        """
        try:
            piece = read(numbers)
            found = [_shape(getattr(piece, name)) for name in SourceRows._fields]
        except (DataFormatError, OSError, MemoryError):
            raise
        except Exception as error:
            raise DataFormatError(f"{self._range(numbers)} cannot be read: {error!r}") from error
        n_rows, n_outputs = len(numbers), self.format.n_outputs
        allowed: dict[str, list[Any]] = {
            "X": [(n_rows, self.format.n_features)],
            "y": [(n_rows, n_outputs), (n_rows,)][: 2 if n_outputs == 1 else 1],
            "weights": [(n_rows,) if self.source.has_weights else None],
        }
        for (name, shapes), shape in zip(allowed.items(), found, strict=True):
            if shape not in shapes:
                raise DataFormatError(
                    f"{self._range(numbers)}: expected {name} of shape {shapes[0]}, found {shape}"
                )
        return piece

    def _range(self, numbers: Indices) -> str:
        return f"{self.source.locate(int(numbers[0]))}, and {len(numbers) - 1} other row(s)"

    def _convert(self, what: str, values: Any, out: Array, numbers: Indices) -> None:
        """Write finite real numbers into `out`, in its dtype."""
        if values.dtype.kind not in "fiub":
            raise DataFormatError(
                f"{self.source.locate(int(numbers[0]), what, 0)}: expected real numbers, found "
                f"{values.dtype}"
            )
        with np.errstate(over="ignore"):  # infinity is reported below
            np.copyto(out, values, casting="unsafe")
        if values.dtype.kind == "f":
            self._check_finite(what, out, numbers)

    def _check_finite(self, what: str, values: Array, numbers: Indices) -> None:
        finite = np.isfinite(values)
        if finite.all():
            return
        row, *column = map(int, np.argwhere(~finite)[0])
        found = "NaN" if np.isnan(values[row, *column]) else "infinity"
        where = self.source.locate(int(numbers[row]), what, *column)
        raise DataFormatError(f"{where}: expected a finite {values.dtype} number, found {found}")

    def _sparse(self, matrix: Any, numbers: Indices) -> Any:
        """Return a CSR matrix in the network's dtype, whose numbers are finite."""
        with np.errstate(over="ignore"):
            matrix = matrix.astype(self.format.dtype)
        finite = np.isfinite(matrix.data)
        if not finite.all():
            at = int(finite.argmin())
            row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
            where = self.source.locate(int(numbers[row]), "X", int(matrix.indices[at]))
            raise DataFormatError(
                f"{where}: expected a finite {matrix.dtype} number, found {matrix.data[at]}"
            )
        return matrix

    def _check_targets(self, y: Array, numbers: Indices) -> None:
        low, high = self.format.targets
        if y.min() >= low and y.max() <= high:
            return
        row, column = map(int, np.argwhere((y < low) | (y > high))[0])
        where = self.source.locate(int(numbers[row]), "y", column)
        try:
            check_targets(where, y[row, column : column + 1], self.format.loss, (low, high))
        except ValueError as error:
            raise DataFormatError(str(error)) from None

    def _refuse_weightless(self, window: Window) -> None:
        """Count the first windows whose weights are all 0, and refuse an epoch of such."""
        weights = window.rows.weights
        if self._n_weightless != window.begin or weights is None or weights.any():
            return
        self._n_weightless += window.n_rows
        if self._n_weightless == len(self):
            raise ValueError(f"sample_weight must have a positive weight; all {len(self)} are zero")

    def _check_weights(self, weights: Array, numbers: Indices) -> None:
        if weights.min() < 0:
            row = int(weights.argmin())
            where = self.source.locate(int(numbers[row]), "sample_weight")
            raise DataFormatError(f"{where}: expected a weight >= 0, found {weights[row]}")


def _shape(part: Any) -> tuple[int, ...] | None:
    """Return the shape of an array, None of None."""
    return None if part is None else tuple(part.shape)


def _check_blocks(source: Source) -> None:
    """Raise ValueError unless the blocks of a source have all of its rows."""
    blocks = np.asarray(source.blocks)
    if blocks.size and blocks[0] == 0 and blocks[-1] == len(source) and (np.diff(blocks) > 0).all():
        return
    raise ValueError(
        f"{type(source).__name__}.blocks must rise from 0 to the number of rows, {len(source)}; "
        f"got {shown(blocks)}"
    )
