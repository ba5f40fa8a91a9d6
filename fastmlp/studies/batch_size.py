"""Batches of 1 to 60000 images: time per epoch, accuracy after equal epochs and after equal time.

Costs and gradients are sums over a batch, so a learning rate means something else for every batch
size. Two ways to choose it: the same for the *mean* over a batch (0.5, the published 0.001 * 500),
and the same for every *image* (0.001). The penalty is spread over the images of an epoch: it
does not depend on the batch size either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.datasets.labelled import LabelledData
from fastmlp.engine.rows import Rows
from fastmlp.network.network import Network
from fastmlp.plots.style import BLUE, ORANGE, styled_pyplot
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import (
    CATEGORIES,
    FIGSIZE,
    headline,
    label_log_axis,
    legend_below,
    ordered_colors,
)
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import train
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RULES = {"mean": "same rate for the batch's mean", "image": "same rate per image"}
STYLES = {"mean": (BLUE, "o"), "image": (ORANGE, "s")}

GOOD_ENOUGH = 0.95
"""Test accuracy for comparing how fast it is reached."""


@dataclass(frozen=True)
class Config:
    """`mean_rate` is divided by the batch size; `image_rate` is not."""

    data: str = "mnist"
    n_train: int | None = None
    batch_sizes: tuple[int, ...] = (1, 5, 20, 50, 100, 500, 2000, 5000, 10_000, 20_000, 60_000)
    mean_rate: float = 0.5
    image_rate: float = 0.001
    lambda2: float = 24.0
    seeds: tuple[int, ...] = (0, 1)
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 30
    timed_epochs: int = 3


def configure(data: str, quick: bool) -> Config:
    """Return the settings, the largest batch with all rows; quick: fewer images, sizes, epochs."""
    if data == "mnist" and not quick:
        return Config()
    if data == "mnist":
        return Config(
            n_train=6000,
            batch_sizes=(1, 20, 100, 500, 2000, 6000),
            n_epochs=12,
            lambda2=2.4,
            seeds=(0,),
            timed_epochs=1,
        )
    return Config(
        data,
        batch_sizes=(1, 5, 20, 50, 200, 1297),
        n_epochs=20 if quick else 60,
        lambda2=0.5,
        image_rate=0.01,
        seeds=(0,) if quick else (0, 1, 2),
    )


def run(config: Config, session: Session) -> dict[str, Any]:
    """Measure the times, one after the other on all threads; then train the networks."""
    data = load_scaled(config.data, "feature", config.n_train)

    def time_one(case: Case, tick: Tick) -> dict[str, Any]:
        found = time_epochs(config, data, case["batch_size"], session.n_threads)
        tick()
        return {"n_threads": session.n_threads, "epoch_seconds": rounded(found, 4)}

    sizes = [{"batch_size": size} for size in config.batch_sizes]
    times = session.map(time_one, sizes, config=config, alone=True)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        size = case["batch_size"]
        rate = config.mean_rate / size if case["rule"] == "mean" else config.image_rate
        return train(
            data,
            seed=case["seed"],
            n_epochs=config.n_epochs,
            tick=tick,
            hidden=config.hidden,
            epochs_to_measure=range(1, config.n_epochs + 1),
            keep=("train_accuracy", "test_accuracy"),
            batch_size=size,
            learning_rate=rate,
            l2=config.lambda2,
            penalty_scale="per_sample",
        )[1]

    cases = [
        {"batch_size": size, "rule": rule, "seed": seed}
        for size in config.batch_sizes
        for rule in RULES
        for seed in config.seeds
    ]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs)
    return session.record(config, n_train=len(data.X_train), times=times, runs=runs)


def time_epochs(
    config: Config, data: LabelledData, batch_size: int, n_threads: int
) -> Sequence[float]:
    """Time some epochs after one warm-up epoch."""
    sizes = (data.X_train.shape[1], *config.hidden, len(data.classes))
    trainer = Trainer(
        Network(sizes, random_state=0),
        batch_size=batch_size,
        n_threads=n_threads,
        learning_rate=config.mean_rate / batch_size,
        random_state=0,
    )
    seconds: list[float] = []
    trainer.train(
        Rows(data.X_train, data.Y_train),
        n_epochs=1 + config.timed_epochs,
        callbacks=[lambda trainer: seconds.append(trainer.metrics["seconds"])],
    )
    return seconds[1:]


def epoch_seconds(result: Result) -> dict[int, float]:
    """Median seconds per epoch by batch size."""
    return {time["batch_size"]: median(time["epoch_seconds"]) for time in result["times"]}


def accuracies(result: Result, rule: str, name: str = "test_accuracy") -> dict[int, np.ndarray]:
    """(n_seeds, n_epochs) by batch size; runs that diverged are left out."""
    found: dict[int, list[list[float]]] = {}
    for run in result["runs"]:
        if run["rule"] == rule and not run["diverged"]:
            found.setdefault(run["batch_size"], []).append(run[name])
    return {size: np.array(values) for size, values in found.items()}


def equal_seconds(result: Result) -> float:
    """Return the longest training time that every batch size has reached."""
    return min(epoch_seconds(result).values()) * float(result["config"]["n_epochs"])


def after_equal_time(result: Result, rule: str) -> dict[int, tuple[int, np.ndarray]]:
    """Return, by batch size, the finished epochs and the accuracy (n_seeds,) after them.

    Batch sizes that finished none are left out.
    """
    seconds, limit = epoch_seconds(result), equal_seconds(result)
    found = {}
    for size, values in accuracies(result, rule).items():
        n_epochs = min(int(limit / seconds[size] + 1e-9), values.shape[1])
        if n_epochs:
            found[size] = (n_epochs, values[:, n_epochs - 1])
    return found


def tables(result: Result) -> list[Table]:
    """Times and accuracies by batch size."""
    seconds, limit = epoch_seconds(result), equal_seconds(result)
    n_epochs = result["config"]["n_epochs"]
    columns = ["batch size", "seconds / epoch", "images / s"]
    columns += [f"after {n_epochs} epochs, {rule}" for rule in RULES]
    columns += [f"after {limit:.2g} s, {rule}" for rule in RULES]
    rows = []
    for size in result["config"]["batch_sizes"]:
        cells = [f"{size}", f"{seconds[size]:.4f}", f"{result['n_train'] / seconds[size]:,.0f}"]
        for rule in RULES:
            values = accuracies(result, rule).get(size)
            cells.append("diverged" if values is None else mean_and_range(values[:, -1]))
        for rule in RULES:
            found = after_equal_time(result, rule).get(size)
            cells.append("–" if found is None else f"{found[1].mean():.4f} ({found[0]} ep.)")
        rows.append(tuple(cells))
    title = f"Test accuracy by batch size; times with {_threads(result)}"
    return [Table(title, tuple(columns), tuple(rows))]


def _threads(result: Result) -> str:
    """Return a label such as "2 threads"."""
    n = result["times"][0]["n_threads"]
    return f"{n} thread{'' if n == 1 else 's'}"


def draw(result: Result) -> dict[str, Figure]:
    """Times; accuracies after equal epochs and equal time; the course for one rule."""
    return {
        "time": _draw_time(result),
        "accuracy": _draw_accuracy(result),
        "course": _draw_course(result),
    }


def _draw_time(result: Result) -> Figure:
    seconds = epoch_seconds(result)
    fastest = min(seconds, key=seconds.__getitem__)
    slowest = max(seconds, key=seconds.__getitem__)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        axis.plot(list(seconds), list(seconds.values()), color=BLUE, marker="o")
        _label_points(axis, seconds)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.margins(0.08, 0.12)
        label_log_axis(axis.yaxis)
        _label_sizes(axis, list(seconds))
        axis.set_ylabel("seconds per epoch (median)")
        axis.set_title(f"{result['n_train']} images, {_threads(result)}")
        headline(
            figure,
            "Seconds of an epoch by batch size",
            f"Batches of {fastest} make the fastest epochs ({seconds[fastest]:.3g} s); one of "
            f"batches of {slowest} takes {seconds[slowest] / seconds[fastest]:.0f} times as long",
        )
    return figure  # type: ignore[no-any-return]


def _label_points(axis: Axes, seconds: dict[int, float]) -> None:
    """The seconds at every point: above where the line falls after it, else below."""
    following = [*list(seconds.values())[1:], float("inf")]
    for (size, value), after in zip(seconds.items(), following, strict=True):
        place: dict[str, Any] = {"xytext": (0, -6), "ha": "center", "va": "top"}
        if after < value:
            place = {"xytext": (4, 4), "ha": "left", "va": "bottom"}
        axis.annotate(f"{value:.2g}", (size, value), textcoords="offset points", **place)


def _draw_accuracy(result: Result) -> Figure:
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2, sharey=True)
        for rule, label in RULES.items():
            color, marker = STYLES[rule]
            ends = {size: values[:, -1] for size, values in accuracies(result, rule).items()}
            timed = {size: values for size, (_, values) in after_equal_time(result, rule).items()}
            for axis, by_size in ((left, ends), (right, timed)):
                means = [values.mean() for values in by_size.values()]
                axis.plot(list(by_size), means, color=color, marker=marker, label=label)
                axis.fill_between(
                    list(by_size),
                    [v.min() for v in by_size.values()],
                    [v.max() for v in by_size.values()],
                    color=color,
                    alpha=0.18,
                    lw=0,
                )
        for axis in (left, right):
            axis.set_xscale("log")
            _label_sizes(axis, result["config"]["batch_sizes"])
        left.set_ylabel("test accuracy (fraction)")
        left.set_title(f"After {result['config']['n_epochs']} epochs")
        right.set_title(f"After {equal_seconds(result):.2g} s of training")
        legend_below(figure, left, 2)
        headline(figure, "Accuracy by batch size", _finding(result))
    return figure  # type: ignore[no-any-return]


def _finding(result: Result) -> str:
    best = {}
    for where, by_size in (
        ("epochs", {s: v[:, -1].mean() for s, v in accuracies(result, "mean").items()}),
        ("time", {s: v.mean() for s, (_, v) in after_equal_time(result, "mean").items()}),
    ):
        size = max(by_size, key=by_size.__getitem__)
        best[where] = f"{size} ({by_size[size]:.4f})"
    return (
        f"After equal epochs batches of {best['epochs']} are best, after equal time those of "
        f"{best['time']}, with the same rate for the mean"
    )


def _draw_course(result: Result) -> Figure:
    seconds = epoch_seconds(result)
    means = {size: values.mean(axis=0) for size, values in accuracies(result, "mean").items()}
    lowest = max(0.0, float(np.median([values[-1] for values in means.values()])) - 0.1)
    shown = [size for size, values in means.items() if values.max() >= lowest]
    styles = zip(ordered_colors(len(shown)), cycle(CATEGORIES), strict=False)
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2, sharey=True)
        for size, (color, (_, marker)) in zip(shown, styles, strict=False):
            values = means[size]
            epochs = np.arange(1, len(values) + 1)
            style = {"color": color, "marker": marker, "markevery": max(1, len(values) // 6)}
            left.plot(epochs, values, label=f"{size}", **style)
            right.plot(epochs * seconds[size], values, **style)
        left.set_xlabel("epochs of training")
        right.set_xlabel("seconds of training")
        right.set_xscale("log")
        right.xaxis.set_major_formatter("{x:g}")
        left.set_title("By epochs")
        right.set_title("By time")
        left.set_ylabel("test accuracy (fraction)")
        left.set_ylim(lowest, None)
        legend_below(figure, left, 7, "images per batch")
        headline(figure, "The course of training by batch size", _course_finding(result))
    return figure  # type: ignore[no-any-return]


def _course_finding(result: Result) -> str:
    """Which sizes reach the threshold in the fewest epochs, and in the least time."""
    seconds, epochs = epoch_seconds(result), {}
    for size, values in accuracies(result, "mean").items():
        good = np.flatnonzero(values.mean(axis=0) >= GOOD_ENOUGH)
        if len(good):
            epochs[size] = int(good[0]) + 1
    if not epochs:
        return f"No batch size reaches {GOOD_ENOUGH} on the test set"
    quickest = min(epochs, key=lambda size: epochs[size] * seconds[size])
    fewest = min(epochs, key=epochs.__getitem__)
    if fewest == quickest:
        return (
            f"Batches of {fewest} reach {GOOD_ENOUGH} on the test set first, in {epochs[fewest]} "
            f"epochs and {epochs[fewest] * seconds[fewest]:.2g} s"
        )
    return (
        f"{GOOD_ENOUGH} on the test set takes batches of {fewest} the fewest epochs "
        f"({epochs[fewest]}), and batches of {quickest} the least time "
        f"({epochs[quickest] * seconds[quickest]:.2g} s)"
    )


def _label_sizes(axis: Axes, sizes: Sequence[int]) -> None:
    """Every batch size below the axis, thousands as k."""
    labels = [
        f"{size // 1000}k" if size >= 1000 and size % 1000 == 0 else str(size) for size in sizes
    ]
    axis.set_xticks(sizes, labels=labels, rotation=45)
    axis.set_xticks([], minor=True)
    axis.set_xlabel("images per batch")


STUDY = Study(
    "batch-size",
    "Which batch size learns most in the same number of epochs, and which in the same time?",
    configure,
    run,
    tables,
    draw,
)
