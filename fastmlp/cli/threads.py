"""``fastmlp threads``: seconds per epoch by number of threads, one process per number."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastmlp._terminal import StatusLine, text_table
from fastmlp.bench.thread_sweep import (
    SWEPT,
    Point,
    Run,
    SweepPlan,
    as_json,
    choose_thread_counts,
    run_sweep,
    same_weights,
    summarize,
)
from fastmlp.bench.thread_worker import WARM_UP_EPOCHS
from fastmlp.cli.exit_codes import FAILED, FINISHED
from fastmlp.cli.options import UsageError, add_data, choices, integer, layer_widths
from fastmlp.cli.output import check_file, pyplot_without_display, save_figure
from fastmlp.cli.timed_network import BATCH_SIZE, load_network
from fastmlp.datasets import Dataset
from fastmlp.datasets.labelled import LabelledData
from fastmlp.engine import environment
from fastmlp.engine.threads import MAX_THREADS, usable_processors
from fastmlp.files.json_file import write_json

ROUNDS = 3
MIN_EPOCHS, ROWS_TO_TIME = 10, 600_000
"""Ten epochs of MNIST; an epoch of a small data set takes less than a millisecond."""

MEASURABLE_SECONDS = 0.05
"""What the timed epochs of a process should take together for their times to mean something."""

NAMES = {
    "native": "fastmlp",
    "blas": "fastmlp, BLAS",
    "own": "fastmlp, own",
    "numpy": "NumPy",
}
COMPILED = NAMES.keys() - {"numpy"}
COLUMNS = ("engine", "threads", "ms/epoch", "quartiles", "speed-up", "efficiency")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp threads``."""
    parser.description = (
        "Time the epochs of a network for each number of threads, each in a process of its own, "
        "and print time per epoch, speed-up and efficiency of fastmlp and of its NumPy reference."
    )
    add = parser.add_argument
    add_data(parser)
    add(
        "--shape",
        metavar="784,70,30,10",
        type=layer_widths("--shape"),
        help="layer widths; default: hidden layers of 70 and 30 nodes",
    )
    add(
        "--batch-size",
        metavar="N",
        type=integer("--batch-size", 1),
        default=BATCH_SIZE,
        help=f"rows per mini-batch; default {BATCH_SIZE}",
    )
    add(
        "--max-threads",
        metavar="N",
        type=integer("--max-threads", 1, MAX_THREADS),
        help="largest number of threads: 1, 2, ..., 8, 16, 32, ... up to N are timed; default: the "
        "number of usable processors",
    )
    add(
        "--engines",
        metavar="A,B",
        type=choices("--engines", tuple(SWEPT)),
        default=("native", "numpy"),
        help="what to time: the compiled engine (native), the same with BLAS products alone (blas) "
        "or the package's own alone (own), and the NumPy reference (numpy); default native,numpy",
    )
    add(
        "--epochs",
        metavar="N",
        type=integer("--epochs", 1),
        help=f"timed epochs per process, after {WARM_UP_EPOCHS} warm-up epochs; default: at least "
        f"{MIN_EPOCHS}, more until {ROWS_TO_TIME:,} rows have been trained",
    )
    add(
        "--rounds",
        metavar="N",
        type=integer("--rounds", 1),
        default=ROUNDS,
        help=f"processes per engine and number of threads; default {ROUNDS}",
    )
    add("--json", metavar="FILE", help="write all measurements to this file")
    add("--figure", metavar="FILE.png", help="plot time and speed-up to this file")
    add(
        "--as-found",
        action="store_true",
        help=f"keep the variables {' and '.join(environment.SLOWING_VARIABLES)}",
    )


def run(options: argparse.Namespace) -> int:
    """Measure and return 1 if the compiled engine's results depended on the number of threads.

    That would be a broken promise. Bad input raises before any measurement.
    """
    _check_files(options)
    dataset, data, sizes = load_network(options.data, "timing epochs on", options.shape, "float32")
    plan = SweepPlan(
        sizes=sizes,
        batch_size=options.batch_size,
        thread_counts=choose_thread_counts(
            options.max_threads or min(usable_processors(), MAX_THREADS)
        ),
        engines=options.engines,
        n_epochs=options.epochs or _enough_epochs(len(data.X_train)),
        n_rounds=options.rounds,
        as_found=options.as_found,
    )
    print(_describe(plan, dataset, len(data.X_train)), flush=True)
    runs = _measure(plan, data)
    points = summarize(runs)
    print(_table(points), _findings(plan, runs, points), sep="\n\n")
    _write(options, plan, dataset, runs, points)
    return FINISHED if not _thread_dependent(plan, runs) else FAILED


def _enough_epochs(n_rows: int) -> int:
    """Return a number of epochs that takes long enough to measure.

    It is the same in every process: their weights are compared.
    """
    return max(MIN_EPOCHS, math.ceil(ROWS_TO_TIME / n_rows))


def _measure(plan: SweepPlan, data: LabelledData) -> list[Run]:
    """Run all processes; on a terminal a status line on stderr says which one is running."""
    status = StatusLine(sys.stderr)

    def announce(engine: str, n_threads: int, round_number: int) -> None:
        status.show(
            f"round {round_number} of {plan.n_rounds}: {NAMES[engine]}, "
            f"OPENBLAS_NUM_THREADS={n_threads}"
        )

    try:
        return run_sweep(plan, data.X_train, data.Y_train, announce)
    finally:
        status.clear()


def _check_files(options: argparse.Namespace) -> None:
    """Raise an error for files that cannot be written, before minutes of measuring."""
    for name, target in (("--json", options.json), ("--figure", options.figure)):
        if target is not None:
            check_file(name, target)
    if options.figure is not None:
        if Path(options.figure).suffix != ".png":
            raise UsageError(f"--figure must end with .png; got {options.figure}")
        try:
            pyplot_without_display()
        except ImportError as error:
            raise UsageError(str(error)) from error


def _describe(plan: SweepPlan, dataset: Dataset, n_rows: int) -> str:
    lines = [
        f"{dataset.name} ({dataset.source}): {n_rows} rows, network "
        f"{'-'.join(map(str, plan.sizes))}, batch size {plan.batch_size}, float32",
        f"one process per engine, number of threads and round; rounds: {plan.n_rounds}, "
        f"epochs timed in each process: {plan.n_epochs}",
    ]
    for name in environment.SLOWING_VARIABLES:
        if os.environ.get(name):
            what = "is kept and can halve the speed" if plan.as_found else "is ignored"
            lines.append(f"{name}={os.environ[name]} {what}")
    return "\n".join(lines) + "\n"


def _table(points: Sequence[Point]) -> str:
    """Return a table with a row per engine and number of threads; times are medians."""
    rows = [
        (
            NAMES[point.engine],
            str(point.n_threads),
            _ms(point.seconds),
            f"{_ms(point.q1_seconds)} - {_ms(point.q3_seconds)}",
            f"{point.speed_up:.2f}",
            f"{100 * point.efficiency:.0f} %",
        )
        for point in points
    ]
    return "\n".join(text_table(COLUMNS, rows))


def _ms(seconds: float) -> str:
    """Return milliseconds with four digits; an epoch takes from 0.1 ms to minutes."""
    return f"{1000 * seconds:.4g}" if seconds < 1 else f"{1000 * seconds:.0f}"


def _findings(plan: SweepPlan, runs: list[Run], points: list[Point]) -> str:
    """Return lines about kernels, the best times, and whether the weights are the same."""
    lines = []
    for engine in plan.engines:
        libraries = dict.fromkeys(f"{r.blas}; SIMD {r.simd}" for r in runs if r.engine == engine)
        lines.append(f"{NAMES[engine] + ':':<9} {' | '.join(libraries)}")
    best = {engine: _fastest(points, engine) for engine in plan.engines}
    if {"native", "numpy"} <= best.keys():
        ratio = best["numpy"].seconds / best["native"].seconds
        lines.append(f"best times: NumPy takes {ratio:.2f} times as long as fastmlp")
    for engine in (each for each in plan.engines if each in COMPILED):
        found = "DIFFERENT" if engine in _thread_dependent(plan, runs) else "bit for bit the same"
        lines.append(f"weights trained by {NAMES[engine]}: {found} in all processes")
    shortest = min(sum(run.epoch_seconds) for run in runs)
    if shortest < MEASURABLE_SECONDS:
        lines.append(
            f"the timed epochs of one process took only {1000 * shortest:.2g} ms in total, too "
            f"little to measure; use --epochs {_longer(plan, shortest)} or more"
        )
    return "\n".join(lines)


def _thread_dependent(plan: SweepPlan, runs: list[Run]) -> set[str]:
    """Return the compiled engines whose weights were not the same in all processes."""
    return {each for each in COMPILED & {*plan.engines} if not same_weights(runs, each)}


def _longer(plan: SweepPlan, seconds: float) -> int:
    """Return the number of epochs that would take long enough, rounded up to one digit."""
    wanted = plan.n_epochs * MEASURABLE_SECONDS / seconds
    digit = int(10 ** math.floor(math.log10(wanted)))
    return math.ceil(wanted / digit) * digit


def _fastest(points: list[Point], engine: str) -> Point:
    return min((p for p in points if p.engine == engine), key=lambda p: p.seconds)


def _write(
    options: argparse.Namespace,
    plan: SweepPlan,
    dataset: Dataset,
    runs: list[Run],
    points: list[Point],
) -> None:
    """Write the files that --json and --figure name."""
    if options.json is not None:
        write_json(
            Path(options.json),
            {"data": dataset.name, **as_json(plan, runs, points), "environment": _machine()},
        )
    if options.figure is not None:
        _draw(Path(options.figure), plan, dataset, points)
    written = [name for name in (options.json, options.figure) if name is not None]
    if written:
        print(f"written:  {', '.join(written)}")


def _machine() -> dict[str, Any]:
    """Return the facts that hold for all processes; threads and variables differ."""
    facts = environment.collect()
    return {name: facts[name] for name in ("versions", "processor", "system", "processors")}


def _draw(path: Path, plan: SweepPlan, dataset: Dataset, points: list[Point]) -> None:
    from fastmlp.bench.thread_figure import plot_threads

    shape = "-".join(map(str, plan.sizes))
    title = f"{shape} on {dataset.name}, batch size {plan.batch_size}, float32"
    save_figure(path, plot_threads(points, title=title))
