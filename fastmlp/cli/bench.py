"""``fastmlp bench``: the benchmark against the libraries that are installed here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from fastmlp.bench import contenders, jobs, session
from fastmlp.bench.adapters import Job
from fastmlp.bench.runner import Plan
from fastmlp.engine.threads import MAX_THREADS, resolve_threads

T = TypeVar("T")
ROUNDS = 5
QUICK_SECONDS, ALL_SECONDS = 0.3, 1.0
QUICK_ROWS = 20_000
QUICK_BUDGET_SECONDS = 105.0
"""Begin no process that is expected to end later, so that the whole stays below two minutes."""

QUICK_TIMEOUT_SECONDS, ALL_TIMEOUT_SECONDS = 30.0, 900.0


def add_bench_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``fastmlp bench`` to its parser.

    Values are read here and checked by `bench`, with sentences.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Time fastmlp against the libraries that are installed, each in its own process,\n"
        "and print a table for this machine. Without options: a selection, in less than\n"
        "two minutes. docs/benchmarks.md says what the jobs and contenders are."
    )
    parser.epilog = f"{jobs.listing()}\n{contenders.listing()}"
    add = parser.add_argument
    add("--all", action="store_true", help="all jobs and contenders, all rows, no limit of time")
    add("--jobs", metavar="A,B",
        help=f"names of jobs or groups; default: {', '.join(jobs.QUICK_JOBS)}")  # fmt: skip
    usual = ", ".join(contenders.QUICK_CONTENDERS)
    add("--contenders", metavar="A,B", help=f"default: of {usual} those that are installed")
    add("--rounds", metavar="N", help=f"processes per contender and job; default {ROUNDS}")
    add("--seconds", metavar="X", help=f"timed work per process; default {QUICK_SECONDS}")
    add("--budget", metavar="X",
        help=f"seconds for everything, rounds that do not fit are left out; "
        f"default {QUICK_BUDGET_SECONDS:g}, with --all none")  # fmt: skip
    add("--rows", metavar="N",
        help=f"training rows at most; default {QUICK_ROWS}, with --all no limit")  # fmt: skip
    add("--threads", metavar="N",
        help="default: OPENBLAS_NUM_THREADS, OMP_NUM_THREADS or the usable processors")  # fmt: skip
    add("--as-found", action="store_true", help="keep variables that choose OpenBLAS's kernels")
    add("--json", metavar="FILE", type=Path, help="write everything measured to this file")
    add("--picture", metavar="FILE", type=Path, help="write a bar chart (needs matplotlib)")


def bench(options: argparse.Namespace) -> int:
    """Run ``fastmlp bench`` and return its exit code: 1 if a contender failed or missed its check.

    Raises
    ------
    ValueError, TypeError, OSError
        With a sentence for the user, before anything runs.
    KeyboardInterrupt
        After Ctrl-C, when the running process has been ended.
    """
    if options.picture and find_spec("matplotlib") is None:
        raise ValueError("--picture needs matplotlib; pip install 'fastmlp[plots]' brings it")
    wanted = _wanted_contenders(options)
    plan = Plan(
        contenders=tuple(c for c in wanted if c.installed()),
        jobs=_wanted_jobs(options),
        mnist=session.find_mnist(),
        rounds=_number(int, "--rounds", options.rounds, ROUNDS),
        n_threads=_n_threads(options),
        target_seconds=_number(
            float, "--seconds", options.seconds, ALL_SECONDS if options.all else QUICK_SECONDS
        ),
        timeout_seconds=ALL_TIMEOUT_SECONDS if options.all else QUICK_TIMEOUT_SECONDS,
        as_found=options.as_found,
        budget_seconds=_number(
            float, "--budget", options.budget, None if options.all else QUICK_BUDGET_SECONDS
        ),
    )
    not_installed = [c.name for c in wanted if not c.installed()]
    return session.run_and_report(plan, not_installed, options.json, options.picture)


def _wanted_contenders(options: argparse.Namespace) -> tuple[contenders.Contender, ...]:
    if options.contenders is not None:
        return contenders.select(_names(options.contenders))
    return contenders.select(("all",) if options.all else contenders.QUICK_CONTENDERS)


def _wanted_jobs(options: argparse.Namespace) -> tuple[Job, ...]:
    names: Iterable[str] = ("all",) if options.all else jobs.QUICK_JOBS
    if options.jobs is not None:
        names = _names(options.jobs)
    most = None if options.all else QUICK_ROWS
    return jobs.select(names, _number(int, "--rows", options.rows, most))


def _n_threads(options: argparse.Namespace) -> int:
    """What is given, or what a training would use."""
    given = _number(int, "--threads", options.threads, None)
    if given is not None and given > MAX_THREADS:
        raise ValueError(f"--threads must be at most {MAX_THREADS}; got {given}")
    return resolve_threads(given).n_threads


def _names(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in text.split(",")]


def _number(kind: Callable[[str], T], name: str, text: str | None, otherwise: T) -> T:
    """A positive number, or `otherwise` where nothing was given."""
    if text is None:
        return otherwise
    try:
        value = kind(text)
    except ValueError:
        value = kind("0")
    if not value > kind("0"):  # type: ignore[operator]
        what = "a whole number of at least 1" if kind is int else "a number above 0"
        raise ValueError(f"{name} must be {what}; got {text!r}")
    return value
