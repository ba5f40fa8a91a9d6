"""Named columns of Arrow data as features, targets and sample weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_iterable, check_string
from fastmlp._names import nearest
from fastmlp.data.source import SourceRows
from fastmlp.exceptions import DataFormatError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_NAMES = 20

Locate = Callable[[int, str], str]
"""Says where a number is: of its row, counted from the first one of a batch, and its column."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns that are read, and their types.

    Attributes
    ----------
    features : tuple of str
        One or more.
    targets : tuple of str
        None of rows that can only be predicted.
    weight : str or None
    types : dict of str to pyarrow.DataType
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str | None
    types: dict[str, pa.DataType]

    @property
    def names(self) -> list[str]:
        """All names."""
        return [*self.features, *self.targets, *([self.weight] if self.weight else [])]

    def only_targets(self) -> Columns:
        """Return the columns of the targets alone."""
        return replace(self, features=(), weight=None)

    def check(self, where: str, schema: pa.Schema) -> None:
        """Raise DataFormatError where another part of the data has other columns or types."""
        known = dict(zip(schema.names, schema.types, strict=True))
        for name in self.names:
            found = known.get(name, "no such column")
            if found != self.types[name]:
                raise DataFormatError(
                    f"{where}, column {name!r}: expected {self.types[name]} as in the first part, "
                    f"found {found}"
                )

    def rows(self, batch: pa.RecordBatch, locate: Locate) -> SourceRows:
        """Return the rows of a record batch.

        Raises
        ------
        DataFormatError
            At the first null, with the place.
        """
        arrays = {name: _as_numpy(name, batch.column(name), locate) for name in self.names}
        y = [arrays[name] for name in self.targets]
        weights = None if self.weight is None else arrays[self.weight]
        x = _side_by_side([arrays[name] for name in self.features], len(batch))
        return SourceRows(x, y[0] if len(y) == 1 else _side_by_side(y, len(batch)), weights)


def choose_columns(
    where: str, schema: pa.Schema, target: Any, features: Any, sample_weight: Any
) -> Columns:
    """Return the columns that the arguments of a source name.

    Parameters
    ----------
    where : str
        Names the data in error messages.
    schema : pyarrow.Schema
    target, features, sample_weight
        As given by the user.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, for names that are no columns.
    DataFormatError
        For columns that are not numbers; targets may be labels.
    """
    targets = () if target is None else _names("target", target, where, schema)
    if not targets and sample_weight is not None:
        raise ValueError("sample_weight needs target: rows without can only be predicted")
    weight = None if sample_weight is None else check_string("sample_weight", sample_weight)
    if weight is not None:
        _check_known("sample_weight", (weight,), where, schema)
    if features is None:
        left_out = {*targets, weight, *_index_names(schema)}
        given = tuple(name for name in schema.names if name not in left_out)
    else:
        given = _names("features", features, where, schema)
    counts = Counter(given)
    twice = [name for name in given if name in (*targets, weight) or counts[name] > 1]
    if twice:
        raise ValueError(f"features must name columns once, and not the target; got {twice[0]!r}")
    if not given:
        raise ValueError(f"features must name at least one column of {where}; there is none left")
    known = dict(zip(schema.names, schema.types, strict=True))
    types = {name: known[name] for name in (*given, *targets, weight) if name}
    columns = Columns(given, targets, weight, types)
    for name in columns.names:
        _check_type(where, name, columns)
    return columns


def _index_names(schema: pa.Schema) -> list[str]:
    """Return the columns in which pandas keeps the index of a frame: they are no features."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in index if isinstance(name, str)]


def _names(argument: str, value: Any, where: str, schema: pa.Schema) -> tuple[str, ...]:
    """Return one or more names of columns."""
    names = (value,) if isinstance(value, str) else check_iterable(argument, value, "column names")
    _check_known(argument, [check_string(argument, name) for name in names], where, schema)
    if not names:
        raise ValueError(f"{argument} must name at least one column of {where}; got none")
    return names


def _check_known(argument: str, names: Iterable[str], where: str, schema: pa.Schema) -> None:
    """Raise ValueError at the first name that is not that of one column."""
    counts = Counter(schema.names)
    name = next((name for name in names if counts[name] != 1), None)
    if name is None:
        return
    if counts[name]:
        raise ValueError(f"{argument}: {where} has more than one column {name!r}")
    known = ", ".join(map(repr, schema.names[:MOST_NAMES]))
    raise ValueError(
        f"{argument} must name columns of {where}, which has {known}"
        f"{', ...' if len(schema.names) > MOST_NAMES else ''}; got {name!r}"
        + nearest(name, schema.names)
    )


def _check_type(where: str, name: str, columns: Columns) -> None:
    import pyarrow.types as of

    found = columns.types[name]
    is_number = of.is_integer(found) or of.is_floating(found) or of.is_boolean(found)
    if is_number or (columns.targets == (name,) and _is_text(found)):
        return
    advice = "; features= names the columns to use" if name in columns.features else ""
    raise DataFormatError(f"{where}, column {name!r}: expected numbers, found {found}{advice}")


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow.types as of

    if of.is_dictionary(type_):
        return _is_text(type_.value_type)
    return bool(of.is_string(type_) or of.is_large_string(type_) or of.is_string_view(type_))


def _as_numpy(name: str, column: pa.Array, locate: Locate) -> NDArray[Any]:
    """Return a column as an array of numbers, or of str; a view where that is possible."""
    if hasattr(column, "dictionary"):  # whose values may be null, which it does not count
        column = column.dictionary_decode()
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataFormatError(f"{locate(row, name)}: expected a value, found null")
    array: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return array.astype(str) if array.dtype.kind == "O" else array


def _side_by_side(columns: list[NDArray[Any]], n_rows: int) -> NDArray[Any]:
    """Return columns (n_rows,) as an array (n_rows, n_columns) of a type that has their numbers.

    It is in Fortran order: rows are made when it is copied into a window.
    """
    return np.stack(columns).T if columns else np.empty((n_rows, 0), np.uint8)
