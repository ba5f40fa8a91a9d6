"""Optimizers by name: the update rules for the gradient of a mini-batch.

With gradient g (sum or mean over the batch, plus the penalty's), learning rate eta and step t >= 1:

===========  ===================================================================================
``sgd``      see :func:`fastmlp.reference.update`: one_step, classical or nesterov momentum
``adam``     m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
             w <- w - eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
``adamw``    adam, after w <- (1 - eta weight_decay) w
``rmsprop``  v <- rho v + (1 - rho) g^2,  b <- momentum b + g / (sqrt(v) + epsilon),  w <- w - eta b
===========  ===================================================================================

Defaults are those of the papers and of PyTorch. Sources: D. P. Kingma and J. Ba, "Adam" (2015);
I. Loshchilov and F. Hutter, "Decoupled weight decay regularization" (2019), which decays biases
too; T. Tieleman and G. Hinton, "Lecture 6.5: RMSprop" (2012).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fastmlp._checks import check_choice, check_flag, check_number, shown

MOMENTUM_RULES = ("one_step", "classical", "nesterov")


@dataclass(frozen=True)
class Optimizer:
    """Base class of the optimizers; use one of the subclasses.

    Attributes
    ----------
    name : str
        Name of the optimizer, as in ``Trainer(optimizer=name)``.
    n_states : int
        Number of state values stored per parameter between steps.
    """

    name: ClassVar[str]
    n_states: ClassVar[int]

    def coefficients(self) -> Mapping[str, float]:
        """Return all numbers of the update rule except the learning rate."""
        return {key: value for key, value in vars(self).items() if not isinstance(value, str)}

    @property
    def kind(self) -> str:
        """Name of the engine's update."""
        return self.name


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent with `momentum` in [0, 1], applied by one of the ``MOMENTUM_RULES``."""

    momentum: float = 0.0
    rule: str = "one_step"

    name: ClassVar[str] = "sgd"
    n_states: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_number("momentum", self.momentum, maximum=1.0)
        check_choice("momentum_rule", self.rule, MOMENTUM_RULES)

    @property
    def kind(self) -> str:
        """Name of the engine's update."""
        return self.rule


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with decay rates `beta_1` and `beta_2` in [0, 1) and `epsilon` >= 0.

    With `epsilon_hat`, epsilon is added to sqrt(v) before the bias correction: the efficient form
    at the end of section 2 of the paper, which scikit-learn uses. An epsilon of 0 is replaced by
    the smallest normal number, so that weights with a zero gradient do not change.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False

    name: ClassVar[str] = "adam"
    n_states: ClassVar[int] = 2

    def __post_init__(self) -> None:
        # With a decay rate of 1 the averages would ignore every gradient.
        check_number("beta_1", self.beta_1, below=1.0)
        check_number("beta_2", self.beta_2, below=1.0)
        check_number("epsilon", self.epsilon)
        check_flag("epsilon_hat", self.epsilon_hat)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled `weight_decay` >= 0 for all parameters, biases included."""

    weight_decay: float = 0.01

    name: ClassVar[str] = "adamw"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("weight_decay", self.weight_decay)

    @property
    def kind(self) -> str:
        """Name of the engine's update."""
        return "adam"


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop with decay rate `rho` in [0, 1), `epsilon` >= 0 and `momentum` in [0, 1]."""

    rho: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0

    name: ClassVar[str] = "rmsprop"
    n_states: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_number("rho", self.rho, below=1.0)
        check_number("epsilon", self.epsilon)
        check_number("momentum", self.momentum, maximum=1.0)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    optimizer.name: optimizer for optimizer in (SGD, Adam, AdamW, RMSprop)
}


def check_optimizer(
    optimizer: str | Optimizer, momentum: float = 0.0, momentum_rule: str = "one_step"
) -> Optimizer:
    """Return the optimizer with this name and its defaults, or the given optimizer object.

    `momentum` and `momentum_rule` apply to ``"sgd"`` only.

    Raises
    ------
    ValueError, TypeError
        If the name is unknown, or if a momentum is given with an optimizer other than ``"sgd"``.
    """
    sgd = SGD(momentum, momentum_rule)
    if isinstance(optimizer, str) and optimizer == "sgd":
        return sgd
    if sgd != SGD():
        raise ValueError(
            f"momentum and momentum_rule apply to optimizer 'sgd' only; got {shown(momentum)} and "
            f"{shown(momentum_rule)} with {shown(optimizer)}"
        )
    if type(optimizer) in OPTIMIZERS.values():
        return optimizer  # type: ignore[return-value]
    if not isinstance(optimizer, str):
        raise TypeError(
            f"optimizer must be one of {', '.join(map(repr, OPTIMIZERS))} or an object of "
            f"{', '.join(cls.__name__ for cls in OPTIMIZERS.values())}; got {shown(optimizer)}"
        )
    return OPTIMIZERS[check_choice("optimizer", optimizer, OPTIMIZERS)]()
