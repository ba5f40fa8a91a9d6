"""Data, networks and trainings that many tests use, and how they are compared."""

from __future__ import annotations

import inspect
import re

import numpy as np

from fastmlp import Network, Trainer
from fastmlp.engine import _core

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Relative agreement of trained weights with the NumPy twin."""

PAIRS = [
    ("sigmoid", "log_loss"),
    ("sigmoid", "squared_error"),
    ("softmax", "cross_entropy"),
    ("softmax", "squared_error"),
    ("softmax", "log_loss"),
    ("identity", "squared_error"),
]
PAIR_IDS = ["-".join(pair) for pair in PAIRS]
RUNNABLE_LEVELS = [
    name for name, code in _core.LEVELS.items() if code <= _core.LEVELS[_core.best_level()]
]


class BrokenRepr:
    def __repr__(self):
        raise RuntimeError("this object cannot be printed")


def name_of(value):
    """A parameter's name in the name of a test, the same in every process: without addresses."""
    if inspect.isfunction(value):
        return value.__name__.strip("<>")
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", str(value))


def make_classes(n_rows, n_features, n_classes, seed=0):
    """Gaussian inputs (n_rows, n_features) and one-hot targets (n_rows, n_classes)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_rows)
    return rng.normal(size=(n_rows, n_features)), np.eye(n_classes)[labels]


def train(
    engine,
    sizes,
    x,
    y,
    *,
    activation="sigmoid",
    output="sigmoid",
    dtype="float64",
    n_epochs=3,
    sample_weight=None,
    **options,
):
    network = Network(
        sizes,
        activation=activation,
        output=output,
        dtype=dtype,
        initializer="glorot",
        random_state=5,
    )
    before = network.parameters.copy()
    trainer = Trainer(network, engine=engine, shuffle=False, **options)
    history = trainer.fit(x, y, n_epochs=n_epochs, sample_weight=sample_weight)
    return network.parameters, before, history


def relative_difference(a, b):
    return np.abs(a - b).max() / np.abs(b).max()
