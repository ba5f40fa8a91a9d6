"""Columns of a table, whoever made it: pandas, polars, pyarrow, NumPy or lists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from fastmlp._checks import shown
from fastmlp.estimators.naming import column_types, naming, refuse_lazy

Column = NDArray[Any]


class Frame:
    """Columns of a table by position, each as an array (n_rows,).

    Parameters
    ----------
    data : pandas, polars or pyarrow table, or ndarray of shape (n_rows, n_columns)
    rows : ndarray of shape (n_chosen,), intp, or None
        The rows that count; None for all.

    Attributes
    ----------
    n_rows : int
    array : ndarray of shape (n_rows, n_columns) or None
        The data itself, if it is an array of numbers or booleans.
    """

    def __init__(self, data: Any, rows: NDArray[np.intp] | None = None) -> None:
        self._data, self._rows = data, rows
        types = None if isinstance(data, np.ndarray) else column_types(data)
        self._keys: list[Any] | None = None if types is None else list(types)
        self.n_rows = int(data.shape[0]) if rows is None else len(rows)
        numeric = isinstance(data, np.ndarray) and data.dtype.kind in "fiub"
        self.array: NDArray[Any] | None = self._chosen(data) if numeric else None

    def rows(self, index: NDArray[np.intp]) -> Frame:
        """Return some of the rows of a whole table; the others are never read."""
        return Frame(self._data, index)

    def _chosen(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self._rows is None else values[self._rows]

    @property
    def has_odd_names(self) -> bool:
        """Whether columns have names that are no strings, which scikit-learn does not compare."""
        return self._keys is not None and not all(isinstance(key, str) for key in self._keys)

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns; "x0", "x1", ... for an array."""
        return column_names(self._data)

    def column(self, index: int) -> Column:
        """Return the values of a column, (n_rows,), in the dtype that says most about them."""
        if self._keys is None:
            return self._chosen(self._data[:, index])
        return self._chosen(_values(self._data[self._keys[index]]))

    def order(self, index: int) -> list[Any] | None:
        """Return the categories of an ordered pandas column in their order; None for others."""
        if self._keys is None:
            return None
        dtype: Any = getattr(self._data[self._keys[index]], "dtype", None)
        return list(dtype.categories) if getattr(dtype, "ordered", None) is True else None

    def is_category(self, index: int) -> bool:
        """Whether the library that made the table calls the column a category."""
        if self._keys is None:
            return False
        types = column_types(self._data) or {}
        word = str(types.get(self._keys[index], "")).lower()
        return word.startswith(("category", "categorical", "enum", "dictionary"))


def _values(column: Any) -> Column:
    """Return a data frame's column as an array; what is missing is NaN, NaT or None."""
    dtype = getattr(column, "dtype", None)
    if getattr(dtype, "tz", None) is not None and hasattr(column, "dt"):  # pandas
        return np.asarray(column.dt.tz_convert("UTC").dt.tz_localize(None))
    extension = dtype is not None and not isinstance(dtype, np.dtype) and hasattr(column, "isna")
    kind = getattr(dtype, "kind", "O") if extension and hasattr(column, "to_numpy") else "O"
    if kind in "iu" and _is_beyond_floats(column):
        return np.asarray(column.to_numpy(dtype=object, na_value=None))
    if kind in "iuf":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if hasattr(column, "combine_chunks") and str(column.type).startswith("dictionary"):  # pyarrow
        column = column.cast(column.type.value_type)
    return np.asarray(column)


def _is_beyond_floats(column: Any) -> bool:
    """Whether float64 would merge some of a column's integers, which may be codes."""
    if column.isna().all():
        return False
    return max(-int(column.min()), int(column.max())) > 2**53


def column_names(data: Any) -> list[str]:
    """Return the names of a table's columns as strings; x0, x1, ... for an array."""
    types = None if isinstance(data, np.ndarray) else column_types(data)
    return [f"x{i}" for i in range(data.shape[1])] if types is None else [str(t) for t in types]


def check_frame(owner: Any, data: Any, *, reset: bool, name: str = "X") -> Frame:
    """Return the data as a Frame, after scikit-learn's checks of its shape and names.

    Parameters
    ----------
    owner : estimator
        Learns `n_features_in_` and `feature_names_in_` with `reset`, else compares them.
    data : table or array-like of shape (n_rows, n_columns)
        Lists become arrays of objects, so that numbers and strings keep their types.
    name : str
        Name of the argument in error messages.

    Raises
    ------
    ValueError, TypeError
        Naming missing, unknown and repeated columns.
    """
    refuse_lazy(name, data)
    with naming(name):
        if column_types(data) is not None and hasattr(data, "shape"):
            keys: Sequence[Any] = list(getattr(data, "column_names", None) or data.columns)
            twice = sorted({str(key) for key in keys if list(keys).count(key) > 1})
            if twice:
                raise ValueError(f"{name} has columns of the same name: {', '.join(twice[:5])}")
            if not data.shape[0] or not len(keys):
                raise ValueError(
                    f"{name} must have at least one row and one column; got {tuple(data.shape)}"
                )
            validate_data(owner, data, reset=reset, skip_check_array=True)
            return Frame(data)
        if isinstance(data, list | tuple):
            data = _array_of_objects(data)
        elif not any(hasattr(data, has) for has in ("shape", "__len__", "__array__")):
            raise TypeError(f"{name} must be a table or an array of two axes; got {shown(data)}")
        checked = validate_data(owner, data, reset=reset, dtype=None, ensure_all_finite=False)
        if checked.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: {name} has dtype {checked.dtype}")
        return Frame(checked)


def _array_of_objects(rows: Sequence[Any]) -> NDArray[Any]:
    """Return nested lists as an array that keeps numbers beside strings.

    Only lists without strings become numbers: "01" is a category, and not the same as "1".
    """
    array = np.asarray(rows, dtype=object)
    if array.ndim > 2 or any(isinstance(value, str | bytes) for value in array.flat):
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return array
