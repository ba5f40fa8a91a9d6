"""One epoch of a Trainer: drawn, trained up to some batch, recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_integer
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields

N_MEASURES = 4


@dataclass(frozen=True)
class EpochRecord:
    """The record of one epoch of training.

    Attributes
    ----------
    costs, penalties, errors, accuracies : ndarray of shape (n_batches,)
        Of each batch before its update: loss + penalty, penalty, mean of ``|y - a|``, and the
        fraction classified correctly.
    batch_rows : ndarray of shape (n_batches,)
        Rows of each batch.
    learning_rate : float
    seconds : float
        Wall time of the epoch, evaluation not included.
    """

    __module__ = "fastmlp.training"  # the public address, so that pickles survive moves

    costs: NDArray[np.float64]
    penalties: NDArray[np.float64]
    errors: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    batch_rows: NDArray[np.intp]
    learning_rate: float
    seconds: float

    def mean(self, per_batch: NDArray[np.float64]) -> float:
        """Mean over the rows of a number (n_batches,) that each batch has."""
        rows, n_rows = self._rows
        return float(per_batch @ rows) / n_rows

    @cached_property
    def _rows(self) -> tuple[NDArray[np.float64], float]:
        """The rows of each batch as floating-point numbers, and their sum."""
        return self.batch_rows.astype(np.float64), float(self.batch_rows.sum())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_rows"}


@dataclass
class Epoch:
    """An epoch that is under way.

    Attributes
    ----------
    learning_rate : float
    order_seed : int or None
        Random seed of the order of its rows; None without shuffling.
    dropout_seed : int
        Random seed of the masks; 0 without dropout.
    n_steps_before : int
        Updates of the optimizer before it.
    measures : ndarray of shape (4, n_batches)
        Costs, penalties, errors and accuracies of an EpochRecord, 0 where a batch is still to come.
    progress : ndarray of shape (1,)
        Batches that are done. The engine writes it together with the weights.
    seconds : float
        Time spent on it.
    """

    learning_rate: float
    order_seed: int | None
    dropout_seed: int
    n_steps_before: int
    measures: NDArray[np.float64]
    progress: NDArray[np.intp] = field(default_factory=lambda: np.zeros(1, np.intp))
    seconds: float = 0.0

    @property
    def n_batches(self) -> int:
        """Number of batches of the whole epoch."""
        return len(self.measures[0])

    @property
    def n_done(self) -> int:
        """Number of finished batches."""
        return int(self.progress[0])

    def record(self, batch_size: int, n_rows: int) -> EpochRecord:
        """Return its record, when all its batches are done."""
        rows = _rows_of_batches(batch_size, n_rows, self.n_batches)
        costs, penalties, errors, accuracies = self.measures
        return EpochRecord(
            costs, penalties, errors, accuracies, rows, self.learning_rate, self.seconds
        )

    def describe(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return fields and arrays of a checkpoint."""
        fields = {
            "learning_rate": self.learning_rate,
            "order_seed": None if self.order_seed is None else str(self.order_seed),
            "dropout_seed": str(self.dropout_seed),
            "n_steps_before": self.n_steps_before,
            "batches_done": self.n_done,
            "seconds": self.seconds,
        }
        return fields, {"epoch.measures": self.measures}

    @classmethod
    def restore(cls, fields: Fields, arrays: Arrays) -> Epoch:
        """The inverse of `describe`."""
        measures = arrays.take("epoch.measures", np.dtype(np.float64), (N_MEASURES, None))
        order_seed = fields.take("order_seed", str, type(None))
        epoch = cls(
            fields.number("learning_rate"),
            None if order_seed is None else _seed("order_seed", order_seed),
            _seed("dropout_seed", fields.take("dropout_seed", str)),
            fields.count("n_steps_before"),
            measures,
            np.array([fields.count("batches_done")], np.intp),
            fields.number("seconds"),
        )
        fields.end()
        if not 0 < epoch.n_batches >= epoch.n_done:
            raise ModelFormatError(f"{fields.where}: more batches are done than there are")
        return epoch


@lru_cache(maxsize=16)
def _rows_of_batches(batch_size: int, n_rows: int, n_batches: int) -> NDArray[np.intp]:
    """Return the rows of each batch, (n_batches,), the same array for all epochs of a run."""
    rows = np.minimum(batch_size, n_rows - batch_size * np.arange(n_batches))
    rows.flags.writeable = False
    return rows


def _seed(name: str, text: str) -> int:
    """A number from 0 to 2^64 - 1, which is more than JSON can be trusted with."""
    try:
        return check_integer(name, int(text[:20]), minimum=0, maximum=2**64 - 1)
    except ValueError:
        raise ModelFormatError(f"{name!r} must be a number from 0 to 2^64 - 1") from None


def epoch_metrics(record: EpochRecord) -> Mapping[str, float]:
    """Return the metrics of an epoch for callbacks."""
    cost = record.mean(record.costs)
    return {
        "cost": cost,
        "loss": cost - record.mean(record.penalties),
        "error": record.mean(record.errors),
        "learning_rate": record.learning_rate,
        "seconds": record.seconds,
    }
