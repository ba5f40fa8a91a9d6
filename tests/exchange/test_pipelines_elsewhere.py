"""Numeric Pipelines predict in onnxruntime and in Keras what they predict in scikit-learn."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from estimator_data import regression
from pipelines import SHORT, classify, fitted, frame, mixed, numbers, of_columns
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from fastmlp import MLPRegressor, export_onnx, to_keras

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

STEPS = {
    "standard": [StandardScaler()],
    "no mean": [StandardScaler(with_mean=False)],
    "no deviation": [StandardScaler(with_std=False)],
    "min and max": [MinMaxScaler((-1, 2))],
    "clipped": [MinMaxScaler(clip=True)],
    "robust": [RobustScaler()],
    "robust, no center": [RobustScaler(with_centering=False)],
    "robust, no scale": [RobustScaler(with_scaling=False), StandardScaler()],
    "passed": ["passthrough", StandardScaler()],
    "nested": [make_pipeline(StandardScaler(), MinMaxScaler()), RobustScaler()],
    "mean": [SimpleImputer(), StandardScaler()],
    "median and gaps": [SimpleImputer(strategy="median", add_indicator=True), StandardScaler()],
    "constant": [SimpleImputer(strategy="constant", fill_value=3), StandardScaler()],
    "columns": [
        ColumnTransformer(
            [("a", make_pipeline(SimpleImputer(), StandardScaler()), [2, 0]),
             ("b", RobustScaler(), slice(1, 2)), ("none", MinMaxScaler(), [])],
            remainder="passthrough", transformer_weights={"b": 0.5},
        )
    ],
    "dropped": [SimpleImputer(), ColumnTransformer([("a", StandardScaler(), [-1])])],
}  # fmt: skip


def with_gaps(steps):
    """Whether the first step takes NaN."""
    return isinstance(steps[0], SimpleImputer | ColumnTransformer)


@pytest.fixture
def in_onnx(tmp_path):
    """Outputs by name in onnxruntime."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

    def run(model, x):
        path = tmp_path / "model.onnx"
        export_onnx(model, path)
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {"X": x}), strict=True))

    return run


@pytest.fixture
def in_keras():
    """Outputs in Keras."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tensorflow", reason="tensorflow is not installed")
        pytest.importorskip("keras", reason="keras is not installed")
    return lambda model, x: np.asarray(to_keras(model)(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STEPS)
def test_numeric_steps_are_nodes_of_the_graph(name, dtype, in_onnx):
    gaps = with_gaps(STEPS[name])
    pipeline = fitted(classify(*STEPS[name]), numbers(dtype=dtype, gaps=gaps))
    x = numbers(30, dtype, gaps=gaps, seed=5)
    outputs = in_onnx(pipeline, x)
    assert outputs["label"].tolist() == pipeline.predict(x).tolist()
    expected = pipeline.predict_proba(x)
    np.testing.assert_allclose(outputs["probabilities"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STEPS)
def test_numeric_steps_are_layers_of_the_keras_model(name, dtype, in_keras):
    gaps = with_gaps(STEPS[name])
    pipeline = fitted(classify(*STEPS[name]), numbers(dtype=dtype, gaps=gaps))
    x = numbers(30, dtype, gaps=gaps, seed=5)
    expected = pipeline.predict_proba(x)[:, 1]
    found = in_keras(pipeline, x)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("missing", [-1, np.nan])
def test_gaps_that_are_numbers_and_columns_without_a_value(missing, in_onnx, in_keras):
    x, y = regression(n_features=4, n_outputs=2)
    x[::5, 0] = missing
    x[:, 2] = missing
    imputer = SimpleImputer(missing_values=missing, add_indicator=True)
    pipeline = fitted(make_pipeline(imputer, StandardScaler(), MLPRegressor(**SHORT)), x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pipeline.predict(x)
    np.testing.assert_allclose(in_onnx(pipeline, x)["predictions"], expected, atol=1e-5)
    np.testing.assert_allclose(in_keras(pipeline, x), expected, atol=1e-5)


def test_columns_selected_by_name_are_in_the_order_of_the_fit(in_onnx):
    table = frame()[["age", "income", "size"]]
    columns = ColumnTransformer(
        [("a", RobustScaler(), ["size", "income"]), ("b", SimpleImputer(), ["age"])]
    )
    pipeline = fitted(classify(columns), table)
    outputs = in_onnx(pipeline, table.to_numpy())
    np.testing.assert_allclose(outputs["probabilities"], pipeline.predict_proba(table), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_keras_model_of_a_pipeline_is_saved_and_loaded_by_keras(in_keras, tmp_path):
    import keras

    steps = [SimpleImputer(add_indicator=True), MinMaxScaler(clip=True), StandardScaler()]
    x = numbers(gaps=True)
    pipeline = fitted(classify(*steps), x)
    model = to_keras(pipeline)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)
    assert any(isinstance(layer, keras.layers.Normalization) for layer in model.layers)


def to_onnx(model, path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    export_onnx(model, path)


def to_keras_model(model, path):
    pytest.importorskip("keras", reason="keras is not installed")
    to_keras(model)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("export", [to_onnx, to_keras_model])
def test_steps_that_are_not_numeric_are_refused_by_name(export, tmp_path):
    path = tmp_path / "model.onnx"
    x = mixed()
    town = OneHotEncoder(sparse_output=False)
    code = np.arange(80) % 2
    words = SimpleImputer(missing_values=None, strategy="most_frequent")
    logistic = fitted(make_pipeline(StandardScaler(), LogisticRegression()), numbers())
    for model, match in (
        (fitted(classify(town), x[:, [3]], code),
         r"step 'onehotencoder' \(OneHotEncoder\) cannot be exported: allowed before the "
         "estimator are StandardScaler, .*Pipeline and 'passthrough'"),
        (of_columns(), r"step 'town' \(OneHotEncoder\) cannot be exported"),
        (fitted(classify(PolynomialFeatures()), numbers()), r"\(PolynomialFeatures\) is not supp"),
        (fitted(classify(words, town), x[:, [5]], code),
         r"'simpleimputer' \(SimpleImputer\) cannot be exported: .*; got missing_values=None"),
        (logistic, r"last step of a Pipeline must be an MLPClassifier or an MLPRegressor"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=match):
            export(model, path)
    with pytest.raises(NotFittedError):
        export(classify(StandardScaler()), path)
    assert not path.exists()
