"""What does the error surface look like around a trained network, and between two of them?

Beyond the articles: planes through the end of a run whose directions are normalized node by
node (Li et al., 2018), and the straight line between two runs, before and after the hidden
nodes of one are permuted to match those of the other (Ainsworth et al., 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.labelled import LabelledData
from fastmlp.engine.rows import Rows
from fastmlp.network.network import Network
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.landscape import costs_in_plane
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table
from fastmlp.studies.lab.training import train
from fastmlp.studies.landscapes.figures import draw_barriers, draw_lines, draw_planes, lines_of
from fastmlp.studies.landscapes.matching import (
    barrier,
    match,
    normalized_direction,
    permute,
)
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REACH = 1.0
"""The planes reach from -REACH to REACH times the length of every node's weights."""


@dataclass(frozen=True)
class Config:
    """Networks whose surroundings are drawn, and pairs of networks by width."""

    data: str = "mnist"
    n_train: int | None = None
    planes: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("sigmoid", (70, 30)),
        ("relu", (70, 30)),
        ("relu", (30, 30, 30, 30, 30, 30)),
    )
    grid: int = 21
    grid_rows: int = 2000
    widths: tuple[int, ...] = (32, 128, 512)
    pairs: tuple[tuple[int, int], ...] = ((0, 1), (2, 3))
    n_steps: int = 11
    n_epochs: int = 8
    batch_size: int = 100
    learning_rate: float = 0.001
    seed: int = 0


def configure(data: str, quick: bool) -> Config:
    """The first 20,000 images; quick: fewer images, and narrower networks."""
    if data == "mnist" and quick:
        return Config(n_train=5000, widths=(32, 128), pairs=((0, 1),), grid=11, grid_rows=1000)
    if data == "mnist":
        return Config(n_train=20000)
    return Config(data, widths=(16, 64, 256), n_epochs=30, batch_size=50, grid_rows=1000)


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train, and evaluate networks between and around what was trained."""
    data = load_scaled(config.data, "global", config.n_train)

    def surround(case: Case, tick: Tick) -> dict[str, Any]:
        hidden = tuple(case["hidden"])
        network, accuracy = _train(data, config, case["activation"], hidden, config.seed, tick)
        rng = np.random.default_rng(config.seed)
        directions = np.array([normalized_direction(network.weights, rng) for _ in range(2)])
        steps = np.linspace(-REACH, REACH, config.grid)
        rows = Rows(data.X_train[: config.grid_rows], data.Y_train[: config.grid_rows])
        trainer = Trainer(network, n_threads=1)
        costs = costs_in_plane(trainer, rows, network.parameters.copy(), directions, steps, steps)
        return {"test_accuracy": accuracy, "costs": rounded(costs, 4)}

    def connect(case: Case, tick: Tick) -> dict[str, Any]:
        hidden = (case["width"], case["width"])
        ends = [_train(data, config, "relu", hidden, seed, tick) for seed in case["pair"]]
        (first, a), (second, b) = ends
        target = [w.copy() for w in first.weights]
        orders = match(second.weights, target, np.random.default_rng(config.seed))
        matched = permute(second.weights, orders)
        fixed = np.mean([(order == np.arange(len(order))).mean() for order in orders])
        return {
            "test_accuracy": [a, b],
            "moved_nodes": rounded(1 - fixed, 4),
            "before": _line(first, target, second.weights, data, config),
            "after": _line(first, target, matched, data, config),
        }

    planes = [{"activation": name, "hidden": hidden} for name, hidden in config.planes]
    pairs = [{"width": width, "pair": pair} for width in config.widths for pair in config.pairs]
    around = session.map(surround, planes, config=config, n_ticks=config.n_epochs)
    between = session.map(connect, pairs, config=config, n_ticks=2 * config.n_epochs)
    sizes = {"n_train": len(data.X_train), "n_test": len(data.X_test)}
    return session.record(config, **sizes, planes=around, pairs=between)


def _train(
    data: LabelledData,
    config: Config,
    activation: str,
    hidden: Sequence[int],
    seed: int,
    tick: Tick,
) -> tuple[Network, float]:
    """Train with Adam, softmax and cross-entropy; return network and test accuracy."""
    network, found = train(
        data,
        seed=seed,
        n_epochs=config.n_epochs,
        hidden=hidden,
        keep=("test_accuracy",),
        tick=tick,
        activation=activation,
        output="softmax",
        initializer="he" if activation == "relu" else "glorot",
        optimizer="adam",
        reduction="mean",
        learning_rate=config.learning_rate,
        schedule="constant",
        batch_size=config.batch_size,
    )
    return network, found["test_accuracy"][-1]


def _line(
    like: Network, begin: Sequence[Any], end: Sequence[Any], data: LabelledData, config: Config
) -> dict[str, Any]:
    """Costs per row of training and test set, and test accuracy, on the straight line."""
    network = Network(like.sizes, activation=like.activations, output=like.output, random_state=0)
    objective = Trainer(network, n_threads=1).objective
    sets = {
        "train": Rows(data.X_train[: config.grid_rows], data.Y_train[: config.grid_rows]),
        "test": Rows(data.X_test, data.Y_test),
    }
    line: dict[str, list[float]] = {"train_cost": [], "test_cost": [], "test_accuracy": []}
    for part in np.linspace(0, 1, config.n_steps):
        network.set_weights([(1 - part) * a + part * b for a, b in zip(begin, end, strict=True)])
        for name, rows in sets.items():
            evaluation = objective.evaluate(rows)
            line[f"{name}_cost"].append(evaluation.loss / len(rows.x))
        line["test_accuracy"].append(evaluation.accuracy)
    return {name: rounded(values) for name, values in line.items()}


def tables(result: Result) -> list[Table]:
    """Barriers and accuracies on the line by width; how steep the planes are."""
    rows = []
    for width in result["config"]["widths"]:
        before, after = lines_of(result, width, "before"), lines_of(result, width, "after")
        middle = len(before[0]["test_accuracy"]) // 2
        ends = [
            x for pair in result["pairs"] if pair["width"] == width for x in pair["test_accuracy"]
        ]
        rows.append(
            (
                str(width),
                f"{np.mean(ends):.4f}",
                *(
                    cell
                    for lines in (before, after)
                    for cell in (
                        f"{np.mean([barrier(np.array(x['test_cost'])) for x in lines]):.3f}",
                        f"{np.mean([x['test_accuracy'][middle] for x in lines]):.4f}",
                    )
                ),
            )
        )
    columns = (
        "nodes per hidden layer", "test accuracy, ends", "barrier", "middle", "barrier, matched",
        "middle, matched",
    )  # fmt: skip
    planes = tuple(
        (
            f"{plane['activation']}, {'-'.join(map(str, plane['hidden']))}",
            f"{plane['test_accuracy']:.4f}",
            *(f"{value:.3f}" for value in _around(np.array(plane["costs"]))),
        )
        for plane in result["planes"]
    )
    return [
        Table(
            "On the line between two runs: rise of the test cost per image over its ends, and test "
            "accuracy in the middle; means of the pairs",
            columns,
            tuple(rows),
        ),
        Table(
            "Training cost per image in the plane",
            ("network", "test accuracy", "middle", "half-way (mean)", "rim (mean)"),
            planes,
        ),
    ]


def _around(costs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Cost in the middle, and means at half of the reach and at all of it."""
    n = len(costs)
    x = np.linspace(-1, 1, n)
    radius = np.hypot(*np.meshgrid(x, x))
    width = 1.01 / (n - 1)
    means = [costs[np.abs(radius - r) <= width].mean() for r in (0.5, 1.0)]
    return float(costs[n // 2, n // 2]), float(means[0]), float(means[1])


def draw(result: Result) -> dict[str, Figure]:
    """Planes; lines; barriers."""
    return {
        "planes": draw_planes(result),
        "lines": draw_lines(result),
        "barriers": draw_barriers(result),
    }


STUDY = Study(
    "landscapes",
    "What does the error surface look like around a trained network, and between two of them?",
    configure,
    run,
    tables,
    draw,
)
