"""The estimators' inputs: rows, sample weights (their values: `_checks`), a warning about scale."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_sample_weight, has_finite_sum
from fastmlp._types import Array
from fastmlp.engine.rows import Inputs, Rows, SparseRows
from fastmlp.estimators.naming import naming, refuse_lazy
from fastmlp.estimators.warn import warn
from fastmlp.exceptions import UnscaledInputWarning

SPARSE_FORMATS = ("csr", "csc")
LARGE_DEVIATION = 100.0
FAR_MEAN = 10.0
"""Largest ratio of a target's mean to its standard deviation, or to 1 if that is smaller."""

SLOW_TARGETS = 10.0
"""Mean or standard deviation from which on targets may be why a fit has not converged."""

SCALE_SAMPLE_ROWS = 250

VALUES_AT_ONCE = 65_536
"""Values of a sparse matrix that are summed in float64 at once; all columns if these are more."""


def as_inputs(x: Any) -> Inputs:
    """Return checked rows, dense or sparse, as the engine reads them."""
    if hasattr(x, "tocsr"):
        return SparseRows.from_matrix(x, x.dtype)
    dense: Array = np.require(x, requirements=["C", "A"])
    return dense


def as_matrix(x: Inputs) -> Any:
    """Return the engine's rows as an array or SciPy matrix, without copying the numbers."""
    if not isinstance(x, SparseRows):
        return x
    from scipy.sparse import csr_array

    return csr_array((x.values, x.columns, x.begin), shape=x.shape)


def select_rows(rows: Rows, row_index: NDArray[np.intp]) -> Rows:
    """Return copies of the rows with these indices."""
    weights = None if rows.weights is None else rows.weights[row_index]
    return Rows(as_inputs(as_matrix(rows.x)[row_index]), rows.y[row_index], weights)


def wanted_dtype(given: Any, known: str | None) -> Any:
    """Return the dtypes that X may have: any of two for a new network, that of an existing one.

    Parameters
    ----------
    given : str or None
        The parameter `dtype`.
    known : str or None
        That of the existing network.

    Raises
    ------
    ValueError
        If they differ.
    """
    if known is None:
        return (np.float64, np.float32) if given is None else np.dtype(given)
    if given is not None and np.dtype(given) != known:
        raise ValueError(
            "warm_start and partial_fit continue with the network of the previous fit: "
            f"dtype must be None or {known!r}, as it was; got {given!r}"
        )
    return np.dtype(known)


def check_weights(name: str, weights: Any, n_rows: int, dtype: np.dtype[Any]) -> Array | None:
    """Return sample weights >= 0, (n_rows,), from an array-like or a number; None stays None.

    Raises
    ------
    ValueError, TypeError
        As :func:`fastmlp._checks.check_sample_weight`.
    """
    if weights is None:
        return None
    refuse_lazy(name, weights)
    from sklearn.utils import check_array

    with naming(name):
        if isinstance(weights, numbers.Real):
            weights = np.full(n_rows, float(weights))
        # Converts lists and data frame columns of any type; values are checked elsewhere.
        array = check_array(
            weights,
            dtype="numeric",
            ensure_2d=False,
            ensure_all_finite=False,
            ensure_min_samples=0,
            input_name=name,
        )
    return check_sample_weight(name, array, dtype, n_rows)


def check_training_weights(weights: Array | None, row_index: NDArray[np.intp] | None) -> None:
    """Reject weights that are all zero or have an infinite sum, in all or the indexed rows."""
    if weights is None:
        return
    left = weights if row_index is None else weights[row_index]
    if not left.any():
        raise ValueError(
            "the training rows must contain a non-zero weight; sample_weight times class_weight "
            f"is zero in all {len(left)}"
        )
    if not has_finite_sum(left):
        raise ValueError("sample_weight times class_weight must have a finite sum")


def class_sample_weights(
    class_weight: Mapping[Any, float] | str,
    classes: NDArray[Any],
    targets: Array,
    weights: Array | None,
) -> Array:
    """Return sample weights (n,): the weight of the row's class, times `weights` unless None.

    "balanced" gives class c the weight W / (K W_c), where W_c is the sum of its rows' weights, W
    that of all rows, and K the number of classes with W_c > 0. Each of these classes then has the
    total weight W / K, and a sample weight counts like a repetition here too.

    Parameters
    ----------
    class_weight : mapping of labels to weights >= 0, or "balanced"
        Classes that are not listed have weight 1.
    targets : ndarray of shape (n, n_outputs)
        0 and 1, or probabilities, as returned by ClassTargets.encode.

    Raises
    ------
    ValueError
        If a label is unknown.
    """
    binary = targets.shape[1] == 1
    codes = (targets[:, 0] > 0.5).astype(np.intp) if binary else targets.argmax(axis=1)
    if isinstance(class_weight, str):
        sums = np.bincount(codes, weights, minlength=len(classes)).astype(np.float64)
        present = np.count_nonzero(sums)
        per_class = np.divide(sums.sum(), present * sums, out=np.zeros_like(sums), where=sums > 0)
    else:
        per_class = _given_class_weights(class_weight, classes)
    of_rows: Array = per_class[codes].astype(targets.dtype)
    return of_rows if weights is None else of_rows * weights


def _given_class_weights(
    class_weight: Mapping[Any, float], classes: NDArray[Any]
) -> NDArray[np.float64]:
    position = {label: i for i, label in enumerate(classes.tolist())}
    per_class = np.ones(len(classes))
    for label, weight in class_weight.items():
        if label not in position:
            raise ValueError(
                f"class_weight has the label {label!r}, which is not in y; its classes are "
                f"{', '.join(map(repr, position))}"
            )
        per_class[position[label]] = weight
    return per_class


STEP_ADVICE = "put a StandardScaler or MinMaxScaler in front, for example with make_pipeline."
SOURCE_ADVICE = "pass data.scaled(source, data.fit_scaler(source)), of fastmlp.data."


def warn_if_unscaled(x: Inputs, advice: str = STEP_ADVICE) -> None:
    """Warn about features with a standard deviation above 100, in at most 250 rows if dense.

    Warns
    -----
    UnscaledInputWarning
    """
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = _deviations(x)
    feature = int(deviation.argmax())
    if deviation[feature] > LARGE_DEVIATION:
        warn(
            f"X is not scaled: feature {feature} has a standard deviation of about "
            f"{deviation[feature]:.3g}. Gradient descent needs features of similar size around 0; "
            + advice,
            UnscaledInputWarning,
        )


def warn_if_targets_unscaled(y: Array) -> None:
    """Warn about targets (n, n_outputs) that are large, or far from 0 compared with their spread.

    Warns
    -----
    UnscaledInputWarning
    """
    with np.errstate(over="ignore", invalid="ignore"):
        deviation, mean = y.std(axis=0, dtype=float), y.mean(axis=0, dtype=float)
    far = (deviation > 0) & (np.abs(mean) > FAR_MEAN * np.maximum(deviation, 1))
    wrong = (deviation > LARGE_DEVIATION) | far
    if not wrong.any():
        return
    column = int(wrong.argmax())
    which = f"column {column} of y" if y.shape[1] > 1 else "y"
    warn(
        f"y is not scaled: {which} has mean {mean[column]:.3g} and standard deviation "
        f"{deviation[column]:.3g}. Gradient descent needs targets of about mean 0 and variance 1: "
        "MLPRegressor(scale_target=True) trains on such targets, and predicts in the units of y.",
        UnscaledInputWarning,
    )


def hint_at_scale(y: Array) -> str:
    """Return advice for a fit that has not converged; "" if its targets (n, n_outputs) are small.

    These are targets that `warn_if_targets_unscaled` lets pass, but that need more epochs.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        deviation, mean = float(y.std(dtype=float)), float(y.mean(dtype=float))
    if max(deviation, abs(mean)) <= SLOW_TARGETS:
        return ""
    return (
        f" y has mean {mean:.3g} and standard deviation {deviation:.3g}, which take many epochs "
        "to reach; MLPRegressor(scale_target=True) trains on targets of mean 0 and variance 1."
    )


def _deviations(x: Inputs) -> NDArray[np.float64]:
    """Return the standard deviations (n_features,); if dense, estimated from some of the rows."""
    if not isinstance(x, SparseRows):
        some: NDArray[np.float64] = x[:: -(-len(x) // SCALE_SAMPLE_ROWS)].std(axis=0, dtype=float)
        return some
    sums = np.zeros((2, x.n_columns))
    step = max(VALUES_AT_ONCE, x.n_columns)
    for begin in range(0, len(x.values), step):
        values = x.values[begin : begin + step].astype(np.float64)
        columns = x.columns[begin : begin + step]
        sums[0] += np.bincount(columns, values, minlength=x.n_columns)
        sums[1] += np.bincount(columns, values**2, minlength=x.n_columns)
    means, squares = sums / len(x)
    of_all: NDArray[np.float64] = np.sqrt(np.maximum(squares - means**2, 0))
    return of_all
