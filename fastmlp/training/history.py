"""Records of a training run: a History, its recorder, and the Evaluation of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.reader import WindowReader
from fastmlp.engine.rows import Rows
from fastmlp.files.json_file import plain
from fastmlp.training.epoch import EpochRecord

PER_BATCH = ("costs", "errors", "reg_share")
PER_EPOCH = (
    "learning_rates",
    "batch_accuracy",
    "train_cost",
    "train_accuracy",
    "val_cost",
    "val_accuracy",
    "epoch_seconds",
)


@dataclass(frozen=True)
class Evaluation:
    """A network on one data set.

    Attributes
    ----------
    loss : float
        Sum over rows and outputs, without penalty; with ``reduction="mean"`` divided by the sum of
        the sample weights.
    cost : float
        loss + penalty, as of one batch of all rows.
    error : float
        Mean over rows and outputs of ``|y - a|``.
    accuracy : float
        Fraction of rows whose largest output is the largest target; with one output, of rows on the
        right side of 1/2.
    """

    __module__ = "fastmlp.training"  # the public address, so that pickles survive moves

    loss: float
    cost: float
    error: float
    accuracy: float


class History(Mapping[str, NDArray[np.float64]]):
    """Finished epochs of a run, as a mapping of names to arrays.

    Per batch, shape (n_epochs, n_batches):

    - ``costs``: loss + penalty of each batch, before its update.
    - ``errors``: mean over outputs and rows of abs(y - a).
    - ``reg_share``: penalty / cost, a fraction.

    Per epoch, shape (n_epochs,):

    - ``learning_rates``: rate used in the epoch.
    - ``batch_accuracy``: fraction of rows classified correctly when their batch came up.
    - ``train_cost``, ``val_cost``: summed loss + penalty over the whole set, after the epoch.
    - ``train_accuracy``, ``val_accuracy``: fraction classified correctly, after the epoch.
    - ``epoch_seconds``: wall time of the epoch's training, evaluation not included.

    What was not measured is NaN.
    """

    __module__ = "fastmlp.training"  # the public address, so that pickles survive moves

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {name: [] for name in PER_BATCH + PER_EPOCH}

    def append(self, **values: Any) -> None:
        """Add one epoch: an array (n_batches,) or a number for every name."""
        if set(values) != set(self._rows):
            raise TypeError(f"an epoch needs {sorted(self._rows)}; got {sorted(values)}")
        for name, value in values.items():
            self._rows[name].append(value)

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs."""
        return len(self._rows["learning_rates"])

    def first(self, name: str, n_epochs: int) -> NDArray[np.float64]:
        """The entries of a name in the first epochs, (n_epochs,) or (n_epochs, n_batches)."""
        rows = self._rows[name][:n_epochs]
        return np.array(rows, float) if rows or name in PER_EPOCH else np.empty((0, 0))

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[np.float64]]) -> History:
        """The history with these entries, an array for every name.

        Raises
        ------
        ValueError, KeyError
            Where a name is missing or a shape does not fit.
        """
        history = cls()
        n_epochs = len(columns["learning_rates"])
        n_batches = None
        for name in history:
            array = columns[name if name in columns else name.replace("val_", "test_")]
            if name in PER_BATCH and n_batches is None and array.ndim == 2:
                n_batches = array.shape[1]
            shape = (n_epochs, n_batches) if name in PER_BATCH else (n_epochs,)
            if array.shape != shape or array.dtype != np.float64:
                raise ValueError(f"{name!r} must be float64 of shape {shape}; got {array.shape}")
            history._rows[name] = list(array)
        return history

    def last(self, name: str) -> float:
        """Value of `name` in the last epoch; for per-batch names, of the last batch."""
        value = self._rows[name][-1]
        return float(value[-1]) if name in PER_BATCH else float(value)

    def last_batches(self, name: str) -> NDArray[np.float64]:
        """Values of a per-batch name in the last epoch, (n_batches,); a copy."""
        return np.array(self._rows[name][-1], float)

    def last_mean(self, name: str) -> float:
        """Mean over the last epoch of a per-batch name; does not look at the other epochs."""
        return float(np.mean(self._rows[name][-1]))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.first(name, self.n_epochs)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"History({self.n_epochs} epochs: {', '.join(self._rows)})"

    def to_dict(self) -> dict[str, Any]:
        """Return nested lists for JSON; what was not measured is None."""
        columns: dict[str, Any] = plain({name: self[name] for name in self})
        return columns


class Recorded(Protocol):
    """Interface of a training run for the recorder."""

    history: History
    metrics: dict[str, float]
    last_epoch: EpochRecord | None


class HistoryRecorder:
    """Measures a run's data sets after every epoch and writes its history.

    It has the hooks with which a checkpoint keeps a callback.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(rows) -> Evaluation`` of the network as it is.
    train, validation : Rows, WindowReader or None
        What is measured; NaN is written for what is not.
    """

    def __init__(
        self,
        evaluate: Callable[[Any], Evaluation],
        train: Rows | WindowReader | None,
        validation: Rows | WindowReader | None,
    ) -> None:
        self.evaluate = evaluate
        self.sets = {"train": train, "val": validation}
        self.history = History()

    def begin(self, training: Recorded) -> None:
        """Begin a new history."""
        self.history = training.history = History()

    def record(self, training: Recorded) -> None:
        """Measure the data sets, and append the epoch to the history."""
        for name, rows in self.sets.items():
            if rows is not None:
                result = self.evaluate(rows)
                training.metrics[f"{name}_cost"] = result.cost
                training.metrics[f"{name}_accuracy"] = result.accuracy
        record, metrics = training.last_epoch, training.metrics
        assert record is not None
        costs = record.costs
        self.history.append(
            costs=costs,
            errors=record.errors,
            reg_share=np.divide(record.penalties, costs, out=np.zeros_like(costs), where=costs > 0),
            learning_rates=record.learning_rate,
            batch_accuracy=record.mean(record.accuracies),
            epoch_seconds=record.seconds,
            **{
                f"{data}_{what}": metrics.get(f"{data}_{what}", np.nan)  # NaN: not measured
                for data in self.sets
                for what in ("cost", "accuracy")
            },
        )

    def settings(self) -> Mapping[str, Any]:
        """Return nothing to compare; a resumed run must have a recorder again."""
        return {}

    def state(self) -> Mapping[str, Any]:
        """Return the history."""
        n_epochs = self.history.n_epochs
        return {name: partial(self.history.first, name, n_epochs) for name in self.history}

    def restore(self, training: Recorded, state: Mapping[str, Any]) -> None:
        """Continue a history."""
        self.history = training.history = History.of(state)
