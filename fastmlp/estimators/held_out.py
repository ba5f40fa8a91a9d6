"""Validation rows that a fit holds out, of arrays or of a source, or reads from a source."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor

from fastmlp.data.predicting import read_windows
from fastmlp.data.source import Source, SourceRows, joined
from fastmlp.data.split import split
from fastmlp.engine.rows import Inputs, Rows
from fastmlp.estimators.inputs import as_inputs, check_weights, select_rows
from fastmlp.estimators.labels import check_targets_of
from fastmlp.estimators.sources import single_column, take_features
from fastmlp.estimators.validation import check_validation_weights, split_rows
from fastmlp.losses import Loss

Indices = NDArray[np.intp]


def hold_out(
    estimator: Any,
    X: Any,
    rows: Rows,
    labels: Any,
    groups: Any,
    loss: Loss,
    random_state: np.random.RandomState,
) -> tuple[Any, Indices | None, tuple[Rows, Any]]:
    """Hold out a part of the rows of a fit for validation.

    Of a source these are the rows of :func:`fastmlp.data.split`, whose seed is the estimator's
    `random_state`, if it is an integer.

    Parameters
    ----------
    estimator : BaseMLP
        Has learned the targets.
    X : Source or array
    rows : Rows
        Those of arrays, or the first ones of a source.
    labels : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Of `rows`.
    groups : array-like of shape (n_rows,) or None
        Groups for a splitter.
    loss : Loss
    random_state : RandomState

    Returns
    -------
    X : Source or array
        What to train on.
    row_index : ndarray of shape (n_train,), intp, or None
        Rows of arrays to train on; None with a source.
    held_out : (Rows, array)
        The rows held out, and their labels.

    Raises
    ------
    ValueError, DataFormatError, OSError
        If there are too few rows, or as :func:`validation_rows`.
    """
    fraction = estimator.validation_fraction
    if isinstance(X, Source):
        seed = estimator.random_state
        if not isinstance(seed, numbers.Integral):
            seed = random_state.randint(np.iinfo(np.int32).max)
        train, held_out = split(X, fraction, random_state=int(seed))
        return train, None, validation_rows(estimator, held_out, rows.x.dtype, loss)
    row_index, rest = split_rows(
        fraction,
        len(rows.x),
        y=estimator._hard_labels(labels),
        groups=groups,
        stratify=estimator._stratifies(),
        random_state=random_state,
    )
    return X, row_index, (select_rows(rows, rest), labels[rest])


def validation_rows(
    estimator: Any, source: Source, dtype: np.dtype[Any], loss: Loss
) -> tuple[Rows, Any]:
    """Read validation rows into memory, and return them with the network's targets, and labels.

    Parameters
    ----------
    estimator : BaseMLP
        Has learned the targets.
    source : Source
    dtype : dtype
    loss : Loss

    Raises
    ------
    ValueError
        If features, targets or weights are not allowed.
    DataFormatError, OSError
        Where rows cannot be read, or are not finite; with the place.
    """
    take_features(estimator, source, reset=False, name="X_val")
    x, y, weights = whole(source, dtype)
    numeric = is_regressor(estimator)
    labels = check_targets_of("y_val", y, estimator, "X_val", len(x), numeric=numeric)
    check_validation_weights(weights)
    checked = check_weights("sample_weight_val", weights, len(x), dtype)
    rows: Rows = estimator._rows(x, labels, checked, loss, suffix="_val")
    return rows, labels


def whole(source: Source, dtype: np.dtype[Any]) -> tuple[Inputs, NDArray[Any], NDArray[Any] | None]:
    """Return all rows of a source: X, checked, in a dtype, y and sample weights.

    Raises
    ------
    DataFormatError, OSError
        Where rows cannot be read, or are not finite; with the place.
    """
    x = np.empty((0 if source.is_sparse else len(source), source.n_features), dtype)
    others = []
    for window in read_windows(source, dtype):
        rows = SourceRows(window.X, window.y, window.weights)
        if not source.is_sparse:  # the reader fills its array again
            x[window.begin : window.begin + len(window.y)] = window.X
            rows = rows._replace(X=x[:0])
        others.append(rows)
    rows = joined(others)
    return as_inputs(rows.X if source.is_sparse else x), single_column(rows.y), rows.weights
