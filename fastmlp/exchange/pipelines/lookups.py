"""Encoders as tables: for every category of a column the numbers that stand for it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from fastmlp.exchange.pipelines.kinds import named

Codes = Mapping[str, int]
"""Numbers that stand for strings, which graphs of numbers cannot hold."""


@dataclass(frozen=True)
class Lookup:
    """What an encoder makes of one column.

    Attributes
    ----------
    categories : ndarray of shape (n_categories,), float64
        Numbers, codes of strings, or NaN for gaps (NaN and None).
    table : ndarray of shape (n_categories, n_columns), float64
        Numbers that stand for each category.
    unknown : ndarray of shape (n_columns,), float64
        Those of everything else; NaN where the encoder raises an error.
    """

    categories: NDArray[np.float64]
    table: NDArray[np.float64]
    unknown: NDArray[np.float64]


def is_text(categories: NDArray[Any]) -> bool:
    """Return whether these are strings."""
    return categories.dtype.kind in "OU" and all(type(item) is str for item in categories.tolist())


def check_categories(name: str, encoder: Any) -> None:
    """Raise a TypeError for categories that are neither numbers nor strings, by name."""
    for categories in encoder.categories_:
        items = categories.tolist()
        gaps = [item for item in items if item is None or item != item]
        if is_text(categories) or (all(map(_is_number, items)) and len(gaps) <= 1):
            continue
        shown = ", ".join(repr(item) for item in [*gaps, *items][:5])
        raise TypeError(
            f"{named(name, encoder)} cannot be exported: the categories of a column must be all "
            f"numbers, with gaps of one kind, or all strings; got {shown}"
        )


def lookups(encoder: Any, codes: Codes) -> list[Lookup]:
    """Return the table of every column of a fitted encoder.

    Parameters
    ----------
    encoder : OneHotEncoder or OrdinalEncoder
    codes : mapping of str to int
        Of all strings among its categories; -1 stands for others.
    """
    first = np.array([[column[0] for column in encoder.categories_]], dtype=object)
    found, begin = [], 0
    for j, categories in enumerate(encoder.categories_):
        width = _width(encoder, j)
        rows = np.repeat(first, len(categories), axis=0)
        rows[:, j] = categories
        table = _transformed(encoder, rows)[:, begin : begin + width]
        unknown = _unknown(encoder, first, j)[begin : begin + width]
        items = [codes[item] if isinstance(item, str) else item for item in categories.tolist()]
        found.append(Lookup(np.array(items, np.float64), table, unknown))
        begin += width
    return found


def _is_number(item: Any) -> bool:
    return item is None or isinstance(item, bool | int | float)


def _width(encoder: Any, j: int) -> int:
    """Return the number of columns that stand for column j."""
    if isinstance(encoder, OrdinalEncoder):
        return 1
    n = len(encoder.categories_[j])
    infrequent = getattr(encoder, "infrequent_categories_", None)
    if infrequent is not None and infrequent[j] is not None:
        n -= len(infrequent[j]) - 1
    dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[j] is not None
    return n - 1 if dropped else n


def _unknown(encoder: Any, first: NDArray[Any], j: int) -> NDArray[np.float64]:
    """Return what the encoder makes of a row whose column j has a value that it has not seen."""
    if encoder.handle_unknown == "error":
        return np.full(_transformed(encoder, first).shape[1], np.nan)
    row, categories = first.copy(), encoder.categories_[j]
    if is_text(categories):
        row[0, j] = max(categories.tolist(), key=len) + "?"
    else:
        numbers = [abs(item) for item in categories.tolist() if item is not None and item == item]
        row[0, j] = 1 + max(numbers, default=0)
    return _transformed(encoder, row)[0]  # type: ignore[no-any-return]


def _transformed(encoder: Any, rows: NDArray[Any]) -> NDArray[np.float64]:
    """Transform rows of objects, without names of columns and without words about unknown ones."""
    if all(column.dtype.kind in "biuf" for column in encoder.categories_):
        rows = rows.astype(np.float64)
    transform = type(encoder).transform
    transform = getattr(transform, "__wrapped__", transform)  # the output is an array
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = transform(encoder, rows)
    if isinstance(encoder, OneHotEncoder) and encoder.sparse_output:
        result = result.toarray()
    return np.asarray(result, np.float64)
