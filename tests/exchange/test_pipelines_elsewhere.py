"""Numeric Pipelines predict in onnxruntime and in Keras what they predict in scikit-learn."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from estimator_data import regression
from pipelines import SHORT, classify, fitted, frame, labels, mixed, numbers, of_columns
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from fastmlp import MLPClassifier, MLPRegressor, export_onnx, to_keras

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
    """Outputs by name in onnxruntime; x is one array, or arrays by name of the input."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

    def run(model, x):
        path = tmp_path / "model.onnx"
        export_onnx(model, path)
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(
            zip(names, session.run(None, x if isinstance(x, dict) else {"X": x}), strict=True)
        )

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


ENCODERS = {
    "one-hot": OneHotEncoder(),
    "one-hot, unknown ignored": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "one-hot without the first": OneHotEncoder(drop="first", handle_unknown="ignore"),
    "one-hot without one of two": OneHotEncoder(drop="if_binary"),
    "one-hot, rare ones together": OneHotEncoder(
        min_frequency=20, handle_unknown="infrequent_if_exist"
    ),
    "one-hot, three at most, without one": OneHotEncoder(
        max_categories=3, drop="first", handle_unknown="infrequent_if_exist"
    ),
    "one-hot of given ones": OneHotEncoder(
        categories=[[-1, 0, 1, 2, 3, 4, 8, 9], [0, 1]], handle_unknown="ignore"
    ),
    "ordinal": OrdinalEncoder(),
    "ordinal, unknown is -1": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "ordinal, rare ones together": OrdinalEncoder(
        max_categories=3, handle_unknown="use_encoded_value", unknown_value=-2
    ),
}


def coded(n_rows=80, dtype="float64", seed=0):
    """Rows (n_rows, 3): a number of few values, some of them rare, one of two, and any number."""
    rng = np.random.default_rng(seed)
    few = rng.choice([0, 1, 2, 3, 4, 8], n_rows, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05])
    two = rng.integers(0, 2, n_rows)
    return np.column_stack([few, two, rng.normal(size=n_rows)]).astype(dtype)


def of_codes(encoder, dtype="float64"):
    """A fitted Pipeline that encodes the first two of the coded columns."""
    encoder = clone(encoder).set_params(dtype=dtype)
    columns = ColumnTransformer([("codes", encoder, [0, 1])], remainder=StandardScaler())
    x = coded(dtype=dtype)
    return fitted(classify(columns), x, (x[:, 0] > 1).astype(int))


def with_unknown(encoder, dtype="float64"):
    """Coded rows, and one with an unknown number if the encoder takes it."""
    x = coded(30, dtype, seed=3)
    if encoder.handle_unknown != "error":
        x[4, 0] = 77
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_numbers_are_nodes_of_the_graph(name, dtype, in_onnx):
    pipeline = of_codes(ENCODERS[name], dtype)
    x = with_unknown(ENCODERS[name], dtype)
    assert pipeline[-1].network_.dtype == dtype
    outputs = in_onnx(pipeline, x)
    np.testing.assert_allclose(outputs["probabilities"], quiet_proba(pipeline, x), atol=1e-5)
    assert outputs["label"].tolist() == quiet_proba(pipeline, x).argmax(axis=1).tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_numbers_are_operations_of_the_keras_model(name, in_keras):
    pipeline, x = of_codes(ENCODERS[name]), with_unknown(ENCODERS[name])
    np.testing.assert_allclose(
        in_keras(pipeline, x)[:, 0], quiet_proba(pipeline, x)[:, 1], atol=1e-5
    )


def quiet_proba(pipeline, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of unknown categories
        return pipeline.predict_proba(x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()])
def test_a_category_that_the_encoder_would_refuse_gives_nan(encoder, in_onnx, in_keras):
    pipeline, x = of_codes(encoder), coded(30, seed=3)
    x[4, 0] = 77
    with pytest.raises(ValueError, match="unknown categories"):
        pipeline.predict(x)
    for found in (in_onnx(pipeline, x)["probabilities"], in_keras(pipeline, x)):
        assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [4]


@pytest.mark.filterwarnings("ignore")
def test_gaps_are_a_category_where_they_were_one(in_onnx, in_keras):
    x = coded()
    x[::6, 0] = np.nan
    columns = ColumnTransformer(
        [
            ("one-hot", OneHotEncoder(), [0]),
            ("ordinal", OrdinalEncoder(encoded_missing_value=-3), [0, 1]),
        ]
    )
    pipeline = fitted(classify(columns), x, (x[:, 1] > 0).astype(int))
    expected = pipeline.predict_proba(x)
    np.testing.assert_allclose(in_onnx(pipeline, x)["probabilities"], expected, atol=1e-5)
    np.testing.assert_allclose(in_keras(pipeline, x)[:, 0], expected[:, 1], atol=1e-5)


def test_categories_that_float32_rounds_are_found(in_onnx):
    x = np.random.default_rng(0).choice([0.1, 0.2, 0.3], (80, 2))
    pipeline = fitted(classify(OneHotEncoder(dtype="float32")), x, (x[:, 0] > 0.15).astype(int))
    found = in_onnx(pipeline, x.astype("float32"))["probabilities"]
    np.testing.assert_allclose(found, pipeline.predict_proba(x), atol=1e-5)


def inputs(table, dtype="float64"):
    """Columns of a data frame as inputs of a graph."""
    return {
        name: column.to_numpy(object if column.dtype.kind in "OU" else dtype)[:, None]
        for name, column in table.items()
    }


@pytest.mark.parametrize("regression", [False, True])
def test_columns_with_strings_are_an_input_each(regression, in_onnx):
    table = frame()[["age", "town", "income", "rooms", "size"]].assign(street=mixed(seed=4)[:, 3])
    columns = ColumnTransformer([
        ("gaps", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
        ("names", OneHotEncoder(handle_unknown="ignore", min_frequency=5), ["street", "town"]),
        ("code", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["town"]),
        ("rooms", OneHotEncoder(), ["rooms"]),
        ("none", "drop", ["size"]),
    ], remainder="passthrough")  # fmt: skip
    last = MLPRegressor(**SHORT) if regression else MLPClassifier(**SHORT)
    target = table["income"] / 10 if regression else labels(frame())
    pipeline = fitted(make_pipeline(columns, last), table, target)
    new = frame(40, seed=2)[["age", "town", "income", "rooms", "size"]].assign(street="Rom")
    given = inputs(new.drop(columns="size"))
    outputs = in_onnx(pipeline, given)
    if regression:
        expected = pipeline.predict(new)
        np.testing.assert_allclose(outputs["predictions"], expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(outputs["probabilities"], pipeline.predict_proba(new), atol=1e-5)
        assert outputs["label"].tolist() == pipeline.predict(new).tolist()


def test_columns_of_an_array_with_strings_are_named_by_position(in_onnx):
    pipeline, x = of_columns(), mixed(30, seed=6)
    given = {f"X{i}": x[:, [i]].astype(float) for i in range(6) if i != 3}
    given["X3"] = x[:, [3]]
    np.testing.assert_allclose(
        in_onnx(pipeline, given)["predictions"], pipeline.predict(x), rtol=1e-5, atol=1e-6
    )


@pytest.mark.filterwarnings("ignore")
def test_columns_with_strings_are_refused_for_keras_with_their_names(in_keras):
    table = frame()[["age", "town"]].fillna(0)
    columns = ColumnTransformer([("town", OneHotEncoder(), ["town"])], remainder="passthrough")
    pipeline = fitted(classify(columns), table, labels(frame()))
    with pytest.raises(TypeError, match="columns town must be numbers, or use export_onnx"):
        in_keras(pipeline, table)


def to_onnx(model, path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    export_onnx(model, path)


def to_keras_model(model, path):
    pytest.importorskip("keras", reason="keras is not installed")
    to_keras(model)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("export", [to_onnx, to_keras_model])
def test_steps_that_cannot_be_exported_are_refused_by_name(export, tmp_path):
    path = tmp_path / "model.onnx"
    x = mixed()
    town = OneHotEncoder(sparse_output=False)
    code = np.arange(80) % 2
    words = SimpleImputer(missing_values=None, strategy="most_frequent")
    with_none = np.where(np.arange(80)[:, None] % 9, x[:, [3]], None)
    two_gaps = np.array([1, 2, None, np.nan] * 20, object)[:, None]
    dates = np.array(["2026-01-01", "2026-01-02"], "datetime64[D]")[code][:, None]
    logistic = fitted(make_pipeline(StandardScaler(), LogisticRegression()), numbers())
    for model, match in (
        (fitted(classify(OrdinalEncoder()), with_none, code),
         r"step 'ordinalencoder' \(OrdinalEncoder\) cannot be exported: the categories of a column "
         r"must be all numbers, with gaps of one kind, or all strings; got None, 'Bonn', 'Hof'"),
        (fitted(classify(clone(town)), two_gaps, code), "got None, nan, 1"),
        (fitted(classify(clone(town)), dates, code),
         r"step 'onehotencoder' \(OneHotEncoder\) cannot be exported: the categories .*; got date"),
        (fitted(classify(PolynomialFeatures()), numbers()), r"\(PolynomialFeatures\) is not supp"),
        (fitted(classify(words, OrdinalEncoder()), x[:, [5]], code),
         r"'simpleimputer' \(SimpleImputer\) cannot be exported: .*; got missing_values=None"),
        (fitted(classify(words, town), x[:, [3]], code),
         r"'onehotencoder' \(OneHotEncoder\) cannot be exported: its strings must be columns of "
         "the input, not of another step"),
        (logistic, r"last step of a Pipeline must be an MLPClassifier or an MLPRegressor"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=match):
            export(model, path)
    with pytest.raises(NotFittedError):
        export(classify(StandardScaler()), path)
    assert not path.exists()
