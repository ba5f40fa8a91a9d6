"""Activations of a trained CNN's layers for images, and the weights of its filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import check_choice
from fastmlp.cnn.arrays import Images, check_images
from fastmlp.cnn.backend import import_keras, library, to_numpy
from fastmlp.cnn.geometry import receptive_fields
from fastmlp.cnn.network import CNN, PREDICTION_BATCH

LEAST_ANSWER = 1e-6
"""Activations below this count as zero: rounding errors of an inactive map."""


def layer_model(cnn: CNN, layer: str) -> Any:
    """The Keras model from the image to the output of `layer`."""
    check_choice("layer", layer, [found.name for found in cnn.model.layers])
    return import_keras().Model(cnn.model.inputs[0], cnn.model.get_layer(layer).output)


def layer_output(cnn: CNN, layer: str, X: ArrayLike) -> Images:
    """Output of any layer for images: (n, height, width, maps) or (n, nodes).

    Parameters
    ----------
    cnn : CNN
    layer : str
        A name in ``cnn.config``, or "flatten".
    X : array-like of shape (n, height, width, channels)
        Standardized like the training images.
    """
    x = check_images("X", X, cnn.config.input_shape)
    model = layer_model(cnn, layer)
    begins = range(0, len(x), PREDICTION_BATCH)
    with library().placed(cnn.device):  # called plainly: predict would be compiled first
        parts = [to_numpy(model(x[i : i + PREDICTION_BATCH], training=False)) for i in begins]
    return np.concatenate(parts).astype(np.float32, copy=False)


def activation_maps(cnn: CNN, layer: str, X: ArrayLike) -> Images:
    """Return the maps of a convolution or pooling for images: (n, height, width, maps)."""
    check_map_layer(cnn, layer)
    return layer_output(cnn, layer, X)


def class_activations(
    cnn: CNN, X: ArrayLike, y: ArrayLike, layer: str | None = None
) -> NDArray[np.float64]:
    """Mean activation of every node of a dense layer, by class: (n_classes, nodes).

    Parameters
    ----------
    cnn : CNN
    X : array-like of shape (n, height, width, channels)
    y : array-like of shape (n,)
        Labels; a class without images has NaN.
    layer : str or None
        None means the first dense layer.
    """
    dense = [found.name for found in cnn.config.dense]
    name = check_choice("layer", dense[0] if layer is None else layer, dense)
    outputs, labels = layer_output(cnn, name, X).astype(np.float64), np.asarray(y)
    if labels.shape != (len(outputs),):
        raise ValueError(f"y must have shape ({len(outputs)},), one label each; got {labels.shape}")
    means = np.full((cnn.config.n_classes, outputs.shape[1]), np.nan)
    for code in range(cnn.config.n_classes):
        if (labels == code).any():
            means[code] = outputs[labels == code].mean(axis=0)
    return means


def filters(cnn: CNN, layer: str) -> Images:
    """Kernels of a convolution: (height, width, maps before, maps)."""
    check_choice("layer", layer, [conv.name for conv in cnn.config.conv])
    return np.asarray(cnn.model.get_layer(layer).get_weights()[0])


def answering_maps(maps: ArrayLike) -> tuple[int, int]:
    """Count the maps that respond to all images, and to none, given (n, height, width, maps)."""
    answers = (np.abs(np.asarray(maps)) > LEAST_ANSWER).any(axis=(1, 2))
    return int(answers.all(axis=0).sum()), int((~answers.any(axis=0)).sum())


def clear_nodes(means: ArrayLike) -> int:
    """Return the nodes that respond more than twice as strongly to one class as to any other.

    Parameters
    ----------
    means : array-like of shape (n_classes, nodes), n_classes >= 2
        From `class_activations`; classes without images count as not answered to.
    """
    values = np.asarray(means, float)
    ranked = np.sort(np.where(np.isnan(values), -np.inf, values), axis=0)
    return int((ranked[-1] > 2 * np.maximum(ranked[-2], 0)).sum())


def check_map_layer(cnn: CNN, layer: str) -> str:
    """`layer` if it is the name of a convolution or pooling of the CNN."""
    return check_choice("layer", layer, receptive_fields(cnn.config))
