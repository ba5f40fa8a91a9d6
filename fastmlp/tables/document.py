"""Conversion of the estimators for tables to the contents of a model file, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fastmlp._checks import shown
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.plain_values import encode
from fastmlp.network.document import checked, describe_network, restore_classes, restore_network
from fastmlp.tables.base import BaseTabular
from fastmlp.tables.classifier import TabularClassifier
from fastmlp.tables.encoder import TabularEncoder
from fastmlp.tables.features import Features
from fastmlp.tables.intervals import Residuals
from fastmlp.tables.members import Member
from fastmlp.tables.piecewise import PiecewiseBins
from fastmlp.tables.reader import KINDS as COLUMN_KINDS
from fastmlp.tables.reader import ColumnFacts, Reader
from fastmlp.tables.regressor import TabularRegressor
from fastmlp.tables.statistics import TargetStatistics

KINDS: dict[str, type[BaseTabular]] = {
    "TabularClassifier": TabularClassifier,
    "TabularRegressor": TabularRegressor,
}
FLOAT64, INT64 = np.dtype(np.float64), np.dtype(np.int64)
INDEX_ARRAYS = ("kept", "marked")
TARGET_ARRAYS = ("mean", "deviation", "low", "high")

Described = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def describe_tabular(model: BaseTabular) -> Described:
    """Return the document and the arrays of a fitted estimator.

    Raises
    ------
    sklearn.exceptions.NotFittedError
    TypeError
        For parameters that cannot be saved, such as callbacks and splitters, by name.
    """
    check_is_fitted(model)
    parameters = {**model.get_params(deep=False), "callbacks": None}
    if len(model.callbacks):
        raise TypeError("callbacks cannot be saved; remove them with set_params(callbacks=())")
    del parameters["callbacks"]
    document, arrays = _describe_encoder(model.encoder_)
    document |= {
        "parameters": {name: _encoded(name, value) for name, value in parameters.items()},
        "members": [_describe_member(i, m, arrays) for i, m in enumerate(model.members_)],
        "n_features": int(model.n_features_in_),
        "feature_names": encode(getattr(model, "feature_names_in_", None)),
        "oof_score": encode(model.oof_score_),
        "linear_score": encode(model.linear_score_),
        "fit_seconds": float(model.fit_seconds_),
    }
    if model.oof_prediction_ is not None:
        arrays["oof_prediction"] = np.ascontiguousarray(model.oof_prediction_, FLOAT64)
    if model._importances is not None:
        arrays["importances"] = model._importances
    if isinstance(model, TabularClassifier):
        document["classes"] = _encoded("classes_", model.classes_)
        document["temperature"] = float(model.temperature_)
    elif isinstance(model, TabularRegressor):
        document["single"] = bool(model._is_single)
        for name in TARGET_ARRAYS:
            arrays[f"target.{name}"] = np.asarray(getattr(model, f"_{name}"), FLOAT64)
        if model._residuals is not None:
            arrays["residuals"] = model._residuals.distances
            if model._residuals.weights is not None:
                arrays["residual_weights"] = np.asarray(model._residuals.weights, FLOAT64)
    return document, arrays


def _encoded(name: str, value: Any) -> Any:
    try:
        return encode(value)
    except TypeError as error:
        raise TypeError(
            f"{name}={shown(value)}: {error}; a model file can hold numbers, strings, arrays, and "
            "lists and mappings of these"
        ) from None


def _describe_encoder(encoder: TabularEncoder) -> Described:
    features = encoder.features_
    columns = [
        {"name": c.name, "kind": c.kind, "categories": list(c.categories)}
        for c in encoder.reader_.columns
    ]
    arrays: dict[str, NDArray[Any]] = {
        "numbers.kept": features.kept.astype(INT64),
        "numbers.center": features.center,
        "numbers.rate": features.rate,
        "numbers.marked": features.marked.astype(INT64),
        "numbers.fill": features.fill,
        "bins.owner": features.bins.owner.astype(INT64),
        "bins.left": features.bins.left,
        "bins.rate": features.bins.rate,
    }
    for i, (table, counts) in enumerate(
        zip(features.indicators, features.frequencies, strict=True)
    ):
        arrays[f"categories.{i}.indicator"] = table.astype(INT64)
        if counts is not None:
            arrays[f"categories.{i}.frequency"] = counts
    return {"columns": columns, "encoding": encoder.encoding}, arrays


def _describe_member(
    number: int, member: Member, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    document, own = describe_network(member.network)
    own |= {f"statistics.{j}": table for j, table in enumerate(member.statistics.tables)}
    arrays |= {f"members.{number}.{name}": array for name, array in own.items()}
    history = {name: encode([float(v) for v in values]) for name, values in member.history.items()}
    return document | {
        "bins": len(member.features.bins.owner) > 0,
        "history": history,
        "best_epoch": member.best_epoch,
        "n_rows": member.n_rows,
        "n_held_out": member.n_held_out,
    }


def restore_tabular(kind: str, document: Fields, arrays: Arrays) -> BaseTabular:
    """Return the estimator of a document.

    Raises
    ------
    ModelFormatError
        If a part of the document is missing, of another type, or contradicts another part.
    """
    fields = document.fields("parameters")
    known = KINDS[kind]._get_param_names()
    parameters = {name: fields.plain(name) for name in fields.names() if name in known}
    fields.end()

    def build() -> BaseTabular:
        estimator = KINDS[kind](**parameters)
        estimator._check_parameters()
        return estimator

    model: BaseTabular = checked(fields.where, build)
    model.n_features_in_ = document.count("n_features", 1)
    names = document.plain("feature_names", np.ndarray, type(None))
    if names is not None:
        model.feature_names_in_ = names
    model.encoder_ = _restore_encoder(model, document, arrays)
    without_bins = model.encoder_.features_.without_bins()
    model.members_ = [
        _restore_member(item, arrays.under(f"members.{i}."), model.encoder_, without_bins)
        for i, item in enumerate(document.objects("members"))
    ]
    if not model.members_:
        raise ModelFormatError("document: 'members' must not be empty")
    model._reset_learned()
    model._held_out, model._importances = None, None
    model.oof_score_ = document.plain("oof_score", float, type(None))
    model.linear_score_ = document.plain("linear_score", float, type(None))
    model.fit_seconds_ = document.number("fit_seconds")
    model.oof_prediction_ = None
    if "oof_prediction" in arrays:
        predictions = arrays.pop("oof_prediction")
        if predictions.dtype != FLOAT64 or not 1 <= predictions.ndim <= 2:
            raise ModelFormatError("array 'oof_prediction' must be float64 of one or two axes")
        model.oof_prediction_ = predictions
    if "importances" in arrays:
        model._importances = arrays.take("importances", FLOAT64, (None, model.n_features_in_))
    _restore_targets(model, document, arrays)
    return model


def _restore_targets(model: BaseTabular, document: Fields, arrays: Arrays) -> None:
    n_outputs = {member.network.sizes[-1] for member in model.members_}
    if isinstance(model, TabularClassifier):
        model.classes_ = restore_classes(document)
        model.temperature_ = document.number("temperature")
        n = len(model.classes_)
        wanted = 1 if n <= 2 else n
        if model.temperature_ == 0:
            raise ModelFormatError("document: 'temperature' must be more than 0")
    elif isinstance(model, TabularRegressor):
        model._is_single = document.take("single", bool)
        for name in TARGET_ARRAYS:
            finite = name in ("mean", "deviation")
            array = arrays.take(f"target.{name}", FLOAT64, (None,), finite=finite)
            setattr(model, f"_{name}", array)
        n = len(model._mean)
        if any(len(getattr(model, f"_{name}")) != n for name in TARGET_ARRAYS) or not n:
            raise ModelFormatError("the arrays of targets must have the same length")
        wanted = n * max(1, np.size([] if model.quantiles is None else model.quantiles))
        if "residuals" in arrays:
            distances = arrays.take("residuals", FLOAT64, (None,))
            weights = None
            if "residual_weights" in arrays:
                weights = arrays.take("residual_weights", FLOAT64, (len(distances),))
            model._residuals = Residuals(distances, weights)
    output = model._output_and_loss()[0]
    if n_outputs != {wanted} or any(m.network.output != output for m in model.members_):
        raise ModelFormatError(f"document: members must have {wanted} {output!r} outputs")


def _restore_encoder(model: BaseTabular, document: Fields, arrays: Arrays) -> TabularEncoder:
    encoder = model._new_encoder(0)
    encoder.encoding = document.take("encoding", str)
    checked("document: 'encoding'", encoder._check_parameters)
    model._copy_names(encoder)
    columns = [_restore_column(item) for item in document.objects("columns")]
    if len(columns) != model.n_features_in_:
        raise ModelFormatError(f"document: 'columns' must be {model.n_features_in_}")
    encoder.reader_ = Reader(columns)
    encoder.kinds_ = {column.name: column.kind for column in columns}
    encoder.features_ = _restore_features(encoder.reader_, arrays)
    encoder._statistics = TargetStatistics([])
    return encoder


def _restore_column(fields: Fields) -> ColumnFacts:
    name, kind = fields.take("name", str), fields.take("kind", str)
    categories = fields.take("categories", list)
    fields.end()
    if kind not in COLUMN_KINDS:
        raise ModelFormatError(f"{fields.where}: 'kind' must be {', '.join(COLUMN_KINDS)}")
    fits = all(category is None or type(category) is str for category in categories)
    if not fits or len(set(categories)) < len(categories):
        raise ModelFormatError(f"{fields.where}: 'categories' must be different strings or null")
    return ColumnFacts(name, kind, tuple(categories))


def _restore_features(reader: Reader, arrays: Arrays) -> Features:
    n_numbers = len(reader.number_names)
    kept = _indices(arrays, "numbers.kept", n_numbers)
    marked = _indices(arrays, "numbers.marked", n_numbers)
    owner = _indices(arrays, "bins.owner", n_numbers)
    indicators, frequencies = [], []
    for i, column in enumerate(reader.categorical):
        shape = (len(column.categories) + 1,)
        table = arrays.take(f"categories.{i}.indicator", INT64, shape)
        if table.min() < -1 or table.max() >= shape[0]:
            raise ModelFormatError(f"array 'categories.{i}.indicator' has wrong positions")
        indicators.append(table.astype(np.intp))
        name = f"categories.{i}.frequency"
        frequencies.append(arrays.take(name, FLOAT64, shape) if name in arrays else None)
    return Features(
        kept,
        arrays.take("numbers.center", FLOAT64, kept.shape),
        arrays.take("numbers.rate", FLOAT64, kept.shape),
        marked,
        arrays.take("numbers.fill", FLOAT64, (n_numbers,)),
        PiecewiseBins(
            owner,
            arrays.take("bins.left", FLOAT64, owner.shape),
            arrays.take("bins.rate", FLOAT64, owner.shape),
        ),
        indicators,
        [int(table.max()) + 1 for table in indicators],
        frequencies,
    )


def _indices(arrays: Arrays, name: str, n: int) -> NDArray[np.intp]:
    array = arrays.take(name, INT64, (None,))
    if len(array) and (array.min() < 0 or array.max() >= n):
        raise ModelFormatError(f"array {name!r} must have positions from 0 to {n - 1}")
    return array.astype(np.intp)


def _restore_member(
    fields: Fields, arrays: Arrays, encoder: TabularEncoder, without_bins: Features
) -> Member:
    network = restore_network(fields, arrays)
    features = encoder.features_ if fields.take("bins", bool) else without_bins
    tables = [
        arrays.take(f"statistics.{j}", FLOAT64, (n + 1, None)) for j, n in enumerate(encoder.n_many)
    ]
    arrays.end()
    statistics = TargetStatistics(tables)
    n_inputs = max(1, features.n_inputs + statistics.n_inputs)
    if network.sizes[0] != n_inputs:
        raise ModelFormatError(f"{fields.where}: the network must have {n_inputs} inputs")
    curves = fields.fields("history")
    history = {name: curves.plain(name, list) for name in curves.names()}
    best = fields.take("best_epoch", int, type(None))
    lengths = {len(values) for values in history.values()}
    if not all(type(v) is float for values in history.values() for v in values) or (
        best is not None and not all(0 <= best < length for length in lengths)
    ):
        raise ModelFormatError(f"{fields.where}: 'history' must be numbers for every epoch")
    member = Member(
        network,
        features,
        statistics,
        history,
        best,
        fields.count("n_rows"),
        fields.count("n_held_out"),
    )
    fields.end()
    return member
