"""``fastmlp report``: all results of a folder on one page."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

MADE, DAMAGED = 0, 1
PAGE_NAME = "report.html"


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp report``."""
    parser.description = (
        f"Put the results of all studies in a folder on one page, {PAGE_NAME}, that needs no "
        "network. Exit code 1 if a result is damaged; the others are shown all the same."
    )
    parser.add_argument(
        "folder", metavar="DIR", help="folder that fastmlp study wrote into; the page goes there"
    )


def report(options: argparse.Namespace) -> int:
    """Run ``fastmlp report`` and return its exit code."""
    from fastmlp.files.atomic import write_atomically
    from fastmlp.studies import NAMES
    from fastmlp.studies.lab.report import make_report

    folder = Path(options.folder)
    if not folder.is_dir():
        raise ValueError(f"DIR must be a folder with results of studies; got {options.folder}")
    with_figures = find_spec("matplotlib") is not None
    if with_figures:
        from fastmlp.plots.style import import_pyplot

        import_pyplot().switch_backend("Agg")
    else:
        print('fastmlp: pictures need matplotlib: pip install "fastmlp[plots]"', file=sys.stderr)
    made = make_report(folder, with_figures=with_figures)
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
    return DAMAGED if made.complaints else MADE
