"""Training by epochs: calls of `partial_fit` with all rows, also of the last step of a Pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.multiclass import unique_labels

from fastmlp._checks import shown


class CancelledError(Exception):
    """The search has ended, and with it the training of a model."""


def last_step(model: Any) -> Any:
    """Return the estimator that is trained: the model, or the last step of a Pipeline."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def check_trainable(estimator: Any) -> None:
    """Raise TypeError for an estimator without `partial_fit`."""
    last = None if isinstance(estimator, type) else last_step(estimator)
    if not callable(getattr(last, "partial_fit", None)):
        where = "the last step of the Pipeline " if isinstance(estimator, Pipeline) else ""
        raise TypeError(
            f"estimator must be an object with partial_fit, or a Pipeline whose last step is one; "
            f"{where}got {shown(estimator if where == '' else last)}"
        )


def classes_of(estimator: Any, y: Any) -> Any:
    """Return all classes of y for the first call of partial_fit; None if it does not ask."""
    last = last_step(estimator)
    asks = "classes" in signature(last.partial_fit).parameters
    if not (asks and is_classifier(last)) or y is None:
        return None
    try:
        return unique_labels(y)
    except (TypeError, ValueError) as error:
        raise type(error)(f"y: {error}") from None


def train(
    model: Any,
    x: Any,
    y: Any,
    begin: int,
    end: int,
    *,
    classes: Any = None,
    params: Mapping[str, Any] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Train a model, in place, from the end of epoch `begin` to that of epoch `end`.

    The steps before the last one of a Pipeline are fitted once, before the first epoch.

    Parameters
    ----------
    model : estimator
        Unfitted if `begin` is 0.
    x, y : rows and targets
        Those of all epochs, also before `begin`.
    begin, end : int
        Number of epochs from the beginning, ``0 <= begin < end``.
    classes : array-like or None
        Passed to the first call.
    params : mapping or None
        More arguments of every call, such as sample_weight.
    is_cancelled : callable
        Asked before every epoch.

    Raises
    ------
    CancelledError
    """
    last = last_step(model)
    if isinstance(model, Pipeline) and len(model.steps) > 1:
        before = Pipeline(model.steps[:-1])  # of the same objects, which are fitted in place
        x = before.fit_transform(x, y) if begin == 0 else before.transform(x)
    for epoch in range(begin, end):
        if is_cancelled():
            raise CancelledError
        first = {} if epoch or classes is None else {"classes": classes}
        last.partial_fit(x, y, **first, **(params or {}))
