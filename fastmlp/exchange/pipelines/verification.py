"""Comparison of a step with what is rebuilt from its description, before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from fastmlp.exchange.pipelines.kinds import named

NOT_NEEDED = {"_transformers_feature_names_out"}
"""Attributes that scikit-learn reads only for steps that cannot name their columns."""


def check_rebuilt(name: str, step: Any, rebuilt: Any) -> None:
    """Raise an error for whatever a loaded step would lack, or have differently.

    Parameters
    ----------
    name : str
        Of the step, for messages.
    step, rebuilt : estimator or str
        The fitted step, and the one that loading would return.

    Raises
    ------
    TypeError
        For attributes that are not saved, such as those that a user has added.
    """
    if step is None or isinstance(step, str):
        return
    where = named(name, step)
    if isinstance(step, Pipeline):
        for (inner, a), (_, b) in zip(step.steps, rebuilt.steps, strict=True):
            check_rebuilt(inner, a, b)
    if isinstance(step, ColumnTransformer):
        for (inner, a, _), (_, b, _) in zip(step.transformers_, rebuilt.transformers_, strict=True):
            check_rebuilt(inner, a, b)
    strange = vars(step).keys() - vars(rebuilt).keys() - NOT_NEEDED
    if strange:
        raise TypeError(f"{where}: the attribute {min(strange)!r} cannot be saved")
    for attribute in _fitted_attributes(step):
        if not _same(getattr(step, attribute), getattr(rebuilt, attribute, None)):
            raise TypeError(
                f"{where}: {attribute} does not follow from what can be saved: "
                f"{str(getattr(step, attribute))[:200]}"
            )


def _fitted_attributes(step: BaseEstimator) -> list[str]:
    """Return the names of fitted attributes, but those that hold steps."""
    names = {*vars(step), "infrequent_categories_"} - {"transformers_", "indicator_"}
    return sorted(
        name for name in names if name.endswith("_") and name[0] != "_" and hasattr(step, name)
    )


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal, with type and NaN."""
    if isinstance(a, np.ndarray):
        same_kind = isinstance(b, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape)
        return same_kind and (a is b or _same(a.tolist(), b.tolist()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b or (a != a and b != b))
