"""Why do mini-batches work? Their cost surfaces, their statistics, and halves that differ.

Article M7 argues with a sketch: every mini-batch has a cost surface of its own, their minima lie
close together, and the descent zig-zags over the sum. Here is the sketch (two shifted paraboloids)
beside the same for a real network: the cost of all rows, and of two mini-batches, in the plane of
weight space in which the descent moves most. M7's further proposals follow: statistics of batches,
two differently composed halves of the data and how far their weights part, and last epochs on the
full cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.labelled import LabelledData
from fastmlp.datasets.recipes import recipe_for
from fastmlp.engine.rows import Rows
from fastmlp.network.network import Network
from fastmlp.studies.lab.data import RawData, load_raw, scale_rows
from fastmlp.studies.lab.landscape import Parameters, costs_in_plane, main_directions
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table
from fastmlp.studies.lab.training import recipe_settings
from fastmlp.studies.mini_batches.figures import (
    draw_full_cost,
    draw_halves,
    draw_landscape,
    draw_sketch,
    draw_statistics,
)
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLITS = {
    "random": "at random",
    "strokes": "thin and thick strokes",
    "moved": "moved left and right",
}
"""Descriptions of the ways to split the rows into halves."""


@dataclass(frozen=True)
class Config:
    """Sizes of the five parts; settings of training are those of the package's recipe."""

    data: str = "mnist"
    n_train: int | None = None
    hidden: tuple[int, ...] = (70, 30)
    seed: int = 0
    sketch_centres: tuple[float, float] = (-0.6, 0.6)
    path_begin: int = 15
    path_epochs: int = 4
    grid: int = 25
    grid_rows: int = 10000
    sizes: tuple[int, ...] = (10, 50, 200, 500, 2000, 10000)
    n_batches: int = 30
    half_epochs: int = 60
    pixels_moved: int = 2
    batch_epochs: int = 25
    full_epochs: int = 25
    full_rates: tuple[float, ...] = (0.1, 0.3, 1.0)


def configure(data: str, quick: bool) -> Config:
    """The full study, or fewer rows and epochs."""
    if data == "mnist" and not quick:
        return Config()
    if data == "mnist":
        return Config(
            n_train=10000,
            path_begin=20,
            path_epochs=10,
            grid=13,
            grid_rows=2000,
            sizes=(10, 50, 200, 500, 2000),
            half_epochs=15,
            batch_epochs=10,
            full_epochs=10,
        )
    return Config(data, sizes=(10, 50, 200, 500), half_epochs=30 if quick else 60, pixels_moved=1)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Five parts: landscape, statistics, pairs of halves, and the two ways to end."""
    raw = load_raw(config.data, config.n_train)
    data = scale_rows(raw, recipe_for(config.data).scale)

    def work(case: Case, tick: Tick) -> dict[str, Any]:
        if case["part"] == "landscape":
            return find_landscape(config, data, tick)
        if case["part"] == "statistics":
            return gather_statistics(config, data, tick)
        if case["part"] == "halves":
            return part_halves(config, raw, case["split"], tick)
        return end_training(config, data, case["rate"], tick)

    cases: list[Case] = [{"part": "landscape"}, {"part": "statistics"}]
    cases += [{"part": "halves", "split": split} for split in SPLITS]
    cases += [{"part": "end", "rate": rate} for rate in (None, *config.full_rates)]
    runs = session.map(work, cases, config=config, n_ticks=config.half_epochs)
    sizes = {"n_train": len(raw.X_train), "n_test": len(raw.X_test)}
    return session.record(
        config,
        **sizes,
        landscape=runs[0],
        statistics=runs[1],
        halves=[item for item in runs if item["part"] == "halves"],
        ends=[item for item in runs if item["part"] == "end"],
    )


def _trainer(config: Config, data: LabelledData, **changes: Any) -> Trainer:
    """Create a network with the study's seed, the recipe's settings and `changes`."""
    network = Network(
        (data.X_train.shape[1], *config.hidden, len(data.classes)), random_state=config.seed
    )
    settings = {**recipe_settings(config.data), **changes}
    return Trainer(network, n_threads=1, random_state=config.seed, **settings)


# --- The cost surface of a real network -----------------------------------------------------------


def find_landscape(config: Config, data: LabelledData, tick: Tick) -> dict[str, Any]:
    """Compute mean costs in the plane, through the end of a descent, with most of its variance.

    Returns
    -------
    dict
        ``x``, ``y``: distances from the end along both directions, of length `grid`; ``full``,
        ``first``, ``second`` (n_y, n_x): mean cost per row of many rows, and of two mini-batches;
        ``path`` (n_steps + 1, 2): the weights after every step from epoch
        `path_begin` on; ``explained``: share of the path's
        variance in the plane; ``minima``: (x, y) of each surface's lowest point on the grid.
    """
    trainer, size = _trainer(config, data), recipe_for(config.data).batch_size
    network = trainer.network
    whole = Rows(data.X_train, data.Y_train)
    trainer.train(whole, n_epochs=config.path_begin, callbacks=[tick])
    visited = [network.parameters.copy()]
    rng = np.random.default_rng(config.seed)
    for _ in range(config.path_epochs):
        order = rng.permutation(len(data.X_train))
        for begin in range(0, len(order), size):
            row_index = order[begin : begin + size]
            batch = Rows(data.X_train[row_index], data.Y_train[row_index])
            trainer.train(batch, resume=True)
            visited.append(network.parameters.copy())
        tick()
    end = visited[-1]
    steps = np.array(visited) - end
    directions, explained = main_directions(steps)
    path = steps @ directions.T
    low, high = path.min(axis=0), path.max(axis=0)
    margin = 0.25 * (high - low).max()
    x, y = (np.linspace(low[k] - margin, high[k] + margin, config.grid) for k in (0, 1))
    first, second, many = np.split(rng.permutation(len(data.X_train)), [size, 2 * size])
    surfaces = {}
    for name, row_index in (
        ("full", many[: config.grid_rows]),
        ("first", first),
        ("second", second),
    ):
        rows = Rows(data.X_train[row_index], data.Y_train[row_index])
        surfaces[name] = costs_in_plane(trainer, rows, end, directions, x, y)
        tick()
    minima = {
        name: [x[np.nanargmin(values) % len(x)], y[np.nanargmin(values) // len(x)]]
        for name, values in surfaces.items()
    }
    return {
        "x": rounded(x, 4),
        "y": rounded(y, 4),
        "path": rounded(path, 4),
        "explained": rounded(explained),
        "minima": {k: rounded(v, 4) for k, v in minima.items()},
        **{name: rounded(values, 4) for name, values in surfaces.items()},
    }


# --- Statistics of mini-batches -------------------------------------------------------------------


def gather_statistics(config: Config, data: LabelledData, tick: Tick) -> dict[str, Any]:
    """Measure the variation between mini-batches by size, at the start and after some epochs.

    Returns
    -------
    dict
        ``moments``: for ``start`` and ``later``, per size the mean and standard deviation of the
        batches' mean cost, and quantiles 0.1, 0.5, 0.9 of the cosine between their gradient and
        that of all rows, all without the penalty; ``digit_share``: quantiles of the share of the
        most frequent class.
    """
    trainer = _trainer(config, data)
    rng = np.random.default_rng(config.seed)
    sizes = [size for size in config.sizes if size <= len(data.X_train)]
    moments = {"start": _moments(config, trainer.network, data, sizes, rng)}
    trainer.train(Rows(data.X_train, data.Y_train), n_epochs=config.batch_epochs, callbacks=[tick])
    moments["later"] = _moments(config, trainer.network, data, sizes, rng)
    share = []
    for size in sizes:
        drawn = [
            np.bincount(data.codes_train[rng.choice(len(data.X_train), size, replace=False)]).max()
            for _ in range(config.n_batches)
        ]
        share.append(np.quantile(drawn, [0.1, 0.5, 0.9]) / size)
    return {"sizes": sizes, "moments": moments, "digit_share": rounded(share, 4)}


def _moments(
    config: Config, network: Network, data: LabelledData, sizes: Sequence[int], rng: Any
) -> dict[str, Any]:
    # No penalty: its gradient is the same for every batch, and outweighs that of few rows.
    trainer = Trainer(network, n_threads=1)
    full = np.empty_like(network.parameters)
    trainer.objective.gradient(Rows(data.X_train, data.Y_train), full)
    found: dict[str, list[Any]] = {"cost": [], "deviation": [], "cosine": []}
    for size in sizes:
        costs, cosines = [], []
        for _ in range(config.n_batches):
            row_index = rng.choice(len(data.X_train), size, replace=False)
            gradient = np.empty_like(full)
            rows = Rows(data.X_train[row_index], data.Y_train[row_index])
            costs.append(trainer.objective.gradient(rows, gradient) / size)
            cosines.append(_cosine(gradient, full))
        found["cost"].append(rounded(np.mean(costs), 4))
        found["deviation"].append(rounded(np.std(costs), 4))
        found["cosine"].append(rounded(np.quantile(cosines, [0.1, 0.5, 0.9]), 4))
    return found


def _cosine(a: Parameters, b: Parameters) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-300))


# --- Two halves -----------------------------------------------------------------------------------


def part_halves(config: Config, raw: RawData, split: str, tick: Tick) -> dict[str, Any]:
    """Train two networks from the same weights, each on its half; measure how far they part.

    Returns
    -------
    dict
        By epoch: ``distance`` of the weights over their mean length, ``cosine`` of what they have
        moved since the start, and ``accuracy`` of [first, second] on [first half, second half,
        test rows].
    """
    whole, sets = _halves(config, raw, split)
    trainers = [_trainer(config, whole) for _ in sets]
    start = trainers[0].network.parameters.copy()
    course: dict[str, list[Any]] = {"epochs": [], "distance": [], "cosine": []}
    for epoch in range(1, config.half_epochs + 1):
        for trainer, rows in zip(trainers, sets, strict=True):
            trainer.train(rows, resume=True)
        tick()
        a, b = (trainer.network.parameters for trainer in trainers)
        length = (np.linalg.norm(a) + np.linalg.norm(b)) / 2
        course["epochs"].append(epoch)
        course["distance"].append(rounded(np.linalg.norm(a - b) / length, 4))
        course["cosine"].append(rounded(_cosine(a - start, b - start), 4))
    places = (*sets, Rows(whole.X_test, whole.Y_test))
    accuracy = [[t.objective.evaluate(rows).accuracy for rows in places] for t in trainers]
    return {**course, "accuracy": rounded(accuracy, 5)}


def _halves(config: Config, raw: RawData, split: str) -> tuple[LabelledData, list[Rows]]:
    """All rows, scaled, and two halves of them."""
    rng = np.random.default_rng(config.seed)
    X = raw.X_train
    if split == "strokes":
        order = np.argsort(X.mean(axis=1, dtype=np.float64), kind="stable")
    else:
        order = rng.permutation(len(X))
    halves = [np.sort(half) for half in np.array_split(order, 2)]
    if split == "moved":
        X = X.copy()
        for half, direction in zip(halves, (-1, 1), strict=True):
            X[half] = _moved(X[half], direction * config.pixels_moved)
    changed = RawData(X, raw.y_train, raw.X_test, raw.y_test, raw.highest)
    data = scale_rows(changed, recipe_for(config.data).scale)
    return data, [Rows(data.X_train[half], data.Y_train[half]) for half in halves]


def _moved(X: NDArray[Any], pixels: int) -> NDArray[Any]:
    """Images (n, side * side) moved to the right, black where nothing was."""
    side = round(X.shape[1] ** 0.5)
    moved = np.roll(X.reshape(-1, side, side), pixels, axis=2)
    if pixels > 0:
        moved[:, :, :pixels] = 0
    else:
        moved[:, :, pixels:] = 0
    return moved.reshape(X.shape)


# --- The last epochs ------------------------------------------------------------------------------


def end_training(
    config: Config, data: LabelledData, rate: float | None, tick: Tick
) -> dict[str, Any]:
    """Epochs with mini-batches, then as many with the full cost, or with mini-batches still.

    `rate` times the mini-batches' learning rate per row is that of the full cost; None continues
    with mini-batches.

    Returns
    -------
    dict
        By epoch: ``train_cost`` (sum over the training rows, without penalty), ``test_accuracy``.
    """
    rows, test = Rows(data.X_train, data.Y_train), Rows(data.X_test, data.Y_test)
    course: dict[str, list[Any]] = {"epochs": [], "train_cost": [], "test_accuracy": []}

    def measure(trainer: Trainer) -> None:
        course["epochs"].append(len(course["epochs"]) + 1)
        course["train_cost"].append(rounded(trainer.objective.evaluate(rows).loss / len(rows.x)))
        course["test_accuracy"].append(rounded(trainer.objective.evaluate(test).accuracy))
        tick()

    trainer = _trainer(config, data, decay=0.0)
    trainer.train(rows, n_epochs=config.batch_epochs, callbacks=[measure])
    if rate is not None:
        # Gradients are sums: the same step per row means a rate that is smaller by the rows' ratio.
        share = trainer.batch_size / len(rows.x)
        trainer.learning_rate *= rate * share
        trainer.objective.l2 /= share
        trainer.batch_size = len(rows.x)
    trainer.train(rows, n_epochs=config.full_epochs, callbacks=[measure], resume=True)
    return course


def tables(result: Result) -> list[Table]:
    """Statistics by size; halves; ends."""
    statistics = result["statistics"]
    sizes = tuple(
        (
            str(size),
            *(f"{statistics['moments'][when]['cosine'][i][1]:.2f}" for when in ("start", "later")),
            f"{statistics['moments']['later']['deviation'][i]:.3f}",
            f"{statistics['digit_share'][i][1]:.1%}",
        )
        for i, size in enumerate(statistics["sizes"])
    )
    halves = tuple(
        (
            SPLITS[item["split"]],
            f"{item['distance'][-1]:.2f}",
            f"{item['cosine'][-1]:.2f}",
            _both(item["accuracy"], 0, 1),
            _both(item["accuracy"], 1, 0),
            " and ".join(f"{row[2]:.4f}" for row in item["accuracy"]),
        )
        for item in result["halves"]
    )
    ends = tuple(
        (
            _end_name(item["rate"]),
            f"{item['train_cost'][-1]:.4f}",
            f"{item['test_accuracy'][-1]:.4f}",
        )
        for item in result["ends"]
    )
    return [
        Table(
            "Mini-batches by size (medians; later: after the first epochs)",
            ("rows", "cosine to full gradient, start", "later", "deviation of mean cost, later",
             "most frequent digit's share"), sizes,
        ),
        Table(
            "Two halves, same start",
            ("divided", "distance / length of weights", "cosine of the ways", "own half",
             "other half", "test"), halves,
        ),
        Table(
            "The last epochs",
            ("cost used", "training cost per row", "test accuracy"), ends,
        ),
    ]  # fmt: skip


def _both(accuracy: Sequence[Sequence[float]], first: int, second: int) -> str:
    return f"{accuracy[0][first]:.4f} and {accuracy[1][second]:.4f}"


def _end_name(rate: float | None) -> str:
    return "mini-batches" if rate is None else f"full, rate × {rate:g}"


def draw(result: Result) -> dict[str, Figure]:
    """A figure per part."""
    return {
        "sketch": draw_sketch(result),
        "landscape": draw_landscape(result),
        "statistics": draw_statistics(result),
        "halves": draw_halves(result),
        "full-cost": draw_full_cost(result),
    }


STUDY = Study(
    "mini-batches",
    "Why does descent on mini-batches work, and what happens when they differ?",
    configure,
    run,
    tables,
    draw,
)
