"""Which digits are taken for which? Confusion matrix, critical images, weights (article XI).

The articles take apart what a trained network 784-70-30-10 gets wrong: false negatives and false
positives per digit, and the images of a 4 that it stumbles over. Here, too, is what its first layer
looks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.recipes import recipe_for
from fastmlp.plots.images import _adapt_text_colors
from fastmlp.plots.style import BLUE, ORANGE, VERMILLION, styled_pyplot
from fastmlp.studies.lab.data import load_raw, scale_rows
from fastmlp.studies.lab.figures import FIGSIZE, headline
from fastmlp.studies.lab.packed import pack, unpack
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table
from fastmlp.studies.lab.training import recipe_settings
from fastmlp.studies.lab.training import train as train_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_CRITICAL = 8
N_NODES = 24


@dataclass(frozen=True)
class Config:
    """One network, and the digit whose critical images are shown."""

    data: str = "mnist"
    n_train: int | None = None
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 35
    digit: int = 4
    seed: int = 0


def configure(data: str, quick: bool) -> Config:
    """The package's settings for such a network."""
    if data == "mnist":
        return Config(n_train=20000 if quick else None)
    return Config(data, n_epochs=60)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train the network, and evaluate it on the test rows."""
    raw = load_raw(config.data, config.n_train)
    data = scale_rows(raw, recipe_for(config.data).scale)
    settings = recipe_settings(config.data)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        network, found = train_network(
            data,
            seed=case["seed"],
            n_epochs=config.n_epochs,
            hidden=config.hidden,
            keep=("train_accuracy", "test_accuracy"),
            tick=tick,
            **settings,
        )
        outputs = network.predict(data.X_test, n_threads=1)
        true = data.classes.searchsorted(data.y_test)
        rows = critical_rows(outputs, true, config.digit)
        return {
            "train_accuracy": found["train_accuracy"][-1],
            "test_accuracy": found["test_accuracy"][-1],
            **count(outputs.argmax(axis=1), true, outputs.shape[1]),
            "critical": {
                "pixels": pack(raw.X_test[rows], 0.0, raw.highest),
                "labels": true[rows],
                "outputs": rounded(outputs[rows], 4),
            },
            "weights": _strongest_nodes(network.weights, N_NODES),
        }

    (found,) = session.map(
        train_one, [{"seed": config.seed}], config=config, n_ticks=config.n_epochs
    )
    sizes = {"n_train": len(raw.X_train), "n_test": len(raw.X_test)}
    found = {name: value for name, value in found.items() if name != "seconds"}
    return session.record(config, **sizes, **found)


def count(predicted: NDArray[np.intp], true: NDArray[np.intp], n_classes: int) -> dict[str, Any]:
    """Confusion matrix (rows: true), precision and recall per class, from scikit-learn.

    A class that is never predicted has precision 0.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = np.arange(n_classes)
    precision, recall, _, _ = precision_recall_fscore_support(
        true, predicted, labels=labels, zero_division=0.0
    )
    return {
        "matrix": confusion_matrix(true, predicted, labels=labels),
        "precision": rounded(precision),
        "recall": rounded(recall),
    }


def critical_rows(
    outputs: NDArray[np.floating[Any]], true: NDArray[np.intp], digit: int
) -> NDArray[np.intp]:
    """Return the misclassified rows of `digit`, and the other rows classified as `digit`.

    Up to N_CRITICAL of each, those with the largest output first.
    """
    said, sureness = outputs.argmax(axis=1), outputs.max(axis=1)
    order = np.argsort(-sureness, kind="stable")
    missed = [row for row in order if true[row] == digit != said[row]]
    wrongly = [row for row in order if said[row] == digit != true[row]]
    return np.array(missed[:N_CRITICAL] + wrongly[:N_CRITICAL], np.intp)


def _strongest_nodes(weights: Any, n_nodes: int) -> dict[str, Any]:
    """Return the input weights of the first layer's nodes with the largest output weights."""
    first, second = weights[0][:, 1:], weights[1][:, 1:]
    nodes = np.argsort(-np.linalg.norm(second, axis=0), kind="stable")[:n_nodes]
    largest = float(rounded(np.quantile(np.abs(first[nodes]), 0.995), 3))
    return {"nodes": nodes, "values": pack(first[nodes], -largest, largest)}


def tables(result: Result) -> list[Table]:
    """Precision and recall per digit."""
    matrix = np.array(result["matrix"])
    errors = matrix - np.diag(np.diag(matrix))
    rows = []
    for digit in range(len(matrix)):
        rows.append(
            (
                str(digit),
                str(matrix[digit].sum()),
                f"{result['precision'][digit]:.4f}",
                f"{result['recall'][digit]:.4f}",
                str(errors[digit].sum()),
                str(errors[:, digit].sum()),
                _times(errors[digit]),
            )
        )
    columns = (
        "digit",
        "images",
        "precision",
        "recall",
        "false negatives",
        "false positives",
        "most often taken for",
    )
    test, train = result["test_accuracy"], result["train_accuracy"]
    title = f"Test set, accuracy {test:.4f} (training set {train:.4f})"
    return [Table(title, columns, tuple(rows))]


def _times(errors: NDArray[np.int64]) -> str:
    return f"{errors.argmax()} ({errors.max()} times)" if errors.any() else "none"


def draw(result: Result) -> dict[str, Figure]:
    """Matrix; precision and recall; critical images; weights of the first layer."""
    return {
        "matrix": _draw_matrix(result),
        "precision-recall": _draw_precision_recall(result),
        "critical": _draw_critical(result),
        "weights": _draw_weights(result),
    }


def _draw_matrix(result: Result) -> Figure:
    matrix = np.array(result["matrix"])
    errors = matrix - np.diag(np.diag(matrix))
    true, said = np.unravel_index(errors.argmax(), errors.shape)
    with styled_pyplot((9.0, 8.4)) as plt:
        from matplotlib.colors import PowerNorm
        from sklearn.metrics import ConfusionMatrixDisplay

        figure, axis = plt.subplots()
        axis.grid(False)
        shown = ConfusionMatrixDisplay(matrix).plot(
            ax=axis,
            cmap="Blues",
            colorbar=False,
            values_format="d",
            im_kw={"norm": PowerNorm(0.4, vmin=0)},
        )
        _adapt_text_colors(shown)
        axis.set_xlabel("predicted digit")
        axis.set_ylabel("true digit")
        axis.set_title("Images of the test set; colors follow a root of the counts")
        headline(
            figure,
            "What the digits are taken for",
            f"{np.trace(matrix)} of {matrix.sum()} images are right; most often a {true} is taken "
            f"for a {said}: {errors[true, said]} times",
        )
    return figure  # type: ignore[no-any-return]


def _draw_precision_recall(result: Result) -> Figure:
    precision, recall = np.array(result["precision"]), np.array(result["recall"])
    digits = np.arange(len(precision))
    missed, blamed = int(recall.argmin()), int(precision.argmin())
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        axis.plot(digits - 0.1, precision, "s", color=ORANGE, markersize=10, label="precision")
        axis.plot(digits + 0.1, recall, "o", color=BLUE, markersize=10, label="recall")
        axis.set_xticks(digits)
        axis.grid(axis="x", visible=False)
        axis.set_xlabel("digit")
        axis.set_ylabel("fraction of the images")
        axis.set_title("Precision: right among those called so; recall: found among those there")
        axis.legend(loc="best", ncols=2)
        headline(
            figure,
            "Precision and recall of every digit",
            f"The {missed} is missed most often (recall {recall[missed]:.3f}); "
            f"what is called a {blamed} is wrong most often (precision {precision[blamed]:.3f})",
        )
    return figure  # type: ignore[no-any-return]


def _draw_critical(result: Result) -> Figure:
    critical, digit = result["critical"], result["config"]["digit"]
    labels, outputs = np.array(critical["labels"]), np.array(critical["outputs"])
    pixels = unpack(critical["pixels"])
    matrix = np.array(result["matrix"])
    n_missed = matrix[digit].sum() - matrix[digit, digit]
    n_wrongly = matrix[:, digit].sum() - matrix[digit, digit]
    with styled_pyplot((10.0, 8.6)) as plt:
        figure = plt.figure()
        rows = -(-len(labels) // 4)
        for i, (label, output) in enumerate(zip(labels, outputs, strict=True)):
            left = figure.add_subplot(rows, 8, 2 * i + 1)
            _draw_image(left, pixels[i], f"true: {label}")
            right = figure.add_subplot(rows, 8, 2 * i + 2)
            _draw_outputs(right, output, label, last=i >= len(labels) - 4)
        headline(
            figure,
            f"Critical images of the {digit}",
            f"{n_missed} were taken for another digit, {n_wrongly} others for a {digit}; outputs "
            "of the surest ones, that of the true digit in red",
        )
    return figure  # type: ignore[no-any-return]


def _draw_image(axis: Axes, pixels: NDArray[np.float64], title: str) -> None:
    side = round(len(pixels) ** 0.5)
    axis.imshow(pixels.reshape(side, side), cmap="gray_r")
    axis.set_axis_off()
    axis.set_title(title, weight="normal", pad=3)


def _draw_outputs(axis: Axes, outputs: NDArray[np.float64], label: int, *, last: bool) -> None:
    colors = [VERMILLION if digit == label else BLUE for digit in range(len(outputs))]
    axis.barh(range(len(outputs)), outputs, color=colors)
    axis.set_yticks(range(len(outputs)), labels=map(str, range(len(outputs))), fontsize=8)
    axis.set_ylim(len(outputs) - 0.4, -0.6)
    axis.set_xlim(0, 1)
    axis.set_xticks([0, 1])
    axis.grid(axis="y", visible=False)
    axis.set_title(f"says {outputs.argmax()}", weight="normal", pad=3)
    if last:
        axis.set_xlabel("output")


def _draw_weights(result: Result) -> Figure:
    values = unpack(result["weights"]["values"])
    side = round(values.shape[1] ** 0.5)
    largest = result["weights"]["values"]["high"]
    with styled_pyplot((10.0, 5.4)) as plt:
        n_columns = 8
        figure, axes = plt.subplots(-(-len(values) // n_columns), n_columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, node, weights in zip(axes.flat, result["weights"]["nodes"], values, strict=False):
            image = axis.imshow(
                weights.reshape(side, side), cmap="PuOr_r", vmin=-largest, vmax=largest
            )
            axis.set_title(f"node {node}", weight="normal", pad=3)
        bar = figure.colorbar(image, ax=axes, shrink=0.7)
        bar.set_label("weight of a pixel (purple: against, orange: for)")
        headline(
            figure,
            "What the nodes of the first layer look for",
            f"What the first layer looks for: weights in the middle of the image are "
            f"{_middle_over_rim(values):.1f} times as large as at its rim "
            f"(the {len(values)} nodes that the next layer heeds most)",
        )
    return figure  # type: ignore[no-any-return]


def _middle_over_rim(values: NDArray[np.float64]) -> float:
    """Mean size of the weights in the middle quarter over that in the outermost pixels."""
    side = round(values.shape[1] ** 0.5)
    sizes = np.abs(values).mean(axis=0).reshape(side, side)
    rim = np.ones((side, side), bool)
    rim[1:-1, 1:-1] = False
    quarter = slice(side // 4, side - side // 4)
    return float(sizes[quarter, quarter].mean() / max(sizes[rim].mean(), 1e-12))


STUDY = Study(
    "confusion",
    "Which digits are taken for which, and what do the images look like?",
    configure,
    run,
    tables,
    draw,
)
