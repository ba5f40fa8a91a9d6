"""Training and test data of a classification task: checked, split, scaled and encoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import (
    as_labels,
    as_numeric_array,
    check_finite,
    check_same_length,
    encode_labels,
)
from fastmlp._types import StrPath
from fastmlp.datasets.arrays import Dataset
from fastmlp.datasets.loading import load
from fastmlp.datasets.scaling import Scaler
from fastmlp.exceptions import DataFormatError

DataTuple = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]
_Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LabelledData:
    """Data on which a network is trained and tested.

    Attributes
    ----------
    X_train, X_test : ndarray of shape (n, n_features)
        Scaled inputs, as separate arrays.
    y_train, y_test : ndarray of shape (n,)
        Labels as given.
    codes_train : ndarray of shape (n_train,)
        Index of each training label in `classes`.
    Y_train, Y_test : ndarray of shape (n, n_classes)
        One-hot targets.
    classes : ndarray of shape (n_classes,)
        Sorted labels of the training set.
    source : str
        Origin of the arrays.
    """

    X_train: NDArray[Any]
    y_train: NDArray[Any]
    X_test: NDArray[Any]
    y_test: NDArray[Any]
    codes_train: NDArray[np.intp]
    Y_train: NDArray[Any]
    Y_test: NDArray[Any]
    classes: NDArray[Any]
    source: str

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(side, side) if the features form a square image, otherwise None."""
        n_features = self.X_train.shape[1]
        side = math.isqrt(n_features)
        return (side, side) if side * side == n_features else None


def without_rows(
    n_features: int, classes: NDArray[Any], dtype: np.dtype[Any], source: str
) -> LabelledData:
    """The shapes and classes of data that are not there."""
    x, one_hot = np.empty((0, n_features), dtype), np.empty((0, len(classes)), dtype)
    labels, codes = np.empty(0, classes.dtype), np.empty(0, np.intp)
    return LabelledData(x, labels, x, labels, codes, one_hot, one_hot, classes, source)


def _load(argument: str, name: StrPath) -> Dataset:
    """Load a data set whose name or path came in another argument than `load`'s."""
    try:
        return load(name)
    except (ValueError, TypeError) as error:
        kinds = DataFormatError, TypeError, ValueError
        kind = next(kind for kind in kinds if isinstance(error, kind))
        raise kind(f"{argument}: {error}") from error


def prepare(
    data: StrPath | DataTuple,
    scaler: Scaler,
    dtype: np.dtype[Any],
    *,
    argument: str = "data",
    mix: np.random.Generator | None = None,
) -> LabelledData:
    """Load or accept arrays, check them, fit `scaler` on the training rows, scale and encode.

    Parameters
    ----------
    data : str, path or (X_train, y_train, X_test, y_test)
        For :func:`fastmlp.datasets.load`, or arrays; images (n, height, width) are flattened.
    scaler : Scaler
        Fitted in place.
    dtype : float32 or float64
        Type of inputs and targets.
    argument : str
        Name of `data` in error messages.
    mix : Generator, optional
        Join both sets, fit the scaler on all rows, and split them again at random, as in the
        articles.
    """
    arrays, source = _take(data, argument)
    if mix is not None:
        X_train, y_train, X_test, y_test = mix_and_cut(arrays, scaler, mix)
    else:
        X_train, y_train, X_test, y_test = arrays
        scaler.fit(X_train)
    classes = np.unique(y_train)
    if len(classes) < 2:
        raise ValueError(f"y_train must have at least two classes; all labels are {classes[0]}")
    codes_train = encode_labels("y_train", y_train, classes)
    codes_test = encode_labels("y_test", y_test, classes)
    one_hot = np.eye(len(classes), dtype=dtype)
    scaled = scaler.transform(X_train, dtype), scaler.transform(X_test, dtype)
    for name, x in zip(("X_train", "X_test"), scaled, strict=True):
        check_finite(name, x)
    return LabelledData(
        scaled[0],
        y_train,
        scaled[1],
        y_test,
        codes_train,
        one_hot[codes_train],
        one_hot[codes_test],
        classes,
        source,
    )


def _take(data: Any, argument: str) -> tuple[_Arrays, str]:
    """Return checked arrays and their origin."""
    if isinstance(data, str | bytes | PathLike):
        loaded = _load(argument, data)
        given: Sequence[Any] = (loaded.X_train, loaded.y_train, loaded.X_test, loaded.y_test)
        source = loaded.source
    elif isinstance(data, tuple | list) and len(data) == 4:
        given, source = data, "arrays"
    else:
        raise TypeError(
            f"{argument} must be a name, a path or a tuple (X_train, y_train, X_test, y_test); "
            f"got {type(data).__name__}"
        )
    X_train, y_train = _check_rows("train", given[0], given[1])
    X_test, y_test = _check_rows("test", given[2], given[3])
    if X_train.shape[1] != X_test.shape[1]:
        raise ValueError(
            "X_train and X_test must have the same number of columns; "
            f"got {X_train.shape[1]} and {X_test.shape[1]}"
        )
    return (X_train, y_train, X_test, y_test), source


def _check_rows(part: str, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    x = flatten_rows(f"X_{part}", X)
    labels = as_labels(f"y_{part}", y)
    check_same_length(f"X_{part}", len(x), f"y_{part}", len(labels))
    return x, labels


def flatten_rows(name: str, X: ArrayLike, n_features: int | None = None) -> NDArray[Any]:
    """Return X as a finite (n, n_features) array, n >= 1; flatten images (n, height, width)."""
    x = as_numeric_array(name, X)
    if x.ndim > 2:
        x = x.reshape(len(x), math.prod(x.shape[1:]))
    if x.ndim != 2 or 0 in x.shape or n_features not in (None, x.shape[1]):
        wanted = "features" if n_features is None else n_features
        raise ValueError(f"{name} must have shape (rows, {wanted}), rows >= 1; got {x.shape}")
    check_finite(name, x)
    return x


def mix_and_cut(arrays: _Arrays, scaler: Scaler, rng: np.random.Generator) -> _Arrays:
    """Fit the scaler on all rows, then split at random into sets of the same sizes."""
    X_train, y_train, X_test, y_test = arrays
    X, y = np.concatenate([X_train, X_test]), np.concatenate([y_train, y_test])
    scaler.fit(X)
    order = rng.permutation(len(X))
    train, test = order[: len(X_train)], order[len(X_train) :]
    return X[train], y[train], X[test], y[test]
