"""TensorFlow under Keras: devices, settings, batches, and gradients with respect to images."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fastmlp.cnn.backends.protocol import Gradient, Images, Order

TITLE = "TensorFlow"
FOR_CARDS = 'pip uninstall tensorflow-cpu; pip install "fastmlp[cnn-gpu]"'
TAKES_STEPS = True
LEAST_CAPABILITY = (6, 0)
"""Compute capability of the oldest cards that today's builds serve."""

WORDS = ("gpu", "cuda", "cudnn", "cublas", "driver", "dlopen", "dynamic library")
"""A line of TensorFlow's log with one of them says something about graphics cards."""

LOOK = "import tensorflow; tensorflow.config.list_physical_devices('GPU')"
SECONDS_TO_LOOK = 120
PREFETCHED_ROWS = 64
"""Batches whose numbers wait for a card; they are small."""


def version() -> str:
    """Version of TensorFlow."""
    return str(tf.__version__)


def cards() -> list[str]:
    """Names of the graphics cards that TensorFlow can use."""
    details = tf.config.experimental.get_device_details
    return [
        str((details(card) or {}).get("device_name", ""))
        for card in tf.config.list_physical_devices("GPU")
    ]


def is_built_for_cards() -> bool:
    """Whether this build can use NVIDIA's cards; tensorflow-cpu cannot."""
    return bool(tf.test.is_built_with_cuda())


def words_about_cards() -> str:
    """What TensorFlow logs about cards when it looks for them.

    The names of missing libraries are on its lowest level, which can only be chosen before
    TensorFlow is loaded: a second process looks, which takes seconds.
    """
    try:
        found = subprocess.run(
            [sys.executable, "-c", LOOK],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_TO_LOOK,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be asked: {error}"
    lines = (line.rpartition("] ")[2].strip() for line in found.stderr.splitlines())
    return "\n".join(line for line in lines if any(word in line.lower() for word in WORDS))


def placed(device: str) -> Any:
    """Compute on "cpu:0" or "gpu:1" within this context."""
    return tf.device(f"/{device.upper()}")


def current_device() -> str:
    """The device on which TensorFlow computes at this point, also within ``tf.device``."""
    return str(tf.zeros(()).device.rpartition("device:")[2].lower())


def threads() -> tuple[int, int]:
    """Threads within an operation, and operations at a time; 0 for TensorFlow's choice."""
    settings = tf.config.threading
    return (
        settings.get_intra_op_parallelism_threads(),
        settings.get_inter_op_parallelism_threads(),
    )


def set_threads(within: int | None, between: int | None) -> None:
    """Set them; TensorFlow raises RuntimeError when it has begun to compute."""
    if within is not None:
        tf.config.threading.set_intra_op_parallelism_threads(within)
    if between is not None:
        tf.config.threading.set_inter_op_parallelism_threads(between)


def set_growth(flag: bool) -> None:
    """Take memory as it is needed; TensorFlow does not do so for a card with a limit."""
    for card in tf.config.list_physical_devices("GPU"):
        limits = tf.config.get_logical_device_configuration(card)
        if flag and limits:
            raise ValueError(
                "memory_growth and a memory limit exclude each other in TensorFlow; an earlier "
                f"call of configure has set a limit of {limits[0].memory_limit:g} MiB"
            )
        if not limits:
            tf.config.experimental.set_memory_growth(card, flag)


def set_memory_limits(limits_mib: list[int], share: float | None) -> None:
    """Take at most this many MiB of each card."""
    found = tf.config.list_physical_devices("GPU")
    for card, limit in zip(found, limits_mib, strict=True):
        if tf.config.experimental.get_memory_growth(card):
            raise ValueError(
                "memory_growth and a memory limit exclude each other in TensorFlow; an earlier "
                "call of configure has set memory_growth"
            )
        part = tf.config.LogicalDeviceConfiguration(memory_limit=limit)
        tf.config.set_logical_device_configuration(card, [part])


def set_tf32(flag: bool | None) -> None:
    """Whether cards may round the factors of float32 products to 10 bits; by default they may."""
    tf.config.experimental.enable_tensor_float_32_execution(flag is not False)


def set_deterministic(flag: bool) -> None:
    """Only deterministic operations; TensorFlow has no way back."""
    if flag:
        tf.config.experimental.enable_op_determinism()
    elif tf.config.experimental.is_op_determinism_enabled():  # pragma: no cover
        raise RuntimeError("determinism cannot be switched off again in TensorFlow")


def log_placement(flag: bool) -> None:
    """Whether to print the device of every operation."""
    tf.debugging.set_log_device_placement(flag)


def to_numpy(tensor: Any) -> NDArray[Any]:
    """A tensor, or a variable of Keras, as a NumPy array; also a number of a user's function."""
    return np.asarray(tensor.numpy() if hasattr(tensor, "numpy") else tensor)


def synchronize(model: Any) -> None:
    """Do nothing: TensorFlow's steps write into the variables."""


@contextmanager
def feeding(
    model: Any, data: tuple[Images, Images], order: Order, batch_size: int, on_card: bool
) -> Iterator[Any]:
    """Batches as a ``tf.data.Dataset``, gathered by the processor or, on a card, in each step."""
    if not on_card:
        with tf.device("/CPU:0"):
            x, y = tf.constant(data[0]), tf.constant(data[1])
            rows = _rows(order, len(data[0]), batch_size)
            batches = rows.map(lambda i: (tf.gather(x, i), tf.gather(y, i))).prefetch(2)
        yield batches
        return
    step = model.train_step
    if not isinstance(step, CardStep):
        step = model.train_step = CardStep(step, data)
        model.train_function = None  # it would be that of another step
    step.load(data)
    try:
        with tf.device("/CPU:0"):
            rows = _rows(order, len(data[0]), batch_size).prefetch(PREFETCHED_ROWS)
        yield rows
    finally:
        step.load((data[0][:0], data[1][:0]))


class CardStep:
    """Keras' training step, which also takes the numbers of images that lie on the device.

    Parameters
    ----------
    step : callable
        Of images and targets.
    data : images (n, ...) and targets (n, ...)
        Their shapes and types are kept, but for the number of rows.
    """

    def __init__(self, step: Any, data: tuple[Images, Images]) -> None:
        self._step = step
        self._data = [
            tf.Variable(part[:0], shape=(None, *part.shape[1:]), trainable=False) for part in data
        ]

    def load(self, data: tuple[Images, Images]) -> None:
        """Put other images and targets on the device."""
        for variable, part in zip(self._data, data, strict=True):
            variable.assign(part)

    def __call__(self, data: Any) -> Any:
        """Train with a batch, or with the images that have these numbers."""
        if isinstance(data, tf.Tensor):
            data = tuple(tf.gather(part, data) for part in self._data)
        return self._step(data)


def _rows(order: Order, n_images: int, batch_size: int) -> Any:
    """The numbers of the images of every batch, as a dataset."""
    numbers = tf.TensorSpec((n_images,), tf.int64)
    orders = tf.data.Dataset.from_generator(lambda: iter([order()]), output_signature=numbers)
    rows = orders.flat_map(lambda all: tf.data.Dataset.from_tensor_slices(all).batch(batch_size))
    return rows.apply(tf.data.experimental.assert_cardinality(-(-n_images // batch_size)))


def gradient_function(model: Any, shape: tuple[int, int, int]) -> Gradient:
    """Mean activations of maps and their gradients, compiled once for all numbers of images."""
    signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int64)]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def compute(x: Any, maps: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            means = tf.reduce_mean(tf.cast(model(x, training=False), tf.float32), axis=(1, 2))
            loss = tf.gather(means, maps, batch_dims=1)
        return loss, tape.gradient(loss, x)

    def gradient_of(x: Images, maps: NDArray[np.intp]) -> tuple[NDArray[np.float64], Images]:
        loss, gradient = compute(tf.constant(x), tf.constant(maps, tf.int64))
        return loss.numpy().astype(np.float64), gradient.numpy()

    return gradient_of
