"""Small data sets for the tests of the estimators."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits


def digits(n_rows=600, dtype="float64"):
    """Digits scaled to [0, 1] (n_rows, 64), and their labels."""
    x, y = load_digits(return_X_y=True)
    return (x[:n_rows] / 16).astype(dtype), y[:n_rows]


def blobs(n_rows=200, n_features=6, n_classes=2, seed=0):
    """Overlapping Gaussian classes (n_rows, n_features), and their labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n_rows)
    x = rng.normal(size=(n_rows, n_features))
    x[np.arange(n_rows), y % n_features] += 1.5
    return x, y


def multilabel(n_rows=200, n_features=6, n_labels=3, seed=0):
    """Labels (n_rows, n_labels) that are linear in x, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_features))
    noise = rng.normal(size=(n_rows, n_labels))
    return x, (x[:, :n_labels] + 0.5 * noise > 0).astype(int)


def regression(n_rows=200, n_features=6, n_outputs=1, seed=0):
    """A smooth function of x with noise; y (n_rows,) or (n_rows, n_outputs)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_features))
    y = np.sin(x @ rng.normal(size=(n_features, n_outputs))) + 0.1 * rng.normal(
        size=(n_rows, n_outputs)
    )
    return x, y[:, 0] if n_outputs == 1 else y
