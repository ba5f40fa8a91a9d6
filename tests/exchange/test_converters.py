"""skl2onnx exports our estimators, with every step that it knows in front of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from estimator_data import blobs, multilabel, regression
from pipelines import SHORT, classify, fitted, frame, numbers
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.exchange import register_skl2onnx
from fastmlp.losses import ACTIVATIONS

skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def registered():
    register_skl2onnx()


def run(model, inputs):
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def run_numbers(model, x, **options):
    return run(skl2onnx.to_onnx(model, x[:1], **options), {"X": x})


def assert_close(found, expected, dtype):
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "classes",
    [np.arange(2), np.arange(3), np.array(["no", "yes"]), np.array(["a", "b", "ü"], object),
     np.array([4])],
    ids=["binary", "multiclass", "texts", "objects", "one"],
)  # fmt: skip
def test_classifiers_give_labels_and_probabilities(classes, dtype):
    x, y = blobs(n_classes=len(classes))
    x = x.astype(dtype)
    model = fitted(make_pipeline(StandardScaler(), MLPClassifier(**SHORT)), x, classes[y])
    label, probabilities = run_numbers(model, x, options={"zipmap": False})
    assert label.tolist() == model.predict(x).tolist()
    assert_close(probabilities, model.predict_proba(x), dtype)


def test_probabilities_by_label_are_a_map_as_of_scikit_learn_s_classifiers():
    x = numbers(dtype="float32")
    model = fitted(classify(StandardScaler()), x)
    _, probabilities = run_numbers(model, x)
    assert sorted(probabilities[0]) == [0, 1]
    assert probabilities[0][1] == pytest.approx(model.predict_proba(x)[0, 1], rel=1e-5)


def test_regressors_give_a_column_for_every_output():
    for n_outputs in (1, 3):
        x, y = regression(n_outputs=n_outputs)
        x = x.astype("float32")  # PolynomialFeatures of skl2onnx mixes types for doubles
        model = fitted(make_pipeline(PolynomialFeatures(), MLPRegressor(**SHORT)), x, y)
        (found,) = run_numbers(model, x)
        assert_close(found, model.predict(x).reshape(len(x), -1), "float32")


def test_indicators_of_several_labels_are_given():
    x, y = multilabel()
    model = fitted(MLPClassifier(**SHORT), x, y)
    label, probabilities = run_numbers(model, x, options={"zipmap": False})
    np.testing.assert_array_equal(label, model.predict(x))
    assert_close(probabilities, model.predict_proba(x), "float64")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_exported(activation):
    x, y = regression()
    x = x.astype("float32")
    model = fitted(MLPRegressor(**SHORT | {"activation": activation}), x, y)
    (found,) = run_numbers(model, x)
    assert_close(found[:, 0], model.predict(x), "float32")


def test_columns_of_mixed_types_are_an_input_each():
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    table = frame()[["age", "income", "town", "rooms"]]
    columns = ColumnTransformer(
        [
            ("gaps", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
            ("town", OneHotEncoder(handle_unknown="ignore"), ["town"]),
            ("rooms", OrdinalEncoder(), ["rooms"]),
        ]
    )
    model = fitted(classify(columns), table)
    types = {"age": FloatTensorType, "income": FloatTensorType, "town": StringTensorType,
             "rooms": Int64TensorType}  # fmt: skip
    exported = skl2onnx.convert_sklearn(
        model,
        initial_types=[(name, type_([None, 1])) for name, type_ in types.items()],
        options={"zipmap": False},
    )
    inputs = {
        "age": table[["age"]].to_numpy("float32"),
        "income": table[["income"]].to_numpy("float32"),
        "town": table[["town"]].to_numpy(object),
        "rooms": table[["rooms"]].to_numpy("int64"),
    }
    label, probabilities = run(exported, inputs)
    assert label.tolist() == model.predict(table).tolist()
    assert_close(probabilities, model.predict_proba(table), "float32")


def test_skl2onnx_is_imported_when_it_is_registered_and_not_before():
    code = (
        "import sys, fastmlp.exchange as e; print('skl2onnx' in sys.modules);"
        "e.register_skl2onnx(); print('skl2onnx' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["False", "True"], result.stderr


def test_without_skl2onnx_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match="pip install skl2onnx"):
        register_skl2onnx()
