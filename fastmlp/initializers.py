"""Initial weights by name.

Each initializer fills one weight matrix of shape ``(n_out, n_in + 1)`` in place; column 0 holds the
biases. The numbers are drawn in float64, a few rows at a time, and rounded to the weights' dtype.

==============  ====================================================================
``legacy``      uniform in [-0.5, 0.5] for the first weights, [-1, 1] for the others (article M8)
``range``       uniform in [-0.5, 0.5] everywhere
``sqrt_nodes``  uniform in [-0.5, 0.5] / sqrt(n_in), n_in inputs of the layer (article M13)
``glorot``      uniform in +-sqrt(6 / (n_in + n_out)), bias 0 (Glorot and Bengio, 2010)
``he``          normal with standard deviation sqrt(2 / n_in), bias 0 (He et al., 2015)
==============  ====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[Any]
Initializer = Callable[[np.random.Generator, int, Weights], None]
"""``(generator, layer, weights_out)``, where layer 0 has the first weights."""

_BLOCK_NUMBERS = 1 << 17


def _fill(weights_out: Weights, draw: Callable[[tuple[int, int]], NDArray[np.float64]]) -> None:
    """Fill the rows with ``draw(shape)``, one block of rows at a time."""
    n_rows = max(1, _BLOCK_NUMBERS // weights_out.shape[1])
    for begin in range(0, len(weights_out), n_rows):
        block = weights_out[begin : begin + n_rows]
        block[...] = draw(block.shape)


def _fill_uniform(rng: np.random.Generator, weights_out: Weights, limit: float) -> None:
    _fill(weights_out, lambda shape: rng.uniform(-limit, limit, shape))


def legacy(rng: np.random.Generator, layer: int, weights_out: Weights) -> None:
    """Draw uniformly from [-0.5, 0.5] for layer 0, from [-1, 1] for the others.

    `weights_out`, (n_out, n_in + 1) with the biases in column 0, is changed in place.
    """
    _fill_uniform(rng, weights_out, 0.5 if layer == 0 else 1.0)


def symmetric_range(rng: np.random.Generator, layer: int, weights_out: Weights) -> None:
    """Draw uniformly from [-0.5, 0.5].

    `weights_out`, (n_out, n_in + 1) with the biases in column 0, is changed in place.
    """
    _fill_uniform(rng, weights_out, 0.5)


def sqrt_nodes(rng: np.random.Generator, layer: int, weights_out: Weights) -> None:
    """Draw uniformly from [-0.5, 0.5] / sqrt(n_in).

    `weights_out`, (n_out, n_in + 1) with the biases in column 0, is changed in place.
    """
    n_in = weights_out.shape[1] - 1
    _fill_uniform(rng, weights_out, 0.5 / math.sqrt(n_in))


def glorot(rng: np.random.Generator, layer: int, weights_out: Weights) -> None:
    """Draw uniformly from +-sqrt(6 / (n_in + n_out)); set the biases to 0.

    `weights_out`, (n_out, n_in + 1) with the biases in column 0, is changed in place.
    """
    n_out, n_in = len(weights_out), weights_out.shape[1] - 1
    weights_out[:, 0] = 0
    _fill_uniform(rng, weights_out[:, 1:], math.sqrt(6 / (n_in + n_out)))


def he(rng: np.random.Generator, layer: int, weights_out: Weights) -> None:
    """Draw from a normal distribution with deviation sqrt(2 / n_in); set the biases to 0.

    `weights_out`, (n_out, n_in + 1) with the biases in column 0, is changed in place.
    """
    deviation = math.sqrt(2 / (weights_out.shape[1] - 1))
    weights_out[:, 0] = 0
    _fill(weights_out[:, 1:], lambda shape: rng.normal(0.0, deviation, shape))


INITIALIZERS: dict[str, Initializer] = {
    "legacy": legacy,
    "range": symmetric_range,
    "sqrt_nodes": sqrt_nodes,
    "glorot": glorot,
    "he": he,
}
