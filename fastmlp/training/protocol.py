"""Interface of the Trainer for the parts of a training run."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.callbacks.protocol import Training
from fastmlp.engine.threads import ThreadCount
from fastmlp.network.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.training.epoch import Epoch, EpochRecord
from fastmlp.training.history import History
from fastmlp.training.objective import Objective


class NetworkTraining(Training, Protocol):
    """The run of a Trainer; its attributes are explained there."""

    network: Network
    objective: Objective
    optimizer: Optimizer
    threads: ThreadCount
    states: Array
    n_steps: int
    batch_size: int
    steps_per_epoch: int | None
    dropout: tuple[float, ...]
    max_grad_norm: float | None
    rng: np.random.Generator
    order: NDArray[np.intp] | None
    last_epoch: EpochRecord | None
    history: History

    def draw_epoch(self, n_rows: int) -> Epoch:
        """Return the next epoch, with the random numbers that it takes."""
        ...

    def note_steps(self, epoch: Epoch) -> None:
        """Count the batches of an epoch that are done."""
        ...

    def note_epoch(self, record: EpochRecord) -> None:
        """Count a finished epoch."""
        ...

    def reset_optimizer(self) -> None:
        """Set the optimizer's states, and the numbers of steps and epochs, to zero."""
        ...

    def settings(self, n_epochs: int) -> dict[str, Any]:
        """Return all parameters that a resumed run must share."""
        ...
