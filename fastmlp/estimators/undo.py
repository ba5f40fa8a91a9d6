"""Rollback of an estimator whose fit fails."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from fastmlp.estimators.records import FitRecord, RecordOwner
from fastmlp.exceptions import DivergenceError


@contextmanager
def rollback_on_failure(owner: RecordOwner, *, keeps_first: bool) -> Iterator[None]:
    """Restore the previous state of the estimator if the code in this block raises.

    Results that may be useful are kept in two cases: after Ctrl-C, if at least one epoch has
    ended; and, with `keeps_first`, after a first training run that fails or is interrupted at any
    time, which leaves its last finite weights.

    Parameters
    ----------
    owner : RecordOwner
        The estimator; the `n_iter` of its record is set to 0, and must count epochs from here on.
    keeps_first : bool
    """
    attributes = dict(vars(owner))
    before = None if owner._record is None else Snapshot(owner._record)
    if owner._record is not None:
        owner._record.n_iter = 0
    try:
        yield
    except BaseException as error:
        record = owner._record
        has_learned = record is not None and record.n_iter > 0
        keeps = has_learned and isinstance(error, KeyboardInterrupt)
        if keeps_first and before is None:
            is_finite = isinstance(error, DivergenceError | KeyboardInterrupt)
            keeps = has_learned or (record is not None and is_finite)
        if keeps:
            owner._publish()
        else:
            vars(owner).clear()
            vars(owner).update(attributes)
            if before is not None:
                owner._record = before.restore()
            if isinstance(error, DivergenceError):
                weights = ", not fitted." if before is None else ", with its old weights."
                error.add_note("The estimator is as it was before this call" + weights)
        raise


class Snapshot:
    """Copy of a FitRecord, from which it can be restored.

    A new fit makes a new record. A warm start and partial_fit also change arrays in place, which
    are copied here, and append to lists, of which the lengths are kept: a copy of them would take
    time in proportion to the number of all epochs.
    """

    def __init__(self, record: FitRecord) -> None:
        self.record = replace(record, plateau=copy.copy(record.plateau))
        self.parameters = record.weights.network.parameters.copy()
        self.n_scores = len(record.validation_scores or ())
        self.n_epochs, self.columns = len(record.loss_curve), set(record.history)
        self.n_steps = None if record.last is None else record.last.n_steps

    def restore(self) -> FitRecord:
        """Return the record in its previous state; arrays and lists are restored in place."""
        record = self.record
        record.weights.network.parameters[...] = self.parameters
        if record.validation_scores is not None:
            del record.validation_scores[self.n_scores :]
        del record.loss_curve[self.n_epochs :]
        for name in set(record.history) - self.columns:
            del record.history[name]
        for column in record.history.values():
            del column[self.n_epochs :]
        if record.last is not None and record.last.n_steps != self.n_steps:
            record.last = None  # the optimizer's state belongs to other weights now
        return record
