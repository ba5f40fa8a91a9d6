"""Soft labels: a probability of every class for every row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import as_numeric_array, check_finite
from fastmlp.estimators.labels import check_length
from fastmlp.estimators.naming import column_types
from fastmlp.estimators.targets import as_probabilities


def is_soft(y: Any) -> bool:
    """Whether targets have several columns, one per class."""
    shape = getattr(y, "shape", None)
    if shape is None and isinstance(y, list | tuple) and len(y) and hasattr(y[0], "__len__"):
        shape = () if isinstance(y[0], str) else (len(y), len(y[0]))
    return shape is not None and len(shape) == 2 and shape[1] > 1 and not hasattr(y, "tocsr")


def check_probabilities(name: str, y: Any, n_rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return probabilities (n_rows, n_classes) in float64, rows with sum 1, and the class labels.

    The labels are the names of a data frame's columns, sorted, or 0, 1, ....

    Raises
    ------
    ValueError
        If a value is not a probability, a row's sum differs from 1 by more than 0.001, or two
        columns have the same name.
    """
    names = None if isinstance(y, np.ndarray) else column_types(y)
    try:
        array = as_numeric_array(name, y).astype(np.float64)
    except TypeError as error:
        raise TypeError(
            f"{name} must be one column of labels, or hold a probability of every class: {error}"
        ) from None
    check_length(name, len(array), "X", n_rows)
    check_finite(name, array)
    shares = as_probabilities(name, array)
    if names is None:
        return shares, np.arange(array.shape[1])
    classes, order = np.unique(np.array(list(names)), return_index=True)
    if len(classes) != array.shape[1]:
        raise ValueError(f"{name} must have columns of different names; got {list(names)}")
    return shares[:, order], classes
