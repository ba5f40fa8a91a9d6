"""How strong should the L2 penalty be? The sweep of the articles' part XIII (experiments a to e).

784-70-30-10, StandardScaler, weights in +-0.5 / sqrt(nodes), learning rate 0.001 with the
cumulative rule, batches of 500, 800 epochs, and lambda2 from 0.01 to 0.8. The article announces an
experiment without standardized inputs and does not show it: here it is, with raw pixels and with
pixels divided by 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plots.style import BLUE, ORANGE, styled_pyplot
from fastmlp.studies.lab.data import load_raw, scale_rows
from fastmlp.studies.lab.figures import (
    FIGSIZE,
    PUBLISHED,
    draw_spread,
    headline,
    ordered_colors,
)
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import measurement_epochs, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED_RUNS = {
    0.01: (1.0, 0.9656, 350),
    0.1: (0.999, 0.9714, 600),
    0.2: (0.9946, 0.9728, 700),
    0.4: (0.9858, 0.9693, 600),
    0.8: (0.9705, 0.9588, 400),
}
"""lambda2 -> accuracy on training and test set, and epochs until convergence (article M13)."""

PUBLISHED_ORDER = (0.2, 0.1, 0.4, 0.01, 0.8)
"""Values of lambda2 from the best to the worst test accuracy."""

SETTLED = 0.001
"""A run has converged when its training accuracy stays within this of its final value."""

KEPT = (
    "epochs",
    "training_seconds",
    "train_accuracy",
    "test_accuracy",
    "train_share",
    "batch_cost",
    "batch_share",
    "batch_share_low",
    "batch_share_high",
)

SCALE_NAMES = {"feature": "StandardScaler", "unit": "pixels / white", "none": "raw pixels"}
SCALE_LABELS = {"feature": "Standard-\nScaler", "unit": "pixels\n/ white", "none": "raw\npixels"}


@dataclass(frozen=True)
class Config:
    """The published settings; one run per lambda2 and seed, and per other scaling and seed."""

    data: str = "mnist"
    n_train: int | None = None
    lambdas: tuple[float, ...] = (0.01, 0.1, 0.2, 0.4, 0.8)
    other_scales: tuple[str, ...] = ("unit", "none")
    lambda_of_other_scales: float = 0.2
    seeds: tuple[int, ...] = (0, 1, 2)
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 800
    batch_size: int = 500
    learning_rate: float = 0.001
    decay: float = 1e-5
    momentum: float = 5e-5


def configure(data: str, quick: bool) -> Config:
    """Return the published settings; for small data, smaller batches and scaled penalties."""
    if data == "mnist":
        return Config(n_train=6000, n_epochs=70, seeds=(0,)) if quick else Config()
    return Config(
        data,
        lambdas=(0.001, 0.01, 0.02, 0.04, 0.08),
        lambda_of_other_scales=0.02,
        n_epochs=200 if quick else 800,
        seeds=(0,) if quick else (0, 1, 2),
        batch_size=50,
        learning_rate=0.01,
    )


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per penalty, scaling and seed."""
    raw = load_raw(config.data, config.n_train)
    data = {scale: scale_rows(raw, scale) for scale in ("feature", *config.other_scales)}
    epochs = measurement_epochs(config.n_epochs)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        return train(
            data[case["scale"]],
            seed=case["seed"],
            l2=case["lambda2"],
            n_epochs=config.n_epochs,
            epochs_to_measure=epochs,
            keep=KEPT,
            tick=tick,
            hidden=config.hidden,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            schedule="cumulative",
            decay=config.decay,
            momentum=config.momentum,
        )[1]

    grid = [("feature", lambda2) for lambda2 in config.lambdas]
    grid += [(scale, config.lambda_of_other_scales) for scale in config.other_scales]
    cases = [
        {"scale": scale, "lambda2": lambda2, "seed": seed}
        for seed in config.seeds
        for scale, lambda2 in grid
    ]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs)
    sizes = {"n_train": len(raw.X_train), "n_test": len(raw.X_test)}
    return session.record(config, **sizes, runs=runs)


def runs_of(result: Result, scale: str, lambda2: float) -> list[dict[str, Any]]:
    """The runs of one setting that did not diverge, one per seed."""
    return [
        run
        for run in result["runs"]
        if (run["scale"], run["lambda2"]) == (scale, lambda2) and not run["diverged"]
    ]


def final(runs: Sequence[dict[str, Any]], name: str) -> np.ndarray[Any, Any]:
    """Last value of every run."""
    return np.array([run[name][-1] for run in runs])


def mean_test_accuracies(result: Result) -> dict[float, float]:
    """Mean over the seeds by lambda2, standardized inputs; without those that diverged."""
    return {
        lambda2: float(final(runs, "test_accuracy").mean())
        for lambda2 in result["config"]["lambdas"]
        if (runs := runs_of(result, "feature", lambda2))
    }


def ordering_holds(result: Result) -> bool | None:
    """Return whether test accuracies are ordered as published, within the spread.

    The spread is the largest distance between two seeds of one lambda2. None where the values of
    lambda2 are others.
    """
    means = mean_test_accuracies(result)
    if set(means) != set(PUBLISHED_ORDER):
        return None
    spread = max(
        float(np.ptp(final(runs_of(result, "feature", lambda2), "test_accuracy")))
        for lambda2 in means
    )
    ordered = [means[lambda2] for lambda2 in PUBLISHED_ORDER]
    return all(better >= worse - spread for better, worse in pairwise(ordered))


def converged_after(run: dict[str, Any]) -> int:
    """First measured epoch from which on the training accuracy stays near its final value."""
    accuracy = np.array(run["train_accuracy"])
    far = np.flatnonzero(np.abs(accuracy - accuracy[-1]) > SETTLED)
    return int(run["epochs"][far[-1] + 1 if len(far) else 0])


def tables(result: Result) -> list[Table]:
    """Accuracies and convergence by lambda2, then by scaling."""
    lambdas = result["config"]["lambdas"]
    columns = (
        "train published",
        "train",
        "test published",
        "test (lowest to highest)",
        "converged published",
        "converged",
        "penalty / batch cost",
        "penalty / train cost",
    )
    rows = [_row(f"{lambda2:g}", result, "feature", lambda2) for lambda2 in lambdas]
    lambda2 = result["config"]["lambda_of_other_scales"]
    scales = ["feature"] if lambda2 in lambdas else []
    others = [
        _row(SCALE_NAMES[scale], result, scale, lambda2)
        for scale in (*scales, *result["config"]["other_scales"])
    ]
    return [
        Table(
            "By strength of the penalty, standardized inputs", ("lambda2", *columns), tuple(rows)
        ),
        Table(
            f"By scaling of the inputs, lambda2 = {lambda2:g}", ("inputs", *columns), tuple(others)
        ),
    ]


def _row(name: str, result: Result, scale: str, lambda2: float) -> tuple[str, ...]:
    runs = runs_of(result, scale, lambda2)
    if not runs:
        return (name, *["diverged"] * 8)
    known = published(result).get(lambda2) if scale == "feature" else None
    train_published, test_published, epochs_published = known or ("", "", "")
    test = final(runs, "test_accuracy")
    return (
        name,
        str(train_published),
        f"{final(runs, 'train_accuracy').mean():.4f}",
        str(test_published),
        mean_and_range(test),
        str(epochs_published),
        f"{np.mean([converged_after(run) for run in runs]):.0f}",
        f"{final(runs, 'batch_share').mean():.1%}",
        f"{final(runs, 'train_share').mean():.1%}",
    )


def published(result: Result) -> dict[float, tuple[float, float, int]]:
    """Return the article's results, if this is its experiment."""
    return PUBLISHED_RUNS if result["config"]["data"] == "mnist" and not result["quick"] else {}


def draw(result: Result) -> dict[str, Figure]:
    """Accuracy against lambda2; accuracy and the penalty's share over the run."""
    return {
        "accuracy": _draw_accuracy(result),
        "share": _draw_share(result),
        "course": _draw_course(result),
    }


def _draw_accuracy(result: Result) -> Figure:
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2, width_ratios=[2, 1], sharey=True)
        _draw_sweep(left, result)
        _draw_scales(right, result)
        headline(figure, "Accuracy by strength of the penalty", _accuracy_finding(result))
    return figure  # type: ignore[no-any-return]


def _accuracy_finding(result: Result) -> str:
    """Describe the best penalty, and the losses with the weakest and the strongest."""
    means, known = mean_test_accuracies(result), published(result)
    best, ends = max(means, key=means.__getitem__), (min(means), max(means))
    text = f"Best on the test set: λ2 = {best:g} with {means[best]:.4f}"
    if best in known:
        text += f" (published {known[best][1]:.4f})"
    others = (
        f"λ2 = {lambda2:g} has {means[lambda2]:.4f} there and "
        f"{final(runs_of(result, 'feature', lambda2), 'train_accuracy').mean():.4f} in training"
        for lambda2 in ends
        if lambda2 != best
    )
    return "; ".join([text, *others])


def _draw_sweep(axis: Axes, result: Result) -> None:
    lambdas = list(mean_test_accuracies(result))
    for part, color, marker in (("train", ORANGE, "s"), ("test", BLUE, "o")):
        values = [final(runs_of(result, "feature", x), f"{part}_accuracy") for x in lambdas]
        axis.plot(lambdas, [v.mean() for v in values], color=color, label=f"{part}, mean of seeds")
        axis.plot(
            np.repeat(lambdas, [len(v) for v in values]),
            np.concatenate(values),
            linestyle="none",
            marker=marker,
            color=color,
            alpha=0.6,
            label=f"{part}, each seed",
        )
    known = published(result)
    if known:
        for column in (0, 1):
            axis.plot(
                list(known),
                [values[column] for values in known.values()],
                label="published" if column == 0 else "_",
                **PUBLISHED,
            )
    axis.set_xscale("log")
    axis.set_xticks(lambdas, labels=[f"{x:g}" for x in lambdas])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("strength λ2 of the penalty")
    axis.set_ylabel("accuracy (fraction)")
    axis.set_title("Standardized inputs")
    axis.legend(loc="center left")


def _draw_scales(axis: Axes, result: Result) -> None:
    config = result["config"]
    scales = ["feature", *config["other_scales"]]
    for part, color, marker in (("train", ORANGE, "s"), ("test", BLUE, "o")):
        for x, scale in enumerate(scales):
            runs = runs_of(result, scale, config["lambda_of_other_scales"])
            values = final(runs, f"{part}_accuracy")
            axis.plot(
                np.full(len(values), x),
                values,
                linestyle="none",
                marker=marker,
                color=color,
                alpha=0.6,
                label=part if x == 0 else "_",
            )
    axis.set_xticks(range(len(scales)), labels=[SCALE_LABELS[scale] for scale in scales])
    axis.margins(x=0.2)
    axis.grid(axis="x", visible=False)
    axis.set_xlabel("inputs")
    axis.set_title(f"λ2 = {config['lambda_of_other_scales']:g}")


def _draw_share(result: Result) -> Figure:
    lambdas = result["config"]["lambdas"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        for lambda2, color in zip(lambdas, ordered_colors(len(lambdas)), strict=True):
            runs = runs_of(result, "feature", lambda2)
            if not runs:
                continue
            shares = {
                name: 100 * np.mean([run[f"batch_share{name}"] for run in runs], axis=0)
                for name in ("", "_low", "_high")
            }
            axis.plot(runs[0]["epochs"], shares[""], color=color, label=f"λ2 = {lambda2:g}")
            axis.fill_between(
                runs[0]["epochs"], shares["_low"], shares["_high"], color=color, alpha=0.18, lw=0
            )
        axis.set_xlabel("epochs of training")
        axis.set_ylabel("penalty's share of a mini-batch's cost (%)")
        axis.set_ylim(0, 100)
        axis.set_title("Mean of an epoch's mini-batches; band: 10 to 90 % of them")
        axis.legend(loc="upper left")
        headline(figure, "The share of the penalty in the cost", _share_finding(result))
    return figure  # type: ignore[no-any-return]


def _share_finding(result: Result) -> str:
    ends = {
        lambda2: 100 * float(final(runs, "batch_share").mean())
        for lambda2 in result["config"]["lambdas"]
        if (runs := runs_of(result, "feature", lambda2))
    }
    low, high = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    return (
        "The penalty's share of the cost rises as the errors vanish: in the end it is "
        f"{ends[low]:.0f} % (λ2 = {low:g}) to {ends[high]:.0f} % (λ2 = {high:g})"
    )


def _draw_course(result: Result) -> Figure:
    lambdas = result["config"]["lambdas"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, 2)
        for axis, part in zip(axes, ("train", "test"), strict=True):
            ends = []
            for lambda2, color in zip(lambdas, ordered_colors(len(lambdas)), strict=True):
                runs = runs_of(result, "feature", lambda2)
                if runs:
                    values = [run[f"{part}_accuracy"] for run in runs]
                    draw_spread(
                        axis, runs[0]["epochs"], values, color=color, label=f"λ2 = {lambda2:g}"
                    )
                    ends += [value[-1] for value in values]
            axis.set_ylim(*_range_of_ends(ends))
            axis.set_xlabel("epochs of training")
            axis.set_title(
                f"{'Training' if part == 'train' else 'Test'} set: mean and range of seeds"
            )
        axes[0].set_ylabel("accuracy (fraction)")
        axes[0].legend(loc="lower right")
        headline(
            figure, "The course of training by strength of the penalty", _course_finding(result)
        )
    return figure  # type: ignore[no-any-return]


def _range_of_ends(ends: Sequence[float]) -> tuple[float, float]:
    """Return an axis range that separates the final values; early epochs may lie below it."""
    low, high = min(ends), max(ends)
    margin = max(high - low, 0.002)
    return low - margin, high + 0.3 * margin


def _course_finding(result: Result) -> str:
    means = {
        part: {
            lambda2: final(runs, f"{part}_accuracy").mean()
            for lambda2 in result["config"]["lambdas"]
            if (runs := runs_of(result, "feature", lambda2))
        }
        for part in ("train", "test")
    }
    best = {part: max(values, key=values.__getitem__) for part, values in means.items()}
    return (
        f"The training set is learnt best with λ2 = {best['train']:g} "
        f"({means['train'][best['train']]:.4f}), the test set with λ2 = {best['test']:g} "
        f"({means['test'][best['test']]:.4f})"
    )


STUDY = Study(
    "regularisation",
    "How strong should the L2 penalty be, and what does it cost a mini-batch?",
    configure,
    run,
    tables,
    draw,
)
