"""Base of the sources whose blocks are streams of Arrow's record batches."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.columns import Columns
from fastmlp.data.source import Indices, Source, SourceRows, joined
from fastmlp.exceptions import DataFormatError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 16_384
"""Rows of a record batch, at most."""

BATCH_BYTES = 1 << 25
"""Memory of a record batch, in bytes, with 8 bytes per number, at most; a row at least."""


class Cursor(threading.local):
    """The place where a thread has stopped reading.

    Attributes
    ----------
    place : (Columns, int, int) or None
        What is open: the columns, the block, and the number of the next row.
    batches : iterator of RecordBatch
    rest : RecordBatch or None
        Rows that have been read from `batches`, but not taken.
    """

    place: tuple[Columns, int, int] | None = None
    batches: Iterator[pa.RecordBatch] = iter(())
    rest: pa.RecordBatch | None = None


class BatchSource(Source):
    """Rows of named columns, whose blocks can only be read from their beginning.

    A read that begins where the one before has ended, or later in the block, in the same thread,
    continues there: the batches of a block are read once.

    Parameters
    ----------
    columns : Columns
    lengths : list of int
        Numbers of rows of the blocks.
    """

    def __init__(self, columns: Columns, lengths: list[int]) -> None:
        self._columns = columns
        self._blocks = np.cumsum([0, *lengths]).astype(np.intp)
        self._cursor = Cursor()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_cursor"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._cursor = Cursor()

    @abstractmethod
    def _open(self, block: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Read the record batches of a block, with these columns, from the first one."""

    @abstractmethod
    def _name(self, block: int) -> str:
        """Return the name of a block for error messages."""

    def _damaged_column(self, block: int) -> str:
        """Return ", column" and its name, for a block that cannot be read, if it is found out."""
        return ""

    def __len__(self) -> int:
        return int(self._blocks[-1])

    @property
    def n_features(self) -> int:
        """Number of feature columns."""
        return len(self._columns.features)

    @property
    def n_outputs(self) -> int:
        """Number of target columns."""
        return len(self._columns.targets)

    @property
    def feature_names(self) -> list[str]:
        """Names of the feature columns, in their order."""
        return list(self._columns.features)

    @property
    def has_weights(self) -> bool:
        """Whether a column has sample weights."""
        return self._columns.weight is not None

    @property
    def blocks(self) -> Indices:
        """Boundaries of the blocks that can be opened."""
        return self._blocks

    @property
    def piece_rows(self) -> int:
        """Number of rows of a record batch, which are not copied to be read together."""
        width = self.n_features + self.n_outputs
        return max(1, min(BATCH_ROWS, BATCH_BYTES // (8 * width)))

    def read(self, begin: int, end: int) -> SourceRows:
        """Return some rows, read from the beginning of their block unless the last read was there.

        Raises
        ------
        DataFormatError
            If they are damaged or have nulls; with block and column.
        OSError
            If the system cannot read them.
        """
        return joined(list(self._parts(self._columns, begin, end)))

    def _parts(self, columns: Columns, begin: int, end: int) -> Iterator[SourceRows]:
        """Yield the rows of each record batch that has some of them."""
        while begin < end:
            block = self._block_of(begin)
            last = min(end, int(self._blocks[block + 1]))
            batch = self._next_batch(columns, block, begin, last)
            yield columns.rows(batch, partial(self._place, begin))
            begin += len(batch)

    def _next_batch(self, columns: Columns, block: int, begin: int, end: int) -> pa.RecordBatch:
        """Return the rows from `begin` on of one record batch, at most until `end`."""
        cursor = self._cursor
        with self._naming(block):
            row = self._opened(columns, block, begin)
            cursor.place = None
            while True:
                batch = next(cursor.batches, None) if cursor.rest is None else cursor.rest
                if batch is None:
                    break
                skipped = min(begin - row, len(batch))
                taken = batch.slice(skipped, end - begin)
                used = skipped + len(taken)
                cursor.rest = batch.slice(used) if used < len(batch) else None
                row += used
                if len(taken):
                    cursor.place = columns, block, row
                    return taken
        found, expected = row - int(self._blocks[block]), int(np.diff(self._blocks)[block])
        raise DataFormatError(
            f"{self._name(block)}{self._damaged_column(block)}: expected {expected} rows, found "
            f"{found}"
        )

    def _opened(self, columns: Columns, block: int, begin: int) -> int:
        """Return the row that the cursor's batches continue with: `begin`, or one before it."""
        cursor = self._cursor
        if cursor.place is not None and cursor.place[:2] == (columns, block):
            row = cursor.place[2]
            if row <= begin:
                return row
        cursor.batches, cursor.rest = self._open(block, columns.names), None
        return int(self._blocks[block])

    @contextmanager
    def _naming(self, block: int) -> Iterator[None]:
        """Make Arrow's errors DataFormatErrors, with the name of the block and the column."""
        try:
            yield
        except DataFormatError:
            raise
        except (ValueError, OSError) as error:
            if getattr(error, "errno", None):
                raise
            where = f"{self._name(block)}{self._damaged_column(block)}"
            raise DataFormatError(f"{where}: cannot be read: {error}") from error

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return y of some rows, (n,) or (n, n_outputs); no other column is read."""
        columns = self._columns.only_targets()
        return np.concatenate([part.y for part in self._parts(columns, begin, end)])

    def _block_of(self, row: int) -> int:
        return int(np.searchsorted(self._blocks, row, side="right")) - 1

    def _place(self, begin: int, row: int, name: str) -> str:
        """Say where the row is that comes `row` rows after the row `begin`."""
        row += begin
        block = self._block_of(row)
        return f"{self._name(block)}, row {row - int(self._blocks[block])}, column {name!r}"

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say in which block, row of the block, and column a number is."""
        columns = self._columns
        names = {"X": columns.features, "y": columns.targets, "sample_weight": (columns.weight,)}
        return self._place(row, 0, names[what][column or 0] or "")

    def facts(self) -> Mapping[str, Any]:
        """Return names and types of the columns, and the lengths of the blocks."""
        columns = self._columns
        return {
            "features": list(columns.features),
            "targets": list(columns.targets),
            "weight": columns.weight,
            "types": {name: str(type_) for name, type_ in columns.types.items()},
            "lengths": np.diff(self._blocks).tolist(),
        }
