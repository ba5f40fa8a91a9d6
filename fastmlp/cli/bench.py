"""``fastmlp bench``: fastmlp against the other libraries that are installed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from fastmlp.bench import contenders, jobs, session
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.runner import Plan
from fastmlp.cli.options import UsageError, add_threads, integer, positive
from fastmlp.engine.threads import resolve_threads

ROUNDS = 5
QUICK_SECONDS, ALL_SECONDS = 0.3, 1.0
QUICK_ROWS = 20_000
QUICK_BUDGET_SECONDS = 105.0
"""Start no process that is expected to end later, so that the whole stays below two minutes."""

QUICK_TIMEOUT_SECONDS, ALL_TIMEOUT_SECONDS = 30.0, 900.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp bench``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Time fastmlp and the other libraries that are installed, each in its own process,\n"
        "and print a table for this machine. Without options: a selection of jobs that takes\n"
        "less than two minutes. docs/benchmarks.md describes jobs and contenders."
    )
    parser.epilog = f"{jobs.listing()}\n{contenders.listing()}"
    add = parser.add_argument
    add("--all", action="store_true", help="all jobs, contenders and rows, without a time limit")
    add(
        "--jobs",
        metavar="A,B",
        help=f"names of jobs or groups; default: {', '.join(jobs.QUICK_JOBS)}",
    )
    add(
        "--contenders",
        metavar="A,B",
        help="names of contenders; default: the installed ones of "
        f"{', '.join(contenders.QUICK_CONTENDERS)}",
    )
    add(
        "--rounds",
        metavar="N",
        type=integer("--rounds", 1),
        default=ROUNDS,
        help=f"processes per contender and job; default {ROUNDS}",
    )
    add(
        "--seconds",
        metavar="X",
        type=positive("--seconds"),
        help=f"timed work per process; default {QUICK_SECONDS}, with --all {ALL_SECONDS}",
    )
    add(
        "--budget",
        metavar="X",
        type=positive("--budget"),
        help="seconds for the whole run; rounds that do not fit are skipped; "
        f"default {QUICK_BUDGET_SECONDS:g}, with --all no limit",
    )
    add(
        "--rows",
        metavar="N",
        type=integer("--rows", 1),
        help=f"largest number of training rows; default {QUICK_ROWS}, with --all no limit",
    )
    add_threads(parser)
    add(
        "--as-found",
        action="store_true",
        help="keep the environment variables that select OpenBLAS's kernels",
    )
    add("--json", metavar="FILE", type=Path, help="write all measurements to this file")
    add("--figure", metavar="FILE", type=Path, help="write a bar chart (needs matplotlib)")


def run(options: argparse.Namespace) -> int:
    """Run the benchmark and return 1 if a contender failed or missed its check.

    Raises
    ------
    UsageError, ValueError, TypeError, OSError
        With a sentence for the user, before anything runs.
    KeyboardInterrupt
        After Ctrl-C, when the running process has been ended.
    """
    if options.figure and find_spec("matplotlib") is None:
        raise UsageError('--figure needs matplotlib: pip install "fastmlp[plots]"')
    wanted = _wanted_contenders(options)
    plan = Plan(
        contenders=tuple(c for c in wanted if c.installed()),
        jobs=_wanted_jobs(options),
        mnist=session.find_mnist(),
        rounds=options.rounds,
        n_threads=resolve_threads(options.threads).n_threads,
        target_seconds=options.seconds or (ALL_SECONDS if options.all else QUICK_SECONDS),
        timeout_seconds=ALL_TIMEOUT_SECONDS if options.all else QUICK_TIMEOUT_SECONDS,
        as_found=options.as_found,
        budget_seconds=options.budget or (None if options.all else QUICK_BUDGET_SECONDS),
    )
    not_installed = [c.name for c in wanted if not c.installed()]
    return session.run_and_report(plan, not_installed, options.json, options.figure)


def _wanted_contenders(options: argparse.Namespace) -> tuple[contenders.Contender, ...]:
    if options.contenders is not None:
        return contenders.select(_names(options.contenders))
    return contenders.select(("all",) if options.all else contenders.QUICK_CONTENDERS)


def _wanted_jobs(options: argparse.Namespace) -> tuple[Job, ...]:
    names: Iterable[str] = ("all",) if options.all else jobs.QUICK_JOBS
    if options.jobs is not None:
        names = _names(options.jobs)
    return jobs.select(names, options.rows or (None if options.all else QUICK_ROWS))


def _names(text: str) -> list[str]:
    """Return the parts of a comma-separated list."""
    return [part.strip() for part in text.split(",")]
