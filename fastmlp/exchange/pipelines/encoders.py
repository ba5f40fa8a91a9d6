"""Fitted OneHotEncoder and OrdinalEncoder as categories, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder

from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Fields
from fastmlp.files.plain_values import decode, encode


def describe_encoder(encoder: Any, where: str) -> dict[str, Any]:
    """Return the categories of every feature, and the positions of those that are infrequent.

    Raises
    ------
    TypeError
        For categories that a file cannot hold, such as dates.
    """
    try:
        categories = [encode(column) for column in encoder.categories_]
    except TypeError as error:
        raise TypeError(f"{where}: categories_: {error}") from None
    return {"categories_": categories, "infrequent": _infrequent(encoder)}


def _infrequent(encoder: Any) -> list[list[int]] | None:
    """Return the positions of the infrequent categories, None where they were not looked for."""
    if not getattr(encoder, "_infrequent_enabled", hasattr(encoder, "infrequent_categories_")):
        return None
    positions = []
    for column, infrequent in zip(encoder.categories_, encoder.infrequent_categories_, strict=True):
        places = {_key(value): i for i, value in enumerate(column.tolist())}
        values = [] if infrequent is None else infrequent.tolist()
        positions.append([places[_key(value)] for value in values])
    return positions


def _key(value: Any) -> Any:
    return ("NaN",) if isinstance(value, float) and math.isnan(value) else value


def restore_encoder(encoder: Any, fields: Fields, n_features: int) -> None:
    """Give an encoder its categories.

    It is fitted first to rows in which exactly the frequent categories occur, with a minimum
    frequency of 1, so that everything else that its class keeps is there too.

    Raises
    ------
    ModelFormatError, ValueError, TypeError
        The latter two from scikit-learn's checks.
    """
    categories = _categories(fields, n_features)
    infrequent = _positions(fields, categories)
    encoder._validate_params()
    columns = [column.astype(object) for column in categories]
    wanted = encoder.get_params(deep=False)
    stand_in: dict[str, Any] = {
        "categories": columns,
        "min_frequency": None,
        "max_categories": None,
    }
    if infrequent is not None:
        stand_in["min_frequency"] = 1
    if isinstance(encoder, OneHotEncoder):
        stand_in["handle_unknown"] = "ignore"
    elif encoder.handle_unknown == "error":
        stand_in |= {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    rows = _rows(columns, infrequent or [[]] * n_features)
    encoder.set_params(**stand_in).fit(rows).set_params(**wanted)
    encoder.categories_ = categories


def _categories(fields: Fields, n_features: int) -> list[NDArray[Any]]:
    contents = fields.take("categories_", list)
    try:
        categories = [decode(content) for content in contents]
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise ModelFormatError(f"{fields.where}: 'categories_': {str(error)[:200]}") from error
    right = all(isinstance(c, np.ndarray) and c.ndim == 1 and len(c) for c in categories)
    if not right or len(categories) != n_features:
        raise ModelFormatError(f"{fields.where}: 'categories_' must be an array for every feature")
    return categories


def _positions(fields: Fields, categories: list[NDArray[Any]]) -> list[list[int]] | None:
    infrequent = fields.take("infrequent", list, type(None))
    if infrequent is None:
        return None
    right = len(infrequent) == len(categories) and all(
        type(positions) is list
        and all(type(i) is int and 0 <= i < len(column) for i in positions)
        and positions == sorted(set(positions))
        for positions, column in zip(infrequent, categories, strict=False)
    )
    if not right:
        raise ModelFormatError(f"{fields.where}: 'infrequent' must be increasing positions")
    return list(infrequent)


def _rows(columns: list[NDArray[Any]], infrequent: list[list[int]]) -> NDArray[Any]:
    """Return rows with every frequent category, filled up with one of them or an unknown value."""
    frequent = [
        np.delete(column, positions) for column, positions in zip(columns, infrequent, strict=True)
    ]
    rows = np.empty((max(1, *map(len, frequent)), len(columns)), object)
    for j, (column, values) in enumerate(zip(columns, frequent, strict=True)):
        rows[:, j] = values[0] if len(values) else _unknown(column)
        rows[: len(values), j] = values
    return rows


def _unknown(column: NDArray[Any]) -> Any:
    """Return a value of the kind of the categories that is none of them."""
    texts = [value for value in column if isinstance(value, str)]
    if texts:
        return max(texts, key=len) + "?"
    numbers = [value for value in column if isinstance(value, int | float) and math.isfinite(value)]
    return max([*map(abs, numbers), 0]) * 2 + 1
