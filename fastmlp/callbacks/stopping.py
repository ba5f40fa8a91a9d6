"""Callbacks that end a training run: EarlyStopping, TargetReached and TimeBudget."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp._checks import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_seconds,
    check_string,
)
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.plateau import Plateau
from fastmlp.callbacks.protocol import Training

MODES = ("auto", "min", "max")


def monitored(name: str, metrics: Mapping[str, float]) -> float:
    """The number of this name among `metrics`.

    Raises
    ------
    ValueError
        Naming those there are.
    """
    return metrics[check_choice("monitor", name, metrics)]


class EarlyStopping(EpochCallback):
    """End the run when a number stops improving, and restore the best weights.

    Parameters
    ----------
    monitor : str
        A name in ``training.metrics``: ``loss``; of a Trainer also ``cost`` and ``error``, with
        ``validation_data`` ``val_cost`` and ``val_accuracy``; with an estimator's validation set
        ``val_loss`` and ``val_score``.
    patience : int >= 0
        Number of epochs without improvement to tolerate; the next one ends the run.
    tol : float >= 0
        Smallest change that counts as an improvement.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" takes "min" for ``error`` and names that end
        in loss or cost.
    restore_best : bool
        Restore the weights of the best epoch when the run ends.

    Attributes
    ----------
    best_epoch : int or None
        The epoch with the best value, counted from 0.
    best_value : float or None

    Raises
    ------
    ValueError, TypeError
        For arguments out of range; before the second epoch, for a name that is not measured.
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        tol: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.monitor = check_string("monitor", monitor)
        self.patience = check_integer("patience", patience, minimum=0)
        self.tol = check_number("tol", tol)
        self.mode = check_choice("mode", mode, MODES)
        self.restore_best = check_flag("restore_best", restore_best)
        self.best_epoch: int | None = None
        self.best_value: float | None = None

    def before_training(self, training: Training) -> None:
        """Forget earlier runs."""
        self.best_epoch = self.best_value = None
        self._plateau = Plateau(self.tol, self.patience)
        self._best: Any = None

    def after_epoch(self, training: Training) -> bool | None:
        """Stop after `patience` epochs in a row without improvement."""
        value = monitored(self.monitor, training.metrics)
        if self._plateau.update(value * direction(self.monitor, self.mode)):
            self.best_epoch, self.best_value = training.epochs_done - 1, value
            if self.restore_best:
                self._best = training.copy_weights()
        return self._plateau.is_over

    def after_training(self, training: Training) -> None:
        """Restore the best weights."""
        if self._best is not None:
            training.set_weights(self._best)
        self._best = None

    def settings(self) -> Mapping[str, Any]:
        """Return the parameters."""
        names = ("monitor", "patience", "tol", "mode", "restore_best")
        return {name: getattr(self, name) for name in names}

    def state(self) -> Mapping[str, Any]:
        """Return the best epoch, and how long ago it was."""
        return {
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "plateau": self._plateau.state(),
            "best_parameters": self._best,
        }

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Continue from the best epoch of the checkpoint."""
        self._best = checked_weights(state["best_parameters"], training.copy_weights())
        self._plateau.restore(state["plateau"])
        self.best_epoch, self.best_value = state["best_epoch"], state["best_value"]


class TargetReached(EpochCallback):
    """End the run when a number is good enough.

    Parameters
    ----------
    target : float
        The run ends after the first epoch in which the number is as good as this.
    monitor : str
        A name in ``training.metrics``, as for :class:`EarlyStopping`; ``error`` is the mean of
        abs(y - a) over outputs and training rows, each row counted when its batch came up.
    mode : {"auto", "min", "max"}
        As for :class:`EarlyStopping`.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range; before the second epoch, for a name that is not measured.

    Examples
    --------
    >>> stop = TargetReached(0.98, monitor="val_accuracy")
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(self, target: float, *, monitor: str = "error", mode: str = "auto") -> None:
        self.target = check_number("target", target, minimum=-np.inf)
        self.monitor = check_string("monitor", monitor)
        self.mode = check_choice("mode", mode, MODES)

    def after_epoch(self, training: Training) -> bool | None:
        """Compare the number with the target."""
        sign = direction(self.monitor, self.mode)
        return sign * monitored(self.monitor, training.metrics) >= sign * self.target

    def settings(self) -> Mapping[str, Any]:
        """Return the parameters."""
        return {"target": self.target, "monitor": self.monitor, "mode": self.mode}


class TimeBudget(EpochCallback):
    """End the run after the first epoch that ends when its time is over.

    Time counts from the beginning of the run, everything between the epochs included; a resumed
    run counts the time up to the checkpoint too. The number of epochs depends on the machine; what
    happens in each of them does not. A run that ended this way continues when it is resumed with a
    larger budget, or without one.

    Parameters
    ----------
    budget : float or str
        Seconds > 0, or a string such as "90s", "15min" or "2h".

    Raises
    ------
    ValueError, TypeError
        For other budgets.
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    ends_for_good = False

    def __init__(self, budget: float | str) -> None:
        self.seconds = check_seconds("budget", budget)

    def before_training(self, training: Training) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def after_epoch(self, training: Training) -> bool | None:
        """End the run when the time is over."""
        return time.monotonic() - self._start >= self.seconds

    def settings(self) -> None:
        """Return None: the budget may change when a run is resumed."""

    def state(self) -> Mapping[str, Any]:
        """Return the seconds since the beginning."""
        return {"seconds": time.monotonic() - self._start}

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Continue with the seconds counted before the checkpoint."""
        self._start = time.monotonic() - check_number("seconds", state["seconds"])


def direction(name: str, mode: str = "auto") -> int:
    """1 where larger is better, -1 where smaller is."""
    if mode == "auto":
        is_small = name.endswith(("loss", "cost")) or name == "error"
        mode = "min" if is_small and "neg_" not in name else "max"  # scikit-learn's neg_log_loss
    return 1 if mode == "max" else -1


def checked_weights(weights: Any, like: Any) -> Any:
    """Return `weights` from a checkpoint, which must be finite, with the dtype and shape of `like`.

    Raises
    ------
    ValueError
        Where they have not; None stays None.
    """
    if weights is None:
        return None
    if (
        not isinstance(weights, np.ndarray)
        or (weights.dtype, weights.shape) != (like.dtype, like.shape)
        or not np.isfinite(weights).all()
    ):
        raise ValueError(f"parameters must be {len(like)} finite {like.dtype} numbers")
    return weights
