"""Description of the steps of a Pipeline as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from fastmlp.exchange.pipelines.encoders import describe_encoder
from fastmlp.exchange.pipelines.imputer import describe_imputer
from fastmlp.exchange.pipelines.kinds import (
    OF_A_PIPELINE,
    OF_COLUMNS,
    SCALERS,
    WORDS,
    check_class,
    feature_names,
    named,
    output_format,
)
from fastmlp.exchange.pipelines.parameters import describe_parameters
from fastmlp.exchange.pipelines.scalers import describe_scaler
from fastmlp.exchange.pipelines.selections import describe_selection, plain_selection, positions

Described = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def describe_steps(steps: Iterable[tuple[str, Any]], place: str, arrays: Arrays) -> list[Described]:
    """Describe fitted steps that follow each other.

    Parameters
    ----------
    steps : iterable of (str, estimator)
    place : str
        Prefix of the names of their arrays, "steps".
    arrays : dict of str to ndarray
        Takes the fitted numbers of scalers, "steps.0.mean_".

    Raises
    ------
    TypeError
        For steps and parameters that cannot be saved, with name and class of the step.
    sklearn.exceptions.NotFittedError
    """
    return [
        {"name": name, "step": _fitted(name, step, f"{place}.{i}", arrays)}
        for i, (name, step) in enumerate(steps)
    ]


def _fitted(name: str, step: Any, place: str, arrays: Arrays) -> Described:
    if step is not None and not isinstance(step, str):
        check_class(name, step)
        check_is_fitted(step)
    if isinstance(step, Pipeline):
        inner = describe_steps(step.steps, f"{place}.steps", arrays)
        return _described(name, step) | {"steps": inner}
    described = _unfitted(name, step)
    if described["class"] in WORDS:
        return described
    described["n_features"] = int(step.n_features_in_)
    described["feature_names"] = feature_names(step)
    where = named(name, step)
    if isinstance(step, ColumnTransformer):
        described["fitted"] = _columns(step, where, place, arrays)
    elif isinstance(step, SCALERS):
        described["fitted"] = describe_scaler(step, where, place, arrays)
    elif isinstance(step, SimpleImputer):
        described["fitted"] = describe_imputer(step, where)
    else:
        described["fitted"] = describe_encoder(step, where)
    return described


def _columns(step: Any, where: str, place: str, arrays: Arrays) -> Described:
    """Describe the fitted steps of a ColumnTransformer, and where their columns go."""
    if not hasattr(step, "output_indices_"):
        raise TypeError(f"{where} cannot be saved: it drops all columns")
    entries = []
    for i, (name, inner, columns) in enumerate(step.transformers_):
        chosen = positions(plain_selection(columns), step.n_features_in_, feature_names(step))
        output = None
        if isinstance(inner, FunctionTransformer) and inner.func is None:
            # scikit-learn fits it for "passthrough"
            described: Described = {"class": "passthrough"}
            output = output_format(inner)
        elif chosen:
            described = _fitted(name, inner, f"{place}.transformers.{i}", arrays)
        else:  # scikit-learn leaves it as it is
            described = _unfitted(name, inner)
        entry = {"name": name, "step": described, "output": output}
        entries.append(entry | describe_selection(columns, f"step {name!r}"))
    return {"transformers": entries, "sparse_output": bool(step.sparse_output_)}


def _unfitted(name: str, step: Any) -> Described:
    """Describe a step by its parameters."""
    if step is None:
        return {"class": "passthrough"}
    if isinstance(step, str) and step in WORDS:
        return {"class": step}
    check_class(name, step)
    if isinstance(step, Pipeline):
        inner = [{"name": inner, "step": _unfitted(inner, item)} for inner, item in step.steps]
        return _described(name, step) | {"steps": inner}
    if isinstance(step, ColumnTransformer):
        transformers = [
            {"name": inner, "step": _unfitted(inner, item)}
            | describe_selection(columns, f"step {inner!r}")
            for inner, item, columns in step.transformers
        ]
        remainder = _unfitted("remainder", step.remainder)
        return _described(name, step) | {"transformers": transformers, "remainder": remainder}
    return _described(name, step)


def _described(name: str, step: Any) -> Described:
    """Describe class, parameters and output format."""
    where = named(name, step)
    if isinstance(step, Pipeline):
        if step.memory is not None:
            raise TypeError(f"{where}: memory={step.memory!r} cannot be saved; set it to None")
        parameters = describe_parameters(step, where, OF_A_PIPELINE)
        return {"class": "Pipeline", "parameters": parameters}
    besides = OF_COLUMNS if isinstance(step, ColumnTransformer) else ()
    return {
        "class": type(step).__name__,
        "parameters": describe_parameters(step, where, besides),
        "output": output_format(step),
    }
