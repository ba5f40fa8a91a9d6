"""A CNN from a Keras model, such as one of the articles, for what this package does with CNNs."""

from __future__ import annotations

from typing import Any

from fastmlp.cnn.backend import import_keras
from fastmlp.cnn.config import LOSS_OF_OUTPUT, CNNConfig
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer
from fastmlp.cnn.network import CNN
from fastmlp.cnn.state import TrainingState

ORDER = "convolutions with at most one pooling between two of them, Flatten, and Dense layers"


def from_keras(model: Any, *, seed: int | None = None, device: str = "auto") -> CNN:
    """A CNN with the layers of a Keras model and a copy of its weights.

    The maps of :mod:`fastmlp.cnn.maps`, ``fastmlp.cnn.bridge.dense_tail``, the History and the
    model files of this package then work with what a Keras model has learned. Loss, optimizer and
    schedule are those of a new CNNConfig; the model itself is not changed.

    Parameters
    ----------
    model : keras.Sequential
        From `build_cnn_simple` or `train` of the articles, or any other with convolutions, at most
        one pooling between two of them, Flatten, and Dense layers, the last one softmax or sigmoid.
    seed : int or None
        Of the order of the images in a further training.
    device : str
        As for :class:`fastmlp.cnn.CNN`.

    Raises
    ------
    ValueError, TypeError
        For another kind of model, with the layer that does not fit, or different regularizers.
    """
    keras = import_keras()
    if not isinstance(model, keras.Sequential):
        raise TypeError(f"model must be a keras.Sequential; got {type(model).__name__}")
    if not model.built:
        raise ValueError(
            "model must be built: begin it with keras.Input((height, width, channels))"
        )
    cnn = CNN(_config(keras.layers, model), seed=seed, device=device)
    cnn.set_weights(model.get_weights())
    cnn.initial_state = TrainingState(cnn.model)
    return cnn


def _config(layers: Any, model: Any) -> CNNConfig:
    """The layers of `model`; `layers` is the module keras.layers."""
    names = [type(layer).__name__ for layer in model.layers]
    if "Flatten" not in names:
        raise ValueError(f"model must have {ORDER}; it has no Flatten")
    flatten = names.index("Flatten")
    conv, pools = _spatial_layers(layers, model.layers[:flatten])
    dense = model.layers[flatten + 1 :]
    for layer in dense:
        _check(layer, type(layer) is layers.Dense and layer.use_bias)
    nodes = tuple(DenseLayer(n.units, _function(n), n.name) for n in dense)
    penalty, regularizes_conv = _penalty(layers, model.layers) if dense else (None, False)
    output = nodes[-1].activation if nodes else ""
    return CNNConfig(
        conv,
        pools,
        nodes,
        model.input_shape[1:],
        loss=LOSS_OF_OUTPUT.get(output, "categorical_crossentropy"),
        regularizer=penalty,
        regularize_conv=regularizes_conv,
    )


def _penalty(layers: Any, found: list[Any]) -> tuple[Any, bool]:
    """The regularizer of all dense layers, and whether the convolutions have it too."""
    serialize = import_keras().regularizers.serialize
    dense, conv = (
        [layer.kernel_regularizer for layer in found if type(layer) is layer_type]
        for layer_type in (layers.Dense, layers.Conv2D)
    )
    regularizes_conv = any(conv)
    for penalty in (*dense, *(conv if regularizes_conv else ())):
        if serialize(penalty) != serialize(dense[0]):
            raise ValueError(
                "model must have the same kernel_regularizer, or none, in all dense layers, and "
                f"that one or none in all convolutions; got {dense} and {conv}"
            )
    return dense[0], regularizes_conv


def _spatial_layers(
    layers: Any, found: list[Any]
) -> tuple[tuple[ConvLayer, ...], tuple[PoolLayer | None, ...]]:
    """Convolutions and poolings."""
    conv: list[ConvLayer] = []
    pools: list[PoolLayer | None] = []
    kinds = {layers.MaxPooling2D: "max", layers.AveragePooling2D: "average"}
    for layer in found:
        if type(layer) is layers.Conv2D:
            plain = layer.use_bias and layer.groups == 1 and max(layer.dilation_rate) == 1
            _check(layer, plain and layer.data_format == "channels_last")
            pools += [None] * (len(conv) - len(pools))  # none after the one before
            size, function = layer.kernel_size, _function(layer)
            row = layer.filters, size, function, layer.name, layer.strides, layer.padding
            conv.append(ConvLayer(*row))
        else:
            is_next = (
                type(layer) in kinds and len(pools) == len(conv) - 1 and layer is not found[-1]
            )
            _check(layer, is_next and layer.padding == "valid")
            kind = kinds[type(layer)]
            pools.append(PoolLayer(layer.pool_size, kind, layer.name, layer.strides))
    return tuple(conv), tuple(pools)


def _function(layer: Any) -> str:
    """Name of the activation of `layer`, also where that is an object; CNNConfig checks it."""
    return str(getattr(layer.activation, "__name__", type(layer.activation).__name__))


def _check(layer: Any, fits: bool) -> None:
    if not fits:
        raise ValueError(
            f"model must have {ORDER}, as CNNConfig describes them; its layer {layer.name!r} "
            f"({type(layer).__name__}) does not fit"
        )
