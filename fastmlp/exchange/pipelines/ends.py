"""The estimator at the end of a Pipeline, and the steps before it."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from fastmlp.estimators.base import BaseMLP
from fastmlp.estimators.document import ESTIMATORS
from fastmlp.exchange.pipelines.kinds import named


def last_step(pipeline: Pipeline) -> tuple[str, BaseMLP]:
    """Return name and estimator of the last step.

    Raises
    ------
    TypeError
        If it is none of our estimators.
    """
    name, estimator = pipeline.steps[-1]
    if type(estimator) is not ESTIMATORS.get(type(estimator).__name__):
        raise TypeError(
            f"the last step of a Pipeline must be an {' or an '.join(ESTIMATORS)}, not of a "
            f"subclass; got {named(name, estimator)}"
        )
    return name, estimator


def split_pipeline(pipeline: Pipeline) -> tuple[list[tuple[str, Any]], BaseMLP]:
    """Return the steps before the estimator, and the estimator.

    Raises
    ------
    TypeError
        If the last step is none of our estimators.
    sklearn.exceptions.NotFittedError
    """
    _, estimator = last_step(pipeline)
    steps = pipeline.steps[:-1]
    for _, step in steps:
        if step is not None and not isinstance(step, str):
            check_is_fitted(step)
    return steps, estimator
