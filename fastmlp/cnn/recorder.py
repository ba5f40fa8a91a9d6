"""Keras callbacks that write a History, and that call fastmlp's own callbacks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from fastmlp.callbacks.base import EpochCallback, is_true
from fastmlp.cnn.backend import library, to_numpy
from fastmlp.cnn.build import ERROR_METRIC
from fastmlp.cnn.protocol import KerasTraining
from fastmlp.cnn.state import TrainingState, current_rate
from fastmlp.exceptions import DivergenceError

SECONDS_BETWEEN_LOOKS = 1.0
"""Losses are read this often within an epoch: a device waits whenever a number is read from it."""


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes one epoch after the other into ``cnn.history`` and ``cnn.metrics``.

    Keras reports means over the epoch so far; the value of a batch is the difference of two sums.
    The batches of one execution (``steps_per_execution``) share their mean. What a batch measured
    stays on the device until somebody has to know it, at the latest until the end of the epoch.

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
        self._kept: list[tuple[Any, Any]] = []
        self._ends: list[int] = []
        self._means: list[tuple[float, float]] = []
        self._penalties: list[list[Any]] = []
        self._good = TrainingState(self.cnn.model)
        self._seconds = 0.0
        self._start = self._looked = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Keep the penalty in the cost of the batch."""
        if self._has_penalty:
            library().synchronize(self.cnn.model)
            self._penalties.append(list(self.cnn.model.losses))

    def keep(self, batch: int, logs: Any) -> None:
        """Keep the running means after a batch; raise DivergenceError if a loss is not finite.

        `logs` are tensors on the device, as Keras' training step returns them.
        """
        self._kept.append((logs["loss"], logs[ERROR_METRIC]))
        self._ends.append(min(batch + 1, len(self.batch_sizes)))
        is_last = self._ends[-1] == len(self.batch_sizes)
        if is_last or time.perf_counter() - self._looked > SECONDS_BETWEEN_LOOKS:
            self._look()

    def _look(self) -> None:
        """Read the means that are still on the device; this waits until it has computed them."""
        n_read = len(self._means)
        for pair in self._kept[n_read:]:
            loss, error = (float(to_numpy(value)) for value in pair)
            self._means.append((loss, error))
        self._looked = time.perf_counter()
        self._seconds = self._looked - self._start
        for i, (loss, _) in enumerate(self._means[n_read:], n_read):
            if not math.isfinite(loss):
                self._diverge(self._ends[i] - 1)

    def _diverge(self, batch: int) -> None:
        model = self.cnn.model
        rate = current_rate(model)
        self._good.restore(model)
        raise DivergenceError(epoch=self.cnn.epochs_done, batch=batch, learning_rate=rate)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Append the epoch to the history."""
        assert logs is not None
        if len(self._means) < len(self._kept):  # the epoch was ended early
            self._look()
        costs, errors, penalties = self._per_batch()
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

    def _per_batch(self) -> tuple[Any, Any, Any]:
        """Costs, errors and penalties of the batches, (n_batches,) each, from the means so far."""
        ends = np.array(self._ends)
        begins = np.concatenate([[0], ends[:-1]])
        sizes = np.add.reduceat(self.batch_sizes[: ends[-1]], begins)[:, np.newaxis]
        sums = np.array(self._means) * sizes.cumsum(axis=0)
        values = np.diff(sums, axis=0, prepend=0.0) / sizes
        penalties = np.zeros(len(ends))
        for i, parts in enumerate(self._penalties):
            penalties[i] = sum(float(to_numpy(part)) for part in parts)
        batches = np.repeat(np.arange(len(ends)), ends - begins)
        return values[batches, 0], values[batches, 1], penalties[batches]


class Callbacks(keras.callbacks.CallbackList):  # type: ignore[misc]
    """Keras' list of callbacks, which reads numbers from the device only for those that want them.

    Parameters
    ----------
    recorder : Recorder
    others : list of keras.callbacks.Callback
        Called after it.
    **settings
        As Keras' ``fit`` sets them: model, epochs, steps, verbose.
    """

    def __init__(self, recorder: Recorder, others: list[Any], **settings: Any) -> None:
        verbose = settings["verbose"]
        super().__init__([recorder, *others], add_history=True, add_progbar=verbose, **settings)
        self._recorder = recorder
        self._hooks = [call for call in others if isinstance(call, BatchHook)]
        self._reads = any(_reads_batches(call) for call in self.callbacks)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Hand the tensors to the recorder, and numbers to the others."""
        self._recorder.keep(batch, logs)
        for hook in self._hooks:
            hook.call(hook.cnn.history.n_epochs + 1, batch)
        if self._reads:
            super().on_train_batch_end(batch, logs)


def _reads_batches(callback: Any) -> bool:
    """Whether a callback has a method of its own that takes the logs of a batch."""
    own = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, name), "__func__", None) is not getattr(own, name)
        for name in ("on_batch_end", "on_train_batch_end")
    )


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
        if any([is_true(hook.after_epoch(self.cnn)) for hook in self.hooks]):
            self.cnn.model.stop_training = True


class BatchHook(keras.callbacks.Callback):  # type: ignore[misc]
    """Has ``call(epoch, batch)`` called after every batch: epochs from 1, batches from 0.

    `Callbacks` does so; it needs no number from the device.
    """

    def __init__(self, cnn: KerasTraining, call: Callable[[int, int], None]) -> None:
        super().__init__()
        self.cnn, self.call = cnn, call
