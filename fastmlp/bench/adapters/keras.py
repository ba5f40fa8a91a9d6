"""Keras on TensorFlow through `fit`, graph mode (variant "graph") or with XLA ("xla").

This is Keras as its guide teaches it: arrays handed to `fit`, no metrics, no callbacks but the
stopwatch. Its binary cross-entropy averages over the outputs before it sums over the batch, so the
rate is the job's times the number of outputs. Predictions call the network inside a `tf.function`,
because `Model.predict` is made for large arrays and takes tens of milliseconds for one row.
"""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from fastmlp._types import Array
from fastmlp.bench.adapters.contract import Predictor
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import choose, initial_weights, share_correct

ACTIVATIONS = {"sigmoid": "sigmoid", "relu": "relu"}
OUTPUTS = {"sigmoid": tf.sigmoid, "softmax": tf.nn.softmax}
OPTIMIZERS: dict[str, Any] = {
    "sgd": keras.optimizers.SGD,
    "adam": lambda **rate: keras.optimizers.Adam(**rate, epsilon=1e-8),
}
JIT_COMPILE = {"graph": False, "xla": True}


def _log_loss() -> Any:
    return keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum")


def _cross_entropy() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


COSTS = {
    ("sigmoid", "log_loss", "sum"): (_log_loss, False),
    ("softmax", "cross_entropy", "mean"): (_cross_entropy, True),
}
"""Loss, and whether it takes class numbers in place of 0/1 columns."""


class Contestant(Predictor):
    """A Sequential of Dense layers; the cost contains the output function."""

    def versions(self) -> dict[str, str]:
        """Keras and the backend that computes."""
        return {"keras": keras.__version__, "tensorflow": tf.__version__}

    def prepare(self, job: Job) -> None:
        """A compiled model with the common starting weights."""
        tf.config.threading.set_intra_op_parallelism_threads(self.n_threads)
        tf.config.threading.set_inter_op_parallelism_threads(self.n_threads)
        keras.utils.set_random_seed(job.seed)
        keras.config.set_floatx(job.dtype)
        self._batch_size = job.batch_size
        activation = choose(ACTIVATIONS, job.hidden, "activation")
        self._model = keras.Sequential(
            [keras.Input((job.sizes[0],))]
            + [keras.layers.Dense(n, activation=activation) for n in job.sizes[1:-1]]
            + [keras.layers.Dense(job.sizes[-1])]
        )
        self._model.set_weights([array for layer in initial_weights(job) for array in layer])
        self._compile(job)
        output = choose(OUTPUTS, job.output, "output function")
        self._outputs = tf.function(
            lambda x: output(self._model(x, training=False)),
            jit_compile=choose(JIT_COMPILE, self.variant, "way"),
            reduce_retracing=True,
        )

    def _compile(self, job: Job) -> None:
        """Set cost and optimizer, with the learning rate for the way the cost is averaged."""
        loss, takes_labels = choose(COSTS, job.cost, "cost")
        self._y = self.data.y_train.argmax(axis=1) if takes_labels else self.data.y_train
        optimizer = choose(OPTIMIZERS, job.optimizer, "optimizer")
        rate = job.learning_rate * (1 if takes_labels else job.sizes[-1])
        self._model.compile(
            optimizer=optimizer(learning_rate=rate),
            loss=loss(),
            jit_compile=choose(JIT_COMPILE, self.variant, "way"),
        )

    def train_epochs(self, n: int) -> list[float]:
        """One call of `fit`, timed from the beginning to the end of each epoch."""
        starts: list[float] = []
        ends: list[float] = []
        watch = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: starts.append(perf_counter()),
            on_epoch_end=lambda epoch, logs: ends.append(perf_counter()),
        )
        self._model.fit(
            self.data.x_train,
            self._y,
            batch_size=self._batch_size,
            epochs=n,
            shuffle=True,
            verbose=0,
            callbacks=[watch],
        )
        return [end - start for start, end in zip(starts, ends, strict=True)]

    def accuracy(self) -> float:
        """Compute the accuracy from the logits, which have the order of the outputs."""
        outputs = self._model.predict(self.data.x_test, batch_size=10_000, verbose=0)
        return share_correct(outputs, self.data.labels_test)

    def predict(self, x: Array) -> Array:
        """One call of the traced function."""
        return np.asarray(self._outputs(tf.convert_to_tensor(x)).numpy())
