"""Parquet files as a source: row groups are blocks, columns are named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp._checks import check_iterable, check_path
from fastmlp._types import StrPath
from fastmlp.data.batches import BatchSource
from fastmlp.data.columns import Columns, choose_columns
from fastmlp.data.source import SourceRows, joined
from fastmlp.data.wide import column_sizes, is_wide, piece_rows, read_columns, subsets
from fastmlp.exceptions import DataFormatError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LARGE_GROUP_BYTES, BUFFER_BYTES = 1 << 25, 1 << 18
"""Columns of larger row groups are read in parts of this size, others, which is faster, whole."""

LEAST_BUFFER, ALL_BUFFERS = 1 << 14, 1 << 25
"""The parts are smaller where all of them together would take more than that."""

SUFFIX = ".parquet"


class ParquetSource(BatchSource):
    """Rows of Parquet files.

    The files are opened, and their columns, types and counts of nulls compared, when the source is
    made; rows are read when they are needed. Row groups larger than a window are shuffled less
    well: write files with row groups of a tenth of a window or less
    (``pyarrow.parquet.write_table(table, path, row_group_size=50_000)``).

    Parameters
    ----------
    paths : path, or sequence of paths
        Files, in their order, or a folder, for its files that end in ``.parquet``, sorted by name.
    target : str or sequence of str, optional
        Column, or columns, of the targets: numbers; one column may have strings, which are labels.
        Rows without targets can only be predicted.
    features : sequence of str, optional
        Columns of the inputs, in this order; by default all that are left, in the files' order,
        without the index of a pandas frame.
    sample_weight : str, optional
        Column of the sample weights.

    Attributes
    ----------
    feature_names : list of str
        Columns of the inputs.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.
    DataFormatError
        If a file is no Parquet file, is truncated, or has columns of no numbers, of other types
        than the first file, or with nulls; with file, row group and column.
    OSError
        If a file cannot be opened.
    ImportError
        Without pyarrow, which the extra ``data`` brings.
    """

    __module__ = "fastmlp.data"

    def __init__(
        self,
        paths: StrPath | Iterable[StrPath],
        target: str | Sequence[str] | None = None,
        *,
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
    ) -> None:
        import_pyarrow()
        self._paths = _files(paths)
        self._sizes = {path: os.stat(path).st_size for path in self._paths}
        self._footers: dict[str, tuple[tuple[int, int], pq.FileMetaData]] = {}  # parsed once
        self._groups: list[tuple[int, int]] = []  # number of the file, and of its row group
        lengths, columns = [], None
        for i, path in enumerate(self._paths):
            with self._file(path) as file:
                schema = file.schema_arrow
                if columns is None:
                    columns = choose_columns(repr(path), schema, target, features, sample_weight)
                columns.check(f"{path!r}, row group 0", schema)
                for group, n_rows in enumerate(_checked_groups(path, file.metadata, columns)):
                    if n_rows:
                        self._groups.append((i, group))
                        lengths.append(n_rows)
        if columns is not None and columns.weight is not None and lengths:
            self._check_weights(columns.weight, sum(lengths))
        if columns is None or not lengths:
            raise ValueError(f"paths must have at least one row; {', '.join(self._paths)} has none")
        super().__init__(columns, lengths)

    @cached_property
    def piece_rows(self) -> int:
        """Number of rows that are read at once."""
        wide = (piece_rows(*self._extent(block)) for block in self._wide)
        return max(wide, default=super().piece_rows)

    @cached_property
    def _wide(self) -> frozenset[int]:
        """Blocks that are read some columns at a time."""
        blocks = range(len(self._groups))
        return frozenset(block for block in blocks if is_wide(self._extent(block)[1]))

    def _extent(self, block: int) -> tuple[int, dict[str, int]]:
        """Return the number of rows of a row group, and the bytes of its columns."""
        i, group = self._groups[block]
        metadata = self._footer(self._paths[i]).row_group(group)
        return metadata.num_rows, column_sizes(metadata, self._columns.types)

    def read(self, begin: int, end: int) -> SourceRows:
        """Return some rows, of row groups with very many columns some columns at a time."""
        parts = []
        while begin < end:
            block = self._block_of(begin)
            last = min(end, int(self._blocks[block + 1]))
            read = partial(self._read_wide, block) if block in self._wide else super().read
            parts.append(read(begin, last))
            begin = last
        return joined(parts)

    def _read_wide(self, block: int, begin: int, end: int) -> SourceRows:
        """Return rows of one row group, some columns at a time."""
        i, group = self._groups[block]
        first = int(self._blocks[block])
        with self._naming(block), self._file(self._paths[i]) as file:
            return read_columns(
                file,
                group,
                subsets(self._columns, self._extent(block)[1]),
                begin - first,
                end - first,
                partial(self._place, begin),
            )

    def _check_weights(self, name: str, n_rows: int) -> None:
        """Raise ValueError if the files say that all weights are 0; they need not say anything."""
        for i, group in self._groups:
            metadata = self._footer(self._paths[i]).row_group(group)
            columns = map(metadata.column, range(metadata.num_columns))
            statistics = next(c.statistics for c in columns if c.path_in_schema == name)
            if statistics is None or not statistics.has_min_max:
                return
            if statistics.min != 0 or statistics.max != 0:
                return
        raise ValueError(
            f"sample_weight must have a positive weight; all {n_rows} in the column {name!r} are "
            "zero"
        )

    def _open(self, block: int, names: list[str]) -> Iterator[pa.RecordBatch]:
        i, group = self._groups[block]
        size = self._footer(self._paths[i]).row_group(group).total_byte_size
        buffer = max(LEAST_BUFFER, min(BUFFER_BYTES, ALL_BUFFERS // len(names)))
        with self._file(self._paths[i], buffer if size > LARGE_GROUP_BYTES else 0) as file:
            yield from file.iter_batches(
                self.piece_rows, row_groups=[group], columns=names, use_threads=False
            )

    def _file(self, path: str, buffer_bytes: int = 0) -> pq.ParquetFile:
        """Open a file, which must not have changed; with a buffer, columns are read in parts."""
        status = os.stat(path)
        stamp = status.st_size, status.st_mtime_ns
        known, footer = self._footers.get(path, (stamp, None))
        if stamp != known or status.st_size != self._sizes[path]:  # a pickle has no stamps
            raise DataFormatError(f"{path!r} has changed since it was opened")
        file = _opened(path, footer, buffer_bytes)
        self._footers[path] = stamp, file.metadata
        return file

    def _footer(self, path: str) -> pq.FileMetaData:
        """Return what a file says of its row groups; a pickled source has to read it again."""
        if path not in self._footers:
            self._file(path).close()
        return self._footers[path][1]

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_footers": {}}

    def _name(self, block: int) -> str:
        i, group = self._groups[block]
        return f"{self._paths[i]!r}, row group {group}"

    def _damaged_column(self, block: int) -> str:
        """Read column after column, to find the one that cannot be read."""
        i, group = self._groups[block]
        for name in self._columns.names:
            try:
                with self._file(self._paths[i]) as file:
                    file.read_row_group(group, columns=[name], use_threads=False)
            except (ValueError, OSError):
                return f", column {name!r}"
        return ""

    def facts(self) -> Mapping[str, Any]:
        """Return what is known of the columns, and the sizes of the files in bytes."""
        return {**super().facts(), "file_bytes": [self._sizes[path] for path in self._paths]}


def import_pyarrow() -> None:
    """Raise ImportError, with the remedy, if there is no pyarrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Parquet files and Arrow data need pyarrow: pip install 'fastmlp[data]'"
        ) from error


def column_names(paths: StrPath | Iterable[StrPath]) -> list[str]:
    """Return the names of the columns of the first one of Parquet files.

    Raises
    ------
    ValueError, TypeError, DataFormatError, OSError, ImportError
        As :class:`ParquetSource`.
    """
    import_pyarrow()
    with _opened(_files(paths)[0], None, 0) as file:
        return list(file.schema_arrow.names)


def _files(paths: Any) -> list[str]:
    """Return the paths of one or more files."""
    is_one = isinstance(paths, str | bytes | os.PathLike)
    given = [paths] if is_one else list(check_iterable("paths", paths, "paths"))
    files: list[str] = []
    for each in given:
        path = check_path("paths", each)
        if os.path.isdir(path):
            found = sorted(str(file) for file in Path(path).glob(f"*{SUFFIX}"))
            if not found:
                raise ValueError(
                    f"paths: the folder {path!r} has no files *{SUFFIX}; folders of folders are "
                    "read by ArrowSource(pyarrow.dataset.dataset(...))"
                )
            files += found
        else:
            files.append(path)
    if not files:
        raise ValueError("paths must name at least one file; got none")
    return files


def _opened(path: str, footer: pq.FileMetaData | None, buffer_bytes: int) -> pq.ParquetFile:
    """Open a file, whose footer may be known."""
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, metadata=footer, buffer_size=buffer_bytes, pre_buffer=False)
    except (ValueError, OSError) as error:
        if getattr(error, "errno", None):
            raise
        raise DataFormatError(f"{path!r}: no Parquet file, or truncated: {error}") from error


def _checked_groups(path: str, metadata: pq.FileMetaData, columns: Columns) -> Iterator[int]:
    """Yield the number of rows of each row group.

    Raises
    ------
    DataFormatError
        If the file says that a column has nulls.
    """
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for i in range(group.num_columns):
            column = group.column(i)
            statistics = column.statistics if column.path_in_schema in columns.types else None
            if statistics is not None and statistics.null_count:
                raise DataFormatError(
                    f"{path!r}, row group {number}, column {column.path_in_schema!r}: expected a "
                    f"value in every row, found {statistics.null_count} null(s)"
                )
        yield int(group.num_rows)
