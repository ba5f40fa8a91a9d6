"""Nodes of an ONNX graph for the estimators for tables: columns, members, and their mean."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastmlp.tables.base import BaseTabular
    from fastmlp.tables.members import Member
    from fastmlp.tables.reader import ColumnFacts

ML_DOMAIN = "ai.onnx.ml"
DOUBLE, STRING = 11, 8
"""Types of the inputs, as ONNX numbers them."""


def as_tabular(model: object) -> BaseTabular | None:
    """Return the model if it is an estimator for tables, else None, without importing these."""
    if "fastmlp.tables.base" not in sys.modules:
        return None
    from fastmlp.tables.base import BaseTabular

    return model if isinstance(model, BaseTabular) else None


def add_tabular(
    graph: Any,
    model: BaseTabular,
    layers: Callable[[Any, str, Any], str],
    label: Callable[[Any, str, Any], None],
) -> None:
    """Add inputs, members and outputs.

    Parameters
    ----------
    graph : object
        With the methods `input`, `add`, `constant`, `cast` and `output`; for float32.
    model : BaseTabular
        Fitted.
    layers : callable
        ``layers(graph, x, network)`` adds a network and returns its outputs.
    label : callable
        ``label(graph, probabilities, classes)`` adds the output "label".
    """
    numbers, codes = _inputs(graph, model)
    parts = _features(graph, model, numbers, codes)
    outputs = [
        graph.cast(
            layers(graph, _member_inputs(graph, model, member, parts, codes), member.network),
            np.float64,
        )
        for member in model.members_
    ]
    n_members = graph.constant(np.array(float(len(outputs))))
    mean = graph.add("Div", graph.add("Sum", *outputs), n_members)
    if hasattr(model, "classes_"):
        probabilities = _probabilities(graph, model, mean)
        label(graph, probabilities, model.classes_)
        graph.output("probabilities", probabilities, [None, len(model.classes_)], DOUBLE)
    else:
        _predictions(graph, model, mean)


def _inputs(graph: Any, model: BaseTabular) -> tuple[str, list[str]]:
    """Add the inputs; return the numbers (n, n_numbers), "" for none, and codes (n,) per column."""
    reader = model.encoder_.reader_
    if reader.is_plain:
        return graph.input("X", len(reader.columns), DOUBLE), []
    numbers, codes = [], []
    for column in reader.columns:
        if column.kind == "categorical":
            codes.append(_code(graph, column))
        elif column.kind == "ordinal":
            numbers.append(_place(graph, column))
        elif column.kind == "date":
            numbers += _date_numbers(graph, graph.input(column.name, 1, DOUBLE))
        else:
            numbers.append(graph.input(column.name, 1, DOUBLE))
    return graph.add("Concat", *numbers, axis=1) if numbers else "", codes


def _code(graph: Any, column: ColumnFacts) -> str:
    """Add a column of text as codes; the empty text is a missing value."""
    keys = ["" if category is None else category for category in column.categories]
    text = graph.input(column.name, 1, STRING)
    code = graph.add(
        "LabelEncoder",
        text,
        domain=ML_DOMAIN,
        keys_strings=list(dict.fromkeys(keys)),
        values_int64s=[
            column.lookup.get(key, column.lookup.get(None, 0)) for key in dict.fromkeys(keys)
        ],
        default_int64=len(keys),
    )
    return str(graph.add("Squeeze", code, graph.constant(np.array([1], np.int64))))


def _place(graph: Any, column: ColumnFacts) -> str:
    """Add a column of ordered text as numbers, NaN for other text."""
    place = graph.add(
        "LabelEncoder",
        graph.input(column.name, 1, STRING),
        domain=ML_DOMAIN,
        keys_strings=[str(category) for category in column.categories],
        values_floats=[float(i) for i in range(len(column.categories))],
        default_float=float("nan"),
    )
    return str(graph.cast(place, np.float64))


def _date_numbers(graph: Any, days: str) -> list[str]:
    """Add days and phases of a date, given in days since 1970."""
    from fastmlp.tables.values import YEAR_DAYS

    numbers = [days]
    for period in (YEAR_DAYS, 7.0, 1.0):
        phase = graph.add("Mod", days, graph.constant(np.array(period)), fmod=1)
        angle = graph.add("Mul", phase, graph.constant(np.array(2 * np.pi / period)))
        quarter = graph.add("Add", angle, graph.constant(np.array(np.pi / 2)))
        numbers += [graph.add("Sin", angle), graph.add("Sin", quarter)]
    return numbers


def _features(
    graph: Any, model: BaseTabular, numbers: str, codes: list[str]
) -> dict[str, list[str]]:
    """Add all inputs of the members but statistics, in float64, by what they are."""
    features = model.encoder_.features_

    def constant(array: Any) -> str:
        return str(graph.constant(np.asarray(array)))

    def gathered(x: str, columns: Any) -> str:
        return str(graph.add("Gather", x, constant(np.asarray(columns, np.int64)), axis=1))

    parts: dict[str, list[str]] = {"numbers": [], "bins": [], "codes": []}
    if numbers:
        missing = graph.add("IsNaN", numbers)
        filled = graph.add("Where", missing, constant(features.fill), numbers)
    if len(features.kept):
        z = graph.add("Sub", gathered(filled, features.kept), constant(features.center))
        z = graph.add("Mul", z, constant(features.rate))
        z = graph.add("Clip", z, constant(np.array(-1e100)), constant(np.array(1e100)))
        third = graph.add("Div", z, constant(np.array(3.0)))
        square = graph.add("Add", graph.add("Mul", third, third), constant(np.array(1.0)))
        parts["numbers"].append(graph.add("Div", z, graph.add("Sqrt", square)))
    if len(features.marked):
        marks = gathered(graph.cast(missing, np.float64), features.marked)
        parts["numbers"].append(marks)
    if len(features.bins.owner):
        x = graph.add("Sub", gathered(filled, features.bins.owner), constant(features.bins.left))
        x = graph.add("Mul", x, constant(features.bins.rate))
        parts["bins"].append(graph.add("Clip", x, constant(np.array(0.0)), constant(np.array(1.0))))
    for code, table, n_columns in zip(
        codes, features.indicators, features.n_indicators, strict=True
    ):
        if n_columns:
            rows = np.where(table[:, np.newaxis] == np.arange(n_columns), 1.0, 0.0)
            parts["codes"].append(graph.add("Gather", constant(rows), code, axis=0))
    for code, counts in zip(codes, features.frequencies, strict=True):
        if counts is not None:
            rows = counts[:, np.newaxis]
            parts["codes"].append(graph.add("Gather", constant(rows), code, axis=0))
    return parts


def _member_inputs(
    graph: Any,
    model: BaseTabular,
    member: Member,
    parts: dict[str, list[str]],
    codes: list[str],
) -> str:
    """Add the inputs of a member, (n, n_inputs) in the network's dtype."""
    many = [code for code, is_many in zip(codes, model.encoder_.many, strict=True) if is_many]
    statistics = [
        graph.add("Gather", graph.constant(table), code, axis=0)
        for code, table in zip(many, member.statistics.tables, strict=True)
    ]
    bins = parts["bins"] if len(member.features.bins.owner) else []
    columns = parts["numbers"] + bins + parts["codes"] + statistics
    if not columns:
        raise ValueError("model must have an input that is not constant for ONNX")
    joined = graph.add("Concat", *columns, axis=1)
    return str(graph.cast(joined, member.network.dtype))


def _probabilities(graph: Any, model: Any, outputs: str) -> str:
    n_classes, temperature = len(model.classes_), model.temperature_
    one = graph.constant(np.array(1.0))
    if n_classes == 1:
        return str(graph.add("Max", outputs, one))
    if n_classes == 2:
        outputs = graph.add("Concat", graph.add("Sub", one, outputs), outputs, axis=1)
    if temperature != 1.0:
        least = graph.constant(np.array(1e-12))
        power = graph.constant(np.array(1.0 / temperature))
        outputs = graph.add("Pow", graph.add("Max", outputs, least), power)
    axis = graph.constant(np.array([1], np.int64))
    return str(graph.add("Div", outputs, graph.add("ReduceSum", outputs, axis, keepdims=1)))


def _predictions(graph: Any, model: Any, outputs: str) -> None:
    scaled = graph.add("Mul", outputs, graph.constant(np.asarray(model._deviation)))
    values = graph.add("Add", scaled, graph.constant(np.asarray(model._mean)))
    for operator, limit in (("Max", model._low), ("Min", model._high)):
        values = graph.add(operator, values, graph.constant(np.asarray(limit)))
    n_outputs = model.members_[0].network.sizes[-1]
    if model._is_single and n_outputs == 1:
        values = graph.add("Squeeze", values, graph.constant(np.array([1], np.int64)))
        graph.output("predictions", values, [None], DOUBLE)
    else:
        graph.output("predictions", values, [None, n_outputs], DOUBLE)
