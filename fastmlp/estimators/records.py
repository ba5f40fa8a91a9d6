"""The record of an estimator's fits, and the callback that writes into it after every epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_integer
from fastmlp._types import Array
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.plateau import Plateau
from fastmlp.callbacks.protocol import Training
from fastmlp.estimators.coefficients import Architecture, Weights, network_of
from fastmlp.estimators.parameters import Parameters
from fastmlp.estimators.settings import LastTrainer, OptimizerState
from fastmlp.estimators.validation import Validator
from fastmlp.training.trainer import Trainer

OUTPUT_NAMES = {"sigmoid": "logistic", "exponential": "exp"}
"""scikit-learn's names of output functions, where they differ."""

PUBLIC = (
    "n_iter",
    "t",
    "loss_curve",
    "validation_scores",
    "history",
    "best_epoch",
    "best_loss",
    "best_validation_score",
)
"""Fields that are fitted attributes too, under the same name with an underscore at its end."""


@dataclass
class FitRecord:
    """Everything that fits have made of an estimator, except what it knows of its targets.

    Attributes
    ----------
    architecture : Architecture
    weights : Weights
        The fitted network, with its views.
    plateau : Plateau
        How long the watched number has not improved; outlives a fit, for warm starts.
    monitor : str
        Name of the watched number; "" before the first epoch.
    best_parameters : ndarray of shape (n_parameters,) or None
        Of the best epoch, with early stopping. Replaced, never changed in place.
    n_iter : int
        Epochs of the last fit; iterations with "lbfgs".
    t : int
        Rows seen in training.
    loss : float or None
        Of the last epoch; None before the first one.
    loss_curve : list of float
    validation_scores : list of float or None
    history : dict of str to list of float
        Columns of equal length, one row per epoch.
    best_epoch : int or None
    best_loss, best_validation_score : float or None
    last : LastTrainer, OptimizerState or None
        What the next partial_fit continues with.
    """

    architecture: Architecture
    weights: Weights
    plateau: Plateau
    monitor: str = ""
    best_parameters: Array | None = None
    n_iter: int = 0
    t: int = 0
    loss: float | None = None
    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] | None = None
    history: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int | None = None
    best_loss: float | None = None
    best_validation_score: float | None = None
    last: LastTrainer | OptimizerState | None = None

    @classmethod
    def new(cls, architecture: Architecture, weights: Weights, parameters: Parameters) -> FitRecord:
        """Return the record of a network before its first epoch."""
        record = cls(architecture, weights, Plateau(0.0, 0.0))
        record.watch("", parameters)
        return record

    def watch(self, monitor: str, parameters: Parameters) -> None:
        """Forget the best epoch, because another number is watched from now on."""
        self.monitor = monitor
        self.plateau = Plateau(parameters.tol, parameters.n_iter_no_change)
        self.best_parameters = self.best_epoch = None
        self.best_loss = None if parameters.early_stopping else np.inf
        self.best_validation_score = -np.inf if parameters.early_stopping else None

    def add_epoch(self, row: Mapping[str, float], n_rows: int) -> None:
        """Add the numbers of an epoch that trained on `n_rows` rows."""
        self.n_iter += 1
        self.t += n_rows
        self.loss = row["loss"]
        self.loss_curve.append(row["loss"])
        if "val_score" in row and self.validation_scores is not None:
            self.validation_scores.append(row["val_score"])
        append_row(self.history, row)

    @property
    def optimizer_state(self) -> OptimizerState | None:
        """What the next partial_fit needs of the last fit, without anything native."""
        return self.last.state() if isinstance(self.last, LastTrainer) else self.last

    def attributes(self) -> dict[str, Any]:
        """Return scikit-learn's fitted attributes by name."""
        sizes, output = self.architecture.sizes, self.architecture.output
        public = {f"{name}_": getattr(self, name) for name in PUBLIC} | {
            "coefs_": self.weights.coefs,
            "intercepts_": self.weights.intercepts,
            "n_layers_": len(sizes),
            "n_outputs_": sizes[-1],
            "out_activation_": OUTPUT_NAMES.get(output, output),
        }
        return public if self.loss is None else public | {"loss_": self.loss}

    def describe(self) -> dict[str, Any]:
        """Return what `attributes` does not have, as plain values and arrays: for a pickle."""
        state = self.optimizer_state
        return {
            "architecture": self.architecture._asdict(),
            "plateau": dict(vars(self.plateau)),
            "monitor": self.monitor,
            "best_parameters": self.best_parameters,
            "optimizer": None if state is None else dict(vars(state)),
        }

    @classmethod
    def restored(cls, plain: Mapping[str, Any], attributes: Mapping[str, Any]) -> FitRecord:
        """Return the record of what `describe` and `attributes` returned; weights are copied."""
        architecture = Architecture(**plain["architecture"])
        network = network_of(architecture, attributes["coefs_"], attributes["intercepts_"])
        state = plain["optimizer"]
        return cls(
            architecture,
            Weights(network),
            Plateau(**plain["plateau"]),
            monitor=plain["monitor"],
            best_parameters=plain["best_parameters"],
            loss=attributes.get("loss_"),
            last=None if state is None else OptimizerState(**state),
            **{name: attributes[f"{name}_"] for name in PUBLIC},
        )


class RecordOwner:
    """An object with a FitRecord, which it publishes as scikit-learn's fitted attributes.

    A pickle or a copy has the weights as `coefs_` and `intercepts_` and everything else as plain
    values and arrays: it survives changes of this package, and shares nothing with the original.
    """

    _record: FitRecord | None = None

    def _adopt(self, record: FitRecord) -> None:
        """Make `record` the one of this object."""
        self._record = record
        self._publish()

    def _publish(self) -> None:
        """Set scikit-learn's fitted attributes; no other place does."""
        if self._record is not None:
            vars(self).update(self._record.attributes())

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        record = state.pop("_record", None)
        if record is not None:
            state["_record"] = record.describe()
            for name in ("loss_curve_", "validation_scores_"):
                state[name] = copy.copy(state[name])
            state["history_"] = {name: list(column) for name, column in record.history.items()}
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        plain = state.pop("_record", None)
        super().__setstate__(state)  # type: ignore[misc]
        if plain is not None:
            self._adopt(FitRecord.restored(plain, vars(self)))


def append_row(table: dict[str, list[float]], row: Mapping[str, float]) -> None:
    """Add a row to columns of equal length; NaN where a column or a value is missing."""
    n_rows = len(next(iter(table.values()), []))
    for name in row:
        table.setdefault(name, [math.nan] * n_rows)
    for name, column in table.items():
        column.append(row.get(name, math.nan))


class FitRecorder(EpochCallback):
    """Measures every epoch and adds its numbers to an estimator's record.

    Parameters
    ----------
    record : FitRecord
        Written.
    trainer : Trainer
        Its numbers of an epoch are replaced by those of the estimator.
    n_rows : int
        Rows that an epoch adds to `t`: those trained on; 0 with L-BFGS, as in scikit-learn.
    validator : Validator or None
    loss_scale : float
        What the mean loss per row is divided by: scikit-learn's squared error is a mean over the
        outputs, and so is the loss that it shows, but not its gradient.
    has_accuracy : bool
        Whether the number of correct rows in a batch is an accuracy.
    """

    def __init__(
        self,
        record: FitRecord,
        trainer: Trainer,
        n_rows: int,
        *,
        validator: Validator | None,
        loss_scale: float,
        has_accuracy: bool,
    ) -> None:
        self.record, self.trainer = record, trainer
        self.n_rows, self.validator = n_rows, validator
        self.loss_scale, self.has_accuracy = loss_scale, has_accuracy

    @property
    def names(self) -> list[str]:
        """Column names of `history_` that every epoch has a number for."""
        accuracy = ["accuracy"] if self.has_accuracy else []
        validation = [] if self.validator is None else self.validator.names
        return ["loss", *accuracy, "learning_rate", "seconds", *validation]

    def after_epoch(self, training: Training) -> bool | None:
        """Measure the epoch; ``training.metrics`` become its row of `history_`."""
        trainer = self.trainer
        metrics = trainer.metrics
        loss = metrics["loss"] / self.loss_scale + (metrics["cost"] - metrics["loss"])
        row = {"loss": loss}
        if self.has_accuracy and trainer.last_epoch is not None:
            row["accuracy"] = trainer.last_epoch.mean(trainer.last_epoch.hits)
        row |= {name: metrics[name] for name in ("learning_rate", "seconds")}
        if self.validator is not None:
            row |= self.validator.measure(trainer)
        trainer.metrics = row
        self.record.add_epoch(row, self.n_rows)
        return None

    def state(self) -> Mapping[str, Any]:
        """Return the numbers of all epochs."""
        record, history, scores = self.record, self.record.history, self.record.validation_scores
        n_epochs = len(record.loss_curve)
        return {
            "n_iter": record.n_iter,
            "t": record.t,
            "loss": record.loss,
            "loss_curve": partial(_first, record.loss_curve, n_epochs),
            "validation_scores": scores if scores is None else partial(_first, scores, len(scores)),
            "names": list(history),
            "history": partial(_first_rows, history, list(history), n_epochs),
        }

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Continue with the numbers of a checkpoint."""
        record, names, scores = self.record, state["names"], state["validation_scores"]
        curve, table = _numbers(state, "loss_curve", 1), _numbers(state, "history", 2)
        if table.shape != (len(names), len(curve)):
            raise ValueError("history and loss curve must have the same epochs")
        record.n_iter = check_integer("n_iter", state["n_iter"], minimum=0)
        record.t = check_integer("t", state["t"], minimum=0)
        if state["loss"] is not None:
            record.loss = float(state["loss"])
        record.loss_curve = curve.tolist()
        if scores is not None:
            scores = _numbers(state, "validation_scores", 1).tolist()
        record.validation_scores = scores
        record.history = {str(name): table[i].tolist() for i, name in enumerate(names)}


def _first(records: list[float], n: int) -> NDArray[np.float64]:
    return np.array(records[:n], np.float64)


def _first_rows(table: Mapping[str, list[float]], names: list[str], n: int) -> NDArray[np.float64]:
    return np.array([table[name][:n] for name in names], np.float64).reshape(len(names), n)


def _numbers(state: Mapping[str, Any], name: str, n_dimensions: int) -> NDArray[np.float64]:
    """An array of a state, which a forged checkpoint may have as anything."""
    array = state[name]
    if not (isinstance(array, np.ndarray) and array.dtype == np.float64):
        raise TypeError(f"{name} must be an array of float64")
    if array.ndim != n_dimensions:
        raise ValueError(f"{name} must have {n_dimensions} dimension(s); got {array.ndim}")
    return array
