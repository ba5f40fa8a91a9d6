"""The articles' first long run (part VIII): 1000 epochs of 784-70-30-10, on train and test sets.

Learning rate 0.0001, decay 1e-6, momentum 5e-5, lambda2 0.1, batches of 500, weights in +-0.5
before the first hidden layer and +-1 elsewhere. The article does not say how its inputs were
scaled, so the run is repeated with raw pixels, with pixels divided by 255, and with standardized
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plots.style import BLUE, INK, ORANGE, styled_pyplot
from fastmlp.studies.lab.data import load_raw, scale_rows
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, label_log_axis
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import measurement_epochs, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED_ERROR = 0.006
"""Mean over outputs and images of abs(y - a), in the last batches (article M8)."""

SCALE_NAMES = {"none": "raw pixels", "unit": "pixels / white", "feature": "StandardScaler"}
KEPT = (
    "epochs",
    "learning_rate",
    "train_accuracy",
    "test_accuracy",
    "train_cost",
    "test_cost",
    "train_error",
    "test_error",
    "batch_cost",
    "batch_error",
)


NOTICEABLE_RISE = 1.01
"""Ratio of the test set's cost to its minimum above which a rise is more than chance."""


@dataclass(frozen=True)
class Config:
    """The published settings; one run per scaling and seed."""

    data: str = "mnist"
    n_train: int | None = None
    scales: tuple[str, ...] = ("none", "unit", "feature")
    seeds: tuple[int, ...] = (0, 1)
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 1000
    batch_size: int = 500
    learning_rate: float = 1e-4
    decay: float = 1e-6
    momentum: float = 5e-5
    lambda2: float = 0.1


def configure(data: str, quick: bool) -> Config:
    """The published settings; with little data smaller batches and larger steps."""
    if data == "mnist":
        return Config(n_train=6000, n_epochs=300, seeds=(0,)) if quick else Config()
    return Config(
        data,
        n_epochs=300 if quick else 1000,
        batch_size=50,
        learning_rate=1e-3,
        lambda2=0.01,
        seeds=(0,) if quick else (0, 1),
    )


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per scaling and seed."""
    raw = load_raw(config.data, config.n_train)
    data = {scale: scale_rows(raw, scale) for scale in config.scales}

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        return train(
            data[case["scale"]],
            seed=case["seed"],
            n_epochs=config.n_epochs,
            tick=tick,
            epochs_to_measure=measurement_epochs(config.n_epochs, 60),
            keep=KEPT,
            hidden=config.hidden,
            initializer="legacy",
            batch_size=config.batch_size,
            l2=config.lambda2,
            learning_rate=config.learning_rate,
            schedule="cumulative",
            decay=config.decay,
            momentum=config.momentum,
        )[1]

    cases = [{"scale": scale, "seed": seed} for seed in config.seeds for scale in config.scales]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs)
    return session.record(config, n_train=len(raw.X_train), n_test=len(raw.X_test), runs=runs)


def runs_of(result: Result, scale: str) -> list[dict[str, Any]]:
    """All seeds of one scaling."""
    return [run for run in result["runs"] if run["scale"] == scale]


def ends(result: Result, scale: str, name: str) -> list[float]:
    """Last values of all seeds."""
    return [run[name][-1] for run in runs_of(result, scale)]


def _is_published(result: Result) -> bool:
    return result["config"]["data"] == "mnist" and not result["quick"]


def tables(result: Result) -> list[Table]:
    """Errors, accuracies and costs at the end."""
    columns = (
        "inputs",
        "error published",
        "error, batches",
        "error, train",
        "error, test",
        "accuracy, train",
        "accuracy, test",
        "cost / image, train",
        "cost / image, test",
    )
    rows = []
    for scale in result["config"]["scales"]:
        errors = [
            mean_and_range([100 * x for x in ends(result, scale, f"{part}_error")], 2) + " %"
            for part in ("batch", "train", "test")
        ]
        accuracies = [
            mean_and_range(ends(result, scale, f"{part}_accuracy")) for part in ("train", "test")
        ]
        costs = [
            f"{np.mean(ends(result, scale, f'{part}_cost')) / result[f'n_{part}']:.3f}"
            for part in ("train", "test")
        ]
        known = f"{100 * PUBLISHED_ERROR:.1f} %" if _is_published(result) else ""
        rows.append((SCALE_NAMES[scale], known, *errors, *accuracies, *costs))
    epochs = result["config"]["n_epochs"]
    return [Table(f"After {epochs} epochs, lowest and highest of the seeds", columns, tuple(rows))]


def draw(result: Result) -> dict[str, Figure]:
    """Averaged error and accuracy of the scalings; costs of train and test."""
    return {"error": _draw_error(result), "cost": _draw_cost(result)}


def _draw_error(result: Result) -> Figure:
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        for scale, (color, _) in zip(result["config"]["scales"], CATEGORIES, strict=False):
            runs = runs_of(result, scale)
            epochs = runs[0]["epochs"]
            for part, style in (("train", "-"), ("test", "--")):
                curve_style = {"color": color, "linestyle": style}
                label = f"{SCALE_NAMES[scale]}, {part}"
                errors = [[100 * x for x in run[f"{part}_error"]] for run in runs]
                draw_spread(left, epochs, errors, label=label, **curve_style)
                accuracies = [run[f"{part}_accuracy"] for run in runs]
                draw_spread(right, epochs, accuracies, label=label, **curve_style)
        if _is_published(result):
            left.axhline(
                100 * PUBLISHED_ERROR,
                color=INK,
                lw=1.2,
                linestyle=":",
                label=f"published: {100 * PUBLISHED_ERROR:.1f} %",
            )
        left.set_yscale("log")
        label_log_axis(left.yaxis)
        left.set_ylabel("averaged error of an output, |y − a| (%)")
        left.set_title("Averaged error")
        right.set_ylim(max(0.0, _lowest_end(result) - 0.05), 1.005)
        right.set_ylabel("accuracy (fraction)")
        right.set_title("Accuracy")
        left.legend(loc="upper right")
        for axis in (left, right):
            axis.set_xlabel("epochs of training")
        headline(figure, "The first run: averaged error and accuracy", _finding(result))
    return figure  # type: ignore[no-any-return]


def _lowest_end(result: Result) -> float:
    return min(min(ends(result, scale, "test_accuracy")) for scale in result["config"]["scales"])


def _finding(result: Result) -> str:
    """Describe the results of the best scaling on both sets."""
    means = {
        scale: float(np.mean(ends(result, scale, "train_error")))
        for scale in result["config"]["scales"]
    }
    best = min(means, key=means.__getitem__)
    test = float(np.mean(ends(result, best, "test_error")))
    accuracy = float(np.mean(ends(result, best, "test_accuracy")))
    return (
        f"With {SCALE_NAMES[best]} the averaged error falls to {100 * means[best]:.2f} % on the "
        f"training set, but only to {100 * test:.2f} % on the test set (accuracy {accuracy:.4f})"
    )


def _draw_cost(result: Result) -> Figure:
    scales = result["config"]["scales"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(scales), sharey=True, squeeze=False)
        for axis, scale in zip(axes[0], scales, strict=True):
            _draw_costs_of(axis, result, scale)
        axes[0, 0].set_ylabel("cost per image (log loss + penalty)")
        axes[0, 0].legend(loc="lower left")
        headline(figure, "The first run: cost on both sets", _cost_finding(result))
    return figure  # type: ignore[no-any-return]


def _draw_costs_of(axis: Axes, result: Result, scale: str) -> None:
    runs = runs_of(result, scale)
    for part, color, style in (("train", ORANGE, "-"), ("test", BLUE, "--")):
        costs = [[x / result[f"n_{part}"] for x in run[f"{part}_cost"]] for run in runs]
        draw_spread(
            axis, runs[0]["epochs"], costs, color=color, linestyle=style, label=f"{part} set"
        )
    axis.set_yscale("log")
    label_log_axis(axis.yaxis)
    axis.set_xlabel("epochs of training")
    axis.set_title(SCALE_NAMES[scale])


def _cost_finding(result: Result) -> str:
    """Describe whether the test set's cost rises again, and the trends of both costs."""
    costs, rise = {}, {}
    for scale in result["config"]["scales"]:
        train, test = (
            np.mean([run[f"{part}_cost"] for run in runs_of(result, scale)], axis=0)
            / result[f"n_{part}"]
            for part in ("train", "test")
        )
        costs[scale], rise[scale] = (train, test), float(test[-1] / test.min())
    worst = max(rise, key=rise.__getitem__)
    epochs = runs_of(result, worst)[0]["epochs"]
    if rise[worst] < NOTICEABLE_RISE:
        shares = [test[-1] / train[-1] for train, test in costs.values()]
        return (
            f"After {epochs[-1]} epochs the test set's cost does not rise yet; it is "
            f"{min(shares):.1f} to {max(shares):.1f} times that of the training set"
        )
    train, test = costs[worst]
    lowest = int(test.argmin())
    return (
        f"With {SCALE_NAMES[worst]} the test set's cost is lowest after {epochs[lowest]} epochs, "
        f"and goes from {test[lowest]:.3f} to {test[-1]:.3f} while that of the training set goes "
        f"from {train[lowest]:.3f} to {train[-1]:.3f}"
    )


STUDY = Study(
    "first-run",
    "What do 1000 epochs reach on training and on test images?",
    configure,
    run,
    tables,
    draw,
)
