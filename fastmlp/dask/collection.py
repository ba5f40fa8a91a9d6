"""Dask collections as a source of rows: arrays, data frames, lists of delayed partitions."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastmlp._checks import shown
from fastmlp.data.source import Indices, Source, SourceRows
from fastmlp.data.wrapped import WrappedSource
from fastmlp.exceptions import DataFormatError

DIGEST_ROWS = 64
"""Rows of every partition that a fingerprint reads."""


class PartFacts(NamedTuple):
    """What the client knows of a partition: its shapes, a digest of its first rows, and whether all
    of its weights are 0.
    """

    n_rows: int
    n_features: int
    n_outputs: int
    is_vector: bool
    names: tuple[str, ...] | None
    digest: bytes
    is_weightless: bool = False


class Part(NamedTuple):
    """A partition: its rows, and the names of its columns, if it was a data frame."""

    rows: SourceRows
    names: tuple[str, ...] | None


class CollectionSource(Source):
    """The rows of a Dask collection, in partitions that lie on the cluster.

    On the client it reads what it is asked for through the cluster; on a worker, from `parts`.

    Parameters
    ----------
    facts : sequence of PartFacts
        Of all partitions.
    has_weights : bool
    client : distributed.Client or None
    futures : sequence of distributed.Future
        The partitions, each a Part.

    Attributes
    ----------
    parts : mapping of int to Part, or None
        Partitions in memory, by their number.
    """

    def __init__(
        self, facts: Sequence[PartFacts], *, has_weights: bool, client: Any, futures: Sequence[Any]
    ) -> None:
        self.partitions = list(facts)
        self.client, self.futures = client, list(futures)
        self.parts: dict[int, Part] | None = None
        self.begins = np.cumsum([0, *(part.n_rows for part in facts)]).astype(np.intp)
        self._has_weights = has_weights
        first = next(part for part in facts if part.n_rows)
        self._shape = first.n_features, first.n_outputs
        self._names = first.names

    def __getstate__(self) -> dict[str, Any]:
        """Without what belongs to the client, and rows."""
        return vars(self) | {"client": None, "futures": [], "parts": None}

    def __len__(self) -> int:
        return int(self.begins[-1])

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self._shape[0]

    @property
    def n_outputs(self) -> int:
        """Number of targets of a row; 1 for labels."""
        return self._shape[1]

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the columns of a data frame."""
        return None if self._names is None else list(self._names)

    @property
    def has_weights(self) -> bool:
        """Whether the rows have sample weights."""
        return self._has_weights

    @property
    def blocks(self) -> Indices:
        """Boundaries of the partitions that are not empty."""
        return np.unique(self.begins)

    @property
    def can_take(self) -> bool:
        """Whether partitions are in memory: on a worker."""
        return self.parts is not None

    @property
    def fingerprint(self) -> str:
        """Shape, and SHA-256 of the first rows of every partition."""
        digest = hashlib.sha256()
        for part in self.partitions:
            digest.update(part.digest)
        return f"Dask collection {(len(self), *self._shape)} sha256:{digest.hexdigest()}"

    def within(self, begin: int, end: int) -> list[int]:
        """Return the numbers of the partitions that have some of these rows."""
        return [
            number
            for number, (first, last) in enumerate(
                zip(self.begins[:-1].tolist(), self.begins[1:].tolist(), strict=True)
            )
            if first < min(end, last) and last > begin
        ]

    def read(self, begin: int, end: int) -> SourceRows:
        """Return the rows from `begin` to `end`."""
        if self.parts is None:
            return _joined(self._gathered(_rows, begin, end))
        pieces = self._pieces(begin, end)
        return _joined([_cut(self.parts[number].rows, span) for number, span in pieces])

    def _pieces(self, begin: int, end: int) -> list[tuple[int, slice]]:
        """Return the partitions that have some rows, and where in them."""
        pieces = []
        for number in self.within(begin, end):
            first, last = self.begins[number : number + 2].tolist()
            pieces.append((number, slice(max(begin - first, 0), min(end, last) - first)))
        return pieces

    def _gathered(self, function: Any, begin: int, end: int) -> list[Any]:
        """Return what a function has of each partition's part of some rows, from the cluster."""
        return list(
            self.client.gather(
                [
                    self.client.submit(function, self.futures[number], span, pure=False)
                    for number, span in self._pieces(begin, end)
                ]
            )
        )

    def read_targets(self, begin: int, end: int) -> Any:
        """Return the targets of some rows, without sending X to the client."""
        if self.parts is not None:
            return self.read(begin, end).y
        return np.concatenate(self._gathered(_targets, begin, end))

    def take(self, rows: Indices) -> SourceRows:
        """Return the rows with these indices, in their order."""
        if self.parts is None:
            return super().take(rows)
        numbers = np.searchsorted(self.begins, rows, side="right") - 1
        places = np.empty(len(rows), np.intp)
        found, at = [], 0
        for number in np.unique(numbers).tolist():
            chosen = np.flatnonzero(numbers == number)
            found.append(_cut(self.parts[number].rows, rows[chosen] - self.begins[number]))
            places[chosen] = np.arange(at, at + len(chosen))
            at += len(chosen)
        return _cut(_joined(found), places)

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say where a number is."""
        number = int(np.searchsorted(self.begins, row, side="right")) - 1
        where = f"{what}, partition {number}, row {row - int(self.begins[number])}"
        if column is None:
            return where
        names = self.feature_names if what == "X" else None
        return f"{where}, column {column if names is None else repr(names[column])}"


def collection_in(source: Source) -> CollectionSource | None:
    """Return the collection whose rows a source shows, as they are or encoded; None for others."""
    while isinstance(source, WrappedSource):
        source = source._source
    return source if isinstance(source, CollectionSource) else None


def with_parts(source: Source, parts: dict[int, Part]) -> Source:
    """Return a source whose collection, if it shows one, has these partitions in memory."""
    if isinstance(source, WrappedSource):
        wrapped = copy.copy(source)
        wrapped._source = with_parts(source._source, parts)
        return wrapped
    if not isinstance(source, CollectionSource):
        return source
    collection = copy.copy(source)
    collection.parts = parts
    return collection


def is_collection(data: Any) -> bool:
    """Return whether this is a Dask collection, or a list of delayed objects or futures."""
    from dask.base import is_dask_collection

    if is_dask_collection(data):
        return True
    return (
        isinstance(data, list | tuple)
        and len(data) > 0
        and all(is_dask_collection(part) or hasattr(part, "key") for part in data)
    )


def source_of(
    client: Any, X: Any, y: Any, sample_weight: Any = None, y_name: str = "y"
) -> CollectionSource:
    """Return a Dask collection as a source; its partitions are computed and stay on the cluster.

    Parameters
    ----------
    client : distributed.Client
    X : dask array (n, n_features), dask data frame, or list of delayed arrays or frames
    y : the same with targets
        In the same partitions.
    sample_weight : the same with weights, or None
    y_name : str
        Of `y`, for error messages.

    Raises
    ------
    ValueError, TypeError
        If they do not go together; DataFormatError with the number of the partition.
    """
    columns = {"X": X, y_name: y, "sample_weight": sample_weight}
    for name, value in columns.items():
        if not is_collection(value) and not (name == "sample_weight" and value is None):
            raise TypeError(
                f"{name} must be a Dask array, a Dask data frame or a list of delayed partitions, "
                f"because X is one; got {shown(value)}"
            )
    chunks = getattr(X, "chunks", None)
    parts = {
        name: _partitions(value, None if name == "X" else chunks)
        for name, value in columns.items()
        if value is not None
    }
    counts = {name: len(value) for name, value in parts.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(
            f"X, {y_name} and sample_weight must have the same partitions; got {counts}"
        )
    weights = parts.get("sample_weight") or [None] * counts["X"]
    futures = _computed(client, zip(parts["X"], parts[y_name], weights, strict=True))
    facts = client.gather([client.submit(_facts_of, future, pure=False) for future in futures])
    _check_facts(facts)
    return CollectionSource(
        facts, has_weights=sample_weight is not None, client=client, futures=futures
    )


def _partitions(data: Any, chunks: Any) -> list[Any]:
    """Return the partitions of a collection; those of an array have all columns."""
    if isinstance(data, list | tuple):
        return list(data)
    if hasattr(data, "chunks"):
        if data.ndim > 1:
            data = data.rechunk({1: -1})
        # Sums of unknown lengths are NaN, and equal nothing.
        if chunks is not None and sum(chunks[0]) == sum(data.chunks[0]):
            data = data.rechunk({0: chunks[0]})
        return list(np.ravel(data.to_delayed()))
    return list(data.to_delayed())


def _computed(client: Any, parts: Iterable[tuple[Any, Any, Any]]) -> list[Any]:
    """Begin to compute the partitions; return their futures."""
    from dask.delayed import delayed

    make = delayed(_part, pure=False)
    return list(client.compute([make(number, *part) for number, part in enumerate(parts)]))


def _part(number: int, X: Any, y: Any, weights: Any) -> Part:
    """Return a partition as arrays."""
    names = tuple(map(str, X.columns)) if hasattr(X, "columns") else None
    rows = SourceRows(_inputs(number, X), _array(y), None if weights is None else _array(weights))
    n_rows = len(rows.X)
    if rows.X.ndim != 2 or rows.y.ndim not in (1, 2):
        raise DataFormatError(
            f"partition {number}: X must have 2 dimensions and y 1 or 2; got shapes "
            f"{rows.X.shape} and {rows.y.shape}"
        )
    for name, values in rows._asdict().items():
        if values is not None and len(values) != n_rows:
            raise DataFormatError(
                f"partition {number}: X has {n_rows} rows; {name} has {len(values)}"
            )
    return Part(rows, names)


def _array(values: Any) -> Any:
    if hasattr(values, "tocsr"):
        raise DataFormatError("a partition must be dense; got a sparse matrix")
    return np.ascontiguousarray(values.to_numpy() if hasattr(values, "to_numpy") else values)


def _inputs(number: int, X: Any) -> Any:
    """Return X as an array; columns of several types as one that has all of their numbers."""
    values = _array(X)
    if values.dtype.kind != "O" or not len(values) or not hasattr(X, "iloc"):
        return values
    from pandas.api.types import is_extension_array_dtype, is_numeric_dtype

    columns = []
    for i, name in enumerate(X.columns):
        column = X.iloc[:, i]
        if not is_numeric_dtype(column.dtype):
            raise DataFormatError(
                f"X, partition {number}, column {name!r}: expected numbers, found {column.dtype}"
            )
        dtype = float if is_extension_array_dtype(column.dtype) else column.dtype
        columns.append(column.to_numpy(dtype, na_value=np.nan))
    return np.stack(columns, axis=1)


def _facts_of(part: Part) -> PartFacts:
    rows, names = part
    digest = hashlib.sha256()
    for values in rows:
        head = None if values is None else values[:DIGEST_ROWS]
        if head is not None and head.dtype.kind == "O":
            head = head.astype(str)
        digest.update(b"none" if head is None else str(head.dtype).encode() + head.tobytes())
    is_vector = rows.y.ndim == 1
    n_outputs = 1 if is_vector else rows.y.shape[1]
    return PartFacts(
        len(rows.X),
        rows.X.shape[1],
        n_outputs,
        is_vector,
        names,
        digest.digest(),
        rows.weights is not None and not rows.weights.any(),
    )


def _check_facts(facts: Sequence[PartFacts]) -> None:
    """Raise ValueError unless there are rows, with the same columns in all partitions."""
    filled = [(number, part) for number, part in enumerate(facts) if part.n_rows]
    if not filled:
        raise ValueError(f"X must have rows; got {len(facts)} empty partition(s)")
    first = filled[0][1]
    if all(part.is_weightless for _, part in filled):
        n_rows = sum(part.n_rows for _, part in filled)
        raise ValueError(f"sample_weight must have a positive weight; all {n_rows} are zero")
    for number, part in filled:
        if part[1:5] != first[1:5]:
            raise DataFormatError(
                f"partition {number}: expected {first.n_features} features and "
                f"{first.n_outputs} target(s), as in partition {filled[0][0]}; found "
                f"{part.n_features} and {part.n_outputs}"
                + ("" if part.names == first.names else f", with the names {part.names}")
            )


def _cut(rows: SourceRows, chosen: Any) -> SourceRows:
    """Return some of the rows."""
    X, y, weights = (None if values is None else values[chosen] for values in rows)
    assert y is not None
    return SourceRows(X, y, weights)


def _rows(part: Part, chosen: slice) -> SourceRows:
    """Return some rows of a partition."""
    return _cut(part.rows, chosen)


def _targets(part: Part, chosen: slice) -> Any:
    """Return the targets of some rows of a partition."""
    return part.rows.y[chosen]


def _joined(pieces: Sequence[SourceRows]) -> SourceRows:
    """Return pieces, one after the other."""
    if len(pieces) == 1:
        return pieces[0]
    columns = zip(*pieces, strict=True)
    X, y, weights = (None if values[0] is None else np.concatenate(values) for values in columns)
    assert y is not None
    return SourceRows(X, y, weights)
