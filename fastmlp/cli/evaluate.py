"""``fastmlp evaluate``: a saved model on rows whose results are known."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.models import add_model, column_names, load_model, reads_sources
from fastmlp.cli.options import UsageError
from fastmlp.cli.output import can_draw, class_names, prepare_folder, report_written, write_figures
from fastmlp.cli.rows import FORMATS, RowsToPredict, add_target, plain_labels, read_rows
from fastmlp.files.json_file import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CONFUSIONS = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp evaluate``."""
    parser.description = (
        "Evaluate a saved model on rows whose labels or targets are known: accuracy and errors of "
        "every class, or R^2 and the mean absolute error."
    )
    add_model(parser)
    parser.add_argument("--data", metavar="NAME|PATH", required=True, help=FORMATS)
    add_target(parser, "has the labels or targets")
    parser.add_argument(
        "--out", metavar="DIR", help="write evaluation.json and, for labels, figures to this folder"
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate, print and, with --out, write; bad input raises."""
    folder = None if options.out is None else prepare_folder(options.out)
    model = load_model(options.model)
    if not hasattr(model, "score"):
        raise UsageError(
            f"a {type(model).__name__} does not know its classes, and cannot be evaluated; "
            "fastmlp predict prints its outputs"
        )
    rows = read_rows(
        options, needs_target=True, columns=column_names(model), as_source=reads_sources(model)
    )
    predicted = np.asarray(model.predict(rows.X))
    is_classifier = hasattr(model, "classes_")
    result = _classification if is_classifier else _regression
    facts = result(model, rows, predicted)
    print(f"{rows.source}: {len(rows.X)} rows, " + facts.pop("sentence"))
    for line in facts.pop("lines"):
        print(f"  {line}")
    if folder is not None:
        content = {"model": options.model, "data": options.data, "n_rows": len(rows.X)} | facts
        write_json(folder / "evaluation.json", content)
        written = ["evaluation.json"]
        if is_classifier and predicted.ndim == 1 and can_draw():
            written += write_figures(folder, _figures(model, rows, predicted))
        report_written(written, folder)
    return FINISHED


def _classification(model: Any, rows: RowsToPredict, predicted: NDArray[Any]) -> dict[str, Any]:
    """Return the facts about labels: accuracy, and how many rows of every class are wrong."""
    assert rows.y is not None
    accuracy = rows.score(model)
    y, predicted = plain_labels(rows.y), plain_labels(predicted)
    lines, classes = [], {}
    for label in np.unique(y).tolist():
        of_class = y == label
        wrong = predicted[of_class] != label
        classes[str(label)] = {"rows": int(of_class.sum()), "wrong": int(wrong.sum())}
        others, counts = np.unique(predicted[of_class][wrong], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_CONFUSIONS]
        taken = ", ".join(f"{others[i]} ({counts[i]})" for i in order)
        line = f"class {label}: {wrong.sum()} of {of_class.sum()} wrong"
        lines.append(line + (f", taken for {taken}" if taken else ""))
    return {
        "accuracy": accuracy,
        "classes": classes,
        "sentence": f"accuracy {accuracy:.4f}",
        "lines": lines,
    }


def _regression(model: Any, rows: RowsToPredict, predicted: NDArray[Any]) -> dict[str, Any]:
    """Return the facts about numbers: the score and, for one output, the mean absolute error."""
    y = rows.y
    assert y is not None
    score = rows.score(model)
    facts = {"score": score, "sentence": f"score {score:.4f}", "lines": []}
    if predicted.shape == y.shape:
        error = float(np.abs(y - predicted).mean())
        facts["mean_absolute_error"] = error
        facts["sentence"] = f"R^2 {score:.4f}, mean absolute error {error:.4g}"
    return facts


def _figures(model: Any, rows: RowsToPredict, predicted: Any) -> Iterator[tuple[str, Figure]]:
    from fastmlp import plots

    assert rows.y is not None
    y, labels, classes = (plain_labels(np.asarray(a)) for a in (rows.y, predicted, model.classes_))
    names = class_names(rows.source, classes)
    yield "confusion_matrix", plots.plot_confusion_matrix(y, labels, classes, names=names)
