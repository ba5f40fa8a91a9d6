"""Conversion of a fitted Pipeline to the contents of a model file, and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.pipeline import Pipeline

from fastmlp.estimators.base import BaseMLP
from fastmlp.estimators.document import ESTIMATORS, describe_estimator, restore_estimator
from fastmlp.exceptions import ModelFormatError
from fastmlp.exchange.pipelines.describing import describe_steps
from fastmlp.exchange.pipelines.ends import last_step
from fastmlp.exchange.pipelines.kinds import OF_A_PIPELINE, input_names
from fastmlp.exchange.pipelines.parameters import describe_parameters, restore_parameters
from fastmlp.exchange.pipelines.restoring import Steps, built_pipeline, restore_steps
from fastmlp.exchange.pipelines.verification import check_rebuilt
from fastmlp.files.fields import Arrays, Fields
from fastmlp.network.document import checked

STEPS = "steps"
"""Name in the document, and prefix of the names of arrays."""


def describe_pipeline(
    pipeline: Pipeline, *, resumable: bool = True
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the document and the arrays of a fitted Pipeline that ends in one of our estimators.

    It is the document of the estimator, and "pipeline" with the steps before it. What loading it
    would return is compared with the steps, before anything is written.

    Raises
    ------
    sklearn.exceptions.NotFittedError
    TypeError
        For steps and parameters that cannot be saved, by name.
    """
    name, estimator = last_step(pipeline)
    if pipeline.memory is not None:
        raise TypeError(f"memory={pipeline.memory!r} cannot be saved; set it to None")
    described, arrays = describe_estimator(estimator, resumable=resumable)
    fitted: dict[str, NDArray[Any]] = {}
    steps = {
        "scikit_learn": sklearn.__version__,
        "parameters": describe_parameters(pipeline, "the Pipeline", OF_A_PIPELINE),
        STEPS: describe_steps(pipeline.steps[:-1], STEPS, fitted),
        "n_features": len(input_names(pipeline)),
        "estimator": {"name": name, "kind": type(estimator).__name__},
    }
    _check(pipeline, steps, fitted)
    return described | {"pipeline": steps}, arrays | fitted


def _check(pipeline: Pipeline, described: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Raise an error unless the steps come back as they are."""
    fields = Fields(json.loads(json.dumps(described)), "document.pipeline")
    try:
        steps = _steps(fields, Arrays(dict(arrays)), pipeline[-1].n_features_in_)
    except ModelFormatError as error:
        raise TypeError(f"the steps cannot be saved: {error}") from error
    for (name, step), (_, rebuilt) in zip(pipeline.steps[:-1], steps, strict=True):
        check_rebuilt(name, step, rebuilt)


def restore_pipeline(document: Fields, arrays: Arrays) -> Pipeline:
    """Return the Pipeline of a document.

    Raises
    ------
    ModelFormatError
        If a part of the document is missing, of another type, or contradicts another part.
    """
    fields = document.fields("pipeline")
    version = fields.take("scikit_learn", str)
    name, estimator = _restore_estimator(fields.fields("estimator"), document, arrays)
    try:
        parameters = restore_parameters(Pipeline, fields.fields("parameters"), OF_A_PIPELINE)
        steps = _steps(fields, arrays, estimator.n_features_in_)
        fields.end()
        pipeline: Pipeline = checked(
            fields.where, lambda: built_pipeline([*steps, (name, estimator)], parameters)
        )
        return pipeline
    except ModelFormatError as error:
        if version == sklearn.__version__:
            raise
        raise ModelFormatError(
            f"{error} (written with scikit-learn {version[:20]!r}, this is {sklearn.__version__})"
        ) from error


def _restore_estimator(fields: Fields, document: Fields, arrays: Arrays) -> tuple[str, BaseMLP]:
    """Return name and estimator of the last step."""
    name, kind = fields.take("name", str), fields.take("kind", str)
    fields.end()
    if kind not in ESTIMATORS:
        raise ModelFormatError(f"{fields.where}: 'kind' must be one of {', '.join(ESTIMATORS)}")
    return name, restore_estimator(kind, document, arrays)


def _steps(fields: Fields, arrays: Arrays, n_outputs: int) -> Steps:
    """Return the steps before an estimator of so many features."""
    n_inputs, entries = fields.count("n_features", 1), fields.objects(STEPS)
    steps: Steps

    def build() -> tuple[Steps, int]:
        try:
            return restore_steps(entries, STEPS, arrays, n_inputs)
        except LookupError as error:  # from checks of scikit-learn that take a value apart
            raise ValueError(str(error)) from error

    # Stand-in rows are arrays, and scikit-learn computes with them whatever a file has.
    with config_context(transform_output="default"), np.errstate(all="ignore"):
        steps, n_found = checked(fields.where, build)
    if n_found != n_outputs:
        raise ModelFormatError(
            f"{fields.where}: the steps return {n_found} columns, the estimator has {n_outputs}"
        )
    return steps
