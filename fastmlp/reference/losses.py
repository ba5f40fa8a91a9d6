"""Losses, and the delta of the output layer where back propagation starts; see src/output.c.

Arrays are (n_out, samples): pre-activations z, outputs a = f(z) and targets y. A loss is returned
element by element; the cost of a batch is its sum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastmlp._types import Array


def log_loss(z: Array, a: Array, y: Array, output: str) -> Array:
    """Return -y log(a) - (1 - y) log(1 - a), element by element.

    For the sigmoid it is computed as ``max(z, 0) - y z + log(1 + e^-|z|)``, which is finite for
    every finite z; otherwise a and 1 - a are clipped at the machine epsilon.

    `z`, `a`, `y` and the result are arrays of shape (n_out, samples).
    """
    if output == "sigmoid":
        return np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
    eps = np.finfo(a.dtype).eps
    return -y * np.log(np.maximum(a, eps)) - (1 - y) * np.log(np.maximum(1 - a, eps))


def cross_entropy(z: Array, a: Array, y: Array, output: str) -> Array:
    """Return -y log(softmax(z)) = y (log sum e^(z - max) - (z - max)), element by element.

    `z`, `a`, `y` and the result are arrays of shape (n_out, samples).
    """
    shifted = z - z.max(axis=0)
    return y * (np.log(np.exp(shifted).sum(axis=0)) - shifted)  # type: ignore[no-any-return]


def poisson(z: Array, a: Array, y: Array, output: str) -> Array:
    """Return y log(y / a) - y + a, where a = e^z and 0 log(0) = 0.

    `z`, `a`, `y` and the result are arrays of shape (n_out, samples).
    """
    return a - y * z + y * np.log(np.where(y > 0, y, 1)) - y


def gamma(z: Array, a: Array, y: Array, output: str) -> Array:
    """Return log(a / y) + y / a - 1, where a = e^z.

    `z`, `a`, `y` and the result are arrays of shape (n_out, samples).
    """
    return z - np.log(y) + y / a - 1


COSTS: dict[str, Callable[[Array, Array, Array, str], Array]] = {
    "log_loss": log_loss,
    "cross_entropy": cross_entropy,
    "poisson": poisson,
    "gamma": gamma,
}
"""Losses that depend on the output function; called with z, a, y and its name."""

Difference = Callable[[Array, Array | float], Array]

DIFFERENCE_COSTS: dict[str, Difference] = {
    "squared_error": lambda d, _: d**2 / 2,
    "brier": lambda d, _: d**2,
    "absolute_error": lambda d, _: np.abs(d),
    "huber": lambda d, delta: np.where(
        np.abs(d) <= delta, d**2 / 2, delta * (np.abs(d) - delta / 2)
    ),
    "quantile": lambda d, level: np.where(d > 0, (1 - level) * d, -level * d),
}
"""Losses of d = a - y; called with d and the loss's parameters (n_out, 1): deltas or levels."""

DIFFERENCE_DERIVATIVES: dict[str, Difference] = {
    "squared_error": lambda d, _: d,
    "brier": lambda d, _: 2 * d,
    "absolute_error": lambda d, _: np.sign(d),
    "huber": lambda d, delta: np.clip(d, -delta, delta),
    "quantile": lambda d, level: np.where(d > 0, 1 - level, np.where(d < 0, -level, 0)),
}
"""Derivatives dC/da of these losses; 0 at a kink."""


def difference_cost(d: Array, loss: str, parameters: Array | float = 0.0) -> Array:
    """Return the named loss of d = a - y, element by element; `parameters` is (n_out, 1).

    `d` and the result are arrays of shape (n_out, samples).
    """
    return DIFFERENCE_COSTS[loss](d, parameters)


def difference_derivative(d: Array, loss: str, parameters: Array | float = 0.0) -> Array:
    """Return dC/da of `difference_cost`; 0 at a kink.

    `d` and the result are arrays of shape (n_out, samples).
    """
    return DIFFERENCE_DERIVATIVES[loss](d, parameters)


def squared_error(z: Array, a: Array, y: Array, output: str) -> Array:
    """Return (a - y)**2 / 2, element by element; the arguments are those of the losses above.

    `z`, `a`, `y` and the result are arrays of shape (n_out, samples).
    """
    return difference_cost(a - y, "squared_error")


def cost(
    z: Array, a: Array, y: Array, output: str, loss: str, parameters: Array | float = 0.0
) -> Array:
    """Return the named loss, element by element, (n_out, samples)."""
    if loss in COSTS:
        return COSTS[loss](z, a, y, output)
    return difference_cost(a - y, loss, parameters)


def through_output(gradient: Array, a: Array, output: str) -> Array:
    """Return dC/dZ of the output layer, given dC/dA.

    The softmax couples the nodes of a column: delta_k = a_k (g_k - sum_j a_j g_j). So do monotone
    ("increasing") outputs: delta_k = (1 - e^-(a_k - a_{k-1})) sum over j >= k of g_j; for k = 0 the
    sum alone.

    `gradient`, `a` and the result are arrays of shape (n_out, samples).
    """
    if output == "softmax":
        return a * (gradient - (a * gradient).sum(axis=0))  # type: ignore[no-any-return]
    if output == "increasing":
        above = np.cumsum(gradient[::-1], axis=0)[::-1]
        above[1:] *= -np.expm1(-np.diff(a, axis=0))
        return above
    derivatives = {"sigmoid": a * (1 - a), "exponential": a}
    return gradient * derivatives.get(output, 1)


def output_derivative(a: Array, output: str) -> Array | None:
    """Return D[E], the derivative of the output function, (n_out, samples), from its values A[E].

    None for softmax and increasing outputs, which couple the nodes of a column: their derivative
    is a matrix per sample.
    """
    if output in ("softmax", "increasing"):
        return None
    derivatives = {"sigmoid": a * (1 - a), "exponential": a}
    return derivatives.get(output, np.ones_like(a))


def output_delta(
    a: Array, y: Array, output: str, loss: str, parameters: Array | float = 0.0
) -> Array:
    """Return dC/dZ of the output layer.

    If factors of output function and loss cancel, it is a - y: the articles' general form
    dC/da * f'(z) would divide by a (1 - a) and multiply by it again. `parameters` (n_out, 1) holds
    the levels of quantile or the deltas of huber.
    """
    if (output, loss) in (("sigmoid", "log_loss"), ("exponential", "poisson")):
        return a - y
    if (output, loss) == ("softmax", "cross_entropy"):
        return a * y.sum(axis=0) - y  # type: ignore[no-any-return]
    if (output, loss) == ("softmax", "log_loss"):  # a_j g_j = (a_j - y_j) / (1 - a_j)
        weighted = (a - y) / np.maximum(1 - a, np.finfo(a.dtype).eps)
        return weighted - a * weighted.sum(axis=0)  # type: ignore[no-any-return]
    if loss == "gamma":
        return 1 - y / a
    return through_output(difference_derivative(a - y, loss, parameters), a, output)
