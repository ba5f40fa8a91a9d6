"""Arrow tables and data sets as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._checks import shown
from fastmlp.data.batches import BATCH_ROWS, BatchSource
from fastmlp.data.columns import choose_columns
from fastmlp.data.parquet import import_pyarrow
from fastmlp.data.source import even_blocks

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds


class ArrowSource(BatchSource):
    """Rows of a ``pyarrow.Table``, or of a ``pyarrow.dataset.Dataset`` of any format.

    The blocks of a table are parts of it, those of a data set its files, or the row groups of
    Parquet files. Columns that come from the names of folders (partitions) can be read as others.

    Parameters
    ----------
    data : pyarrow.Table or pyarrow.dataset.Dataset
    target, features, sample_weight
        As of :class:`ParquetSource`.

    Attributes
    ----------
    feature_names : list of str
        Columns of the inputs.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.
    DataFormatError
        If a column has no numbers, and later, when its rows are read, if it has nulls.
    ImportError
        Without pyarrow, which the extra ``data`` brings.
    """

    __module__ = "fastmlp.data"

    def __init__(
        self,
        data: pa.Table | ds.Dataset,
        target: str | Sequence[str] | None = None,
        *,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
    ) -> None:
        import_pyarrow()
        import pyarrow as pa
        import pyarrow.dataset as ds

        if not isinstance(data, pa.Table | ds.Dataset):
            raise TypeError(
                f"data must be a pyarrow.Table or a pyarrow.dataset.Dataset; got {shown(data)}"
            )
        self._schema = data.schema
        columns = choose_columns("data", data.schema, target, features, sample_weight)
        parts = _parts_of_table(data) if isinstance(data, pa.Table) else _parts_of_dataset(data)
        self._parts_of_data = [part for part in parts if part[2]]
        if not self._parts_of_data:
            raise ValueError("data must have at least one row; got none")
        super().__init__(columns, [n_rows for _, _, n_rows in self._parts_of_data])

    def _open(self, block: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        _, part, _ = self._parts_of_data[block]
        if hasattr(part, "to_reader"):  # a table
            yield from part.select(names).to_batches(max_chunksize=self.piece_rows)
            return
        yield from part.to_batches(
            schema=self._schema,
            columns=names,
            batch_size=self.piece_rows,
            batch_readahead=1,
            fragment_readahead=1,
            use_threads=False,
        )

    def _name(self, block: int) -> str:
        return self._parts_of_data[block][0]


def _parts_of_table(table: pa.Table) -> list[tuple[str, Any, int]]:
    """Return parts of a table, without copies, with their names and numbers of rows."""
    bounds = even_blocks(len(table), BATCH_ROWS)
    lengths = np.diff(bounds).tolist()
    return [
        (f"table, part {i} from row {begin}", table.slice(begin, n_rows), n_rows)
        for i, (begin, n_rows) in enumerate(zip(bounds[:-1].tolist(), lengths, strict=True))
    ]


def _parts_of_dataset(data: ds.Dataset) -> list[tuple[str, Any, int]]:
    """Return the files of a data set, of Parquet files the row groups.

    Raises
    ------
    ValueError
        If the data set has a filter or a projection, which its files do not know.
    """
    parts = []
    try:
        fragments = list(data.get_fragments())
    except ValueError as error:
        raise ValueError(
            "data must be a data set without filter, sorting or joins: write what it has with "
            "pyarrow.dataset.write_dataset, or pass data.to_table()"
        ) from error
    for i, fragment in enumerate(fragments):
        name = repr(getattr(fragment, "path", "") or f"fragment {i}")
        if hasattr(fragment, "split_by_row_group"):
            parts += [
                (f"{name}, row group {group.row_groups[0].id}", group, group.row_groups[0].num_rows)
                for group in fragment.split_by_row_group()
            ]
        else:
            parts.append((name, fragment, int(fragment.count_rows())))
    return parts
