"""Names of activation functions, output functions and losses, and their valid combinations.

For targets y and outputs a, summed over outputs and samples (articles M8 and A1; poisson and gamma
are scikit-learn's half deviances):

==================  ===============================================  =============================
``log_loss``        sum -y log(a) - (1 - y) log(1 - a)               sigmoid, softmax
``cross_entropy``   sum -y log(a)                                    softmax
``squared_error``   sum (a - y)^2 / 2                                sigmoid, softmax, identity,
                                                                     exponential
``brier``           sum (a - y)^2                                    sigmoid, softmax
``absolute_error``  sum abs(a - y)                                   identity
``huber``           sum d^2 / 2 where d = abs(a - y) <= delta,       identity
                    delta (d - delta / 2) elsewhere
``quantile``        sum q (y - a) where a <= y, (1 - q) (a - y)      identity, increasing
                    elsewhere, with a level q per output
``poisson``         sum y log(y / a) - y + a                         exponential
``gamma``           sum log(a / y) + y / a - 1                       exponential
==================  ===============================================  =============================

For the pairs sigmoid + log_loss, softmax + cross_entropy, identity + squared_error and exponential
+ poisson, the output delta is a - y, without any quotient. ``increasing`` (monotone) outputs
a_0 = z_0, a_j = a_{j-1} + log(1 + e^{z_j}) are quantiles that cannot cross.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fastmlp._checks import (
    as_array,
    check_choice,
    check_number,
    shown,
)
from fastmlp._types import Array

ACTIVATIONS = (
    "sigmoid",
    "tanh",
    "relu",
    "identity",
    "leaky_relu",
    "elu",
    "selu",
    "softplus",
    "gelu",
    "silu",
)
"""Activation functions of hidden layers."""

ALIASES = {"logistic": "sigmoid"}
"""Alternative names of functions, as in scikit-learn."""

NATURAL_LOSS = {
    "sigmoid": "log_loss",
    "softmax": "cross_entropy",
    "identity": "squared_error",
    "exponential": "poisson",
    "increasing": "quantile",
}
"""The natural loss of each output function."""

OUTPUT_FUNCTIONS = tuple(NATURAL_LOSS)


class LossFacts(NamedTuple):
    """Output functions and targets that a loss can be used with.

    Attributes
    ----------
    outputs : tuple of str
        Output functions that the loss allows.
    targets : (float, float)
        Smallest and largest allowed target.
    reason : str
        Appended to the error message about any other output function.
    """

    outputs: tuple[str, ...]
    targets: tuple[float, float] = (-np.inf, np.inf)
    reason: str = ""


LOSS_FACTS = {
    "log_loss": LossFacts(
        ("sigmoid", "softmax"), (0.0, 1.0), ", whose outputs lie between 0 and 1"
    ),
    "cross_entropy": LossFacts(
        ("softmax",), (0.0, 1.0), ", whose outputs sum to 1; 'sigmoid' goes with 'log_loss'"
    ),
    "squared_error": LossFacts(("sigmoid", "softmax", "identity", "exponential")),
    "brier": LossFacts(("sigmoid", "softmax"), (0.0, 1.0)),
    "absolute_error": LossFacts(("identity",)),
    "huber": LossFacts(("identity",)),
    "quantile": LossFacts(("identity", "increasing")),
    "poisson": LossFacts(("exponential",), (0.0, np.inf), ", whose outputs are positive"),
    "gamma": LossFacts(
        ("exponential",),
        (float(np.finfo(np.float32).tiny), np.inf),
        ", whose outputs are positive",
    ),
    "own": LossFacts(("sigmoid", "softmax", "identity", "exponential")),
}
"""All losses by name; ``own`` stands for every custom loss.

A new loss needs a row here, a constant in src/fastmlp.h and engine/_kernels.pxd, a case in
src/output.c, an entry in the engine's ``LOSSES`` and in ``fastmlp/reference/losses.py``, and a line
in the table above. tests/package/test_functions_everywhere.py reports any place that is missing.
"""

OUTPUTS_OF_LOSS = {name: facts.outputs for name, facts in LOSS_FACTS.items()}
LOSSES = tuple(name for name in LOSS_FACTS if name != "own")

CustomFunction = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Loss:
    """A loss with the given `name`, one of ``LOSSES``; losses with parameters are subclasses."""

    name: str

    @property
    def function(self) -> CustomFunction | None:
        """The Python function of a custom loss, with checks; None for the built-in losses."""
        return None

    def parameters(self, n_outputs: int) -> tuple[float, ...] | None:
        """Return the loss's parameter for every output, (n_outputs,); None if it has none."""
        return None


@dataclass(frozen=True)
class Huber(Loss):
    """Huber loss (1964): squared error up to `delta` > 0 from the target, linear beyond."""

    delta: float = 1.0
    name: str = field(default="huber", init=False)

    def __post_init__(self) -> None:
        check_number("delta", self.delta, minimum=float(np.finfo(np.float32).tiny))

    def parameters(self, n_outputs: int) -> tuple[float, ...]:
        """Return `delta` for every output."""
        return (float(self.delta),) * n_outputs


def _as_list(name: str, values: object) -> list[object]:
    """One number, or the numbers of an array-like, in a list."""
    return list(np.atleast_1d(as_array(name, values)).tolist())  # type: ignore[arg-type]


@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss (Koenker and Bassett, 1978) with one level in (0, 1), or one per output."""

    levels: tuple[float, ...] = (0.5,)
    name: str = field(default="quantile", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(_as_list("levels", self.levels)))
        for i, level in enumerate(self.levels):
            if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
                raise ValueError(
                    f"levels[{i}] must be a number between 0 and 1; got {shown(level)}"
                )

    def parameters(self, n_outputs: int) -> tuple[float, ...]:
        """Return the level of every output."""
        if len(self.levels) == 1:
            return self.levels * n_outputs
        if len(self.levels) != n_outputs:
            raise ValueError(
                f"levels must be one number or {n_outputs}, one per output; got {len(self.levels)}"
            )
        return self.levels


@dataclass(frozen=True)
class CustomLoss(Loss):
    """A custom loss.

    `own(y, a)` receives the targets and outputs of a chunk of rows, each of shape (n, n_out) and in
    the network's dtype, and returns their losses (n,) and the gradient dC/da (n, n_out). It is
    called once per chunk (again, if a product of BLAS has to be repeated),
    from several threads (one at a time, with the GIL), in no fixed order. Ctrl-C takes effect when
    the calls under way in other threads have returned.
    """

    own: CustomFunction
    name: str = field(default="own", init=False)

    def __post_init__(self) -> None:
        if not callable(self.own):
            raise TypeError(f"own must be callable; got {shown(self.own)}")

    @property
    def function(self) -> CustomFunction:
        """The custom function, with its results checked."""
        return self._checked

    def _checked(self, y: Array, a: Array) -> tuple[Array, Array]:
        result = self.own(y, a)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"{self} must return a tuple (losses, gradients); got {type(result).__name__}"
            )
        losses, gradients = (np.asarray(part) for part in result)
        if losses.dtype.kind not in "fiub" or gradients.dtype.kind not in "fiub":
            raise TypeError(
                f"{self} must return real numbers; got arrays of dtype "
                f"{losses.dtype} and {gradients.dtype}"
            )
        if losses.shape != (len(y),) or gradients.shape != y.shape:
            raise ValueError(
                f"{self} must return losses of shape {(len(y),)} and gradients of shape {y.shape}; "
                f"got {losses.shape} and {gradients.shape}"
            )
        return losses.astype(y.dtype), gradients.astype(y.dtype)

    def __str__(self) -> str:
        return f"the loss {getattr(self.own, '__name__', self.own)!r}"

    def fault(self, y: Array, a: Array) -> str:
        """Describe a loss that is not finite although the outputs are; return "" otherwise.

        `y` and `a` are targets and outputs, (n, n_outputs).
        """
        if not np.isfinite(a).all():
            return ""
        for name, values in zip(("values", "gradients"), self._checked(y, a), strict=True):
            wrong = values[~np.isfinite(values)]
            if len(wrong):
                return (
                    f"{self} must be finite, and so must its gradient; got {name} of {wrong[0]} "
                    f"for outputs from {a.min():g} to {a.max():g} and targets from {y.min():g} to "
                    f"{y.max():g}"
                )
        return ""


def check_loss(loss: object) -> Loss:
    """Return the Loss for a name (with defaults), a function (custom loss) or a Loss object."""
    if isinstance(loss, Loss) and type(loss) is not Loss:
        return loss
    if callable(loss):
        return CustomLoss(loss)
    name = check_choice("loss", loss.name if isinstance(loss, Loss) else loss, LOSSES)
    with_defaults: dict[str, type[Loss]] = {"huber": Huber, "quantile": Quantile}
    return with_defaults[name]() if name in with_defaults else Loss(name)  # type: ignore[call-arg]


def check_pair(output: str, loss: str) -> None:
    """Raise ValueError if this output function cannot be used with this loss (both are names)."""
    check_choice("output", output, OUTPUT_FUNCTIONS)
    if loss != "own":
        check_choice("loss", loss, LOSSES)
    facts = LOSS_FACTS[loss]
    if output not in facts.outputs:
        others = " or ".join(map(repr, facts.outputs))
        raise ValueError(
            f"output {output!r} cannot be used with loss {loss!r}: use {others}{facts.reason}"
        )


def check_levels(output: str, loss: Loss) -> None:
    """Raise ValueError for 'increasing' outputs if the quantile levels do not increase."""
    if (
        output == "increasing"
        and isinstance(loss, Quantile)
        and loss.levels != tuple(sorted(loss.levels))
    ):
        raise ValueError(f"levels must increase for 'increasing' outputs; got {loss.levels}")
