"""ONNX of the estimators for tables, in onnxruntime, against their own predictions."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import NotFittedError
from table_data import QUICK, mixed

import fastmlp
from fastmlp import TabularClassifier, TabularRegressor

TABLE, NUMBERS = mixed()
LABELS = np.digitize(NUMBERS, np.quantile(NUMBERS, [0.3, 0.6]))


def session(model, path):
    fastmlp.export_onnx(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def fed(table):
    """The columns as the docstring of export_onnx describes the inputs."""
    inputs = {}
    for name, column in table.items():
        if name in ("town", "street", "size"):
            values = column.astype(object).where(column.notna(), "").astype(str).to_numpy(object)
        elif name == "when":
            values = (column - pd.Timestamp(0)).to_numpy() / np.timedelta64(1, "D")
        else:
            values = column.astype("float64").to_numpy()
        inputs[name] = values.reshape(-1, 1)
    return inputs


def outputs(model, path, inputs):
    run = session(model, path)
    names = [output.name for output in run.get_outputs()]
    return dict(zip(names, run.run(None, inputs), strict=True))


NEW = TABLE.head(20).assign(town="Mars", street="none", age=np.nan)


@pytest.mark.parametrize("table", [TABLE, NEW], ids=["known", "new"])
@pytest.mark.parametrize("labels", [LABELS, LABELS > 0, LABELS.astype(str)],
                         ids=["numbers", "two", "strings"])  # fmt: skip
def test_probabilities_of_mixed_tables_are_the_same(labels, table, tmp_path):
    model = TabularClassifier(**QUICK).fit(TABLE, labels)
    found = outputs(model, tmp_path / "model.onnx", fed(table))
    expected = model.predict_proba(table)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    sure = np.sort(expected)[:, -1] - np.sort(expected)[:, -2] > 1e-4
    assert (found["label"][sure].astype(str) == model.predict(table)[sure].astype(str)).all()


@pytest.mark.parametrize(
    "parameters", [{}, {"quantiles": [0.1, 0.5, 0.9]}, {"bounds": (None, 99)}], ids=str
)
def test_predictions_of_mixed_tables_are_the_same(parameters, tmp_path):
    model = TabularRegressor(**QUICK | parameters).fit(TABLE, NUMBERS)
    found = outputs(model, tmp_path / "model.onnx", fed(TABLE))["predictions"]
    expected = model.predict(TABLE)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_several_targets_are_the_same(tmp_path):
    model = TabularRegressor(**QUICK).fit(TABLE, np.column_stack([NUMBERS, NUMBERS[::-1]]))
    found = outputs(model, tmp_path / "model.onnx", fed(TABLE))["predictions"]
    np.testing.assert_allclose(found, model.predict(TABLE), atol=1e-4)


@pytest.mark.filterwarnings("ignore::fastmlp.exceptions.LinearModelWarning")
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_arrays_of_numbers_have_one_input(load, tmp_path):
    x, y = load(return_X_y=True)
    model = TabularClassifier(**QUICK).fit(x, y)
    x[::5, 0] = np.nan
    found = outputs(model, tmp_path / "model.onnx", {"X": x})
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(x), atol=1e-5)


def test_temperatures_are_in_the_graph(tmp_path):
    x, y = load_iris(return_X_y=True)
    model = TabularClassifier(**QUICK).fit(x, y)
    model.temperature_ = 1.7
    found = outputs(model, tmp_path / "model.onnx", {"X": x})
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(x), atol=1e-5)


def test_a_single_class_has_probability_one(tmp_path):
    x, _ = load_iris(return_X_y=True)
    model = TabularClassifier(**QUICK).fit(x, ["a"] * len(x))
    found = outputs(model, tmp_path / "model.onnx", {"X": x})
    assert (found["probabilities"] == 1).all() and set(found["label"]) == {"a"}


def test_constant_tables_are_refused(tmp_path):
    model = TabularRegressor(**QUICK).fit(np.ones((30, 1)), np.arange(30.0))
    with pytest.raises(ValueError, match="model must have an input that is not constant"):
        fastmlp.export_onnx(model, tmp_path / "model.onnx")


def test_unfitted_estimators_are_refused(tmp_path):
    with pytest.raises(NotFittedError):
        fastmlp.export_onnx(TabularRegressor(), tmp_path / "model.onnx")
