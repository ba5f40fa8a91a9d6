"""Keras callbacks that write a History, and that call fastmlp's own callbacks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from fastmlp.callbacks.base import EpochCallback
from fastmlp.cnn.build import ERROR_METRIC
from fastmlp.cnn.protocol import KerasTraining
from fastmlp.cnn.state import TrainingState, current_rate, penalty
from fastmlp.exceptions import DivergenceError


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes one epoch after the other into ``cnn.history`` and ``cnn.metrics``.

    Keras reports means over the epoch so far; the value of a batch is the difference of two sums.

    Parameters
    ----------
    cnn : KerasTraining
    batch_sizes : ndarray of shape (n_batches,)
        Images of every batch of an epoch.
    measure_train : callable or None
        Returns an Evaluation of the training set.
    """

    def __init__(self, cnn: KerasTraining, batch_sizes: Any, measure_train: Any = None) -> None:
        super().__init__()
        self.cnn, self.batch_sizes, self.measure_train = cnn, batch_sizes, measure_train
        self._has_penalty = bool(cnn.model.losses)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock and empty the lists of the epoch."""
        self._means: list[tuple[float, float]] = []
        self._penalties: list[float] = []
        self._good = TrainingState(self.cnn.model)
        self._seconds = 0.0
        self._start = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Record the penalty in the cost of the batch."""
        self._penalties.append(penalty(self.cnn.model) if self._has_penalty else 0.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Record the running means; raise DivergenceError if the loss is not finite."""
        assert logs is not None
        mean = float(logs["loss"])
        self._means.append((mean, float(logs[ERROR_METRIC])))
        self._seconds = time.perf_counter() - self._start
        if not math.isfinite(mean):
            rate = current_rate(self.cnn.model)
            self._good.restore(self.cnn.model)
            raise DivergenceError(epoch=self.cnn.epochs_done, batch=batch, learning_rate=rate)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Append the epoch to the history."""
        assert logs is not None
        costs, errors = self._per_batch()
        penalties = np.array(self._penalties)
        shares = np.divide(penalties, costs, out=np.zeros_like(costs), where=costs > 0)
        train = self.measure_train() if self.measure_train else None
        accuracy = _accuracy(logs, "accuracy")
        record = {
            "learning_rates": current_rate(self.cnn.model),
            "batch_accuracy": accuracy,
            "train_cost": train.cost if train else math.nan,
            "train_accuracy": train.accuracy if train else math.nan,
            "val_cost": logs.get("val_loss", math.nan),
            "val_accuracy": _accuracy(logs, "val_accuracy"),
            "epoch_seconds": self._seconds,
        }
        self.cnn.history.append(costs=costs, errors=errors, reg_share=shares, **record)
        self.cnn.epochs_done += 1
        self.cnn.metrics = {
            "cost": float(logs["loss"]),
            "loss": float(logs["loss"]) - float(penalties.mean()),
            "accuracy": accuracy,
            "learning_rate": record["learning_rates"],
            "seconds": self._seconds,
            **{n: record[n] for n in ("train_cost", "train_accuracy", "val_cost", "val_accuracy")},
        }

    def _per_batch(self) -> tuple[Any, Any]:
        """Costs and errors of the batches, (n_batches,) each, from the means so far."""
        sizes = self.batch_sizes[: len(self._means), np.newaxis]
        sums = np.array(self._means) * sizes.cumsum(axis=0)
        values = np.diff(sums, axis=0, prepend=0.0) / sizes
        return values[:, 0], values[:, 1]


class EpochClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the wall time of every epoch in seconds, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the wall time."""
        self.seconds.append(time.perf_counter() - self._start)


def _accuracy(logs: Any, name: str) -> float:
    """A fraction as it was before Keras made it float32: 0.993 and not 0.99299997; or NaN."""
    return round(float(logs.get(name, math.nan)), 6)


class HookRunner(keras.callbacks.Callback):  # type: ignore[misc]
    """Call fastmlp's callbacks before and after epochs.

    Parameters
    ----------
    cnn : KerasTraining
    hooks : iterable of EpochCallback
    """

    def __init__(self, cnn: KerasTraining, hooks: Iterable[EpochCallback]) -> None:
        super().__init__()
        self.cnn = cnn
        self.hooks = list(hooks)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Call ``before_epoch``."""
        for hook in self.hooks:
            hook.before_epoch(self.cnn)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Call ``after_epoch``; True from any of them ends the training."""
        if any([hook.after_epoch(self.cnn) is True for hook in self.hooks]):
            self.cnn.model.stop_training = True


class BatchHook(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls ``call(epoch, batch)`` after every batch: epochs from 1, batches from 0."""

    def __init__(self, cnn: KerasTraining, call: Callable[[int, int], None]) -> None:
        super().__init__()
        self.cnn, self.call = cnn, call

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Call the function with the numbers."""
        self.call(self.cnn.history.n_epochs + 1, batch)
