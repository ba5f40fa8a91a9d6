"""The benchmarks of fastmlp against other libraries, with all options.

    FASTMLP_DATA=folder python benchmarks/headline.py [--json FILE] [--figure FILE.png]
    python benchmarks/headline.py --from-json FILE [--markdown] [--figure FILE.png]

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
from fastmlp.cli.options import Parser, UsageError, integer, integers, positive

BAD_INPUT, INTERRUPTED = 2, 130


def main() -> int:
    """Run, print, write; 1 if a contender failed or missed its check, 2 for bad input, 130 after
    Ctrl-C.
    """
    try:
        arguments = _arguments()
        if arguments.from_json:
            return _report(arguments)
    except (UsageError, ValueError) as error:
        print(f"headline.py: error: {error}", file=sys.stderr)
        return BAD_INPUT
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
        return session.run_and_report(plan, not_installed, arguments.json, arguments.figure)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _report(arguments: argparse.Namespace) -> int:
    """Print and draw what is in a file."""
    if arguments.markdown:
        session.markdown_file(arguments.from_json)
    else:
        session.report_file(arguments.from_json, arguments.figure)
    return 0


def _arguments() -> argparse.Namespace:
    """The command line."""
    parser = Parser(
        description=(__doc__ or "").splitlines()[0],
        epilog=f"{jobs.listing()}\n{contenders.listing()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    usual = tuple(c for c in contenders.CONTENDERS.values() if c.by_default)
    add(
        "--jobs",
        type=_names,
        default=["headline"],
        metavar="A,B",
        help="names of jobs or groups; default: headline",
    )
    add(
        "--contenders",
        type=_contenders,
        default=usual,
        metavar="A,B",
        help="default: all that are installed but torch-compile",
    )
    add("--batch-sizes", type=integers("--batch-sizes"), metavar="N,N", help="of the headline job")
    add(
        "--rounds",
        type=integer("--rounds", 1),
        default=5,
        metavar="N",
        help="processes per contender and job; default 5",
    )
    add(
        "--seconds",
        type=positive("--seconds"),
        default=1.0,
        metavar="X",
        help="timed work per process, about; default 1",
    )
    add(
        "--threads",
        type=integer("--threads", 1),
        default=usable_processors(),
        metavar="N",
        help="default: the usable processors",
    )
    add(
        "--rows",
        type=integer("--rows", 1),
        metavar="N",
        help="at most this many training rows, for a quick look",
    )
    add(
        "--timeout",
        type=positive("--timeout"),
        default=900.0,
        metavar="X",
        help="seconds per process; default 900",
    )
    add("--as-found", action="store_true", help="keep variables that choose OpenBLAS's kernels")
    add(
        "--data",
        type=Path,
        default=session.find_mnist(),
        metavar="PATH",
        help="mnist.npz in Keras' layout or a folder of IDX files; default: as found",
    )
    add("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    add("--figure", type=Path, metavar="FILE", help="write a bar chart (needs matplotlib)")
    add(
        "--from-json",
        type=Path,
        metavar="FILE",
        help="measure nothing, print the table of this result",
    )
    add("--markdown", action="store_true", help="print it as in docs/benchmarks.md")
    arguments = parser.parse_args()
    if arguments.from_json and not arguments.from_json.is_file():
        parser.error(f"no such result file: {arguments.from_json}")
    if arguments.markdown and not arguments.from_json:
        parser.error("--markdown prints a result that is there: give --from-json too")
    if arguments.figure and find_spec("matplotlib") is None:
        parser.error("--figure needs matplotlib, which is not installed")
    if arguments.data is not None and not arguments.data.exists():
        parser.error(f"no such data file: {arguments.data}")
    jobs.select(arguments.jobs)  # refuses unknown names
    return arguments


def _jobs(arguments: argparse.Namespace) -> tuple[jobs.Job, ...]:
    """The jobs named; --batch-sizes replaces those of the headline."""
    chosen = jobs.select(arguments.jobs, arguments.rows)
    if not arguments.batch_sizes:
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
        raise UsageError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
