"""More than one population: MNIST, scikit-learn's digits, and MNIST shifted by a pixel.

The articles ask what happens if the records come from two populations, such as European and
American digits, or digits shifted to the left: what a network trained on one of them knows of the
other, and whether the weights differ. MNIST's images are brought to 8 x 8 pixels here, as
scikit-learn's digits are: written in Turkey and scanned in another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.recipes import recipe_for
from fastmlp.engine.rows import Rows
from fastmlp.network.network import Network
from fastmlp.plots.style import INK, styled_pyplot
from fastmlp.studies.lab.data import load_raw
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, legend_below
from fastmlp.studies.lab.packed import pack, unpack
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range
from fastmlp.studies.lab.training import recipe_settings
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Images = NDArray[np.float32]

SIDE = 8
N_CLASSES = 10
N_SHOWN = 2
"""Images per digit and population in the figure."""

MIXED = "a share of each"
"""As many training images as one population has, from all of them."""


class Population(NamedTuple):
    """Images (n, 64) from 0 (white) to 1 (black), and digits (n,)."""

    X_train: Images
    y_train: NDArray[np.intp]
    X_test: Images
    y_test: NDArray[np.intp]


@dataclass(frozen=True)
class Config:
    """Networks per training set, and networks that change the population half-way."""

    data: str = "mnist"
    n_train: int | None = None
    n_test: int | None = None
    hidden: tuple[int, ...] = (70, 30)
    n_epochs: int = 60
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


def configure(data: str, quick: bool) -> Config:
    """The package's settings for digits; quick: fewer seeds and epochs."""
    if quick:
        return Config(data, n_test=2000, n_epochs=30, seeds=(0, 1))
    return Config(data)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train on each population, on all, and on one after the other; test on each."""
    populations = load_populations(config)
    names = list(populations)

    def train_on(case: Case, tick: Tick) -> dict[str, Any]:
        """One training set; with another order of the rows for ``order`` 1."""
        rows = training_rows(populations, case["train"])
        learner = _Learner(rows, config, case["seed"], case["order"])
        start = learner.network.parameters.copy()
        learner.learn(rows, config.n_epochs, tick)
        moved = learner.network.parameters - start
        return {
            "accuracy": {name: learner.accuracy(populations[name]) for name in names},
            "moved": [rounded(w.ravel(), 3) for w in learner.network.views(moved)],
        }

    def train_in_turn(case: Case, tick: Tick) -> dict[str, Any]:
        first, second = names[:2]
        learner = _Learner(training_rows(populations, first), config, case["seed"], 0)
        course: dict[str, list[float]] = {name: [] for name in (first, second)}

        def measure(trainer: Trainer) -> None:
            for name, values in course.items():
                values.append(learner.accuracy(populations[name]))
            tick()

        for name in (first, second):
            learner.learn(training_rows(populations, name), config.n_epochs, measure)
        return {"course": course}

    seeds = [{"seed": seed} for seed in config.seeds]
    cases = [
        {"train": name, **seed, "order": order}
        for name in (*names, MIXED)
        for seed in seeds
        for order in (0, 1)
    ]
    runs = session.map(train_on, cases, config=config, n_ticks=config.n_epochs)
    turns = session.map(train_in_turn, seeds, config=config, n_ticks=2 * config.n_epochs)
    cosines = _cosines(runs, names)
    for item in runs:
        del item["moved"]
    return session.record(
        config,
        n_train=len(populations[names[0]].y_train),
        n_test={name: len(p.y_test) for name, p in populations.items()},
        runs=runs,
        turns=turns,
        cosines=cosines,
        images={name: _examples(p) for name, p in populations.items()},
        means={name: pack(p.X_train.mean(axis=0), 0.0, 1.0) for name, p in populations.items()},
    )


def load_populations(config: Config) -> dict[str, Population]:
    """All populations, with as many training images each."""
    digits = load_raw("digits", config.n_train)
    found = Population(
        (digits.X_train / digits.highest).astype(np.float32),
        digits.y_train.astype(np.intp),
        (digits.X_test / digits.highest).astype(np.float32),
        digits.y_test.astype(np.intp),
    )
    if config.data == "digits":
        return {"digits": found, "digits, shifted": shift(found)}
    raw = load_raw("mnist", len(found.y_train))
    mnist = Population(
        to_small(raw.X_train),
        raw.y_train.astype(np.intp),
        to_small(raw.X_test[: config.n_test]),
        raw.y_test[: config.n_test].astype(np.intp),
    )
    return {"MNIST": mnist, "digits": found, "MNIST, shifted": shift(mnist)}


def to_small(pixels: NDArray[Any]) -> Images:
    """Bring MNIST's images (n, 784) to 8 x 8: the digit's box fills the longer side.

    Pixels of the small image are averages over what they cover, from 0 to 1; the digit is in the
    middle of the shorter side.
    """
    images = pixels.reshape(len(pixels), 28, 28)
    small = np.zeros((len(pixels), SIDE, SIDE), np.float32)
    for image, target in zip(images, small, strict=True):
        dark = image > 30
        rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255
        side = max(box.shape) / SIDE
        target[...] = _overlaps(box.shape[0], side) @ box @ _overlaps(box.shape[1], side).T
    return small.reshape(len(pixels), SIDE * SIDE)


def _overlaps(n: int, side: float) -> NDArray[np.float64]:
    """Shares (8, n) of `n` pixels in 8 cells of this length, the pixels centred."""
    begin = (n - SIDE * side) / 2 + side * np.arange(SIDE)[:, np.newaxis]
    pixel = np.arange(n)
    common = np.minimum(begin + side, pixel + 1) - np.maximum(begin, pixel)
    shares: NDArray[np.float64] = np.maximum(common, 0) / side
    return shares


def shift(population: Population) -> Population:
    """Move all images one pixel to the left; what leaves them is lost."""

    def moved(X: Images) -> Images:
        images = X.reshape(-1, SIDE, SIDE)
        shifted = np.zeros_like(images)
        shifted[:, :, :-1] = images[:, :, 1:]
        return shifted.reshape(X.shape)

    return population._replace(X_train=moved(population.X_train), X_test=moved(population.X_test))


def training_rows(populations: dict[str, Population], name: str) -> tuple[Images, NDArray[np.intp]]:
    """Training images and digits of a population, or the mixture, which has as many rows."""
    if name != MIXED:
        return populations[name].X_train, populations[name].y_train
    k = len(populations)
    parts = [(p.X_train[i::k], p.y_train[i::k]) for i, p in enumerate(populations.values())]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


class _Learner:
    """A network, and the scaling of the images it was first trained on."""

    def __init__(
        self, rows: tuple[Images, NDArray[np.intp]], config: Config, seed: int, order: int
    ) -> None:
        recipe = recipe_for("digits")
        self._mean, self._std = float(rows[0].mean()), float(rows[0].std())
        self.network = Network(
            (SIDE * SIDE, *config.hidden, N_CLASSES),
            initializer=recipe.initializer,
            random_state=seed,
        )
        self._trainer = Trainer(
            self.network,
            n_threads=1,
            random_state=np.random.default_rng([seed, order]),
            **recipe_settings("digits"),
        )

    def _scaled(self, X: Images) -> Images:
        scaled: Images = ((X - self._mean) / self._std).astype(np.float32)
        return scaled

    def learn(self, rows: tuple[Images, NDArray[np.intp]], n_epochs: int, tick: Any) -> None:
        """Train for some epochs; the learning rate starts again."""
        Y = np.eye(N_CLASSES, dtype=np.float32)[rows[1]]
        self._trainer.train(Rows(self._scaled(rows[0]), Y), n_epochs=n_epochs, callbacks=[tick])

    def accuracy(self, population: Population) -> float:
        """Share of the test images that are right."""
        said = self.network.predict(self._scaled(population.X_test), n_threads=1).argmax(axis=1)
        return float(rounded((said == population.y_test).mean()))


def _cosines(runs: list[dict[str, Any]], names: list[str]) -> dict[str, list[list[float]]]:
    """Cosines, per layer, of the ways from the same start: (n_seeds, n_layers) by pair.

    The first pair are the same rows in another order.
    """
    moved = {(r["train"], r["seed"], r["order"]): r["moved"] for r in runs}
    seeds = sorted({seed for _, seed, _ in moved})
    pairs = {f"{names[0]}, other order": (names[0], 1)} | {name: (name, 0) for name in names[1:]}
    return {
        label: [
            [
                float(rounded(_cosine(a, b)))
                for a, b in zip(moved[names[0], seed, 0], moved[other, seed, order], strict=True)
            ]
            for seed in seeds
        ]
        for label, (other, order) in pairs.items()
    }


def _cosine(a: list[float], b: list[float]) -> float:
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def _examples(population: Population) -> dict[str, Any]:
    """Pack the first images of every digit, (10 * N_SHOWN, 64)."""
    y = population.y_train
    rows = np.concatenate([np.flatnonzero(y == k)[:N_SHOWN] for k in range(N_CLASSES)])
    return pack(population.X_train[rows], 0.0, 1.0)


def accuracies(result: Result, train: str, test: str) -> list[float]:
    """Test accuracies of the networks with the first order of rows, one per seed."""
    return [
        run["accuracy"][test]
        for run in result["runs"]
        if run["train"] == train and run["order"] == 0
    ]


def _matrix(result: Result) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Names of training sets and tests, and mean accuracies."""
    tests = list(result["n_test"])
    trains = [*tests, MIXED]
    values = [[np.mean(accuracies(result, train, test)) for test in tests] for train in trains]
    return trains, tests, np.array(values)


def tables(result: Result) -> list[Table]:
    """Accuracy by training set and test set; cosines of the ways in weight space."""
    trains, tests, _ = _matrix(result)
    rows = tuple(
        (train, *(mean_and_range(accuracies(result, train, test), 3) for test in tests))
        for train in trains
    )
    title = f"Test accuracy after training on {result['n_train']} images (lowest to highest)"
    n_layers = len(result["config"]["hidden"]) + 1
    first = tests[0]
    cosines = tuple(
        (
            f"{first} and {label}",
            *(mean_and_range([seed[i] for seed in values], 2) for i in range(n_layers)),
        )
        for label, values in result["cosines"].items()
    )
    layers = tuple(f"layer {i} to {i + 1}" for i in range(n_layers))
    return [
        Table(title, ("trained on", *(f"test: {test}" for test in tests)), rows),
        Table(
            "Cosine of the ways that two networks went from the same initial weights",
            ("trained on", *layers),
            cosines,
        ),
    ]


def draw(result: Result) -> dict[str, Figure]:
    """The populations; who knows whom; one after the other."""
    return {
        "images": _draw_images(result),
        "matrix": _draw_matrix(result),
        "in-turn": _draw_turns(result),
    }


def _draw_images(result: Result) -> Figure:
    names = list(result["images"])
    with styled_pyplot((9.0, 1.5 * len(names) + 1.0)) as plt:
        figure, axes = plt.subplots(len(names), 2, width_ratios=(10, 1.9), squeeze=False)
        for (left, right), name in zip(axes, names, strict=True):
            images = unpack(result["images"][name]).reshape(-1, N_SHOWN, SIDE, SIDE)
            page = np.concatenate([np.concatenate(pair, axis=0) for pair in images], axis=1)
            left.imshow(page, cmap="gray_r", vmin=0, vmax=1)
            left.set_title(name)
            right.imshow(unpack(result["means"][name]).reshape(SIDE, SIDE), cmap="gray_r")
            right.set_title("mean", loc="center", weight="normal")
            for axis in (left, right):
                axis.set_axis_off()
        means = [unpack(result["means"][name]).mean() for name in names[:2]]
        headline(
            figure,
            "The same digits from several populations",
            f"The same digits from {len(names)} populations; on average {means[0]:.0%} of an image "
            f"of {names[0]} is ink, {means[1]:.0%} of {names[1]}",
        )
    return figure  # type: ignore[no-any-return]


def _draw_matrix(result: Result) -> Figure:
    trains, tests, values = _matrix(result)
    with styled_pyplot((8.0, 4.6)) as plt:
        figure, axis = plt.subplots()
        image = axis.imshow(values, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            color = INK if value > 0.6 else "white"
            axis.text(j, i, f"{value:.3f}", ha="center", va="center", color=color, weight="bold")
        axis.set_xticks(range(len(tests)), labels=tests)
        axis.set_yticks(range(len(trains)), labels=trains)
        axis.set_xlabel("tested on")
        axis.set_ylabel("trained on")
        axis.grid(False)
        figure.colorbar(image, ax=axis, label="test accuracy (fraction)")
        own = np.diag(values).mean()
        mixed = values[-1].mean()
        foreign = values[:-1][~np.eye(len(tests), dtype=bool)]
        headline(
            figure,
            "Trained on one population, tested on another",
            f"A network knows its own population ({own:.3f} on average) and less of others "
            f"({foreign.min():.3f} to {foreign.max():.3f}); with a share of each: {mixed:.3f}",
        )
    return figure  # type: ignore[no-any-return]


def _draw_turns(result: Result) -> Figure:
    names = list(result["turns"][0]["course"])
    n_epochs = result["config"]["n_epochs"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        for name, (color, marker) in zip(names, CATEGORIES, strict=False):
            runs = [turn["course"][name] for turn in result["turns"]]
            draw_spread(
                axis, np.arange(len(runs[0])) + 1, runs, color=color, marker=marker,
                markevery=6, label=f"test: {name}",
            )  # fmt: skip
        axis.axvline(n_epochs + 0.5, color=INK, linestyle="--")
        for i, name in enumerate(names):
            axis.set_ylim(top=1.06)
            axis.text((i + 0.5) * n_epochs, 1.02, f"training on {name}", ha="center")
        axis.set_xlabel("epochs of training")
        axis.set_ylabel("test accuracy (fraction)")
        axis.set_title("First one population, then the other: mean and range of seeds")
        legend_below(figure, axis, 2)
        headline(figure, "One population after the other", _turns_finding(result, names, n_epochs))
    return figure  # type: ignore[no-any-return]


def _turns_finding(result: Result, names: list[str], n_epochs: int) -> str:
    first, second = (
        np.mean([turn["course"][name] for turn in result["turns"]], axis=0) for name in names
    )
    return (
        f"Trained on {names[1]}, a network forgets {names[0]}: {first[n_epochs - 1]:.3f} becomes "
        f"{first[n_epochs]:.3f} after one epoch, in the end {first[-1]:.3f}; {names[1]} rise "
        f"from {second[n_epochs - 1]:.3f} to {second[-1]:.3f}"
    )


STUDY = Study(
    "populations",
    "What does a network trained on one population of digits know of another?",
    configure,
    run,
    tables,
    draw,
)
