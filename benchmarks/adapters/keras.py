"""Keras on TensorFlow through `fit`, graph mode (variant "graph") or with XLA ("xla").

This is Keras as its guide teaches it: arrays handed to `fit`, no metrics, no callbacks but the
stopwatch. Its binary cross-entropy averages over the outputs before it sums over the batch, so the
rate is the job's times the number of outputs.
"""

from __future__ import annotations

import os
from time import perf_counter

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from . import Adapter, Job
from ._shared import choose, initial_weights, share_correct

ACTIVATIONS = {"sigmoid": "sigmoid"}
LOSSES = {("sigmoid", "log_loss"): keras.losses.BinaryCrossentropy}
OPTIMISERS = {"sgd": keras.optimizers.SGD}
JIT_COMPILE = {"graph": False, "xla": True}


class _Stopwatch(keras.callbacks.Callback):
    """Collects the seconds of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.seconds.append(perf_counter() - self._start)


class Contestant(Adapter):
    """A Sequential of Dense layers; the cost contains the output function."""

    def versions(self) -> dict[str, str]:
        return {"keras": keras.__version__, "tensorflow": tf.__version__}

    def prepare(self, job: Job) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(self.n_threads)
        tf.config.threading.set_inter_op_parallelism_threads(self.n_threads)
        keras.utils.set_random_seed(job.seed)
        self._batch_size = job.batch_size
        activation = choose(ACTIVATIONS, job.hidden, "activation")
        self._model = keras.Sequential(
            [keras.Input((job.sizes[0],))]
            + [keras.layers.Dense(n, activation=activation) for n in job.sizes[1:-1]]
            + [keras.layers.Dense(job.sizes[-1])]
        )
        self._model.set_weights([array for layer in initial_weights(job) for array in layer])
        loss = choose(LOSSES, (job.output, job.loss), "output and loss")
        optimiser = choose(OPTIMISERS, job.optimiser, "optimiser")
        self._model.compile(
            optimizer=optimiser(learning_rate=job.learning_rate * job.sizes[-1]),
            loss=loss(from_logits=True, reduction="sum"),
            jit_compile=choose(JIT_COMPILE, self.variant, "way"),
        )

    def train_epochs(self, n: int) -> list[float]:
        watch = _Stopwatch()
        self._model.fit(
            self.data.x_train,
            self.data.y_train,
            batch_size=self._batch_size,
            epochs=n,
            shuffle=True,
            verbose=0,
            callbacks=[watch],
        )
        return watch.seconds

    def accuracy(self) -> float:
        outputs = self._model.predict(self.data.x_test, batch_size=10_000, verbose=0)
        return share_correct(outputs, self.data.labels_test)
