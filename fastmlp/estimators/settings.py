"""The Trainer that an estimator's parameters describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastmlp._types import Array
from fastmlp.estimators.parameters import SCHEDULED_RATES
from fastmlp.estimators.warn import warn
from fastmlp.network.network import Network
from fastmlp.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastmlp.training.trainer import Trainer

AUTO_BATCH_ROWS = 200


def optimizer_of(estimator: Any) -> Optimizer:
    """The optimizer of a solver's name and numbers; scikit-learn's Adam has epsilon hat."""
    e = estimator
    if e.solver == "adam":
        return Adam(e.beta_1, e.beta_2, e.epsilon, epsilon_hat=True)
    if e.solver == "adamw":
        return AdamW(e.beta_1, e.beta_2, e.epsilon, weight_decay=e.weight_decay)
    if e.solver == "rmsprop":
        return RMSprop(e.rho, e.epsilon)
    nesterov = e.solver == "nesterov" or e.nesterovs_momentum
    return SGD(e.momentum, "nesterov" if nesterov else "classical")


def rows_per_batch(batch_size: int | str, n_rows: int) -> int:
    """scikit-learn's rule: "auto" is 200, and no batch has more rows than there are.

    Warns
    -----
    UserWarning
        Where a number is cut to the number of rows.
    """
    if isinstance(batch_size, str):
        return min(AUTO_BATCH_ROWS, n_rows)
    if batch_size > n_rows:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(batch_size, n_rows)


def trainer_settings(estimator: Any, loss: Any, batch_size: int) -> dict[str, Any]:
    """The arguments of the Trainer, but for its network and its random state.

    Means over a batch's row weights, and penalties divided by them: ``alpha / 2 sum w**2 / V``.
    """
    e = estimator
    # The L-BFGS of SciPy has no use for an optimizer of ours; plain SGD has the smallest state.
    optimizer = SGD() if e.solver == "lbfgs" else optimizer_of(e)
    schedule = e.learning_rate if e.learning_rate in SCHEDULED_RATES else "constant"
    return {
        "loss": loss,
        "learning_rate": float(e.learning_rate_init),
        "schedule": schedule,
        "decay": e.learning_rate_decay if schedule in ("exponential", "power") else 0.0,
        "warmup": e.warmup,
        "optimizer": optimizer,
        "l1": e.l1,
        "l2": e.alpha,
        "penalty_scale": "per_weight",
        "reduction": "mean",
        "batch_size": batch_size,
        "dropout": e.dropout,
        "max_grad_norm": e.max_grad_norm,
        "shuffle": e.shuffle,
        "n_threads": e.n_threads,
    }


@dataclass(frozen=True)
class Memory:
    """What the next partial_fit has to know of the last training, and nothing native.

    Attributes
    ----------
    settings : dict
        Arguments of the Trainer.
    states : ndarray of shape (n_states, n_parameters)
    n_steps, epochs_done : int
    learning_rate : float
        In force; differs from the one in `settings` where it was adapted.
    """

    settings: dict[str, Any]
    states: Array
    n_steps: int
    epochs_done: int
    learning_rate: float

    def hand_over(self, trainer: Trainer) -> None:
        """Give all this to a new trainer, so far as it has the same kind of optimizer and rate."""
        same_kind = trainer.optimizer.name == self.settings["optimizer"].name
        if same_kind and trainer.states.shape == self.states.shape:
            trainer.states[...] = self.states
            trainer.n_steps, trainer.epochs_done = self.n_steps, self.epochs_done
        if trainer.learning_rate == self.settings["learning_rate"]:
            trainer.learning_rate = self.learning_rate

    def has_parameters_of(self, estimator: Any) -> bool:
        """It does not know any."""
        return False

    def as_memory(self) -> Memory:
        """What is pickled and copied: this memory itself, which nobody changes."""
        return self


@dataclass
class Training:
    """A trainer that the next partial_fit may go on with.

    Attributes
    ----------
    trainer : Trainer
    settings : dict
        The arguments it was made of.
    parameters : dict
        The estimator's, which these arguments come from and which have been checked.
    """

    trainer: Trainer
    settings: dict[str, Any]
    parameters: dict[str, Any]

    @property
    def n_steps(self) -> int:
        """Of its optimizer, so far."""
        return self.trainer.n_steps

    def fits(self, settings: dict[str, Any], network: Network) -> bool:
        """Whether this trainer is what `settings` ask for."""
        return self.settings == settings and self.trainer.network is network

    def has_parameters_of(self, estimator: Any) -> bool:
        """Whether the estimator has these very parameters."""
        now = vars(estimator)
        return all(now[name] is value for name, value in self.parameters.items())

    def hand_over(self, trainer: Trainer) -> None:
        """Give the optimizer's states to a new trainer."""
        self.as_memory().hand_over(trainer)

    def as_memory(self) -> Memory:
        """What is worth pickling and copying, apart from what this trainer goes on to change."""
        t = self.trainer
        return Memory(self.settings, t.states.copy(), t.n_steps, t.epochs_done, t.learning_rate)
