"""fastmlp, compiled (variant "native") or its readable NumPy twin (variant "numpy").

fastmlp sums costs and gradients as the jobs do, so the rate is passed on unchanged. Seconds are
those of its own History; the benchmark also takes the time of the whole call and reports what the
History leaves out.
"""

from __future__ import annotations

import numpy as np
import scipy

import fastmlp

from . import Adapter, Job
from ._shared import choose, initial_weights, share_correct

ACTIVATIONS = {"sigmoid": "sigmoid"}
LOSSES = {("sigmoid", "log_loss"): "log_loss"}
MOMENTUM = {"sgd": 0.0}


class Contestant(Adapter):
    """fastmlp.Trainer over a fastmlp.Network."""

    def versions(self) -> dict[str, str]:
        return {
            "fastmlp": fastmlp.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        }

    def prepare(self, job: Job) -> None:
        self._network = fastmlp.Network(
            job.sizes,
            activation=choose(ACTIVATIONS, job.hidden, "activation"),
            output=job.output,
            dtype="float32",
            random_state=job.seed,
        )
        self._network.set_weights(
            [np.column_stack([bias, weights.T]) for weights, bias in initial_weights(job)]
        )
        self._trainer = fastmlp.Trainer(
            self._network,
            loss=choose(LOSSES, (job.output, job.loss), "output and loss"),
            learning_rate=job.learning_rate,
            schedule="constant",
            momentum=choose(MOMENTUM, job.optimiser, "optimiser"),
            l2=0.0,
            batch_size=job.batch_size,
            shuffle=True,
            n_threads=self.n_threads,
            random_state=job.seed,
            engine=self.variant,
        )

    def train_epochs(self, n: int) -> list[float]:
        history = self._trainer.fit(self.data.x_train, self.data.y_train, n_epochs=n)
        return [float(seconds) for seconds in history["epoch_seconds"]]

    def accuracy(self) -> float:
        return share_correct(self._network.predict(self.data.x_test), self.data.labels_test)
