"""What every column of a table is, and the table as one matrix of numbers and one of codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_iterable, shown
from fastmlp.tables.frames import Frame
from fastmlp.tables.plain import is_part
from fastmlp.tables.values import (
    DATE_PARTS,
    as_codes,
    as_dates,
    as_numbers,
    categories_of,
    date_numbers,
    find_kind,
    infinity_at,
    key,
)

KINDS = ("numerical", "boolean", "categorical", "ordinal", "date")


@is_part
class Cells(NamedTuple):
    """A table as numbers and categories.

    Attributes
    ----------
    numbers : ndarray of shape (n_rows, n_numbers), float64
        NaN where a value is missing.
    codes : ndarray of shape (n_rows, n_categorical), intp
        Position of the row's category in its column's list; the list's length for any other.
    """

    numbers: NDArray[np.float64]
    codes: NDArray[np.intp]

    def rows(self, index: NDArray[np.intp]) -> Cells:
        """Return the rows with these indices, (n,), or of a mask (n_rows,)."""
        return Cells(self.numbers[index], self.codes[index])


Cells.__module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file


@is_part
@dataclass(frozen=True)
class ColumnFacts:
    """What is known of a column.

    Attributes
    ----------
    name : str
    kind : str
        One of ``KINDS``.
    categories : tuple of (str or None)
        Categories of a categorical or ordinal column, of the latter in their order; None stands
        for a missing value.
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    name: str
    kind: str
    categories: tuple[str | None, ...] = ()
    lookup: dict[str | None, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lookup", {c: i for i, c in enumerate(self.categories)})

    @property
    def number_names(self) -> list[str]:
        """Names of the numbers that stand for the column; none for a categorical one."""
        if self.kind == "categorical":
            return []
        return [self.name + end for end in DATE_PARTS] if self.kind == "date" else [self.name]


@is_part
@dataclass(frozen=True)
class Reader:
    """Reads tables whose columns are known.

    Attributes
    ----------
    columns : list of ColumnFacts
        In the order of the table.
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    columns: list[ColumnFacts]

    @property
    def number_names(self) -> list[str]:
        """Names of the columns of `Cells.numbers`."""
        return [name for column in self.columns for name in column.number_names]

    @property
    def number_owners(self) -> NDArray[np.intp]:
        """Position of the table's column that each column of `Cells.numbers` comes from."""
        counts = [len(column.number_names) for column in self.columns]
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def categorical(self) -> list[ColumnFacts]:
        """The columns of `Cells.codes`."""
        return [column for column in self.columns if column.kind == "categorical"]

    @cached_property
    def is_plain(self) -> bool:
        """Whether all columns are numbers or booleans, as those of a NumPy array often are."""
        return all(column.kind in ("numerical", "boolean") for column in self.columns)

    def read(self, frame: Frame) -> Cells:
        """Return a table as numbers (n_rows, n_numbers) and codes (n_rows, n_categorical).

        Raises
        ------
        ValueError
            Naming the column, if a value is not of the column's kind.
        """
        if frame.array is not None and self.is_plain:
            return self.read_array(frame.array)
        if frame.has_odd_names:
            self._check_names(frame.names)
        numbers: list[NDArray[np.float64]] = []
        codes = []
        for i, column in enumerate(self.columns):
            values = frame.column(i)
            if column.kind == "categorical":
                codes.append(as_codes(values, column.lookup, len(column.categories)))
            elif column.kind == "date":
                numbers.append(date_numbers(as_dates(values, column.name)))
            elif column.kind == "ordinal":
                places = as_codes(values, column.lookup, -1).astype(np.float64)
                places[places < 0] = np.nan
                numbers.append(places[:, np.newaxis])
            else:
                numbers.append(as_numbers(values, column.name)[:, np.newaxis])
        n = frame.n_rows
        return Cells(
            np.concatenate(numbers, axis=1) if numbers else np.zeros((n, 0)),
            np.stack(codes, axis=1) if codes else np.zeros((n, 0), np.intp),
        )

    def _check_names(self, names: list[str]) -> None:
        """Compare names that are numbers or tuples with those of `fit`."""
        own = [column.name for column in self.columns]
        if names == own or own == [f"x{i}" for i in range(len(own))]:
            return
        missing, unknown = (
            [name for name in some if name not in others]
            for some, others in ((own, names), (names, own))
        )
        parts = [
            f"{word} {', '.join(some[:5])}"
            for word, some in (("missing", missing), ("unknown", unknown))
            if some
        ]
        raise ValueError(
            "X must have the columns of fit, in the same order; "
            + ("; ".join(parts) if parts else f"got {', '.join(names[:5])}, ...")
        )

    def read_array(self, array: NDArray[Any]) -> Cells:
        """Return an array of numbers (n_rows, n_columns) as cells; for a `is_plain` reader."""
        numbers = array.astype(np.float64)
        if not np.isfinite(numbers.sum()) and np.isinf(numbers).any():
            row, column = map(int, np.argwhere(np.isinf(numbers))[0])
            raise ValueError(infinity_at(self.columns[column].name, row))
        return Cells(numbers, np.zeros((len(numbers), 0), np.intp))


def learn_columns(
    frame: Frame, *, categorical: Any = None, numerical: Any = None, ordinal: Any = None
) -> Reader:
    """Return the reader of a table's columns.

    Parameters
    ----------
    frame : Frame
    categorical, numerical : sequence of names or positions, or None
        Columns of these kinds, whatever they look like.
    ordinal : mapping of names or positions to sequences of categories in their order, or None

    Raises
    ------
    ValueError, TypeError
        For columns that the table does not have, or that are listed twice.
    """
    declared: dict[int, str] = {}
    orders: dict[int, Sequence[Any]] = {}
    if ordinal is not None:
        if not isinstance(ordinal, Mapping):
            raise TypeError(
                "ordinal must be a mapping of columns to their categories in order; got "
                f"{shown(ordinal)}"
            )
        for column, order in ordinal.items():
            position = _position("ordinal", column, frame)
            declared[position] = "ordinal"
            orders[position] = check_iterable(f"ordinal[{column!r}]", order, "categories")
    for kind, listed in {"categorical": categorical, "numerical": numerical}.items():
        for column in _listed(kind, listed):
            position = _position(kind, column, frame)
            if position in declared:
                raise ValueError(
                    f"column {column!r} is declared {declared[position]} and {kind}; choose one"
                )
            declared[position] = kind
    return Reader(
        [
            _learn(frame, i, name, declared.get(i), orders.get(i))
            for i, name in enumerate(frame.names)
        ]
    )


def _listed(name: str, columns: Any) -> Iterable[Any]:
    return () if columns is None else check_iterable(name, columns, "columns")


def _position(name: str, column: Any, frame: Frame) -> int:
    if isinstance(column, int | np.integer) and not isinstance(column, bool):
        if 0 <= column < len(frame.names):
            return int(column)
    elif isinstance(column, str) and column in frame.names:
        return frame.names.index(column)
    raise ValueError(
        f"{name} must list columns of X, by name or by position from 0 to "
        f"{len(frame.names) - 1}; got {shown(column)}"
    )


def _learn(
    frame: Frame, index: int, name: str, declared: str | None, order: Sequence[Any] | None
) -> ColumnFacts:
    values = frame.column(index)
    if values.dtype.kind in "cV" or values.ndim != 1:
        what = values.dtype if values.ndim == 1 else f"parts, {values.shape[1:]}"
        raise ValueError(f"column {name!r} must hold numbers, text or dates; got {what}")
    given_order = frame.order(index) if declared is None else None
    kind = declared
    if kind is None and given_order is not None:
        kind, order = "ordinal", given_order
    if kind is None:
        kind = "categorical" if frame.is_category(index) else find_kind(values)
    if kind in ("categorical", "ordinal"):
        _check_values(values, name)
    if kind == "ordinal":
        assert order is not None
        keys = tuple(key(category) for category in order)
        if len(set(keys)) < len(keys) or not keys or None in keys:
            raise ValueError(
                f"the categories of the ordinal column {name!r} must be present and differ; "
                f"got {shown(list(order))}"
            )
        return ColumnFacts(name, kind, keys)
    if kind == "categorical":
        return ColumnFacts(name, kind, tuple(categories_of(values)))
    return ColumnFacts(name, kind)


def _check_values(values: NDArray[Any], name: str) -> None:
    """Refuse lists and the like, each of which would be a category."""
    for row, value in enumerate(values.tolist() if values.dtype.kind == "O" else ()):
        if isinstance(value, list | dict | set | np.ndarray):
            raise ValueError(
                f"column {name!r} must hold numbers, text or dates; got a list or the "
                f"like in row {row}: {shown(value)}. Make a column of each of its parts"
            )
