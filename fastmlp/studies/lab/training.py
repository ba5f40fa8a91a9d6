"""Train one network on one thread, and measure it after chosen epochs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from fastmlp.datasets.labelled import LabelledData
from fastmlp.datasets.recipes import recipe_for
from fastmlp.engine.rows import Rows
from fastmlp.exceptions import DivergenceError
from fastmlp.network.network import Network
from fastmlp.studies.lab.results import rounded
from fastmlp.training.trainer import Trainer

MEASURED = (
    "epochs", "training_seconds", "learning_rate", "train_accuracy", "test_accuracy",
    "train_cost", "test_cost", "train_error", "test_error", "train_share",
    "batch_cost", "batch_error", "batch_share", "batch_share_low", "batch_share_high",
)  # fmt: skip


def measurement_epochs(n_epochs: int, n_steps: int = 40) -> list[int]:
    """Return some epochs from 1 to the last: dense at first, equally spaced later."""
    early = np.geomspace(1, n_epochs, n_steps // 4)
    late = np.linspace(1, n_epochs, n_steps)
    return sorted({round(epoch) for epoch in (*early, *late)})


def recipe_settings(data: str) -> dict[str, Any]:
    """Return the package's recipe for this data set as settings of :class:`fastmlp.Trainer`."""
    recipe = recipe_for(data)
    return {
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learn_rate,
        "schedule": "cumulative",
        "decay": recipe.decay,
        "momentum": recipe.momentum,
        "l2": recipe.l2,
    }


def train(
    data: LabelledData,
    *,
    seed: int,
    n_epochs: int,
    hidden: Sequence[int] = (70, 30),
    epochs_to_measure: Collection[int] | None = None,
    keep: Collection[str] = MEASURED,
    tick: Callable[[Trainer], None] | None = None,
    activation: str = "sigmoid",
    output: str = "sigmoid",
    initializer: str = "sqrt_nodes",
    dtype: str = "float32",
    n_threads: int = 1,
    **settings: Any,
) -> tuple[Network, dict[str, Any]]:
    """Train a network with initial weights and order of rows given by `seed`.

    Parameters
    ----------
    data : LabelledData
        Of this dtype.
    epochs_to_measure : collection of int
        Finished epochs after which to measure; None for the last alone.
    keep : collection of str
        Those of MEASURED that are wanted.
    tick : Tick, or callable
        Called after every epoch with the Trainer.
    settings
        Of :class:`fastmlp.Trainer`.

    Returns
    -------
    Network
        Trained.
    dict
        The kept lists over the measured epochs, five significant digits, and ``diverged``, the
        error's sentence or None. Accuracies, costs and errors are those of the whole sets after
        the epoch; ``train_share`` is the penalty's share of the training set's cost. What begins
        with ``batch_`` is taken over the epoch's mini-batches: means, and the 10 and 90 percent
        quantiles of the penalty's share of a batch's cost.
    """
    sizes = (data.X_train.shape[1], *hidden, len(data.classes))
    network = Network(
        sizes,
        activation=activation,
        output=output,
        dtype=dtype,
        initializer=initializer,
        random_state=seed,
    )
    trainer = Trainer(network, n_threads=n_threads, random_state=seed, **settings)
    recorder = _Recorder(data, {n_epochs} if epochs_to_measure is None else epochs_to_measure)
    diverged = None
    try:
        trainer.train(
            Rows(data.X_train, data.Y_train),
            n_epochs=n_epochs,
            callbacks=[recorder, *([tick] if tick is not None else [])],
        )
    except DivergenceError as error:
        diverged = str(error)
    return network, {**{name: recorder.lists[name] for name in keep}, "diverged": diverged}


class _Recorder:
    """A callback that measures after chosen epochs."""

    def __init__(self, data: LabelledData, epochs: Collection[int]) -> None:
        self._train = Rows(data.X_train, data.Y_train)
        self._test = Rows(data.X_test, data.Y_test)
        self._epochs = frozenset(epochs)
        self._seconds = 0.0
        self.lists: dict[str, list[Any]] = {name: [] for name in MEASURED}

    def __call__(self, trainer: Trainer) -> None:
        self._seconds += trainer.metrics["seconds"]
        if trainer.epochs_done not in self._epochs:
            return
        record = trainer.last_epoch
        assert record is not None
        train, test = (
            trainer.objective.evaluate(self._train),
            trainer.objective.evaluate(self._test),
        )
        costs = record.costs
        shares = np.divide(record.penalties, costs, out=np.zeros_like(costs), where=costs > 0)
        low, high = np.quantile(shares, [0.1, 0.9])
        share = (train.cost - train.loss) / train.cost if train.cost else 0.0
        values = (
            self._seconds,
            record.learning_rate,
            train.accuracy,
            test.accuracy,
            train.cost,
            test.cost,
            train.error,
            test.error,
            share,
            record.mean(costs),
            record.mean(record.errors),
            shares.mean(),
            low,
            high,
        )
        self.lists["epochs"].append(trainer.epochs_done)
        for name, value in zip(MEASURED[1:], values, strict=True):
            self.lists[name].append(rounded(value, 7 if name == "learning_rate" else 5))
