"""``fastmlp study``: run an experiment of the articles, and show what it found."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastmlp.cli.exit_codes import ENDINGS, FINISHED, code_of
from fastmlp.cli.options import add_threads
from fastmlp.cli.output import can_draw, prepare_folder, report_written
from fastmlp.datasets.loading import default_name
from fastmlp.exceptions import DataFormatError
from fastmlp.files.json_file import write_json
from fastmlp.studies import NAMES, find_study
from fastmlp.studies.lab.progress import choose_progress
from fastmlp.studies.lab.results import read_result, result_path
from fastmlp.studies.lab.session import Session
from fastmlp.studies.lab.study import Study

DEFAULT_FOLDER = "studies"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp study``."""
    parser.description = (
        "Repeat an experiment of the articles and compare the results with the published ones. "
        "An interrupted study keeps its finished parts; the same command resumes it."
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="name of a study, or 'list' for all names")
    add("--quick", action="store_true", help="smaller settings that take less than 30 seconds")
    add(
        "--out",
        metavar="DIR",
        default=DEFAULT_FOLDER,
        help=f"folder for results and figures; default {DEFAULT_FOLDER}",
    )
    add("--draw", action="store_true", help="redraw the figures of a stored result")
    add_threads(parser, "number of configurations that run in parallel")


def run(options: argparse.Namespace) -> int:
    """Run or redraw a study and return the exit code; bad input raises before any work."""
    if options.name == "list":
        width = max(map(len, NAMES))
        print("\n".join(f"{name:<{width}}  {find_study(name).question}" for name in NAMES))
        return FINISHED
    study = find_study(options.name)
    path = result_path(Path(options.out), study.name, options.quick)
    if options.draw and not path.exists():
        raise ValueError(f"--draw needs the result {path}; run the study without --draw first")
    folder = prepare_folder(options.out)
    with_figures = can_draw()
    if options.draw:
        result = read_result(path, study.name)
    else:
        session = _open_session(study, folder, options)
        code = _run(study, session, path, options.quick)
        if code != FINISHED:
            return code
        result = read_result(path, study.name)
    _show(study, result, path, with_figures)
    return FINISHED


def _open_session(study: Study, folder: Path, options: argparse.Namespace) -> Session:
    return Session(
        study.name,
        folder,
        quick=options.quick,
        n_threads=options.threads,
        progress=choose_progress(),
    )


def _run(study: Study, session: Session, path: Path, quick: bool) -> int:
    """Run, and write the result; after Ctrl-C or SIGTERM, report what is kept."""
    config = study.configure(default_name(), quick)
    print(f"{study.name}: {study.question}\n{_describe(config)}", flush=True)
    try:
        result = study.run(config, session)
    except KeyboardInterrupt as interrupt:
        code = code_of(interrupt)
        kept = f"{session.n_kept} finished configuration{'' if session.n_kept == 1 else 's'}"
        print(
            f"fastmlp: {ENDINGS[code]}; {kept} kept, the same command resumes from there",
            file=sys.stderr,
        )
        return code
    for complaint in session.complaints:
        print(f"fastmlp: {complaint}", file=sys.stderr)
    write_json(path, result)
    session.forget()
    return FINISHED


def _describe(config: Any) -> str:
    """Return, for example, "data mnist, seeds 0 1 2"."""
    strings = []
    for name, value in asdict(config).items():
        if value is not None:
            text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            strings.append(f"{name} {text}")
    return ", ".join(strings)


def _show(study: Study, result: dict[str, Any], path: Path, with_figures: bool) -> None:
    """Print the tables and, if wanted, write the figures next to the result.

    Raises
    ------
    DataFormatError
        If the result lacks what they show.
    """
    written = [path.name]
    try:
        print("\n" + "\n\n".join(table.as_text() for table in study.tables(result)) + "\n")
        if with_figures:
            written += _draw(study, result, path)
    except (OSError, ImportError):
        raise
    except Exception as error:  # whatever a damaged file makes tables and figures raise
        raise DataFormatError(
            f"{path}: damaged: no complete result of {study.name} ({error!r})"
        ) from error
    report_written(written, path.parent)


def _draw(study: Study, result: dict[str, Any], path: Path) -> list[str]:
    from fastmlp.studies.lab.figures import write_figures

    return [written.name for written in write_figures(study.draw(result), path.parent, path.stem)]
