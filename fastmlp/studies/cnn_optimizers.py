"""Optimizers and schedules of the learning rate for the articles' CNN.

"A simple CNN for the MNIST dataset" III has rmsprop, nadam and adamax, and three schedules, and
compares none of them. Each optimizer runs at multiples of its usual rate, without a schedule; each
schedule starts with the same multiples of rmsprop's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.convolution import load, network_config, train_cnn, versions
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, legend_below
from fastmlp.studies.lab.rates import best_rate, draw_by_rate, finished
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = {
    "rmsprop": {"learning_rate": 0.001},
    "nadam": {"learning_rate": 0.001},
    "adamax": {"learning_rate": 0.001},
    "adam": {"learning_rate": 0.001},
    "sgd": {"learning_rate": 0.01, "momentum": 0.9},
}
"""Keras' default rates; sgd alone needs a momentum to keep up."""

SCHEDULED = "rmsprop"
"""The optimizer of the schedules, that of the articles."""

NO_SCHEDULE = "none"


@dataclass(frozen=True)
class Config:
    """Settings; `n_train` counts the validation images too, `rates` are multiples of the usual."""

    data: str = "mnist"
    n_train: int | None = 6_000
    n_validation: int = 1_000
    maps: tuple[int, ...] = (32, 64, 64)
    dense: tuple[int, ...] = (70,)
    optimizers: tuple[str, ...] = tuple(USUAL)
    schedules: tuple[str, ...] = ("power", "exponential", "cosine")
    rates: tuple[float, ...] = (1.0, 3.0)
    seeds: tuple[int, ...] = (0, 1)
    n_epochs: int = 4
    batch_size: int = 64


def configure(data: str, quick: bool) -> Config:
    """Return the settings; quick: fewer rows, optimizers, schedules, rates, epochs, one seed."""
    few: dict[str, Any] = {"optimizers": ("rmsprop", "sgd"), "schedules": ("cosine",)}
    few |= {"rates": (1.0,), "seeds": (0,), "n_epochs": 3}
    if data == "mnist":
        return Config(n_train=2_500, n_validation=500, **few) if quick else Config()
    return Config(
        data, None, 300, maps=(16, 32), dense=(20,), batch_size=32, **few if quick else {}
    )


def schedule_settings(schedule: str, n_epochs: int, n_batches: int) -> dict[str, Any]:
    """Settings of a schedule: the articles' decay, a half per epoch, or to 0 by the last batch.

    Parameters
    ----------
    schedule : {"none", "power", "exponential", "cosine"}
    n_epochs : int
        Epochs of the run.
    n_batches : int
        Batches of an epoch.
    """
    decays: dict[str, tuple[int, float]] = {
        NO_SCHEDULE: (1, 0.0),
        "power": (1, 0.001),
        "exponential": (n_batches, 0.5),
        "cosine": (n_epochs * n_batches, 0.0),
    }
    steps, rate = decays[schedule]
    return {"schedule": schedule, "decay_steps": steps, "decay_rate": rate}


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per optimizer or schedule, rate and seed, one after the other."""
    libraries = versions()
    data = load(config.data, config.n_train, config.n_validation)
    n_batches = -(-len(data.X_train) // config.batch_size)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        usual = USUAL[case["optimizer"]]
        settings = network_config(
            data,
            maps=config.maps,
            dense=config.dense,
            optimizer=case["optimizer"],
            batch_size=config.batch_size,
            epochs=config.n_epochs,
            **usual | {"learning_rate": case["rate"] * usual["learning_rate"]},
            **schedule_settings(case["schedule"], config.n_epochs, n_batches),
        )
        return train_cnn(data, settings, seed=case["seed"], tick=tick)

    ways = [(optimizer, NO_SCHEDULE) for optimizer in config.optimizers]
    ways += [(SCHEDULED, schedule) for schedule in config.schedules]
    cases = [
        {"optimizer": optimizer, "schedule": schedule, "rate": rate, "seed": seed}
        for seed in config.seeds
        for optimizer, schedule in ways
        for rate in config.rates
    ]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs, alone=True)
    sizes = {"n_train": len(data.X_train), "n_test": len(data.X_test)}
    return session.record(config, **sizes, runs=runs, libraries=libraries)


def by_optimizer(result: Result) -> dict[str, list[Mapping[str, Any]]]:
    """The runs of each optimizer without a schedule."""
    return {
        name: finished(result["runs"], optimizer=name, schedule=NO_SCHEDULE)
        for name in result["config"]["optimizers"]
    }


def by_schedule(result: Result) -> dict[str, list[Mapping[str, Any]]]:
    """The runs of each schedule with rmsprop, that without one included."""
    return {
        name: finished(result["runs"], optimizer=SCHEDULED, schedule=name)
        for name in (NO_SCHEDULE, *result["config"]["schedules"])
    }


def tables(result: Result) -> list[Table]:
    """Tabulate optimizers and schedules at the rate that is best on the validation images."""
    n_epochs = result["config"]["n_epochs"]
    return [
        Table(
            f"Optimizers after {n_epochs} epochs, at the best rate for validation",
            ("optimizer", *_COLUMNS),
            _rows(by_optimizer(result)),
        ),
        Table(
            f"Schedules with {SCHEDULED} after {n_epochs} epochs, at the best rate for validation",
            ("schedule", *_COLUMNS),
            _rows(by_schedule(result)),
        ),
    ]


_COLUMNS = (
    "first rate",
    "validation accuracy after 1 epoch",
    "train accuracy",
    "validation accuracy",
    "test accuracy",
)


def _rows(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[tuple[str, ...], ...]:
    rows = []
    for name, group in groups.items():
        runs = best_rate(group)
        if not runs:
            rows.append((name, *["diverged"] * len(_COLUMNS)))
            continue
        rows.append(
            (
                name,
                f"{runs[0]['rate'] * USUAL[runs[0]['optimizer']]['learning_rate']:g}",
                mean_and_range([run["validation_accuracy"][0] for run in runs]),
                mean_and_range([run["train_accuracy"][-1] for run in runs]),
                mean_and_range([run["validation_accuracy"][-1] for run in runs]),
                mean_and_range([run["test_accuracy"] for run in runs]),
            )
        )
    return tuple(rows)


def draw(result: Result) -> dict[str, Figure]:
    """Test accuracy by first rate, and the course at the best one; optimizers, then schedules."""
    optimizers, schedules = by_optimizer(result), by_schedule(result)
    return {
        "optimizers": _draw(result, optimizers, "Optimizers of a CNN"),
        "schedules": _draw(result, schedules, f"Schedules of a CNN's learning rate, {SCHEDULED}"),
    }


def _draw(result: Result, groups: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Figure:
    config = result["config"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        draw_by_rate(left, groups, config["rates"])
        left.set_xlabel("first learning rate, multiples of the usual one")
        left.set_ylabel(f"test accuracy after {config['n_epochs']} epochs")
        left.set_title("Mean and range of seeds")
        for (name, group), (color, marker) in zip(groups.items(), CATEGORIES, strict=False):
            if runs := best_rate(group):
                courses = [run["validation_accuracy"] for run in runs]
                epochs = np.arange(len(courses[0])) + 1
                draw_spread(right, epochs, courses, color=color, marker=marker, label=name)
        right.set_xlabel("epochs of training")
        right.set_ylabel("validation accuracy (fraction)")
        right.xaxis.get_major_locator().set_params(integer=True)
        right.set_title("Each at its best rate")
        legend_below(figure, left, len(groups))
        headline(figure, title, _finding(groups))
    return figure  # type: ignore[no-any-return]


def _finding(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    means = {
        name: float(np.mean([run["test_accuracy"] for run in runs]))
        for name, group in groups.items()
        if (runs := best_rate(group))
    }
    if len(means) < 2:
        return "Too few networks to compare"
    best, last = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    return (
        f"Best: {best} ({means[best]:.4f}); last: {last} ({means[last]:.4f}), each at its own best "
        "rate"
    )


STUDY = Study(
    "cnn-optimizers",
    "Which optimizer and which schedule of the rate suit a CNN?",
    configure,
    run,
    tables,
    draw,
)
