"""Images, progress and figures of the commands of ``fastmlp cnn``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fastmlp._terminal import RowPrinter, StatusLine
from fastmlp.cli.output import (
    class_names,
    pyplot_without_display,
    report_written,
    save_figure,
)
from fastmlp.datasets import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastmlp.cnn.images import ImageData

COLUMNS = ("epoch", "seconds", "rate", "cost", "accuracy")
SECONDS_BETWEEN_UPDATES = 0.2


def load_data(options: argparse.Namespace, **settings: Any) -> ImageData:
    """Load the images that the options choose; `settings` as for `load_images`."""
    from fastmlp.cnn.images import load_images

    return load_images(options.data, n_train=options.images, n_test=options.test_images, **settings)


def load_test_images(options: argparse.Namespace, cnn: Any) -> tuple[Any, Any, Any]:
    """Return test images, standardized by the model's own scaler and raw, and their labels."""
    from fastmlp.cnn.images import scale_images

    data = load(options.data)
    n = options.test_images
    raw, labels = data.X_test[:n], data.y_test[:n]
    shape = cnn.config.input_shape
    if raw.shape[1] != shape[0] * shape[1] * shape[2]:
        raise ValueError(
            f"--data {options.data} has images of {raw.shape[1]} pixels; the model needs "
            f"{shape[0]} x {shape[1]} x {shape[2]}"
        )
    if cnn.scaler is None:
        raise ValueError("the model contains no scaler: it was not written by fastmlp cnn train")
    return scale_images(cnn.scaler, raw, shape), raw.reshape(-1, *shape), labels


class EpochLines:
    """Prints one line per finished epoch and, on a terminal, a status line within an epoch.

    Parameters
    ----------
    n_epochs : int
        Planned epochs.
    n_batches : int
        Batches per epoch.
    validation_name : str
        Name of the images that are evaluated after every epoch.
    stream : TextIO or None
        None means stdout.
    """

    def __init__(
        self, n_epochs: int, n_batches: int, validation_name: str, stream: TextIO | None = None
    ) -> None:
        stream = sys.stdout if stream is None else stream
        self.n_epochs, self.n_batches = n_epochs, n_batches
        columns = (*COLUMNS, f"{validation_name} cost", f"{validation_name} acc.")
        self._printer = RowPrinter(columns, [max(10, len(name) + 2) for name in columns], stream)
        self._printer.header()
        self._status = StatusLine(stream)
        self._updated_at = 0.0
        self._start = time.monotonic()

    def batch(self, epoch: int, batch: int) -> None:
        """Show how much of the epoch is done, on a terminal."""
        now = time.monotonic()
        if batch == 0:
            self._start = now
        if not self._status.shown or now - self._updated_at < SECONDS_BETWEEN_UPDATES:
            return
        self._updated_at = now
        share = (batch + 1) / self.n_batches
        left = (now - self._start) * (1 - share) / share
        bar = "#" * round(20 * share)
        self._status.show(f"epoch {epoch}/{self.n_epochs} [{bar:<20}] {left:4.0f} s left ")

    def epoch(self, cnn: Any) -> None:
        """Write the line of the last epoch; a callback for ``CNN.fit``."""
        numbers = cnn.metrics
        self._status.clear()
        self._printer.row(
            (
                f"{cnn.history.n_epochs}/{self.n_epochs}",
                f"{numbers['seconds']:.2f}",
                f"{numbers['learning_rate']:.4g}",
                f"{numbers['cost']:.4f}",
                f"{numbers['accuracy']:.4f}",
                f"{numbers['val_cost']:.4f}",
                f"{numbers['val_accuracy']:.4f}",
            )
        )


@contextmanager
def figures(folder: Path) -> Iterator[Any]:
    """Yield a function ``draw(name, figure)`` that writes PNG files; print their names at the end.

    Raises
    ------
    ImportError
        If matplotlib is missing, with the command that installs it.
    """
    pyplot_without_display()
    written: list[str] = []

    def draw(name: str, figure: Figure) -> None:
        written.append(f"{name}.png")
        save_figure(folder / written[-1], figure)

    yield draw
    report_written(written, folder)


def confusion(outputs: Any, y: Any) -> list[list[int]]:
    """Count images by true class (rows) and predicted class, from outputs (n, n_classes)."""
    from sklearn.metrics import confusion_matrix

    codes = range(outputs.shape[1])
    counts: list[list[int]] = confusion_matrix(y, outputs.argmax(axis=1), labels=codes).tolist()
    return counts


def draw_predictions(draw: Any, cnn: Any, X: Any, y: Any, outputs: Any, data: str) -> None:
    """Draw the confusion matrix and misclassified images; `X` are standardized images."""
    from fastmlp import plots
    from fastmlp.cnn.images import unscale_images

    predicted, codes = outputs.argmax(axis=1), list(range(cnn.config.n_classes))
    draw(
        "confusion_matrix",
        plots.plot_confusion_matrix(y, predicted, codes, names=class_names(data, codes)),
    )
    pixels = unscale_images(cnn.scaler, X).reshape(len(X), -1)
    shape = cnn.config.input_shape[:2]
    draw(
        "misclassified",
        plots.plot_misclassified(pixels, y, predicted, outputs, image_shape=shape),
    )
