"""Targets of mean 0 and deviation 1 for training, and predictions in the units of the targets."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.estimators.bounds import bounded_output, read_bounds
from fastmlp.network.network import Network

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation of every target, each a float64 array (n_targets,).

    For bounded targets, a bound, and the factor of the distance from it.
    """

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, y: Array, weights: Array | None) -> TargetScale:
        """Measure targets (n,) or (n, n_targets); a weight of k counts like k copies of a row.

        The deviation of a constant target, and of one that overflows, is replaced by 1.
        """
        columns = np.asarray(y, np.float64)
        columns = columns[:, np.newaxis] if columns.ndim == 1 else columns
        if weights is not None and not (weights.any() and np.isfinite(weights.sum())):
            weights = None  # such weights are refused later
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(columns, axis=0, weights=weights)
            deviation = np.sqrt(np.average((columns - mean) ** 2, axis=0, weights=weights))
        # Rounding leaves a constant target with a small deviation.
        tiny = 10 * np.finfo(np.float64).eps * np.abs(mean)
        usable = np.isfinite(mean) & np.isfinite(deviation)
        return cls(
            np.where(usable, mean, 0.0), np.where(usable & (deviation > tiny), deviation, 1.0)
        )

    @classmethod
    def within(cls, bounds: Any, y: Array, weights: Array | None) -> TargetScale:
        """Return what maps targets (n,) or (n, n_targets) to the range of the output function.

        With two bounds the lower one becomes 0 and the higher one 1. With one, it becomes 0, and
        the mean distance from it 1, the exponential function's first output.
        """
        output, start, side = bounded_output(bounds)
        low, high = read_bounds(bounds)
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        origin = np.full(columns.shape[1], start)
        if output == "sigmoid":
            return cls(origin, np.full(columns.shape[1], high - low))
        distance = np.abs(cls.of(columns - origin, weights).mean)
        return cls(origin, side * np.where(distance > 0, distance, 1.0))

    def fits(self, bounds: Any) -> bool:
        """Whether this is the scale of targets with these bounds."""
        output, start, side = bounded_output(bounds)
        if not (np.all(self.mean == start) and np.all(np.sign(self.deviation) == side)):
            return False
        low, high = read_bounds(bounds)
        return output == "exponential" or bool(np.all(self.deviation == high - low))

    def scaled(self, y: Array) -> Array:
        """Return ``(y - mean) / deviation`` in float64 for targets (n, n_targets)."""
        return (np.asarray(y, np.float64) - self.mean) / self.deviation

    def restored(self, outputs: Array) -> Array:
        """Return ``outputs * deviation + mean`` in the dtype of outputs (n, n_outputs)."""
        dtype = outputs.dtype
        return outputs * self.deviation.astype(dtype) + self.mean.astype(dtype)

    def folded(self, network: Network) -> Network:
        """Return a copy of a network with identity outputs whose outputs are restored already."""
        copied = copy.deepcopy(network)
        last = copied.weights[-1]
        last *= self.deviation.astype(last.dtype)[:, np.newaxis]
        last[:, 0] += self.mean.astype(last.dtype)
        return copied


def quantile_shifts(residuals: Array, levels: tuple[float, ...]) -> Floats:
    """Return what to add to predicted quantiles so that they hold for new rows.

    With the residuals r of n rows that training has not seen, sorted, the shift of level q is the
    k-th smallest, ``k = ceil((n + 1) q)`` for q >= 1/2 and ``floor((n + 1) q)`` below. If a new row
    is exchangeable with these rows, its target is then at most the shifted quantile with a
    probability of at least q, or at most q below 1/2: an interval between two levels covers at
    least their difference.

    Parameters
    ----------
    residuals : ndarray of shape (n, n_levels)
        Targets minus predicted quantiles; not changed.
    levels : tuple of float

    Returns
    -------
    ndarray of float64, shape (n_levels,)

    Raises
    ------
    ValueError
        If there are too few rows for a level.

    References
    ----------
    Y. Romano, E. Patterson and E. Candès, "Conformalized quantile regression" (2019), with one
    shift for each side of the interval.
    """
    n = len(residuals)
    needed = max(math.ceil(max(q, 1 - q) / min(q, 1 - q)) for q in levels)
    places = [math.ceil((n + 1) * q) if q >= 0.5 else math.floor((n + 1) * q) for q in levels]
    if not all(1 <= place <= n for place in places):
        raise ValueError(
            f"X must have at least {needed} rows to calibrate quantiles {list(levels)}; got {n}"
        )
    ordered = np.sort(np.asarray(residuals, np.float64), axis=0)
    return np.array([ordered[place - 1, i] for i, place in enumerate(places)])


def shifted(quantiles: Array, shifts: Floats) -> Array:
    """Return quantiles (n, n_levels) with shifts added, which do not cross afterwards either."""
    moved: Array = quantiles + shifts.astype(quantiles.dtype)
    return np.maximum.accumulate(moved, axis=1)


def plain_scale(attributes: Mapping[str, Any]) -> TargetScale | None:
    """Return the scale that a fitted regressor publishes, or None."""
    if "target_mean_" not in attributes:
        return None
    return TargetScale(attributes["target_mean_"], attributes["target_scale_"])
