"""How good can an MLP for MNIST become in a minute? The best result of 60 seconds of training.

Networks, with and without images that are moved by a few pixels before every epoch, are trained on
two threads for the same time. Which of them are best is decided on rows split off the training set
in shorter trials. The two best ones train once more, on all training rows, and see the test rows
once. Time is counted in processor seconds of each thread, so that other work on the machine does
not decide: two free processors need as many seconds on the wall. Those are in the result, too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastmlp.plots.style import BLUE, INK, ORANGE, styled_pyplot
from fastmlp.studies.best_of_60s.ensemble import THREADS, Recipe, judge, train_ensemble
from fastmlp.studies.lab.data import RawData, load_raw
from fastmlp.studies.lab.figures import FIGSIZE, headline, legend_below, ordered_colors
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GOALS = {"plain": 0.985, "moved": 0.990}
"""Test accuracies to reach without and with moved images."""

PUBLISHED_BEST = (
    ("784-70-30-10, 800 epochs (article M13)", 0.9728),
    ("784-70-30-10, 35 epochs, quoted in C2", 0.977),
    ("convolutional network, 5 epochs (article C2)", 0.99),
)
"""Test accuracies of the articles."""


PLAIN = (
    Recipe((512, 256), 2, dropout=0.3, smoothing=0.05),
    Recipe((512, 256), 1, dropout=0.3, smoothing=0.05),
    Recipe((1024, 512), 2, dropout=0.4, smoothing=0.05),
)
MOVED = (
    Recipe((512, 256), 2, 2),
    Recipe((1024, 512), 2, 2),
    Recipe((1024, 512), 1, 2),
)


@dataclass(frozen=True)
class Config:
    """Seconds of training for every recipe, in the trials that choose and for the best ones."""

    data: str = "mnist"
    n_train: int | None = None
    seconds: float = 60.0
    trial_seconds: float = 20.0
    recipes: tuple[Recipe, ...] = (*PLAIN, *MOVED)
    validation_share: float = 1 / 6
    seed: int = 0


def configure(data: str, quick: bool) -> Config:
    """A minute for the best ones; quick: two recipes and few seconds."""
    if not quick:
        return Config(data)
    recipes = (
        Recipe((256, 128), 2, dropout=0.2, smoothing=0.05),
        Recipe((256, 128), 2, 1),
    )
    if data == "mnist":
        return Config(n_train=20000, seconds=4.0, trial_seconds=2.0, recipes=recipes)
    return Config(data, seconds=1.5, trial_seconds=1.0, recipes=recipes)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train all recipes on a part of the rows, then the best of each kind on all of them."""
    raw = load_raw(config.data, config.n_train)
    tried = try_all(config, session, raw)

    def train_best(case: Case, tick: Tick) -> dict[str, Any]:
        recipe = config.recipes[case["recipe"]]
        found, outputs = train_ensemble(
            recipe, config.seed, raw, config.seconds, tick=tick, clock=time.thread_time
        )
        return {**found, **judge(outputs, raw.y_test)}

    cases = [{"part": "final", "recipe": i} for i in best_recipes(tried, config)]
    finals = session.map(train_best, cases, config=config, n_ticks=int(config.seconds), alone=True)
    sizes = {"n_train": len(raw.X_train), "n_test": len(raw.X_test)}
    return session.record(config, **sizes, tried=tried, finals=finals)


def try_all(config: Config, session: Session, raw: RawData) -> list[dict[str, Any]]:
    """Every recipe's course and accuracy on the validation rows."""
    n = round(len(raw.X_train) * (1 - config.validation_share))
    part = RawData(raw.X_train[:n], raw.y_train[:n], raw.X_train[n:], raw.y_train[n:], raw.highest)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        recipe = config.recipes[case["recipe"]]
        found, outputs = train_ensemble(
            recipe,
            config.seed,
            part,
            config.trial_seconds,
            tick=tick,
            clock=time.thread_time,
            measured=True,
        )
        return {**found, **judge(outputs, part.y_test)}

    cases = [{"part": "choice", "recipe": i} for i in range(len(config.recipes))]
    n_ticks = int(config.trial_seconds)
    return session.map(train_one, cases, config=config, n_ticks=n_ticks, alone=True)


def best_recipes(tried: Sequence[dict[str, Any]], config: Config) -> list[int]:
    """The recipe of each kind with the highest validation accuracy."""
    best: dict[str, int] = {}
    for i, (run, recipe) in enumerate(zip(tried, config.recipes, strict=True)):
        if recipe.kind not in best or run["accuracy"] > tried[best[recipe.kind]]["accuracy"]:
            best[recipe.kind] = i
    return list(best.values())


def tables(result: Result) -> list[Table]:
    """Test accuracies beside the articles'; then the trials."""
    recipes = [
        Recipe(**{**item, "hidden": tuple(item["hidden"])}) for item in result["config"]["recipes"]
    ]
    finals = [(name, "", f"{accuracy:g}", "", "", "", "") for name, accuracy in published(result)]
    finals += [
        (
            recipes[run["recipe"]].name,
            f"{goal(result, recipes[run['recipe']])}",
            "",
            f"{run['accuracy']:.4f}",
            f"{run['training_seconds']:.1f}",
            f"{run['seconds']:.0f}",
            _each(run["epochs"]),
        )
        for run in result["finals"]
    ]
    tried = tuple(
        (
            recipe.name,
            f"{run['accuracy']:.4f}",
            _each(run["member_accuracy"]),
            _each(run["epochs"]),
            f"{run['training_seconds']:.1f}",
        )
        for recipe, run in zip(recipes, result["tried"], strict=True)
    )
    seconds = result["config"]["seconds"]
    return [
        Table(
            f"Test accuracy after {seconds:g} seconds on {THREADS} threads",
            ("network", "goal", "published", "test", "seconds per thread", "on the wall", "epochs"),
            tuple(finals),
        ),
        Table(
            "Trials: accuracy on validation rows",
            ("network", "validation", "each member", "epochs", "seconds per thread"),
            tried,
        ),
    ]


def _each(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def published(result: Result) -> Sequence[tuple[str, float]]:
    """Return the articles' accuracies, if this is their data."""
    return PUBLISHED_BEST if result["config"]["data"] == "mnist" and not result["quick"] else ()


def goal(result: Result, recipe: Recipe) -> str:
    """Return the target accuracy for a minute of training on the full MNIST."""
    return f"{GOALS[recipe.kind]:g}" if published(result) else ""


def draw(result: Result) -> dict[str, Figure]:
    """Trials and finals; the course of the trials."""
    return {"accuracy": _draw_accuracy(result), "course": _draw_course(result)}


def _names(result: Result) -> list[str]:
    return [
        Recipe(**{**item, "hidden": tuple(item["hidden"])}).name
        for item in result["config"]["recipes"]
    ]


def _draw_accuracy(result: Result) -> Figure:
    names, tried, finals = _names(result), result["tried"], result["finals"]
    with styled_pyplot((10.0, 1.6 + 0.5 * (len(names) + 3))) as plt:
        figure, axis = plt.subplots()
        rows = range(len(names))
        axis.plot(
            [run["accuracy"] for run in tried],
            rows,
            "o",
            color=BLUE,
            markersize=9,
            label=f"trial, {result['config']['trial_seconds']:g} s, validation rows",
        )
        axis.plot(
            [run["accuracy"] for run in finals],
            [run["recipe"] for run in finals],
            "*",
            color=ORANGE,
            markersize=18,
            label=f"final, {result['config']['seconds']:g} s, test rows",
        )
        for (name, accuracy), style in zip(published(result), (":", "--", "-."), strict=False):
            axis.axvline(accuracy, color=INK, linestyle=style, linewidth=1.5, label=name)
        axis.set_yticks(rows, labels=names)
        axis.invert_yaxis()
        axis.margins(x=0.08, y=0.12)
        axis.set_xlabel("accuracy (fraction)")
        axis.set_title("Trials choose, finals count")
        figure.legend(loc="outside lower center", ncols=2)
        headline(figure, "The best network of 60 seconds", _finding(result))
    return figure  # type: ignore[no-any-return]


def _finding(result: Result) -> str:
    names = _names(result)
    best = max(result["finals"], key=lambda run: run["accuracy"])
    return (
        f"{best['training_seconds']:.0f} seconds of {THREADS} threads: {best['accuracy']:.4f} of "
        f"the test images right ({names[best['recipe']]}); {best['n_wrong']} of "
        f"{result['n_test']} are wrong"
    )


def _draw_course(result: Result) -> Figure:
    names = _names(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        for run, name, color in zip(
            result["tried"], names, ordered_colors(len(names)), strict=True
        ):
            left.plot(run["course_seconds"], run["course_accuracy"], color=color, label=name)
            right.plot(run["course_seconds"], run["course_rates"], color=color)
        ends = [run["course_accuracy"][-1] for run in result["tried"]]
        left.set_ylim(min(ends) - 0.02, min(max(ends) + 0.005, 1.0))
        for axis in (left, right):
            axis.set_xlabel("processor seconds of the thread")
        left.set_ylabel("accuracy on validation rows (fraction)")
        right.set_ylabel("learning rate of the epoch")
        left.set_title("First network of each trial")
        right.set_title("Its learning rate")
        legend_below(figure, left, 3)
        headline(figure, "The course of the trials", _course_finding(result))
    return figure  # type: ignore[no-any-return]


def _course_finding(result: Result) -> str:
    names = _names(result)
    i = max(range(len(names)), key=lambda k: result["tried"][k]["accuracy"])
    run = result["tried"][i]
    accuracy = run["course_accuracy"]
    middle = accuracy[len(accuracy) // 2]
    return (
        f"From half time on, while the learning rate falls, {names[i]} still goes from "
        f"{middle:.4f} to {accuracy[-1]:.4f}"
    )


STUDY = Study(
    "best-of-60s",
    "How good can an MLP for MNIST become in 60 seconds on two processors?",
    configure,
    run,
    tables,
    draw,
)
