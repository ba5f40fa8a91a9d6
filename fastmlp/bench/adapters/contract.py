"""The contract between the benchmark and the libraries it times.

Every other file of this folder but `job` and `shared` wraps one library in a final class named
`Contestant`, derived from one of these abstract classes: `Learner` trains, `Predictor` also
predicts, `Ensembler` also trains several networks at once; `Fitter` does nothing but fit an
estimator. The methods:

- `prepare(job)` limits the library to `n_threads`, builds the network and the optimizer, and brings
  the data into the library's own form. It is called first, once, and is not timed.
- `versions()` names the library's versions and build settings.
- `fit(max_epochs)` makes an estimator and fits it, from the start to the end.
- `train_epochs(n)` trains on, from wherever training stands, and returns the seconds of each
  epoch. Compilation happens in the first epochs, which the caller throws away.
- `accuracy()` is the share of test rows recognized, for numbers R² of the test rows, or None where
  nothing is learned.
- `predict(x)` takes a NumPy array and returns one, output function included, with nothing left to
  be computed when it returns.
- `train_ensemble(members)` trains one network per job from its starting weights and returns the
  trained ones, each with `accuracy()`. The first call is thrown away.

Whatever a job asks for and a library's tables do not name is refused by `shared.choose` with a
sentence. To add a job, extend those tables; to add a library, add a file here and a line in
`contenders.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from fastmlp._types import Array
from fastmlp.bench.adapters.job import Data, Job


class Trained(Protocol):
    """A network that has been trained."""

    def accuracy(self) -> float | None:
        """Share of the test rows recognized, in [0, 1]; None where nothing is learned."""


class Adapter(ABC):
    """Interface of a library for the benchmark; see the text at the top of this file.

    data: what to train on; adapters never write to it.
    n_threads: processors the library may use.
    variant: a word that selects one of several ways to use the library; empty for the only one.
    """

    def __init__(self, data: Data, n_threads: int, variant: str) -> None:
        self.data = data
        self.n_threads = n_threads
        self.variant = variant

    @abstractmethod
    def prepare(self, job: Job) -> None:
        """Build everything the timed methods need; not timed."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Names and versions of the libraries at work, and how they were built."""

    @abstractmethod
    def accuracy(self) -> float | None:
        """Share of the test rows recognized, in [0, 1], or R²; None where nothing is learned."""


class Fitter(Adapter):
    """An adapter that fits estimators, as a user of scikit-learn does."""

    @abstractmethod
    def fit(self, max_epochs: int) -> int:
        """Fit a new estimator on the training rows; return the number of its epochs."""


class Learner(Adapter):
    """An adapter that trains epoch after epoch."""

    @abstractmethod
    def train_epochs(self, n: int) -> list[float]:
        """Train n more epochs, shuffled anew each time; return the seconds of each."""


class Predictor(Learner):
    """An adapter that can also be asked for the outputs of its network."""

    @abstractmethod
    def predict(self, x: Array) -> Array:
        """Outputs (n, n_out) for x (n, n_in) in the job's dtype, both NumPy arrays."""


class Ensembler(Predictor):
    """An adapter that can also train several networks at once."""

    @abstractmethod
    def train_ensemble(self, members: Sequence[Job]) -> Sequence[Trained]:
        """Train one network per job on all n_threads processors, check_epochs epochs each."""
