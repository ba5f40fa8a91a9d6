"""Convergence and adaptive learning rates by scikit-learn's rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training
from fastmlp.callbacks.stopping import checked_weights, direction, monitored
from fastmlp.estimators.parameters import Parameters
from fastmlp.estimators.records import FitRecord

SMALLEST_ADAPTIVE_RATE = 1e-6
ADAPTIVE_FACTOR = 5.0
BEST = ("best_epoch", "best_loss", "best_validation_score")


class Convergence(EpochCallback):
    """Adapts the learning rate after every epoch, and stops when the loss no longer improves.

    Parameters
    ----------
    record : FitRecord
        Its `monitor` names the entry of ``training.metrics`` that must improve. The values of the
        best epoch are written to it.
    parameters : Parameters
    show : callable or None
        Called with a sentence that explains why training stops or the rate changes.
    """

    def __init__(
        self, record: FitRecord, parameters: Parameters, show: Callable[[str], object] | None
    ) -> None:
        self.record, self.parameters, self.show = record, parameters, show
        self.keeps_best = parameters.early_stopping

    def before_training(self, training: Training) -> None:
        """Store the initial weights, in case no epoch improves on them."""
        if self.keeps_best and self.record.best_parameters is None:
            self.record.best_parameters = training.copy_weights()

    def after_epoch(self, training: Training) -> bool | None:
        """Count the epochs without improvement; adapt the rate; stop."""
        record, parameters = self.record, self.parameters
        value = monitored(record.monitor, training.metrics)
        if record.plateau.update(value * direction(record.monitor)):
            self._remember(training, value)
        rate = "constant" if parameters.solver == "adam" else parameters.learning_rate
        if rate == "invscaling":
            training.learning_rate = (
                float(parameters.learning_rate_init) / (record.t + 1) ** parameters.power_t
            )
        if not record.plateau.is_over:
            return False
        return self._stop(training, adaptive=rate == "adaptive")

    def _remember(self, training: Training, value: float) -> None:
        record = self.record
        record.best_epoch = len(record.loss_curve) - 1
        if self.keeps_best:
            record.best_validation_score = training.metrics["val_score"]
            record.best_parameters = training.copy_weights()
        else:
            record.best_loss = value

    def _stop(self, training: Training, *, adaptive: bool) -> bool:
        """Stop training, or continue with a lower rate."""
        names = {"val_score": "Validation score", "loss": "Training loss"}  # as in scikit-learn
        reason = (
            f"{names.get(self.record.monitor, self.record.monitor)} did not improve more than "
            f"tol={self.parameters.tol:f} for {self.parameters.n_iter_no_change} consecutive epochs"
        )
        if not adaptive:
            self._show(f"{reason}. Stopping.")
            return True
        if training.learning_rate <= SMALLEST_ADAPTIVE_RATE:
            self._show(f"{reason}. Learning rate too small. Stopping.")
            return True
        training.learning_rate /= ADAPTIVE_FACTOR
        self.record.plateau.count = 0
        self._show(f"{reason}. Setting learning rate to {training.learning_rate:f}")
        return False

    def _show(self, sentence: str) -> None:
        if self.show is not None:
            self.show(sentence)

    def after_training(self, training: Training) -> None:
        """Restore the best weights."""
        if self.keeps_best:
            training.set_weights(self.record.best_parameters)

    def state(self) -> Mapping[str, Any]:
        """Return the best epoch, and how long ago it was."""
        return {f"{name}_": getattr(self.record, name) for name in BEST} | {
            "plateau": self.record.plateau.state(),
            "best_parameters": self.record.best_parameters,
        }

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Continue from the best epoch of a checkpoint."""
        best = checked_weights(state["best_parameters"], training.copy_weights())
        if best is None and self.keeps_best:
            raise ValueError("best_parameters must not be None with early stopping")
        self.record.plateau.restore(state["plateau"])
        for name in BEST:
            value = state[f"{name}_"]
            if not isinstance(value, float | int | None):
                raise TypeError(f"{name}_ must be a number or None")
            setattr(self.record, name, value)
        self.record.best_parameters = best
