"""What does the bias do? Networks without it, in all layers or in one.

The articles give every layer except the last a bias node; their single perceptron has none. Here
the bias of chosen layers is held at 0 while a network 784-70-30-10 is trained, on inputs with mean
0 and on pixels from 0 to 1, which are never negative. The training is the formulas of
`fastmlp.reference`: forward, delta of the output, backward, and a step of gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp import reference
from fastmlp.datasets.labelled import LabelledData
from fastmlp.datasets.recipes import recipe_for
from fastmlp.network.network import Network
from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, draw_spread, headline, legend_below
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table, mean_and_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL, NONE = "with bias", "no bias"

SCALES = {"global": "mean 0, deviation 1", "unit": "0 to 1"}


@dataclass(frozen=True)
class Config:
    """Where the bias is held at 0, by scaling of the inputs, activation and seed."""

    data: str = "mnist"
    n_train: int | None = None
    hidden: tuple[int, ...] = (70, 30)
    scales: tuple[str, ...] = tuple(SCALES)
    activations: tuple[str, ...] = ("sigmoid", "relu")
    rates: tuple[float, ...] = (0.0075, 0.0015)
    n_epochs: int = 15
    batch_size: int = 200
    seeds: tuple[int, ...] = (0, 1)


def configure(data: str, quick: bool) -> Config:
    """The first 20,000 images, with the package's rate for batches of 500 times 2.5 for sigmoid."""
    if data == "mnist":
        if quick:
            return Config(n_train=5000, seeds=(0,), batch_size=50, n_epochs=10, rates=(0.03, 0.005))
        return Config(n_train=20000)
    return Config(data, rates=(0.04, 0.005), batch_size=50, seeds=(0,) if quick else (0, 1))


def places(n_layers: int) -> dict[str, tuple[int, ...]]:
    """The layers whose bias is held at 0, by description."""
    single = {f"none into layer {i + 1}": (i,) for i in range(n_layers)}
    return {ALL: (), **single, NONE: tuple(range(n_layers))}


def run(config: Config, session: Session) -> dict[str, Any]:
    """Train every network with a part of its bias held at 0."""
    data = {scale: load_scaled(config.data, scale, config.n_train) for scale in config.scales}
    rates = dict(zip(config.activations, config.rates, strict=True))
    off = places(len(config.hidden) + 1)

    def train_one(case: Case, tick: Tick) -> dict[str, Any]:
        activation = case["activation"]
        return train(
            data[case["scale"]],
            config,
            activation=activation,
            rate=rates[activation],
            off=off[case["bias"]],
            seed=case["seed"],
            tick=tick,
        )

    cases = [
        {"scale": scale, "activation": activation, "bias": bias, "seed": seed}
        for scale in config.scales
        for activation in config.activations
        for bias in off
        for seed in config.seeds
    ]
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # of NumPy's BLAS: each case has one thread
        runs = session.map(train_one, cases, config=config, n_ticks=config.n_epochs)
    sizes = {"n_train": len(data[config.scales[0]].X_train)}
    return session.record(config, **sizes, runs=runs)


def train(
    data: LabelledData,
    config: Config,
    *,
    activation: str,
    rate: float,
    off: Sequence[int],
    seed: int,
    tick: Callable[[], None],
) -> dict[str, Any]:
    """Train by mini-batches with column 0 of the matrices in `off` at 0.

    Returns
    -------
    dict
        ``test_accuracy`` after every epoch, ``train_accuracy`` at the end, and ``sizes``, the root
        mean square of the biases that are left, per layer.
    """
    recipe = recipe_for(config.data)
    sizes = (data.X_train.shape[1], *config.hidden, len(data.classes))
    network = Network(
        sizes,
        activation=activation,
        initializer=recipe.initializer if activation == "sigmoid" else "he",
        random_state=seed,
    )
    weights = network.weights
    for layer in off:
        weights[layer][:, 0] = 0
    rng = np.random.default_rng(seed)
    test, accuracies = data.Y_test.argmax(axis=1), []
    for _ in range(config.n_epochs):
        order = rng.permutation(len(data.X_train))
        for begin in range(0, len(order), config.batch_size):
            rows = order[begin : begin + config.batch_size]
            _step(network, weights, data, rows, rate, recipe.l2, off)
        said = network.predict(data.X_test, n_threads=1).argmax(axis=1)
        accuracies.append((said == test).mean())
        tick()
    said = network.predict(data.X_train, n_threads=1).argmax(axis=1)
    return {
        "test_accuracy": rounded(accuracies),
        "train_accuracy": rounded((said == data.Y_train.argmax(axis=1)).mean()),
        "sizes": rounded([np.sqrt((w[:, 0] ** 2).mean()) for w in weights], 3),
    }


def _step(
    network: Network,
    weights: Sequence[Any],
    data: LabelledData,
    rows: Any,
    rate: float,
    l2: float,
    off: Sequence[int],
) -> None:
    """One step of gradient descent, in place; summed log loss and L2 penalty of a batch."""
    inputs = reference.input_layer(data.X_train, rows)
    zs, activations = reference.forward(weights, inputs, network.functions)
    delta = reference.output_delta(
        activations[-1], data.Y_train[rows].T, network.output, "log_loss", 0.0
    )
    gradients = reference.backward(weights, zs, activations, delta, network.functions)
    for layer, (w, gradient) in enumerate(zip(weights, gradients, strict=True)):
        change = gradient + reference.penalty_gradient(w, 0.0, l2)
        if layer in off:
            change[:, 0] = 0
        w -= w.dtype.type(rate) * change


def select(result: Result, scale: str, activation: str, bias: str) -> list[dict[str, Any]]:
    """The runs of one setting, one per seed."""
    wanted = (scale, activation, bias)
    return [r for r in result["runs"] if (r["scale"], r["activation"], r["bias"]) == wanted]


def _final(result: Result, scale: str, activation: str, bias: str) -> list[float]:
    return [run["test_accuracy"][-1] for run in select(result, scale, activation, bias)]


def _settings(result: Result) -> list[tuple[str, str]]:
    config = result["config"]
    return [(scale, name) for scale in config["scales"] for name in config["activations"]]


def _biases(result: Result) -> list[str]:
    return list(places(len(result["config"]["hidden"]) + 1))


def tables(result: Result) -> list[Table]:
    """Final test accuracy by setting; size of the biases."""
    settings = _settings(result)
    names = tuple(f"{activation}, inputs {SCALES[scale]}" for scale, activation in settings)
    rows = tuple(
        (bias, *(mean_and_range(_final(result, *setting, bias)) for setting in settings))
        for bias in _biases(result)
    )
    layers = range(len(result["config"]["hidden"]) + 1)
    sizes = tuple(
        (
            f"into layer {i + 1}",
            *(
                f"{np.mean([r['sizes'][i] for r in select(result, *setting, ALL)]):.3f}"
                for setting in settings
            ),
        )
        for i in layers
    )
    return [
        Table("Test accuracy (lowest to highest)", ("bias", *names), rows),
        Table("Root mean square of the biases after training", ("bias", *names), sizes),
    ]


def draw(result: Result) -> dict[str, Figure]:
    """Loss of accuracy by setting; the course with all and without any."""
    return {"accuracy": _draw_accuracy(result), "course": _draw_course(result)}


def _draw_accuracy(result: Result) -> Figure:
    biases = _biases(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axis = plt.subplots()
        for i, (setting, (color, marker)) in enumerate(
            zip(_settings(result), CATEGORIES, strict=False)
        ):
            values = [_final(result, *setting, bias) for bias in biases]
            means = np.array([np.mean(v) for v in values])
            ends = np.abs([[m - min(v), max(v) - m] for m, v in zip(means, values, strict=True)]).T
            axis.errorbar(
                np.arange(len(biases)) + 0.12 * (i - 1.5), means, ends, color=color, marker=marker,
                linestyle="none", markersize=8, label=f"{setting[1]}, inputs {SCALES[setting[0]]}",
            )  # fmt: skip
        axis.set_xticks(range(len(biases)), labels=biases)
        axis.grid(axis="x", visible=False)
        axis.set_ylabel("test accuracy (fraction)")
        axis.set_title("Mean and range of seeds")
        legend_below(figure, axis, 2)
        headline(figure, "Accuracy without bias nodes", _finding(result))
    return figure  # type: ignore[no-any-return]


def _finding(result: Result) -> str:
    """Compare none with all; seeds differ too."""
    drops = {
        setting: np.mean(_final(result, *setting, ALL)) - np.mean(_final(result, *setting, NONE))
        for setting in _settings(result)
    }
    (scale, activation), most = max(drops.items(), key=lambda item: item[1])
    spread = max(np.ptp(_final(result, *s, bias)) for s in drops for bias in (ALL, NONE))
    text = (
        f"Without any bias the test accuracy changes by {-100 * most:+.2f} ({activation}, inputs "
        f"{SCALES[scale]}) to {-100 * min(drops.values()):+.2f} percentage points"
    )
    if len(result["config"]["seeds"]) == 1:
        return f"{text}; one seed, no verdict"
    return f"{text}, where seeds differ by up to {100 * spread:.2f}"


def _draw_course(result: Result) -> Figure:
    settings = _settings(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, len(result["config"]["scales"]), sharey=True, squeeze=False)
        for axis, scale in zip(axes[0], result["config"]["scales"], strict=True):
            own = [activation for s, activation in settings if s == scale]
            for activation, (color, _) in zip(own, CATEGORIES, strict=False):
                for bias, style in ((ALL, "-"), (NONE, "--")):
                    runs = [r["test_accuracy"] for r in select(result, scale, activation, bias)]
                    x = np.arange(len(runs[0])) + 1
                    draw_spread(
                        axis, x, runs, color=color, linestyle=style, label=f"{activation}, {bias}"
                    )
            axis.set_xlabel("epochs of training")
            axis.set_title(f"Inputs {SCALES[scale]}")
            axis.xaxis.get_major_locator().set_params(integer=True)
        axes[0, 0].set_ylabel("test accuracy (fraction)")
        ends = [np.mean(_final(result, *s, b)) for s in settings for b in (ALL, NONE)]
        axes[0, 0].set_ylim(max(min(ends) - 0.12, 0), max(ends) + 0.01)
        legend_below(figure, axes[0, 0], 4)
        scale, activation = settings[0]
        first = [np.mean(_final(result, scale, activation, bias)) for bias in (ALL, NONE)]
        headline(
            figure,
            "The course of training without bias nodes",
            f"{activation.capitalize()} on inputs {SCALES[scale]} ends at {first[0]:.4f} with bias "
            f"and at {first[1]:.4f} without",
        )
    return figure  # type: ignore[no-any-return]


STUDY = Study(
    "bias-off",
    "What does the bias do, and where can it be left out?",
    configure,
    run,
    tables,
    draw,
)
