"""Softmax with cross-entropy, sigmoid with log loss, and squared error at the output of a CNN.

The articles announce the comparison in "A simple CNN for the MNIST dataset" II. Each pair of output
and loss runs at several learning rates, as in the study softmax-vs-sigmoid of the MLP; rmsprop
divides by the size of the gradients, so that the rates need not differ as much as they do there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.convolution import (
    falling_rate,
    load,
    network_config,
    train_cnn,
    versions,
)
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, legend_below
from fastmlp.studies.lab.rates import best_rate, draw_by_rate, finished
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAIRS = {
    "softmax, cross-entropy": ("softmax", "categorical_crossentropy"),
    "sigmoid, log loss": ("sigmoid", "binary_crossentropy"),
    "softmax, squared error": ("softmax", "mean_squared_error"),
    "sigmoid, squared error": ("sigmoid", "mean_squared_error"),
}


@dataclass(frozen=True)
class Config:
    """Settings; `n_train` counts the validation images too."""

    data: str = "mnist"
    n_train: int | None = 6_000
    n_validation: int = 1_000
    maps: tuple[int, ...] = (32, 64, 64)
    dense: tuple[int, ...] = (70,)
    pairs: tuple[str, ...] = tuple(PAIRS)
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    seeds: tuple[int, ...] = (0, 1)
    n_epochs: int = 4
    batch_size: int = 64


def configure(data: str, quick: bool) -> Config:
    """Return the settings; quick: fewer rows, pairs, rates, epochs and a single seed."""
    if data == "mnist":
        if not quick:
            return Config()
        pairs, rates = tuple(PAIRS)[:2], (1e-3, 3e-3)
        return Config(
            n_train=2_500, n_validation=500, pairs=pairs, rates=rates, seeds=(0,), n_epochs=3
        )
    return Config(
        data,
        None,
        300,
        maps=(16, 32),
        dense=(20,),
        pairs=tuple(PAIRS)[:2] if quick else tuple(PAIRS),
        rates=(1e-3, 3e-3) if quick else (1e-3, 3e-3, 1e-2),
        seeds=(0,) if quick else (0, 1),
        batch_size=32,
    )


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per pair, rate and seed, one after the other."""
    libraries = versions()
    data = load(config.data, config.n_train, config.n_validation)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        output, loss = PAIRS[case["pair"]]
        settings = network_config(
            data,
            maps=config.maps,
            dense=config.dense,
            output=output,
            loss=loss,
            learning_rate=case["rate"],
            batch_size=config.batch_size,
            epochs=config.n_epochs,
            **falling_rate(data, config.n_epochs, config.batch_size),
        )
        return train_cnn(data, settings, seed=case["seed"], tick=tick)

    cases = [
        {"pair": pair, "rate": rate, "seed": seed}
        for seed in config.seeds
        for pair in config.pairs
        for rate in config.rates
    ]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs, alone=True)
    sizes = {"n_train": len(data.X_train), "n_test": len(data.X_test)}
    return session.record(config, **sizes, runs=runs, libraries=libraries)


def best_runs(result: Result) -> dict[str, list[Any]]:
    """The runs of each pair at its best rate; pairs that diverged at every rate have none."""
    return {
        pair: best_rate(finished(result["runs"], pair=pair)) for pair in result["config"]["pairs"]
    }


def tables(result: Result) -> list[Table]:
    """Tabulate the accuracies at the rate that is best on the validation images."""
    columns = ("output and loss", "rate", "train accuracy", "validation accuracy", "test accuracy")
    rows = []
    for pair, runs in best_runs(result).items():
        if not runs:
            rows.append((pair, *["diverged"] * (len(columns) - 1)))
            continue
        rows.append(
            (
                pair,
                f"{runs[0]['rate']:g}",
                mean_and_range([run["train_accuracy"][-1] for run in runs]),
                mean_and_range([run["validation_accuracy"][-1] for run in runs]),
                mean_and_range([run["test_accuracy"] for run in runs]),
            )
        )
    n_epochs = result["config"]["n_epochs"]
    return [
        Table(f"After {n_epochs} epochs, at the best rate for validation", columns, tuple(rows))
    ]


def draw(result: Result) -> dict[str, Figure]:
    """Test accuracy by rate, and the course at the best rates."""
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        groups = {p: finished(result["runs"], pair=p) for p in result["config"]["pairs"]}
        draw_by_rate(left, groups, result["config"]["rates"])
        left.set_xlabel("learning rate")
        left.set_ylabel(f"test accuracy after {result['config']['n_epochs']} epochs")
        left.set_title("Mean and range of seeds")
        for (pair, runs), (color, marker) in zip(
            best_runs(result).items(), CATEGORIES, strict=False
        ):
            if runs:
                courses = [run["validation_accuracy"] for run in runs]
                epochs = np.arange(len(courses[0])) + 1
                draw_spread(right, epochs, courses, color=color, marker=marker, label=pair)
        right.set_xlabel("epochs of training")
        right.set_ylabel("validation accuracy (fraction)")
        right.xaxis.get_major_locator().set_params(integer=True)
        right.set_title("Each at its best rate")
        legend_below(figure, left, 2)
        headline(figure, "Outputs and losses of a CNN", _finding(result))
    return {"accuracy": figure}


def _finding(result: Result) -> str:
    means = {
        pair: float(np.mean([run["test_accuracy"] for run in runs]))
        for pair, runs in best_runs(result).items()
        if runs
    }
    if len(means) < 2:
        return "Too few networks to compare"
    best, last = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    return (
        f"Best: {best} ({means[best]:.4f}); last: {last} ({means[last]:.4f}), each at its own best "
        "rate"
    )


STUDY = Study(
    "cnn-outputs",
    "Does softmax with cross-entropy beat sigmoids and squared error in a CNN?",
    configure,
    run,
    tables,
    draw,
)
