"""``fastmlp predict``: a saved model's predictions for the rows of a file, as csv."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.models import add_model, column_names, count_inputs, load_model, reads_sources
from fastmlp.cli.options import UsageError
from fastmlp.cli.output import check_file
from fastmlp.cli.rows import FORMATS, add_target, plain_labels, read_rows
from fastmlp.data.predicting import predict as predict_source
from fastmlp.data.source import Source
from fastmlp.files.atomic import write_atomically
from fastmlp.network.network import Network

PIECE_ROWS = 10_000
"""Rows of the table that are text at the same time."""


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
    rows = read_rows(
        options,
        needs_target=False,
        columns=column_names(model),
        as_source=reads_sources(model),
    )
    n_inputs = count_inputs(model)
    if isinstance(rows.X, Source) and n_inputs not in (None, rows.X.n_features):
        raise UsageError(
            f"{options.data} has {rows.X.n_features} columns of inputs, and the model {n_inputs}; "
            "--features a,b,c names them, --target COLUMN leaves one out"
        )
    if options.data.endswith(".csv") and rows.y is None and rows.X.shape[1] - 1 == n_inputs:
        raise UsageError(
            f"{options.data} has {rows.X.shape[1]} columns, one more than the model has inputs; "
            "--target COLUMN leaves one out, by its name or its number"
        )
    if options.outputs and not hasattr(model, "predict_proba"):
        raise UsageError(f"--outputs needs a classifier; {options.model} is none")
    header, columns = _table(model, rows.X, outputs=options.outputs)
    if options.out is None:
        for piece in _texts(header, columns):
            sys.stdout.write(piece)
    else:
        write_atomically(options.out, (piece.encode() for piece in _texts(header, columns)))
        print(f"written   {len(rows.X)} predictions in {options.out}")
    return FINISHED


def _texts(header: list[str], columns: list[NDArray[Any]]) -> Iterator[str]:
    """Yield the csv table of columns (n,) or (n, k), some rows at a time."""
    for begin in range(0, len(columns[0]), PIECE_ROWS):
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        if begin == 0:
            writer.writerow(header)
        parts = [column[begin : begin + PIECE_ROWS].astype(object) for column in columns]
        writer.writerows(np.column_stack(parts).tolist())
        yield text.getvalue()


def _predicted(model: Any, X: Any) -> NDArray[Any]:
    if isinstance(X, Source) and isinstance(model, Network):
        return predict_source(model, X)
    return np.asarray(model.predict(X))


def _table(model: Any, X: Any, *, outputs: bool) -> tuple[list[str], list[NDArray[Any]]]:
    """Return the header and the columns of the table, (n,) or (n, k)."""
    predicted = _predicted(model, X)
    word = "label" if hasattr(model, "classes_") else "prediction"
    if word == "label":
        predicted = plain_labels(predicted)
    n = 1 if predicted.ndim == 1 else predicted.shape[1]
    header = [word] if n == 1 else [f"{word}_{i}" for i in range(n)]
    columns = [predicted]
    if outputs:
        header += [f"output_{name}" for name in plain_labels(np.asarray(model.classes_))]
        columns.append(model.predict_proba(X))
    return header, columns
