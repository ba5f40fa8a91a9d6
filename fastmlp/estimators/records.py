"""Record of an estimator's fits, and the callback that updates it after every epoch."""

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
from fastmlp.estimators.chunks import CountedCalls
from fastmlp.estimators.coefficients import Architecture, Weights, network_of
from fastmlp.estimators.parameters import Parameters
from fastmlp.estimators.settings import LastTrainer, OptimizerState
from fastmlp.estimators.validation import Validator
from fastmlp.training.trainer import Trainer

OUTPUT_NAMES = {"sigmoid": "logistic", "exponential": "exp"}
"""scikit-learn's names of output functions, if they differ."""

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
"""Fields that are published as fitted attributes, with an underscore appended to the name."""


@dataclass
class FitRecord:
    """Everything that an estimator has learned and recorded, except the classes of its targets.

    Attributes
    ----------
    architecture : Architecture
    weights : Weights
        The fitted network, with its views.
    plateau : Plateau
        Count of epochs without improvement; kept between fits for warm starts.
    monitor : str
        Name of the monitored value; "" before the first epoch.
    best_parameters : ndarray of shape (n_parameters,) or None
        Parameters of the best epoch, with early stopping. Replaced, never changed in place.
    n_iter : int
        Number of epochs of the last fit, or of iterations with "lbfgs".
    t : int
        Number of rows seen in training.
    loss : float or None
        Loss of the last epoch; None before the first one.
    loss_curve : list of float
    validation_scores : list of float or None
    history : dict of str to list of float
        Columns of equal length, one row per epoch.
    best_epoch : int or None
    best_loss, best_validation_score : float or None
    last : LastTrainer, OptimizerState or None
        State with which the next partial_fit continues.
    calls : CountedCalls
        What the warnings of partial_fit about epochs are made from; not pickled.
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
    calls: CountedCalls = field(default_factory=CountedCalls)

    @classmethod
    def new(cls, architecture: Architecture, weights: Weights, parameters: Parameters) -> FitRecord:
        """Return the record of a network before its first epoch."""
        record = cls(architecture, weights, Plateau(0.0, 0.0))
        record.watch("", parameters)
        return record

    def watch(self, monitor: str, parameters: Parameters) -> None:
        """Reset the best epoch, because another value is monitored from now on."""
        self.monitor = monitor
        self.plateau = Plateau(parameters.tol, parameters.n_iter_no_change)
        self.best_parameters = self.best_epoch = None
        self.best_loss = None if parameters.early_stopping else np.inf
        self.best_validation_score = -np.inf if parameters.early_stopping else None

    def add_epoch(self, row: Mapping[str, float], n_rows: int) -> None:
        """Add the values of an epoch that trained on `n_rows` rows."""
        self.n_iter += 1
        self.t += n_rows
        self.loss = row["loss"]
        self.loss_curve.append(row["loss"])
        if "val_score" in row and self.validation_scores is not None:
            self.validation_scores.append(row["val_score"])
        append_row(self.history, row)

    def add_epochs(self, columns: Mapping[str, list[float]], n_rows: int) -> None:
        """Add the values of several epochs, one list per name, which trained on `n_rows` each."""
        n_epochs, n_before = len(columns["loss"]), len(self.loss_curve)
        self.n_iter += n_epochs
        self.t += n_epochs * n_rows
        self.loss = columns["loss"][-1]
        self.loss_curve.extend(columns["loss"])
        for name in columns:
            self.history.setdefault(name, [math.nan] * n_before)
        for name, column in self.history.items():
            column.extend(columns.get(name, [math.nan] * n_epochs))

    @property
    def optimizer_state(self) -> OptimizerState | None:
        """Return the state that the next partial_fit needs, without native objects."""
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
        """Return what is not in `attributes`, as plain values and arrays, for pickling."""
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
        """Rebuild a record from the results of `describe` and `attributes`; weights are copied."""
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
    """Base class of objects that publish a FitRecord as scikit-learn's fitted attributes.

    Pickles and copies contain the weights as `coefs_` and `intercepts_`, and everything else as
    plain values and arrays: they survive changes to this package and share nothing with the
    original.
    """

    _record: FitRecord | None = None

    def _adopt(self, record: FitRecord) -> None:
        """Set the record of this object, and publish it."""
        self._record = record
        self._publish()

    def _publish(self) -> None:
        """Set scikit-learn's fitted attributes; this is the only place that does."""
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
    """Append a row to columns of equal length; missing columns and values become NaN."""
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
        Its metrics of an epoch are replaced by those of the estimator.
    n_rows : int
        Number that every epoch adds to `t`: the training rows; 0 with L-BFGS, as in scikit-learn.
    validator : Validator or None
    loss_scale : float
        Divisor of the mean loss per row: scikit-learn reports the squared error as a mean over the
        outputs, but its gradient is that of the sum.
    has_accuracy : bool
        Whether the count of correct rows in a batch is an accuracy.
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
        """Names of the columns of `history_` that every epoch fills."""
        accuracy = ["accuracy"] if self.has_accuracy else []
        validation = [] if self.validator is None else self.validator.names
        return ["loss", *accuracy, "learning_rate", "seconds", *validation]

    def after_epoch(self, training: Training) -> bool | None:
        """Evaluate the epoch; store the results in ``training.metrics`` and `history_`."""
        trainer = self.trainer
        metrics = trainer.metrics
        loss = metrics["loss"] / self.loss_scale + (metrics["cost"] - metrics["loss"])
        row = {"loss": loss}
        if self.has_accuracy and trainer.last_epoch is not None:
            row["accuracy"] = trainer.last_epoch.mean(trainer.last_epoch.accuracies)
        row |= {name: metrics[name] for name in ("learning_rate", "seconds")}
        if self.validator is not None:
            row |= self.validator.measure(trainer)
        trainer.metrics = row
        self.record.add_epoch(row, self.n_rows)
        return None

    def state(self) -> Mapping[str, Any]:
        """Return the values of all epochs."""
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
        """Continue with the values of a checkpoint."""
        record, names, scores = self.record, state["names"], state["validation_scores"]
        curve, table = _numbers(state, "loss_curve", 1), _numbers(state, "history", 2)
        if table.shape != (len(names), len(curve)):
            raise ValueError("history and loss curve must have the same number of epochs")
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
    """Return an array of a state after checking it: a forged checkpoint may contain anything."""
    array = state[name]
    if not (isinstance(array, np.ndarray) and array.dtype == np.float64):
        raise TypeError(f"{name} must be an array of float64")
    if array.ndim != n_dimensions:
        raise ValueError(f"{name} must have {n_dimensions} dimension(s); got {array.ndim}")
    return array
