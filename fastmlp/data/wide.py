"""Row groups of Parquet files that are read some columns at a time.

A reader of rows holds a page of every column. With a few thousand columns that is all of a row
group, however few rows are wanted. So the rows of a piece are read for some columns, then for the
next ones, from the beginning of the row group each time: what is held is bounded, and a row group
is decoded as many times as it has pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fastmlp.data.columns import Columns, Locate
from fastmlp.data.source import SourceRows
from fastmlp.exceptions import DataFormatError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PAGE_BYTES = 1 << 20
"""Size of a page, unless the writer was told another one."""

HELD_BYTES = 1 << 28
"""Pages that a reader of whole rows may hold."""

MOST_PIECES = 16
"""A row group is decoded so many times at most."""

PIECE_BYTES = 1 << 26
"""Memory of a piece, with 8 bytes per number, and of the pages of the columns read together."""

BATCH_ROWS = 16_384


def column_sizes(group: pq.RowGroupMetaData, names: Mapping[str, object]) -> dict[str, int]:
    """Return the bytes, uncompressed, of some columns of a row group."""
    columns = (group.column(i) for i in range(group.num_columns))
    return {
        column.path_in_schema: int(column.total_uncompressed_size)
        for column in columns
        if column.path_in_schema in names
    }


def is_wide(sizes: Mapping[str, int]) -> bool:
    """Return whether a row group is read some columns at a time.

    Whole rows are read where the pages that are held take little, or little of the row group, which
    would be decoded too many times.

    Parameters
    ----------
    sizes : mapping of str to int
        Bytes of the columns.
    """
    held = sum(min(n, PAGE_BYTES) for n in sizes.values())
    return held > HELD_BYTES and sum(sizes.values()) < 4 * held


def piece_rows(n_rows: int, sizes: Mapping[str, int]) -> int:
    """Return the rows of a piece of such a row group of `n_rows` rows."""
    return max(PIECE_BYTES // (8 * len(sizes)), -(-n_rows // MOST_PIECES))


def subsets(columns: Columns, sizes: Mapping[str, int]) -> Iterator[Columns]:
    """Yield parts of the features, of which a page each fits into memory, then all others."""
    names: list[str] = []
    held = 0
    for name in columns.features:
        page = min(sizes.get(name, PAGE_BYTES), PAGE_BYTES)
        if names and held + page > PIECE_BYTES:
            yield replace(columns, features=tuple(names), targets=(), weight=None)
            names, held = [], 0
        names.append(name)
        held += page
    yield replace(columns, features=tuple(names))


def read_columns(
    file: pq.ParquetFile,
    group: int,
    columns: Iterator[Columns],
    begin: int,
    end: int,
    locate: Locate,
) -> SourceRows:
    """Return rows of a row group, read some columns at a time.

    Parameters
    ----------
    file : ParquetFile
    group : int
    columns : iterator of Columns
        The last one has targets and weights.
    begin, end : int
        Rows, counted in the row group.
    locate : Locate

    Raises
    ------
    DataFormatError
        At the first null, or where rows are missing.
    """
    x, rows = [], None
    for part in columns:
        batches = file.iter_batches(
            min(BATCH_ROWS, end - begin), row_groups=[group], columns=part.names, use_threads=False
        )
        table = _between(batches, begin, end)
        if len(table) != end - begin:
            raise DataFormatError(f"expected {end} rows, found {begin + len(table)}")
        rows = part.rows(table, locate)
        x.append(rows.X)
    assert rows is not None
    return rows._replace(X=x[0] if len(x) == 1 else np.concatenate(x, axis=1))


def _between(batches: Iterator[pa.RecordBatch], begin: int, end: int) -> pa.RecordBatch:
    """Return the rows from `begin` to `end` of a stream of batches; fewer if it ends before."""
    import pyarrow as pa

    taken: list[pa.RecordBatch] = []
    at = 0
    for batch in batches:
        first = max(0, begin - at)
        part = batch.slice(first, max(0, end - at - first))
        if len(part) or not taken:
            taken = [*(each for each in taken if len(each)), part]
        at += len(batch)
        if at >= end:
            break
    return pa.concat_batches(taken)
