"""The articles' report on an epoch, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastmlp._types import Array
from fastmlp.training.history import History


def epoch_report(history: History, n_epochs: int, weights: Sequence[Array], penalty: float) -> str:
    """Return several lines on the last finished epoch of `n_epochs` (values as in article P3).

    `penalty` is the regularization cost of the `weights` after the epoch. The article's
    "batch-averaged accuracy" is the line "1 - error, mean of batches"; here an accuracy is a share
    of rows.
    """
    train_cost = history.last("train_cost")
    rows = [
        ("time of the epoch, s", history.last("epoch_seconds"), ".4f"),
        ("time so far, s", float(history["epoch_seconds"].sum()), ".4f"),
        ("learning rate", history.last("learning_rates"), ".11g"),
        ("total cost of training set", train_cost, ".6g"),
        ("regularization, share of it", penalty / train_cost if train_cost else math.nan, ".6g"),
        ("cost of last mini-batch", history.last("costs"), ".6g"),
        ("regularization, last batch", history.last("reg_share"), ".6g"),
        ("average error, last batch", history.last("errors"), ".5f"),
        ("1 - error, mean of batches", 1 - history.last_mean("errors"), ".5f"),
        ("batch-averaged accuracy", history.last("batch_accuracy"), ".5f"),
        ("accuracy on training set", history.last("train_accuracy"), ".5f"),
        ("accuracy on test set", history.last("val_accuracy"), ".5f"),
        *(
            (f"mean |weight| at L{i}", float(np.abs(w).mean()), ".5f")
            for i, w in enumerate(weights)
        ),
    ]
    lines = [f"  {name:<28}{measured(value, form)}" for name, value, form in rows]
    return "\n".join([f"Epoch {history.n_epochs} of {n_epochs}", *lines])


def start_report(n_epochs: int, n_batches: int, n_size_mini_batch: int) -> str:
    """Return what the articles print before the first epoch: epochs and mini-batches."""
    return (
        f"number of epochs: {n_epochs}\n"
        f"mini-batches per epoch: {n_batches} of up to {n_size_mini_batch} rows"
    )


def batch_report(history: History, period: int) -> str:
    """Return a line with cost and average error of mini-batches in the last finished epoch.

    `period` >= 1 is the distance between two of them; the first and the last have one in any case.
    """
    costs, errors = history.last_batches("costs"), history.last_batches("errors")
    return "\n".join(
        f"  mini-batch {i + 1:>6}: cost {costs[i]:.6g}, average error {errors[i]:.5f}"
        for i in range(len(costs))
        if is_due(i, len(costs), period)
    )


def is_due(number: int, count: int, period: int) -> bool:
    """Return whether `number` out of 0 … count - 1 is the first, the last or a period's end."""
    return number in (0, count - 1) or (number + 1) % period == 0


def period_for(given: int | None, count: int, wanted: int) -> int:
    """Return a given period, or the one that makes about `wanted` reports out of `count`."""
    return given if given is not None else max(1, -(-count // wanted))


def measured(value: float, form: str) -> str:
    """Return `value` in the format `form`; "not measured" for NaN."""
    return "not measured" if math.isnan(value) else format(value, form)
