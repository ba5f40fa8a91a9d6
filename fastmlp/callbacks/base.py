"""The hooks of a callback, and how they are called around a training run.

A callback is any callable ``callback(training)``, called after every epoch, that ends the run by
returning True; or an :class:`EpochCallback` where more hooks or a memory are needed. Numbers about
the epoch are in ``training.metrics``. All cost is per epoch, never per batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from fastmlp._checks import check_iterable, shown
from fastmlp.callbacks.protocol import Training


class EpochCallback:
    """Hooks around the epochs of a training run; every hook does nothing unless overridden.

    Given to an estimator's `set_callbacks`, every fit works on a copy of its own, so that one
    object can serve many estimators at once.

    Attributes
    ----------
    ends_for_good : bool
        Whether a run that this callback has ended is over, also for a `resume`.
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    ends_for_good = True

    def before_training(self, training: Training) -> None:
        """Prepare for a new run, and forget earlier ones: called once, before the first epoch."""

    def before_epoch(self, training: Training) -> None:
        """Prepare for an epoch; may change ``training.learning_rate``."""

    def after_epoch(self, training: Training) -> bool | None:
        """React to an epoch; True ends the run."""
        return None

    def after_training(self, training: Training) -> None:
        """Clean up: called once when the run ends, for whatever reason."""

    # What a checkpoint keeps of a callback, see fastmlp.Checkpoint.

    def settings(self) -> Mapping[str, Any] | None:
        """Return what a resumed run must give this callback again, as plain values by name.

        None for one that may come and go, because it has no influence on the run.
        """
        return {}

    def state(self) -> Mapping[str, Any]:
        """Return what this callback has learned so far, for `restore`, by name.

        Called twice an epoch, only at consistent points. Values: None, booleans, numbers, strings,
        lists, tuples and mappings of these, arrays (float32, float64, int64 or uint64), or
        functions without arguments that return one of these, called if a checkpoint is written.
        Replace arrays, never change them: the checkpoint may be written later.
        """
        return {}

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Continue from `state`, after `before_training`.

        Raises
        ------
        ValueError, TypeError, AttributeError, LookupError, ArithmeticError
            Where `state` is not one; `fit` raises ModelFormatError then.
        """


Callback = EpochCallback | Callable[[Any], object]
"""An EpochCallback, or a callable that gets the training run after every epoch."""


def is_true(answer: object) -> bool:
    """Return whether a callback's answer ends the run: True, of Python or of NumPy, alone."""
    return isinstance(answer, bool | np.bool_) and bool(answer)


class _AfterEpoch(EpochCallback):
    """A callable as a callback."""

    def __init__(self, call: Callable[[Any], object]) -> None:
        self.call = call

    def after_epoch(self, training: Training) -> bool | None:
        return is_true(self.call(training))

    def settings(self) -> None:
        """Return None: nothing is known of a function, so it may change."""


def as_epoch_callback(callback: Callback) -> EpochCallback:
    """Return the callback itself, or the callable as one."""
    if isinstance(callback, EpochCallback):
        return callback
    if isinstance(callback, type) and issubclass(callback, EpochCallback):
        raise TypeError(
            f"callbacks must be callables or EpochCallbacks; got the class {callback.__name__}, "
            f"not an object: {callback.__name__}(...)"
        )
    if not callable(callback):
        raise TypeError(f"callbacks must be callables or EpochCallbacks; got {shown(callback)}")
    return _AfterEpoch(callback)


def as_epoch_callbacks(callbacks: Iterable[Callback]) -> list[EpochCallback]:
    """Return all of them as EpochCallbacks."""
    return [as_epoch_callback(call) for call in check_iterable("callbacks", callbacks, "callbacks")]


@contextmanager
def around_training(callbacks: Sequence[EpochCallback], training: Training) -> Iterator[None]:
    """Call `before_training` of all; at the end `after_training` of all that began, in that order.

    One that raises keeps no other from its end. The last exception is raised, with the others as
    its context.
    """
    begun: list[EpochCallback] = []
    try:
        for callback in callbacks:
            callback.before_training(training)
            begun.append(callback)
        yield
    finally:
        with ExitStack() as ends:
            for callback in reversed(begun):
                ends.callback(callback.after_training, training)
