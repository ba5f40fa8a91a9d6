"""Shifted and turned images, dropout and batch normalization: what lies beyond the articles.

The articles end at 0.9945 on test images that had a say in which epoch is quoted. Here validation
images are watched during training, and the test images are measured once, after the last epoch,
whatever it gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.augmented import train_augmented
from fastmlp.studies.lab.convolution import load, versions
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, legend_below
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = {
    "neither": {"change_images": False, "regularize": False},
    "normalization and dropout": {"change_images": False, "regularize": True},
    "shifts and rotations": {"change_images": True, "regularize": False},
    "both": {"change_images": True, "regularize": True},
}


@dataclass(frozen=True)
class Config:
    """Settings; `n_train` counts the validation images too."""

    data: str = "mnist"
    n_train: int | None = 10_000
    n_validation: int = 1_500
    maps: tuple[int, ...] = (32, 64, 64)
    dense: int = 70
    ways: tuple[str, ...] = tuple(WAYS)
    seeds: tuple[int, ...] = (0,)
    n_epochs: int = 10
    batch_size: int = 64


def configure(data: str, quick: bool) -> Config:
    """Return the settings; quick: fewer rows, epochs, ways, and a single seed."""
    few: dict[str, Any] = {"ways": ("neither", "both"), "seeds": (0,), "n_epochs": 3}
    if data == "mnist":
        return Config(n_train=2_500, n_validation=500, **few) if quick else Config()
    return Config(data, None, 300, maps=(16, 32), dense=20, batch_size=32, **few if quick else {})


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train one network per way and seed, one after the other."""
    libraries = versions()
    data = load(config.data, config.n_train, config.n_validation, scale="global")

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        return train_augmented(
            data,
            maps=config.maps,
            dense=config.dense,
            n_epochs=config.n_epochs,
            batch_size=config.batch_size,
            seed=case["seed"],
            tick=tick,
            **WAYS[case["way"]],
        )

    cases = [{"way": way, "seed": seed} for seed in config.seeds for way in config.ways]
    runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs, alone=True)
    sizes = {"n_train": len(data.X_train), "n_test": len(data.X_test)}
    return session.record(config, **sizes, runs=runs, libraries=libraries)


def runs_of(result: Result, way: str) -> list[dict[str, Any]]:
    """The runs of one way, one per seed."""
    return [run for run in result["runs"] if run["way"] == way]


def tables(result: Result) -> list[Table]:
    """Tabulate accuracies, and wrong test images, by way."""
    columns = (
        "what is added",
        "parameters",
        "train accuracy",
        "validation accuracy",
        "test accuracy",
        "wrong test images",
    )
    rows = []
    for way in result["config"]["ways"]:
        runs = runs_of(result, way)
        rows.append(
            (
                way,
                f"{runs[0]['n_parameters']:,}",
                mean_and_range([run["train_accuracy"][-1] for run in runs]),
                mean_and_range([run["validation_accuracy"][-1] for run in runs]),
                mean_and_range([run["test_accuracy"] for run in runs]),
                mean_and_range([run["n_wrong"] for run in runs], 0),
            )
        )
    title = f"{result['n_train']:,} training images, {result['config']['n_epochs']} epochs"
    return [Table(title, columns, tuple(rows))]


def draw(result: Result) -> dict[str, Figure]:
    """The course on training and validation images."""
    ways = result["config"]["ways"]
    panels = (("train_accuracy", "Training, changed images included"),
              ("validation_accuracy", "Validation, images as they are"))  # fmt: skip
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, 2, sharey=True)
        for axis, (name, title) in zip(axes, panels, strict=True):
            for way, (color, marker) in zip(ways, CATEGORIES, strict=False):
                courses = [run[name] for run in runs_of(result, way)]
                epochs = np.arange(len(courses[0])) + 1
                draw_spread(axis, epochs, courses, color=color, marker=marker, label=way)
            axis.set_title(title)
            axis.set_xlabel("epochs of training")
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylabel("accuracy (fraction)")
        best = max(max(run["validation_accuracy"]) for run in result["runs"])
        axes[0].set_ylim(best - 0.06, 1.002)
        legend_below(figure, axes[0], len(ways))
        headline(figure, "Changed images, normalization and dropout", _finding(result))
    return {"course": figure}


def _finding(result: Result) -> str:
    wrong = {
        way: float(np.mean([run["n_wrong"] for run in runs_of(result, way)]))
        for way in result["config"]["ways"]
    }
    best, last = min(wrong, key=wrong.__getitem__), max(wrong, key=wrong.__getitem__)
    return (
        f"Of {result['n_test']:,} test images {wrong[best]:.0f} are wrong with {best}, and "
        f"{wrong[last]:.0f} with {last}"
    )


STUDY = Study(
    "cnn-augmentation",
    "What do shifted and turned images, dropout and batch normalization bring a CNN?",
    configure,
    run,
    tables,
    draw,
)
