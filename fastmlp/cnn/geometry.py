"""Sizes, parameters and receptive fields of every layer, computed from the sizes alone.

One pixel to the right in a layer with jump ``j`` is ``j`` pixels to the right in the image. A
kernel of side ``k`` and stride ``s`` over a layer with receptive field ``r`` and jump ``j`` sees
``r + (k - 1) j`` pixels and has the jump ``j s`` (V. Dumoulin and F. Visin, "A guide to
convolution arithmetic for deep learning", 2016). Here no layer is padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from fastmlp._checks import check_choice
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer


class Layers(Protocol):
    """The sizes of a network; a CNNConfig has them.

    Attributes
    ----------
    input_shape : (int, int, int)
        Height, width and channels of an image.
    conv, pools, dense : tuple of ConvLayer, PoolLayer, DenseLayer
    """

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        ...

    @property
    def conv(self) -> tuple[ConvLayer, ...]:
        """Convolutions."""
        ...

    @property
    def pools(self) -> tuple[PoolLayer, ...]:
        """Poolings, one after every convolution but the last."""
        ...

    @property
    def dense(self) -> tuple[DenseLayer, ...]:
        """Dense layers, the output last."""
        ...


@dataclass(frozen=True)
class LayerGeometry:
    """One layer of a CNN.

    Attributes
    ----------
    name : str
    kind : {"conv", "pool", "flatten", "dense"}
    output : tuple of int
        (height, width, maps), or (nodes,).
    n_parameters : int
    field : (int, int)
        Height and width of the receptive field, in pixels of the image.
    jump : (int, int)
        Distance of the fields of neighboring nodes, in pixels of the image; (0, 0) for layers
        that see all of it.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    n_parameters: int
    field: tuple[int, int]
    jump: tuple[int, int]


def layer_table(network: Layers) -> list[LayerGeometry]:
    """All layers of a network in their order.

    Raises
    ------
    ValueError
        If an image becomes smaller than the next kernel or pooling.
    """
    layers = list(_spatial_layers(network))
    shape = layers[-1].output if layers else network.input_shape
    whole, nodes = network.input_shape[:2], math.prod(shape)
    layers.append(LayerGeometry("flatten", "flatten", (nodes,), 0, whole, (0, 0)))
    for dense in network.dense:
        n_parameters = dense.nodes * (nodes + 1)
        nodes = dense.nodes
        layers.append(LayerGeometry(dense.name, "dense", (nodes,), n_parameters, whole, (0, 0)))
    return layers


def receptive_fields(network: Layers) -> dict[str, tuple[int, int]]:
    """Height and width of the receptive field by name of the convolutions and poolings."""
    return {layer.name: layer.field for layer in _spatial_layers(network)}


def field_of_node(network: Layers, layer: str, row: int, column: int) -> tuple[slice, slice]:
    """Return the receptive field of the node (`row`, `column`) of a convolution or pooling.

    Returns
    -------
    (slice, slice)
        Rows and columns of the image.
    """
    layers = {found.name: found for found in _spatial_layers(network)}
    found = layers[check_choice("layer", layer, layers)]
    height, width = found.output[:2]
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"row and column must lie within {height} x {width} nodes of {layer!r}; "
            f"got ({row}, {column})"
        )
    top, left = row * found.jump[0], column * found.jump[1]
    return slice(top, top + found.field[0]), slice(left, left + found.field[1])


def format_table(network: Layers) -> str:
    """The layers as lines of text, with the number of all parameters."""
    lines = [f"{'layer':<14}{'output':>14}{'parameters':>12}{'sees':>10}{'jump':>8}"]
    layers = layer_table(network)
    for layer in layers:
        size = " x ".join(map(str, layer.output))
        jump = _sides(layer.jump) if layer.jump[0] else ""
        lines.append(
            f"{layer.name:<14}{size:>14}{layer.n_parameters:>12,}{_sides(layer.field):>10}{jump:>8}"
        )
    return "\n".join([*lines, f"{sum(layer.n_parameters for layer in layers):,} parameters"])


def _spatial_layers(network: Layers) -> Iterator[LayerGeometry]:
    """Convolutions and poolings in their order."""
    (height, width, channels), field, jump = network.input_shape, (1, 1), (1, 1)
    for conv, pool in zip_longest(network.conv, network.pools):
        height, width = _shrunk(conv.name, (height, width), conv.kernel)
        field = _grown(field, jump, conv.kernel)
        n_parameters = conv.maps * (math.prod(conv.kernel) * channels + 1)
        channels = conv.maps
        yield LayerGeometry(conv.name, "conv", (height, width, channels), n_parameters, field, jump)
        if pool is not None:
            _shrunk(pool.name, (height, width), pool.size)
            height, width = height // pool.size[0], width // pool.size[1]
            field = _grown(field, jump, pool.size)
            jump = jump[0] * pool.size[0], jump[1] * pool.size[1]
            yield LayerGeometry(pool.name, "pool", (height, width, channels), 0, field, jump)


def _shrunk(name: str, sides: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
    """Sides after an unpadded pass with stride 1."""
    result = sides[0] - kernel[0] + 1, sides[1] - kernel[1] + 1
    if min(result) < 1:
        raise ValueError(
            f"layer {name!r} has a window of {_sides(kernel)} but gets images of "
            f"{sides[0]} x {sides[1]}: use larger images, smaller kernels or fewer layers"
        )
    return result


def _grown(
    field: tuple[int, int], jump: tuple[int, int], kernel: tuple[int, int]
) -> tuple[int, int]:
    return field[0] + (kernel[0] - 1) * jump[0], field[1] + (kernel[1] - 1) * jump[1]


def _sides(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"
