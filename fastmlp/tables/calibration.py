"""Calibration of probabilities by one number, a temperature."""

from __future__ import annotations

import numpy as np

from fastmlp._types import Array

SMALLEST = 1e-12


def tempered(probabilities: Array, temperature: float) -> Array:
    """Return p^(1/T) / sum p^(1/T) for probabilities (n, n_classes): flatter for T > 1."""
    if temperature == 1.0:
        return probabilities
    logs = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    result: Array = powers / powers.sum(axis=1, keepdims=True)
    return result


def log_loss(probabilities: Array, targets: Array, weights: Array | None) -> float:
    """Return the mean of -sum y log(p) over the rows."""
    logs = np.log(np.maximum(probabilities, SMALLEST))
    return float(np.average(-(targets * logs).sum(axis=1), weights=weights))


def find_temperature(probabilities: Array, targets: Array, weights: Array | None) -> float:
    """Return the temperature with the lowest log loss, 1 unless each half's helps the other.

    Parameters
    ----------
    probabilities, targets : ndarray of shape (n, n_classes)
    weights : ndarray of shape (n,) or None

    References
    ----------
    C. Guo et al., "On calibration of modern neural networks" (2017).
    """
    n = len(probabilities)
    if n < 20 or probabilities.shape[1] < 2:
        return 1.0
    halves = [np.arange(n) % 2 == k for k in (0, 1)]
    for learn, judge in (halves, halves[::-1]):
        w = [None if weights is None else weights[half] for half in (learn, judge)]
        if any(part is not None and not part.any() for part in w):
            return 1.0
        t = _best(probabilities[learn], targets[learn], w[0])
        rest = probabilities[judge], targets[judge]
        if log_loss(tempered(rest[0], t), rest[1], w[1]) >= log_loss(*rest, w[1]):
            return 1.0
    return _best(probabilities, targets, weights)


def _best(probabilities: Array, targets: Array, weights: Array | None) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        flat = tempered(probabilities, float(np.exp(log_temperature)))
        return log_loss(flat, targets, weights)

    return float(np.exp(minimize_scalar(loss, bounds=(-1.0, 1.0), method="bounded").x))
