"""LearningRateScheduler: the learning rate of every epoch by a custom function."""

from __future__ import annotations

from collections.abc import Callable

from fastmlp._checks import (
    check_number,
    shown,
)
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training


class LearningRateScheduler(EpochCallback):
    """Set the learning rate of every epoch by a custom function.

    Parameters
    ----------
    rate : callable
        ``rate(epoch, learning_rate) -> float``: the rate >= 0 of `epoch`, counted from 0, given the
        current rate. The trainer's own schedule is applied on top.

    Examples
    --------
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch % 10 == 9 else rate)
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(self, rate: Callable[[int, float], float]) -> None:
        if not callable(rate):
            raise TypeError(f"rate must be callable with (epoch, learning_rate); got {shown(rate)}")
        self.rate = rate

    def before_epoch(self, training: Training) -> None:
        """Set the rate of the coming epoch."""
        rate = self.rate(training.epochs_done, training.learning_rate)
        training.learning_rate = check_number("rate(epoch, learning_rate)", rate)
