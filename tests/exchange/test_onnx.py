"""ONNX files predict in onnxruntime what fastmlp predicts."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from estimator_data import blobs, regression
from saved_models import SHORT, classifier, fitted, multilabel_classifier, myann, regressor

from fastmlp import MLPClassifier, MLPRegressor, Network, Trainer, export_onnx
from fastmlp.losses import ACTIVATIONS, OUTPUT_FUNCTIONS, OUTPUTS_OF_LOSS

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture
def run(tmp_path):
    """Outputs by name of a model's ONNX file for some rows."""

    def run(model, x):
        path = tmp_path / "model.onnx"
        export_onnx(model, path)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        assert [i.name for i in session.get_inputs()] == ["X"]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {"X": x}), strict=True))

    return run


def rows(n_features, dtype, n=50):
    return np.random.default_rng(1).normal(size=(n, n_features)).astype(dtype)


def assert_close(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", OUTPUT_FUNCTIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_of_every_function_agree(activation, output, dtype, run):
    net = Network(
        (5, 7, 6, 4),
        activation=activation,
        output=output,
        dtype=dtype,
        initializer="he",
        random_state=0,
    )
    x = rows(5, dtype)
    outputs = run(net, x)
    assert list(outputs) == ["outputs"]
    assert_close(outputs["outputs"], net.predict(x))


@pytest.mark.parametrize(
    ("loss", "output"), [(k, v) for k, vs in OUTPUTS_OF_LOSS.items() if k != "own" for v in vs]
)
def test_networks_trained_on_every_loss_agree(loss, output, run):
    net = Network((5, 8, 3), output=output, random_state=0)
    x = rows(5, "float32")
    y = np.abs(rows(3, "float32")) + 0.1
    y /= y.sum(axis=1, keepdims=True)
    Trainer(net, loss=loss, learning_rate=0.001, random_state=0).fit(x, y, n_epochs=3)
    assert_close(run(net, x)["outputs"], net.predict(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "classes",
    [
        np.arange(2),
        np.arange(3),
        np.array(["no", "yes"]),
        np.array(["a", "b", "ü"], object),
        np.array([1.0, 5.0, 7.0]),
        np.array([False, True]),
        np.array([4]),
    ],
    ids=["binary", "multiclass", "texts", "objects", "floats", "bool", "one"],
)
def test_classifiers_give_labels_and_probabilities(classes, dtype, run):
    x, y = blobs(n_classes=len(classes))
    x = x.astype(dtype)
    model = fitted(MLPClassifier(**SHORT), x, classes[y])
    outputs = run(model, x)
    assert list(outputs) == ["label", "probabilities"]
    assert outputs["label"].tolist() == model.predict(x).tolist()
    assert_close(outputs["probabilities"], model.predict_proba(x))


def test_multilabel_classifiers_give_indicators(run):
    model = multilabel_classifier()
    x = rows(6, "float64")
    outputs = run(model, x)
    np.testing.assert_array_equal(outputs["label"], model.predict(x))
    assert_close(outputs["probabilities"], model.predict_proba(x))


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_regressors_give_numbers_of_the_same_shape(n_outputs, run):
    x, y = regression(n_outputs=n_outputs)
    model = fitted(MLPRegressor(**SHORT), x, y)
    outputs = run(model, x)
    assert list(outputs) == ["predictions"]
    assert_close(outputs["predictions"], model.predict(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("standardize", [False, True, "global"])
def test_a_myann_scales_in_the_graph(standardize, dtype, run):
    ann = myann(b_standardize=standardize, dtype=dtype)
    x = 5 * rows(6, dtype) + 3
    outputs = run(ann, x)
    assert outputs["label"].tolist() == ann.predict(x).tolist()
    assert_close(outputs["outputs"], ann.predict_proba(x))


def test_weights_that_were_put_in_by_hand_are_exported(run):
    model = regressor()
    model.coefs_[-1] = model.coefs_[-1] * 2
    x = rows(6, "float64")
    assert_close(run(model, x)["predictions"], model.predict(x))


def test_other_objects_and_unfitted_estimators_are_refused(tmp_path):
    from sklearn.exceptions import NotFittedError

    for model in ("model", None, object()):
        with pytest.raises(TypeError, match="model must be a Network, a MyANN"):
            export_onnx(model, tmp_path / "x")
    with pytest.raises(NotFittedError):
        export_onnx(MLPClassifier(), tmp_path / "x")


def test_a_file_is_valid_small_and_names_no_place(tmp_path):
    path = tmp_path / "model.onnx"
    export_onnx(classifier(), path)
    onnx.checker.check_model(str(path), full_check=True)
    content = path.read_bytes()
    assert len(content) < 4096
    for place in (str(tmp_path), sys.prefix):
        assert place.encode() not in content


def test_without_onnx_the_command_that_installs_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[onnx\]"'):
        export_onnx(Network((2, 1)), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
