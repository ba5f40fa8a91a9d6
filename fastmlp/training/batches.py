"""Batches of an epoch, trained by the engine in one call."""

from __future__ import annotations

from fastmlp.data.reader import Window
from fastmlp.engine import _core
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
    objective = training.objective
    rows, begin = window.rows, window.begin
    # The engine takes a window's rows for all of them.
    is_shared = n_rows is not None and objective.penalty_scale == "per_sample"
    share = window.n_rows / n_rows if n_rows is not None and is_shared else 1.0
    first = begin // training.batch_size
    costs, penalties, errors, accuracies = epoch.measures[:, first:]
    try:
        status, _, interruption = objective.engine.train(
            objective.parameters,
            training.states,
            rows.x,
            rows.y,
            order=window.order,
            sample_weights=rows.weights,
            batch_size=training.batch_size,
            first_batch=epoch.n_done - first,
            last_batch=last_batch - first,
            optimizer=training.optimizer,
            learning_rate=epoch.learning_rate,
            n_steps=epoch.n_steps_before + epoch.n_done,
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
            dropout_seed=(epoch.dropout_seed + (0 if window.shards else begin)) % 2**64,
            max_grad_norm=training.max_grad_norm or 0.0,
            progress=epoch.progress,
            **({} if window.shards is None else {"shards": window.shards}),
        )
    finally:
        training.note_steps(epoch)
    if interruption is not None:
        raise interruption
    return status != _core.DIVERGED
