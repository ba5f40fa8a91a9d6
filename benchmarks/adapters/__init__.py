"""The contract between the benchmark and the libraries it times.

Every file of this package wraps one library in a final class named `Contestant`, derived from
`Adapter`, with four methods:

- `prepare(job)` limits the library to `n_threads`, builds the network and the optimiser, and brings
  the data into the library's own form. It is called first, once, and is not timed.
- `versions()` names the library's versions and build settings.
- `train_epochs(n)` trains on, from wherever training stands, and returns the seconds of each
  epoch. Compilation happens in the first epochs, which the caller throws away.
- `accuracy()` is the share of test rows recognised, or None where nothing is learned.

A `Job` says what to train and a `Data` holds what to train on. Learning rates follow one
convention for all libraries: costs and gradients are *sums* over the rows of a batch and over the
outputs, so an adapter of a library that averages has to convert. Whatever a job asks for and a
library's tables do not name is refused by `_shared.choose` with a sentence. To add a job, extend
those tables; to add a library, add a file here and a line in `contenders.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Data(NamedTuple):
    """Scaled training and test rows.

    x_train: (n, n_in) float32.  y_train: (n, n_out) float32, one-hot.
    x_test: (m, n_in) float32.  labels_test: (m,) integers in 0..n_out-1.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    labels_test: np.ndarray

    @property
    def n_bytes(self) -> int:
        """Size of all four arrays in bytes."""
        return sum(array.nbytes for array in self)


@dataclass(frozen=True)
class Job:
    """One network, one cost and one way to train it.

    learning_rate: for gradients summed over batch and outputs.
    n_rows: training rows, in the order of the file.
    check_epochs: epochs after which the accuracy of all contenders is compared, at least 3.
    seed: of the starting weights and of the shuffling.
    """

    name: str
    sizes: tuple[int, ...]
    hidden: str
    output: str
    loss: str
    optimiser: str
    learning_rate: float
    batch_size: int
    n_rows: int
    check_epochs: int
    seed: int = 0

    @property
    def mean_rate(self) -> float:
        """Learning rate for gradients averaged over the rows of a full batch."""
        return self.learning_rate * min(self.batch_size, self.n_rows)

    @property
    def flop_per_epoch(self) -> float:
        """Floating-point operations of the matrix products of one epoch.

        Forward and weight gradient cost 2·n_in·n_out per row and layer; the delta handed down
        costs the same once more, except in the first layer, which needs none.
        """
        products = [n_in * n_out for n_in, n_out in pairwise(self.sizes)]
        return 2.0 * self.n_rows * (3 * sum(products) - products[0])


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
        """Build everything `train_epochs` needs; not timed."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Names and versions of the libraries at work, and how they were built."""

    @abstractmethod
    def train_epochs(self, n: int) -> list[float]:
        """Train n more epochs, shuffled anew each time; return the seconds of each."""

    @abstractmethod
    def accuracy(self) -> float | None:
        """Share of the test rows recognised, in [0, 1]; None where nothing is learned."""
