"""The settings of the articles' CNN experiments, under the names of this package.

Source: "A simple CNN for the MNIST dataset" II and III, linux-blog.anracom.com. Layers have the
names by which the articles of that series speak of them.
"""

from __future__ import annotations

from typing import Any

from fastmlp._checks import check_choice
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer

_POWER = {
    "regularizer": "l2",
    "schedule": "power",
    "learning_rate": 0.001,
    "decay_steps": 1,
    "decay_rate": 0.001,
    "batch_size": 64,
    "epochs": 80,
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "C2": {"maps": (32, 64, 64), "nodes": 70, "batch_size": 64, "epochs": 5},
    "C3a": {"maps": (64, 64, 128), "nodes": 120, "l2": 0.0009, "momentum": 0.6, **_POWER},
    "C3b": {"maps": (64, 64, 128), "nodes": 120, "l2": 0.0008, "momentum": 0.5, **_POWER},
    "C3c": {"maps": (32, 64, 128), "nodes": 120, "l2": 0.001, "momentum": 0.9, **_POWER},
}
ARTICLE_NAMES = tuple(_SETTINGS)


def article_settings(name: str) -> dict[str, Any]:
    """Arguments of CNNConfig for the experiment `name`."""
    settings = dict(_SETTINGS[check_choice("name", name, ARTICLE_NAMES)])
    maps, nodes = settings.pop("maps"), settings.pop("nodes")
    return {
        "conv": tuple(ConvLayer(n, 3, "relu", f"Conv2D_{i}") for i, n in enumerate(maps, 1)),
        "pools": tuple(PoolLayer(2, "max", f"Max_Pool_{i}") for i in (1, 2)),
        "dense": (DenseLayer(nodes, "relu", "Dense_1"), DenseLayer(10, "softmax", "Dense_2")),
        **settings,
    }
