"""Initial weights by name.

Each initializer draws one weight matrix of shape ``(n_out, n_in + 1)``, bias in column 0.

=============  =====================================================================
``legacy``     uniform in [-0.5, 0.5] at the input layer, [-1, 1] elsewhere (article M8)
``range``      uniform in [-0.5, 0.5] everywhere
``sqrt_nodes``  uniform in [-0.5, 0.5] / sqrt(n_in), n_in nodes of the sending layer (article M13)
``glorot``     uniform in +-sqrt(6 / (n_in + n_out)), bias 0 (Glorot and Bengio, 2010)
``he``         normal with deviation sqrt(2 / n_in), bias 0 (He et al., 2015)
=============  =====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Initializer = Callable[[np.random.Generator, int, int, int], NDArray[np.float64]]
"""``(generator, layer, n_in, n_out) -> (n_out, n_in + 1)`` with layer 0 the first weights."""


def legacy(rng: np.random.Generator, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    """Uniform in [-0.5, 0.5] for layer 0, in [-1, 1] for the others."""
    limit = 0.5 if layer == 0 else 1.0
    return rng.uniform(-limit, limit, (n_out, n_in + 1))


def symmetric_range(
    rng: np.random.Generator, layer: int, n_in: int, n_out: int
) -> NDArray[np.float64]:
    """Uniform in [-0.5, 0.5]."""
    return rng.uniform(-0.5, 0.5, (n_out, n_in + 1))


def sqrt_nodes(rng: np.random.Generator, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    """Uniform in [-0.5, 0.5] / sqrt(n_in)."""
    limit = 0.5 / math.sqrt(n_in)
    return rng.uniform(-limit, limit, (n_out, n_in + 1))


def glorot(rng: np.random.Generator, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    """Uniform in +-sqrt(6 / (n_in + n_out)), bias 0."""
    limit = math.sqrt(6 / (n_in + n_out))
    weights = np.zeros((n_out, n_in + 1))
    weights[:, 1:] = rng.uniform(-limit, limit, (n_out, n_in))
    return weights


def he(rng: np.random.Generator, layer: int, n_in: int, n_out: int) -> NDArray[np.float64]:
    """Normal with standard deviation sqrt(2 / n_in), bias 0."""
    weights = np.zeros((n_out, n_in + 1))
    weights[:, 1:] = rng.normal(0.0, math.sqrt(2 / n_in), (n_out, n_in))
    return weights


INITIALIZERS: dict[str, Initializer] = {
    "legacy": legacy,
    "range": symmetric_range,
    "sqrt_nodes": sqrt_nodes,
    "glorot": glorot,
    "he": he,
}
