"""What the commands of ``fastmlp cnn`` share about images, progress and pictures."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fastmlp.cli.cnn.options import read_integer
from fastmlp.cli.output import PICTURE_DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastmlp.cnn.images import ImageData

COLUMNS = ("epoch", "seconds", "rate", "cost", "accuracy")
SECONDS_BETWEEN_LINES = 0.2


def load_data(options: argparse.Namespace, **settings: Any) -> ImageData:
    """The images that --data, --images and --test-images name; other settings of `load_images`."""
    from fastmlp.cnn.images import load_images

    return load_images(
        options.data,
        n_train=_count("--images", options.images),
        n_test=_count("--test-images", options.test_images),
        **settings,
    )


def load_test_images(options: argparse.Namespace, cnn: Any) -> tuple[Any, Any, Any]:
    """Standardised test images by the model's own scaler, raw ones, and labels."""
    from fastmlp import datasets
    from fastmlp.cnn.images import scale_images

    data = datasets.load(options.data)
    n = _count("--test-images", options.test_images)
    raw, labels = data.X_test[:n], data.y_test[:n]
    shape = cnn.config.input_shape
    if raw.shape[1] != shape[0] * shape[1] * shape[2]:
        raise ValueError(
            f"--data {options.data} has images of {raw.shape[1]} pixels; the model wants "
            f"{shape[0]} x {shape[1]} x {shape[2]}"
        )
    if cnn.scaler is None:
        raise ValueError("the model holds no scaler: it was not written by fastmlp cnn train")
    return scale_images(cnn.scaler, raw, shape), raw.reshape(-1, *shape), labels


class EpochLines:
    """One line per finished epoch, and in a terminal a line that grows within an epoch.

    Parameters
    ----------
    n_epochs : int
        Planned.
    n_batches : int
        Of an epoch.
    held_out : str
        Name of the set that is measured after every epoch.
    stream : TextIO or None
        None means stdout.
    """

    def __init__(
        self, n_epochs: int, n_batches: int, held_out: str, stream: TextIO | None = None
    ) -> None:
        self.n_epochs, self.n_batches = n_epochs, n_batches
        self.stream = sys.stdout if stream is None else stream
        columns = (*COLUMNS, f"{held_out} cost", f"{held_out} acc.")
        self._widths = [max(10, len(column) + 2) for column in columns]
        self._line(columns)
        self._shown_at = 0.0
        self._start = time.monotonic()

    def batch(self, epoch: int, batch: int) -> None:
        """Show how far the epoch is, in a terminal."""
        now = time.monotonic()
        if batch == 0:
            self._start = now
        if not self.stream.isatty() or now - self._shown_at < SECONDS_BETWEEN_LINES:
            return
        self._shown_at = now
        share = (batch + 1) / self.n_batches
        left = (now - self._start) * (1 - share) / share
        bar = "#" * round(20 * share)
        self.stream.write(f"\repoch {epoch}/{self.n_epochs} [{bar:<20}] {left:4.0f} s left ")
        self.stream.flush()

    def epoch(self, cnn: Any) -> None:
        """Write the line of the last epoch; a callback for ``CNN.fit``."""
        numbers = cnn.metrics
        if self.stream.isatty():
            self.stream.write("\r" + " " * 60 + "\r")
        self._line(
            (f"{cnn.history.n_epochs}/{self.n_epochs}", f"{numbers['seconds']:.2f}",
             f"{numbers['learning_rate']:.4g}", f"{numbers['cost']:.4f}",
             f"{numbers['accuracy']:.4f}", f"{numbers['test_cost']:.4f}",
             f"{numbers['test_accuracy']:.4f}")
        )  # fmt: skip

    def _line(self, cells: tuple[str, ...]) -> None:
        line = "".join(f"{c:>{w}}" for c, w in zip(cells, self._widths, strict=True))
        print(line, file=self.stream, flush=True)


@contextmanager
def pictures(folder: Path) -> Iterator[Any]:
    """A function ``draw(name, figure)`` that writes PNG files; prints their names at the end.

    Raises
    ------
    ImportError
        If matplotlib is missing, with the command that installs it.
    """
    from fastmlp.plots.style import import_pyplot

    plt = import_pyplot()
    plt.switch_backend("Agg")
    written: list[str] = []

    def draw(name: str, figure: Figure) -> None:
        figure.savefig(folder / f"{name}.png", dpi=PICTURE_DPI)
        plt.close(figure)
        written.append(f"{name}.png")

    yield draw
    if written:
        print(f"written   {', '.join(written)} in {folder}")


def confusion(outputs: Any, y: Any) -> list[list[int]]:
    """Images by true class (rows) and predicted class, from outputs (n, n_classes)."""
    from sklearn.metrics import confusion_matrix

    codes = range(outputs.shape[1])
    counts: list[list[int]] = confusion_matrix(y, outputs.argmax(axis=1), labels=codes).tolist()
    return counts


def draw_predictions(draw: Any, cnn: Any, X: Any, y: Any, outputs: Any) -> None:
    """Confusion matrix and misclassified images of standardised images `X`."""
    from fastmlp import plots
    from fastmlp.cnn.images import unscale_images

    predicted, codes = outputs.argmax(axis=1), list(range(cnn.config.n_classes))
    draw("confusion_matrix", plots.plot_confusion_matrix(y, predicted, codes))
    pixels = unscale_images(cnn.scaler, X).reshape(len(X), -1)
    shape = cnn.config.input_shape[:2]
    draw(
        "misclassified",
        plots.plot_misclassified(pixels, y, predicted, outputs, image_shape=shape),
    )


def _count(name: str, text: str | None) -> int | None:
    return None if text is None else read_integer(name, text, minimum=1)
