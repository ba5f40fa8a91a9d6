"""Seconds per epoch by OPENBLAS_NUM_THREADS: ``fastmlp threads`` for two batch sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastmlp.bench.thread_figure import plot_threads
from fastmlp.bench.thread_sweep import (
    Point,
    SweepPlan,
    choose_thread_counts,
    run_sweep,
    same_weights,
    summarize,
)
from fastmlp.engine.threads import MAX_THREADS, usable_processors
from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import headline
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"native": "fastmlp", "numpy": "NumPy reference"}
FIGSIZE = (10.0, 5.2)


@dataclass(frozen=True)
class Config:
    """One process per engine, thread count and round."""

    data: str = "mnist"
    n_train: int | None = None
    hidden: tuple[int, ...] = (70, 30)
    batch_sizes: tuple[int, ...] = (500, 20_000)
    thread_counts: tuple[int, ...] = (1, 2)
    n_epochs: int = 5
    n_rounds: int = 3


def configure(data: str, quick: bool) -> Config:
    """Return the settings: up to all processors, and one thread more; quick: without it."""
    most = min(usable_processors() + (not quick), MAX_THREADS)
    counts = choose_thread_counts(most)
    if data == "mnist":
        if quick:
            return Config(
                n_train=5000, batch_sizes=(500,), thread_counts=counts, n_epochs=3, n_rounds=1
            )
        return Config(thread_counts=counts)
    return Config(
        data,
        batch_sizes=(50,) if quick else (50, 1297),
        thread_counts=counts,
        n_epochs=4 if quick else 20,
        n_rounds=1 if quick else 3,
    )


def run(config: Config, session: Session) -> dict[str, Any]:
    """One sweep per batch size."""
    data = load_scaled(config.data, "global", config.n_train)
    sizes = (data.X_train.shape[1], *config.hidden, len(data.classes))

    def sweep(case: Case, tick: Tick) -> dict[str, Any]:
        plan = SweepPlan(
            sizes,
            case["batch_size"],
            config.thread_counts,
            n_epochs=config.n_epochs,
            n_rounds=config.n_rounds,
        )
        runs = run_sweep(plan, data.X_train, data.Y_train, lambda *process: tick())
        return {
            "points": [asdict(point) for point in summarize(runs)],
            "blas": {run.engine: f"{run.blas}; SIMD {run.simd}" for run in runs},
            "same_bits": same_weights(runs, "native"),
        }

    cases = [{"batch_size": size} for size in config.batch_sizes]
    n_processes = 2 * len(config.thread_counts) * config.n_rounds
    sweeps = session.map(sweep, cases, config=config, n_ticks=n_processes, alone=True)
    return session.record(config, sizes=sizes, n_train=len(data.X_train), sweeps=sweeps)


def points_of(sweep: Any) -> list[Point]:
    """The measured points of one batch size."""
    return [Point(**point) for point in sweep["points"]]


def tables(result: Result) -> list[Table]:
    """One table per batch size."""
    columns = ("engine, threads", "seconds / epoch", "quartiles", "speed-up", "efficiency")
    return [
        Table(
            f"Batch size {sweep['batch_size']}, network {'-'.join(map(str, result['sizes']))}; "
            + (
                "fastmlp's weights: the same bits everywhere"
                if sweep["same_bits"]
                else "fastmlp's weights: DIFFERENT BITS"
            ),
            columns,
            tuple(map(_row, points_of(sweep))),
        )
        for sweep in result["sweeps"]
    ]


def _row(point: Point) -> tuple[str, ...]:
    return (
        f"{NAMES[point.engine]}, {point.n_threads}",
        f"{point.seconds:.4f}",
        f"{point.q1_seconds:.4f} – {point.q3_seconds:.4f}",
        f"{point.speed_up:.2f}",
        f"{point.efficiency:.0%}",
    )


def draw(result: Result) -> dict[str, Figure]:
    """One figure per batch size: seconds per epoch, and the speed-up beside its ideal."""
    return {f"batch-{sweep['batch_size']}": _draw(sweep) for sweep in result["sweeps"]}


def _draw(sweep: Any) -> Figure:
    points = points_of(sweep)
    ours, numpy = (_fastest(points, engine) for engine in ("native", "numpy"))
    figure = plot_threads(points, figsize=FIGSIZE)
    with styled_pyplot(FIGSIZE):
        headline(
            figure,
            f"Speed by number of threads, batch {sweep['batch_size']}",
            f"Batch {sweep['batch_size']}: fastmlp is fastest with {ours.n_threads} "
            f"({ours.speed_up:.2f} times one thread), NumPy with {numpy.n_threads} "
            f"({numpy.speed_up:.2f} times)",
        )
    return figure


def _fastest(points: Sequence[Point], engine: str) -> Point:
    return min((p for p in points if p.engine == engine), key=lambda p: p.seconds)


STUDY = Study(
    "threads",
    "How many threads of BLAS and engine pay?",
    configure,
    run,
    tables,
    draw,
)
