"""Steps of a Pipeline, rebuilt from their description.

Every step is made by its class and fitted by scikit-learn to a few stand-in rows, so that it has
whatever the installed version keeps; then it gets the fitted numbers and categories of the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from fastmlp.exceptions import ModelFormatError
from fastmlp.exchange.pipelines.encoders import restore_encoder
from fastmlp.exchange.pipelines.imputer import restore_imputer
from fastmlp.exchange.pipelines.kinds import (
    OF_A_PIPELINE,
    OF_COLUMNS,
    OUTPUTS,
    SCALERS,
    TRANSFORMERS,
    WORDS,
    n_outputs,
)
from fastmlp.exchange.pipelines.parameters import restore_parameters
from fastmlp.exchange.pipelines.scalers import restore_scaler
from fastmlp.exchange.pipelines.selections import positions, restore_selection
from fastmlp.files.fields import Arrays, Fields

MAX_FEATURES = 1 << 24
"""Columns of stand-in rows; a file could ask for any number."""

Steps = list[tuple[str, Any]]


def restore_steps(
    entries: list[Fields], place: str, arrays: Arrays, n_inputs: int
) -> tuple[Steps, int]:
    """Return fitted steps that follow each other, and the number of columns that they return.

    Parameters
    ----------
    entries : list of Fields
    place : str
        Prefix of the names of their arrays.
    arrays : Arrays
    n_inputs : int
        Number of columns that the first step is given.

    Raises
    ------
    ModelFormatError, ValueError, TypeError, ArithmeticError, LookupError
        The others from scikit-learn's checks.
    """
    steps = []
    for i, entry in enumerate(entries):
        name = entry.take("name", str)
        step = _fitted(entry.fields("step"), f"{place}.{i}", arrays, n_inputs)
        entry.end()
        if step == "drop":
            raise ModelFormatError(f"{entry.where}: a step of a Pipeline cannot be 'drop'")
        steps.append((name, step))
        n_inputs = n_outputs(step, n_inputs)
    return steps, n_inputs


def built_pipeline(steps: Steps, parameters: dict[str, Any]) -> Pipeline:
    """Return a Pipeline of these steps, which must have different names.

    Raises
    ------
    ModelFormatError, ValueError
    """
    if len({name for name, _ in steps}) < len(steps):
        raise ModelFormatError("two steps of a Pipeline have the same name")
    pipeline = Pipeline(steps, **parameters)
    pipeline._validate_params()
    return pipeline


def _fitted(fields: Fields, place: str, arrays: Arrays, n_inputs: int) -> Any:
    cls = _class(fields)
    if isinstance(cls, str):
        fields.end()
        return cls
    if cls is Pipeline:
        parameters = restore_parameters(cls, fields.fields("parameters"), OF_A_PIPELINE)
        steps, _ = restore_steps(fields.objects("steps"), f"{place}.steps", arrays, n_inputs)
        fields.end()
        return built_pipeline(steps, parameters)
    n_features = fields.count("n_features", 1)
    if n_features != n_inputs:
        raise ModelFormatError(
            f"{fields.where}: 'n_features' is {n_features}, the step before has {n_inputs} columns"
        )
    if n_features > MAX_FEATURES:
        raise ModelFormatError(f"{fields.where}: 'n_features' must be at most {MAX_FEATURES}")
    names = fields.take("feature_names", list, type(None))
    if names is not None and (len(names) != n_features or {type(n) for n in names} != {str}):
        raise ModelFormatError(
            f"{fields.where}: 'feature_names' must be a string for every feature"
        )
    fitted = fields.fields("fitted")
    step, output = _made(cls, fields), _output(fields)
    fields.end()
    if isinstance(step, ColumnTransformer):
        _restore_columns(step, fitted, place, arrays, names, n_features)
    elif isinstance(step, SCALERS):
        restore_scaler(step, fitted, place, arrays, n_features)
    elif isinstance(step, SimpleImputer):
        restore_imputer(step, fitted, n_features)
    else:
        restore_encoder(step, fitted, n_features)
    fitted.end()
    if names is not None:
        step.feature_names_in_ = np.array(names, object)
    return _with_output(step, output)


def _class(fields: Fields) -> Any:
    """Take the class of a step, or the word that stands for it."""
    name = fields.take("class", str)
    if name in WORDS:
        return name
    if name not in TRANSFORMERS:
        raise ModelFormatError(
            f"{fields.where}: 'class' must be one of {', '.join((*TRANSFORMERS, *WORDS))}, found "
            f"{name[:40]!r}"
        )
    return TRANSFORMERS[name]


def _unfitted(fields: Fields) -> Any:
    """Return a step that has parameters alone."""
    cls = _class(fields)
    if isinstance(cls, str):
        fields.end()
        return cls
    step = _made(cls, fields)
    output = None if cls is Pipeline else _output(fields)
    fields.end()
    return _with_output(step, output)


def _made(cls: Any, fields: Fields) -> Any:
    """Return a step with its parameters, which scikit-learn checks."""
    besides = {Pipeline: OF_A_PIPELINE, ColumnTransformer: OF_COLUMNS}.get(cls, ())
    parameters = restore_parameters(cls, fields.fields("parameters"), besides)
    if cls is Pipeline:
        steps = _entries(fields.objects("steps"), with_columns=False)
        return built_pipeline([(name, step) for name, step, _ in steps], parameters)
    if cls is ColumnTransformer:
        parameters["transformers"] = _entries(fields.objects("transformers"))
        parameters["remainder"] = _unfitted(fields.fields("remainder"))
    step = cls(**parameters)
    step._validate_params()
    return step


def _entries(entries: list[Fields], *, with_columns: bool = True) -> list[Any]:
    """Return (name, unfitted step, columns) of every entry; the columns may be missing."""
    result = []
    for entry in entries:
        name, step = entry.take("name", str), _unfitted(entry.fields("step"))
        result.append((name, step, restore_selection(entry) if with_columns else None))
        entry.end()
    return result


def _output(fields: Fields) -> str | None:
    output: str | None = fields.take("output", str, type(None))
    if output not in (None, *OUTPUTS):
        raise ModelFormatError(f"{fields.where}: 'output' must be one of {', '.join(OUTPUTS)}")
    return output


def _with_output(step: Any, output: str | None) -> Any:
    """Return the step after `set_output`; the steps inside a ColumnTransformer have their own."""
    if output is not None:
        own: Any = super(ColumnTransformer, step) if isinstance(step, ColumnTransformer) else step
        own.set_output(transform=output)
    return step


def _restore_columns(
    step: ColumnTransformer,
    fields: Fields,
    place: str,
    arrays: Arrays,
    names: list[str] | None,
    n_features: int,
) -> None:
    """Give a ColumnTransformer its fitted steps.

    A stand-in in which every step passes its columns on is fitted to a row of zeros, for everything
    else that the class keeps.
    """
    entries, outputs = [], []
    for i, entry in enumerate(fields.objects("transformers")):
        name, columns = entry.take("name", str), restore_selection(entry)
        chosen = positions(columns, n_features, names)
        if chosen:
            inner_place = f"{place}.transformers.{i}"
            inner = _fitted(entry.fields("step"), inner_place, arrays, len(chosen))
        else:
            inner = _unfitted(entry.fields("step"))
        outputs.append(_output(entry))
        entry.end()
        entries.append((name, inner, columns, chosen))
    _check_entries(step, entries, n_features, fields.where)
    stand_in = _stand_in(entries, len(step.transformers)).fit(np.zeros((1, n_features)))
    own = stand_in.get_params(deep=False)
    vars(step).update({name: value for name, value in vars(stand_in).items() if name not in own})
    for i, (name, inner, columns, chosen) in enumerate(entries):
        passed = step.transformers_[i][1]
        if inner == "passthrough" and chosen:
            _with_output(passed, outputs[i])
            if names is not None:
                passed.feature_names_in_ = np.array([names[j] for j in chosen], object)
            inner = passed
        step.transformers_[i] = (name, inner, columns)
    step.sparse_output_ = fields.take("sparse_output", bool)
    step.output_indices_ = _slices(entries)
    if not any(columns.stop for columns in step.output_indices_.values()):
        raise ModelFormatError(f"{fields.where}: all columns are dropped")


def _check_entries(
    step: ColumnTransformer, entries: list[Any], n_features: int, where: str
) -> None:
    """Raise an error unless these are the steps of the parameters, and the remaining columns."""
    given = [name for name, _, _ in step.transformers]
    rest = sorted(
        set(range(n_features)) - {j for *_, chosen in entries[: len(given)] for j in chosen}
    )
    expected = [*given, "remainder"] if rest else given
    if [name for name, *_ in entries] != expected or (rest and entries[-1][-1] != rest):
        raise ModelFormatError(f"{where}: 'transformers' are not those of the parameters")


def _stand_in(entries: list[Any], n_given: int) -> ColumnTransformer:
    """Return a ColumnTransformer that passes on or drops the same columns."""
    words = ["drop" if inner == "drop" else "passthrough" for _, inner, *_ in entries]
    given = [
        (name, word, chosen)
        for (name, _, _, chosen), word in zip(entries[:n_given], words, strict=False)
    ]
    return ColumnTransformer(given, remainder=words[n_given] if words[n_given:] else "drop")


def _slices(entries: list[Any]) -> dict[str, slice]:
    """Return which columns of the result come from which step."""
    slices, begin = {"remainder": slice(0, 0)}, 0
    for name, inner, _, chosen in entries:
        n = n_outputs(inner, len(chosen)) if chosen and inner != "drop" else 0
        slices[name] = slice(begin, begin + n) if chosen and inner != "drop" else slice(0, 0)
        begin += n
    return slices
