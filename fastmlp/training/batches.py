"""Batches of an epoch, trained by the engine in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.data.reader import Window
from fastmlp.engine import _core
from fastmlp.engine.shards import Shards
from fastmlp.training.epoch import Epoch
from fastmlp.training.protocol import NetworkTraining


def train_batches(
    training: NetworkTraining,
    window: Window,
    epoch: Epoch,
    last_batch: int,
    n_rows: int | None = None,
) -> bool:
    """Update the weights by every batch of a window until `last_batch` of the epoch.

    Parameters
    ----------
    training : NetworkTraining
        Its network, states and number of steps are changed.
    window : Window
        Rows of the epoch; begins with a whole batch.
    epoch : Epoch
        Its measures and progress are written, also before an exception.
    last_batch : int
        Of the epoch.
    n_rows : int, optional
        Rows of the epoch, for a penalty per sample; by default those of the window.

    Returns
    -------
    bool
        False if the cost of the next batch, or its weights, are not finite.

    Raises
    ------
    KeyboardInterrupt, or what else a signal handler raises
    """
    # The engine takes a window's rows for all of them.
    is_shared = n_rows is not None and training.objective.penalty_scale == "per_sample"
    share = window.n_rows / n_rows if n_rows is not None and is_shared else 1.0
    try:
        status = call_engine(
            training,
            training.objective.engine,
            (training.objective.parameters, training.states),
            window,
            epoch,
            (epoch.n_done, last_batch),
            measures=epoch.measures,
            progress=epoch.progress,
            shards=window.shards,
            share=share,
        )
    finally:
        training.note_steps(epoch)
    return status != _core.DIVERGED


def call_engine(
    training: NetworkTraining,
    engine: Any,
    weights: tuple[Array, Array],
    window: Window,
    epoch: Epoch,
    batches: tuple[int, int],
    *,
    measures: NDArray[np.float64],
    progress: NDArray[np.intp],
    shards: Shards | None,
    share: float,
) -> int:
    """Train some weights on some batches of a window; return the engine's status.

    Parameters
    ----------
    training : NetworkTraining
        Optimizer and objective; not changed.
    engine : Engine or ReferenceEngine
    weights : (parameters, states)
        Changed in place.
    window, epoch : Window, Epoch
        The epoch is read alone.
    batches : (int, int)
        First batch and the one after the last, of the epoch.
    measures : ndarray of shape (4, n_batches)
        As those of the epoch; written.
    progress : ndarray of shape (1,)
        Increased by the batches that are done.
    shards : Shards or None
        Which rows belong to which shard.
    share : float
        Factor of the penalties.

    Raises
    ------
    KeyboardInterrupt, or what else a signal handler raises
    """
    objective, rows = training.objective, window.rows
    first = window.begin // training.batch_size
    costs, penalties, errors, accuracies = measures[:, first:]
    status, _, interruption = engine.train(
        *weights,
        rows.x,
        rows.y,
        order=window.order,
        sample_weights=rows.weights,
        batch_size=training.batch_size,
        first_batch=batches[0] - first,
        last_batch=batches[1] - first,
        optimizer=training.optimizer,
        learning_rate=epoch.learning_rate,
        n_steps=epoch.n_steps_before + batches[0],
        l1=share * objective.l1,
        l2=share * objective.l2,
        l1_cost=share * objective.l1_cost,
        mean_reduction=objective.reduction == "mean",
        penalty_scale=objective.penalty_scale,
        costs=costs,
        penalties=penalties,
        errors=errors,
        accuracies=accuracies,
        dropout=training.dropout,
        # The masks are functions of seed + row: those of the whole epoch. Shards count theirs.
        dropout_seed=(epoch.dropout_seed + (0 if shards else window.begin)) % 2**64,
        max_grad_norm=training.max_grad_norm or 0.0,
        progress=progress,
        **({} if shards is None else {"shards": shards}),
    )
    if interruption is not None:
        raise interruption
    return int(status)
