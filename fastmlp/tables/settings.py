"""Settings of the members: presets, sizes, and what `network=` may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastmlp._checks import check_choice, check_integer, check_number, shown
from fastmlp.estimators.parameters import hidden_sizes
from fastmlp.initializers import INITIALIZERS
from fastmlp.losses import ACTIVATIONS, ALIASES
from fastmlp.schedules import SCHEDULES

PRESETS = {"fast": 1, "default": 5, "best": 10}
"""Numbers of members."""

ENCODINGS = ("auto", "plain", "ple")
MANY_ROWS = 10_000
"""From here on there are fewer epochs, less dropout, and bins in all members by default."""

FEW_ROWS = 25
"""With fewer different rows nothing is held out, and no activation is dropped."""


@dataclass(frozen=True)
class MemberSettings:
    """How a member is built and trained.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    activation, schedule, initializer : str
    dropout : float
    learning_rate, weight_decay : float
    batch_size : int or None
        None for a twentieth of the training rows, from 32 to 256.
    max_epochs, patience : int
    """

    hidden: tuple[int, ...] = (128, 64)
    activation: str = "relu"
    dropout: float = 0.2
    learning_rate: float = 0.003
    schedule: str = "cosine"
    weight_decay: float = 0.01
    batch_size: int | None = None
    max_epochs: int = 100
    patience: int = 20
    initializer: str = "glorot"


def member_settings(size: Any, network: Any, n_rows: int, *, few: bool) -> MemberSettings:
    """Return the settings for a table.

    Parameters
    ----------
    size : "auto", int, sequence of int or str
        Widths of the hidden layers.
    network : mapping or None
        Other attributes of MemberSettings, checked.
    n_rows : int
    few : bool
        Whether there are fewer than ``FEW_ROWS`` different rows.
    """
    settings = MemberSettings()
    if not few:
        settings = replace(settings, batch_size=min(max(n_rows // 20, 32), 256))
    if n_rows >= MANY_ROWS:
        settings = replace(settings, dropout=0.05, max_epochs=30, patience=10)
    if few:
        settings = replace(settings, dropout=0.0)
    if not (isinstance(size, str) and size == "auto"):
        settings = replace(settings, hidden=tuple(hidden_sizes(size)))
    return replace(settings, **check_network(network))


def check_network(network: Any) -> dict[str, Any]:
    """Return the expert settings after checking names and values."""
    if network is None:
        return {}
    if not isinstance(network, Mapping):
        raise TypeError(f"network must be a mapping of settings; got {shown(network)}")
    for name, value in network.items():
        where = f"network[{name!r}]"
        if name in _CHOICES:
            check_choice(where, value, _CHOICES[name])
        elif name == "batch_size" and value is None:
            continue
        elif name in ("batch_size", "max_epochs", "patience"):
            check_integer(where, value, minimum=0 if name == "patience" else 1)
        elif name == "dropout":
            check_number(where, value, below=1.0)
        elif name in ("learning_rate", "weight_decay"):
            check_number(where, value)
        else:
            names = [field for field in MemberSettings.__dataclass_fields__ if field != "hidden"]
            raise ValueError(f"network may have {', '.join(names)}; got {shown(name)}")
    return {name: value for name, value in network.items() if value is not None}


_CHOICES = {
    "activation": (*ACTIVATIONS, *ALIASES),
    "schedule": tuple(SCHEDULES),
    "initializer": tuple(INITIALIZERS),
}


def check_size(size: Any) -> None:
    """Raise an error naming `size` if it is no sequence of widths."""
    if not (isinstance(size, str) and size == "auto"):
        if isinstance(size, np.ndarray) and size.ndim == 0:
            raise TypeError(f"size must be a sequence of widths; got {shown(size)}")
        try:
            hidden_sizes(size)
        except (TypeError, ValueError) as error:
            text = str(error).replace("hidden_layer_sizes", "size")
            raise type(error)(text) from None
