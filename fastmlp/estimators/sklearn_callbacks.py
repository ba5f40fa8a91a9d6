"""scikit-learn's callback protocol, experimental since 1.9: the one file that knows it.

An estimator's fit is a task with one subtask per epoch. Callbacks of this project, which are
`EpochCallback`s, are set in the same way but called by the Trainer itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training

Method = TypeVar("Method", bound=Callable[..., Any])

try:
    import sklearn.callback as protocol
except ImportError:  # scikit-learn before 1.9
    protocol = None


class _OwnCallbacks:
    """`set_callbacks` where scikit-learn has none, for this project's callbacks alone."""

    def set_callbacks(self, *callbacks: EpochCallback) -> Any:
        """Set the callbacks of the following fits; none removes them."""
        if not all(isinstance(callback, EpochCallback) for callback in callbacks):
            raise TypeError(
                "callbacks must be EpochCallback instances; others need scikit-learn 1.9"
            )
        if callbacks:
            self._skl_callbacks = list(callbacks)
        else:
            vars(self).pop("_skl_callbacks", None)
        return self


CallbackSupport: Any = _OwnCallbacks if protocol is None else protocol.CallbackSupportMixin
"""Base class of estimators that gives them `set_callbacks`."""


def manages_callbacks(method: Method) -> Method:
    """Have callbacks torn down at the end of a fit, however it ends."""
    if protocol is None:
        return method
    managed: Method = protocol.with_callbacks(method)
    return managed


def own_callbacks(estimator: Any) -> list[EpochCallback]:
    """Copies of this project's callbacks for one fit, because clones share the objects."""
    callbacks = getattr(estimator, "_skl_callbacks", [])
    return [copy.copy(c) for c in callbacks if isinstance(c, EpochCallback)]


class SklearnTasks(EpochCallback):
    """Tells scikit-learn's callbacks about a fit and its epochs.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X, y, sample_weight
        As given to `fit`.
    max_epochs : int
    """

    def __init__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any, *, max_epochs: int
    ) -> None:
        self.estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit: Any = None
        self._epoch: Any = None
        if protocol is not None:
            self._fit = estimator._init_callback_context(max_subtasks=max_epochs)
        foreign = [
            c for c in getattr(estimator, "_skl_callbacks", []) if not isinstance(c, EpochCallback)
        ]
        self._active = bool(foreign)

    def settings(self) -> None:
        """No part in the course of the training."""

    def begin(self) -> None:
        """The fit begins."""
        if self._active:
            self._fit.call_on_fit_task_begin(**self._data)

    def end(self) -> None:
        """The fit has ended."""
        if self._epoch is not None:  # L-BFGS knows only afterwards that there is no next iteration
            self._epoch.call_on_fit_task_end(estimator=self.estimator)
        if self._active:
            self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes={})

    def before_epoch(self, training: Training) -> None:
        """An epoch begins."""
        if self._active:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._data)

    def after_epoch(self, training: Training) -> bool | None:
        """An epoch has ended; scikit-learn's callbacks may end the training."""
        if not self._active:
            return None
        # A copy of the estimator is all that a callback needs to predict: copying copies weights.
        if self._epoch is None:  # an epoch that was under way when it was saved
            self.before_epoch(training)
        result = self._epoch.call_on_fit_task_end(**self._data, reconstruction_attributes={})
        self._epoch = None
        return bool(result)
