"""Files that commands leave behind: folders, and the figures of a run and of its predictions."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastmlp.cli.options import UsageError
from fastmlp.datasets.pinned import CLASS_NAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastmlp.datasets import Dataset
    from fastmlp.datasets.labelled import LabelledData
    from fastmlp.training.trainer import Trainer

LEAST_IMAGE_SIDE = 8
"""Square numbers of features from 8 x 8 up are treated as images."""

FIGURE_DPI = 100


def prepare_folder(name: str, option: str = "--out") -> Path:
    """Create the folder if it is missing, and make sure that files can be written to it.

    Raises
    ------
    OSError
        If not, with a sentence for the user.
    """
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write to {option} {name}: {error.strerror}") from error
    return folder


def check_file(option: str, name: str) -> None:
    """Refuse a file that cannot be written, before work is done.

    Raises
    ------
    UsageError
        Naming the option.
    """
    path = Path(name)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"{option} must be a file in a writable folder; got {name}")


def pyplot_without_display() -> Any:
    """Return ``matplotlib.pyplot`` with the backend that writes files.

    Raises
    ------
    ImportError
        If matplotlib is missing, with the command that installs it.
    """
    from fastmlp.plots.style import import_pyplot

    plt = import_pyplot()
    plt.switch_backend("Agg")
    return plt


def can_draw() -> bool:
    """Return whether matplotlib can be used; if not, say on stderr how to install it."""
    try:
        pyplot_without_display()
    except ImportError as error:
        print(f"fastmlp: {error}", file=sys.stderr)
        return False
    return True


def save_figure(path: Path, figure: Figure) -> None:
    """Write `figure` as a PNG file and close it."""
    plt = pyplot_without_display()
    figure.savefig(path, dpi=FIGURE_DPI)
    plt.close(figure)


def report_written(names: Sequence[str], folder: Path) -> None:
    """Print the names of the files that were written to a folder; nothing without any."""
    if names:
        print(f"written   {', '.join(names)} in {folder}")


def write_figures(folder: Path, figures: Iterable[tuple[str, Figure]]) -> list[str]:
    """Write figures as NAME.png and return the names of the files.

    Raises
    ------
    ImportError
        If matplotlib is missing, with the command that installs it.
    """
    pyplot_without_display()
    names = []
    for name, figure in figures:
        names.append(f"{name}.png")
        save_figure(folder / names[-1], figure)
    return names


def class_names(data: str, classes: Sequence[Any] | NDArray[Any]) -> Sequence[str] | None:
    """Return the names of a data set's classes; None where it has no others than their numbers."""
    names = CLASS_NAMES.get(data)
    return names if names is not None and list(classes) == list(range(len(names))) else None


def draw_into(folder: Path, figures: Iterable[tuple[str, Figure]]) -> list[str]:
    """Write figures as `write_figures` does; without matplotlib, print how to install it."""
    try:
        return write_figures(folder, figures)
    except ImportError as error:
        print(f"fastmlp: {error}")
        return []


def run_figures(
    history: Mapping[str, Any], n_rows: Mapping[str, int] | None
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a run with their names; see :func:`fastmlp.plots.plot_costs`."""
    from fastmlp import plots

    yield "run", plots.plot_run(history)
    yield "costs", plots.plot_costs(history, n_rows=n_rows)
    yield "errors", plots.plot_errors(history)
    yield "reg_share", plots.plot_reg_share(history)
    yield "accuracy", plots.plot_accuracy(history)


def prediction_figures(
    dataset: Dataset, data: LabelledData, trainer: Trainer
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a network's predictions with their names.

    Parameters
    ----------
    dataset : Dataset
        Rows as stored, for the figure of misclassified images.
    data : LabelledData
        The same rows as the network sees them.
    trainer : Trainer
        After its run.
    """
    from fastmlp import plots

    outputs = trainer.network.predict(data.X_test, n_threads=trainer.threads.n_threads)
    predicted = data.classes[outputs.argmax(axis=1)]
    confusion = plots.plot_confusion_matrix(
        dataset.y_test, predicted, data.classes, names=class_names(dataset.name, data.classes)
    )
    yield "confusion_matrix", confusion
    shape = data.image_shape
    if shape is not None and shape[0] >= LEAST_IMAGE_SIDE:
        yield (
            "misclassified",
            plots.plot_misclassified(
                dataset.X_test, dataset.y_test, predicted, outputs, image_shape=shape
            ),
        )
