"""Dense models go to Keras and come back with the same weights and outputs."""

from __future__ import annotations

import os
import sys
import warnings

import numpy as np
import pytest
from saved_models import classifier, myann, regressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPRegressor, Network, from_keras, to_keras
from fastmlp.losses import ACTIVATIONS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    keras = pytest.importorskip("keras", reason="keras is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own


def rows(n_features, dtype="float32"):
    return np.random.default_rng(1).normal(size=(20, n_features)).astype(dtype)


def outputs(model, x):
    return np.asarray(model(x))


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity", "exponential"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_of_every_function_go_there_and_back(activation, output):
    net = Network((5, 7, 4), activation=activation, output=output, initializer="he", random_state=0)
    model = to_keras(net)
    x = rows(5)
    np.testing.assert_allclose(outputs(model, x), net.predict(x), rtol=1e-5, atol=1e-6)
    back = from_keras(model)
    np.testing.assert_array_equal(back.parameters, net.parameters)
    assert (back.sizes, back.functions, back.dtype) == (net.sizes, net.functions, net.dtype)


def test_kernels_are_transposed_weights_and_biases_column_0():
    net = Network((3, 2), random_state=0)
    kernel, bias = to_keras(net).layers[-1].get_weights()
    np.testing.assert_array_equal(kernel, net.weights[0][:, 1:].T)
    np.testing.assert_array_equal(bias, net.weights[0][:, 0])


def test_float64_stays_float64():
    net = Network((3, 4, 2), dtype="float64", random_state=0)
    model = to_keras(net)
    x = rows(3, "float64")
    np.testing.assert_allclose(outputs(model, x), net.predict(x), rtol=1e-12)
    assert from_keras(model).dtype == np.float64


def test_estimators_give_their_probabilities_and_numbers():
    x = rows(6, "float64")
    model = classifier()
    np.testing.assert_allclose(outputs(to_keras(model), x)[:, 0], model.predict_proba(x)[:, 1])
    model = regressor()
    np.testing.assert_allclose(outputs(to_keras(model), x)[:, 0], model.predict(x))


@pytest.mark.parametrize("standardize", [False, True, "global"])
def test_a_myann_takes_its_scaler_along(standardize):
    ann = myann(b_standardize=standardize)
    x = 5 * rows(6) + 3
    np.testing.assert_allclose(outputs(to_keras(ann), x), ann.predict_proba(x), rtol=1e-4)


def dense_model(*layers):
    return keras.Sequential([keras.Input((4,)), *layers])


def test_a_keras_model_of_the_usual_kind_is_taken_over():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((2, 2)),
            layers.Flatten(),
            layers.Dense(5, use_bias=False),
            layers.Activation("relu"),
            layers.Dropout(0.5),
            layers.Dense(3),
            layers.ReLU(),
            layers.Dense(3),
            layers.ELU(),
            layers.Dense(3, activation="silu"),
            layers.Dense(2),
            layers.Softmax(),
        ]
    )
    net = from_keras(model)
    assert net.functions == ("relu", "relu", "elu", "silu", "softmax")
    assert (net.weights[0][:, 0] == 0).all()
    x = rows(4)
    np.testing.assert_allclose(
        net.predict(x), outputs(model, x.reshape(-1, 2, 2)), rtol=1e-5, atol=1e-6
    )


def test_a_functional_chain_is_taken_over_and_a_branch_is_not():
    start = keras.Input((4,))
    hidden = keras.layers.Dense(3, activation="tanh")(start)
    end = keras.layers.Dense(2)(hidden)
    model = keras.Model(start, end)
    np.testing.assert_allclose(
        from_keras(model).predict(rows(4)), outputs(model, rows(4)), rtol=1e-5, atol=1e-6
    )
    side = keras.layers.Dense(2)(start)
    with pytest.raises(ValueError, match="does not follow"):
        from_keras(keras.Model(start, keras.layers.Add()([end, side])))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda k: [k.layers.BatchNormalization(), k.layers.Dense(2)], "BatchNorm.* is not"),
        (lambda k: [k.layers.Dense(2, activation="softsign")], "activation 'softsign'; known"),
        (lambda k: [k.layers.Dense(2, activation=lambda z: z * 2)], "has the activation"),
        (lambda k: [k.layers.Dense(2), k.layers.LeakyReLU(negative_slope=0.3)], "slope 0.3"),
        (lambda k: [k.layers.Dense(2), k.layers.ReLU(max_value=6)], "no function of fastmlp"),
        (lambda k: [k.layers.Dense(2), k.layers.ReLU()], "output must be one of"),
        (
            lambda k: [k.layers.Dense(3, activation="tanh"), k.layers.ReLU(), k.layers.Dense(2)],
            "is not supported",
        ),
        (lambda k: [k.layers.Dropout(0.1)], "must have a Dense layer"),
    ],
)
def test_what_is_no_dense_network_is_refused_by_name(make, match):
    with pytest.raises(ValueError, match=match):
        from_keras(dense_model(*make(keras)))


def test_other_objects_and_increasing_outputs_are_refused():
    with pytest.raises(TypeError, match="model must be a Keras model; got Network"):
        from_keras(Network((1, 1)))
    with pytest.raises(TypeError, match="model must be a Network, a MyANN"):
        to_keras("model")
    with pytest.raises(ValueError, match="'increasing' has no layer in Keras"):
        to_keras(Network((1, 2), output="increasing"))


def test_missing_keras_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    for call in (lambda: to_keras(Network((1, 1))), lambda: from_keras("model")):
        with pytest.raises(ImportError, match=r'pip install "fastmlp\[cnn\]"'):
            call()


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0])
def test_features_of_any_scale_are_standardized_as_in_the_pipeline(scale):
    x = rows(3, "float64") * [scale, 1, 5] + [0, 2, 3 * scale]
    model = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    )
    model.fit(x, x[:, 1])
    np.testing.assert_allclose(
        outputs(to_keras(model), x.astype(np.float32)).ravel(),
        model.predict(x),
        rtol=1e-4,
        atol=1e-4,
    )
