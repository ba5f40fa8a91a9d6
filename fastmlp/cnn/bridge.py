"""From Keras to fastmlp's engine and back: weights of dense layers, and features for an MLP.

Keras keeps a dense layer as a kernel (n_in, n_out) and a bias (n_out,), fastmlp as one matrix
(n_out, n_in + 1) with the bias in column 0: W[:, 1:] = kernel^T, W[:, 0] = bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.cnn._arrays import Images
from fastmlp.cnn.activations import layer_output
from fastmlp.cnn.network import CNN
from fastmlp.network import Network

FUNCTIONS = ("relu", "sigmoid", "tanh", "elu", "selu", "softmax")
"""Activations that have the same name and formula in Keras and in fastmlp."""


def to_matrix(kernel: ArrayLike, bias: ArrayLike) -> NDArray[Any]:
    """(n_out, n_in + 1) from a kernel (n_in, n_out) and a bias (n_out,)."""
    return np.concatenate([np.asarray(bias)[:, np.newaxis], np.asarray(kernel).T], axis=1)


def from_matrix(matrix: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Kernel (n_in, n_out) and bias (n_out,) from a matrix (n_out, n_in + 1)."""
    w = np.asarray(matrix)
    return np.ascontiguousarray(w[:, 1:].T), w[:, 0].copy()


def dense_tail(cnn: CNN) -> Network:
    """The dense layers of a CNN as a fastmlp Network with the same numbers.

    It takes what ``features(cnn, X)`` returns; its predictions are those of the CNN up to rounding.
    """
    layers = [cnn.model.get_layer(layer.name) for layer in cnn.config.dense]
    functions = [layer.activation for layer in cnn.config.dense]
    sizes = [layers[0].kernel.shape[0], *(layer.units for layer in layers)]
    network = Network(sizes, activation=functions[:-1], output=functions[-1], dtype="float32")
    network.set_weights([to_matrix(*layer.get_weights()) for layer in layers])
    return network


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
        cnn.model.get_layer(layer.name).set_weights(from_matrix(matrix))


def features(cnn: CNN, X: ArrayLike) -> Images:
    """What the dense layers see of images: (n, n_features), float32, in Keras' order.

    For a :class:`fastmlp.MLPClassifier` in the place of the CNN's own dense layers.
    """
    return layer_output(cnn, "flatten", X)
