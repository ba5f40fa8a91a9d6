"""Data of the studies: rows as stored, and scaled in one of several ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp import datasets
from fastmlp._checks import check_choice
from fastmlp.datasets.labelled import LabelledData, prepare
from fastmlp.datasets.scaling import Scaler

HIGHEST = {"mnist": 255.0, "fashion": 255.0, "digits": 16.0}
"""Value of a white pixel."""

SCALES = ("feature", "global", "unit", "none", "normalized_features", "normalized_samples")


@dataclass(frozen=True, eq=False)
class RawData:
    """Training and test rows as stored, in their original dtype."""

    X_train: NDArray[Any]
    y_train: NDArray[Any]
    X_test: NDArray[Any]
    y_test: NDArray[Any]
    highest: float


def load_raw(name: str, n_train: int | None = None) -> RawData:
    """A data set, the first `n_train` of its training rows (all if None), and all test rows."""
    data = datasets.load(name, download=False)
    return RawData(
        data.X_train[:n_train], data.y_train[:n_train], data.X_test, data.y_test, HIGHEST[name]
    )


def load_scaled(name: str, scale: str = "feature", n_train: int | None = None) -> LabelledData:
    """Scaled float32 rows and one-hot targets.

    Parameters
    ----------
    name : str
        mnist, fashion or digits.
    scale : str
        With numbers of the training rows: ``feature`` and ``global`` (mean 0, variance 1 per
        feature or of all), ``unit`` (divided by the value of a white pixel), ``none``, and
        scikit-learn's Normalizer in the articles' two ways: ``normalized_features`` (every feature
        divided by its length over all training rows, so that numbers get the smaller the more rows
        there are) and ``normalized_samples`` (every row divided by its length).
    n_train : int or None
        First training rows; None for all.
    """
    return scale_rows(load_raw(name, n_train), scale)


def scale_rows(raw: RawData, scale: str) -> LabelledData:
    """Scale rows in memory, as in `load_scaled`."""
    check_choice("scale", scale, SCALES)
    X_train, X_test, kind = raw.X_train, raw.X_test, "none"
    if scale in ("feature", "global", "none"):
        kind = scale
    elif scale == "unit":
        X_train, X_test = _divided(X_train, raw.highest), _divided(X_test, raw.highest)
    elif scale == "normalized_samples":
        from sklearn.preprocessing import normalize

        X_train, X_test = (normalize(X.astype(np.float32)) for X in (X_train, X_test))
    else:
        X_train, X_test = _normalized_features(X_train, X_test)
    return prepare((X_train, raw.y_train, X_test, raw.y_test), Scaler(kind), np.dtype(np.float32))


def _divided(X: NDArray[Any], divisor: float) -> NDArray[np.float32]:
    return X.astype(np.float32) / np.float32(divisor)


def _normalized_features(
    X_train: NDArray[Any], X_test: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Apply Normalizer to the transposed training rows, and its divisors to the test rows."""
    from sklearn.preprocessing import normalize

    scaled, lengths = normalize(X_train.astype(np.float32), axis=0, return_norm=True)
    return scaled, X_test.astype(np.float32) / np.where(lengths == 0, 1, lengths)
