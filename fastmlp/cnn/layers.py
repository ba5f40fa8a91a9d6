"""The layers of a CNNConfig: convolution, pooling, dense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastmlp._checks import check_choice, check_integer

CONV_ACTIVATIONS = ("relu", "sigmoid", "elu", "tanh", "selu")
DENSE_ACTIVATIONS = ("relu", "sigmoid", "tanh", "elu", "selu", "softmax")
POOLINGS = ("max", "average")
PADDINGS = ("valid", "same")


@dataclass(frozen=True)
class ConvLayer:
    """A convolution.

    Parameters
    ----------
    maps : int >= 1
        Number of maps (filters).
    kernel : int or (int, int)
        Height and width of the kernel in pixels; becomes a pair.
    activation : {"relu", "sigmoid", "elu", "tanh", "selu"}
    name : str
        Name of the layer; empty means conv_1, conv_2 and so on.
    stride : int or (int, int)
        Step of the kernel down and to the right; becomes a pair.
    padding : {"valid", "same"}
        Without padding, or with zeros around the maps before, so that a stride of 1 keeps their
        size.
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    maps: int
    kernel: Any = (3, 3)
    activation: str = "relu"
    name: str = ""
    stride: Any = (1, 1)
    padding: str = "valid"

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", check_integer("maps", self.maps, minimum=1))
        object.__setattr__(self, "kernel", _pair("kernel", self.kernel))
        object.__setattr__(self, "stride", _pair("stride", self.stride))
        check_choice("activation of a convolution", self.activation, CONV_ACTIVATIONS)
        check_choice("padding of a convolution", self.padding, PADDINGS)
        _check_name(self.name)


@dataclass(frozen=True)
class PoolLayer:
    """A pooling, without padding.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the pooled area in pixels; becomes a pair.
    kind : {"max", "average"}
    name : str
        Name of the layer; empty means pool_1, pool_2 and so on.
    stride : int, (int, int) or None
        Step of the area down and to the right; None means its sides, so that areas do not overlap.
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    size: Any = (2, 2)
    kind: str = "max"
    name: str = ""
    stride: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _pair("size", self.size))
        if self.stride is not None:
            object.__setattr__(self, "stride", _pair("stride", self.stride))
        check_choice("kind of a pooling", self.kind, POOLINGS)
        _check_name(self.name)


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer.

    Parameters
    ----------
    nodes : int >= 1
    activation : {"relu", "sigmoid", "tanh", "elu", "selu", "softmax"}
        softmax and sigmoid are for the output layer; sigmoid also for hidden ones.
    name : str
        Name of the layer; empty means dense_1, dense_2 and so on, and output for the last one.
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    nodes: int
    activation: str = "relu"
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", check_integer("nodes", self.nodes, minimum=1))
        check_choice("activation of a dense layer", self.activation, DENSE_ACTIVATIONS)
        _check_name(self.name)


def name_layers(
    conv: Sequence[ConvLayer], pools: Sequence[PoolLayer | None], dense: Sequence[DenseLayer]
) -> tuple[tuple[ConvLayer, ...], tuple[PoolLayer | None, ...], tuple[DenseLayer, ...]]:
    """Return the layers, with default names for those without a name.

    A pooling after the third convolution is pool_3, also if there is none after the second.

    Raises
    ------
    ValueError
        If two layers have the same name, or one that of the input or of the flattening.
    """
    named_conv = _with_names(conv, "conv")
    named_pools = _with_names(pools, "pool")
    last = replace(dense[-1], name=dense[-1].name or "output")
    named_dense = (*_with_names(dense[:-1], "dense"), last)
    names = [layer.name for layer in (*named_conv, *named_pools, *named_dense) if layer]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"names of layers must differ; {twice[0]!r} is given twice")
    for taken in ("image", "flatten"):
        if taken in names:
            raise ValueError(f"names of layers must not be 'image' or 'flatten'; got {taken!r}")
    return named_conv, named_pools, named_dense


def _with_names(layers: Sequence[Any], stem: str) -> tuple[Any, ...]:
    return tuple(
        layer and replace(layer, name=layer.name or f"{stem}_{i}")
        for i, layer in enumerate(layers, start=1)
    )


def _check_name(name: object) -> None:
    if not isinstance(name, str) or "/" in name or " " in name:
        raise ValueError(f"name of a layer must be a string without spaces and '/'; got {name!r}")


def _pair(name: str, value: object) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(sides) != 2:
        raise ValueError(f"{name} must be one or two numbers of pixels; got {value!r}")
    return (
        check_integer(name, sides[0], minimum=1),
        check_integer(name, sides[1], minimum=1),
    )
