"""Intervals for predictions, from the errors for rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmlp._types import Array
from fastmlp.tables.plain import is_part
from fastmlp.tables.weighted import Numbers, weighted_quantiles


@is_part
@dataclass(frozen=True)
class Residuals:
    """Sorted distances of held-out targets from the interval that was predicted.

    Attributes
    ----------
    distances : ndarray of shape (n,)
        Negative for targets inside the predicted quantiles; the absolute error of a prediction.
    weights : ndarray of shape (n,) or None
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    distances: Numbers
    weights: Numbers | None

    @classmethod
    def of(cls, predicted: Array, y: Array, weights: Array | None) -> Residuals:
        """Return the residuals of predictions (n, n_columns) for targets (n, 1)."""
        distances = np.maximum(predicted[:, :1] - y, y - predicted[:, -1:])[:, 0]
        order = np.argsort(distances, kind="stable")
        return cls(distances[order], None if weights is None else weights[order])

    def interval(self, predicted: Array, coverage: float) -> Array:
        """Return lower and upper ends, (n, 2), around predictions (n, n_columns)."""
        n = len(self.distances)
        level = min(1.0, coverage * (n + 1) / n)
        margin = weighted_quantiles(self.distances, self.weights, np.array([level]))[0]
        ends = np.stack([predicted[:, 0] - margin, predicted[:, -1] + margin], axis=1)
        middle = ends.mean(axis=1, keepdims=True)
        crossed = ends[:, :1] > ends[:, 1:]
        result: Array = np.where(crossed, middle, ends)
        return result
