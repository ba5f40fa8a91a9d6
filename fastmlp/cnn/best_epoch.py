"""BestEpoch: a callback that restores the best epoch when a training run ends."""

from __future__ import annotations

import math
from typing import Any

from fastmlp.callbacks.base import EpochCallback
from fastmlp.cnn.state import TrainingState


class BestEpoch(EpochCallback):
    """Keep the state after the epoch with the highest accuracy, and restore it at the end.

    The accuracy is that on the ``validation_data`` of the fit; on images that choose the epoch it
    is no longer an unbiased estimate. Weights, optimizer and `epochs_done` are those of that epoch
    afterwards, so that a further fit continues from there; the history has all epochs. The first of
    several equal epochs is kept.

    Attributes
    ----------
    epoch : int
        The epoch that is kept, counted like ``epochs_done``; 0 before there is one.
    accuracy : float
        Of that epoch; NaN before there is one.
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    def __init__(self) -> None:
        self.epoch, self.accuracy = 0, math.nan
        self._state: TrainingState | None = None

    def before_training(self, trainer: Any) -> None:
        """Reset the state of earlier training runs."""
        self.epoch, self.accuracy, self._state = 0, math.nan, None

    def after_epoch(self, trainer: Any) -> None:
        """Keep the state if it is the best so far."""
        accuracy = trainer.metrics["val_accuracy"]
        if not accuracy <= self.accuracy:
            self.epoch, self.accuracy = trainer.epochs_done, accuracy
            self._state = TrainingState(trainer.model)

    def after_training(self, trainer: Any) -> None:
        """Restore the best state."""
        if self._state is not None:
            self._state.restore(trainer.model)
            trainer.epochs_done = self.epoch
