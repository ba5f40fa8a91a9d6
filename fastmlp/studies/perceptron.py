"""One neuron with a sigmoid: saturation, its cost surface, and descent with and without scaling.

The articles' series on the single neuron: two inputs, no bias, A = sigmoid(w1 K1 + w2 K2), cost
1/2 sum (target - A)^2 over 14 samples, whose inputs go up to 229. Remedies: scaled inputs
(StandardScaler; Normalizer per feature and per sample) or smaller start weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.plots.style import BLUE, INK, ORANGE, VERMILLION, styled_pyplot
from fastmlp.reference.functions import sigmoid
from fastmlp.studies.lab.figures import CATEGORIES, FIGSIZE, headline, legend_below
from fastmlp.studies.lab.results import rounded
from fastmlp.studies.lab.session import Case, Session, Tick
from fastmlp.studies.lab.study import Result, Study, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

K1 = (200, 1, 160, 11, 220, 11, 120, 22, 195, 15, 130, 5, 185, 16)
K2 = (14, 107, 10, 193, 32, 178, 2, 210, 12, 134, 15, 167, 10, 229)
TARGETS = (0.3, 0.7) * 7
"""The published samples. By the article's own rule sample 5 has a K2 that is too large."""

WAYS = {
    "none": "raw inputs",
    "small weights": "raw, small start weights",
    "feature": "StandardScaler",
    "normalized_features": "Normalizer per feature",
    "normalized_samples": "Normalizer per sample",
}
TARGET_STYLES = ((0.3, BLUE, "o"), (0.7, VERMILLION, "s"))
SURFACE_POINTS = 81
EDGE_OF_SATURATION = 4.0
"""|z| above which the sigmoid's derivative is below 0.018, a fourteenth of its maximum."""


@dataclass(frozen=True)
class Config:
    """Settings: gradient descent from `n_starts` random weights, for every scaling and rate."""

    ways: tuple[str, ...] = tuple(WAYS)
    rates: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
    n_starts: int = 200
    n_steps: int = 5000
    start_range: float = 1.0
    small_start_range: float = 0.005
    n_paths: int = 3
    seed: int = 0


def configure(data: str, quick: bool) -> Config:
    """Return the settings for the published samples; quick: fewer starts and steps."""
    return Config(n_starts=50, n_steps=1000) if quick else Config()


def scaled_samples(way: str) -> Array:
    """Return the 14 samples (14, 2), scaled as in one of the methods."""
    from sklearn.preprocessing import Normalizer, StandardScaler

    samples = np.array([K1, K2], float).T
    if way == "feature":
        return StandardScaler().fit_transform(samples)  # type: ignore[no-any-return]
    if way == "normalized_features":
        return Normalizer().fit_transform(samples.T).T  # type: ignore[no-any-return]
    if way == "normalized_samples":
        return Normalizer().fit_transform(samples)  # type: ignore[no-any-return]
    return samples


def cost(weights: Array, samples: Array) -> Array:
    """1/2 sum (target - A)^2 of weights (..., 2), shape (...)."""
    errors = np.array(TARGETS) - sigmoid(weights @ samples.T)
    return 0.5 * (errors**2).sum(axis=-1)  # type: ignore[no-any-return]


def gradient(weights: Array, samples: Array) -> Array:
    """d cost / d weights (..., 2)."""
    a = sigmoid(weights @ samples.T)
    return ((a - np.array(TARGETS)) * a * (1 - a)) @ samples  # type: ignore[no-any-return]


def lowest_cost(samples: Array) -> tuple[float, Array]:
    """The global minimum and its weights, by SciPy's L-BFGS-B from a grid of starts.

    Inputs are divided by their largest value first, where the surface is harmless.
    """
    from scipy.optimize import minimize

    size = np.abs(samples).max()
    starts = [np.array([x, y]) for x in (-2.0, 0.0, 2.0) for y in (-2.0, 0.0, 2.0)]
    found = [
        minimize(cost, start, args=(samples / size,), jac=gradient, method="L-BFGS-B", tol=1e-14)
        for start in starts
    ]
    best = min(found, key=lambda result: float(result.fun))
    return float(best.fun), best.x / size


def run(config: Config, session: Session) -> dict[str, Any]:
    """Run one case per method, with all its starts and rates together."""

    def descend(case: Case, tick: Tick) -> dict[str, Any]:
        return _descend(config, case["way"], tick)

    ways = session.map(
        descend,
        [{"way": way} for way in config.ways],
        config=config,
        n_ticks=len(config.rates),
    )
    return session.record(config, ways=ways)


def _descend(config: Config, way: str, tick: Tick) -> dict[str, Any]:
    samples = scaled_samples(way)
    lowest, best = lowest_cost(samples)
    limit = config.small_start_range if way == "small weights" else config.start_range
    starts = np.random.default_rng(config.seed).uniform(-limit, limit, (config.n_starts, 2))
    start_cost = cost(starts, samples)
    arrived, medians, paths = [], [], []
    for rate in config.rates:
        tick()
        steps = _path(starts, samples, rate, config.n_steps)
        final = cost(steps[-1], samples)
        arrived.append(float((final < 1.05 * lowest + 1e-4).mean()))
        medians.append(float(np.median(final)))
        paths.append(steps[:, : config.n_paths])
    best_index = int(np.argmax(arrived))  # the smallest rate of equals
    return {
        "samples": rounded(samples, 6),
        "lowest_cost": rounded(lowest),
        "best_weights": rounded(best),
        "start_range": limit,
        "saturated": float((np.abs(starts @ samples.T) > EDGE_OF_SATURATION).mean()),
        "median_start_cost": float(np.median(start_cost)),
        "arrived": arrived,
        "median_cost": rounded(medians),
        "best_rate": config.rates[best_index],
        "steps": _kept_steps(config.n_steps).tolist(),
        "paths": rounded(paths[best_index].transpose(1, 0, 2), 4),
        "path_costs": rounded(cost(paths[best_index], samples).T, 4),
    }


def _kept_steps(n_steps: int) -> NDArray[np.intp]:
    """Return the steps whose weights are kept, including 0 and the last; denser at first."""
    return np.unique(np.concatenate([[0], np.geomspace(1, n_steps, 60)]).round()).astype(np.intp)


def _path(starts: Array, samples: Array, rate: float, n_steps: int) -> Array:
    """Return the weights (n_kept, n_starts, 2) of plain gradient descent at the kept steps."""
    weights, kept, path = starts.copy(), set(_kept_steps(n_steps).tolist()), []
    for step in range(n_steps + 1):
        if step in kept:
            path.append(weights.copy())
        weights -= rate * gradient(weights, samples)
    return np.array(path)


def ways_of(result: Result) -> dict[str, dict[str, Any]]:
    """Return the results by method."""
    return {way["way"]: way for way in result["ways"]}


def tables(result: Result) -> list[Table]:
    """Tabulate the initial saturation, and the results of the best rate."""
    columns = (
        "inputs",
        "saturated at the start",
        "lowest cost",
        "best rate",
        "starts that arrive",
        "median cost at the end",
    )
    rows = []
    for name, way in ways_of(result).items():
        i = result["config"]["rates"].index(way["best_rate"])
        rows.append(
            (
                WAYS[name],
                f"{way['saturated']:.0%}",
                f"{way['lowest_cost']:.5f}",
                f"{way['best_rate']:g}",
                f"{way['arrived'][i]:.0%}",
                f"{way['median_cost'][i]:.5f}",
            )
        )
    config = result["config"]
    title = f"{config['n_starts']} starts, {config['n_steps']} steps of gradient descent"
    return [Table(title, columns, tuple(rows))]


def draw(result: Result) -> dict[str, Figure]:
    """Saturation; cost surfaces; descent paths; starts that arrive, by rate."""
    return {
        "saturation": _draw_saturation(result),
        "surface": _draw_surfaces(result),
        "paths": _draw_paths(result),
        "descent": _draw_descent(result),
    }


def _draw_saturation(result: Result) -> Figure:
    ways = ways_of(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, 3)
        _draw_samples(axes[0], np.array(ways["none"]["samples"]))
        for axis, name in zip(axes[1:], ("none", "feature"), strict=True):
            _draw_outputs(axis, ways[name])
            axis.set_title(f"{WAYS[name]}, {len(ways[name]['paths'])} starts")
        axes[1].set_ylabel("output A = sigmoid(z)")
        legend_below(figure, axes[2], 4)
        headline(
            figure,
            "Where the sigmoid is flat",
            f"Raw inputs put {ways['none']['saturated']:.0%} of the samples where the sigmoid is "
            f"flat, standardized ones {ways['feature']['saturated']:.0%}",
        )
    return figure  # type: ignore[no-any-return]


def _draw_samples(axis: Axes, samples: Array) -> None:
    """The 14 published samples in the plane of their inputs."""
    for target, color, marker in TARGET_STYLES:
        axis.plot(
            *samples[np.array(TARGETS) == target].T, color=color, marker=marker, linestyle="none"
        )
    axis.set_xlabel("input K1")
    axis.set_ylabel("input K2")
    axis.set_title(f"The {len(samples)} samples")


def _draw_outputs(axis: Axes, way: dict[str, Any]) -> None:
    """Draw the samples on the sigmoid for the initial weights."""
    z = np.array(way["paths"])[:, 0] @ np.array(way["samples"]).T
    reach = max(8.0, float(np.abs(z).max()) * 1.05)
    line = np.linspace(-reach, reach, 401)
    axis.plot(line, sigmoid(line), color=INK, lw=1.2, label="sigmoid")
    axis.axvspan(
        -EDGE_OF_SATURATION,
        EDGE_OF_SATURATION,
        color=BLUE,
        alpha=0.12,
        lw=0,
        label=f"|z| < {EDGE_OF_SATURATION:g}: it has a slope",
    )
    for target, color, marker in TARGET_STYLES:
        inputs = z[:, np.array(TARGETS) == target].ravel()
        axis.plot(
            inputs,
            sigmoid(inputs),
            color=color,
            marker=marker,
            linestyle="none",
            alpha=0.7,
            label=f"samples with target {target:g}",
        )
    axis.set_xlabel("z = w1 K1 + w2 K2")


def _surface(way: dict[str, Any], *, reach: float = 0.0) -> tuple[Array, Array, Array]:
    """w1, w2 and cost on a square around 0 that holds the minimum and the paths."""
    points = np.concatenate([np.abs(way["paths"]).ravel(), np.abs(way["best_weights"])])
    reach = reach or 1.1 * float(points.max())
    w1, w2 = np.meshgrid(*[np.linspace(-reach, reach, SURFACE_POINTS)] * 2)
    return w1, w2, cost(np.stack([w1, w2], axis=-1), np.array(way["samples"]))


def _draw_surfaces(result: Result) -> Figure:
    ways = ways_of(result)
    with styled_pyplot(FIGSIZE) as plt:
        figure, axes = plt.subplots(1, 2, subplot_kw={"projection": "3d"})
        for axis, name in zip(axes, ("none", "feature"), strict=True):
            w1, w2, costs = _surface(ways[name], reach=1.2)
            surface = axis.plot_surface(
                w1,
                w2,
                costs,
                cmap="viridis",
                rcount=50,
                ccount=50,
                vmin=0,
                vmax=3.5,
                linewidth=0,
                rasterized=True,
            )
            axis.view_init(elev=38, azim=125)
            axis.set_xlabel("w1")
            axis.set_ylabel("w2")
            axis.set_zlim(0, 3.5)
            axis.set_title(WAYS[name])
        figure.colorbar(surface, ax=axes, shrink=0.6, label="height: cost", pad=0.08)
        headline(
            figure,
            "The cost of a perceptron over its weights",
            "Raw inputs make plateaus and a gorge too narrow to hit; the same weights on "
            "standardized inputs see a smooth valley",
        )
    return figure  # type: ignore[no-any-return]


def _draw_paths(result: Result) -> Figure:
    ways = ways_of(result)
    with styled_pyplot((10.0, 7.2)) as plt:
        figure, axes = plt.subplots(2, 2)
        rates = result["config"]["rates"]
        shares = {
            name: way["arrived"][rates.index(way["best_rate"])]
            for name, way in ways.items()
            if name != "small weights"
        }
        for axis, name in zip(axes.ravel(), shares, strict=False):
            contours = _draw_paths_of(axis, ways[name])
            figure.colorbar(contours, ax=axis, label="cost")
            axis.set_title(f"{WAYS[name]}: {shares[name]:.0%} arrive", size=10.5)
        legend_below(figure, axes[0, 0], 2)
        raw, scaled = shares.pop("none"), min(shares.values())
        headline(
            figure,
            "Paths of the descent",
            f"Descent at the best rate of each way: on raw inputs {raw:.0%} of the starts reach "
            f"the minimum, on scaled ones {'all' if scaled == 1 else f'at least {scaled:.0%}'}",
        )
    return figure  # type: ignore[no-any-return]


def _draw_paths_of(axis: Axes, way: dict[str, Any]) -> Any:
    w1, w2, costs = _surface(way)
    contours = axis.contourf(w1, w2, costs, levels=14, cmap="cividis")
    for i, path in enumerate(np.array(way["paths"])):
        axis.plot(*path.T, color="white", lw=1.6, marker=".", markersize=4)
        axis.plot(
            *path[0],
            color="white",
            marker="o",
            linestyle="none",
            markeredgecolor=INK,
            label="start" if i == 0 else "_",
        )
    axis.plot(
        *way["best_weights"],
        color=ORANGE,
        marker="*",
        markersize=14,
        linestyle="none",
        markeredgecolor=INK,
        label="minimum",
    )
    axis.set(xlim=(w1.min(), w1.max()), ylim=(w2.min(), w2.max()), xlabel="w1", ylabel="w2")
    axis.grid(visible=False)
    return contours


def _draw_descent(result: Result) -> Figure:
    ways, rates = ways_of(result), result["config"]["rates"]
    with styled_pyplot(FIGSIZE) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        for (name, way), (color, marker) in zip(ways.items(), CATEGORIES, strict=False):
            left.plot(rates, [100 * x for x in way["arrived"]], color=color, marker=marker)
            costs = np.median(way["path_costs"], axis=0)
            right.plot(
                np.array(way["steps"]) + 1,
                costs,
                color=color,
                marker=marker,
                markevery=8,
                label=f"{WAYS[name]} ({way['best_rate']:g})",
            )
        left.set_xscale("log")
        left.set_xlabel("learning rate")
        left.set_ylabel("starts that reach the minimum (%)")
        left.set_title(f"After {result['config']['n_steps']} steps")
        right.set_xscale("log")
        right.set_yscale("log")
        right.set_xlabel("steps + 1")
        right.set_ylabel("cost (median of the shown starts)")
        right.set_title("Descent at the best rate (in brackets)")
        right.set_ylim(bottom=4e-6)  # room for the legend
        right.legend(loc="lower left")
        headline(figure, "Starts that reach the minimum", _finding(result))
    return figure  # type: ignore[no-any-return]


def _finding(result: Result) -> str:
    most = {name: max(way["arrived"]) for name, way in ways_of(result).items()}
    return (
        f"With raw inputs no rate takes more than {most['none']:.0%} of the starts to the minimum, "
        f"with scaled inputs {most['feature']:.0%}, with small weights {most['small weights']:.0%}"
    )


STUDY = Study(
    "perceptron",
    "Why does a single sigmoid neuron not learn from raw inputs, and what helps?",
    configure,
    run,
    tables,
    draw,
)
