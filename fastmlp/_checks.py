"""Argument checks and their error messages.

Each message names the argument, the value given and the values allowed. Checks run before any work
is done, so that native code can rely on its arguments.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._names import nearest

MAX_DIMENSION = 2**31 - 1
"""Largest matrix dimension and leading dimension that a 32-bit BLAS accepts."""

MAX_INTEGER = 2**63 - 1
"""Largest count that native code and files can hold."""

MAX_PARAMETER_BYTES = 2**40
FINITE_CHECK_BYTES = 1 << 22
FLOAT_DTYPES = ("float32", "float64")


LONGEST_SHOWN = 200


def shown(value: object) -> str:
    """Return `value` as text for an error message; it is never too long and never raises."""
    try:
        text = repr(value)
    except Exception:  # a foreign __repr__ may raise anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def check_choice(name: str, value: object, allowed: Iterable[str]) -> str:
    """Return `value`, which must be one of the names in `allowed`."""
    known = list(allowed)
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, known))}; got {shown(value)}"
            + nearest(value, known)
        )
    return value


def check_integer(
    name: str, value: object, *, minimum: int, maximum: int | None = MAX_INTEGER
) -> int:
    """Return `value`, which must be an integer (not a bool) from `minimum` to `maximum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer; got {shown(value)}")
    number = int(value)
    if number < minimum or (maximum is not None and number > maximum):
        allowed = f"from {minimum} to {maximum}"
        if maximum in (None, MAX_INTEGER):
            allowed = f"at least {minimum}" if number < minimum else "less than 2**63"
        raise ValueError(f"{name} must be {allowed}; got {shown(number)}")
    return number


def check_number(
    name: str,
    value: object,
    *,
    minimum: float = 0.0,
    maximum: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return `value` as a float, which must be finite, in [`minimum`, `maximum`], < `below`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number; got {shown(value)}")
    number = _as_float(value)
    if not (math.isfinite(number) and minimum <= number <= maximum and number < below):
        bound = f"at least {minimum:g}" if maximum == math.inf else f"{minimum:g} to {maximum:g}"
        bound += "" if below == math.inf else f" and below {below:g}"
        raise ValueError(f"{name} must be a finite number, {bound}; got {shown(value)}")
    return number


def _as_float(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


UNITS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
DURATION = re.compile(rf"(\d+\.?\d*|\.\d+) ?({'|'.join(UNITS)})")


def check_seconds(name: str, value: object) -> float:
    """Return seconds > 0, given as a number or as a string: "90s", "5min", "1.5 h", "1d"."""
    parts = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if parts is not None:
        seconds = float(parts[1]) * UNITS[parts[2]]
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        seconds = _as_float(value)
    else:
        raise TypeError(
            f"{name} must be seconds or a string such as '90s', '5min' or '2h'; got {shown(value)}"
        )
    if not 0 < seconds < math.inf:
        raise ValueError(f"{name} must be finite and more than 0 seconds; got {shown(value)}")
    return seconds


def check_string(name: str, value: object) -> str:
    """Return `value`, which must be a str."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string; got {shown(value)}")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return `value`, which must be True or False, as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False; got {shown(value)}")
    return bool(value)


def check_path(name: str, value: object) -> str:
    """Return `value`, which must be a str, bytes or PathLike, as a str.

    The system would treat an integer, or True, as the descriptor of an open file.
    """
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"{name} must be a path (str, bytes or PathLike); got {shown(value)}")
    path = os.fsdecode(value)
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be a path in valid Unicode; got {shown(value)}") from error
    if "\0" in path:
        raise ValueError(f"{name} must be a path without null characters; got {shown(value)}")
    return path


def check_random_state(name: str, value: Any) -> np.random.Generator:
    """Return a Generator for a seed (an integer >= 0), for None, or for a Generator (itself)."""
    if not (value is None or isinstance(value, np.random.Generator)):
        check_integer(name, value, minimum=0, maximum=None)
    return np.random.default_rng(value)


def check_dtype(name: str, value: object) -> np.dtype[Any]:
    """Return the dtype denoted by `value`, which must be float32 or float64."""
    if isinstance(value, str | type | np.dtype):
        for known in FLOAT_DTYPES:
            with contextlib.suppress(TypeError, ValueError):  # no dtype at all
                if np.dtype(value) == known:
                    return np.dtype(known)
    raise ValueError(
        f"{name} must be one of {', '.join(map(repr, FLOAT_DTYPES))}; got {shown(value)}"
    )


def check_sizes(name: str, sizes: Sequence[object], itemsize: int) -> tuple[int, ...]:
    """Return `sizes`: two or more layer widths whose parameters fit into memory and BLAS."""
    given = check_iterable(name, sizes, "layer widths")
    widths = tuple(check_integer(f"{name}[{i}]", n, minimum=1) for i, n in enumerate(given))
    if len(widths) < 2:
        raise ValueError(f"{name} needs an input and an output width; got {shown(sizes)}")
    for i, width in enumerate(widths):
        if width >= MAX_DIMENSION:
            raise ValueError(f"{name}[{i}] must be below {MAX_DIMENSION}; got {width}")
    n_bytes = itemsize * sum((a + 1) * b for a, b in pairwise(widths))
    if n_bytes > MAX_PARAMETER_BYTES:
        raise ValueError(
            f"{name} = {widths} needs {n_bytes / 2**30:.0f} GiB of parameters; "
            f"at most {MAX_PARAMETER_BYTES / 2**30:.0f} GiB are supported"
        )
    return widths


def check_pair_of_arrays(name: str, value: Any) -> tuple[Any, Any]:
    """Return the two elements of `value`, which must be a tuple or list of length 2."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        length = f" of length {len(value)}" if isinstance(value, tuple | list) else ""
        raise TypeError(f"{name} must be a pair (X, y); got {type(value).__name__}{length}")
    return value[0], value[1]


def as_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return `values` as an array, with the dtype that NumPy chooses."""
    if type(values) is np.ndarray:  # nothing to do: whatever is raised here is not about `values`
        return values
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as an array: {error}") from error


def check_iterable(name: str, values: Any, of: str) -> tuple[Any, ...]:
    """Return the elements of `values`, which must be an iterable but not a string."""
    try:
        iterator = iter(() if isinstance(values, str | bytes) else values)
    except TypeError:
        iterator = None
    if iterator is None or isinstance(values, str | bytes):
        raise TypeError(f"{name} must be a sequence of {of}; got {shown(values)}")
    return tuple(iterator)


def check_figsize(name: str, value: Any) -> tuple[float, float]:
    """Return width and height in inches, which must be positive and below 2^16 pixels."""
    sides = check_iterable(name, value, "two numbers, width and height in inches")
    if len(sides) != 2:
        raise ValueError(f"{name} must be width and height in inches; got {shown(value)}")
    for i, side in enumerate(sides):
        check_number(f"{name}[{i}]", side, minimum=0.1, maximum=400)
    return float(sides[0]), float(sides[1])


def as_numeric_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return `values` as an array of real numbers (bool, integer or floating point)."""
    if hasattr(values, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix; pass a dense array, {name}.toarray()")
    array = as_array(name, values)
    if array.dtype.kind == "O" and hasattr(values, "read_targets"):
        raise TypeError(
            f"{name} must be an array; got {type(values).__name__}, a source, which "
            "fastmlp.data.predict(network, source) reads"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers; got an array of dtype {array.dtype}")
    return array


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Raise ValueError, with row and column, at the first element that is NaN or infinite."""
    rows = max(1, FINITE_CHECK_BYTES // max(1, array.itemsize * math.prod(array.shape[1:])))
    for begin in range(0, len(array), rows):
        finite = np.isfinite(array[begin : begin + rows])
        if not finite.all():
            row, *column = map(int, np.argwhere(~finite)[0])
            value = array[begin + row, *column]
            kind = "NaN" if np.isnan(value) else "infinity"
            where = f"row {begin + row}" + (f", column {column[0]}" if column else "")
            raise ValueError(
                f"{name} must hold finite {array.dtype} numbers; found {kind} at {where}"
            )


def check_matrix(
    name: str,
    values: ArrayLike,
    dtype: np.dtype[Any],
    *,
    n_columns: int | None = None,
    finite: bool = True,
) -> NDArray[Any]:
    """Return `values` as a finite C-ordered, aligned (n, n_columns) array of `dtype`, n >= 1.

    This is the array itself if it already meets these conditions, otherwise a copy; the argument is
    never modified. With ``finite=False`` the numbers are not checked.
    """
    array = as_numeric_array(name, values)
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions (rows, columns); got shape {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{name} must have at least one row and one column; got {array.shape}")
    if n_columns is not None and array.shape[1] != n_columns:
        raise ValueError(f"{name} must have {n_columns} columns; got shape {array.shape}")
    with np.errstate(over="ignore"):  # overflow to infinity is reported below
        result = np.require(array, dtype=dtype, requirements=["C", "A"])
    if finite:
        check_finite(name, result)
    return result


def check_sample_weight(
    name: str, values: ArrayLike | None, dtype: np.dtype[Any], n_rows: int
) -> NDArray[Any] | None:
    """Return `values` as n_rows finite numbers >= 0 with a finite, positive sum, or None."""
    if values is None:
        return None
    array = as_numeric_array(name, values)
    if array.shape != (n_rows,):
        raise ValueError(f"{name} must have shape ({n_rows},), one per row; got {array.shape}")
    result = np.require(array, dtype=dtype, requirements=["C", "A"])
    check_finite(name, result)
    if result.min() < 0:
        row = int(result.argmin())
        raise ValueError(f"{name} must not be negative; got {result[row]} at row {row}")
    if not result.any():
        raise ValueError(f"{name} must have a positive weight; all {n_rows} are zero")
    if not has_finite_sum(result):
        raise ValueError(f"{name} must have a finite sum; got weights up to {result.max()}")
    return result


def has_finite_sum(weights: NDArray[Any]) -> bool:
    """Return whether the sum of finite weights is finite in float64."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(weights.sum(dtype=np.float64)))


def check_targets(
    name: str, targets: NDArray[Any], loss: str, allowed: tuple[float, float]
) -> None:
    """Raise ValueError for targets outside `allowed`, the (lowest, highest) for `loss`."""
    (low, high), smallest, largest = allowed, targets.min(), targets.max()
    if smallest < low or largest > high:
        if high == math.inf:
            range_text = "be at least 0" if low == 0 else "be positive"
        else:
            range_text = f"lie in [{low:g}, {high:g}]"
        raise ValueError(
            f"{name} must {range_text} for loss {loss!r}; "
            f"got values from {smallest:g} to {largest:g}"
        )


def check_same_length(name: str, length: int, other_name: str, other_length: int) -> None:
    """Raise ValueError if two arrays do not have the same number of rows."""
    if length != other_length:
        raise ValueError(
            f"{name} and {other_name} must have the same number of rows; "
            f"got {length} and {other_length}"
        )


def as_labels(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return `values` as an (n,) array of labels: integers, whole floats, booleans, strings."""
    labels = as_array(name, values)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"{name} must have shape (rows,), one label per row; got {labels.shape}")
    if labels.dtype.kind == "O":
        labels = labels.astype(str) if all(isinstance(v, str) for v in labels) else labels
    if labels.dtype.kind == "f":
        check_finite(name, labels)
        if not np.array_equal(labels, np.floor(labels)):
            row = int((labels != np.floor(labels)).argmax())
            raise ValueError(f"{name} must hold class labels; got {labels[row]} at row {row}")
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iubU":
        raise TypeError(f"{name} must be integer or string labels; got dtype {labels.dtype}")
    return labels


def encode_labels(name: str, labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return the index of each label in the sorted `classes`; raise ValueError for others."""
    codes = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    wrong = classes[codes] != labels
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} must hold labels of the expected classes "
            f"{', '.join(map(str, classes[:20]))}; got {labels[row]} at row {row}"
        )
    return codes
