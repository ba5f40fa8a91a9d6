"""What ``fastmlp train --out DIR`` leaves behind: history.json and pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fastmlp.datasets.arrays import Dataset
from fastmlp.myann.myann import MyANN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_IMAGE_SIDE = 8
"""Square numbers of features from 8 x 8 up are taken for images."""

PICTURE_DPI = 100


def prepare_folder(name: str, option: str = "--out") -> Path:
    """Create the folder if it is missing, and make sure that files can be written into it.

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
        raise OSError(f"cannot write into {option} {name}: {error.strerror}") from error
    return folder


def write_pictures(folder: Path, ann: MyANN, data: Dataset) -> list[Path]:
    """Write all pictures of a run as PNG files; returns their paths.

    Raises
    ------
    ImportError
        If matplotlib is missing, with the command that installs it.
    """
    from fastmlp.plots.style import import_pyplot

    plt = import_pyplot()
    plt.switch_backend("Agg")
    paths = []
    for name, figure in _figures(ann, data):
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=PICTURE_DPI)
        plt.close(figure)
    return paths


def _figures(ann: MyANN, data: Dataset) -> Iterator[tuple[str, Figure]]:
    from fastmlp import plots

    yield "run", plots.plot_run(ann.history)
    yield "costs", plots.plot_costs(ann.history)
    yield "errors", plots.plot_errors(ann.history)
    yield "reg_share", plots.plot_reg_share(ann.history)
    yield "accuracy", plots.plot_accuracy(ann.history)
    outputs = ann.network.predict(ann.X_test, n_threads=ann.n_threads)
    predicted = ann.classes_[outputs.argmax(axis=1)]
    yield "confusion_matrix", plots.plot_confusion_matrix(data.y_test, predicted, ann.classes_)
    shape = ann.data.image_shape
    if shape is not None and shape[0] >= LEAST_IMAGE_SIDE:
        yield (
            "misclassified",
            plots.plot_misclassified(
                data.X_test, data.y_test, predicted, outputs, image_shape=shape
            ),
        )
