"""Learning rates, rules that lower them, initial weights, and scaling of the inputs.

The articles' part XII and the perceptron series name these four as what decides whether sigmoids
learn. Around one setting (784-70-30-10, standardized inputs, weights in +-0.5 / sqrt(nodes), a
constant rate of 0.001 for sums over batches of 500) one of them at a time is changed. No penalty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.data import load_raw, scale_rows
from fastmlp.studies.lab.figures import (
    CATEGORIES,
    FIGSIZE,
    draw_spread,
    headline,
    legend_below,
    ordered_colors,
)
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import measurement_epochs, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = ("rate", "schedule", "initializer", "scale")
"""Groups of settings that are varied, one at a time; also the names of the figures."""

GROUP_TITLES = {
    "rate": "Learning rate (constant; for sums over a batch)",
    "schedule": "Rule that lowers the rate",
    "initializer": "Initial weights",
    "scale": "Scaling of the inputs",
}
TITLES = {
    "rate": "Accuracy by learning rate",
    "schedule": "Accuracy by the rule that lowers the rate",
    "initializer": "Accuracy by initial weights",
    "scale": "Accuracy by scaling of the inputs",
}
NAMES = {
    "feature": "StandardScaler",
    "global": "one scale for all pixels",
    "unit": "pixels / white",
    "none": "raw pixels",
    "normalized_features": "Normalizer per feature",
    "normalized_samples": "Normalizer per sample",
    "sqrt_nodes": "±0.5 / √nodes",
    "glorot": "Glorot",
    "he": "He",
    "range": "±0.5",
    "legacy": "±0.5, then ±1",
    "constant": "constant",
    "cumulative": "cumulative (articles)",
    "power": "power",
    "exponential": "exponential",
    "cosine": "cosine",
    "one_cycle": "one cycle",
}
KEPT = ("epochs", "learning_rate", "train_accuracy", "test_accuracy")

FINAL_SHARE = 0.1
"""The decaying rules end at this share of their first rate."""

GOOD_ENOUGH = 0.95
"""Test accuracy; the table shows the epochs needed to reach it."""


@dataclass(frozen=True)
class Config:
    """The base setting is the first of every list but `rates`, where it is `base_rate`."""

    data: str = "mnist"
    n_train: int | None = None
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    base_rate: float = 1e-3
    schedules: tuple[str, ...] = (
        "constant",
        "cumulative",
        "power",
        "exponential",
        "cosine",
        "one_cycle",
    )
    scheduled_rate: float = 3e-3
    initializers: tuple[str, ...] = ("sqrt_nodes", "glorot", "he", "range", "legacy")
    scales: tuple[str, ...] = (
        "feature",
        "global",
        "unit",
        "none",
        "normalized_features",
        "normalized_samples",
    )
    seeds: tuple[int, ...] = (0, 1)
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 100
    batch_size: int = 500


def configure(data: str, quick: bool) -> Config:
    """Return the settings; quick: one seed, and fewer rows and epochs."""
    if data == "mnist":
        return Config(n_train=6000, n_epochs=16, seeds=(0,)) if quick else Config()
    return Config(
        data,
        rates=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
        base_rate=1e-2,
        scheduled_rate=3e-2,
        batch_size=50,
        seeds=(0,) if quick else (0, 1),
    )


def decay_for(schedule: str, n_epochs: int) -> float:
    """The constant d with which a rule ends at FINAL_SHARE of its first rate.

    cumulative: product of (1 + d e), near exp(d n^2 / 2);  power: 1 + d n;  exponential: exp(d n).
    """
    last, loss = max(n_epochs - 1, 1), float(np.log(1 / FINAL_SHARE))
    return {
        "cumulative": 2 * loss / (last * (last + 1)),
        "power": (1 / FINAL_SHARE - 1) / last,
        "exponential": loss / last,
    }.get(schedule, 0.0)


def cases_of(config: Config) -> list[Case]:
    """One case per setting and seed; `group` says what is changed, `name` to what."""
    base = {
        "rate": config.base_rate,
        "schedule": "constant",
        "initializer": "sqrt_nodes",
        "scale": "feature",
    }
    changes: dict[str, tuple[Any, ...]] = {
        "rate": config.rates,
        "schedule": config.schedules,
        "initializer": config.initializers,
        "scale": config.scales,
    }
    cases = []
    for seed in config.seeds:
        for group, values in changes.items():
            for value in values:
                rate = {"rate": config.scheduled_rate} if group == "schedule" else {}
                cases.append({"group": group, "seed": seed} | base | rate | {group: value})
    return cases


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per setting and seed."""
    raw = load_raw(config.data, config.n_train)
    data = {scale: scale_rows(raw, scale) for scale in {"feature", *config.scales}}
    epochs = measurement_epochs(config.n_epochs, 30)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        return train(
            data[case["scale"]],
            seed=case["seed"],
            n_epochs=config.n_epochs,
            tick=tick,
            epochs_to_measure=epochs,
            keep=KEPT,
            hidden=config.hidden,
            initializer=case["initializer"],
            learning_rate=case["rate"],
            schedule=case["schedule"],
            decay=decay_for(case["schedule"], config.n_epochs),
            batch_size=config.batch_size,
        )[1]

    runs = session.map(train_one, cases_of(config), config=config, n_ticks=config.n_epochs)
    return session.record(config, n_train=len(raw.X_train), n_test=len(raw.X_test), runs=runs)


def runs_of(result: Result, group: str) -> dict[str, list[dict[str, Any]]]:
    """The seeds of every value of a group, by its name; those that diverged are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in result["runs"]:
        if run["group"] == group:
            value = run[group]
            name = f"{value:g}" if group == "rate" else NAMES[value]
            found.setdefault(name, [])
            if not run["diverged"]:
                found[name].append(run)
    return found


def tables(result: Result) -> list[Table]:
    """Tabulate final and best accuracies, and the epochs needed, one table per group."""
    columns = (
        "setting",
        "train accuracy",
        "test accuracy",
        "best test accuracy",
        "in epoch",
        f"epochs to {GOOD_ENOUGH:.2f}",
    )
    return [
        Table(
            GROUP_TITLES[group],
            columns,
            tuple(_row(name, runs) for name, runs in runs_of(result, group).items()),
        )
        for group in GROUPS
    ]


def _row(name: str, runs: list[dict[str, Any]]) -> tuple[str, ...]:
    if not runs:
        return (name, *["diverged"] * 5)
    test = np.mean([run["test_accuracy"] for run in runs], axis=0)
    good = np.flatnonzero(test >= GOOD_ENOUGH)
    return (
        name,
        mean_and_range([run["train_accuracy"][-1] for run in runs]),
        mean_and_range([run["test_accuracy"][-1] for run in runs]),
        f"{test.max():.4f}",
        str(runs[0]["epochs"][int(test.argmax())]),
        str(runs[0]["epochs"][int(good[0])]) if len(good) else "never",
    )


def draw(result: Result) -> dict[str, Figure]:
    """Draw one figure per group: accuracy on both sets by epoch."""
    findings: dict[str, Callable[[Result], str]] = {
        "rate": _finding_of_rates,
        "schedule": _finding_of_schedules,
        "initializer": _finding_of_weights,
        "scale": _finding_of_scales,
    }
    return {group: _draw_group(result, group, findings[group](result)) for group in GROUPS}


def _draw_group(result: Result, group: str, finding: str) -> Figure:
    found = runs_of(result, group)
    lowest = _lowest_shown(found)
    styles: list[Any] = [(color, marker) for color, marker in CATEGORIES]
    if group == "rate":
        styles = [(color, None) for color in ordered_colors(len(found))]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, 2, sharey=True)
        for (name, runs), (color, marker) in zip(found.items(), styles, strict=False):
            values = {part: [run[f"{part}_accuracy"] for run in runs] for part in ("train", "test")}
            shown = any(value > lowest for value in np.ravel(list(values.values())))
            for axis, part in zip(axes, values, strict=True):
                if runs:
                    draw_spread(
                        axis,
                        runs[0]["epochs"],
                        values[part],
                        color=color,
                        marker=marker,
                        markevery=0.15,
                        label=name if shown else f"{name} (below)",
                    )
        for axis, title in zip(axes, ("Training set", "Test set"), strict=True):
            axis.set_xlabel("epochs of training")
            axis.set_title(title)
        axes[0].set_ylabel("accuracy (fraction)")
        axes[0].set_ylim(lowest, 1.003)
        legend_below(figure, axes[1], 3 if len(found) > 5 else 5, GROUP_TITLES[group])
        headline(figure, TITLES[group], finding)
    return figure  # type: ignore[no-any-return]


def _lowest_shown(found: dict[str, list[dict[str, Any]]]) -> float:
    """Return an axis limit that shows most curves: below the second-lowest final accuracy."""
    ends = sorted(run["test_accuracy"][-1] for runs in found.values() for run in runs[:1])
    return max(0.0, min(0.9, ends[min(1, len(ends) - 1)]) - 0.05) if ends else 0.0


def _ends(result: Result, group: str) -> dict[str, float]:
    """Mean final test accuracy by name."""
    return {
        name: float(np.mean([run["test_accuracy"][-1] for run in runs]))
        for name, runs in runs_of(result, group).items()
        if runs
    }


def _best_and_worst(result: Result, group: str) -> tuple[str, float, str, float]:
    ends = _ends(result, group)
    best, worst = max(ends, key=ends.__getitem__), min(ends, key=ends.__getitem__)
    return best, ends[best], worst, ends[worst]


def _finding_of_rates(result: Result) -> str:
    best, high, worst, low = _best_and_worst(result, "rate")
    epochs = result["config"]["n_epochs"]
    return (
        f"After {epochs} epochs a rate of {best} is best ({high:.4f}) and {worst} worst ({low:.4f})"
    )


def _finding_of_schedules(result: Result) -> str:
    best, high, worst, low = _best_and_worst(result, "schedule")
    rate = result["config"]["scheduled_rate"]
    return (
        f"From a rate of {rate:g} the rule “{best}” ends best ({high:.4f}), “{worst}” worst: "
        f"{100 * (high - low):.2f} percentage points lie between them"
    )


def _finding_of_weights(result: Result) -> str:
    best, high, worst, low = _best_and_worst(result, "initializer")
    return f"Initial weights: {best} is best in the end ({high:.4f}), {worst} worst ({low:.4f})"


def _finding_of_scales(result: Result) -> str:
    best, high, worst, low = _best_and_worst(result, "scale")
    return (
        f"Scaling of the inputs: {best} is best in the end ({high:.4f}), {worst} worst ({low:.4f})"
    )


STUDY = Study(
    "learning-rate",
    "Which learning rate, rule, initial weights and scaling of the inputs let the network learn?",
    configure,
    run,
    tables,
    draw,
)
