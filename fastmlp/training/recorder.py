"""The callback that writes a Trainer's history."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.callbacks.base import EpochCallback
from fastmlp.training.history import History

if TYPE_CHECKING:
    from fastmlp.engine.rows import Rows
    from fastmlp.training.trainer import Trainer


class Recorder(EpochCallback):
    """Measures a trainer's data sets after every epoch and writes its history.

    Parameters
    ----------
    train, test : Rows or None
        What is measured; NaN is written for what is not.
    """

    def __init__(self, train: Rows | None, test: Rows | None) -> None:
        self.sets = {"train": train, "test": test}

    def before_training(self, trainer: Trainer) -> None:
        """Begin a new history."""
        self.history = trainer.history = History()

    def after_epoch(self, trainer: Trainer) -> None:
        """Measure and write."""
        for name, rows in self.sets.items():
            result = None if rows is None else trainer.evaluate_rows(rows)
            trainer.metrics[f"{name}_cost"] = np.nan if result is None else result.cost
            trainer.metrics[f"{name}_accuracy"] = np.nan if result is None else result.accuracy
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        record, metrics = trainer.last_epoch, trainer.metrics
        assert record is not None
        costs = record.costs
        shares = np.divide(record.penalties, costs, out=np.zeros_like(costs), where=costs > 0)
        self.history.append(
            costs=costs,
            errors=record.errors,
            reg_share=shares,
            learning_rates=record.learning_rate,
            batch_accuracy=record.mean(record.hits),
            epoch_seconds=record.seconds,
            **{f"{data}_{what}": metrics[f"{data}_{what}"]
               for data in self.sets for what in ("cost", "accuracy")},
        )  # fmt: skip

    def state(self) -> Mapping[str, Any]:
        """The history."""
        n_epochs = self.history.n_epochs
        return {name: partial(self.history.first, name, n_epochs) for name in self.history}

    def restore(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """Go on with a history."""
        self.history = trainer.history = History.of(state)
