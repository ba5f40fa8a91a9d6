"""Trainer settings for an estimator's parameters, and the state kept for partial_fit."""

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
    """Return the optimizer for `solver`; Adam uses epsilon in the same way as scikit-learn."""
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
    """Return the batch size by scikit-learn's rule: "auto" is 200, and n_rows is the maximum.

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
    # SciPy's L-BFGS replaces the optimizer; plain SGD has the smallest state.
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
    """State that the next partial_fit needs, without native objects.

    Attributes
    ----------
    optimizer : str
        Its name, as in :data:`fastmlp.optimizers.OPTIMIZERS`.
    states : ndarray of shape (n_states, n_parameters)
    n_steps, epochs_done : int
    initial_learning_rate : float
        The value of `learning_rate_init`.
    learning_rate : float
        Current rate; differs from the initial rate if it was adapted.
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
        """Transfer the state to a new trainer, as far as optimizer and learning rate match."""
        same_optimizer = trainer.optimizer.name == self.optimizer
        if same_optimizer and trainer.states.shape == self.states.shape:
            trainer.states[...] = self.states
            trainer.n_steps, trainer.epochs_done = self.n_steps, self.epochs_done
        if trainer.learning_rate == self.initial_learning_rate:
            trainer.learning_rate = self.learning_rate


@dataclass(frozen=True)
class LastTrainer:
    """The trainer of the last fit, which the next partial_fit reuses if possible.

    Attributes
    ----------
    trainer : Trainer
    settings : dict
        Arguments with which it was created.
    parameters : dict
        The checked parameters of the estimator from which the arguments were derived.
    """

    trainer: Trainer
    settings: Mapping[str, Any]
    parameters: Mapping[str, Any]

    @property
    def n_steps(self) -> int:
        """Number of updates made by its optimizer."""
        return self.trainer.n_steps

    def fits(self, settings: Mapping[str, Any], network: Network) -> bool:
        """Return whether a new trainer with these settings and network would be the same."""
        return self.settings == settings and self.trainer.network is network

    def has_parameters(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether an estimator with these attributes has the same parameters."""
        return all(attributes[name] is value for name, value in self.parameters.items())

    def state(self) -> OptimizerState:
        """Return a copy of the state that is worth keeping."""
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
