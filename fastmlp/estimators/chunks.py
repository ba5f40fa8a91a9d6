"""Warnings of `partial_fit` about calls that a learning-rate schedule counts as epochs.

A schedule counts epochs, and so every call of `partial_fit`, unless ``end_of_epoch=False``. Chunks
that are counted use the schedule up long before the rows have been seen often enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmlp.engine.rows import Inputs, SparseRows
from fastmlp.estimators.parameters import ENDING_RATES, SCHEDULED_RATES, Parameters
from fastmlp.estimators.warn import warn

COMPARED_CALLS = 2
"""Chunks are recognized in the second call; later ones cost nothing."""

REMEDY = (
    "for chunks of one epoch, pass end_of_epoch=False with all of them but the last, and set "
    "max_iter to the number of epochs"
)


@dataclass
class CountedCalls:
    """What calls of `partial_fit` with a schedule have looked like, and what was said about it.

    Attributes
    ----------
    n_compared : int
        Number of calls that were looked at.
    rows : tuple of int
        Number of rows of the last call, and a checksum that does not depend on their order.
    warned_of_end : bool
    """

    n_compared: int = 0
    rows: tuple[int, int] = (0, 0)
    warned_of_end: bool = False

    def check(
        self, parameters: Parameters, x: Inputs, epochs_done: int, *, end_of_epoch: bool
    ) -> None:
        """Warn, once each, about chunks that count as epochs and about a schedule that has ended.

        Parameters
        ----------
        parameters : Parameters
            Of the estimator.
        x : ndarray of shape (n, n_features) or SparseRows
            Rows of this call.
        epochs_done : int
            Number of epochs that the schedule has counted before this call.
        end_of_epoch : bool
            As given to `partial_fit`.

        Warns
        -----
        UserWarning
        """
        if parameters.learning_rate in SCHEDULED_RATES or parameters.warmup:
            self._compare(parameters, x, end_of_epoch=end_of_epoch)
        ends = parameters.learning_rate in ENDING_RATES
        if ends and epochs_done >= parameters.max_iter and not self.warned_of_end:
            self.warned_of_end = True
            _warn_of_end(parameters)

    def _compare(self, parameters: Parameters, x: Inputs, *, end_of_epoch: bool) -> None:
        """Warn if the first two calls end an epoch each although their rows differ."""
        if self.n_compared >= COMPARED_CALLS:
            return
        if not end_of_epoch:  # the user knows about epochs
            self.n_compared = COMPARED_CALLS
            return
        before, self.rows = self.rows, (len(x), _checksum(x))
        self.n_compared += 1
        if self.n_compared == COMPARED_CALLS and self.rows != before:
            _warn_of_chunks(parameters)


def _checksum(x: Inputs) -> int:
    """Return the sum of all bit patterns: the same for the same rows in another order."""
    values = x.values if isinstance(x, SparseRows) else x
    return int(values.view(f"u{values.itemsize}").sum(dtype=np.uint64))


def _warn_of_chunks(parameters: Parameters) -> None:
    rate, max_iter = parameters.learning_rate, parameters.max_iter
    is_scheduled = rate in SCHEDULED_RATES
    counter = f"learning_rate={rate!r}" if is_scheduled else f"warmup={parameters.warmup}"
    planned = f", planned for max_iter={max_iter} epochs" if rate in ENDING_RATES else ""
    warn(
        f"partial_fit counts every call as an epoch of {counter}{planned}, but this call has other "
        f"rows than the one before: {REMEDY}. If every call is an epoch of its own, max_iter is "
        "the number of calls."
    )


def _warn_of_end(parameters: Parameters) -> None:
    rate, max_iter = parameters.learning_rate, parameters.max_iter
    left = "0" if rate == "cosine" else "nearly 0"
    warn(
        f"The schedule learning_rate={rate!r} ended after max_iter={max_iter} epochs of fit and "
        f"partial_fit; the learning rate is {left} from this call on. Increase max_iter to the "
        f"number of epochs of all calls; {REMEDY}."
    )
