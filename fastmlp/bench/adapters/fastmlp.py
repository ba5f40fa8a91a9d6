"""fastmlp, compiled (variant "native") or its readable NumPy twin (variant "numpy").

Seconds are those of its own History; the benchmark also takes the time of the whole call and
reports what the History leaves out. An ensemble is trained by Python threads, with one thread of
fastmlp each: an epoch runs without the GIL.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

import fastmlp
from fastmlp import reference
from fastmlp._types import Array
from fastmlp._version import __version__
from fastmlp.bench.adapters.contract import Ensembler
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import choose, initial_weights, on_threads, share_correct
from fastmlp.engine import _core

ACTIVATIONS = {"sigmoid": "sigmoid", "relu": "relu"}
LOSSES = {
    ("sigmoid", "log_loss", "sum"): "log_loss",
    ("softmax", "cross_entropy", "mean"): "cross_entropy",
}
OPTIMIZERS = {"sgd": "sgd", "adam": "adam"}


class Contestant(Ensembler):
    """fastmlp.Trainer over a fastmlp.Network."""

    def versions(self) -> dict[str, str]:
        """Return the version, including the SIMD level of the engine's kernels."""
        return {
            "fastmlp": __version__,
            "simd": _core.selected_level(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        }

    def prepare(self, job: Job) -> None:
        """Network with the common starting weights, and its trainer; nothing is copied."""
        self._network = fastmlp.Network(
            job.sizes,
            activation=choose(ACTIVATIONS, job.hidden, "activation"),
            output=job.output,
            dtype=job.dtype,
            random_state=job.seed,
        )
        self._network.set_weights(
            [np.column_stack([bias, weights.T]) for weights, bias in initial_weights(job)]
        )
        self._trainer = fastmlp.Trainer(
            self._network,
            loss=choose(LOSSES, job.cost, "cost"),
            optimizer=choose(OPTIMIZERS, job.optimizer, "optimizer"),
            learning_rate=job.learning_rate,
            reduction=job.reduction,
            batch_size=job.batch_size,
            shuffle=True,
            n_threads=self.n_threads,
            random_state=job.seed,
            engine=self.variant,
        )

    def train_epochs(self, n: int) -> list[float]:
        """Train with one call of `fit`, which restarts Adam's averages."""
        history = self._trainer.fit(self.data.x_train, self.data.y_train, n_epochs=n)
        return [float(seconds) for seconds in history["epoch_seconds"]]

    def accuracy(self) -> float:
        """Evaluate with the compiled engine for both variants."""
        return share_correct(self._network.predict(self.data.x_test), self.data.labels_test)

    def predict(self, x: Array) -> Array:
        """Predict with the network, or with the forward pass of the NumPy reference."""
        if self.variant == "native":
            return self._network.predict(x, n_threads=self.n_threads)
        rows = reference.input_layer(x, slice(None))
        return reference.forward(self._network.weights, rows, self._network.functions)[1][-1].T

    def train_ensemble(self, members: Sequence[Job]) -> list[Contestant]:
        """Train the networks on Python threads."""
        return on_threads(self._train_member, members, self.n_threads)

    def _train_member(self, job: Job) -> Contestant:
        member = Contestant(self.data, 1, self.variant)
        member.prepare(job)
        member.train_epochs(job.check_epochs)
        return member
