"""The headline benchmark: seconds per epoch of 784-70-30-10 on MNIST, against other libraries.

    FASTMLP_DATA=folder python benchmarks/headline.py [--json FILE] [--picture FILE.png]

What it does not show: other networks (wide layers, relu, Adam), other data, prediction, graphics
cards, the time to import or compile a library, how much accuracy a library could reach with its
own best settings, or the best loop an expert could write in it. benchmarks/README.md says more.

Every contender trains the same network from the same starting weights with the same rate, in its
own process per batch size and round; accuracies are compared before times are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import report
from contenders import CONTENDERS, Contender
from jobs import N_MNIST, headline
from machine import usable_processors
from runner import Plan, run

BATCH_SIZES = (32, 500, 20_000)


def main() -> int:
    """Run, print, write; 1 if a contender failed or missed the reference's accuracy."""
    arguments = _arguments()
    plan, not_installed = _plan(arguments)
    records = run(plan)
    rows = report.summarise(records, plan.jobs)
    print(report.table(rows, plan.jobs, not_installed), report.where(records), sep="\n\n")
    if arguments.json:
        content = report.as_json(_settings(plan), rows, records, not_installed)
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    if arguments.picture:
        _draw(arguments.picture, rows, plan, records)
    return int(any(row.check in ("FAILS", "error") for row in rows))


def _arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--contenders", type=_names, help=f"comma-separated, of: {', '.join(CONTENDERS)}")
    add("--batch-sizes", type=_numbers, default=BATCH_SIZES, help="comma-separated")
    add("--rounds", type=_positive, default=5, help="processes per contender and batch size")
    add("--seconds", type=float, default=1.0, help="timed training per process, about")
    add("--threads", type=_positive, default=usable_processors(), help="default: all usable")
    add("--rows", type=_positive, default=N_MNIST, help="training rows, fewer for a quick look")
    add("--timeout", type=float, default=900.0, help="seconds per process")
    add("--as-found", action="store_true", help="keep variables that choose OpenBLAS's kernels")
    add("--data", type=Path, default=_default_data(), help="mnist.npz in Keras' layout")
    add("--json", type=Path, help="write everything measured to this file")
    add("--picture", type=Path, help="write a bar chart to this file (needs matplotlib)")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("no data: give --data FILE or set FASTMLP_DATA to the folder of mnist.npz")
    if not arguments.data.is_file():
        parser.error(f"no such data file: {arguments.data}")
    if not 1 <= arguments.rows <= N_MNIST:
        parser.error(f"--rows must be in 1..{N_MNIST}, got {arguments.rows}")
    if arguments.picture and find_spec("matplotlib") is None:
        parser.error("--picture needs matplotlib, which is not installed")
    return arguments


def _default_data() -> Path | None:
    folder = os.environ.get("FASTMLP_DATA")
    return Path(folder, "mnist.npz") if folder else None


def _names(text: str) -> tuple[str, ...]:
    """Names of contenders from a comma-separated list."""
    names = tuple(text.split(","))
    for name in names:
        if name not in CONTENDERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CONTENDERS)}")
    return names


def _positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    """Positive whole numbers from a comma-separated list."""
    return tuple(_positive(part) for part in text.split(","))


def _plan(arguments: argparse.Namespace) -> tuple[Plan, list[str]]:
    """What to run, and the names of contenders that are not installed."""
    wanted = _wanted(arguments.contenders)
    plan = Plan(
        contenders=tuple(c for c in wanted if c.installed()),
        jobs=tuple(headline(b, arguments.rows) for b in arguments.batch_sizes),
        data=arguments.data,
        rounds=arguments.rounds,
        n_threads=arguments.threads,
        target_seconds=arguments.seconds,
        timeout_seconds=arguments.timeout,
        as_found=arguments.as_found,
    )
    return plan, [c.name for c in wanted if not c.installed()]


def _wanted(names: tuple[str, ...] | None) -> list[Contender]:
    """The contenders named, or those that run by default."""
    if names is None:
        return [c for c in CONTENDERS.values() if c.by_default]
    return [CONTENDERS[name] for name in names]


def _settings(plan: Plan) -> dict:
    """The plan without the path of the data."""
    content = asdict(plan)
    content["data"] = plan.data.name
    return content


def _draw(path: Path, rows: list[report.Summary], plan: Plan, records: list[dict]) -> None:
    """The picture, with the machine under it."""
    from picture import draw

    processor = next((r["machine"]["processor"] for r in records if "error" not in r), "")
    draw(path, rows, plan.jobs, f"{processor}, {plan.n_threads} threads, {plan.rounds} rounds")


if __name__ == "__main__":
    sys.exit(main())
