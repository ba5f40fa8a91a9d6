"""Columns of strings: which ones a Pipeline encodes, and numbers that stand for the strings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from fastmlp.exchange.pipelines.kinds import ENCODERS, feature_names, n_outputs, named
from fastmlp.exchange.pipelines.lookups import check_categories, is_text
from fastmlp.exchange.pipelines.selections import plain_selection, positions

Origins = list[int | None]
"""For every column the column of the input that it is, None if it was computed."""


@dataclass
class Texts:
    """Strings in the input of a Pipeline.

    Attributes
    ----------
    columns : set of int
        Positions of the columns that hold them.
    codes : dict of str to int
        A number for every category of any of these columns.
    read : set of int
        Positions of all columns that a step reads.
    """

    columns: set[int] = field(default_factory=set)
    codes: dict[str, int] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)


def find_texts(steps: list[tuple[str, Any]], n_inputs: int) -> Texts:
    """Return the columns of strings among the `n_inputs` columns of fitted steps.

    Raises
    ------
    TypeError
        For encoders of strings that another step has made, or with categories of other types.
    """
    texts = Texts()
    _follow(steps, list(range(n_inputs)), texts)
    return texts


def _follow(steps: list[tuple[str, Any]], origins: Origins, texts: Texts) -> Origins:
    for name, step in steps:
        if step is None or isinstance(step, str):
            continue
        if isinstance(step, Pipeline):
            origins = _follow(step.steps, origins, texts)
            continue
        if isinstance(step, ColumnTransformer):
            _follow_columns(step, origins, texts)
        else:
            texts.read.update(origin for origin in origins if origin is not None)
        if isinstance(step, ENCODERS):
            _note(name, step, origins, texts)
        origins = [None] * n_outputs(step, len(origins))
    texts.read.update(origin for origin in origins if origin is not None)
    return origins


def _follow_columns(step: Any, origins: Origins, texts: Texts) -> None:
    names = feature_names(step)
    for name, inner, columns in step.transformers_:
        chosen = positions(plain_selection(columns), step.n_features_in_, names)
        if chosen and inner != "drop":
            _follow([(name, inner)], [origins[i] for i in chosen], texts)


def _note(name: str, encoder: Any, origins: Origins, texts: Texts) -> None:
    """Note the strings among the categories of an encoder."""
    check_categories(name, encoder)
    for origin, categories in zip(origins, encoder.categories_, strict=True):
        if not is_text(categories):
            continue
        if origin is None:
            raise TypeError(
                f"{named(name, encoder)} cannot be exported: its strings must be columns of the "
                "input, not of another step"
            )
        texts.columns.add(origin)
        for item in categories.tolist():
            texts.codes.setdefault(item, len(texts.codes))
