"""Values of one column as numbers, categories or dates."""

from __future__ import annotations

import datetime
import decimal
import numbers
import re
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import shown

ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")
DAY = np.timedelta64(1, "D")
YEAR_DAYS = 365.2425
DATE_PARTS = ("", "_year_sin", "_year_cos", "_week_sin", "_week_cos", "_day_sin", "_day_cos")
"""Endings of the names of the numbers that stand for a date."""

MISSING_KEY = None
"""Key of a missing value, which is a category of its own."""


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN, NaT or pandas's NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating | np.datetime64) and bool(value != value)


def key(value: object) -> str | None:
    """Return the category of a value: its text; whole numbers have the same one in any type."""
    if is_missing(value):
        return MISSING_KEY
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def find_kind(values: NDArray[Any]) -> str:
    """Return the kind of a column from its values: numerical, boolean, categorical or date."""
    by_dtype = {"b": "boolean", "M": "date", "m": "numerical"} | dict.fromkeys("iuf", "numerical")
    if values.dtype.kind in by_dtype:
        return by_dtype[values.dtype.kind]
    present = [value for value in values.tolist() if not is_missing(value)]
    if all(isinstance(value, bool | np.bool_) for value in present):
        return "boolean" if present else "numerical"
    if all(isinstance(value, numbers.Real | decimal.Decimal) for value in present):
        return "numerical"
    if all(isinstance(value, datetime.date | np.datetime64) for value in present):
        return "date"
    if all(isinstance(value, str) and ISO_DATE.fullmatch(value) for value in present):
        try:
            as_dates(values, "")
        except ValueError:
            return "categorical"
        return "date"
    return "categorical"


def as_numbers(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return a column as numbers (n,), NaN where they are missing; durations are in days.

    Raises
    ------
    ValueError
        For text and infinite numbers, with the column's name.
    """
    if values.dtype.kind == "m":
        return np.asarray(values / DAY, np.float64)
    if values.dtype.kind == "M":
        raise ValueError(f"column {name!r} must be numbers, as in fit; got {values.dtype}")
    if values.dtype.kind in "fiub":
        result = values.astype(np.float64)
    else:
        items = values.tolist()
        try:
            result = np.array([np.nan if is_missing(v) else float(v) for v in items], np.float64)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(_not_a_number(items, name)) from None
    if np.isinf(result).any():
        raise ValueError(infinity_at(name, int(np.isinf(result).argmax())))
    return result


def infinity_at(name: str, row: int) -> str:
    """Return the message about an infinite number."""
    return (
        f"X contains infinity in column {name!r}, row {row}; replace it, for example by NaN, which "
        "is a missing value"
    )


def _not_a_number(items: Sequence[Any], name: str) -> str:
    """Return the message about the first value that is no number."""
    for row, value in enumerate(items):
        try:
            if not is_missing(value):
                float(value)
        except OverflowError:
            return f"column {name!r} has a number above 1.8e308 in row {row}; divide the column"
        except (TypeError, ValueError):
            return f"column {name!r} must be numbers, as in fit; got {shown(value)} in row {row}"
    return f"column {name!r} must be numbers, as in fit"


def as_dates(values: NDArray[Any], name: str) -> NDArray[np.datetime64]:
    """Return a column as datetime64 in microseconds (n,), in UTC, NaT where they are missing.

    Raises
    ------
    ValueError
        For what is no date, with the column's name.
    """
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]")
    try:
        return np.array([_date(value) for value in values.tolist()], "datetime64[us]")
    except (TypeError, ValueError):
        raise ValueError(
            f"column {name!r} must be dates, as in fit: datetime objects or text like 2026-11-28"
        ) from None


def _date(value: Any) -> np.datetime64:
    if is_missing(value):
        return np.datetime64("NaT", "us")
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    if not isinstance(value, str | datetime.date | np.datetime64):
        raise TypeError("no date")
    result: np.datetime64 = np.datetime64(value, "us")  # type: ignore[call-overload]
    return result


def date_numbers(dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return the numbers of dates, (n, 7): days since 1970, and phases of year, week and day.

    A phase p in [0, 1) becomes ``sin(2 pi p), cos(2 pi p)``. NaN where a date is missing.
    """
    days = np.where(np.isnat(dates), np.nan, (dates - np.datetime64(0, "us")) / DAY)
    # The remainder first, so that the same weekday has the same bits.
    angles = [2 * np.pi / period * np.mod(days, period) for period in (YEAR_DAYS, 7.0, 1.0)]
    phases = [part(angle) for angle in angles for part in (np.sin, np.cos)]
    # The day's phase of dates without a time is exactly constant.
    whole = bool(np.all(np.isnan(days) | (days == np.floor(days))))
    if whole:
        phases[4:] = [np.where(np.isnan(days), np.nan, constant) for constant in (0.0, 1.0)]
    return np.stack([days, *phases], axis=1)


def as_codes(
    values: NDArray[Any], lookup: Mapping[str | None, int], unknown: int
) -> NDArray[np.intp]:
    """Return the code of every value's category, (n,), `unknown` for others."""
    values = _in_one_unit(values)
    if values.dtype.kind in "fiub" and len(values) > 1:
        unique, inverse = np.unique(values, return_inverse=True)
        table = [lookup.get(key(value), unknown) for value in unique.tolist()]
        return np.array(table, np.intp)[inverse.ravel()]
    items = values.tolist()
    keys = (item if type(item) is str else key(item) for item in items)
    return np.fromiter(map(lookup.get, keys, repeat(unknown)), np.intp, len(items))


def categories_of(values: NDArray[Any]) -> list[str | None]:
    """Return the categories of a column, sorted; a missing value is the last, if there is one."""
    values = _in_one_unit(values)
    if values.dtype.kind in "fiub":
        found = {key(value) for value in np.unique(values).tolist()}
    else:
        found = {item if type(item) is str else key(item) for item in set(_hashable(values))}
    present: list[str | None] = list(sorted(found - {MISSING_KEY}))  # type: ignore[type-var]
    return present + ([MISSING_KEY] if MISSING_KEY in found else [])


def _in_one_unit(values: NDArray[Any]) -> NDArray[Any]:
    """Return times in microseconds, so that a date has the same text in any library's unit."""
    return values.astype(f"{values.dtype.kind}8[us]") if values.dtype.kind in "mM" else values


def _hashable(values: NDArray[Any]) -> list[Any]:
    items: list[Any] = values.tolist()
    try:
        set(items)
    except TypeError:
        return [key(item) for item in items]
    return items
