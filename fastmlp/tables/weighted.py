"""Quantiles of weighted rows, in which a weight of k counts like k copies of the row."""

from __future__ import annotations

import numpy as np

from fastmlp._types import Array

Numbers = Array
"""Arrays that are in float64 in this room."""


def weighted_quantiles(values: Numbers, weights: Numbers | None, levels: Numbers) -> Numbers:
    """Return, for each level, the smallest value v with W(values <= v) >= level W, (n_levels,).

    This is NumPy's method "inverted_cdf".

    Parameters
    ----------
    values : ndarray of shape (n,), n >= 1
    weights : ndarray of shape (n,), > 0, or None for ones
    levels : ndarray of shape (n_levels,), in [0, 1]
    """
    if weights is None:
        ordered = np.sort(values)
        n = len(ordered)
        positions = np.ceil(levels * n - 1e-9 * n).astype(np.intp) - 1
        quantiles: Numbers = ordered[positions.clip(0, n - 1)]
        return quantiles
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order])
    share /= share[-1]
    found = np.searchsorted(share, levels - 1e-9).clip(max=len(values) - 1)
    weighted: Numbers = values[order][found]
    return weighted


def weighted_moments(values: Numbers, weights: Numbers | None) -> tuple[Numbers, Numbers]:
    """Return mean and standard deviation of the columns of values (n, k), each (k,).

    Values are divided by their largest magnitude first, so that squares cannot overflow. The
    deviation is 1 where all values are equal.
    """
    largest = np.abs(values).max(axis=0)
    largest = np.where(largest > 0, largest, 1.0)
    scaled = values / largest
    mean = np.average(scaled, axis=0, weights=weights)
    deviation = np.sqrt(np.average((scaled - mean) ** 2, axis=0, weights=weights))
    deviation = np.where(deviation > 1e-12, deviation, 1.0 / largest)
    return mean * largest, deviation * largest
