"""Steps of a Pipeline that are known, and what is true of all of them."""

from __future__ import annotations

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

SCALERS = (StandardScaler, MinMaxScaler, RobustScaler)
ENCODERS = (OneHotEncoder, OrdinalEncoder)
TRANSFORMERS: dict[str, type] = {
    cls.__name__: cls for cls in (*SCALERS, SimpleImputer, *ENCODERS, ColumnTransformer, Pipeline)
}
"""Classes of steps, by name; subclasses are not among them."""

WORDS = ("passthrough", "drop")
"""Words that stand for a step."""

OUTPUTS = ("default", "pandas", "polars")
"""Formats that `set_output` takes."""

OF_A_PIPELINE = ("steps", "memory")
OF_COLUMNS = ("transformers", "remainder")
"""Parameters that are saved as steps, or not at all."""


def named(name: str, step: Any) -> str:
    """Return name and class of a step, for messages."""
    return f"step {name!r} ({type(step).__name__})"


def check_class(name: str, step: Any) -> None:
    """Raise a TypeError for a step of another class."""
    if type(step) is not TRANSFORMERS.get(type(step).__name__):
        raise TypeError(
            f"{named(name, step)} is not supported; allowed before the estimator are "
            f"{', '.join(TRANSFORMERS)}, 'passthrough' and 'drop', but not their subclasses"
        )


def output_format(step: Any) -> str | None:
    """Return the format that was given to the step's `set_output`, None without one."""
    format_: str | None = getattr(step, "_sklearn_output_config", {}).get("transform")
    return format_


def feature_names(step: Any) -> list[str] | None:
    """Return the names of the columns to which a step was fitted, None if they had none."""
    names = getattr(step, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def n_outputs(step: Any, n_inputs: int) -> int:
    """Return the number of columns that a fitted step or "passthrough" returns."""
    if step is None or isinstance(step, str):
        return n_inputs
    if isinstance(step, ColumnTransformer):
        stops: list[int] = [columns.stop for columns in step.output_indices_.values()]
        return max(stops)
    if isinstance(step, Pipeline):
        for _, inner in step.steps:
            n_inputs = n_outputs(inner, n_inputs)
        return n_inputs
    names: list[str] = step.get_feature_names_out()
    return len(names)


def input_names(pipeline: Pipeline) -> list[str]:
    """Return the names of the columns to which a Pipeline was fitted; X0, X1, ... without names."""
    for _, step in pipeline.steps:
        if isinstance(step, Pipeline):
            return input_names(step)
        if step is not None and not isinstance(step, str):
            break
    return feature_names(step) or [f"X{i}" for i in range(step.n_features_in_)]
