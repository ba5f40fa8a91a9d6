"""The articles' performance run (Step III): 35 epochs at batches of 500 and 20000.

784-70-30-10, float32, cumulative rule with decay 1e-6; the published rates differ, 0.001 for 500
and 0.0001 for 20000, so each batch size also runs with the other's. The article does not state its
inputs, initial weights and penalty; standardized inputs, Glorot's weights and lambda2 = 0.01 give
the costs, errors and shares of the penalty that it prints. NumPy reference and compiled engine by
number of threads, Keras in a process of its own where it is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp import datasets
from fastmlp.datasets.labelled import LabelledData
from fastmlp.engine.rows import Rows
from fastmlp.engine.threads import usable_processors
from fastmlp.network.network import Network
from fastmlp.plots.style import BLUE, INK, ORANGE, SILVER, VERMILLION, styled_pyplot
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, PUBLISHED, headline, legend_below
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED_SECONDS = {
    500: {
        "article, before Step I": 47.0,
        "article, Step I": 11.0,
        "article, Step II": 9.6,
        "article, Step III": 7.52573,
    },
    20_000: {"article, Step II": 8.7, "article, Step III": 6.71698},
}
"""Seconds of 35 epochs; the first is computed from "more than a factor of 6.5", others printed."""

PUBLISHED_ENDS = {
    (500, 1e-3): (0.00099940518, 65.43618, 0.12302863, 0.00758, 0.99272),
    (20_000, 1e-4): (0.0000999405, 13028.141, 0.00021923862, 0.04389, 0.95602),
}
"""Rate, cost of the last batch, the penalty's share of it, its averaged error, "accuracy".

The printed accuracies are 1 - averaged error, not shares of images: 1 - 0.00758 and 1 - 0.04389,
but for the difference between the last batch and the mean over the batches.
"""

NAMES = {"numpy": "NumPy reference", "native": "fastmlp", "keras": "Keras"}
COLORS = {"numpy": ORANGE, "native": BLUE, "keras": VERMILLION}
KERAS_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Config:
    """`rates` belong to `batch_sizes`."""

    data: str = "mnist"
    n_train: int | None = None
    hidden: tuple[int, ...] = (70, 30)
    batch_sizes: tuple[int, ...] = (500, 20_000)
    rates: tuple[float, ...] = (1e-3, 1e-4)
    thread_counts: tuple[int, ...] = (1, 2)
    keras: bool = True
    n_epochs: int = 35
    n_rounds: int = 3
    decay: float = 1e-6
    momentum: float = 5e-5
    initializer: str = "glorot"
    lambda2: float = 0.01
    seed: int = 0


def configure(data: str, quick: bool) -> Config:
    """Return the settings, with all processors; quick: few images and rounds, no Keras."""
    counts = tuple(range(1, usable_processors() + 1))
    if data == "mnist" and not quick:
        return Config(thread_counts=counts)
    counts = (1,) if quick else counts
    if data == "mnist":
        return Config(
            n_train=10_000,
            batch_sizes=(500, 5000),
            rates=(1e-3, 4e-4),
            thread_counts=counts,
            keras=False,
            n_rounds=1,
        )
    return Config(
        data,
        batch_sizes=(50, 1297),
        rates=(1e-2, 1e-3),
        thread_counts=counts,
        keras=False,
        n_rounds=1 if quick else 3,
        lambda2=0.001,
    )


def cases_of(config: Config) -> list[Case]:
    """Run in rounds, so that a machine that slows down affects all; other rates last, once."""
    pairs = list(zip(config.batch_sizes, config.rates, strict=True))
    cases: list[Case] = []
    for number in range(1, config.n_rounds + 1):
        for batch, rate in pairs:
            common = {"batch": batch, "rate": rate, "round": number}
            for engine in ("numpy", "native"):
                cases += [{"engine": engine, "threads": n} | common for n in config.thread_counts]
            if config.keras:
                cases.append({"engine": "keras", "threads": max(config.thread_counts)} | common)
    for batch, rate in pairs:
        others = [other for other in config.rates if other != rate]
        cases += [
            {
                "engine": "native",
                "threads": max(config.thread_counts),
                "batch": batch,
                "rate": other,
                "round": 1,
            }
            for other in others
        ]
    return cases


def run(config: Config, session: Session) -> dict[str, Any]:
    """Run the contenders one after the other, each with all processors."""
    data = load_scaled(config.data, "feature", config.n_train)
    config = replace(config, keras=config.keras and _keras_is_possible(config))

    def time_one(case: Case, tick: Tick) -> dict[str, Any]:
        if case["engine"] == "keras":
            return _time_keras(case, config)
        return _time_training(case, config, data, tick)

    runs = session.map(
        time_one, cases_of(config), config=config, n_ticks=config.n_epochs, alone=True
    )
    return session.record(config, n_train=len(data.X_train), runs=runs)


def _keras_is_possible(config: Config) -> bool:
    """Return whether the benchmark's adapter can be used, which supports the full MNIST only."""
    from fastmlp.bench.contenders import CONTENDERS

    return config.data == "mnist" and config.n_train is None and CONTENDERS["keras"].installed()


def _time_training(case: Case, config: Config, data: LabelledData, tick: Tick) -> dict[str, Any]:
    """Train 35 epochs with engine or reference; return their seconds and the last printout."""
    from threadpoolctl import threadpool_limits

    sizes = (data.X_train.shape[1], *config.hidden, len(data.classes))
    trainer = Trainer(
        Network(sizes, initializer=config.initializer, random_state=config.seed),
        learning_rate=case["rate"],
        schedule="cumulative",
        decay=config.decay,
        momentum=config.momentum,
        l2=config.lambda2,
        batch_size=case["batch"],
        n_threads=case["threads"],
        engine=case["engine"],
        random_state=config.seed,
    )
    seconds: list[float] = []
    errors: list[float] = []
    accuracies: list[float] = []

    def record(trainer: Trainer) -> None:
        epoch = trainer.last_epoch
        assert epoch is not None
        seconds.append(epoch.seconds)
        errors.append(epoch.mean(epoch.errors))
        accuracies.append(epoch.mean(epoch.accuracies))

    with threadpool_limits(case["threads"], user_api="blas"):
        trainer.train(
            Rows(data.X_train, data.Y_train), n_epochs=config.n_epochs, callbacks=[record, tick]
        )
    epoch = trainer.last_epoch
    assert epoch is not None
    test = trainer.objective.evaluate(Rows(data.X_test, data.Y_test))
    return {
        "total_seconds": rounded(sum(seconds), 6),
        "last_epoch_seconds": rounded(seconds[-1], 5),
        "test_accuracy": test.accuracy,
        "end": {
            "learning_rate": epoch.learning_rate,
            "last_cost": rounded(epoch.costs[-1], 7),
            "last_share": rounded(epoch.penalties[-1] / epoch.costs[-1]),
            "last_error": rounded(epoch.errors[-1]),
            "one_minus_error": rounded(1 - errors[-1]),
            "batch_accuracy": rounded(accuracies[-1]),
        },
        "mean_errors": rounded(errors),
        "batch_accuracies": rounded(accuracies),
    }


def _time_keras(case: Case, config: Config) -> dict[str, Any]:
    """Time the benchmark's Keras: median epoch times number of epochs; SGD without penalty."""
    from fastmlp.bench import contenders, jobs, runner

    job = replace(
        jobs.headline(case["batch"]), learning_rate=case["rate"], check_epochs=config.n_epochs
    )
    plan = runner.Plan(
        (contenders.CONTENDERS["keras"],),
        (job,),
        datasets.find("mnist"),
        rounds=1,
        n_threads=case["threads"],
        target_seconds=0.0,
        timeout_seconds=KERAS_TIMEOUT_SECONDS,
        as_found=False,
    )
    found = runner.run_one(plan, plan.contenders[0], job, 0)
    if "error" in found:
        raise ChildProcessError(f"Keras failed: {found['error']}")
    seconds = found["median_seconds"]
    return {
        "total_seconds": rounded(seconds * config.n_epochs),
        "last_epoch_seconds": rounded(seconds),
        "test_accuracy": found["accuracy"],
        "end": None,
        "mean_errors": [],
        "batch_accuracies": [],
        "versions": found["versions"],
    }


def contenders_of(result: Result, batch: int, rate: float) -> dict[str, list[dict[str, Any]]]:
    """All rounds by name, for example "fastmlp, 2 threads"."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in result["runs"]:
        if (run["batch"], run["rate"]) == (batch, rate):
            threads = "1 thread" if run["threads"] == 1 else f"{run['threads']} threads"
            found.setdefault(f"{NAMES[run['engine']]}, {threads}", []).append(run)
    return found


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the round with the shortest time, as in the article."""
    return min(runs, key=lambda run: float(run["total_seconds"]))


def published_seconds(result: Result, batch: int) -> dict[str, float]:
    """The article's times, if this is its experiment."""
    config = result["config"]
    if result["quick"] or (config["data"], config["n_epochs"]) != ("mnist", 35):
        return {}
    return PUBLISHED_SECONDS.get(batch, {})


def _pairs(result: Result) -> list[tuple[int, float]]:
    config = result["config"]
    return list(zip(config["batch_sizes"], config["rates"], strict=True))


def tables(result: Result) -> list[Table]:
    """Tabulate seconds by contender, and the last epoch's printout with the article's."""
    n_epochs, rounds = result["config"]["n_epochs"], result["config"]["n_rounds"]
    found = []
    for batch, rate in _pairs(result):
        rows = [(n, f"{s:.2f}", "", "") for n, s in published_seconds(result, batch).items()]
        for name, runs in contenders_of(result, batch, rate).items():
            seconds = [run["total_seconds"] for run in runs]
            fastest = best(runs)
            rows.append(
                (
                    name,
                    f"{fastest['total_seconds']:.3f} (to {max(seconds):.3f})",
                    f"{fastest['last_epoch_seconds']:.4f}",
                    f"{fastest['test_accuracy']:.4f}",
                )
            )
        title = f"Seconds of {n_epochs} epochs, batch {batch}, rate {rate:g}: best of {rounds}"
        columns = ("who", "seconds (to the worst)", "last epoch", "test accuracy")
        found.append(Table(title, columns, tuple(rows)))
    return [*found, _ends_table(result)]


def _ends_table(result: Result) -> Table:
    rows = []
    published = not result["quick"] and result["config"]["data"] == "mnist"
    for batch in result["config"]["batch_sizes"]:
        for rate in result["config"]["rates"]:
            name = f"batch {batch}, rate {rate:g}"
            if published and (batch, rate) in PUBLISHED_ENDS:
                rows.append(_end_row(f"{name}, published", PUBLISHED_ENDS[batch, rate], "", ""))
            for run in result["runs"]:
                if (run["engine"], run["batch"], run["rate"]) == ("native", batch, rate):
                    *values, accuracy = run["end"].values()
                    accuracies = f"{accuracy:.5f}", f"{run['test_accuracy']:.4f}"
                    rows.append(_end_row(name, values, *accuracies))
                    break
    columns = (
        "run",
        "rate at the end",
        "cost of the last batch",
        "penalty's share of it",
        "its averaged error",
        "1 − mean error",
        "batch accuracy",
        "test accuracy",
    )
    return Table("The last epoch", columns, tuple(rows))


def _end_row(
    name: str, values: Sequence[float], batch_accuracy: str, test_accuracy: str
) -> tuple[str, ...]:
    rate, cost, share, error, one_minus_error = values
    return (
        name,
        f"{rate:.8g}",
        f"{cost:.2f}",
        f"{share:.2%}",
        f"{error:.5f}",
        f"{one_minus_error:.5f}",
        batch_accuracy,
        test_accuracy,
    )


def draw(result: Result) -> dict[str, Figure]:
    """Seconds of all contenders; accuracy per epoch with both rates."""
    return {"time": _draw_time(result), "accuracy": _draw_accuracy(result)}


def _draw_time(result: Result) -> Figure:
    pairs = _pairs(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(pairs), squeeze=False)
        for axis, (batch, rate) in zip(axes[0], pairs, strict=True):
            _draw_bars(axis, result, batch, rate)
        headline(figure, "Seconds of 35 epochs", _finding(result))
    return figure  # type: ignore[no-any-return]


def _draw_bars(axis: Axes, result: Result, batch: int, rate: float) -> None:
    bars = [(name, seconds, SILVER) for name, seconds in published_seconds(result, batch).items()]
    for name, runs in contenders_of(result, batch, rate).items():
        bars.append((name, best(runs)["total_seconds"], COLORS[runs[0]["engine"]]))
    names, seconds, colors = zip(*bars, strict=True)
    positions = range(len(bars))
    axis.barh(positions, seconds, color=colors)
    for y, value in zip(positions, seconds, strict=True):
        axis.text(value, y, f" {value:.3g} s", va="center", color=INK)
    axis.set_yticks(positions, labels=names)
    axis.invert_yaxis()
    axis.margins(x=0.2)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(f"seconds of {result['config']['n_epochs']} epochs")
    axis.set_title(f"Batch {batch}")


def _finding(result: Result) -> str:
    findings = []
    for batch, rate in _pairs(result):
        found = contenders_of(result, batch, rate)
        ours, numpy = (
            min(
                best(runs)["total_seconds"]
                for runs in found.values()
                if runs[0]["engine"] == engine
            )
            for engine in ("native", "numpy")
        )
        findings.append(f"{ours:.2f} s at batch {batch} ({numpy / ours:.1f} times NumPy's speed)")
    return f"{result['config']['n_epochs']} epochs take the engine {' and '.join(findings)}"


def _draw_accuracy(result: Result) -> Figure:
    config = result["config"]
    settings = [(batch, rate) for batch in config["batch_sizes"] for rate in config["rates"]]
    ends = {}
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2, sharey=True)
        for (batch, rate), (color, marker) in zip(settings, CATEGORIES, strict=False):
            run = next(
                run
                for run in result["runs"]
                if (run["engine"], run["batch"], run["rate"]) == ("native", batch, rate)
            )
            style = {"color": color, "marker": marker, "markevery": 5}
            epochs = np.arange(len(run["mean_errors"])) + 0.5
            label = f"batch {batch}, rate {rate:g}"
            left.plot(epochs, 1 - np.array(run["mean_errors"]), label=label, **style)
            right.plot(epochs, run["batch_accuracies"], **style)
            ends[batch, rate] = run["batch_accuracies"][-1]
            if published_seconds(result, batch) and (batch, rate) in PUBLISHED_ENDS:
                published = PUBLISHED_ENDS[batch, rate][4]
                left.plot(
                    len(epochs),
                    published,
                    label=f"published: {published}",
                    **PUBLISHED | {"markeredgecolor": color},
                )
        for axis in (left, right):
            axis.set_xlabel("epochs of training")
        left.set_ylabel("fraction")
        left.set_ylim(bottom=max(0.0, sorted(ends.values())[1] - 0.2))
        left.set_title("1 − averaged error, the article's “accuracy”")
        right.set_title("Images recognized as their batch comes up")
        legend_below(figure, left, 3)
        low, high = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
        headline(
            figure,
            "Accuracy by batch size and rate",
            f"After {config['n_epochs']} epochs: {ends[high]:.4f} of the images at batch "
            f"{high[0]}, rate {high[1]:g}; {ends[low]:.4f} at batch {low[0]}, rate {low[1]:g}",
        )
    return figure  # type: ignore[no-any-return]


STUDY = Study(
    "performance",
    "How long do 35 epochs take: the articles' NumPy, this engine, Keras?",
    configure,
    run,
    tables,
    draw,
)
