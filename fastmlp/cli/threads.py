"""``fastmlp threads``: seconds per epoch by number of threads, one process per number."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._checks import check_choice
from fastmlp.bench.thread_sweep import (
    WARM_UP_EPOCHS,
    Point,
    Run,
    SweepPlan,
    as_json,
    choose_thread_counts,
    run_sweep,
    same_weights,
    summarise,
)
from fastmlp.cli import output as _cli_output
from fastmlp.cli.options import UsageError, _checked, _integer, _widths
from fastmlp.cli.train import _load as load_data
from fastmlp.datasets.arrays import Dataset
from fastmlp.datasets.labelled import LabelledData, prepare
from fastmlp.datasets.scaling import Scaler
from fastmlp.engine import environment as _environment
from fastmlp.engine.threads import MAX_THREADS, usable_processors
from fastmlp.files.json_file import write_json
from fastmlp.training.trainer import ENGINES

FINISHED, DIFFERENT_BITS = 0, 1
"""Exit codes; the second one would be a broken promise of the compiled engine."""

HIDDEN = (70, 30)
MIN_EPOCHS, ROWS_TO_TIME = 10, 600_000
"""Ten epochs of MNIST; an epoch of a small data set takes less than a millisecond."""

MEASURABLE_SECONDS = 0.05
"""What the timed epochs of a process should take together for their times to mean something."""

NAMES = {"native": "fastmlp", "numpy": "NumPy"}
HEADER = "{:<9}{:>7}{:>10}{:>19}{:>10}{:>12}".format(
    "engine", "threads", "ms/epoch", "quartiles", "speed-up", "efficiency"
)


def add_threads_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp threads``."""
    parser.description = (
        "Time the epochs of a network in one process per value of OPENBLAS_NUM_THREADS: "
        "seconds per epoch, speed-up and efficiency, the NumPy reference beside fastmlp."
    )
    add = parser.add_argument
    add("--data", metavar="NAME|PATH",
        help="as in fastmlp train; default: mnist if it is here, else digits")  # fmt: skip
    add("--shape", metavar="784,70,30,10", type=_widths("--shape", 2),
        help="layer widths; default: 70 and 30 between those of the data")  # fmt: skip
    add("--batch", metavar="N", type=_integer("--batch", 1), default=500,
        help="rows per mini-batch; default 500")  # fmt: skip
    add("--max-threads", metavar="N", type=_integer("--max-threads", 1, MAX_THREADS),
        help="every number up to 8, then doubled ones; default: usable processors")  # fmt: skip
    add("--engines", metavar="NAMES", type=_engines, default=ENGINES,
        help="comma-separated, of native and numpy; default both")  # fmt: skip
    add("--epochs", metavar="N", type=_integer("--epochs", 1),
        help=f"timed in each process, after {WARM_UP_EPOCHS} that are not; default: at least "
        f"{MIN_EPOCHS}, and as many as {ROWS_TO_TIME:,} rows take")  # fmt: skip
    add("--rounds", metavar="N", type=_integer("--rounds", 1), default=3,
        help="processes per engine and number of threads; default 3")  # fmt: skip
    add("--json", metavar="FILE", help="write everything measured into this file")
    add("--picture", metavar="FILE.png", help="draw seconds and speed-up into this file")
    add("--as-found", action="store_true",
        help=f"keep {' and '.join(_environment.SLOWING_VARIABLES)}")  # fmt: skip


def threads(options: argparse.Namespace) -> int:
    """Run ``fastmlp threads`` and return its exit code; bad input raises before any measurement."""
    _check_files(options)
    dataset = load_data(options.data)
    data = prepare(
        (dataset.X_train, dataset.y_train, dataset.X_test, dataset.y_test),
        Scaler("global"), np.dtype(np.float32),
    )  # fmt: skip
    plan = SweepPlan(
        sizes=_sizes(options.shape, dataset, data),
        batch_size=options.batch,
        thread_counts=choose_thread_counts(
            options.max_threads or min(usable_processors(), MAX_THREADS)
        ),
        engines=options.engines,
        n_epochs=options.epochs or _enough_epochs(len(data.X_train)),
        n_rounds=options.rounds,
        as_found=options.as_found,
    )
    print(_describe(plan, dataset, len(data.X_train)), flush=True)
    with _Progress(plan) as progress:
        runs = run_sweep(plan, data.X_train, data.Y_train, progress.announce)
    points = summarise(runs)
    print(_table(points), _findings(plan, runs, points), sep="\n\n")
    _write(options, plan, dataset, runs, points)
    return FINISHED if same_weights(runs, "native") else DIFFERENT_BITS


def _enough_epochs(n_rows: int) -> int:
    """Epochs whose time can be measured; the same in every process, whose weights are compared."""
    return max(MIN_EPOCHS, math.ceil(ROWS_TO_TIME / n_rows))


def _engines(text: str) -> tuple[str, ...]:
    """Names of engines from a comma-separated list, each once."""
    return tuple(
        dict.fromkeys(_checked(check_choice, "--engines", e, ENGINES) for e in text.split(","))
    )


def _check_files(options: argparse.Namespace) -> None:
    """Refuse files that could not be written a minute later."""
    for name, target in (("--json", options.json), ("--picture", options.picture)):
        if target is None:
            continue
        path = Path(target)
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise UsageError(f"{name} must be a file in a folder that can be written; got {target}")
    if options.picture is not None:
        if Path(options.picture).suffix != ".png":
            raise UsageError(f"--picture must end with .png; got {options.picture}")
        from fastmlp.plots.style import import_pyplot

        try:
            import_pyplot()
        except ImportError as error:
            raise UsageError(str(error)) from error


def _sizes(shape: tuple[int, ...] | None, dataset: Dataset, data: LabelledData) -> tuple[int, ...]:
    """Layer widths as given, if they fit the data; without any, the default between its ends."""
    n_in, n_out = data.X_train.shape[1], len(data.classes)
    if shape is None:
        return (n_in, *HIDDEN, n_out)
    if (shape[0], shape[-1]) != (n_in, n_out):
        raise UsageError(
            f"--shape must begin with {n_in} and end with {n_out} for {dataset.name}; "
            f"got {','.join(map(str, shape))}"
        )
    return shape


class _Progress:
    """One line on stderr that says which process runs, where stderr is a terminal."""

    def __init__(self, plan: SweepPlan) -> None:
        self._n_rounds = plan.n_rounds
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._write("")

    def announce(self, engine: str, n_threads: int, round_number: int) -> None:
        """Show what begins now."""
        self._write(
            f"round {round_number} of {self._n_rounds}: {NAMES[engine]}, "
            f"OPENBLAS_NUM_THREADS={n_threads}"
        )

    def _write(self, text: str) -> None:
        if self._shown:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _describe(plan: SweepPlan, dataset: Dataset, n_rows: int) -> str:
    lines = [
        f"{dataset.name} ({dataset.source}): {n_rows} rows, network "
        f"{'-'.join(map(str, plan.sizes))}, batch size {plan.batch_size}, float32",
        f"one process per engine, number of threads and round; rounds: {plan.n_rounds}, "
        f"epochs timed in each process: {plan.n_epochs}",
    ]
    for name in _environment.SLOWING_VARIABLES:
        if os.environ.get(name):
            what = "is kept and can halve the speed" if plan.as_found else "is not passed on"
            lines.append(f"{name}={os.environ[name]} {what}")
    return "\n".join(lines) + "\n"


def _table(points: Sequence[Point]) -> str:
    """One line per engine and thread count; times per epoch are medians, four digits."""
    lines = [HEADER]
    for point in points:
        if point.n_threads == 1 and len(lines) > 1:
            lines.append("")
        quartiles = f"{_ms(point.q1_seconds)} - {_ms(point.q3_seconds)}"
        lines.append(
            f"{NAMES[point.engine]:<9}{point.n_threads:>7}{_ms(point.seconds):>10}{quartiles:>19}"
            f"{point.speed_up:>10.2f}{100 * point.efficiency:>10.0f} %"
        )
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    """Milliseconds: an epoch takes from some tenths of one to minutes."""
    return f"{1000 * seconds:.4g}" if seconds < 1 else f"{1000 * seconds:.0f}"


def _findings(plan: SweepPlan, runs: list[Run], points: list[Point]) -> str:
    """Where the engines ran, how they compare, and whether the bits agree."""
    lines = []
    for engine in plan.engines:
        kinds = dict.fromkeys(f"{r.blas}; SIMD {r.simd}" for r in runs if r.engine == engine)
        lines.append(f"{NAMES[engine] + ':':<9} {' | '.join(kinds)}")
    best = {engine: _fastest(points, engine) for engine in plan.engines}
    if len(best) == 2:
        ratio = best["numpy"].seconds / best["native"].seconds
        lines.append(f"best against best: NumPy takes {ratio:.2f} times as long as fastmlp")
    if "native" in best:
        found = "the same bits" if same_weights(runs, "native") else "DIFFERENT BITS"
        lines.append(f"weights that fastmlp trained: {found} in all processes")
    shortest = min(sum(run.epoch_seconds) for run in runs)
    if shortest < MEASURABLE_SECONDS:
        lines.append(
            f"the epochs timed in one process took only {1000 * shortest:.2g} ms together, too "
            f"little to tell: --epochs {_longer(plan, shortest)} or more would be measurable"
        )
    return "\n".join(lines)


def _longer(plan: SweepPlan, seconds: float) -> int:
    """As many epochs as would take long enough, rounded up to one digit."""
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
    """The files that were asked for."""
    if options.json is not None:
        write_json(
            Path(options.json),
            {"data": dataset.name, **as_json(plan, runs, points), "environment": _machine()},
        )
    if options.picture is not None:
        _draw(Path(options.picture), plan, dataset, points)
    written = [name for name in (options.json, options.picture) if name is not None]
    if written:
        print(f"written:  {', '.join(written)}")


def _machine() -> dict[str, Any]:
    """The facts that hold for all processes; threads and variables differ from one to the next."""
    facts = _environment.collect()
    return {name: facts[name] for name in ("versions", "processor", "system", "processors")}


def _draw(path: Path, plan: SweepPlan, dataset: Dataset, points: list[Point]) -> None:
    from fastmlp.bench.thread_picture import plot_threads
    from fastmlp.plots.style import import_pyplot

    plt = import_pyplot()
    plt.switch_backend("Agg")
    shape = "-".join(map(str, plan.sizes))
    figure = plot_threads(
        points, title=f"{shape} on {dataset.name}, batch size {plan.batch_size}, float32"
    )
    figure.savefig(path, dpi=_cli_output.PICTURE_DPI)
    plt.close(figure)
