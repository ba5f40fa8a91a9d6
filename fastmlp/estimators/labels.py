"""Checks of targets, and labels in pandas's own types as NumPy's."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.utils import check_array, column_or_1d

from fastmlp._checks import shown
from fastmlp.estimators.naming import naming, refuse_lazy

ARRAY_TRAITS = ("__len__", "__iter__", "__array__", "shape")
"""What an array, a list or a data frame has one of."""


def check_y(name: str, y: Any, estimator: Any, *, numeric: bool) -> Any:
    """Return targets as an array or CSR matrix, as scikit-learn's `validate_data` does.

    Parameters
    ----------
    name : str
        Name of the argument in error messages.
    y : array-like or sparse matrix of shape (n,) or (n, n_outputs)
    estimator : BaseMLP
        Named in error messages.
    numeric : bool
        Whether objects are converted to float64.

    Raises
    ------
    ValueError, TypeError
        scikit-learn's, with the argument's name.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires {name} to be passed, but the "
            "target y is None."
        )
    refuse_lazy(name, y)
    with naming(name):
        if not isinstance(y, numbers.Number) and not any(hasattr(y, each) for each in ARRAY_TRAITS):
            # Where scikit-learn would print the object, which may fail.
            raise TypeError(f"Singleton array {shown(y)} cannot be considered a valid collection.")
        array = check_array(
            y if numeric else _without_extension(y),
            accept_sparse="csr",
            ensure_2d=False,
            dtype=None,
            input_name=name,
            estimator=estimator,
        )
        if numeric and array.dtype.kind == "O":
            array = array.astype(np.float64)
        return array if numeric else _with_strings(y, array)


def check_targets_of(
    name: str, y: Any, estimator: Any, x_name: str, n_rows: int, *, numeric: bool
) -> Any:
    """Return the targets of the rows `x_name`, checked by `check_y`; a single column as (n,).

    Raises
    ------
    ValueError, TypeError
        As `check_y`; also for another number of rows.

    Warns
    -----
    DataConversionWarning
        Of scikit-learn, for targets of shape (n, 1).
    """
    labels = check_y(name, y, estimator, numeric=numeric)
    check_length(name, labels.shape[0], x_name, n_rows)
    if labels.ndim == 2 and labels.shape[1] == 1 and isinstance(labels, np.ndarray):
        return column_or_1d(labels, warn=True)
    return labels


def has_validation_set(X: Any, y: Any, weights: Any) -> bool:
    """Whether validation rows were given to `fit`.

    Raises
    ------
    ValueError
        If only some of `X_val`, `y_val` and `sample_weight_val` were, naming what is missing.
    """
    if X is None and y is None and weights is None:
        return False
    if X is None or y is None:
        missing = "X_val" if X is None else "y_val"
        what = "a validation set" if weights is None else "sample_weight_val"
        raise ValueError(f"{missing} is missing; {what} needs X_val and y_val")
    return True


def _without_extension(y: Any) -> Any:
    """Return pandas's nullable integers and booleans as NumPy's, other labels as they are."""
    dtype = getattr(y, "dtype", None)
    if dtype is None or isinstance(dtype, np.dtype) or not hasattr(y, "isna"):
        return y
    if getattr(dtype, "kind", None) in ("i", "u", "b") and not y.isna().any():
        return y.to_numpy(dtype=dtype.numpy_dtype) if hasattr(dtype, "numpy_dtype") else y
    return y


def _with_strings(given: Any, labels: Any) -> Any:
    """Return labels of a string type as NumPy's strings; those of an object array stay objects."""
    dtype = getattr(given, "dtype", None)
    typed = not isinstance(given, np.ndarray | list | tuple) and not isinstance(dtype, np.dtype)
    if typed and labels.dtype == object and all(isinstance(v, str) for v in labels.flat):
        return labels.astype(str)
    return labels


def check_score(x: Any, y: Any, weights: Any) -> None:
    """Check the number of targets and weights given to `score`, and name them in errors."""
    refuse_lazy("X", x)
    if y is None:
        raise ValueError("y must be the targets; got None")
    n_rows = _n_rows(x)
    for name, values in {"y": y, "sample_weight": weights}.items():
        if values is None:
            continue
        refuse_lazy(name, values)
        with naming(name):
            shape = np.shape(values)
            if not shape:
                raise ValueError(f"{name} must have one value per row; got {shown(values)}")
            if n_rows is not None:
                check_length(name, shape[0], "X", n_rows)


def _n_rows(x: Any) -> int | None:
    """Return the number of rows; None for what has none, which `predict` refuses."""
    try:
        return int(np.shape(x)[0])
    except (TypeError, ValueError, LookupError):
        return None


def check_length(name: str, n_rows: int, x_name: str, x_rows: int) -> None:
    """Raise scikit-learn's ValueError, with names, if two arrays differ in their rows."""
    if n_rows != x_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[x_rows, n_rows]}; "
            f"{x_name} has {x_rows} rows and {name} has {n_rows}"
        )
