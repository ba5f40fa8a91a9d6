"""Transfer of a CNN's dense layers to fastmlp's engine and back, and features for an MLP."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastmlp.cnn.arrays import Images
from fastmlp.cnn.backend import import_keras
from fastmlp.cnn.maps.activations import layer_output
from fastmlp.cnn.network import CNN
from fastmlp.exchange.keras import from_keras, kernel_and_bias
from fastmlp.network.network import Network


def dense_tail(cnn: CNN) -> Network:
    """Convert the dense layers of a CNN to a fastmlp Network with the same weights.

    It takes what ``features(cnn, X)`` returns; its predictions are those of the CNN up to rounding.
    """
    keras = import_keras()
    layers = [cnn.model.get_layer(layer.name) for layer in cnn.config.dense]
    n_features = layers[0].kernel.shape[0]
    return from_keras(keras.Sequential([keras.Input((n_features,)), *layers]))


def set_dense_tail(cnn: CNN, network: Network) -> None:
    """Copy the weights of a Network into the dense layers of a CNN.

    Raises
    ------
    ValueError
        If widths or functions differ; nothing is changed then.
    """
    expected = dense_tail(cnn)
    found = (network.sizes, network.functions)
    if found != (expected.sizes, expected.functions):
        raise ValueError(
            f"network must have the sizes {expected.sizes} and functions {expected.functions} of "
            f"the dense layers; got {found[0]} and {found[1]}"
        )
    for layer, matrix in zip(cnn.config.dense, network.weights, strict=True):
        cnn.model.get_layer(layer.name).set_weights(kernel_and_bias(matrix))


def features(cnn: CNN, X: ArrayLike) -> Images:
    """Return the input of the dense layers for images: (n, n_features), float32, in Keras' order.

    For a :class:`fastmlp.MLPClassifier` in the place of the CNN's own dense layers.
    """
    return layer_output(cnn, "flatten", X)
