"""``fastmlp report``: all results of a folder on one page."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastmlp.cli.exit_codes import FAILED, FINISHED
from fastmlp.cli.output import can_draw, draw_into, report_written, run_figures
from fastmlp.cli.summary import HISTORY_NAME, rows_of_sets
from fastmlp.datasets.loading import NAMES as DATA_SETS
from fastmlp.exchange.saving import MODEL_NAME
from fastmlp.files.atomic import write_atomically
from fastmlp.studies import NAMES
from fastmlp.studies.lab.report import make_report
from fastmlp.training.checkpoints.folder import checkpoint_numbers

PAGE_NAME = "report.html"
FOLDERS = (
    "the folder of a run (fastmlp train --out DIR) or of studies (fastmlp study NAME --out DIR)"
)
CNN_NAME = "model.keras"
CONFUSION_NAME = "confusion_matrix.png"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp report``."""
    parser.description = (
        f"Collect the results of all studies in a folder on one page, {PAGE_NAME}, which can be "
        "read offline. The exit code is 1 if a result is damaged; the others are still shown. In a "
        "folder that fastmlp train wrote to, draw the figures of that run, except those of its "
        "predictions: the confusion matrix is drawn by fastmlp evaluate --out."
    )
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="folder that fastmlp study or fastmlp train wrote to; page and figures go there too",
    )


def run(options: argparse.Namespace) -> int:
    """Write the page and return the exit code, 1 if a result is damaged."""
    folder = Path(options.folder)
    if not folder.is_dir():
        reason = (
            f"is a file; its folder is {folder.parent}" if folder.exists() else "does not exist"
        )
        raise ValueError(f"DIR must be {FOLDERS}; {options.folder} {reason}")
    if (folder / CNN_NAME).is_file():
        raise ValueError(
            f"DIR must be {FOLDERS}; {folder} is of fastmlp cnn train, which has drawn its figures"
        )
    if (folder / HISTORY_NAME).is_file():
        return _draw_run(folder)
    made = make_report(folder, with_figures=can_draw())
    for complaint in made.complaints:
        print(f"fastmlp: {complaint}", file=sys.stderr)
    if not made.studies and not made.complaints:
        found = "checkpoints alone" if checkpoint_numbers(folder) else "neither"
        raise ValueError(
            f"DIR must be {FOLDERS}; {folder} has {found}. A run has {HISTORY_NAME}; the studies "
            f"are {', '.join(NAMES)}"
        )
    path = folder / PAGE_NAME
    write_atomically(path, [made.html.encode()])
    missing = [name for name in NAMES if name not in made.studies]
    print(f"written   {path}: {', '.join(made.studies) or 'no study'}")
    if missing:
        print(f"missing   {', '.join(missing)}")
    return FAILED if made.complaints else FINISHED


def _draw_run(folder: Path) -> int:
    """Draw the figures of a run from its history.json."""
    path = folder / HISTORY_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(record, dict) or not record.get("n_epochs"):
        raise ValueError(f"{path} has no finished epoch, and nothing to draw")
    written = draw_into(folder, run_figures(record, rows_of_sets(record)))
    report_written(written, folder)
    if written and not (folder / CONFUSION_NAME).is_file():
        print(f"confusion {_evaluation(folder, record)}")
    return FINISHED if written else FAILED


def _evaluation(folder: Path, record: Mapping[str, Any]) -> str:
    """Return how the confusion matrix of a run is drawn, which the history does not hold."""
    if not (folder / MODEL_NAME).is_file():
        return f"no matrix: {folder} has no {MODEL_NAME}"
    data = record.get("data")
    name = data.get("name") if isinstance(data, Mapping) else None
    data_set = name if name in DATA_SETS else "PATH"
    quoted = shlex.quote(str(folder))
    return f"fastmlp evaluate {quoted} --data {data_set} --out {quoted} draws the matrix"
