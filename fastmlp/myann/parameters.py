"""Parameters of MyANN: their names in the articles, allowed values, and a table of checks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastmlp._checks import (
    check_choice,
    check_dtype,
    check_flag,
    check_integer,
    check_iterable,
    check_number,
    shown,
)
from fastmlp._names import nearest
from fastmlp.datasets.scaling import Scaler
from fastmlp.engine.products import PRODUCTS
from fastmlp.engine.threads import resolve_threads
from fastmlp.initializers import INITIALIZERS
from fastmlp.losses import ACTIVATIONS, check_pair
from fastmlp.optimizers import MOMENTUM_RULES
from fastmlp.schedules import SCHEDULES
from fastmlp.training.trainer import ENGINES, PENALTY_SCALES, REDUCTIONS

ACTIVATION_FUNCTIONS = tuple(ACTIVATIONS)
OUT_FUNCTIONS = ("sigmoid", "softmax", "identity")
LOSS_FUNCTIONS = {
    "LogLoss": "log_loss",
    "CrossEntropy": "cross_entropy",
    "MSE": "squared_error",
}
VECT_MODES = ("cols", "rows")
LEGEND_LOCATIONS = (
    "best",
    "upper right",
    "upper left",
    "lower left",
    "lower right",
    "right",
    "center left",
    "center right",
    "lower center",
    "upper center",
    "center",
)

ALIASES = {
    "data_set": "my_data_set",
    "n_nodes_out_layer": "n_nodes_layer_out",
    "n_mini_batch": "n_size_mini_batch",
    "lambda_reg2": "lambda2_reg",
    "lambda_reg1": "lambda1_reg",
    "mom_const": "mom_rate",
}
"""Alternative parameter names from the articles' docstrings, mapped to those of the signature."""

FREE = {
    "self",
    "my_data_set",
    "n_hidden_layers",
    "n_epochs",
    "figs_x1",
    "figs_x2",
    "legend_loc",
    "b_print_test_data",
    "random_state",
    "n_threads",
    "b_standardize",
    "b_train_on_init",
    "b_verbose",
    "print_period",
    "print_batch_period",
    "callbacks",
    "resume",
}
"""Parameters that do not influence a run, or are compared in another form."""

Check = Callable[[str, Any], Any]


def _one_of(allowed: Iterable[str]) -> Check:
    return lambda name, value: check_choice(name, value, allowed)


def _integer(minimum: int) -> Check:
    return lambda name, value: check_integer(name, value, minimum=minimum)


def _period(name: str, value: Any) -> int | None:
    return None if value is None else check_integer(name, value, minimum=1)


def _number(minimum: float = 0.0, **limits: float) -> Check:
    return lambda name, value: check_number(name, value, minimum=minimum, **limits)


def _node_list(name: str, nodes: Any) -> list[int]:
    if isinstance(nodes, str) or not isinstance(nodes, Sequence | np.ndarray):
        raise TypeError(f"{name} must be a list of layer widths; got {shown(nodes)}")
    nodes = check_iterable(name, nodes, "layer widths")
    outer = (0, len(nodes) - 1)  # may be 0, to be filled in from the data
    return [
        check_integer(f"{name}[{i}]", n, minimum=0 if i in outer else 1)
        for i, n in enumerate(nodes)
    ]


def _max_batches(name: str, value: Any) -> int:
    number = check_integer(name, value, minimum=-(2**63))
    if number == 0:
        raise ValueError(f"{name} must be positive, or negative for all; got 0")
    return number


def _scaler(name: str, value: Any) -> Scaler:
    if isinstance(value, str):
        return Scaler(check_choice(name, value, ("feature", "global")))
    return Scaler("feature" if check_flag(name, value) else "none")


def _threads(name: str, value: Any) -> Any:
    resolve_threads(value)
    return value


CHECKS: dict[str, Check] = {
    "n_hidden_layers": _integer(0),
    "ay_nodes_layers": _node_list,
    "n_nodes_layer_out": _integer(0),
    "my_activation_function": _one_of(ACTIVATION_FUNCTIONS),
    "my_out_function": _one_of(OUT_FUNCTIONS),
    "my_loss_function": _one_of(LOSS_FUNCTIONS),
    "n_size_mini_batch": _integer(1),
    "n_epochs": _integer(0),
    "n_max_batches": _max_batches,
    "lambda2_reg": _number(),
    "lambda1_reg": _number(),
    "vect_mode": _one_of(VECT_MODES),
    "learn_rate": _number(),
    "decrease_const": _number(),
    "mom_rate": _number(maximum=1.0),
    "figs_x1": _number(0.1),
    "figs_x2": _number(0.1),
    "legend_loc": _one_of(LEGEND_LOCATIONS),
    "b_print_test_data": check_flag,
    "n_threads": _threads,
    "dtype": check_dtype,
    "b_shuffle": check_flag,
    "b_standardize": _scaler,
    "engine": _one_of(ENGINES),
    "products": _one_of(PRODUCTS),
    "b_train_on_init": check_flag,
    "b_verbose": check_flag,
    "print_period": _period,
    "print_batch_period": _period,
    "my_initializer": _one_of(INITIALIZERS),
    "my_momentum_rule": _one_of(MOMENTUM_RULES),
    "my_learn_rate_rule": _one_of(SCHEDULES),
    "reg_scale": _one_of(PENALTY_SCALES),
    "reduction": _one_of(REDUCTIONS),
    "legacy_split": check_flag,
    "legacy_l1_cost": check_flag,
    "b_measure_accuracy": check_flag,
}
"""Checks of parameters that do not need data: each is a function of name and value that returns
the value to use."""


def check_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the parameters in CHECKS, first individually and then together.

    Parameters
    ----------
    given : mapping of str to value
        Not modified; other names are ignored.

    Returns
    -------
    dict of str to value
        The parameters in CHECKS; `b_standardize` is replaced by an unfitted Scaler.

    Raises
    ------
    ValueError, TypeError
        With the parameter's name, the value given and the values allowed.
    """
    checked = {name: check(name, given[name]) for name, check in CHECKS.items()}
    nodes, n_expected = checked["ay_nodes_layers"], checked["n_hidden_layers"] + 2
    if len(nodes) != n_expected:
        raise ValueError(
            f"ay_nodes_layers must have n_hidden_layers + 2 = {n_expected} entries; "
            f"got {len(nodes)}: {nodes}"
        )
    check_pair(checked["my_out_function"], LOSS_FUNCTIONS[checked["my_loss_function"]])
    return checked


def accept_aliases(init: Callable[..., None]) -> Callable[..., None]:
    """Make the constructor also accept the names in ALIASES, and reject unknown ones."""
    known = init.__annotations__

    @functools.wraps(init)
    def with_aliases(self: Any, *args: Any, **options: Any) -> None:
        renamed: dict[str, Any] = {}
        for name, value in options.items():
            full_name = ALIASES.get(name, name)
            if full_name not in known:
                names = [*(n for n in known if n != "return"), *ALIASES]
                raise TypeError(
                    f"MyANN has no parameter {name!r}"
                    + (nearest(name, names) or f"; known: {', '.join(names)}")
                )
            if full_name in renamed:
                raise TypeError(f"{name!r} and {full_name!r} are the same parameter of MyANN")
            renamed[full_name] = value
        init(self, *args, **renamed)

    return with_aliases
