"""A fit that fails leaves the estimator as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastmlp.exceptions import DivergenceError


@contextmanager
def undone_on_failure(estimator: Any, *, keeps_first: bool) -> Iterator[None]:
    """Give the estimator back what it was before, if what is done in between raises.

    Two things are kept, because they are worth a look: what Ctrl-C interrupts, once an epoch has
    ended, and with `keeps_first` a first training that fails or is interrupted at any time, which
    leaves its last finite weights.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its `n_iter_` is set to 0, and counts epochs from here on.
    keeps_first : bool
    """
    before = _State(estimator)
    estimator.n_iter_ = 0
    try:
        yield
    except BaseException as error:
        has_learned = estimator.n_iter_ > 0
        keeps = has_learned and isinstance(error, KeyboardInterrupt)
        if keeps_first and not before.is_fitted:
            keeps = has_learned or (
                "_weights" in vars(estimator)
                and isinstance(error, DivergenceError | KeyboardInterrupt)
            )
        if not keeps:
            before.restore(estimator)
            if isinstance(error, DivergenceError):
                error.add_note(
                    "The estimator is as it was before this call"
                    + (", with its old weights." if before.is_fitted else ", not fitted.")
                )
        raise


class _State:
    """All that a fit can change of an estimator.

    A new fit replaces attributes. A warm start and partial_fit also change arrays in place, which
    are copied here, and append to lists, whose lengths are noted: they are as long as the training.
    """

    def __init__(self, estimator: Any) -> None:
        self.attributes = dict(vars(estimator))
        self.is_fitted = "_weights" in self.attributes
        if not self.is_fitted:
            return
        self.parameters = estimator._weights.network.parameters.copy()
        self.lengths = [(records, len(records)) for records in _lists(estimator)]
        self.columns = list(estimator.history_)
        self.n_steps = _steps(estimator)
        for name in ("_plateau", "_best_parameters"):
            self.attributes[name] = copy.copy(self.attributes[name])

    def restore(self, estimator: Any) -> None:
        """Make the estimator what it was."""
        vars(estimator).clear()
        vars(estimator).update(self.attributes)
        if not self.is_fitted:
            return
        for records, length in self.lengths:
            del records[length:]
        for name in set(estimator.history_) - set(self.columns):
            del estimator.history_[name]
        estimator._weights.network.parameters[...] = self.parameters
        if self.n_steps != _steps(estimator):
            estimator._training = None  # the optimizer's state is that of other weights now


def _lists(estimator: Any) -> list[list[float]]:
    """The records that grow with every epoch."""
    scores = estimator.validation_scores_
    return [estimator.loss_curve_, *([] if scores is None else [scores]),
            *estimator.history_.values()]  # fmt: skip


def _steps(estimator: Any) -> int | None:
    """Of the optimizer with which partial_fit would go on."""
    training = vars(estimator).get("_training")
    return None if training is None else int(training.n_steps)
