"""Parameters of the estimators: their names and types, and the checks made by `fit`."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from fastmlp._checks import (
    MAX_DIMENSION,
    check_choice,
    check_dtype,
    check_flag,
    check_integer,
    check_number,
    shown,
)
from fastmlp.engine.threads import resolve_threads
from fastmlp.estimators.bounds import read_bounds
from fastmlp.estimators.naming import naming
from fastmlp.exceptions import ParameterError
from fastmlp.initializers import INITIALIZERS
from fastmlp.losses import ACTIVATIONS, ALIASES, Loss
from fastmlp.training.attributes import SMALLEST_NORM

STOCHASTIC_SOLVERS = ("sgd", "adam", "adamw", "rmsprop", "nesterov")
SOLVERS = ("lbfgs", *STOCHASTIC_SOLVERS)
ADAPTED_RATES = ("constant", "invscaling", "adaptive")
"""scikit-learn's learning rates, which depend on samples or progress, unlike schedules."""

SCHEDULED_RATES = ("cosine", "one_cycle", "exponential", "power")
ENDING_RATES = ("cosine", "one_cycle")
"""Schedules that fall to almost 0 in the last of `max_iter` epochs: reaching it is normal."""


class Parameters(Protocol):
    """Read-only view of the parameters that both estimators have.

    They are described in the docstring of `MLPClassifier`.
    """

    hidden_layer_sizes: Any
    activation: Any
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | np.random.Generator | None
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: Any
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    l1: float
    weight_decay: float
    rho: float
    learning_rate_decay: float
    warmup: int
    scoring: Any
    monitor: str | None
    initializer: str
    dtype: str | None
    n_threads: int | None
    dropout: float | Sequence[float]
    max_grad_norm: float | None
    loss: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all parameters by name."""


Check = Callable[[str, Any], object]


def _choice(allowed: Iterable[str]) -> Check:
    return lambda name, value: check_choice(name, value, allowed)


def _integer(minimum: int) -> Check:
    return lambda name, value: check_integer(name, value, minimum=minimum)


def _number(maximum: float = math.inf) -> Check:
    return lambda name, value: check_number(name, value, maximum=maximum)


def _positive(name: str, value: object) -> None:
    if check_number(name, value) == 0:
        raise ValueError(f"{name} must be greater than 0; got {shown(value)}")


def _below_one(name: str, value: object) -> None:
    if check_number(name, value, maximum=1.0) == 1:
        raise ValueError(f"{name} must be less than 1; got {shown(value)}")


def _batch_size(name: str, value: object) -> None:
    if isinstance(value, str):
        check_choice(name, value, ("auto",))
    else:
        check_integer(name, value, minimum=1)


def _patience(name: str, value: object) -> None:
    if not (isinstance(value, float | np.floating) and value == math.inf):
        check_integer(name, value, minimum=1)


def _verbose(name: str, value: object) -> None:
    if not isinstance(value, bool | np.bool_):
        check_integer(name, value, minimum=0)


def _activation(name: str, value: object) -> None:
    layer_activations(value, None)


def _layers(name: str, value: object) -> None:
    hidden_sizes(value)


def check_random_state_of(name: str, value: object) -> None:
    """Raise an error naming `random_state` if nothing random can be drawn from it."""
    from sklearn.utils import check_random_state

    if isinstance(value, np.random.Generator):
        return
    if not (
        value is None
        or value is np.random
        or isinstance(value, numbers.Integral | np.random.RandomState)
    ):
        # Where scikit-learn would print the object, which may fail.
        raise ValueError(
            f"{shown(value)} cannot be used to seed a numpy.random.RandomState instance; "
            f"{name} must be None, an integer, a RandomState or a Generator"
        )
    check_random_state(value)


def as_random_state(value: Any) -> np.random.RandomState:
    """Return scikit-learn's generator for a checked `random_state`; a Generator seeds it."""
    from sklearn.utils import check_random_state

    if isinstance(value, np.random.Generator):
        seed = value.integers(2**32, size=4, dtype=np.uint32)
        return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed.tolist())))
    state: np.random.RandomState = check_random_state(value)
    return state


def _fraction_or_splitter(name: str, value: object) -> None:
    if isinstance(value, numbers.Real):
        _below_one(name, value)
    elif isinstance(value, str | bytes | Mapping | type) or not (
        hasattr(value, "split") or isinstance(value, Iterable)
    ):
        raise TypeError(
            f"{name} must be a fraction, a splitter such as GroupShuffleSplit, or an iterable of "
            f"(train, validation) indices; got {shown(value)}"
        )


def _dtype(name: str, value: object) -> None:
    if value is not None:
        check_dtype(name, value)


def _threads(name: str, value: Any) -> None:
    resolve_threads(value)


def _scoring(name: str, value: object) -> None:
    names = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if not (value is None or isinstance(value, str) or callable(value) or (names and value)):
        raise TypeError(
            f"{name} must be None, a scorer's name, a callable or a list of names; "
            f"got {shown(value)}"
        )


def _monitor(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be None or a name in history_; got {shown(value)}")


def _dropout(name: str, value: object) -> None:
    for rate in value if isinstance(value, list | tuple) else (value,):
        check_number(name, rate, below=1.0)


def _bounds(name: str, value: object) -> None:
    if value is not None and not np.isfinite(read_bounds(value)).any():
        raise ValueError(f"{name} must be None, or a pair with a number; got {shown(value)}")


def _max_grad_norm(name: str, value: object) -> None:
    if value is not None:
        check_number(name, value, minimum=SMALLEST_NORM)


def _learning_rate(name: str, value: object) -> None:
    allowed = (*ADAPTED_RATES, *SCHEDULED_RATES)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, allowed))}; got {shown(value)}. "
            f"Was learning_rate_init={shown(value)} meant?"
        )
    check_choice(name, value, allowed)


def _levels(name: str, value: object) -> None:
    levels = quantile_levels(value)
    if not levels or any(a >= b for a, b in pairwise((0.0, *levels, 1.0))):
        raise ValueError(f"{name} must be increasing numbers between 0 and 1; got {shown(value)}")


def _loss(names: Iterable[str]) -> Check:
    """Allow a name, a Loss of such a name, or any function."""

    def check(name: str, value: object) -> None:
        if isinstance(value, Loss):
            check_choice(name, value.name, (*names, "own"))
        elif _may_be_widths(value):
            raise ValueError(
                f"{name} must be one of {', '.join(map(repr, names))}; got {shown(value)}. "
                f"Was hidden_layer_sizes={shown(value)} meant? The first parameter is {name}"
            )
        elif isinstance(value, type) or not callable(value):
            check_choice(name, value, names)

    return check


def _may_be_widths(value: object) -> bool:
    """Return whether widths of layers were given as the first argument of MLPRegressor."""
    if isinstance(value, str):
        return value != "" and all(part.isdecimal() for part in value.lower().split("x"))
    return isinstance(value, int | tuple | list) and not isinstance(value, bool)


def _class_weight(name: str, value: object) -> None:
    if isinstance(value, Mapping):
        for label, weight in value.items():
            check_number(f"{name}[{shown(label)}]", weight)
    elif value is not None:
        check_choice(name, value, ("balanced",))


CHECKS: dict[str, Check] = {
    "hidden_layer_sizes": _layers,
    "activation": _activation,
    "solver": _choice(SOLVERS),
    "alpha": _number(),
    "batch_size": _batch_size,
    "learning_rate": _learning_rate,
    "learning_rate_init": _positive,
    "power_t": _number(),
    "max_iter": _integer(1),
    "shuffle": check_flag,
    "random_state": check_random_state_of,
    "tol": _number(),
    "verbose": _verbose,
    "warm_start": check_flag,
    "momentum": _number(1.0),
    "nesterovs_momentum": check_flag,
    "early_stopping": check_flag,
    "validation_fraction": _fraction_or_splitter,
    "beta_1": _below_one,
    "beta_2": _below_one,
    "epsilon": _positive,
    "n_iter_no_change": _patience,
    "max_fun": _integer(1),
    "l1": _number(),
    "weight_decay": _number(),
    "rho": _below_one,
    "learning_rate_decay": _number(),
    "warmup": _integer(0),
    "scoring": _scoring,
    "monitor": _monitor,
    "initializer": _choice(("auto", *INITIALIZERS)),
    "dtype": _dtype,
    "n_threads": _threads,
    "class_weight": _class_weight,
    "label_smoothing": _below_one,
    "dropout": _dropout,
    "max_grad_norm": _max_grad_norm,
    "quantile": _levels,
    "huber_delta": _positive,
    "scale_target": check_flag,
    "bounds": _bounds,
}
"""Checks by parameter; `loss` is missing because its allowed values depend on the estimator."""


def check_parameters(parameters: Mapping[str, Any], losses: Iterable[str]) -> None:
    """Raise ParameterError for the first parameter with an invalid value.

    Raises
    ------
    ParameterError
        With the parameter's name, its value and what is allowed.
    """
    for name, value in parameters.items():
        kind = type(value)
        if kind in SCALARS and name in CHECKS and _valid.get((name, kind), _valid) == value:
            continue
        check = CHECKS[name] if name in CHECKS else _loss(tuple(losses))
        try:
            with naming(name):
                check(name, value)
        except (TypeError, ValueError) as error:
            raise ParameterError(str(error)) from None
        if kind in SCALARS:
            _valid[name, kind] = value


SCALARS = frozenset({str, int, float, bool, type(None)})
"""Types whose values never change, so that one that was valid stays so."""

_valid: dict[tuple[str, type], Any] = {}
"""The last valid value of every parameter and type: thousands of short fits have the same ones."""


def quantile_levels(quantile: Any) -> tuple[float, ...]:
    """Return the levels of one quantile or of several."""
    levels = quantile if isinstance(quantile, Iterable) else (quantile,)
    return tuple(check_number("quantile", level) for level in levels)


def hidden_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the hidden layers' widths, given 100, (100, 50) or "100x50"; () means no layers.

    Raises
    ------
    ValueError, TypeError
        For all other values, and for widths below 1.
    """
    if isinstance(sizes, str):
        parts = sizes.lower().split("x")
        if not all(part.strip().isdecimal() for part in parts):
            raise ValueError(
                "hidden_layer_sizes must be integers joined by x, such as '128x64'; "
                f"got {shown(sizes)}"
            )
        sizes = [int(part) for part in parts]
    elif isinstance(sizes, bytes | Mapping) or not isinstance(sizes, Iterable):
        return (_width("hidden_layer_sizes", sizes),)
    return tuple(_width(f"hidden_layer_sizes[{i}]", size) for i, size in enumerate(sizes))


def _width(name: str, size: object) -> int:
    """Check a width; the error message is scikit-learn's."""
    if isinstance(size, numbers.Integral) and not isinstance(size, bool) and size <= 0:
        raise ValueError(f"hidden_layer_sizes must be > 0, got {name} = {size}")
    return check_integer(name, size, minimum=1, maximum=MAX_DIMENSION - 1)


def layer_activations(activation: Any, n_hidden: int | None) -> tuple[str, ...]:
    """Return the engine's names of the hidden layers' activations, one per layer.

    Parameters
    ----------
    activation : str or sequence of str
        One for all layers, or one per layer.
    n_hidden : int or None
        Number of hidden layers; with None only the names are checked.

    Raises
    ------
    ValueError
        If a name is unknown, or if their number is wrong.
    """
    allowed = dict.fromkeys((*ACTIVATIONS, *ALIASES))
    if isinstance(activation, list | tuple):
        names = [check_choice(f"activation[{i}]", a, allowed) for i, a in enumerate(activation)]
        if n_hidden is not None and len(names) != n_hidden:
            raise ValueError(
                f"activation must be one name or {n_hidden}, one per hidden layer; "
                f"got {shown(activation)}"
            )
    else:
        names = [check_choice("activation", activation, allowed)] * (n_hidden or 0)
    return tuple(ALIASES.get(name, name) for name in names)


def is_stochastic(estimator: Any) -> bool:
    """Return True, or raise what `available_if` raises for the missing method."""
    if estimator.solver not in STOCHASTIC_SOLVERS:
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{estimator.solver} is not stochastic."
        )
    return True
