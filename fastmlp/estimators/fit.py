"""Fit: everything that a solver needs for one fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks.base import EpochCallback
from fastmlp.data.reader import WindowReader
from fastmlp.engine.rows import Rows
from fastmlp.estimators.parameters import Parameters
from fastmlp.estimators.records import FitRecord
from fastmlp.estimators.validation import Validator
from fastmlp.losses import Loss
from fastmlp.training.checkpoints.document import SavedTraining
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.feeds import Feed


@dataclass(frozen=True)
class Fit:
    """Everything that a solver needs for one fit.

    Attributes
    ----------
    parameters : Parameters
        The estimator, read only.
    record : FitRecord
        Record to which the results are written.
    publish : callable
        Called after every epoch, when it has been recorded.
    train : Rows, WindowReader or Feed
        Checked rows, or the reader of a source, with a stochastic solver.
    row_index : ndarray of int or None
        Indices of the training rows in `train`; None for all.
    validator : Validator or None
    loss : Loss
    loss_scale : float
        Divisor of the reported loss.
    has_accuracy : bool
        Whether the count of correct rows in a batch is an accuracy.
    random_state : RandomState
        Source of the shuffling.
    callbacks : sequence of EpochCallback
        Callbacks set by the user.
    incremental : bool
        Train for one epoch, starting from the current optimizer state.
    fingerprint : Fingerprint or None
        Fingerprint for comparison with checkpoints; None without checkpoints.
    saved : SavedTraining or None
        The checkpoint from which to resume.
    """

    parameters: Parameters
    record: FitRecord
    publish: Callable[[], None]
    train: Rows | WindowReader | Feed
    row_index: NDArray[np.intp] | None
    validator: Validator | None
    loss: Loss
    loss_scale: float
    has_accuracy: bool
    random_state: np.random.RandomState
    callbacks: Sequence[EpochCallback]
    incremental: bool
    fingerprint: Fingerprint | None
    saved: SavedTraining | None

    @property
    def n_rows(self) -> int:
        """Number of rows to train on."""
        if not isinstance(self.train, Rows):
            return self.train.n_rows
        return len(self.train.x) if self.row_index is None else len(self.row_index)

    @property
    def rows(self) -> Rows:
        """The rows in memory; not of a source."""
        assert isinstance(self.train, Rows)
        return self.train
