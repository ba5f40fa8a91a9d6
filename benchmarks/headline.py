"""The benchmarks of fastmlp against other libraries, with all options.

    FASTMLP_DATA=folder python benchmarks/headline.py [--json FILE] [--picture FILE.png]
    python benchmarks/headline.py --from-json FILE [--picture FILE.png]

Without --jobs it is the headline: seconds per epoch of 784-70-30-10 on MNIST. What that does not
show stands first in docs/benchmarks.md. Every contender has the same network, the same starting
weights and the same rate, in its own process per job and round; results are checked before times
are compared. The code is in fastmlp/bench; `fastmlp bench` is the short version.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from fastmlp.bench import contenders, jobs, session
from fastmlp.bench.machine import usable_processors
from fastmlp.bench.runner import Plan

INTERRUPTED = 130


def main() -> int:
    """Run, print, write; 1 if a contender failed or missed its check, 130 after Ctrl-C."""
    arguments = _arguments()
    if arguments.from_json:
        session.report_file(arguments.from_json, arguments.picture)
        return 0
    plan = Plan(
        contenders=tuple(c for c in arguments.contenders if c.installed()),
        jobs=_jobs(arguments),
        mnist=arguments.data,
        rounds=arguments.rounds,
        n_threads=arguments.threads,
        target_seconds=arguments.seconds,
        timeout_seconds=arguments.timeout,
        as_found=arguments.as_found,
    )
    not_installed = [c.name for c in arguments.contenders if not c.installed()]
    try:
        return session.run_and_report(plan, not_installed, arguments.json, arguments.picture)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    every_job = ", ".join((*jobs.GROUPS, *jobs.JOBS))
    default = tuple(c for c in contenders.CONTENDERS.values() if c.by_default)
    add("--jobs", type=_names, default=["headline"], help=f"comma-separated, of: all, {every_job}")
    add("--contenders", type=_contenders, default=default,
        help=f"comma-separated, of: all, {', '.join(contenders.CONTENDERS)}")  # fmt: skip
    add("--batch-sizes", type=_numbers, help="of the headline job, comma-separated")
    add("--rounds", type=_positive, default=5, help="processes per contender and job")
    add("--seconds", type=float, default=1.0, help="timed work per process, about")
    add("--threads", type=_positive, default=usable_processors(), help="default: all usable")
    add("--rows", type=_positive, help="at most this many training rows, for a quick look")
    add("--timeout", type=float, default=900.0, help="seconds per process")
    add("--as-found", action="store_true", help="keep variables that choose OpenBLAS's kernels")
    add("--data", type=Path, default=session.find_mnist(), help="mnist.npz in Keras' layout")
    add("--json", type=Path, help="write everything measured to this file")
    add("--picture", type=Path, help="write a bar chart to this file (needs matplotlib)")
    add("--from-json", type=Path, help="measure nothing, print the table of this result")
    arguments = parser.parse_args()
    if arguments.picture and find_spec("matplotlib") is None:
        parser.error("--picture needs matplotlib, which is not installed")
    if arguments.data is not None and not arguments.data.exists():
        parser.error(f"no such data file: {arguments.data}")
    try:
        jobs.select(arguments.jobs)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _jobs(arguments: argparse.Namespace) -> tuple[jobs.Job, ...]:
    """The jobs named; --batch-sizes replaces those of the headline."""
    chosen = jobs.select(arguments.jobs, arguments.rows)
    if arguments.batch_sizes is None:
        return chosen
    n_rows = min(arguments.rows or jobs.N_MNIST, jobs.N_MNIST)
    others = tuple(job for job in chosen if not job.name.startswith("headline"))
    return tuple(jobs.headline(b, n_rows) for b in arguments.batch_sizes) + others


def _names(text: str) -> list[str]:
    return text.split(",")


def _contenders(text: str) -> tuple[contenders.Contender, ...]:
    """Contenders from a comma-separated list of names."""
    try:
        return contenders.select(_names(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    """Positive whole numbers from a comma-separated list."""
    return tuple(_positive(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
