"""``fastmlp study``: the articles' experiments, run, drawn, and set beside what was published."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp.cli.options import _integer
from fastmlp.cli.output import prepare_folder
from fastmlp.engine.threads import MAX_THREADS
from fastmlp.exceptions import DataFormatError

if TYPE_CHECKING:
    from fastmlp.studies.lab.session import Session
    from fastmlp.studies.lab.study import Study

FINISHED, INTERRUPTED = 0, 130
DEFAULT_FOLDER = "studies"


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp study``."""
    parser.description = (
        "Repeat an experiment of the articles; what is finished when it is stopped is kept, and "
        "the same command goes on from there."
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="of a study, or list")
    add("--quick", action="store_true", help="smaller settings: less than 30 seconds")
    add("--out", metavar="DIR", default=DEFAULT_FOLDER,
        help=f"folder for results and pictures; default {DEFAULT_FOLDER}")  # fmt: skip
    add("--draw", action="store_true", help="draw the stored result again, without running")
    add("--threads", metavar="N", type=_integer("--threads", 1, MAX_THREADS),
        help="networks at once; default: as for training")  # fmt: skip


def study(options: argparse.Namespace) -> int:
    """Run ``fastmlp study`` and return its exit code; bad input raises before any work."""
    from fastmlp.studies import NAMES, find_study
    from fastmlp.studies.lab.results import read_result, result_path

    if options.name == "list":
        width = max(map(len, NAMES))
        print("\n".join(f"{name:<{width}}  {find_study(name).question}" for name in NAMES))
        return FINISHED
    chosen = find_study(options.name)
    path = result_path(Path(options.out), chosen.name, options.quick)
    if options.draw and not path.exists():
        raise ValueError(f"--draw needs the result {path}, which the study writes without --draw")
    folder = prepare_folder(options.out)
    _warn_without_pictures()
    if options.draw:
        result = read_result(path, chosen.name)
    else:
        session = _open_session(chosen, folder, options)
        code = _run(chosen, session, path, options.quick)
        if code != FINISHED:
            return code
        result = read_result(path, chosen.name)
    _show(chosen, result, path)
    return FINISHED


def _open_session(chosen: Study, folder: Path, options: argparse.Namespace) -> Session:
    from fastmlp.studies.lab.progress import choose_progress
    from fastmlp.studies.lab.session import Session

    return Session(
        chosen.name, folder, quick=options.quick, n_threads=options.threads,
        progress=choose_progress(),
    )  # fmt: skip


def _run(chosen: Study, session: Session, path: Path, quick: bool) -> int:
    """Run, and write the result; Ctrl-C is told, with what is kept."""
    from fastmlp.files.json_file import write_json
    from fastmlp.studies.lab.data import choose_data

    config = chosen.configure(choose_data(), quick)
    print(f"{chosen.name}: {chosen.question}\n{_describe(config)}", flush=True)
    try:
        result = chosen.run(config, session)
    except KeyboardInterrupt:
        kept = f"{session.n_kept} finished configuration{'' if session.n_kept == 1 else 's'}"
        print(
            f"fastmlp: interrupted; {kept} kept, the same command goes on from there",
            file=sys.stderr,
        )
        return INTERRUPTED
    for complaint in session.complaints:
        print(f"fastmlp: {complaint}", file=sys.stderr)
    write_json(path, result)
    session.forget()
    return FINISHED


def _describe(config: Any) -> str:
    """For example "data mnist, seeds 0 1 2"."""
    from dataclasses import asdict

    texts = []
    for name, value in asdict(config).items():
        if value is not None:
            text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            texts.append(f"{name} {text}")
    return ", ".join(texts)


def _show(chosen: Study, result: dict[str, Any], path: Path) -> None:
    """Tables on stdout, and pictures beside the result where matplotlib is.

    Raises
    ------
    DataFormatError
        If the result lacks what they show.
    """
    written = [path.name]
    try:
        print("\n" + "\n\n".join(table.as_text() for table in chosen.tables(result)) + "\n")
        if find_spec("matplotlib") is not None:
            written += _draw(chosen, result, path)
    except (OSError, ImportError):
        raise
    except Exception as error:  # whatever a damaged file makes tables and figures raise
        raise DataFormatError(
            f"{path}: damaged: no complete result of {chosen.name} ({error!r})"
        ) from error
    print(f"written   {', '.join(written)} in {path.parent}")


def _draw(chosen: Study, result: dict[str, Any], path: Path) -> list[str]:
    from fastmlp.plots.style import import_pyplot
    from fastmlp.studies.lab.figures import write_figures

    import_pyplot().switch_backend("Agg")
    paths = write_figures(chosen.draw(result), path.parent, path.stem)
    return [picture.name for picture in paths]


def _warn_without_pictures() -> None:
    if find_spec("matplotlib") is None:
        print('fastmlp: pictures need matplotlib: pip install "fastmlp[plots]"', file=sys.stderr)
