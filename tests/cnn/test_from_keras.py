"""A CNN from a Keras model: the same outputs, and everything that a CNN can do."""

from __future__ import annotations

import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, bars, needs_keras

from fastmlp.cnn import CNN, ConvLayer, PoolLayer, from_keras
from fastmlp.cnn.articles import build_cnn_simple
from fastmlp.cnn.articles.lists import config_of_lists
from fastmlp.cnn.maps import activation_maps

pytestmark = [needs_keras, KERAS_SAVES_BY_COPY]
X, Y = bars(30)
LISTS = (
    [[4, (3, 2), 0], ConvLayer(5, 3, "tanh", stride=2, padding="same"), [6, 2, 0]],
    [None, PoolLayer(2, "average", stride=1)],
    [[8, 0], [3, 0]],
    (10, 10, 1),
)


def test_the_cnn_has_the_layers_and_outputs_of_the_model_and_can_be_looked_into(tmp_path):
    model = build_cnn_simple(*LISTS, seed=0)
    cnn = from_keras(model, seed=1)
    assert cnn.config == config_of_lists(*LISTS)
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(cnn.predict(X), expected, atol=1e-6)
    assert activation_maps(cnn, "Conv2D_2", X[:2]).shape == (2, 4, 5, 5)
    cnn.fit(X, Y, epochs=1)
    cnn.reset()
    np.testing.assert_allclose(cnn.predict(X), expected, atol=1e-6)
    np.testing.assert_array_equal(model.predict(X, verbose=0), expected)  # is not changed
    cnn.save(tmp_path / "cnn.keras")
    again = from_keras(CNN.load(tmp_path / "cnn.keras").model)
    assert again.config.conv == cnn.config.conv
    np.testing.assert_allclose(again.predict(X), expected, atol=1e-6)


def test_penalties_are_those_of_the_model():
    model = build_cnn_simple(*LISTS, "l2", 0.02)
    cnn = from_keras(model)
    cost = cnn.evaluate(X, Y)
    assert cost.cost - cost.loss == pytest.approx(sum(map(float, model.losses)), rel=1e-4)
    assert not cnn.config.regularize_conv


def layers_of(*names):
    """A model of unusual layers, by letters."""
    import keras

    make = {
        "C": lambda: keras.layers.Conv2D(2, 2, activation="relu"),
        "c": lambda: keras.layers.Conv2D(2, 2, use_bias=False),
        "d": lambda: keras.layers.Conv2D(2, 2, dilation_rate=2),
        "P": lambda: keras.layers.MaxPooling2D(2),
        "p": lambda: keras.layers.MaxPooling2D(2, padding="same"),
        "B": lambda: keras.layers.BatchNormalization(),
        "F": lambda: keras.layers.Flatten(),
        "D": lambda: keras.layers.Dense(3, activation="softmax"),
        "n": lambda: keras.layers.Dense(3, use_bias=False),
        "L": lambda: keras.layers.Conv2D(2, 2, activation=keras.layers.LeakyReLU()),
        "R": lambda: keras.layers.Conv2D(2, 2, activation="relu", kernel_regularizer="l2"),
        "r": lambda: keras.layers.Dense(3, activation="relu", kernel_regularizer="l2"),
        "s": lambda: keras.layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
    }
    return keras.Sequential([keras.Input((10, 10, 1)), *(make[name]() for name in names)])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("cFD", r"its layer 'conv2d\w*' \(Conv2D\) does not fit"),
        ("dFD", r"\(Conv2D\) does not fit"),
        ("CpCFD", r"\(MaxPooling2D\) does not fit"),
        ("CPPCFD", r"\(MaxPooling2D\) does not fit"),
        ("CPFD", r"\(MaxPooling2D\) does not fit"),
        ("CBCFD", r"\(BatchNormalization\) does not fit"),
        ("CFnD", r"\(Dense\) does not fit"),
        ("LFD", "activation of a convolution must be one of .* got 'LeakyReLU'"),
        ("RFD", "same kernel_regularizer, or none, in all dense layers"),
        ("RCFs", "that one or none in all convolutions"),
        ("CFrD", "same kernel_regularizer, or none, in all dense layers"),
        ("CD", "it has no Flatten"),
        ("CF", "dense must have at least one layer"),
    ],
)
def test_a_layer_that_a_cnn_cannot_have_is_named(names, message):
    with pytest.raises(ValueError, match=message):
        from_keras(layers_of(*names))


@pytest.mark.parametrize(
    ("names", "of_conv"), [("CFrs", False), ("RFrs", True), ("Frs", False), ("CFD", False)]
)
def test_convolutions_are_regularized_where_those_of_the_model_are(names, of_conv):
    model = layers_of(*names)
    cnn = from_keras(model)
    assert cnn.config.regularize_conv == of_conv
    assert cnn.penalty() == pytest.approx(sum(map(float, model.losses)), rel=1e-4)


def test_other_models_are_refused():
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    with pytest.raises(ValueError, match=r"model must be built: begin it with keras.Input"):
        from_keras(keras.Sequential(layers))
    with pytest.raises(TypeError, match=r"model must be a keras.Sequential; got NoneType"):
        from_keras(None)
