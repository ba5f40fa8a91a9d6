"""Callbacks: what runs between the epochs of a training.

A callback is any callable ``callback(trainer)``, called after every epoch, that ends the training
by returning True; or an :class:`EpochCallback` where more hooks or a memory are wanted. Numbers
about the epoch are in ``trainer.metrics``. All cost is per epoch, never per batch.

What ends a training: :class:`EarlyStopping`, :class:`TargetReached`, :class:`TimeBudget`. What
keeps it from being lost: :class:`fastmlp.Checkpoint`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._checks import check_choice, check_flag, check_integer, check_number, check_seconds
from fastmlp.callbacks.plateau import Plateau

if TYPE_CHECKING:
    from fastmlp._types import Array
    from fastmlp.training.trainer import Trainer

MODES = ("auto", "min", "max")


class EpochCallback:
    """Hooks around the epochs of a training; every one does nothing unless a subclass says so.

    Given to an estimator's `set_callbacks`, every fit works on a copy of its own, so that one
    object can serve many estimators at once.

    Attributes
    ----------
    ends_for_good : bool
        Whether a training that this callback has ended is over, also for a `resume`.
    """

    ends_for_good = True

    def before_training(self, trainer: Trainer) -> None:
        """Called once, before the first epoch: forget earlier trainings."""

    def before_epoch(self, trainer: Trainer) -> None:
        """Called before every epoch; may change ``trainer.learning_rate``."""

    def after_epoch(self, trainer: Trainer) -> bool | None:
        """Called after every epoch; True ends the training."""
        return None

    def after_training(self, trainer: Trainer) -> None:
        """Called once when the training ends, by whatever reason."""

    # What a checkpoint keeps of a callback, see fastmlp.Checkpoint.

    def settings(self) -> Mapping[str, Any] | None:
        """What a resumed training must give this callback again, as plain values by name.

        None for one that may come and go, because it has no part in the course of the training.
        """
        return {}

    def state(self) -> Mapping[str, Any]:
        """What this callback has learned so far, for `restore`, by name.

        Called twice an epoch. Values: None, booleans, numbers, texts, lists, tuples and mappings of
        these, arrays (float32, float64, int64 or uint64), or functions without arguments that
        return one of these, called if a checkpoint is written. Replace arrays, never change them:
        the checkpoint may be written later.
        """
        return {}

    def restore(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """Go on from `state`, after `before_training`.

        Raises
        ------
        ValueError, TypeError, AttributeError, LookupError, ArithmeticError
            Where the state is not one; `fit` raises ModelFormatError then.
        """

    # scikit-learn's `set_callbacks` and `clone` accept objects with these four hooks only. They do
    # nothing: the estimators call the hooks above.

    def setup(self, estimator: object, context: object) -> None:
        """Part of scikit-learn's protocol; not used."""

    def on_fit_task_begin(self, estimator: object, context: object) -> None:
        """Part of scikit-learn's protocol; not used."""

    def on_fit_task_end(self, estimator: object, context: object) -> bool:
        """Part of scikit-learn's protocol; not used."""
        return False

    def teardown(self, estimator: object, context: object) -> None:
        """Part of scikit-learn's protocol; not used."""


Callback = EpochCallback | Callable[["Trainer"], object]


class _AfterEpoch(EpochCallback):
    """A callable as a callback."""

    def __init__(self, call: Callable[[Trainer], object]) -> None:
        self.call = call

    def after_epoch(self, trainer: Trainer) -> bool | None:
        return self.call(trainer) is True

    def settings(self) -> None:
        """Nothing is known of a function: it may be another one."""


def as_epoch_callback(callback: Callback) -> EpochCallback:
    """The callback itself, or the callable as one."""
    if isinstance(callback, EpochCallback):
        return callback
    if not callable(callback):
        raise TypeError(f"callbacks must be callables or EpochCallbacks; got {callback!r}")
    return _AfterEpoch(callback)


@contextmanager
def around_training(callbacks: Sequence[EpochCallback], trainer: Trainer) -> Iterator[None]:
    """`before_training` of all; at the end `after_training` of all that began, in the same order.

    One that raises keeps no other from its end. The last exception is raised, with the others as
    its context.
    """
    begun: list[EpochCallback] = []
    try:
        for callback in callbacks:
            callback.before_training(trainer)
            begun.append(callback)
        yield
    finally:
        with ExitStack() as ends:
            for callback in reversed(begun):
                ends.callback(callback.after_training, trainer)


def monitored(name: str, metrics: Mapping[str, float]) -> float:
    """The number of this name among `metrics`.

    Raises
    ------
    ValueError
        Naming those there are.
    """
    if name not in metrics:
        raise ValueError(f"monitor must be one of {', '.join(map(repr, metrics))}; got {name!r}")
    return metrics[name]


class EarlyStopping(EpochCallback):
    """End the training when a number stops improving, and go back to the best weights.

    Parameters
    ----------
    monitor : str
        A name in ``trainer.metrics``: ``loss``; of a Trainer also ``cost`` and ``error``, with
        ``test_data`` ``test_cost`` and ``test_accuracy``; with an estimator's validation set
        ``val_loss`` and ``val_score``.
    patience : int >= 0
        Epochs without improvement that are borne; the next one ends the training.
    tol : float >= 0
        Less than this is no improvement.
    mode : {"auto", "min", "max"}
        Which direction is better; "auto" takes "min" for ``error`` and names that end
        in loss or cost.
    restore_best : bool
        Put the weights of the best epoch into the network when the training ends.

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

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        tol: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.monitor = monitor
        self.patience = check_integer("patience", patience, minimum=0)
        self.tol = check_number("tol", tol)
        self.mode = check_choice("mode", mode, MODES)
        self.restore_best = check_flag("restore_best", restore_best)
        self.best_epoch: int | None = None
        self.best_value: float | None = None

    def before_training(self, trainer: Trainer) -> None:
        """Forget earlier trainings."""
        self.best_epoch = self.best_value = None
        self._plateau = Plateau(self.tol, self.patience)
        self._best: Array | None = None

    def after_epoch(self, trainer: Trainer) -> bool | None:
        """Look at the number; stop after `patience` epochs in a row without improvement."""
        value = monitored(self.monitor, trainer.metrics)
        if self._plateau.update(value * direction(self.monitor, self.mode)):
            self.best_epoch, self.best_value = trainer.epochs_done - 1, value
            if self.restore_best:
                self._best = np.copy(trainer.network.parameters)
        return self._plateau.is_over

    def after_training(self, trainer: Trainer) -> None:
        """Go back to the best weights."""
        if self._best is not None:
            trainer.network.parameters[...] = self._best
        self._best = None

    def settings(self) -> Mapping[str, Any]:
        """The parameters."""
        names = ("monitor", "patience", "tol", "mode", "restore_best")
        return {name: getattr(self, name) for name in names}

    def state(self) -> Mapping[str, Any]:
        """The best epoch, and how long ago it was."""
        return {
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "plateau": self._plateau.state(),
            "best_parameters": self._best,
        }

    def restore(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """Remember the best epoch."""
        self._best = as_parameters(trainer, state["best_parameters"])
        self._plateau.restore(state["plateau"])
        self.best_epoch, self.best_value = state["best_epoch"], state["best_value"]


class TargetReached(EpochCallback):
    """End the training when a number is good enough.

    Parameters
    ----------
    target : float
        The training ends after the first epoch in which the number is as good as this.
    monitor : str
        A name in ``trainer.metrics``, as for :class:`EarlyStopping`; ``error`` is the mean of
        abs(y - a) over outputs and training rows, each row counted when its batch came up.
    mode : {"auto", "min", "max"}
        As for :class:`EarlyStopping`.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range; before the second epoch, for a name that is not measured.

    Examples
    --------
    >>> stop = TargetReached(0.98, monitor="test_accuracy")
    """

    def __init__(self, target: float, *, monitor: str = "error", mode: str = "auto") -> None:
        self.target = check_number("target", target, minimum=-np.inf)
        self.monitor, self.mode = monitor, check_choice("mode", mode, MODES)

    def after_epoch(self, trainer: Trainer) -> bool | None:
        """Compare."""
        sign = direction(self.monitor, self.mode)
        return sign * monitored(self.monitor, trainer.metrics) >= sign * self.target

    def settings(self) -> Mapping[str, Any]:
        """The parameters."""
        return {"target": self.target, "monitor": self.monitor, "mode": self.mode}


class TimeBudget(EpochCallback):
    """End the training after the first epoch that ends when its time is over.

    Time counts from the beginning of the training, everything between the epochs included; of a
    training that is resumed, also the time up to the checkpoint. How many epochs that makes depends
    on the machine: only what is done in them is the same again. A training that it has ended goes
    on when it is resumed with a larger budget, or without one.

    Parameters
    ----------
    budget : float or str
        Seconds > 0, or a text such as "90s", "15min" or "2h".

    Raises
    ------
    ValueError, TypeError
        For other budgets.
    """

    ends_for_good = False

    def __init__(self, budget: float | str) -> None:
        self.seconds = check_seconds("budget", budget)

    def before_training(self, trainer: Trainer) -> None:
        """Look at the clock."""
        self._start = time.monotonic()

    def after_epoch(self, trainer: Trainer) -> bool | None:
        """Look again."""
        return time.monotonic() - self._start >= self.seconds

    def settings(self) -> None:
        """A budget may be another one when a training is resumed."""

    def state(self) -> Mapping[str, Any]:
        """Seconds since the beginning."""
        return {"seconds": time.monotonic() - self._start}

    def restore(self, trainer: Trainer, state: Mapping[str, Any]) -> None:
        """Count the seconds before."""
        self._start = time.monotonic() - check_number("seconds", state["seconds"])


class LearningRateScheduler(EpochCallback):
    """Set the learning rate of every epoch by a function of one's own.

    Parameters
    ----------
    rate : callable
        ``rate(epoch, learning_rate) -> float``: the rate >= 0 of `epoch`, counted from 0, from the
        rate that is in force. The trainer's own schedule is applied on top.

    Examples
    --------
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch % 10 == 9 else rate)
    """

    def __init__(self, rate: Callable[[int, float], float]) -> None:
        if not callable(rate):
            raise TypeError(f"rate must be callable with (epoch, learning_rate); got {rate!r}")
        self.rate = rate

    def before_epoch(self, trainer: Trainer) -> None:
        """Ask for the rate of the coming epoch."""
        rate = self.rate(trainer.epochs_done, trainer.learning_rate)
        trainer.learning_rate = check_number("rate(epoch, learning_rate)", rate)


def direction(name: str, mode: str = "auto") -> int:
    """1 where larger is better, -1 where smaller is."""
    if mode == "auto":
        is_small = name.endswith(("loss", "cost")) or name == "error"
        mode = "min" if is_small and "neg_" not in name else "max"  # scikit-learn's neg_log_loss
    return 1 if mode == "max" else -1


def as_parameters(trainer: Trainer, array: Any) -> Array | None:
    """An array from a checkpoint as parameters of the trainer's network; None stays None.

    Raises
    ------
    ValueError
        Where it cannot be that.
    """
    parameters = trainer.network.parameters
    if array is None:
        return None
    if (
        not isinstance(array, np.ndarray)
        or (array.dtype, array.shape) != (parameters.dtype, parameters.shape)
        or not np.isfinite(array).all()
    ):
        raise ValueError(f"parameters must be {len(parameters)} finite {parameters.dtype} numbers")
    return array
