"""MNIST from a file in Keras' layout, standardised as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from adapters import Data

N_CLASSES = 10


def load_mnist(path: Path, n_rows: int) -> Data:
    """The first n_rows training rows and all test rows of `path`.

    Pixels are shifted and scaled by one mean and one deviation, those of the training rows used.
    """
    with np.load(path) as arrays:
        x_train, y_train = arrays["x_train"][:n_rows], arrays["y_train"][:n_rows]
        x_test, labels_test = arrays["x_test"], arrays["y_test"]
    mean, deviation = float(x_train.mean()), float(x_train.std(dtype=np.float32))
    return Data(
        x_train=_scaled(x_train, mean, deviation),
        y_train=np.eye(N_CLASSES, dtype=np.float32)[y_train],
        x_test=_scaled(x_test, mean, deviation),
        labels_test=labels_test.astype(np.int64),
    )


def _scaled(images: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """(images - mean) / deviation as (n, pixels) float32, one row per image."""
    rows = images.reshape(len(images), -1).astype(np.float32)
    rows -= np.float32(mean)
    rows /= np.float32(deviation)
    return rows
