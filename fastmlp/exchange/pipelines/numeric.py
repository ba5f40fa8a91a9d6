"""Steps of a Pipeline as operations of another library on numbers, for ONNX and Keras."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted

from fastmlp.exchange.pipelines.kinds import ENCODERS, check_class, feature_names, named
from fastmlp.exchange.pipelines.lookups import Codes, Lookup, lookups
from fastmlp.exchange.pipelines.selections import plain_selection, positions

Column = NDArray[np.float64]


class Operations(Protocol):
    """What a library does to columns x (n, n_columns) of numbers; every method returns columns."""

    def standardized(self, x: Any, mean: Column, scale: Column) -> Any:
        """(x - mean) / scale."""

    def rescaled(self, x: Any, scale: Column, offset: Column) -> Any:
        """x * scale + offset."""

    def clipped(self, x: Any, low: float, high: float) -> Any:
        """x, but at least `low` and at most `high`."""

    def filled(self, x: Any, missing: float, values: Column) -> Any:
        """x, with `values` where it is `missing`, a number or NaN."""

    def indicated(self, x: Any, missing: float) -> Any:
        """1 where x is `missing`, otherwise 0."""

    def looked_up(self, x: Any, lookup: Lookup) -> Any:
        """For the one column x the row of the table whose category it is, or `unknown`."""

    def selected(self, x: Any, columns: list[int]) -> Any:
        """Some of the columns."""

    def beside(self, parts: list[Any]) -> Any:
        """Columns side by side."""


def add_steps(
    steps: list[tuple[str, Any]], x: Any, operations: Operations, codes: Codes | None = None
) -> Any:
    """Apply fitted steps to the columns x, one after the other.

    Parameters
    ----------
    codes : mapping of str to int, optional
        Numbers that stand for strings in x, see :mod:`fastmlp.exchange.pipelines.texts`.

    Raises
    ------
    TypeError
        For steps that are not supported, with name and class of the step.
    sklearn.exceptions.NotFittedError
    """
    for name, step in steps:
        x = _applied(name, step, x, operations, codes or {})
    return x


def _applied(name: str, step: Any, x: Any, operations: Operations, codes: Codes) -> Any:
    if step is None or isinstance(step, str):
        return x
    check_class(name, step)
    check_is_fitted(step)
    if isinstance(step, Pipeline):
        return add_steps(step.steps, x, operations, codes)
    if isinstance(step, ColumnTransformer):
        return _columns(step, x, operations, codes)
    if isinstance(step, ENCODERS):
        return operations.beside(
            [
                operations.looked_up(operations.selected(x, [j]), lookup)
                for j, lookup in enumerate(lookups(step, codes))
                if lookup.table.shape[1]
            ]
        )
    if isinstance(step, SimpleImputer):
        return _imputed(name, step, x, operations)
    n = step.n_features_in_
    if isinstance(step, MinMaxScaler):
        x = operations.rescaled(x, _column(step.scale_, n), _column(step.min_, n))
        return operations.clipped(x, *map(float, step.feature_range)) if step.clip else x
    if isinstance(step, StandardScaler):
        center, scale = step.mean_ if step.with_mean else None, step.scale_
    else:
        center, scale = step.center_, step.scale_
    mean = np.zeros(n) if center is None else _column(center, n)
    return operations.standardized(x, mean, np.ones(n) if scale is None else _column(scale, n))


def _column(values: Any, n: int) -> Column:
    return np.broadcast_to(np.asarray(values, np.float64), (n,))


def _imputed(name: str, step: Any, x: Any, operations: Operations) -> Any:
    try:
        values = np.asarray(step.statistics_, np.float64)
        missing = float(step.missing_values)
    except (TypeError, ValueError):
        raise TypeError(
            f"{named(name, step)} cannot be exported: it must fill numbers into gaps that are NaN "
            f"or a number; got missing_values={step.missing_values!r}"
        ) from None
    kept = np.flatnonzero(~np.isnan(values)).tolist()
    result = x
    if len(kept) < len(values) and not step.keep_empty_features:
        result = operations.selected(x, kept)
        values = values[kept]
    result = operations.filled(result, missing, values)
    if not step.add_indicator:
        return result
    gaps = operations.indicated(operations.selected(x, step.indicator_.features_.tolist()), missing)
    return operations.beside([result, gaps])


def _columns(step: Any, x: Any, operations: Operations, codes: Codes) -> Any:
    """Apply the steps of a ColumnTransformer to their columns."""
    names, parts = feature_names(step), []
    for name, inner, columns in step.transformers_:
        chosen = positions(plain_selection(columns), step.n_features_in_, names)
        if (isinstance(inner, str) and inner == "drop") or not chosen:
            continue
        part = operations.selected(x, chosen)
        if not (isinstance(inner, FunctionTransformer) and inner.func is None):
            part = _applied(name, inner, part, operations, codes)
        weight = (step.transformer_weights or {}).get(name)
        if weight is not None:
            part = operations.rescaled(part, np.array(float(weight)), np.array(0.0))
        parts.append(part)
    return operations.beside(parts)
