"""Sizes, parameters and receptive fields of every layer, computed from the sizes alone.

One pixel to the right in a layer with jump ``j`` is ``j`` pixels to the right in the image. A
kernel of side ``k`` and stride ``s`` over a layer with receptive field ``r`` and jump ``j`` sees
``r + (k - 1) j`` pixels and has the jump ``j s`` (V. Dumoulin and F. Visin, "A guide to
convolution arithmetic for deep learning", 2016). Nodes at the border of a padded layer see less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from fastmlp._checks import check_choice
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer

IMAGE = "image"
"""Name of the input among the layers."""


class Layers(Protocol):
    """The sizes of a network; a CNNConfig has them.

    Attributes
    ----------
    input_shape : (int, int, int)
        Height, width and channels of an image.
    conv, pools, dense : tuple of ConvLayer, PoolLayer or None, DenseLayer
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
    def pools(self) -> tuple[PoolLayer | None, ...]:
        """Poolings, or None, after every convolution but the last."""
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


def sides_of_layers(network: Layers) -> dict[str, tuple[int, int]]:
    """Height and width of the image, under "image", and of all convolutions and poolings."""
    height, width, _ = network.input_shape
    sides = {IMAGE: (height, width)}
    for layer in _spatial_layers(network):
        sides[layer.name] = layer.output[0], layer.output[1]
    return sides


def field_of_node(network: Layers, layer: str, row: int, column: int) -> tuple[slice, slice]:
    """Return the receptive field of the node (`row`, `column`) of a convolution or pooling.

    Returns
    -------
    (slice, slice)
        Rows and columns of the image.
    """
    return seen_by_node(network, layer, row, column)[IMAGE]


def seen_by_node(
    network: Layers, layer: str, row: int, column: int
) -> dict[str, tuple[slice, slice]]:
    """Return what the node (`row`, `column`) of a convolution or pooling sees of what is before it.

    Returns
    -------
    dict of (slice, slice)
        Rows and columns of the image, under "image", and of the nodes of every layer from the first
        to `layer` itself, by name. Padding is not counted. Where a stride is larger than its
        kernel, they also have what lies between the kernel's places.

    Raises
    ------
    ValueError
        For an unknown layer, or a node outside of it.
    """
    table = {found.name: found for found in _spatial_layers(network)}
    height, width = table[check_choice("layer", layer, table)].output[:2]
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"row and column must lie within {height} x {width} nodes of {layer!r}; "
            f"got ({row}, {column})"
        )
    names = [IMAGE, *table]
    sides = sides_of_layers(network)
    seen = {layer: (slice(row, row + 1), slice(column, column + 1))}
    for number, window in reversed(list(enumerate(_windows(network)))):
        if window.name in seen:
            before, place = sides[names[number]], seen[window.name]
            seen[names[number]] = (window.seen(place, before, 0), window.seen(place, before, 1))
    return {name: seen[name] for name in names if name in seen}


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


@dataclass(frozen=True)
class _Window:
    """What a convolution or pooling does to the sides of the maps before it.

    Attributes
    ----------
    name : str
    size, stride : (int, int)
    padded : bool
        As Keras' "same": half of the missing rows and columns before the first, or one less.
    maps : int or None
        Of a convolution; None for a pooling.
    """

    name: str
    size: tuple[int, int]
    stride: tuple[int, int]
    padded: bool
    maps: int | None

    def sides_after(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the maps after those of `sides`."""
        if self.padded:
            return -(-sides[0] // self.stride[0]), -(-sides[1] // self.stride[1])
        if sides[0] < self.size[0] or sides[1] < self.size[1]:
            raise ValueError(
                f"layer {self.name!r} has a window of {_sides(self.size)} but gets images of "
                f"{_sides(sides)}: use larger images, smaller kernels or fewer layers"
            )
        (height, width), (k, m), (down, right) = sides, self.size, self.stride
        return (height - k) // down + 1, (width - m) // right + 1

    def seen(self, place: tuple[slice, slice], before: tuple[int, int], axis: int) -> slice:
        """The rows (axis 0) or columns (1) of maps with sides `before` behind nodes at `place`."""
        nodes, size, stride, n = place[axis], self.size[axis], self.stride[axis], before[axis]
        missing = max((self.sides_after(before)[axis] - 1) * stride + size - n, 0)
        first = nodes.start * stride - (missing // 2 if self.padded else 0)
        last = first + (nodes.stop - nodes.start - 1) * stride + size
        return slice(max(first, 0), min(last, n))


def _windows(network: Layers) -> Iterator[_Window]:
    """Convolutions and poolings in their order."""
    for conv, pool in zip_longest(network.conv, network.pools):
        yield _Window(conv.name, conv.kernel, conv.stride, conv.padding == "same", conv.maps)
        if pool is not None:
            yield _Window(pool.name, pool.size, pool.stride or pool.size, False, None)


def _spatial_layers(network: Layers) -> Iterator[LayerGeometry]:
    """Sizes of convolutions and poolings in their order."""
    height, width, channels = network.input_shape
    field, jump = (1, 1), (1, 1)
    for window in _windows(network):
        height, width = window.sides_after((height, width))
        field = _grown(field, jump, window.size)
        jump = jump[0] * window.stride[0], jump[1] * window.stride[1]
        n_parameters = 0
        if window.maps is not None:
            n_parameters = window.maps * (math.prod(window.size) * channels + 1)
            channels = window.maps
        kind = "pool" if window.maps is None else "conv"
        shape = height, width, channels
        yield LayerGeometry(window.name, kind, shape, n_parameters, field, jump)


def _grown(
    field: tuple[int, int], jump: tuple[int, int], kernel: tuple[int, int]
) -> tuple[int, int]:
    return field[0] + (kernel[0] - 1) * jump[0], field[1] + (kernel[1] - 1) * jump[1]


def _sides(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"
