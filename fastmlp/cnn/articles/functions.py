"""The articles' functions for a CNN, with their signatures, over CNNConfig and CNN.

Only this room uses the articles' names. Source: "A
simple CNN for the MNIST dataset" I to III, linux-blog.anracom.com. What the articles call a model
is a :class:`fastmlp.cnn.CNN` here; ``cnn.model`` is the Keras model inside.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp.cnn.arrays import Images
from fastmlp.cnn.config import OPTIMIZERS, OUTPUT_OF_LOSS, WITH_MOMENTUM, CNNConfig
from fastmlp.cnn.images import load_images
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer
from fastmlp.cnn.network import CNN
from fastmlp.training.history import History

CONV_FUNCTIONS = ("relu", "sigmoid", "elu", "tanh", "selu")
HIDDEN_FUNCTIONS = ("relu", "sigmoid", "tanh")
OUTPUT_FUNCTIONS = ("softmax", "sigmoid")
SCHEDULE_NAMES = {
    None: "none",
    "powerSched": "power",
    "exponential": "exponential",
    "cosine": "cosine",
}
DEFAULT_LOSS = "categorical_crossentropy"


def load_mnist(
    legacy_split: bool = False, seed: int | None = None, verbose: bool = True
) -> tuple[Images, Images, Images, Images]:
    """Training images, test images, training labels and test labels of MNIST.

    Parameters
    ----------
    legacy_split : bool
        Fit the scaler on all 70000 images and split them again at random, as the articles do. The
        default keeps the official split, and a scaler that has not seen the test images.
    seed : int or None
        Of the legacy split.
    verbose : bool
        Print the shapes.

    Returns
    -------
    images of shape (60000, 28, 28, 1) and (10000, 28, 28, 1), float32, each pixel standardized;
    one-hot labels of shape (60000, 10) and (10000, 10), float32
    """
    data = load_images("mnist", legacy_split=legacy_split, seed=seed)
    one_hot = np.eye(10, dtype=np.float32)
    if verbose:
        for images in (data.X_train, data.X_test):
            print(images.shape[:3], "->", images.shape)
        print("labels:", one_hot[data.y_train[0]])
    return data.X_train, data.X_test, one_hot[data.y_train], one_hot[data.y_test]


def build_cnn_simple(
    li_Conv: Sequence[Any],
    li_Pool: Sequence[Any],
    li_MLP: Sequence[Any],
    input_shape: Sequence[int],
    my_regularizer: Any = None,
    my_reg_param_l2: float = 0.01,
    my_reg_param_l1: float = 0.01,
    *,
    seed: int | None = None,
    device: str = "auto",
) -> CNN:
    """A CNN of convolutions, poolings and dense layers, compiled with the default settings.

    The loss is categorical_crossentropy for softmax outputs, binary_crossentropy for sigmoid ones.

    Parameters
    ----------
    li_Conv : sequence of [maps, kernel size, activation]
        The activation as a name or as an index into relu, sigmoid, elu, tanh, selu. A fourth entry
        names the layer; without it the layers are Conv2D_1 and so on.
    li_Pool : sequence of [pool size]
        One less than `li_Conv`; a second entry names the layer (Max_Pool_1 and so on).
    li_MLP : sequence of [nodes, activation]
        Hidden layers: relu, sigmoid, tanh; the last one: softmax, sigmoid; a third entry names the
        layer (Dense_1 and so on).
    input_shape : (int, int, int)
        Height, width and channels.
    my_regularizer : {"l1", "l2"}, callable or None
        Of the kernels of all dense layers.
    my_reg_param_l2, my_reg_param_l1 : float >= 0
    seed : int or None
        Of the initial weights and of the shuffling.
    device : str
        See :func:`fastmlp.cnn.choose_device`.

    Raises
    ------
    ValueError, TypeError
        For lists that do not fit together and unknown names, before anything is built.
    """
    config = _layer_config(li_Conv, li_Pool, li_MLP, input_shape)
    config = replace(
        config,
        regularizer=my_regularizer,
        l1=my_reg_param_l1 if my_regularizer == "l1" else 0.0,
        l2=my_reg_param_l2 if my_regularizer == "l2" else 0.0,
    )
    return CNN(config, seed=seed, device=device)


def my_compile(
    cnn: CNN,
    my_loss: str = DEFAULT_LOSS,
    my_metrics: Sequence[str] = ("accuracy",),
    my_optimizer: str = "rmsprop",
    my_momentum: float = 0.0,
    my_lr_sched: str | None = None,
    my_lr_init: float = 0.001,
    my_lr_decay_steps: int = 1,
    my_lr_decay_rate: float = 0.00001,
    verbose: bool = True,
) -> CNN:
    """Give the CNN a loss, metrics and a new optimizer; its weights stay.

    Parameters
    ----------
    cnn : CNN
        Changed in place.
    my_loss : str
        categorical_crossentropy for softmax outputs, binary_crossentropy for sigmoid outputs, or
        mean_squared_error.
    my_metrics : sequence of str
    my_optimizer : {"rmsprop", "nadam", "adamax", "adam", "sgd"}
    my_momentum : float in [0, 1)
        Passed on where the optimizer has one; else a line says that it is not used.
    my_lr_sched : {None, "powerSched", "exponential", "cosine"}
        None keeps the rate; see :func:`fastmlp.cnn.learning_rate_at`.
    my_lr_init, my_lr_decay_steps, my_lr_decay_rate : float, int, float
        The three values of the schedule.
    verbose : bool
        Print them.
    """
    if my_lr_sched not in SCHEDULE_NAMES:
        names = ", ".join(map(repr, SCHEDULE_NAMES))
        raise ValueError(f"my_lr_sched must be one of {names}; got {my_lr_sched!r}")
    if my_momentum and my_optimizer in OPTIMIZERS and my_optimizer not in WITH_MOMENTUM:
        print(f"my_momentum = {my_momentum:g} is not used: {my_optimizer} has no such parameter")
        my_momentum = 0.0
    cnn.compile(
        loss=my_loss,
        metrics=my_metrics,
        optimizer=my_optimizer,
        momentum=my_momentum,
        schedule=SCHEDULE_NAMES[my_lr_sched],
        learning_rate=my_lr_init,
        decay_steps=my_lr_decay_steps,
        decay_rate=my_lr_decay_rate,
    )
    if verbose:
        print(
            f"schedule {my_lr_sched}: lr_init = {my_lr_init:g}, decay_steps = {my_lr_decay_steps}, "
            f"decay_rate = {my_lr_decay_rate:g}"
        )
    return cnn


def train(
    cnn: CNN | None,
    build: bool,
    train_imgs: ArrayLike,
    train_labels: ArrayLike,
    li_Conv: Sequence[Any],
    li_Pool: Sequence[Any],
    li_MLP: Sequence[Any],
    input_shape: Sequence[int],
    reset: bool = True,
    epochs: int = 5,
    batch_size: int = 64,
    my_loss: str = DEFAULT_LOSS,
    my_metrics: Sequence[str] = ("accuracy",),
    my_regularizer: Any = None,
    my_reg_param_l2: float = 0.01,
    my_reg_param_l1: float = 0.01,
    my_optimizer: str = "rmsprop",
    my_momentum: float = 0.0,
    my_lr_sched: str | None = None,
    my_lr_init: float = 0.001,
    my_lr_decay_steps: int = 1,
    my_lr_decay_rate: float = 0.00001,
    fig1: Any = None,
    ax1_1: Any = None,
    ax1_2: Any = None,
    *,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    callbacks: Sequence[Any] = (),
    seed: int | None = None,
    device: str = "auto",
    verbose: bool = True,
) -> tuple[CNN, float, History, Any]:
    """Build if asked, reset if asked, train, and measure the time.

    Parameters
    ----------
    cnn : CNN or None
        None is allowed where `build` is True.
    build : bool
        Build and compile a new CNN from the lists and settings, and remember its initial weights.
    train_imgs : array-like of shape (n, height, width, channels)
    train_labels : array-like of shape (n,) or (n, classes)
    li_Conv, li_Pool, li_MLP, input_shape, my_regularizer, my_reg_param_l2, my_reg_param_l1
        As in `build_cnn_simple`.
    reset : bool
        Without `build`: start again with the initial weights, iteration 0 and the first rate;
        False continues from the current state.
    epochs, batch_size : int >= 1
    my_loss, my_metrics, my_optimizer, my_momentum, my_lr_sched, my_lr_init, my_lr_decay_steps
        As in `my_compile`, and so is `my_lr_decay_rate`.
    fig1, ax1_1, ax1_2 : matplotlib figure and axes, or None
        For `EpochPlot`; None means no plot.
    validation_data : (images, labels) or None
        Measured after every epoch; nothing is taken from anywhere else.
    callbacks : sequence
        More of them, as :meth:`fastmlp.cnn.CNN.fit` takes them.
    seed : int or None
        Of a CNN that is built.
    device : str
        Of a CNN that is built.
    verbose : bool
        Print schedule, learning rates and iterations.

    Returns
    -------
    cnn : CNN
    fit_seconds : float
        Wall time of the fit alone.
    history : History
    x_optimizer : keras.optimizers.Optimizer
        The one that trained.
    """
    from fastmlp.cnn.articles.callbacks import EpochPlot, LrHistory

    if len({part is None for part in (fig1, ax1_1, ax1_2)}) > 1:
        raise ValueError("fig1, ax1_1 and ax1_2 must be given together, or none of them")
    if build:
        cnn = build_cnn_simple(
            li_Conv,
            li_Pool,
            li_MLP,
            input_shape,
            my_regularizer,
            my_reg_param_l2,
            my_reg_param_l1,
            seed=seed,
            device=device,
        )
        my_compile(
            cnn,
            my_loss,
            my_metrics,
            my_optimizer,
            my_momentum,
            my_lr_sched,
            my_lr_init,
            my_lr_decay_steps,
            my_lr_decay_rate,
            verbose,
        )
    elif cnn is None:
        raise ValueError("cnn must be a CNN where build is False; got None")
    elif reset:
        cnn.reset()
    calls: list[Any] = [LrHistory(my_lr_sched is not None, verbose=verbose), *callbacks]
    if fig1 is not None:
        calls.append(EpochPlot(epochs, fig1, ax1_1, ax1_2, verbose=verbose))
    start = time.perf_counter()
    history = cnn.fit(
        train_imgs,
        train_labels,
        epochs=epochs,
        batch_size=batch_size,
        validation_data=validation_data,
        callbacks=calls,
    )
    return cnn, time.perf_counter() - start, history, cnn.model.optimizer


def _layer_config(
    li_Conv: Sequence[Any], li_Pool: Sequence[Any], li_MLP: Sequence[Any], input_shape: Any
) -> CNNConfig:
    """The lists as a CNNConfig."""
    conv = tuple(
        ConvLayer(
            e[0],
            e[1],
            _function(f"li_Conv[{i}]", e[2], CONV_FUNCTIONS),
            e[3] if len(e) > 3 else f"Conv2D_{i + 1}",
        )
        for i, e in enumerate(_entries("li_Conv", li_Conv, 3))
    )
    pools = tuple(
        PoolLayer(e[0], "max", e[1] if len(e) > 1 else f"Max_Pool_{i + 1}")
        for i, e in enumerate(_entries("li_Pool", li_Pool, 1))
    )
    dense = []
    entries = _entries("li_MLP", li_MLP, 2)
    for i, e in enumerate(entries):
        known = OUTPUT_FUNCTIONS if i == len(entries) - 1 else HIDDEN_FUNCTIONS
        function = _function(f"li_MLP[{i}]", e[1], known)
        dense.append(DenseLayer(e[0], function, e[2] if len(e) > 2 else f"Dense_{i + 1}"))
    natural = {function: loss for loss, function in OUTPUT_OF_LOSS.items()}
    loss = natural[dense[-1].activation] if dense else DEFAULT_LOSS
    return CNNConfig(conv, pools, tuple(dense), input_shape, loss=loss)


def _entries(name: str, entries: Any, n_least: int) -> list[Sequence[Any]]:
    """The list itself, when each entry is a list of at least `n_least` values."""
    found = list(entries)
    for i, entry in enumerate(found):
        if not isinstance(entry, list | tuple) or len(entry) < n_least:
            raise ValueError(f"{name}[{i}] must have at least {n_least} entries; got {entry!r}")
    return found


def _function(name: str, given: Any, known: Sequence[str]) -> str:
    """The name of a function, from a name or an index into `known`."""
    if isinstance(given, str) and given in known:
        return given
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(known):
        return known[given]
    numbered = ", ".join(f"{i} or {function!r}" for i, function in enumerate(known))
    raise ValueError(f"activation in {name} must be one of {numbered}; got {given!r}")
