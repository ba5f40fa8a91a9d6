"""Shared fixtures: real data where there is some, and tolerances by dtype."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import _core

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Relative agreement of trained weights with the NumPy twin."""

RUNNABLE_LEVELS = [
    name for name, code in _core.LEVELS.items() if code <= _core.LEVELS[_core.best_level()]
]


@pytest.fixture(scope="session")
def mnist() -> fastmlp.datasets.Dataset:
    folder = os.environ.get("FASTMLP_DATA")
    if not folder or not (Path(folder) / "mnist.npz").exists():
        pytest.skip("FASTMLP_DATA names no folder with mnist.npz")
    return fastmlp.datasets.load("mnist")


@pytest.fixture(params=RUNNABLE_LEVELS)
def simd_level(request):
    """Run a test with the kernels of every level this processor has."""
    before = _core.selected_level()
    _core.select_level(request.param)
    yield request.param
    _core.select_level(before)


def make_classes(n_rows, n_features, n_classes, seed=0):
    """Gaussian inputs (n_rows, n_features) and one-hot targets (n_rows, n_classes)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_rows)
    return rng.normal(size=(n_rows, n_features)), np.eye(n_classes)[labels]
