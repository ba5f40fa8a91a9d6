"""``fastmlp predict``: a saved model's predictions for the rows of a file, as csv."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.models import add_model, column_names, count_inputs, load_model
from fastmlp.cli.options import UsageError
from fastmlp.cli.output import check_file
from fastmlp.cli.rows import FORMATS, add_target, plain_labels, read_rows
from fastmlp.files.atomic import write_atomically


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp predict``."""
    parser.description = (
        "Predict with a saved model. The result is a csv table with one line per row, on stdout or "
        "in a file: the label or the predicted number, and with --outputs the outputs of all "
        "classes, or probabilities."
    )
    add_model(parser)
    parser.add_argument("--data", metavar="NAME|PATH", required=True, help=FORMATS)
    add_target(parser, "is left out")
    parser.add_argument("--out", metavar="FILE", help="write the table to this file")
    parser.add_argument(
        "--outputs", action="store_true", help="also the outputs or probabilities of all classes"
    )


def run(options: argparse.Namespace) -> int:
    """Predict and write; bad input raises."""
    if options.out is not None:
        check_file("--out", options.out)
    model = load_model(options.model)
    rows = read_rows(options.data, options.target, needs_target=False, columns=column_names(model))
    n_inputs = count_inputs(model)
    if options.data.endswith(".csv") and rows.y is None and rows.X.shape[1] - 1 == n_inputs:
        raise UsageError(
            f"{options.data} has {rows.X.shape[1]} columns, one more than the model has inputs; "
            "--target COLUMN leaves one out, by its name or its number"
        )
    if options.outputs and not hasattr(model, "predict_proba"):
        raise UsageError(f"--outputs needs a classifier; {options.model} is none")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(_table(model, rows.X, outputs=options.outputs))
    if options.out is None:
        sys.stdout.write(text.getvalue())
    else:
        write_atomically(options.out, [text.getvalue().encode()])
        print(f"written   {len(rows.X)} predictions in {options.out}")
    return FINISHED


def _table(model: Any, X: Any, *, outputs: bool) -> Iterator[Sequence[object]]:
    """Yield the header and the rows of the table."""
    predicted = np.asarray(model.predict(X))
    word = "label" if hasattr(model, "classes_") else "prediction"
    if word == "label":
        predicted = plain_labels(predicted)
    columns = predicted[:, np.newaxis] if predicted.ndim == 1 else predicted
    n = columns.shape[1]
    header = [word] if n == 1 else [f"{word}_{i}" for i in range(n)]
    if outputs:
        header += [f"output_{name}" for name in plain_labels(np.asarray(model.classes_))]
        columns = np.column_stack([columns.astype(object), model.predict_proba(X)])
    yield header
    yield from columns.tolist()
