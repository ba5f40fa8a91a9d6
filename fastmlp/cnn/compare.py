"""Seconds per epoch of one dense network on every device, and on fastmlp's engine.

The article's experiment (GPU article of 2019: 784-512-10, rmsprop, batch 30000, 5 epochs) with
corrections: every run starts with the same fresh weights, a warm-up is not timed, and several
batch sizes are measured. A graphics card gets several mini-batches at a time from data in its own
memory, and is measured with every arithmetic that it has: float32, TF32, bfloat16 or float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._checks import check_integer
from fastmlp.cnn.arrays import Images, check_images, check_targets
from fastmlp.cnn.backend import library
from fastmlp.cnn.bridge import dense_tail
from fastmlp.cnn.config import CNNConfig
from fastmlp.cnn.device import Device, choose_device, devices
from fastmlp.cnn.layers import DenseLayer
from fastmlp.cnn.network import CNN
from fastmlp.optimizers import RMSprop
from fastmlp.plots.headline import headline
from fastmlp.plots.style import BLUE, GREEN, ORANGE, VERMILLION, FigureSize, styled_pyplot
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH_SIZES = (500, 3000, 30_000)
CARD_BATCH_SIZES = (100, 500, 3000, 10_000, 30_000)
"""Where a graphics card takes part, which small batches leave idle."""

STEPS_ON_CARD = 32
"""Mini-batches that a graphics card gets at a time."""

ENGINE = "fastmlp"
COLORS = {"cpu": (ORANGE, "s"), "gpu": (VERMILLION, "^"), ENGINE: (BLUE, "o")}
STYLES = {"TF32": "--", "bfloat16": ":", "float16": ":"}


@dataclass(frozen=True)
class DeviceTiming:
    """One contender with one batch size.

    Attributes
    ----------
    contender : str
        "Keras, cpu:0", "Keras, gpu:0, TF32" and so on, or "fastmlp".
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
    batch_sizes: Sequence[int] | None = None,
    epochs: int = 5,
    names: Sequence[str] | None = None,
    xla: bool | str = "auto",
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
    batch_sizes : sequence of int >= 1 or None
        None means BATCH_SIZES, or CARD_BATCH_SIZES where a graphics card takes part.
    epochs : int >= 1
    names : sequence of str or None
        Devices; None means all that the library under Keras sees.
    xla : bool or "auto"
        Compile Keras' training step, as in :class:`fastmlp.cnn.CNN`.
    seed : int
        Of the initial weights, which are the same for all.
    n_threads : int or None
        Of the engine; see :class:`fastmlp.Trainer`. Those of Keras are set by
        :func:`fastmlp.cnn.configure`, before the first computation.
    """
    check_integer("epochs", epochs, minimum=1)
    found = {device.name: device for device in devices()}
    chosen = list(found) if names is None else [choose_device(name) for name in names]
    if batch_sizes is None:
        has_card = any(found[name].type == "GPU" for name in chosen)
        batch_sizes = CARD_BATCH_SIZES if has_card else BATCH_SIZES
    sizes = [check_integer("batch_sizes", size, minimum=1) for size in batch_sizes]
    shape = np.asarray(X).shape[1:]
    shape = (*shape, 1) if len(shape) == 2 else shape
    config = dense_config(shape, int(np.max(y)) + 1)
    x, targets = _checked(config, X, y, "X", "y")
    test = _checked(config, *test_data, "test X", "test y")
    contenders = [
        _contender(config, found[name], arithmetic, seed=seed, xla=xla)
        for name in chosen
        for arithmetic in arithmetics(found[name])
    ]
    result = []
    for size in sizes:
        for contender in contenders:
            result.append(_time_keras(contender, x, targets, test, size, epochs))
        cnn = contenders[0].cnn
        result.append(_time_engine(cnn, x, targets, test, size, epochs, n_threads))
    return result


def arithmetics(device: Device) -> tuple[str, ...]:
    """What a device is measured with: of "float32", "TF32", "bfloat16" and "float16"."""
    if device.type == "CPU" or device.capability is None or device.capability < (7, 0):
        return ("float32",)
    return ("float32", "float16") if device.capability < (8, 0) else ("float32", "TF32", "bfloat16")


@dataclass(frozen=True)
class _Contender:
    """Keras on a device with an arithmetic."""

    name: str
    cnn: CNN
    tf32: bool


def _contender(
    config: CNNConfig, device: Device, arithmetic: str, *, seed: int, xla: bool | str
) -> _Contender:
    if device.type == "CPU":
        cnn = CNN(config, seed=seed, device=device.name, xla=xla)
        return _Contender(f"Keras, {device.name}", cnn, False)
    precision = "float32" if arithmetic == "TF32" else arithmetic
    cnn = CNN(
        replace(config, precision=precision),
        seed=seed,
        device=device.name,
        xla=xla,
        steps_per_execution=STEPS_ON_CARD if library().TAKES_STEPS else 1,
    )
    return _Contender(f"Keras, {device.name}, {arithmetic}", cnn, arithmetic == "TF32")


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
            _, device, arithmetic = (*name.split(", "), "", "")[:3]
            color, marker = COLORS.get(device.split(":")[0] or name, (GREEN, "D"))
            axis.plot(
                [t.batch_size for t in row],
                [t.images_per_second for t in row],
                color=color,
                marker=marker,
                linestyle=STYLES.get(arithmetic, "-"),
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
        rate = f"{best.images_per_second:,.0f} images/s at batch {best.batch_size}"
        times = "" if factor == 1 else f": {factor:.1f} times {timings[0].contender}"
        headline(figure, f"Fastest: {rate}", f"{best.contender}{times}.")
    return figure  # type: ignore[no-any-return]


def _checked(
    config: CNNConfig, X: ArrayLike, y: ArrayLike, x_name: str, y_name: str
) -> tuple[Images, Images]:
    x = check_images(x_name, X, config.input_shape)
    return x, check_targets(y_name, y, config.n_classes, len(x))


def _time_keras(
    contender: _Contender,
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

    cnn, size = contender.cnn, min(size, len(x))
    on_card = cnn.device.startswith("gpu")
    feeding = cnn._feeding(x, targets, size) if on_card else nullcontext(x)
    how = {"shuffle": False} if on_card else {"y": targets, "batch_size": size}
    run_on = library()
    try:
        if on_card:
            run_on.set_tf32(contender.tf32)
        with run_on.placed(cnn.device), feeding as batches:
            for n_epochs in (1, epochs):  # the first one is the warm-up
                cnn.reset()
                clock = EpochClock()
                cnn.model.fit(batches, epochs=n_epochs, callbacks=[clock], verbose=0, **how)
        accuracy = cnn.evaluate(*test).accuracy
    finally:
        if on_card:
            run_on.set_tf32(None)
    return DeviceTiming(contender.name, size, tuple(clock.seconds), len(x), accuracy)


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
