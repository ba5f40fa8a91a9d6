"""train of the articles, in the two forms that it has in their second and third part.

Source: "A simple CNN for the MNIST dataset" II and III, linux-blog.anracom.com.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from fastmlp._checks import check_integer, check_iterable, check_pair_of_arrays
from fastmlp.cnn.arrays import Images, check_images, check_targets
from fastmlp.cnn.articles.functions import (
    DEFAULT_LOSS,
    build_cnn_simple,
    check_model,
    compile_for_articles,
    my_compile,
)
from fastmlp.cnn.articles.start import STARTS
from fastmlp.cnn.backend import import_keras
from fastmlp.cnn.state import iterations

OF_PART_2 = ("optimizer", "loss", "metrics")
"""Parameters that only the form of the second part has."""

REFERENCE = 0.992
"""The articles' line in the plot of the accuracy."""


def train(
    cnn: Any,
    build: bool,
    train_imgs: ArrayLike,
    train_labels: ArrayLike,
    *arguments: Any,
    **settings: Any,
) -> tuple[Any, ...]:
    """Build if asked, reset if asked, train, and measure the time: in either form of the articles.

    ``train(cnn, build, train_imgs, train_labels, reset, epochs, batch_size, optimizer, loss,
    metrics, li_Conv, li_Pool, li_MLP, input_shape)`` is that of part II, `train_part_2`; with the
    lists in the fifth place, and what follows them, it is `train_part_3`. They differ in the fifth
    argument, and in the names ``optimizer``, ``loss`` and ``metrics``.

    Returns
    -------
    (cnn, fit_seconds) or (cnn, fit_seconds, history, x_optimizer)
        As these two functions do.
    """
    lists_come_first = not arguments or isinstance(arguments[0], list | tuple)
    if lists_come_first and not any(name in settings for name in OF_PART_2):
        return train_part_3(cnn, build, train_imgs, train_labels, *arguments, **settings)
    return train_part_2(cnn, build, train_imgs, train_labels, *arguments, **settings)


def train_part_2(
    cnn: Any,
    build: bool,
    train_imgs: ArrayLike,
    train_labels: ArrayLike,
    reset: bool,
    epochs: int,
    batch_size: int,
    optimizer: Any,
    loss: Any,
    metrics: Sequence[Any],
    li_Conv: Sequence[Any],
    li_Pool: Sequence[Any],
    li_MLP: Sequence[Any],
    input_shape: Sequence[int],
    *,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    callbacks: Sequence[Any] = (),
    seed: int | None = None,
    verbose: bool | int = True,
) -> tuple[Any, float]:
    """Build if asked, reset if asked, train, and measure the time: the form of part II.

    Parameters
    ----------
    cnn, build, train_imgs, train_labels, reset, epochs, batch_size
        As in `train_part_3`.
    optimizer, loss, metrics
        Names or objects, as ``keras.Model.compile`` takes them.
    li_Conv, li_Pool, li_MLP, input_shape
        As in `build_cnn_simple`.
    validation_data, callbacks, seed, verbose
        As in `train_part_3`.

    Returns
    -------
    cnn : keras.Sequential
    fit_seconds : float
        Wall time of the fit alone.
    """
    if build:
        cnn = build_cnn_simple(li_Conv, li_Pool, li_MLP, input_shape, seed=seed)
        compile_for_articles(cnn, optimizer, loss, metrics)
    fit = _Fit(
        cnn,
        reset and not build,
        train_imgs,
        train_labels,
        epochs,
        batch_size,
        validation_data,
        callbacks,
        seed,
    )
    return cnn, fit.run([], verbose)


def train_part_3(
    cnn: Any,
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
    reference: float | None = REFERENCE,
    callbacks: Sequence[Any] = (),
    seed: int | None = None,
    verbose: bool | int = True,
) -> tuple[Any, float, Any, Any]:
    """Build if asked, reset if asked, train, and measure the time: the form of part III.

    Parameters
    ----------
    cnn : keras.Model or None
        None is allowed where `build` is True.
    build : bool
        Build and compile a new model from the lists and settings, and remember its initial weights.
        Without it, lists and settings of the model are not looked at.
    train_imgs : array-like of shape (n, height, width, channels), finite
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
        Measured after every epoch; the article takes the test images from outside of the function.
    reference : float or None
        Height of the dashed line that `EpochPlot` draws; None means no line.
    callbacks : sequence of keras.callbacks.Callback
        More of them.
    seed : int or None
        Of the initial weights, if `build`, and of the order of the images; None leaves both to
        Keras' own random numbers.
    verbose : bool or int
        Keras' progress with loss and metrics (2 for one line per epoch), and the schedule, learning
        rate and iterations.

    Returns
    -------
    cnn : keras.Sequential
    fit_seconds : float
        Wall time of the fit alone.
    history : keras.callbacks.History
        ``history.history["accuracy"]`` and so on.
    x_optimizer : keras.optimizers.Optimizer
        The one that trained.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, before the model is reset or trained.
    DivergenceError
        If a loss is not finite; the weights are then those of the last finished epoch.
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
    fit = _Fit(
        cnn,
        reset and not build,
        train_imgs,
        train_labels,
        epochs,
        batch_size,
        validation_data,
        callbacks,
        seed,
    )
    calls: list[Any] = [LrHistory(my_lr_sched is not None, verbose=bool(verbose))]
    if fig1 is not None:
        plot = EpochPlot(epochs, fig1, ax1_1, ax1_2, reference=reference, verbose=bool(verbose))
        calls.append(plot)
    return cnn, fit.run(calls, verbose), cnn.history, cnn.optimizer


def _check_compiled(cnn: Any) -> None:
    if cnn is None:
        raise ValueError("cnn must be a Keras model where build is False; got None")
    check_model("cnn", cnn)
    if getattr(cnn, "optimizer", None) is None:
        raise ValueError("cnn must be compiled where build is False: call my_compile(cnn) first")


class _Fit:
    """One fit, whose arguments are all checked before the model is reset or trained.

    Parameters
    ----------
    cnn : keras.Model
        Compiled.
    reset : bool
        Whether the fit begins with the initial weights, iteration 0 and the first rate.
    train_imgs, train_labels, epochs, batch_size, validation_data, callbacks, seed
        As in `train_part_3`.
    """

    def __init__(
        self,
        cnn: Any,
        reset: bool,
        train_imgs: ArrayLike,
        train_labels: ArrayLike,
        epochs: int,
        batch_size: int,
        validation_data: Any,
        callbacks: Any,
        seed: int | None,
    ) -> None:
        _check_compiled(cnn)
        if reset and cnn not in STARTS:
            raise ValueError(
                "reset needs the initial weights, which are known of models that build_cnn_simple "
                "or train has built in this process: pass reset=False, or build=True"
            )
        self.cnn, self.reset, self.validation = cnn, reset, None
        self.images, self.labels = self._data(
            "train_imgs", train_imgs, "train_labels", train_labels
        )
        self.epochs = check_integer("epochs", epochs, minimum=1)
        self.batch_size = check_integer("batch_size", batch_size, minimum=1)
        self.seed = None if seed is None else check_integer("seed", seed, minimum=0, maximum=None)
        if validation_data is not None:
            x, y = check_pair_of_arrays("validation_data", validation_data)
            self.validation = self._data("validation_data[0]", x, "validation_data[1]", y)

        self.callbacks = check_iterable("callbacks", callbacks, "callbacks")
        for call in self.callbacks:
            if not isinstance(call, import_keras().callbacks.Callback):
                raise TypeError(f"callbacks must be Keras callbacks; got {call!r}")

    def run(self, calls: Sequence[Any], verbose: bool | int) -> float:
        """Reset if asked, train, and return the wall time of the training in seconds.

        `calls` are more callbacks, called before those of the user. Keras' own line is finished
        before what any of them print.
        """
        from fastmlp.cnn.articles.callbacks import FiniteLoss

        if self.cnn in STARTS:
            STARTS[self.cnn].note_optimizer(self.cnn)
        if self.reset:
            STARTS[self.cnn].restore(self.cnn)
        progress = [import_keras().callbacks.ProgbarLogger()] if verbose else []
        start = time.perf_counter()
        self.cnn.fit(
            **self._training_data(),
            epochs=self.epochs,
            validation_data=self.validation,
            callbacks=[FiniteLoss(), *progress, *calls, *self.callbacks],
            verbose=int(verbose),
        )
        return time.perf_counter() - start

    def _training_data(self) -> dict[str, Any]:
        """The arguments of Keras' fit that decide the batches."""
        if self.seed is None:
            arrays = {"x": self.images, "y": self.labels}
            return {**arrays, "batch_size": self.batch_size, "shuffle": True}
        from fastmlp.cnn.articles.batches import ShuffledBatches

        seed = [self.seed, iterations(self.cnn)]  # a further fit has other orders
        batches = ShuffledBatches(self.images, self.labels, self.batch_size, seed)
        return {"x": batches, "shuffle": False}  # Keras' order of the batches themselves

    def _data(self, x_name: str, X: ArrayLike, y_name: str, y: ArrayLike) -> tuple[Images, Images]:
        x = check_images(x_name, X, self.cnn.input_shape[1:])
        return x, check_targets(y_name, y, self.cnn.output_shape[-1], len(x))
