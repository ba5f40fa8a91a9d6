"""Training with a time limit: the schedule depends on seconds instead of epochs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training
from fastmlp.schedules import SCHEDULES

Clock = Callable[[], float]

STEPS = 1000
"""The schedule's positions between the first and the last second."""


class Pace(EpochCallback):
    """Stops a run at its time limit, when the learning rate reaches the end of the schedule.

    Parameters
    ----------
    seconds : float
        Time of the training; it ends before an epoch that would probably take it beyond.
    peak : float
        Largest learning rate.
    schedule : str
        See :mod:`fastmlp.schedules`.
    clock : callable
        Seconds; called in the thread that trains.
    renew : callable, optional
        Called before every epoch, on this time: changes the rows in place.
    measure : callable, optional
        ``measure(trainer) -> float`` after every epoch, not on this time.
    report : callable, optional
        Called with the seconds used after every epoch.
    stop : threading.Event, optional
        Ends the training early when it is set.

    Attributes
    ----------
    seconds_used, rates, measured : list of float
        By epoch: seconds since the beginning, learning rate, and what `measure` said.
    """

    def __init__(
        self,
        seconds: float,
        peak: float,
        schedule: str,
        clock: Clock,
        *,
        renew: Callable[[], None] | None = None,
        measure: Callable[[], float] | None = None,
        report: Callable[[float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._seconds, self._peak, self._schedule = seconds, peak, SCHEDULES[schedule]
        self._clock, self._renew, self._measure, self._report = clock, renew, measure, report
        self._stop = threading.Event() if stop is None else stop
        self._start = clock()
        self.seconds_used: list[float] = []
        self.rates: list[float] = []
        self.measured: list[float] = []

    def before_epoch(self, training: Training) -> None:
        """Renew the rows, and set the rate for the estimated middle of the epoch."""
        used = self._clock() - self._start
        if self._renew is not None:
            self._renew()
        epoch = used / len(self.seconds_used) if self.seconds_used else 0.0
        position = round(STEPS * min((used + epoch / 2) / self._seconds, 1.0))
        training.learning_rate = self._schedule(self._peak, 0.0, position, STEPS)
        self.rates.append(training.learning_rate)

    def after_epoch(self, training: Training) -> bool:
        """Stop if the time limit is reached."""
        now = self._clock()
        self.seconds_used.append(now - self._start)
        if self._measure is not None:
            self.measured.append(self._measure())
            self._start += self._clock() - now
        used, n_epochs = self.seconds_used[-1], len(self.seconds_used)
        if self._report is not None:
            self._report(used)
        return self._stop.is_set() or used + used / n_epochs > self._seconds


class Shifts:
    """Images shifted by whole pixels, differently in every epoch, padded with black.

    Parameters
    ----------
    images : ndarray of shape (n, side * side)
        As stored; copied.
    reach : int
        Every image moves by -reach … reach pixels, down and right.
    highest : float
        Value of a white pixel.
    rng : Generator
    """

    def __init__(
        self, images: NDArray[Any], reach: int, highest: float, rng: np.random.Generator
    ) -> None:
        self._side = round(images.shape[1] ** 0.5)
        square = images.reshape(-1, self._side, self._side)
        self._padded = np.pad(square, ((0, 0), (reach, reach), (reach, reach)))
        self._moved = np.empty_like(square)
        self._reach, self._scale, self._rng = reach, np.float32(1 / highest), rng

    def into(self, out: NDArray[np.float32]) -> None:
        """Write newly moved images, white as 1, into `out` (n, side * side)."""
        width = 2 * self._reach + 1
        choice = self._rng.integers(width**2, size=len(out))
        for i in range(width**2):
            (rows,), (down, right) = np.nonzero(choice == i), divmod(i, width)
            window = (slice(down, down + self._side), slice(right, right + self._side))
            self._moved[rows] = self._padded[(rows, *window)]
        np.multiply(
            self._moved.reshape(out.shape), self._scale, out=out, dtype=np.float32, casting="unsafe"
        )
