"""Losses, and the output functions each of them can be used with.

With targets y and outputs a (sums over outputs and samples; articles M8 and A1, and scikit-learn's
half deviances):

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

The pairs sigmoid + log_loss, softmax + cross_entropy, identity + squared_error and exponential +
poisson have the output delta a - y, without any quotient. ``increasing`` outputs
a_0 = z_0, a_j = a_{j-1} + log(1 + e^{z_j}) are quantiles that cannot cross.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fastmlp._checks import check_choice, check_number
from fastmlp._types import Array

ACTIVATIONS = (
    "sigmoid", "tanh", "relu", "identity", "leaky_relu", "elu", "selu", "softplus", "gelu", "silu",
)  # fmt: skip
ALIASES = {"logistic": "sigmoid"}
"""Other names of functions; scikit-learn's."""
OUTPUT_FUNCTIONS = ("sigmoid", "softmax", "identity", "exponential", "increasing")

NATURAL_LOSS = {
    "sigmoid": "log_loss",
    "softmax": "cross_entropy",
    "identity": "squared_error",
    "exponential": "poisson",
    "increasing": "quantile",
}
"""The loss that an output function is made for, by name."""

OUTPUTS_OF_LOSS = {
    "log_loss": ("sigmoid", "softmax"),
    "cross_entropy": ("softmax",),
    "squared_error": ("sigmoid", "softmax", "identity", "exponential"),
    "brier": ("sigmoid", "softmax"),
    "absolute_error": ("identity",),
    "huber": ("identity",),
    "quantile": ("identity", "increasing"),
    "poisson": ("exponential",),
    "gamma": ("exponential",),
    "own": ("sigmoid", "softmax", "identity", "exponential"),
}
LOSSES = tuple(name for name in OUTPUTS_OF_LOSS if name != "own")

TARGET_RANGES = {
    "log_loss": (0.0, 1.0),
    "cross_entropy": (0.0, 1.0),
    "brier": (0.0, 1.0),
    "poisson": (0.0, np.inf),
    "gamma": (float(np.finfo(np.float32).tiny), np.inf),
}
"""Smallest and largest target, by name, where not every number will do."""

OwnFunction = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Loss:
    """A loss by its `name`, one of ``LOSSES``; huber and quantile have classes of their own."""

    name: str

    @property
    def function(self) -> OwnFunction | None:
        """The Python function of a loss from outside."""
        return None

    def parameters(self, n_outputs: int) -> tuple[float, ...] | None:
        """A number per output, where the loss has one."""
        return None


@dataclass(frozen=True)
class Huber(Loss):
    """Squares up to `delta` > 0 from the target, straight lines beyond (Huber, 1964)."""

    delta: float = 1.0
    name: str = field(default="huber", init=False)

    def __post_init__(self) -> None:
        check_number("delta", self.delta, minimum=float(np.finfo(np.float32).tiny))

    def parameters(self, n_outputs: int) -> tuple[float, ...]:
        """`delta` for every output."""
        return (float(self.delta),) * n_outputs


@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss (Koenker and Bassett, 1978); levels in (0, 1), one per output or one for all."""

    levels: tuple[float, ...] = (0.5,)
    name: str = field(default="quantile", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(np.atleast_1d(self.levels).tolist()))
        for i, level in enumerate(self.levels):
            if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
                raise ValueError(f"levels[{i}] must be a number between 0 and 1; got {level!r}")

    def parameters(self, n_outputs: int) -> tuple[float, ...]:
        """The level of every output."""
        if len(self.levels) == 1:
            return self.levels * n_outputs
        if len(self.levels) != n_outputs:
            raise ValueError(
                f"levels must be one number or {n_outputs}, one per output; got {len(self.levels)}"
            )
        return self.levels


@dataclass(frozen=True)
class OwnLoss(Loss):
    """A loss from outside.

    `own(y, a)` gets targets and outputs of some rows, (n, n_out) each, and returns their losses
    (n,) and the gradient dC/da (n, n_out). It is called once per chunk of rows, from several
    threads (one at a time, with the GIL), in no particular order.
    """

    own: OwnFunction
    name: str = field(default="own", init=False)

    def __post_init__(self) -> None:
        if not callable(self.own):
            raise TypeError(f"own must be callable; got {self.own!r}")

    @property
    def function(self) -> OwnFunction:
        """The function, with what it returns checked."""
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
        """That the loss or its gradient is not finite for finite outputs a, in words; else ""."""
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
    """The loss of this name with its defaults, the given one, or one from a function."""
    if isinstance(loss, Loss) and type(loss) is not Loss:
        return loss
    if callable(loss):
        return OwnLoss(loss)
    name = check_choice("loss", loss.name if isinstance(loss, Loss) else loss, LOSSES)
    with_defaults: dict[str, type[Loss]] = {"huber": Huber, "quantile": Quantile}
    return with_defaults[name]() if name in with_defaults else Loss(name)  # type: ignore[call-arg]


def check_pair(output: str, loss: str) -> None:
    """Refuse an output function and a loss that do not make sense together, by name."""
    check_choice("output", output, OUTPUT_FUNCTIONS)
    if loss != "own":
        check_choice("loss", loss, LOSSES)
    allowed = OUTPUTS_OF_LOSS[loss]
    if output not in allowed:
        others = " or ".join(map(repr, allowed))
        raise ValueError(
            f"output {output!r} cannot be used with loss {loss!r}: use {others}{_WHY.get(loss, '')}"
        )


_WHY = {
    "log_loss": ", whose outputs lie between 0 and 1",
    "cross_entropy": ", whose outputs sum to 1; 'sigmoid' goes with 'log_loss'",
    "poisson": ", whose outputs are positive",
    "gamma": ", whose outputs are positive",
}


def check_levels(output: str, loss: Loss) -> None:
    """Refuse levels of increasing outputs that do not increase."""
    if (
        output == "increasing"
        and isinstance(loss, Quantile)
        and loss.levels != tuple(sorted(loss.levels))
    ):
        raise ValueError(f"levels must increase for 'increasing' outputs; got {loss.levels}")
