"""BLAS gemm against the package's own products, by width of the layers, batch size and threads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.engine.plan import narrow_layers, training_flop
from fastmlp.engine.threads import usable_processors
from fastmlp.network.network import Network
from fastmlp.plots.style import GREY, styled_pyplot
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import headline, ordered_colors
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRODUCTS = ("blas", "own")
FLOP_PER_EPOCH = 3e9
"""Work of a timed epoch, 0.03 to 0.3 seconds; the rows are as many as that takes."""

FIGSIZE = (11.0, 5.0)


@dataclass(frozen=True)
class Config:
    """Networks inputs-w-w-classes for every width w, with ReLU and Adam, in float32."""

    data: str = "mnist"
    n_train: int | None = None
    widths: tuple[int, ...] = (16, 32, 64, 96, 128, 192, 256, 512, 1024)
    batch_sizes: tuple[int, ...] = (8, 32, 500)
    thread_counts: tuple[int, ...] = (1, 2)
    n_rounds: int = 7


def configure(data: str, quick: bool) -> Config:
    """Return the settings: one thread, and as many as there are processors; quick: fewer widths."""
    counts = (1, usable_processors()) if usable_processors() > 1 else (1,)
    if quick:
        n_train = 5000 if data == "mnist" else None
        return Config(data, n_train, (32, 128, 256), (32, 500), counts, 3)
    return Config(data, thread_counts=counts)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Time both kinds of products in turns, one shape after the other."""
    data = load_scaled(config.data, "global", config.n_train)
    x = np.asarray(data.X_train, np.float32)
    y = np.asarray(data.Y_train, np.float32)

    def measure(case: Case, tick: Tick) -> dict[str, Any]:
        sizes = (x.shape[1], case["width"], case["width"], y.shape[1])
        wanted = int(FLOP_PER_EPOCH / training_flop(sizes, 1))
        n_rows = min(len(x), max(2 * case["batch_size"], wanted))
        times: dict[str, list[float]] = {products: [] for products in PRODUCTS}
        trainers = {products: _trainer(sizes, case, products) for products in PRODUCTS}
        for _ in range(config.n_rounds):
            for products, trainer in trainers.items():
                history = trainer.fit(x[:n_rows], y[:n_rows], n_epochs=2)  # the first warms up
                times[products].append(float(history["epoch_seconds"][-1]))
                tick()
        return {
            "n_rows": n_rows,
            "epoch_seconds": times,
            "median_seconds": {products: median(each) for products, each in times.items()},
            "panels": [not narrow for narrow in narrow_layers(sizes, x.itemsize)],
        }

    cases = [
        {"width": width, "batch_size": batch_size, "n_threads": n_threads}
        for batch_size in config.batch_sizes
        for n_threads in config.thread_counts
        for width in config.widths
    ]
    n_ticks = len(PRODUCTS) * config.n_rounds
    runs = session.map(measure, cases, config=config, n_ticks=n_ticks, alone=True)
    return session.record(config, n_features=x.shape[1], n_classes=y.shape[1], runs=runs)


def _trainer(sizes: tuple[int, ...], case: Case, products: str) -> Trainer:
    return Trainer(
        Network(sizes, activation="relu", output="softmax", initializer="he", random_state=0),
        optimizer="adam",
        reduction="mean",
        batch_size=case["batch_size"],
        n_threads=case["n_threads"],
        products=products,
        random_state=0,
    )


def _ratio(run: Any) -> float:
    """Time with BLAS over time with own products: above 1, own products are faster."""
    seconds = run["median_seconds"]
    return float(seconds["blas"] / seconds["own"])


def _lines(result: Result) -> dict[tuple[int, int], list[Any]]:
    """Runs by batch size and number of threads, narrow layers first."""
    lines: dict[tuple[int, int], list[Any]] = {}
    for each in sorted(result["runs"], key=lambda one: one["width"]):
        lines.setdefault((each["batch_size"], each["n_threads"]), []).append(each)
    return dict(sorted(lines.items()))


def crossover(runs: Iterable[Any]) -> float | None:
    """Return the width where BLAS becomes faster, between two widths on logarithmic axes.

    None if own products are faster at the widest layer; 0 if BLAS is at the narrowest.
    """
    points = [(np.log(each["width"]), np.log(_ratio(each))) for each in runs]
    if points[-1][1] > 0:
        return None
    faster = [i for i, (_, ratio) in enumerate(points) if ratio > 0]
    if not faster:
        return 0.0
    (w0, r0), (w1, r1) = points[faster[-1]], points[faster[-1] + 1]
    return float(np.exp(w0 + (w1 - w0) * r0 / (r0 - r1)))


def _limit(result: Result) -> int:
    """Return the largest width whose weights are not copied into panels."""
    narrow = [each["width"] for each in result["runs"] if not each["panels"][1]]
    return max(narrow, default=0)


def tables(result: Result) -> list[Table]:
    """One table: time with BLAS over time with own products, by width."""
    widths = sorted({each["width"] for each in result["runs"]})
    rows = []
    for (batch_size, n_threads), runs in _lines(result).items():
        where = crossover(runs)
        told = "none" if where is None else "below all" if where == 0 else f"{where:.0f}"
        ratios = [f"{_ratio(each):.2f}" for each in runs]
        rows.append((f"batch {batch_size}, {_threads(n_threads)}", *ratios, told))
    n_features, n_classes = result["n_features"], result["n_classes"]
    return [
        Table(
            f"Time with BLAS / time with own products, networks {n_features}-w-w-{n_classes}",
            ("", *(f"w = {width}" for width in widths), "crossover"),
            tuple(rows),
        )
    ]


def _threads(n: int) -> str:
    return f"{n} thread" if n == 1 else f"{n} threads"


def draw(result: Result) -> dict[str, Figure]:
    """Ratio of the times by width, a panel per number of threads."""
    lines, counts = _lines(result), sorted({each["n_threads"] for each in result["runs"]})
    sizes = sorted({batch_size for batch_size, _ in lines})
    widths = sorted({each["width"] for each in result["runs"]})
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(counts), sharey=True, squeeze=False)
        for axis, n_threads in zip(axes[0], counts, strict=True):
            for batch_size, color in zip(sizes, ordered_colors(len(sizes)), strict=True):
                runs = lines[batch_size, n_threads]
                axis.plot(
                    [each["width"] for each in runs],
                    [_ratio(each) for each in runs],
                    color=color,
                    marker="o",
                    label=f"batch {batch_size}",
                )
            axis.axhline(1, color=GREY)
            axis.axvline(_limit(result), color=GREY, linestyle="dashed")
            axis.set_xscale("log", base=2)
            axis.set_xticks(widths, [str(width) for width in widths], rotation=45)
            axis.minorticks_off()
            axis.set_xlabel("width of the two hidden layers")
            axis.set_title(_threads(n_threads))
        axes[0][0].set_ylabel("time with BLAS / with own products")
        axes[0][0].legend()
        headline(figure, "BLAS against the package's own products", _finding(result))
    return {"ratio": figure}


def _finding(result: Result) -> str:
    limit = _limit(result)
    narrow = [_ratio(each) for each in result["runs"] if each["width"] <= limit]
    wide = [_ratio(each) for each in result["runs"] if each["width"] > limit]
    return (
        f"Up to {limit} nodes (dashed) BLAS takes {min(narrow):.2f} to {max(narrow):.2f} times as "
        f"long, beyond {min(wide):.2f} to {max(wide):.2f}"
    )


STUDY = Study(
    "products",
    "Is BLAS faster than the package's own products at any width?",
    configure,
    run,
    tables,
    draw,
)
