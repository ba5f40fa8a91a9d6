"""Support for scikit-learn's callback protocol, experimental since 1.9, in this file alone.

An estimator's fit is a task with one subtask per epoch. Callbacks of this project, which are
`EpochCallback`s, are set in the same way but called by the Trainer itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fastmlp._checks import shown
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training

Method = TypeVar("Method", bound=Callable[..., Any])

try:
    import sklearn.callback as protocol
except ImportError:  # scikit-learn before 1.9
    protocol = None


class IdleFitCallback:
    """Wrapper of an EpochCallback with the four hooks that scikit-learn requires.

    They do nothing: the Trainer calls the EpochCallback.
    """

    def __init__(self, callback: EpochCallback) -> None:
        self.callback = callback

    def setup(self, estimator: object, context: object) -> None:
        """Do nothing."""

    def on_fit_task_begin(self, estimator: object, context: object) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: object, context: object) -> bool:
        """Return without stopping the fit."""
        return False

    def teardown(self, estimator: object, context: object) -> None:
        """Do nothing."""


class _OwnCallbackSupport:
    """Callback support for scikit-learn before 1.9: this package's callbacks only."""

    def set_callbacks(self, *callbacks: Any) -> Any:
        if not all(isinstance(callback, IdleFitCallback) for callback in callbacks):
            raise TypeError(
                "callbacks must be EpochCallback instances; others need scikit-learn 1.9"
            )
        if callbacks:
            self._skl_callbacks = list(callbacks)
        else:
            vars(self).pop("_skl_callbacks", None)
        return self


Support: Any = _OwnCallbackSupport if protocol is None else protocol.CallbackSupportMixin


class CallbackSupport(Support):  # type: ignore[misc]
    """Base class of estimators that accept callbacks."""

    def set_callbacks(self, *callbacks: Any) -> Any:
        """Set the callbacks for all subsequent fits; without arguments, remove them.

        Parameters
        ----------
        *callbacks : fastmlp.callbacks.EpochCallback, or a callback of scikit-learn (1.9)
            Every fit uses copies of an EpochCallback, so that one object can serve many estimators.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If an object is not a callback.
        """
        for callback in callbacks:
            if isinstance(callback, type) or not (
                isinstance(callback, EpochCallback) or hasattr(callback, "on_fit_task_begin")
            ):
                raise TypeError(
                    "callbacks must be EpochCallbacks of fastmlp.callbacks, or callbacks of "
                    f"scikit-learn; got {_given(callback)}"
                )
        return super().set_callbacks(
            *(IdleFitCallback(c) if isinstance(c, EpochCallback) else c for c in callbacks)
        )


def _given(callback: object) -> str:
    """Name what is no callback; a class lacks its parentheses."""
    if isinstance(callback, type):
        return f"the class {callback.__name__}, not an object: {callback.__name__}(...)"
    return shown(callback)


def manages_callbacks(method: Method) -> Method:
    """Decorate a method so that callbacks are torn down when it returns or raises."""
    if protocol is None:
        return method
    managed: Method = protocol.with_callbacks(method)
    return managed


def epoch_callbacks(callbacks: Iterable[object]) -> list[EpochCallback]:
    """Return copies of this package's callbacks for one fit, because clones share the objects."""
    return [copy.copy(c.callback) for c in callbacks if isinstance(c, IdleFitCallback)]


class SklearnTasks(EpochCallback):
    """Notifies scikit-learn's callbacks of a fit and its epochs.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its callbacks are set up here, and torn down by `manages_callbacks`.
    X, y, sample_weight
        As given to `fit`.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self.estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit: Any = None
        self._epoch: Any = None
        if protocol is not None:
            self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter + 1)
        callbacks = getattr(estimator, "_skl_callbacks", [])
        self._active = not all(isinstance(c, IdleFitCallback) for c in callbacks)

    def settings(self) -> None:
        """Return None, because this callback does not influence training."""

    def begin(self) -> None:
        """Notify callbacks that the fit begins."""
        if self._active:
            self._fit.call_on_fit_task_begin(**self._data)

    def end(self) -> None:
        """Notify callbacks that the fit has ended."""
        if self._epoch is not None:  # L-BFGS does not know in advance which iteration is the last
            self._epoch.call_on_fit_task_end(estimator=self.estimator)
        if self._active:
            self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes={})

    def before_epoch(self, training: Training) -> None:
        """Notify callbacks that an epoch begins."""
        if self._active:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._data)

    def after_epoch(self, training: Training) -> bool | None:
        """Notify callbacks that an epoch has ended; they may stop the training run."""
        if not self._active:
            return None
        if self._epoch is None:  # the epoch had already begun when the checkpoint was saved
            self.before_epoch(training)
        # Callbacks get a copy of the estimator, with copied weights, for predictions.
        result = self._epoch.call_on_fit_task_end(**self._data, reconstruction_attributes={})
        self._epoch = None
        return bool(result)
