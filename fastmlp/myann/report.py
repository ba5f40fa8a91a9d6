"""The articles' report on an epoch, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastmlp._types import Array
from fastmlp.training.history import History


def epoch_report(history: History, n_epochs: int, weights: Sequence[Array], penalty: float) -> str:
    """Return several lines on the last finished epoch of `n_epochs` (values as in article P3).

    `penalty` is the regularization cost of the `weights` after the epoch.
    """
    train_cost = history.last("train_cost")
    rows = [
        ("time of the epoch, s", history.last("epoch_seconds"), ".4f"),
        ("time so far, s", float(history["epoch_seconds"].sum()), ".4f"),
        ("learning rate", history.last("learning_rates"), ".11g"),
        ("total cost of training set", train_cost, ".6g"),
        ("share of regularization", penalty / train_cost if train_cost else math.nan, ".6g"),
        ("cost of last mini-batch", history.last("costs"), ".6g"),
        ("share of regularization", history.last("reg_share"), ".6g"),
        ("average error, last batch", history.last("errors"), ".5f"),
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


def measured(value: float, form: str) -> str:
    """Return `value` in the format `form`; "not measured" for NaN."""
    return "not measured" if math.isnan(value) else format(value, form)
