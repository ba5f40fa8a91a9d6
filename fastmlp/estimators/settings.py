"""The Trainer that an estimator's parameters describe, and what partial_fit keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp._types import Array
from fastmlp.estimators.parameters import SCHEDULED_RATES, Parameters
from fastmlp.estimators.warn import warn
from fastmlp.network.network import Network
from fastmlp.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastmlp.training.trainer import Trainer

AUTO_BATCH_ROWS = 200


def optimizer_of(parameters: Parameters) -> Optimizer:
    """Return the optimizer that `solver` names; Adam has scikit-learn's form of epsilon."""
    p = parameters
    if p.solver == "adam":
        return Adam(p.beta_1, p.beta_2, p.epsilon, epsilon_hat=True)
    if p.solver == "adamw":
        return AdamW(p.beta_1, p.beta_2, p.epsilon, weight_decay=p.weight_decay)
    if p.solver == "rmsprop":
        return RMSprop(p.rho, p.epsilon)
    nesterov = p.solver == "nesterov" or p.nesterovs_momentum
    return SGD(p.momentum, "nesterov" if nesterov else "classical")


def rows_per_batch(batch_size: int | str, n_rows: int) -> int:
    """Return the rows of a batch by scikit-learn's rule: "auto" is 200, and n_rows the maximum.

    Warns
    -----
    UserWarning
        If a number is reduced to the number of rows.
    """
    if isinstance(batch_size, str):
        return min(AUTO_BATCH_ROWS, n_rows)
    if batch_size > n_rows:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(batch_size, n_rows)


def trainer_settings(parameters: Parameters, loss: Any, batch_size: int) -> dict[str, Any]:
    """Return the arguments of the Trainer, except for its network and random state.

    Losses are means over a batch's sample weights v_i, and penalties are divided by their sum V:
    ``alpha / 2 * sum w**2 / V``.
    """
    p = parameters
    # SciPy's L-BFGS has no use for an optimizer of ours; plain SGD has the smallest state.
    optimizer = SGD() if p.solver == "lbfgs" else optimizer_of(p)
    schedule = p.learning_rate if p.learning_rate in SCHEDULED_RATES else "constant"
    return {
        "loss": loss,
        "learning_rate": float(p.learning_rate_init),
        "schedule": schedule,
        "decay": p.learning_rate_decay if schedule in ("exponential", "power") else 0.0,
        "warmup": p.warmup,
        "optimizer": optimizer,
        "l1": p.l1,
        "l2": p.alpha,
        "penalty_scale": "per_weight",
        "reduction": "mean",
        "batch_size": batch_size,
        "dropout": p.dropout,
        "max_grad_norm": p.max_grad_norm,
        "shuffle": p.shuffle,
        "n_threads": p.n_threads,
    }


@dataclass(frozen=True)
class OptimizerState:
    """What the next partial_fit needs of the last one, without anything native.

    Attributes
    ----------
    optimizer : str
        Its name, as in :data:`fastmlp.optimizers.OPTIMIZERS`.
    states : ndarray of shape (n_states, n_parameters)
    n_steps, epochs_done : int
    initial_learning_rate : float
        As `learning_rate_init` was.
    learning_rate : float
        In force; differs from the initial one if it was adapted.
    generator : mapping or None
        State of the bit generator that shuffles; None where an earlier version has saved it.
    """

    optimizer: str
    states: Array
    n_steps: int
    epochs_done: int
    initial_learning_rate: float
    learning_rate: float
    generator: Mapping[str, Any] | None = None

    def rng(self) -> np.random.Generator | None:
        """Return a generator that continues where this one was, or None."""
        if self.generator is None:
            return None
        bit_generator = getattr(np.random, self.generator["bit_generator"])(0)
        bit_generator.state = self.generator
        return np.random.Generator(bit_generator)

    def hand_over(self, trainer: Trainer) -> None:
        """Give a new trainer what fits its optimizer and its learning rate."""
        same_optimizer = trainer.optimizer.name == self.optimizer
        if same_optimizer and trainer.states.shape == self.states.shape:
            trainer.states[...] = self.states
            trainer.n_steps, trainer.epochs_done = self.n_steps, self.epochs_done
        if trainer.learning_rate == self.initial_learning_rate:
            trainer.learning_rate = self.learning_rate


@dataclass(frozen=True)
class LastTrainer:
    """The trainer of the last fit, which the next partial_fit uses again if it can.

    Attributes
    ----------
    trainer : Trainer
    settings : dict
        The arguments it was made of.
    parameters : dict
        The estimator's, which these arguments come from and which have been checked.
    """

    trainer: Trainer
    settings: Mapping[str, Any]
    parameters: Mapping[str, Any]

    @property
    def n_steps(self) -> int:
        """Number of updates that its optimizer has made."""
        return self.trainer.n_steps

    def fits(self, settings: Mapping[str, Any], network: Network) -> bool:
        """Whether a new trainer of these settings and this network would be the same."""
        return self.settings == settings and self.trainer.network is network

    def has_parameters(self, attributes: Mapping[str, Any]) -> bool:
        """Whether an estimator with these attributes still has the same parameters."""
        return all(attributes[name] is value for name, value in self.parameters.items())

    def state(self) -> OptimizerState:
        """Return a copy of what is worth keeping."""
        t, initial_rate = self.trainer, self.settings["learning_rate"]
        return OptimizerState(
            t.optimizer.name,
            t.states.copy(),
            t.n_steps,
            t.epochs_done,
            initial_rate,
            t.learning_rate,
            t.rng.bit_generator.state,
        )
