"""The contract between the benchmark and the libraries it times.

Every file of this package wraps one library in a final class named `Contestant`, derived from one
of these abstract classes: `Learner` trains, `Predictor` also predicts, `Ensembler` also trains
several networks at once; `Fitter` does nothing but fit an estimator. The methods:

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

A `Job` says what to do and a `Data` holds what to do it on. Learning rates are for gradients that
are sums or means over the rows of a batch, as `Job.reduction` says, and always sums over the
outputs; an adapter of a library with other conventions converts. Whatever a job asks for and a
library's tables do not name is refused by `_shared.choose` with a sentence. To add a job, extend
those tables; to add a library, add a file here and a line in `contenders.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class Data(NamedTuple):
    """Scaled training and test rows.

    x_train: (n, n_in) float32.  y_train: (n, n_classes) float32, one-hot; numbers (n, 1) for a
    regression.
    x_test: (m, n_in) float32.  labels_test: (m,) integers in 0..n_classes-1, or numbers.
    source: "mnist", "digits", or "random" for rows drawn from a fixed seed.
    """

    x_train: Array
    y_train: Array
    x_test: Array
    labels_test: Array
    source: str

    @property
    def n_bytes(self) -> int:
        """Size of all four arrays in bytes."""
        return sum(array.nbytes for array in self[:4])


@dataclass(frozen=True)
class Job:
    """One network and what to do with it.

    kind: "train" is timed in seconds per epoch, "predict" in seconds per call with n_rows rows,
    "ensemble" in seconds for n_models networks of different seeds, check_epochs epochs each,
    "estimator" in seconds per fit of MLPClassifier, or for squared_error MLPRegressor, with all
    parameters at their defaults but max_iter and random_state; every round has its own seed.
    data: "mnist", "digits", or "random" for rows drawn from a fixed seed.
    optimizer: "sgd" without momentum, or "adam" with decays 0.9 and 0.999 and epsilon 1e-8.
    reduction: "sum" or "mean" over the rows of a batch; what learning_rate is for.
    n_rows: training rows, in the order of the file; rows per call for predictions.
    check_epochs: epochs after which the accuracy of all contenders is compared, at least 3; most
    epochs of an estimator, which may stop earlier.
    seed: of the starting weights and of the shuffling.
    dtype: of the rows, "float32" or for estimators also "float64".
    """

    name: str
    sizes: tuple[int, ...]
    hidden: str
    output: str
    loss: str
    optimizer: str
    learning_rate: float
    batch_size: int
    n_rows: int
    check_epochs: int
    seed: int = 0
    kind: str = "train"
    data: str = "mnist"
    reduction: str = "sum"
    n_models: int = 1
    dtype: str = "float32"

    @property
    def cost(self) -> tuple[str, str, str]:
        """Output function, loss and reduction: what the adapters' tables of losses are keyed by."""
        return self.output, self.loss, self.reduction

    @property
    def mean_rate(self) -> float:
        """Learning rate for gradients averaged over the rows of a full batch."""
        if self.reduction == "mean":
            return self.learning_rate
        return self.learning_rate * min(self.batch_size, self.n_rows)

    @property
    def flop(self) -> float:
        """Floating-point operations of the products of what is timed; of an epoch of an estimator.

        Forward and weight gradient cost 2·n_in·n_out per row and layer; the delta handed down
        costs the same once more, except in the first layer, which needs none.
        """
        products = [n_in * n_out for n_in, n_out in pairwise(self.sizes)]
        if self.kind == "predict":
            return 2.0 * self.n_rows * sum(products)
        per_epoch = 2.0 * self.n_rows * (3 * sum(products) - products[0])
        return per_epoch * (self.n_models * self.check_epochs if self.kind == "ensemble" else 1)

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers."""
        return self.loss == "squared_error"

    def members(self) -> list[Job]:
        """The jobs of an ensemble: the same network from n_models seeds."""
        return [replace(self, seed=self.seed + k) for k in range(self.n_models)]


class Trained(Protocol):
    """A network that has been trained."""

    def accuracy(self) -> float | None:
        """Share of the test rows recognized, in [0, 1]; None where nothing is learned."""


class Adapter(ABC):
    """What the benchmark asks of a library; see the text at the top of this file.

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
        """Outputs (n, n_out) for x (n, n_in) float32, both NumPy arrays."""


class Ensembler(Predictor):
    """An adapter that can also train several networks at once."""

    @abstractmethod
    def train_ensemble(self, members: Sequence[Job]) -> Sequence[Trained]:
        """Train one network per job on all n_threads processors, check_epochs epochs each."""
