"""Small images and small networks for the tests of fastmlp.cnn."""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
import pytest

from fastmlp.cnn import CNN, CNNConfig, ConvLayer, DenseLayer, PoolLayer

LIBRARIES = [name for name in ("tensorflow", "jax", "torch") if find_spec(name)]
if LIBRARIES and "tensorflow" not in LIBRARIES:
    os.environ.setdefault("KERAS_BACKEND", LIBRARIES[0])  # fastmlp would do so, and warn
BACKEND = os.environ.get("KERAS_BACKEND") or "tensorflow"

needs_keras = pytest.mark.skipif(
    not LIBRARIES, reason='TensorFlow is missing: pip install "fastmlp[cnn]"'
)
needs_tensorflow = needs_keras


def runs_on(*names):
    """Skip where Keras runs on another library than these."""
    reason = f"Keras runs on {BACKEND}"
    return pytest.mark.skipif(not LIBRARIES or BACKEND not in names, reason=reason)


KERAS_SAVES_BY_COPY = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
"""Keras 3.15 warns of itself, in NumPy 2, when it writes its own variables."""


def bars(n, side=10, seed=0):
    """Images (n, side, side, 1) of a horizontal, vertical or diagonal bar, and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    images = rng.normal(0, 0.3, (n, side, side, 1)).astype(np.float32)
    for image, label in zip(images[..., 0], labels, strict=True):
        place = rng.integers(2, side - 2)
        if label == 0:
            image[place] += 2
        elif label == 1:
            image[:, place] += 2
        else:
            image[np.arange(side), np.arange(side)] += 2
    return images, labels


def small_config(side=10, **changes):
    settings = {
        "conv": (ConvLayer(4), ConvLayer(6)),
        "pools": (PoolLayer(2),),
        "dense": (DenseLayer(8), DenseLayer(3, "softmax")),
        "input_shape": (side, side, 1),
        "batch_size": 16,
        "epochs": 2,
    }
    return CNNConfig(**settings | changes)


def small_cnn(seed=0, **changes):
    return CNN(small_config(**changes), seed=seed, device="cpu")
