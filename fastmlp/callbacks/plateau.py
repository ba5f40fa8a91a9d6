"""When a number, of which more is better, has stopped improving: scikit-learn's rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Plateau:
    """Counts epochs without an improvement of at least `tol` over the best value.

    A value v counts as no improvement where v < best + tol. The best value itself follows every
    v > best, so that many small steps never add up to an improvement. NaN restarts the count.

    Attributes
    ----------
    tol : float
    patience : float
        Number of epochs without improvement to tolerate; may be infinite.
    best : float
    count : int
        Epochs in a row without improvement.
    """

    tol: float
    patience: float
    best: float = -math.inf
    count: int = 0

    def update(self, value: float) -> bool:
        """Take in the next value; return whether it is the best so far."""
        self.count = self.count + 1 if value < self.best + self.tol else 0
        is_best = value > self.best
        if is_best:
            self.best = value
        return is_best

    @property
    def is_over(self) -> bool:
        """Whether the patience is exhausted."""
        return self.count > self.patience

    def state(self) -> tuple[float, int]:
        """Best value and count, for `restore`."""
        return self.best, self.count

    def restore(self, state: Any) -> None:
        """Continue from a state.

        Raises
        ------
        ValueError
            Where it is none.
        """
        match state:
            case (float(best), int(count)) if count >= 0:
                self.best, self.count = best, count
            case _:
                raise ValueError("a plateau's state must be its best value and a count")
