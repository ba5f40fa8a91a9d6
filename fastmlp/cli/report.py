"""``fastmlp report``: all results of a folder on one page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastmlp.cli.exit_codes import FAILED, FINISHED
from fastmlp.cli.output import can_draw
from fastmlp.files.atomic import write_atomically
from fastmlp.studies import NAMES
from fastmlp.studies.lab.report import make_report

PAGE_NAME = "report.html"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp report``."""
    parser.description = (
        f"Collect the results of all studies in a folder on one page, {PAGE_NAME}, which can be "
        "read offline. The exit code is 1 if a result is damaged; the others are still shown."
    )
    parser.add_argument(
        "folder", metavar="DIR", help="folder that fastmlp study wrote to; the page goes there too"
    )


def run(options: argparse.Namespace) -> int:
    """Write the page and return the exit code, 1 if a result is damaged."""
    folder = Path(options.folder)
    if not folder.is_dir():
        raise ValueError(f"DIR must be a folder with results of studies; got {options.folder}")
    made = make_report(folder, with_figures=can_draw())
    for complaint in made.complaints:
        print(f"fastmlp: {complaint}", file=sys.stderr)
    if not made.studies and not made.complaints:
        raise ValueError(f"no results in {folder}; run one of: {', '.join(NAMES)}")
    path = folder / PAGE_NAME
    write_atomically(path, [made.html.encode()])
    missing = [name for name in NAMES if name not in made.studies]
    print(f"written   {path}: {', '.join(made.studies) or 'no study'}")
    if missing:
        print(f"missing   {', '.join(missing)}")
    return FAILED if made.complaints else FINISHED
