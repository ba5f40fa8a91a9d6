"""Seconds per epoch of one dense network on every device, and on fastmlp's engine.

The article's experiment (GPU article of 2019: 784-512-10, rmsprop, batch 30000, 5 epochs) with
corrections: every run starts with the same fresh weights, a warm-up is not timed, and several
batch sizes are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._checks import check_integer
from fastmlp.cnn.arrays import Images, check_images, check_targets
from fastmlp.cnn.backend import import_tensorflow
from fastmlp.cnn.bridge import dense_tail
from fastmlp.cnn.config import CNNConfig
from fastmlp.cnn.device import devices
from fastmlp.cnn.layers import DenseLayer
from fastmlp.cnn.network import CNN
from fastmlp.optimizers import RMSprop
from fastmlp.plots.style import BLUE, GREEN, ORANGE, VERMILLION, FigureSize, styled_pyplot
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES = (500, 3000, 30_000)
ENGINE = "fastmlp"
COLORS = {"cpu": (ORANGE, "s"), "gpu": (VERMILLION, "^"), ENGINE: (BLUE, "o")}


@dataclass(frozen=True)
class DeviceTiming:
    """One contender with one batch size.

    Attributes
    ----------
    contender : str
        "Keras, cpu:0" and so on, or "fastmlp".
    batch_size : int
    epoch_seconds : tuple of float
        Wall time of every epoch's training, warm-up and evaluation not included.
    images : int
        Per epoch.
    accuracy : float
        On the test images after the last epoch.
    """

    contender: str
    batch_size: int
    epoch_seconds: tuple[float, ...]
    images: int
    accuracy: float

    @property
    def total_seconds(self) -> float:
        """Value over all epochs."""
        return sum(self.epoch_seconds)

    @property
    def images_per_second(self) -> float:
        """Value over all epochs."""
        return self.images * len(self.epoch_seconds) / self.total_seconds


def dense_config(image_shape: tuple[int, int, int], n_classes: int = 10) -> CNNConfig:
    """pixels-512-classes, relu and softmax, rmsprop: 407,050 parameters for 28 x 28 and 10."""
    return CNNConfig(
        conv=(),
        pools=(),
        dense=(DenseLayer(512), DenseLayer(n_classes, "softmax")),
        input_shape=image_shape,
    )


def compare_devices(
    X: ArrayLike,
    y: ArrayLike,
    test_data: tuple[ArrayLike, ArrayLike],
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    epochs: int = 5,
    names: Sequence[str] | None = None,
    xla: bool = False,
    seed: int = 0,
    n_threads: int | None = None,
) -> list[DeviceTiming]:
    """Time the network on every device and on the engine.

    Parameters
    ----------
    X : array-like of shape (n, height, width, channels)
    y : array-like of shape (n,)
    test_data : (X, y)
        For the accuracy.
    batch_sizes : sequence of int >= 1
    epochs : int >= 1
    names : sequence of str or None
        Devices; None means all that TensorFlow sees.
    xla : bool
        Compile Keras' training step.
    seed : int
        Of the initial weights, which are the same for all.
    n_threads : int or None
        Of the engine; see :class:`fastmlp.Trainer`. Those of Keras are set by
        :func:`fastmlp.cnn.configure`, before the first computation.
    """
    check_integer("epochs", epochs, minimum=1)
    sizes = [check_integer("batch_sizes", size, minimum=1) for size in batch_sizes]
    shape = np.asarray(X).shape[1:]
    shape = (*shape, 1) if len(shape) == 2 else shape
    config = dense_config(shape, int(np.max(y)) + 1)
    x, targets = _checked(config, X, y, "X", "y")
    test = _checked(config, *test_data, "test X", "test y")
    device_names = [device.name for device in devices()] if names is None else list(names)
    cnns = [
        (f"Keras, {name}", CNN(config, seed=seed, device=name, xla=xla)) for name in device_names
    ]
    result = []
    for size in sizes:
        for name, cnn in cnns:
            result.append(_time_keras(name, cnn, x, targets, test, size, epochs))
        result.append(_time_engine(cnns[0][1], x, targets, test, size, epochs, n_threads))
    return result


def ratios(timings: Sequence[DeviceTiming]) -> dict[int, dict[str, float]]:
    """Return, by batch size, every contender's images per second relative to the first one's.

    The first is Keras on the processor, unless `compare_devices` was given other names.
    """
    result: dict[int, dict[str, float]] = {}
    for size in dict.fromkeys(timing.batch_size for timing in timings):
        row = [timing for timing in timings if timing.batch_size == size]
        base = row[0].images_per_second
        result[size] = {timing.contender: timing.images_per_second / base for timing in row}
    return result


def plot_devices(timings: Sequence[DeviceTiming], *, figsize: FigureSize = (11, 6)) -> Figure:
    """Images per second by batch size, one curve per contender."""
    if not timings:
        raise ValueError("nothing to plot: nothing was timed")
    with styled_pyplot(figsize) as plt:
        figure, axis = plt.subplots()
        for name in dict.fromkeys(timing.contender for timing in timings):
            row = sorted((t for t in timings if t.contender == name), key=lambda t: t.batch_size)
            device = ENGINE if name == ENGINE else name.split(", ")[-1].split(":")[0]
            color, marker = COLORS.get(device, (GREEN, "D"))
            axis.plot(
                [t.batch_size for t in row],
                [t.images_per_second for t in row],
                color=color,
                marker=marker,
                label=name,
            )
        axis.set_xscale("log")
        sizes = sorted({timing.batch_size for timing in timings})
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set_xticks([], minor=True)
        axis.set_ylim(bottom=0, top=1.25 * max(t.images_per_second for t in timings))
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.set_xlabel("batch size (images)")
        axis.set_ylabel("images per second of training")
        axis.legend(loc="upper left")
        best = max(timings, key=lambda t: t.images_per_second)
        factor = ratios(timings)[best.batch_size][best.contender]
        title = f"Fastest: {best.contender}, {best.images_per_second:,.0f} images/s"
        if factor != 1:
            title += f",\n{factor:.1f} times {timings[0].contender} at batch {best.batch_size}"
        axis.set_title(title)
    return figure  # type: ignore[no-any-return]


def _checked(
    config: CNNConfig, X: ArrayLike, y: ArrayLike, x_name: str, y_name: str
) -> tuple[Images, Images]:
    x = check_images(x_name, X, config.input_shape)
    return x, check_targets(y_name, y, config.n_classes, len(x))


def _time_keras(
    name: str,
    cnn: CNN,
    x: Images,
    targets: Images,
    test: tuple[Images, Images],
    size: int,
    epochs: int,
) -> DeviceTiming:
    """Warm-up with the same shapes of batches, fresh weights, then the timed epochs.

    Keras' own fit with a clock: what a History records of every batch would cost time.
    """
    from fastmlp.cnn.recorder import EpochClock

    size = min(size, len(x))
    for n_epochs in (1, epochs):  # the first one is the warm-up
        cnn.reset()
        clock = EpochClock()
        with import_tensorflow().device(cnn.device):
            cnn.model.fit(
                x, targets, batch_size=size, epochs=n_epochs, callbacks=[clock], verbose=0
            )
    return DeviceTiming(name, size, tuple(clock.seconds), len(x), cnn.evaluate(*test).accuracy)


def _time_engine(
    cnn: CNN,
    x: Images,
    targets: Images,
    test: tuple[Images, Images],
    size: int,
    epochs: int,
    n_threads: int | None,
) -> DeviceTiming:
    """The same network, initial weights and optimizer on fastmlp's engine.

    Keras adds epsilon under the root, fastmlp beside it: the costs agree, but not to all digits.
    """
    size = min(size, len(x))
    cnn.reset()
    flat, flat_test = x.reshape(len(x), -1), test[0].reshape(len(test[0]), -1)
    for n_epochs in (1, epochs):  # the first one is the warm-up
        network = dense_tail(cnn)
        trainer = Trainer(
            network,
            optimizer=RMSprop(rho=0.9, epsilon=1e-7),
            learning_rate=cnn.config.learning_rate,
            reduction="mean",
            batch_size=size,
            random_state=cnn.seed,
            n_threads=n_threads,
        )
        history = trainer.fit(flat, targets, n_epochs=n_epochs)
    accuracy = trainer.evaluate(flat_test, test[1]).accuracy
    return DeviceTiming(ENGINE, size, tuple(history["epoch_seconds"].tolist()), len(x), accuracy)
