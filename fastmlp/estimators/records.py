"""What an estimator does between two epochs: its records, its learning rate, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_integer
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.plateau import Plateau
from fastmlp.callbacks.protocol import Training
from fastmlp.callbacks.stopping import checked_weights, direction, monitored
from fastmlp.estimators.validation import Validator
from fastmlp.estimators.verbose import Report
from fastmlp.training.trainer import Trainer

SMALLEST_ADAPTIVE_RATE = 1e-6
ADAPTIVE_FACTOR = 5.0
BEST = ("best_epoch_", "best_loss_", "best_validation_score_")


def append_row(table: dict[str, list[float]], row: dict[str, float]) -> None:
    """Add a row to columns of equal length; NaN where a column or a value is missing."""
    n_rows = len(next(iter(table.values()), []))
    for name in row:
        table.setdefault(name, [math.nan] * n_rows)
    for name, column in table.items():
        column.append(row.get(name, math.nan))


def _first(records: list[float], n: int) -> NDArray[np.float64]:
    return np.array(records[:n], np.float64)


def _first_rows(table: Mapping[str, list[float]], names: list[str], n: int) -> NDArray[np.float64]:
    return np.array([table[name][:n] for name in names], np.float64).reshape(len(names), n)


def _records(state: Mapping[str, Any], name: str, n_dimensions: int) -> NDArray[np.float64]:
    """An array of a state, which a forged checkpoint may have as anything."""
    array = state[name]
    if not (isinstance(array, np.ndarray) and array.dtype == np.float64):
        raise TypeError(f"{name} must be an array of float64")
    if array.ndim != n_dimensions:
        raise ValueError(f"{name} must have {n_dimensions} dimension(s); got {array.ndim}")
    return array


class Bookkeeper(EpochCallback):
    """Keeps an estimator's records, scikit-learn's and `history_`, after every epoch.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its attributes are written.
    trainer : Trainer
    n_rows : int
        Rows that an epoch adds to `t_`: those trained on; 0 with L-BFGS, as in scikit-learn.
    validator : Validator or None
    report : Report
        Shows every epoch.
    loss_scale : float
        What the mean loss per row is divided by: scikit-learn's squared error is a mean over the
        outputs, and so is the loss that it shows, but not its gradient.
    has_accuracy : bool
        Whether the batches' hits are an accuracy.
    """

    def __init__(
        self,
        estimator: Any,
        trainer: Trainer,
        n_rows: int,
        *,
        validator: Validator | None,
        report: Report,
        loss_scale: float,
        has_accuracy: bool,
    ) -> None:
        self.estimator, self.trainer, self.n_rows = estimator, trainer, n_rows
        self.validator, self.report = validator, report
        self.loss_scale, self.has_accuracy = loss_scale, has_accuracy

    @property
    def names(self) -> list[str]:
        """Of the numbers that every epoch has, in `history_`."""
        accuracy = ["accuracy"] if self.has_accuracy else []
        validation = [] if self.validator is None else self.validator.names
        return ["loss", *accuracy, "learning_rate", "seconds", *validation]

    def after_epoch(self, training: Training) -> bool | None:
        """Measure and write down."""
        estimator, trainer = self.estimator, self.trainer
        metrics = trainer.metrics
        loss = metrics["loss"] / self.loss_scale + (metrics["cost"] - metrics["loss"])
        row = {"loss": loss}
        if self.has_accuracy and trainer.last_epoch is not None:
            row["accuracy"] = trainer.last_epoch.mean(trainer.last_epoch.hits)
        row |= {name: metrics[name] for name in ("learning_rate", "seconds")}
        if self.validator is not None:
            row |= self.validator.measure(trainer)
        trainer.metrics = row
        estimator.n_iter_ += 1
        estimator.t_ += self.n_rows
        self.write(row)
        return None

    def write(self, row: dict[str, float]) -> None:
        """Add an epoch's numbers to the estimator's records."""
        estimator = self.estimator
        estimator.loss_ = row["loss"]
        estimator.loss_curve_.append(row["loss"])
        if "val_score" in row and estimator.validation_scores_ is not None:
            estimator.validation_scores_.append(row["val_score"])
        append_row(estimator.history_, row)
        self.report.epoch(estimator.n_iter_, row)

    def state(self) -> Mapping[str, Any]:
        """The records."""
        estimator, history = self.estimator, self.estimator.history_
        n_epochs, scores = len(estimator.loss_curve_), estimator.validation_scores_
        return {
            "n_iter": estimator.n_iter_,
            "t": estimator.t_,
            "loss": getattr(estimator, "loss_", None),
            "loss_curve": partial(_first, estimator.loss_curve_, n_epochs),
            "validation_scores": scores if scores is None else partial(_first, scores, len(scores)),
            "names": list(history),
            "history": partial(_first_rows, history, list(history), n_epochs),
        }

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Go on with these records."""
        estimator, names, scores = self.estimator, state["names"], state["validation_scores"]
        curve, table = _records(state, "loss_curve", 1), _records(state, "history", 2)
        if table.shape != (len(names), len(curve)):
            raise ValueError("history and loss curve must have the same epochs")
        estimator.n_iter_ = check_integer("n_iter", state["n_iter"], minimum=0)
        estimator.t_ = check_integer("t", state["t"], minimum=0)
        if state["loss"] is not None:
            estimator.loss_ = float(state["loss"])
        estimator.loss_curve_ = curve.tolist()
        if scores is not None:
            scores = _records(state, "validation_scores", 1).tolist()
        estimator.validation_scores_ = scores
        estimator.history_ = {str(name): table[i].tolist() for i, name in enumerate(names)}


class Progress(EpochCallback):
    """scikit-learn's rules between epochs: learning rate, and no more improvement.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    plateau : Plateau
        Its memory, which outlives a fit with warm_start or partial_fit.
    monitor : str
        The number in ``training.metrics`` that has to improve.
    keeps_best : bool
        Whether the weights of the best epoch are put back at the end.
    report : Report
        Shows why training stops.
    """

    def __init__(
        self, estimator: Any, plateau: Plateau, *, monitor: str, keeps_best: bool, report: Report
    ) -> None:
        self.estimator, self.plateau = estimator, plateau
        self.monitor, self.keeps_best, self.report = monitor, keeps_best, report

    def before_training(self, training: Training) -> None:
        """Remember the first weights, in case that no epoch is better."""
        if self.keeps_best and self.estimator._best_parameters is None:
            self.estimator._best_parameters = training.copy_weights()

    def after_epoch(self, training: Training) -> bool | None:
        """Count the epochs without improvement; adapt the rate; stop."""
        value = monitored(self.monitor, training.metrics)
        if self.plateau.update(value * direction(self.monitor)):
            self._remember(training, value)
        estimator = self.estimator
        rate = "constant" if estimator.solver == "adam" else estimator.learning_rate
        if rate == "invscaling":
            training.learning_rate = (
                float(estimator.learning_rate_init) / (estimator.t_ + 1) ** estimator.power_t
            )
        if not self.plateau.is_over:
            return False
        return self._stop(training, adaptive=rate == "adaptive")

    def _remember(self, training: Training, value: float) -> None:
        estimator = self.estimator
        estimator.best_epoch_ = len(estimator.loss_curve_) - 1
        if self.keeps_best:
            estimator.best_validation_score_ = training.metrics["val_score"]
            estimator._best_parameters = training.copy_weights()
        else:
            estimator.best_loss_ = value

    def _stop(self, training: Training, *, adaptive: bool) -> bool:
        """End the training, or go on with a smaller rate."""
        names = {"val_score": "Validation score", "loss": "Training loss"}  # as in scikit-learn
        what = names.get(self.monitor, self.monitor)
        message = (
            f"{what} did not improve more than tol={self.estimator.tol:f} "
            f"for {self.estimator.n_iter_no_change} consecutive epochs."
        )
        if not adaptive:
            self.report.line(f"{message} Stopping.")
            return True
        if training.learning_rate <= SMALLEST_ADAPTIVE_RATE:
            self.report.line(f"{message} Learning rate too small. Stopping.")
            return True
        training.learning_rate /= ADAPTIVE_FACTOR
        self.plateau.count = 0
        self.report.line(f"{message} Setting learning rate to {training.learning_rate:f}")
        return False

    def after_training(self, training: Training) -> None:
        """Put back the best weights."""
        if self.keeps_best:
            training.set_weights(self.estimator._best_parameters)

    def state(self) -> Mapping[str, Any]:
        """The best epoch, and how long ago it was."""
        estimator = self.estimator
        return {name: getattr(estimator, name) for name in BEST} | {
            "plateau": self.plateau.state(),
            "best_parameters": estimator._best_parameters,
        }

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Remember the best epoch."""
        best = checked_weights(state["best_parameters"], training.copy_weights())
        if best is None and self.keeps_best:
            raise ValueError("best_parameters must not be None with early stopping")
        self.plateau.restore(state["plateau"])
        for name in BEST:
            if not isinstance(state[name], float | int | None):
                raise TypeError(f"{name} must be a number or None")
            setattr(self.estimator, name, state[name])
        self.estimator._best_parameters = best
