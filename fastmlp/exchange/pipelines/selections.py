"""Selections of columns in a ColumnTransformer as JSON, and as positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Fields
from fastmlp.files.plain_values import encode

Selection = str | int | slice | list[Any] | tuple[Any, ...] | NDArray[Any]


def plain_selection(columns: Any) -> Any:
    """Return a selection without pandas: an Index or Series as a list, a number as an int."""
    if isinstance(columns, np.generic):
        return columns.item()
    if callable(columns) or isinstance(columns, str | int | slice | list | tuple | np.ndarray):
        return columns
    return list(columns)


def describe_selection(columns: Any, where: str) -> dict[str, Any]:
    """Encode names, positions, a slice of either, or a mask.

    Raises
    ------
    TypeError
        For functions that select, such as make_column_selector.
    """
    columns = plain_selection(columns)
    if callable(columns):
        raise TypeError(
            f"{where}: columns={columns!r}: a function that selects columns cannot be saved; give "
            "names, positions, a slice or a mask"
        )
    try:
        if isinstance(columns, slice):
            return {"slice": [encode(end) for end in (columns.start, columns.stop, columns.step)]}
        return {"columns": encode(columns)}
    except TypeError as error:
        raise TypeError(f"{where}: columns={columns!r}: {error}") from None


def restore_selection(fields: Fields) -> Selection:
    """Take the selection that was described.

    Raises
    ------
    ModelFormatError
    """
    if "slice" in fields.names():
        ends = fields.take("slice", list)
        if len(ends) != 3 or not all(end is None or type(end) in (int, str) for end in ends):
            raise ModelFormatError(f"{fields.where}: 'slice' must be start, stop and step")
        columns: Selection = slice(*ends)
    else:
        columns = fields.plain("columns", str, int, list, tuple, np.ndarray)
    return columns


def positions(columns: Selection, n_features: int, names: list[str] | None) -> list[int]:
    """Return the positions of the selected columns.

    Parameters
    ----------
    columns : str, int, slice, list, tuple or ndarray
    n_features : int
    names : list of str or None
        Names of all columns.

    Raises
    ------
    ValueError, TypeError
        For names and positions that do not exist.
    """
    places = range(n_features)
    if isinstance(columns, slice):
        return list(places[_slice_of_positions(columns, names)])
    items: list[Any] = np.asarray(columns).ravel().tolist() if np.ndim(columns) else [columns]
    if items and all(type(item) is bool for item in items):
        if len(items) != n_features:
            raise ValueError(f"a mask has {len(items)} values, there are {n_features} columns")
        return [i for i, chosen in enumerate(items) if chosen]
    return [_position(item, places, names) for item in items]


def _position(item: Any, places: range, names: list[str] | None) -> int:
    if isinstance(item, str):
        return _named_position(item, names)
    if type(item) is not int:
        raise TypeError(f"a column is selected by {item!r}")
    if not -len(places) <= item < len(places):
        raise ValueError(f"there is no column {item} among {len(places)}")
    return places[item]


def _named_position(name: str, names: list[str] | None) -> int:
    if names is None or name not in names:
        raise ValueError(f"there is no column {name[:40]!r}")
    return names.index(name)


def _slice_of_positions(columns: slice, names: list[str] | None) -> slice:
    """Return a slice of positions; one of names includes its end."""
    start, stop = columns.start, columns.stop
    if isinstance(start, str):
        start = _named_position(start, names)
    if isinstance(stop, str):
        stop = _named_position(stop, names) + 1
    return slice(start, stop, columns.step)
