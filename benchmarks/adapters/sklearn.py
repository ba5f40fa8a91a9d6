"""scikit-learn's MLPClassifier on a matrix of 0/1 columns.

With ten 0/1 columns as targets it takes the job for a multilabel one: sigmoid outputs and the sum
of ten binary cross-entropies, averaged over the rows of a batch. So the rate is the job's times
the batch size; in a short last batch the average is over fewer rows, and its step is larger than
with sums. Early stopping is out of reach: any number of epochs without improvement is allowed.

Epochs are taken apart by time stamps in `loss_curve_`, the public list to which scikit-learn
appends once per epoch; the first epoch of a call contains the checks of the arguments.
"""

from __future__ import annotations

import warnings
from itertools import pairwise
from time import perf_counter

import numpy as np
import scipy
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from . import Adapter, Job
from ._shared import choose, initial_weights, share_correct

ACTIVATIONS = {"sigmoid": "logistic"}
TARGET_DTYPES = {("sigmoid", "log_loss"): np.int8}
OPTIMISERS = {"sgd": {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False}}
ROWS_TO_BUILD = 20


class _StampedList(list):
    """A list that remembers when each value was appended, in seconds of `perf_counter`."""

    def __init__(self) -> None:
        super().__init__()
        self.stamps: list[float] = []

    def append(self, value: float) -> None:
        super().append(value)
        self.stamps.append(perf_counter())


class Contestant(Adapter):
    """MLPClassifier with warm start: every call of `fit` goes on where the last one ended."""

    def versions(self) -> dict[str, str]:
        return {
            "sklearn": sklearn.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        }

    def prepare(self, job: Job) -> None:
        dtype = choose(TARGET_DTYPES, (job.output, job.loss), "output and loss")
        self._y = self.data.y_train.astype(dtype)
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
            **choose(OPTIMISERS, job.optimiser, "optimiser"),
        )
        self._build()
        for k, (weights, bias) in enumerate(initial_weights(job)):
            self._model.coefs_[k][:] = weights
            self._model.intercepts_[k][:] = bias

    def _build(self) -> None:
        """Let a fit on a few rows allocate everything; its result is overwritten."""
        self._fit(self.data.x_train[:ROWS_TO_BUILD], self._y[:ROWS_TO_BUILD], 1)

    def train_epochs(self, n: int) -> list[float]:
        curve = _StampedList()
        self._model.loss_curve_ = curve
        start = perf_counter()
        self._fit(self.data.x_train, self._y, n)
        return [later - earlier for earlier, later in pairwise([start, *curve.stamps])]

    def _fit(self, x: np.ndarray, y: np.ndarray, n: int) -> None:
        """n epochs on x (rows, n_in) and y (rows, n_out) of 0 and 1."""
        self._model.set_params(max_iter=n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="Got `batch_size`")
            self._model.fit(x, y)

    def accuracy(self) -> float:
        return share_correct(self._model.predict_proba(self.data.x_test), self.data.labels_test)
