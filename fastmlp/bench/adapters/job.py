"""Input of an adapter: a `Job` describes the task, and a `Data` contains the rows.

Learning rates are for gradients that are sums or means over the rows of a batch, as `Job.reduction`
says, and always sums over the outputs; an adapter of a library with other conventions converts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from numpy.typing import NDArray
from scipy.sparse import issparse

from fastmlp._types import Array


class Data(NamedTuple):
    """Scaled training and test rows.

    x_train: (n, n_in) in the job's dtype, or CSR of it.  y_train: (n, n_classes) of it, one-hot;
    numbers (n, 1) for a regression.
    x_test: (m, n_in), like x_train.  labels_test: (m,) integers in 0..n_classes-1, or numbers.
    source: "mnist", "digits", "random" for rows drawn from a fixed seed, or "sparse" for such rows
    with few values.
    """

    x_train: Any
    y_train: Array
    x_test: Any
    labels_test: NDArray[Any]
    source: str

    @property
    def n_bytes(self) -> int:
        """Size of all four arrays in bytes; of CSR its three."""
        rows = (self.x_train, self.x_test)
        parts = [(x.data, x.indices, x.indptr) if issparse(x) else (x,) for x in rows]
        return sum(a.nbytes for a in (*parts[0], *parts[1], self.y_train, self.labels_test))


@dataclass(frozen=True)
class Job:
    """One network and its task.

    kind: "train" is timed in seconds per epoch, "predict" in seconds per call with n_rows rows,
    "ensemble" in seconds for n_models networks of different seeds, check_epochs epochs each,
    "estimator" in seconds per fit of MLPClassifier, or for squared_error MLPRegressor, with all
    parameters at their defaults but max_iter and random_state; every round has its own seed.
    data: "mnist", "digits", "random" for rows drawn from a fixed seed, or "sparse" for such rows
    as CSR.
    optimizer: "sgd" without momentum, or "adam" with decays 0.9 and 0.999 and epsilon 1e-8.
    reduction: "sum" or "mean" over the rows of a batch; what learning_rate is for.
    n_rows: training rows, in the order of the file; rows per call for predictions.
    check_epochs: epochs after which the accuracy of all contenders is compared, at least 3; most
    epochs of an estimator, which may stop earlier.
    seed: of the starting weights and of the shuffling.
    dtype: of rows and network, "float32" or "float64".
    n_values: of a sparse row, which are stored; None for dense rows.
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
    n_values: int | None = None

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
        costs the same once more, except in the first layer, which needs none. Of sparse rows the
        stored values count.
        """
        sizes = (self.n_values or self.sizes[0], *self.sizes[1:])
        products = [n_in * n_out for n_in, n_out in pairwise(sizes)]
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
