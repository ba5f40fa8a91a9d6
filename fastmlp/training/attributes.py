"""Checks of values assigned to the attributes of a Trainer.

The engine trusts what a Trainer hands to it: buffers are as large as the network and the optimizer
that it was made for. So a public attribute is checked whenever it is assigned, in the constructor
as later, or cannot be assigned again.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._checks import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_random_state,
    shown,
)
from fastmlp.engine.plan import MOST_ROWS
from fastmlp.engine.products import PRODUCTS, resolve_products

if TYPE_CHECKING:
    from fastmlp._types import Array
    from fastmlp.network.network import Network

SMALLEST_NORM = float(np.finfo(np.float32).tiny)


def check_dropout(value: Any, n_hidden: int) -> tuple[float, ...]:
    """Return one rate per hidden layer."""
    rates = [value] * n_hidden if isinstance(value, numbers.Real) else value
    if not isinstance(rates, Sequence) or isinstance(rates, str):
        raise TypeError(f"dropout must be a number or a sequence of numbers; got {shown(value)}")
    if len(rates) != n_hidden:
        raise ValueError(
            f"dropout must be one number or {n_hidden}, one per hidden layer; got {shown(value)}"
        )
    if isinstance(value, numbers.Real):
        check_number("dropout", value, below=1.0)
    return tuple(check_number(f"dropout[{i}]", rate, below=1.0) for i, rate in enumerate(rates))


def check_products(products: Any, engine: str) -> str:
    """Return who computes the products of a Trainer with this `engine`."""
    if engine == "native":
        return resolve_products(products)
    if check_choice("products", products, PRODUCTS) != "auto":
        raise ValueError(
            f"products must be 'auto' for engine={engine!r}, whose products are NumPy's; "
            f"got {products!r}"
        )
    return "auto"


def _check_steps(value: Any) -> int | None:
    return None if value is None else check_integer("steps_per_epoch", value, minimum=1)


def _check_norm(value: Any) -> float | None:
    return None if value is None else check_number("max_grad_norm", value, minimum=SMALLEST_NORM)


CHECKED: dict[str, Callable[[Any, Network], Any]] = {
    "learning_rate": lambda value, _: check_number("learning_rate", value),
    "batch_size": lambda value, _: min(
        check_integer("batch_size", value, minimum=1, maximum=None), MOST_ROWS
    ),
    "steps_per_epoch": lambda value, _: _check_steps(value),
    "dropout": lambda value, network: check_dropout(value, len(network.sizes) - 2),
    "max_grad_norm": lambda value, _: _check_norm(value),
    "shuffle": lambda value, _: check_flag("shuffle", value),
    "rng": lambda value, _: check_random_state("rng", value),
    "horizon": lambda value, _: check_integer("horizon", value, minimum=1),
    "n_steps": lambda value, _: check_integer("n_steps", value, minimum=0),
    "epochs_done": lambda value, _: check_integer("epochs_done", value, minimum=0),
}
"""Attributes that may be assigned, and their checks, which return what is stored."""

FIXED = frozenset({
    "network", "loss_function", "loss", "schedule", "decay", "warmup", "optimizer", "l1", "l2",
    "l1_cost", "penalty_scale", "reduction", "threads", "engine_name", "products",
    "objective",
})  # fmt: skip
"""Attributes that engine and objective were made for."""

GUARDED = FIXED | CHECKED.keys()
"""Attributes that `check_assignment` looks at."""


def check_states(value: Any, states: Array) -> Array:
    """Return `value` if it has the shape and dtype of `states`, which it is copied into."""
    if not isinstance(value, np.ndarray) or (value.shape, value.dtype) != (
        states.shape,
        states.dtype,
    ):
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else shown(value)
        raise ValueError(f"states must be a {states.dtype} array {states.shape}; got {got}")
    return value


def check_assignment(name: str, value: Any, network: Network, *, is_set: bool) -> Any:
    """Return what is stored when `value` is assigned to the attribute `name` of a Trainer.

    Parameters
    ----------
    name : str
    value : object
    network : Network
        The one that is trained.
    is_set : bool
        Whether the attribute has a value.

    Raises
    ------
    AttributeError
        For an attribute that cannot be assigned again.
    ValueError, TypeError
        For a value that is not allowed.
    """
    if name in CHECKED:
        return CHECKED[name](value, network)
    if is_set and name in FIXED:
        raise AttributeError(f"{name} of a Trainer cannot be replaced; make a new Trainer")
    return value
