"""The articles' lists of layers, as a CNNConfig.

Source: "A simple CNN for the MNIST dataset" II and III, linux-blog.anracom.com.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastmlp._checks import check_iterable
from fastmlp.cnn.config import LOSS_OF_OUTPUT, CNNConfig
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer

CONV_FUNCTIONS = ("relu", "sigmoid", "elu", "tanh", "selu")
HIDDEN_FUNCTIONS = ("relu", "sigmoid", "tanh")
OUTPUT_FUNCTIONS = ("softmax", "sigmoid")


def config_of_lists(
    li_Conv: Sequence[Any],
    li_Pool: Sequence[Any],
    li_MLP: Sequence[Any],
    input_shape: Any,
    **settings: Any,
) -> CNNConfig:
    """The lists of `build_cnn_simple` as a configuration, with the loss of their output.

    Parameters
    ----------
    li_Conv, li_Pool, li_MLP, input_shape
        As in :func:`fastmlp.cnn.articles.build_cnn_simple`.
    **settings
        More fields of CNNConfig.

    Raises
    ------
    ValueError, TypeError
        Naming the entry, what was given and what is allowed.
    """
    conv = [_conv(i, entry) for i, entry in enumerate(check_iterable("li_Conv", li_Conv, "lists"))]
    pools = [_pool(i, entry) for i, entry in enumerate(check_iterable("li_Pool", li_Pool, "lists"))]
    entries = check_iterable("li_MLP", li_MLP, "lists")
    dense = [
        _dense(i, entry, OUTPUT_FUNCTIONS if i == len(entries) - 1 else HIDDEN_FUNCTIONS)
        for i, entry in enumerate(entries)
    ]
    output = dense[-1].activation if dense else "softmax"
    loss = LOSS_OF_OUTPUT.get(output, "categorical_crossentropy")  # others are refused with names
    return CNNConfig(tuple(conv), tuple(pools), tuple(dense), input_shape, loss=loss, **settings)


def _conv(i: int, entry: Any) -> ConvLayer:
    if isinstance(entry, ConvLayer):
        return entry if entry.name else replace(entry, name=f"Conv2D_{i + 1}")
    maps, kernel, function, *name = _entries(f"li_Conv[{i}]", entry, 3)
    activation = _function(f"li_Conv[{i}]", function, CONV_FUNCTIONS)
    return ConvLayer(maps, kernel, activation, *(name or [f"Conv2D_{i + 1}"]))


def _pool(i: int, entry: Any) -> PoolLayer | None:
    if entry is None:
        return None
    if isinstance(entry, PoolLayer):
        return entry if entry.name else replace(entry, name=f"Max_Pool_{i + 1}")
    size, *name = _entries(f"li_Pool[{i}]", entry, 1)
    return PoolLayer(size, "max", *(name or [f"Max_Pool_{i + 1}"]))


def _dense(i: int, entry: Any, known: Sequence[str]) -> DenseLayer:
    if isinstance(entry, DenseLayer):
        return entry if entry.name else replace(entry, name=f"Dense_{i + 1}")
    nodes, function, *name = _entries(f"li_MLP[{i}]", entry, 2)
    activation = _function(f"li_MLP[{i}]", function, known)
    return DenseLayer(nodes, activation, *(name or [f"Dense_{i + 1}"]))


def _entries(name: str, entry: Any, n_least: int) -> Sequence[Any]:
    """`entry`, which must be a list of `n_least` values, or one more: the name of the layer."""
    if not isinstance(entry, list | tuple) or not n_least <= len(entry) <= n_least + 1:
        raise ValueError(
            f"{name} must be a list of {n_least} values, and a name as one more if you like; "
            f"got {entry!r}"
        )
    return entry


def _function(name: str, given: Any, known: Sequence[str]) -> str:
    """The name of a function, from a name or an index into `known`."""
    if isinstance(given, str) and given in known:
        return given
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(known):
        return known[given]
    numbered = ", ".join(f"{i} or {function!r}" for i, function in enumerate(known))
    raise ValueError(f"activation in {name} must be one of {numbered}; got {given!r}")
