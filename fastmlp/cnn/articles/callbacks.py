"""LrHistory and EpochPlot, the callbacks of the articles, and one that ends a divergence.

Source: "A simple CNN for the MNIST dataset" III, linux-blog.anracom.com.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from fastmlp.cnn.backend import library
from fastmlp.cnn.state import copies, current_rate, iterations
from fastmlp.exceptions import DivergenceError
from fastmlp.plots.live import Progress, draw_accuracies, draw_costs

TITLE_POINTS = 10
"""Font size with which the longest title fits over half of 8 inches."""


class LrHistory(keras.callbacks.Callback):  # type: ignore[misc]
    """Records and prints the learning rate and the optimizer's iterations after every epoch.

    Parameters
    ----------
    use_scheduler : bool
        Accepted for the articles' sake; the rate is read from the optimizer, with a schedule or
        without.
    verbose : bool
        Print the two numbers.

    Attributes
    ----------
    lr : list of float
        Rate at the end of every epoch.
    iterations : list of int
        Batches at the end of every epoch.
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    def __init__(self, use_scheduler: bool = True, *, verbose: bool = True) -> None:
        super().__init__()
        self.use_scheduler, self.verbose = use_scheduler, verbose
        self.lr: list[float] = []
        self.iterations: list[int] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Reset the state of earlier training runs."""
        self.lr, self.iterations = [], []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record and print the learning rate and the iterations."""
        self.lr.append(current_rate(self.model))
        self.iterations.append(iterations(self.model))
        if self.verbose:
            print(f"learning rate: {self.lr[-1]:.4e}  iterations: {self.iterations[-1]}")


class FiniteLoss(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises DivergenceError at the first loss that is NaN or infinite.

    The weights are then those of the last finished epoch.
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights."""
        self._epoch, self._weights = epoch, copies(self.model.weights)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look at the mean loss of the epoch so far."""
        assert logs is not None
        if not math.isfinite(float(logs["loss"])):
            library().synchronize(self.model)
            rate = current_rate(self.model)
            self.model.set_weights(self._weights)
            raise DivergenceError(epoch=self._epoch, batch=batch, learning_rate=rate)


class EpochPlot(keras.callbacks.Callback):  # type: ignore[misc]
    """Draws accuracy (left) and loss (right) of both sets again after every epoch.

    Parameters
    ----------
    epochs : int
        Planned epochs, which fix the horizontal axis.
    fig1 : matplotlib.figure.Figure
        Gets matplotlib's constrained layout, unless it has a layout engine, so that titles and
        labels have room at the articles' 8 x 3 inches.
    ax1_1, ax1_2 : matplotlib.axes.Axes
        For accuracy and loss.
    reference : float or None
        Height of the dashed line; None means no line.
    verbose : bool
        Print the names of the logs in the first epoch.
    """

    __module__ = "fastmlp.cnn"  # its public address, which pickles keep when files move

    ACCURACY_LIMITS = (0.97, 1.001)
    LOSS_LIMITS = (0.0, 0.2)

    def __init__(
        self,
        epochs: int,
        fig1: Any,
        ax1_1: Any,
        ax1_2: Any,
        *,
        reference: float | None = 0.992,
        verbose: bool = True,
    ) -> None:
        super().__init__()
        self.epochs, self.fig1, self.ax1_1, self.ax1_2 = epochs, fig1, ax1_1, ax1_2
        self.reference, self.verbose = reference, verbose
        self.progress = Progress(validation_name="validation")

    def on_train_begin(self, logs: Any = None) -> None:
        """Empty the curves, and let the figure make room for titles and labels."""
        self.progress = Progress(validation_name="validation")
        if self.fig1.get_layout_engine() is None:
            self.fig1.set_layout_engine("constrained")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add the epoch and draw."""
        logs = logs or {}
        if epoch == 0 and self.verbose:
            print(f"logs: {', '.join(logs)}")
        progress = self.progress
        for values, name in (
            (progress.train_accuracy, "accuracy"),
            (progress.val_accuracy, "val_accuracy"),
            (progress.train_cost, "loss"),
            (progress.val_cost, "val_loss"),
        ):
            values.append(float(logs.get(name, float("nan"))))
        progress.rate.append(current_rate(self.model))
        draw_accuracies(self.ax1_1, progress, self.reference)
        draw_costs(self.ax1_2, progress)
        self._set_limits()
        self.fig1.canvas.draw_idle()
        self.fig1.canvas.flush_events()

    def _set_limits(self) -> None:
        """Set the articles' axis limits, extended if a curve would exceed them."""
        for axis, (low, high) in (
            (self.ax1_1, self.ACCURACY_LIMITS),
            (self.ax1_2, self.LOSS_LIMITS),
        ):
            axis.set_yscale("linear")
            heights = [y for line in axis.get_lines() for y in line.get_ydata() if y == y]
            axis.set_ylim(min([low, *heights]), max([high, *heights]))
            axis.set_xlim(0, self.epochs + 1)
            axis.title.set_fontsize(TITLE_POINTS)
