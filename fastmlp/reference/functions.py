"""Activation and output functions, and their derivatives; see src/activation.c.

Nodes are rows and samples are columns; every function maps (nodes, samples) to the same shape.
Softmax and increasing outputs couple the nodes of a column; all others work element by element.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastmlp._types import Array

LEAKY_SLOPE = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^-z), by SciPy's expit, which does not overflow.

    `z` and the result are arrays of shape (nodes, samples).
    """
    from scipy.special import expit  # imported here because it is slow to import

    return expit(z)  # type: ignore[no-any-return, unused-ignore]


def softmax(z: Array) -> Array:
    """Return e^z_j / sum_i e^z_i for every column.

    `z` and the result are arrays of shape (nodes, samples).
    """
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)  # type: ignore[no-any-return]


def relu(z: Array) -> Array:
    """Return max(z, 0).

    `z` and the result are arrays of shape (nodes, samples).
    """
    return np.maximum(z, 0)


def identity(z: Array) -> Array:
    """Return z itself.

    `z` and the result are arrays of shape (nodes, samples).
    """
    return z


def leaky_relu(z: Array) -> Array:
    """Return z where it is positive, 0.01 z elsewhere.

    `z` and the result are arrays of shape (nodes, samples).
    """
    return np.where(z > 0, z, LEAKY_SLOPE * z)


def elu(z: Array) -> Array:
    """Return z where it is positive, e^z - 1 elsewhere (Clevert et al., 2016).

    `z` and the result are arrays of shape (nodes, samples).
    """
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def selu(z: Array) -> Array:
    """Return scale z where z > 0, scale alpha (e^z - 1) elsewhere (Klambauer et al., 2017).

    `z` and the result are arrays of shape (nodes, samples).
    """
    return np.where(z > 0, SELU_SCALE * z, SELU_SCALE * SELU_ALPHA * np.expm1(np.minimum(z, 0)))


def softplus(z: Array) -> Array:
    """Return log(1 + e^z).

    `z` and the result are arrays of shape (nodes, samples).
    """
    return np.logaddexp(z, 0).astype(z.dtype)


def gelu(z: Array) -> Array:
    """Return z Phi(z), exactly, with the normal CDF Phi (Hendrycks and Gimpel, 2016).

    `z` and the result are arrays of shape (nodes, samples).
    """
    return z * _normal_cdf(z)


def silu(z: Array) -> Array:
    """Return z sigmoid(z), also called swish.

    `z` and the result are arrays of shape (nodes, samples).
    """
    return z * sigmoid(z)


def increasing(z: Array) -> Array:
    """Return a_0 = z_0, a_j = a_{j-1} + log(1 + e^{z_j}) for every column.

    `z` and the result are arrays of shape (nodes, samples).
    """
    return np.cumsum(np.concatenate([z[:1], softplus(z[1:])]), axis=0, dtype=z.dtype)


def _normal_cdf(z: Array) -> Array:
    from scipy.special import ndtr

    return ndtr(z)  # type: ignore[no-any-return, unused-ignore]


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": relu,
    "identity": identity,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "softplus": softplus,
    "gelu": gelu,
    "silu": silu,
    "softmax": softmax,
    "exponential": np.exp,
    "increasing": increasing,
}

DERIVATIVES: dict[str, Callable[[Array, Array], Array]] = {
    "sigmoid": lambda z, a: a * (1 - a),
    "tanh": lambda z, a: 1 - a * a,
    "relu": lambda z, a: (a > 0).astype(a.dtype),
    "identity": lambda z, a: np.ones_like(a),
    "leaky_relu": lambda z, a: np.where(a > 0, 1, LEAKY_SLOPE).astype(a.dtype),
    "elu": lambda z, a: np.where(a > 0, 1, a + 1),
    "selu": lambda z, a: np.where(a > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA).astype(a.dtype),
    "softplus": lambda z, a: -np.expm1(-a),
    "gelu": lambda z, a: (
        _normal_cdf(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi, dtype=z.dtype)
    ),
    "silu": lambda z, a: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
}
"""phi'(z) by name, called with z and a = phi(z); each uses either or both (article P3)."""
