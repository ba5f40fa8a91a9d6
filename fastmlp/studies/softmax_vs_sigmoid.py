"""Softmax with cross-entropy, sigmoid with log loss, and squared error; sigmoid, tanh and relu.

The articles announce the comparison. Every pair of output and loss runs with every activation at
several learning rates, because the losses' gradients differ in size, and what is best at one rate
may be bad at another. No penalty; weights by Glorot's rule, He's for relu.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, legend_below
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import measurement_epochs, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAIRS = {
    "softmax, cross-entropy": ("softmax", "cross_entropy"),
    "sigmoid, log loss": ("sigmoid", "log_loss"),
    "sigmoid, squared error": ("sigmoid", "squared_error"),
}
KEPT = ("epochs", "train_accuracy", "test_accuracy")
SHOWN_BELOW_BEST = 0.1
"""Accuracies more than this below the best are omitted from the figure."""

GOOD_ENOUGH = 0.96
"""Test accuracy; the table shows the epochs needed to reach it."""


@dataclass(frozen=True)
class Config:
    """Rates are for sums over a batch, as in the articles."""

    data: str = "mnist"
    n_train: int | None = None
    pairs: tuple[str, ...] = tuple(PAIRS)
    activations: tuple[str, ...] = ("sigmoid", "tanh", "relu")
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    seeds: tuple[int, ...] = (0, 1)
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 40
    batch_size: int = 500


def configure(data: str, quick: bool) -> Config:
    """Return the settings; quick: fewer rates, rows, seeds and epochs."""
    if data == "mnist":
        if not quick:
            return Config()
        return Config(n_train=6000, rates=(3e-4, 1e-3, 3e-3), seeds=(0,), n_epochs=16)
    return Config(
        data,
        rates=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
        batch_size=50,
        seeds=(0,) if quick else (0, 1, 2),
    )


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per pair, activation, rate and seed."""
    data = load_scaled(config.data, "feature", config.n_train)
    epochs = measurement_epochs(config.n_epochs, 20)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        output, loss = PAIRS[case["pair"]]
        return train(
            data,
            seed=case["seed"],
            n_epochs=config.n_epochs,
            tick=tick,
            keep=KEPT,
            epochs_to_measure=epochs,
            hidden=config.hidden,
            activation=case["activation"],
            initializer="he" if case["activation"] == "relu" else "glorot",
            output=output,
            loss=loss,
            learning_rate=case["rate"],
            batch_size=config.batch_size,
        )[1]

    cases = [
        {"pair": pair, "activation": activation, "rate": rate, "seed": seed}
        for seed in config.seeds
        for pair in config.pairs
        for activation in config.activations
        for rate in config.rates
    ]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs)
    return session.record(config, n_train=len(data.X_train), runs=runs)


def runs_of(result: Result, pair: str, activation: str, rate: float) -> list[dict[str, Any]]:
    """The seeds of one setting that did not diverge."""
    return [
        run
        for run in result["runs"]
        if (run["pair"], run["activation"], run["rate"]) == (pair, activation, rate)
        and not run["diverged"]
    ]


def best_rate(result: Result, pair: str, activation: str) -> float:
    """Return the rate with the best final accuracy on the *training* set, averaged over the seeds.

    The smallest of equal ones. The test set has no say in it.
    """

    def ended(rate: float) -> float:
        runs = runs_of(result, pair, activation, rate)
        return float(np.mean([run["train_accuracy"][-1] for run in runs])) if runs else -1.0

    rates: list[float] = sorted(result["config"]["rates"])
    return max(rates, key=ended)


def runs_at_best_rate(result: Result, pair: str, activation: str) -> list[dict[str, Any]]:
    """Return the runs at the best rate."""
    return runs_of(result, pair, activation, best_rate(result, pair, activation))


def tables(result: Result) -> list[Table]:
    """Tabulate the accuracies at the rate that is best on the training set."""
    columns = (
        "output and loss, activation",
        "rate",
        "train accuracy",
        "test accuracy",
        f"epochs to {GOOD_ENOUGH:.2f} on the test set",
    )
    rows = []
    for pair in result["config"]["pairs"]:
        for activation in result["config"]["activations"]:
            runs = runs_at_best_rate(result, pair, activation)
            if not runs:
                rows.append((f"{pair}; {activation}", *["diverged"] * 4))
                continue
            test = np.mean([run["test_accuracy"] for run in runs], axis=0)
            good = np.flatnonzero(test >= GOOD_ENOUGH)
            rows.append(
                (
                    f"{pair}; {activation}",
                    f"{runs[0]['rate']:g}",
                    mean_and_range([run["train_accuracy"][-1] for run in runs]),
                    mean_and_range([run["test_accuracy"][-1] for run in runs]),
                    str(runs[0]["epochs"][int(good[0])]) if len(good) else "never",
                )
            )
    title = f"After {result['config']['n_epochs']} epochs, at the rate best for the training set"
    return [Table(title, columns, tuple(rows))]


def draw(result: Result) -> dict[str, Figure]:
    """Test accuracy by rate; its course at the chosen rates."""
    return {"rates": _draw_rates(result), "course": _draw_course(result)}


def _draw_rates(result: Result) -> Figure:
    config = result["config"]
    rates = config["rates"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(config["activations"]), sharey=True, squeeze=False)
        shown: list[float] = []
        for axis, activation in zip(axes[0], config["activations"], strict=True):
            for pair, (color, marker) in zip(config["pairs"], CATEGORIES, strict=False):
                found = {
                    rate: [run["test_accuracy"][-1] for run in runs]
                    for rate in rates
                    if (runs := runs_of(result, pair, activation, rate))
                }
                means = [float(np.mean(values)) for values in found.values()]
                axis.plot(list(found), means, color=color, marker=marker, label=pair)
                axis.fill_between(
                    list(found),
                    [min(v) for v in found.values()],
                    [max(v) for v in found.values()],
                    color=color,
                    alpha=0.18,
                    lw=0,
                )
                shown += means
            axis.set_xscale("log")
            axis.set_xticks(rates, labels=[f"{rate:g}" for rate in rates], rotation=45)
            axis.set_xticks([], minor=True)
            axis.set_xlabel("learning rate (sums)")
            axis.set_title(f"{activation} inside")
        axes[0, 0].set_ylabel(f"test accuracy after {config['n_epochs']} epochs")
        best = max(shown, default=1.0)
        near = [mean for mean in shown if mean >= best - SHOWN_BELOW_BEST]
        axes[0, 0].set_ylim(min(near, default=0.0) - 0.01, best + 0.01)
        legend_below(figure, axes[0, 0], 3)
        headline(figure, "Outputs and losses by learning rate", _finding(result))
    return figure  # type: ignore[no-any-return]


def _finding(result: Result) -> str:
    means = {
        (pair, activation): float(np.mean([run["test_accuracy"][-1] for run in runs]))
        for pair in result["config"]["pairs"]
        for activation in result["config"]["activations"]
        if (runs := runs_at_best_rate(result, pair, activation))
    }
    (pair, activation), high = max(means.items(), key=lambda item: item[1])
    (worst_pair, worst_activation), low = min(means.items(), key=lambda item: item[1])
    return (
        f"Best: {pair} over {activation} ({high:.4f}); last: {worst_pair} over {worst_activation} "
        f"({low:.4f}), each at its own best rate"
    )


def _draw_course(result: Result) -> Figure:
    config = result["config"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(config["activations"]), sharey=True, squeeze=False)
        for axis, activation in zip(axes[0], config["activations"], strict=True):
            for pair, (color, marker) in zip(config["pairs"], CATEGORIES, strict=False):
                runs = runs_at_best_rate(result, pair, activation)
                if runs:
                    draw_spread(
                        axis,
                        runs[0]["epochs"],
                        [run["test_accuracy"] for run in runs],
                        color=color,
                        marker=marker,
                        markevery=0.2,
                        label=pair,
                    )
            axis.set_xlabel("epochs of training")
            axis.set_title(f"{activation} inside")
        axes[0, 0].set_ylabel("test accuracy (fraction)")
        ends = [
            run["test_accuracy"][-1]
            for pair in config["pairs"]
            for activation in config["activations"]
            for run in runs_at_best_rate(result, pair, activation)
        ]
        axes[0, 0].set_ylim(min(ends) - 2 * (max(ends) - min(ends)) - 0.002, None)
        legend_below(figure, axes[0, 0], 3)
        headline(figure, "Outputs and losses: the course of training", _course_finding(result))
    return figure  # type: ignore[no-any-return]


def _course_finding(result: Result) -> str:
    """Return the ranges of the differences due to the output and due to the activation."""
    config = result["config"]
    ends = np.array(
        [
            [
                np.mean([run["test_accuracy"][-1] for run in runs]) if runs else np.nan
                for activation in config["activations"]
                for runs in [runs_at_best_rate(result, pair, activation)]
            ]
            for pair in config["pairs"]
        ]
    )
    by_output = np.nanmean(np.nanmax(ends, axis=0) - np.nanmin(ends, axis=0))
    by_activation = np.nanmean(np.nanmax(ends, axis=1) - np.nanmin(ends, axis=1))
    return (
        f"On average output and loss move the test accuracy by {100 * by_output:.2f} "
        f"percentage points, the activation moves it by {100 * by_activation:.2f}"
    )


STUDY = Study(
    "softmax-vs-sigmoid",
    "Does softmax with cross-entropy beat sigmoids with log loss or MSE, and relu sigmoid?",
    configure,
    run,
    tables,
    draw,
)
