"""scikit-learn's MLPClassifier, on class labels or on a matrix of 0/1 columns.

With labels of three or more classes it computes softmax and the mean cross-entropy. With ten 0/1
columns as targets it takes the job for a multilabel one: sigmoid outputs and the sum of ten binary
cross-entropies, averaged over the rows of a batch. So the rate of a job with sums is multiplied by
the batch size; in a short last batch the average is over fewer rows, and its step is larger than
with sums. Early stopping is out of reach: any number of epochs without improvement is allowed.

Epochs are taken apart by time stamps in `loss_curve_`, the public list to which scikit-learn
appends once per epoch; the first epoch of a call contains the checks of the arguments. An ensemble
is trained by joblib's processes with one BLAS thread each, as scikit-learn's guide advises.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter
from typing import Any

import joblib
import numpy as np
import scipy
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from fastmlp._types import Array
from fastmlp.bench.adapters.contract import Ensembler
from fastmlp.bench.adapters.job import Data, Job
from fastmlp.bench.adapters.shared import choose, initial_weights, share_correct

ACTIVATIONS = {"sigmoid": "logistic", "relu": "relu"}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False},
    "adam": {"solver": "adam"},
}
ROWS_TO_BUILD = 20


def _columns(y: Array) -> Array:
    return y.astype(np.int8)


def _labels(y: Array) -> Array:
    return np.asarray(y.argmax(axis=1))


TARGETS = {
    ("sigmoid", "log_loss", "sum"): _columns,
    ("softmax", "cross_entropy", "mean"): _labels,
}


class _StampedList(list[float]):
    """List that records the time at which each value was appended, in `perf_counter` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.stamps: list[float] = []

    def append(self, value: float) -> None:
        """Append, and take the time."""
        super().append(value)
        self.stamps.append(perf_counter())


class Contestant(Ensembler):
    """MLPClassifier with warm start: every call of `fit` continues where the last one ended."""

    def versions(self) -> dict[str, str]:
        """Return the versions, including NumPy, which provides the BLAS."""
        return {
            "sklearn": sklearn.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        }

    def prepare(self, job: Job) -> None:
        """A classifier that has seen a few rows and got the common starting weights back."""
        self._y = choose(TARGETS, job.cost, "cost")(self.data.y_train)
        self._model = MLPClassifier(
            hidden_layer_sizes=job.sizes[1:-1],
            activation=choose(ACTIVATIONS, job.hidden, "activation"),
            alpha=0.0,
            batch_size=job.batch_size,
            learning_rate="constant",
            learning_rate_init=job.mean_rate,
            shuffle=True,
            random_state=np.random.RandomState(job.seed),
            tol=0.0,
            n_iter_no_change=np.inf,
            warm_start=True,
            **choose(OPTIMIZERS, job.optimizer, "optimizer"),
        )
        rows = self._rows_to_build()
        self._fit(self.data.x_train[rows], self._y[rows], 1)
        for k, (weights, bias) in enumerate(initial_weights(job)):
            self._model.coefs_[k][:] = weights
            self._model.intercepts_[k][:] = bias

    def _rows_to_build(self) -> Array:
        """A few rows that let a fit allocate everything; every class must be among them."""
        first_of_class = self.data.y_train.argmax(axis=0)
        return np.concatenate([first_of_class, np.arange(min(ROWS_TO_BUILD, len(self._y)))])

    def train_epochs(self, n: int) -> list[float]:
        """Train with one call of `fit`, which restarts Adam's averages."""
        curve = _StampedList()
        self._model.loss_curve_ = curve
        start = perf_counter()
        self._fit(self.data.x_train, self._y, n)
        return [later - earlier for earlier, later in pairwise([start, *curve.stamps])]

    def _fit(self, x: Array, y: Array, n: int) -> None:
        """n epochs on x (rows, n_in) and labels y (rows,) or columns of 0 and 1 (rows, n_out)."""
        self._model.set_params(max_iter=n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="Got `batch_size`")
            self._model.fit(x, y)

    def accuracy(self) -> float:
        """Compute the accuracy from the probabilities; labels are the column indices."""
        return share_correct(self._model.predict_proba(self.data.x_test), self.data.labels_test)

    def predict(self, x: Array) -> Array:
        """Probabilities: softmax or sigmoid outputs."""
        return np.asarray(self._model.predict_proba(x))

    def train_ensemble(self, members: Sequence[Job]) -> list[_Member]:
        """Train in processes, which return the trained networks pickled."""
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            models = joblib.Parallel(n_jobs=self.n_threads)(
                joblib.delayed(_train_member)(self.data, job) for job in members
            )
        return [_Member(model, self.data) for model in models]


class _Member:
    """A classifier that was trained in another process."""

    def __init__(self, model: Any, data: Data) -> None:
        self._model, self._data = model, data

    def accuracy(self) -> float:
        """Return the accuracy, as for a single classifier."""
        outputs = self._model.predict_proba(self._data.x_test)
        return share_correct(outputs, self._data.labels_test)


def _train_member(data: Data, job: Job) -> Any:
    """A classifier after check_epochs epochs; runs in a process of joblib's."""
    contestant = Contestant(data, 1, "")
    contestant.prepare(job)
    contestant.train_epochs(job.check_epochs)
    contestant._model.loss_curve_ = list(contestant._model.loss_curve_)
    return contestant._model
