"""Names of arguments and columns in the errors of scikit-learn and NumPy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import shown
from fastmlp.data.source import Source

MAX_LISTED = 5
NUMBER_KINDS = "fiub"
LIBRARIES = {"builtins", "numpy", "scipy", "sklearn", "pandas", "polars", "pyarrow", "fastmlp"}
UNREADABLE = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, Warning)
"""What reading an object that is no data raises; warnings, where the program makes them errors."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Add an argument's name to errors that do not contain it; keep their text and type.

    Raises
    ------
    TypeError, ValueError
        As raised inside; TypeError also for missing attributes and the like. All other exceptions
        pass: a signal handler of the program may have raised them.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        if not is_of_libraries(error):
            raise
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)):
            raise
        raise builtin_type(error)(f"{name}: {error}") from error
    except (AttributeError, LookupError, ArithmeticError) as error:
        raise TypeError(f"{name} cannot be read: {shown(error)}") from error


def is_of_libraries(error: Exception) -> bool:
    """Whether an exception's class is Python's or one of the libraries that read data."""
    return type(error).__module__.partition(".")[0] in LIBRARIES


def builtin_type(error: Exception) -> type[TypeError | ValueError]:
    """Return TypeError or ValueError, whose constructors accept a message."""
    return TypeError if isinstance(error, TypeError) else ValueError


@contextmanager
def naming_columns(name: str, data: Any) -> Iterator[None]:
    """Add the columns that are not numbers, or not finite, to errors about a table.

    scikit-learn's advice to use an estimator that accepts NaN is replaced by what helps here.
    """
    refuse_lazy(name, data)
    try:
        yield
    except (TypeError, ValueError) as error:
        if not is_of_libraries(error):
            raise
        text = re.sub(r"\n\w+ does not accept missing values.*", "", str(error), flags=re.DOTALL)
        text = text.replace("Input X contains", f"Input {name} contains")
        if "contains NaN" in text or "contains infinity" in text:
            advice = _about_values(data, nan="contains NaN" in text)
        else:
            advice = _about_types(name, data)
        if isinstance(error, np.exceptions.DTypePromotionError) and advice:
            text = ""  # it is about the types of NumPy, not about the columns
        if not advice and text == str(error):
            raise
        text += "." if text and not text.endswith((".", "\n")) else ""
        raise builtin_type(error)(f"{text} {advice}".strip()) from error


def refuse_lazy(name: str, data: Any) -> None:
    """Raise TypeError for a path, lazy frame or source, which NumPy would take for one object."""
    if isinstance(data, Source):
        raise TypeError(
            f"{name} must be an array here; got {type(data).__name__}, a source. fit, predict and "
            "score read sources; elsewhere pass its rows: source.read(begin, end).X"
        )
    if name.startswith("X") and isinstance(data, str | bytes | PathLike):
        raise TypeError(
            f"{name} must hold rows; got {shown(data)}. fastmlp.data.ParquetSource(path, target) "
            "reads Parquet files"
        )
    if hasattr(data, "collect") and hasattr(data, "collect_schema") and not hasattr(data, "shape"):
        raise TypeError(
            f"{name} must hold data; got a {type(data).__name__}. Pass {name}.collect()"
        )


def column_types(data: Any) -> dict[str, str] | None:
    """Return the types of a data frame's columns by name, in words; None for other data.

    This reads the interfaces of pandas, polars and pyarrow without importing them.
    """
    if hasattr(data, "columns") and hasattr(data, "dtypes"):
        names, types = data.columns, data.dtypes
    elif hasattr(data, "column_names") and hasattr(data, "schema"):
        names, types = data.column_names, data.schema.types
    else:
        return None
    return {name: str(dtype) for name, dtype in zip(names, types, strict=True)}


def _columns(data: Any) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Iterate over the columns of a table: name or index, type and values."""
    types = column_types(data)
    if types is not None:
        for name, dtype in types.items():
            yield repr(name), dtype, _values(data[name])
        return
    if hasattr(data, "tocsr"):
        data = data.toarray() if 0 in data.shape else _occupied(data)
    array = np.asarray(data)
    for i in range(array.shape[1] if array.ndim == 2 else 0):
        yield str(i), str(array.dtype), array[:, i]


def _values(column: Any) -> NDArray[Any]:
    if hasattr(column, "isna") and column.isna().any() and hasattr(column, "astype"):
        try:
            return np.asarray(column.astype("float64"))
        except (TypeError, ValueError):
            pass
    return np.asarray(column)


def _occupied(matrix: Any) -> NDArray[Any]:
    """Return one row (1, n_columns) with a sparse matrix's sums, which are as finite as it is."""
    with np.errstate(all="ignore"):
        sums: NDArray[Any] = np.asarray(matrix.sum(axis=0)).reshape(1, -1)
    return sums


def _is_numeric(values: NDArray[Any]) -> bool:
    if values.dtype.kind in NUMBER_KINDS:
        return True
    if values.dtype.kind in "mMc":
        return False
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - MAX_LISTED} more" if len(words) > MAX_LISTED else ""
    return f"column{'s' * (len(words) > 1)} {', '.join(words[:MAX_LISTED])}{more}"


def _about_types(name: str, data: Any) -> str:
    """Return a sentence about the columns that are not numbers; "" if all are, or none exist."""
    try:
        wrong = [f"{key} ({kind})" for key, kind, v in _columns(data) if not _is_numeric(v)]
    except UNREADABLE:  # the first error says enough
        return ""
    if not wrong:
        return ""
    return (
        f"{name} must be numbers; these are not: {_listed(wrong)}. Drop them, encode categories, "
        "for example with OneHotEncoder in a ColumnTransformer, and convert dates to numbers; "
        "TabularClassifier and TabularRegressor take them as they are"
    )


def _about_values(data: Any, *, nan: bool) -> str:
    """Return a sentence about the columns with NaN or infinity; "" if none is found."""
    test = np.isnan if nan else np.isinf
    try:
        with np.errstate(over="ignore"):
            wrong = [key for key, _, v in _columns(data) if test(v.astype(np.float64)).any()]
    except UNREADABLE:
        return ""
    if not wrong:
        return ""
    what, cure = "infinite numbers are", "Replace them"
    if nan:
        what, cure = "missing values are", "Fill them, for example with SimpleImputer,"
    advice = f"The {what} in {_listed(wrong)}. {cure} or drop the rows"
    return (
        f"{advice}; TabularClassifier and TabularRegressor take missing values" if nan else advice
    )


def frame_dtype(data: Any, allowed: Any) -> Any:
    """Return float32 for a data frame that has only such columns, else `allowed`.

    NumPy and scikit-learn read such frames of polars and pyarrow, and pandas's nullable types, as
    float64.

    Parameters
    ----------
    data : object
    allowed : dtype or tuple of dtypes
        Only a tuple leaves a choice.
    """
    if isinstance(allowed, tuple):
        types = column_types(data)
        # "float" is pyarrow's name of float32; it calls float64 "double".
        if types and {t.lower() for t in types.values()} <= {"float32", "float", "float[pyarrow]"}:
            return np.dtype(np.float32)
    return allowed
