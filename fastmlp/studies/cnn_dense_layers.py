"""The articles' CNN with none, one, two or three hidden dense layers, narrow and wide.

"A simple CNN for the MNIST dataset" II claims that more dense layers do not help, and leaves the
proof to a later article. The convolutions are those of the article; a part of the training images
and a few epochs make the runs cheap, and leave more errors to compare than a full run would.
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
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Config:
    """Settings; `n_train` counts the validation images too."""

    data: str = "mnist"
    n_train: int | None = 12_000
    n_validation: int = 2_000
    maps: tuple[int, ...] = (32, 64, 64)
    dense: tuple[tuple[int, ...], ...] = ((), (30,), (70,), (300,), (70, 70), (70, 70, 70))
    seeds: tuple[int, ...] = (0, 1, 2)
    n_epochs: int = 6
    batch_size: int = 64


def configure(data: str, quick: bool) -> Config:
    """Return the settings; quick: fewer rows, networks, epochs and a single seed."""
    if data == "mnist":
        if not quick:
            return Config()
        dense = ((), (70,), (70, 70))
        return Config(n_train=3_000, n_validation=500, dense=dense, seeds=(0,), n_epochs=3)
    return Config(
        data,
        None,
        300,
        maps=(16, 32),
        dense=((), (20,), (20, 20)) if quick else ((), (10,), (20,), (80,), (20, 20), (20, 20, 20)),
        seeds=(0,) if quick else (0, 1, 2),
        batch_size=32,
    )


def layers_name(dense: Any) -> str:
    """Return, for example, "70-70", or "none"."""
    return "-".join(map(str, dense)) or "none"


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per choice of dense layers and seed, one after the other."""
    libraries = versions()
    data = load(config.data, config.n_train, config.n_validation)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        settings = network_config(
            data,
            maps=config.maps,
            dense=case["dense"],
            batch_size=config.batch_size,
            epochs=config.n_epochs,
            **falling_rate(data, config.n_epochs, config.batch_size),
        )
        return train_cnn(data, settings, seed=case["seed"], tick=tick)

    cases = [{"dense": dense, "seed": seed} for seed in config.seeds for dense in config.dense]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs, alone=True)
    sizes = {"n_train": len(data.X_train), "n_test": len(data.X_test)}
    return session.record(config, **sizes, runs=runs, libraries=libraries)


def runs_of(result: Result, dense: Any) -> list[dict[str, Any]]:
    """The runs of one choice of dense layers that did not diverge, one per seed."""
    return [r for r in result["runs"] if r["dense"] == list(dense) and not r["diverged"]]


def _tests(result: Result, dense: Any) -> list[float]:
    return [run["test_accuracy"] for run in runs_of(result, dense)]


def _trained(result: Result) -> list[Any]:
    """The choices of dense layers of which at least one run did not diverge."""
    return [dense for dense in result["config"]["dense"] if runs_of(result, dense)]


def tables(result: Result) -> list[Table]:
    """Tabulate parameters and accuracies by dense layers."""
    columns = (
        "hidden dense layers",
        "parameters",
        "train accuracy",
        "validation accuracy",
        "test accuracy",
    )
    rows = []
    for dense in result["config"]["dense"]:
        runs = runs_of(result, dense)
        if not runs:
            rows.append((layers_name(dense), *["diverged"] * (len(columns) - 1)))
            continue
        rows.append(
            (
                layers_name(dense),
                f"{runs[0]['n_parameters']:,}",
                mean_and_range([run["train_accuracy"][-1] for run in runs]),
                mean_and_range([run["validation_accuracy"][-1] for run in runs]),
                mean_and_range([run["test_accuracy"] for run in runs]),
            )
        )
    return [Table(f"After {result['config']['n_epochs']} epochs", columns, tuple(rows))]


def draw(result: Result) -> dict[str, Figure]:
    """Test accuracy by dense layers; the course on the validation images."""
    return {"accuracy": _draw_accuracy(result), "course": _draw_course(result)}


def _draw_accuracy(result: Result) -> Figure:
    choices = _trained(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        color, marker = CATEGORIES[0]
        values = [_tests(result, dense) for dense in choices]
        for x, tests in enumerate(values):
            axis.plot([x] * len(tests), tests, color=color, marker=marker, ls="none", alpha=0.4)
        means = [np.mean(tests) for tests in values]
        axis.plot(range(len(means)), means, color=color, marker="_", ms=24, ls="none", label="mean")
        axis.set_xticks(range(len(choices)), labels=[layers_name(dense) for dense in choices])
        axis.set_xlim(-0.5, len(choices) - 0.5)
        axis.grid(axis="x", visible=False)
        axis.set_xlabel("nodes of the hidden dense layers")
        axis.set_ylabel("test accuracy (fraction)")
        axis.set_title("One point per seed, bars are means")
        headline(figure, "Accuracy of the CNN by its dense layers", _finding(result))
    return figure  # type: ignore[no-any-return]


def standard_error(accuracy: float, n: int) -> float:
    """Standard error of an accuracy on `n` images, sqrt(p (1 - p) / n)."""
    return float(np.sqrt(accuracy * (1 - accuracy) / n))


def _finding(result: Result) -> str:
    """Compare the best network of several layers with the best of at most one."""
    means = {layers_name(d): float(np.mean(_tests(result, d))) for d in _trained(result)}
    several = {name: mean for name, mean in means.items() if "-" in name}
    few = {name: mean for name, mean in means.items() if "-" not in name}
    if not several or not few:
        return "Too few networks to compare one dense layer with several"
    deep, shallow = max(several, key=several.__getitem__), max(few, key=few.__getitem__)
    change = 100 * (several[deep] - few[shallow])
    error = 100 * standard_error(few[shallow], result["n_test"])
    return (
        f"The best of several dense layers ({deep}) is {abs(change):.2f} percentage points "
        f"{'above' if change > 0 else 'below'} the best of one or none ({shallow}); the standard "
        f"error of an accuracy is {error:.2f}"
    )


def _draw_course(result: Result) -> Figure:
    choices = _trained(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, 2)
        panels = (("train_accuracy", "Training, mean of the epoch's batches"),
                  ("validation_accuracy", "Validation, after the epoch"))  # fmt: skip
        for axis, (name, title) in zip(axes, panels, strict=True):
            for dense, (color, marker) in zip(choices, CATEGORIES, strict=False):
                runs = [run[name] for run in runs_of(result, dense)]
                draw_spread(
                    axis, np.arange(len(runs[0])) + 1, runs, color=color, marker=marker,
                    label=layers_name(dense),
                )  # fmt: skip
            axis.set_title(title)
            axis.set_xlabel("epochs of training")
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylabel("accuracy (fraction)")
        legend_below(figure, axes[0], len(choices), "nodes of the hidden dense layers")
        headline(figure, "The CNN's course by its dense layers", _course_finding(result))
    return figure  # type: ignore[no-any-return]


def _course_finding(result: Result) -> str:
    """Where the dense layers show: in the first epoch."""
    first = {
        layers_name(d): float(np.mean([r["validation_accuracy"][0] for r in runs_of(result, d)]))
        for d in _trained(result)
    }
    best, last = max(first, key=first.__getitem__), min(first, key=first.__getitem__)
    return (
        f"After the first epoch the validation accuracy is {first[best]:.4f} ({best}) to "
        f"{first[last]:.4f} ({last})"
    )


STUDY = Study(
    "cnn-dense-layers",
    "Do more dense layers after the convolutions help a CNN?",
    configure,
    run,
    tables,
    draw,
)
