"""Cost surfaces in a plane of weight space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.rows import Rows
from fastmlp.training.trainer import Trainer

Parameters = NDArray[np.floating[Any]]


def main_directions(steps: Parameters) -> tuple[Parameters, float]:
    """The two orthonormal directions (2, n_parameters) with most of the steps' variance."""
    centered = steps - steps.mean(axis=0)
    # Far fewer steps than parameters: the products of the steps have the same eigenvalues.
    variances, mixtures = np.linalg.eigh(centered @ centered.T)
    directions = mixtures[:, :-3:-1].T @ centered
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions, float(variances[-2:].sum() / variances.sum())


def costs_in_plane(
    trainer: Trainer,
    rows: Rows,
    end: Parameters,
    directions: Parameters,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the loss per row, without penalty, at every grid point; the weights are restored."""
    parameters = trainer.network.parameters
    before = parameters.copy()
    costs = np.empty((len(y), len(x)))
    for i, j in np.ndindex(costs.shape):
        parameters[...] = end + x[j] * directions[0] + y[i] * directions[1]
        costs[i, j] = trainer.objective.evaluate(rows).loss / len(rows.x)
    parameters[...] = before
    return costs
