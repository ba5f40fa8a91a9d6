"""Figures of mini-batches: two surfaces and their sum, sketched and real; statistics; halves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.plots.style import BLUE, GREEN, GREY, INK, ORANGE, VERMILLION, styled_pyplot
from fastmlp.studies.lab.figures import (
    CATEGORIES,
    headline,
    label_log_axis,
    legend_below,
    ordered_colors,
)
from fastmlp.studies.lab.study import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF_NAMES = {"random": "at random", "strokes": "thin | thick", "moved": "left | right"}
SKETCH_STEPS = 41
SKETCH_REACH = 2.0


def sketch(center: float) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """X, Y and the paraboloid Z = (X - c)^2 + (Y - c / 2)^2 with its minimum at (c, c / 2)."""
    x = np.linspace(-SKETCH_REACH, SKETCH_REACH, SKETCH_STEPS)
    X, Y = np.meshgrid(x, x)
    return X, Y, (X - center) ** 2 + (Y - center / 2) ** 2


def draw_sketch(result: Result) -> Figure:
    """Two cost surfaces with minima apart, and their sum; seen from the side and as contours."""
    centers = result["config"]["sketch_centres"]
    surfaces = [sketch(center) for center in centers]
    X, Y = surfaces[0][:2]
    total = surfaces[0][2] + surfaces[1][2]
    layers = [
        (surfaces[0][2], BLUE, "first batch"),
        (surfaces[1][2], VERMILLION, "second batch"),
        (total, GREEN, "sum"),
    ]
    with styled_pyplot((8.0, 4.6)) as plt:
        figure = plt.figure()
        height: Any = figure.add_subplot(1, 2, 1, projection="3d")
        flat = figure.add_subplot(1, 2, 2)
        for shift, (Z, color, name) in enumerate(layers):
            # Each surface a little higher, so that one does not hide in the other.
            height.plot_wireframe(
                X, Y, Z + 8 * shift, color=color, rcount=12, ccount=12, linewidth=1
            )
            flat.contour(X, Y, Z, np.linspace(0.3, 4, 4) + Z.min(), colors=color, linewidths=1.2)
            i, j = np.unravel_index(Z.argmin(), Z.shape)
            flat.plot(X[i, j], Y[i, j], "*", color=color, markersize=12, label=f"minimum, {name}")
        for axis in (height, flat):
            axis.set_xlabel("weight x")
            axis.set_ylabel("weight y")
        height.set_title("Surfaces: cost as height, moved apart")
        height.view_init(18, -60)
        flat.set_title("Contours")
        flat.set_aspect("equal")
        flat.grid(False)
        legend_below(figure, flat, 3)
        middle = (centers[0] + centers[1]) / 2
        headline(
            figure,
            "Minima of mini-batches: a sketch",
            f"A sketch: every mini-batch has a minimum of its own (x = {centers[0]:g} and "
            f"{centers[1]:g}); that of the sum lies between them (x = {middle:g})",
        )
    return figure  # type: ignore[no-any-return]


def draw_landscape(result: Result) -> Figure:
    """The network's cost in the plane of its path: of many rows, and of two mini-batches."""
    part = result["landscape"]
    x, y = np.array(part["x"]), np.array(part["y"])
    with styled_pyplot((8.0, 4.8)) as plt:
        figure = plt.figure()
        # Without computed_zorder matplotlib would hide the path behind the surface.
        height: Any = figure.add_subplot(1, 2, 1, projection="3d", computed_zorder=False)
        X, Y = np.meshgrid(x, y)
        image = height.plot_surface(
            X, Y, np.array(part["full"]), cmap="viridis", rcount=25, ccount=25, linewidth=0
        )
        height.plot(*_path_on_surface(part), color=INK, linewidth=1.3)
        height.set_title("Many rows, and the path on their surface")
        height.view_init(50, -70)
        bar = figure.colorbar(image, ax=height, shrink=0.6, pad=0.14)
        bar.set_label("cost per row")
        flat = figure.add_subplot(1, 2, 2)
        _draw_contours(flat, part, x, y)
        for axis in (height, flat):
            axis.set_xlabel("along direction 1")
            axis.set_ylabel("along direction 2")
        legend_below(figure, flat, 3)
        headline(figure, "Minima of mini-batches: measured", _landscape_finding(part))
    return figure  # type: ignore[no-any-return]


def _path_on_surface(part: dict[str, Any]) -> NDArray[np.float64]:
    """Return x, y and the interpolated cost along a path on the surface, (3, n_steps + 1).

    The network itself is higher than that: its path leaves the plane.
    """
    from scipy.interpolate import RegularGridInterpolator

    path = np.array(part["path"])
    surface = RegularGridInterpolator((part["y"], part["x"]), np.array(part["full"]))
    return np.vstack([path.T, surface(path[:, ::-1])])


def _draw_contours(axis: Axes, part: dict[str, Any], x: Any, y: Any) -> None:
    layers = (
        ("full", GREEN, "many rows"),
        ("first", BLUE, "batch 1"),
        ("second", VERMILLION, "batch 2"),
    )
    for name, color, label in layers:
        values = np.array(part[name])
        levels = np.linspace(values.min(), values.max(), 9)[1:-1]
        axis.contour(x, y, values, levels, colors=color, linewidths=1.0)
        axis.plot(
            *part["minima"][name],
            "*",
            color=color,
            markersize=12,
            label=f"lowest, {label}",
            clip_on=False,
        )
    path = np.array(part["path"])
    axis.plot(*path.T, color=INK, linewidth=1.3, label="descent, step by step")
    axis.plot(*path[0], "o", color=INK, label="start")
    axis.set_title("Contours, and the path of the descent")
    axis.grid(False)


def _landscape_finding(part: dict[str, Any]) -> str:
    minima = {name: np.array(place) for name, place in part["minima"].items()}
    apart = float(np.linalg.norm(minima["first"] - minima["second"]))
    way = float(np.linalg.norm(np.array(part["path"])[0] - np.array(part["path"])[-1]))
    text = f"The lowest points of two mini-batches lie {apart / way:.0%} of the descent's way apart"
    rim = {"x": (part["x"][0], part["x"][-1]), "y": (part["y"][0], part["y"][-1])}
    if any(place[0] in rim["x"] or place[1] in rim["y"] for place in part["minima"].values()):
        text = "The descent is still on its way: the lowest points lie at the edge"
    return f"{text}; this plane holds {part['explained']:.0%} of the path's variance"


def draw_statistics(result: Result) -> Figure:
    """Direction of the gradient, spread of the cost and mixture of digits, by size."""
    part = result["statistics"]
    sizes = part["sizes"]
    with styled_pyplot((8.0, 4.0)) as plt:
        figure, (left, middle, right) = plt.subplots(1, 3)
        times = (("start", BLUE, "o", "start"), ("later", ORANGE, "s", "trained"))
        for when, color, marker, label in times:
            moments = part["moments"][when]
            low, median, high = np.array(moments["cosine"]).T
            left.plot(sizes, median, color=color, marker=marker, label=label)
            left.fill_between(sizes, low, high, color=color, alpha=0.18, lw=0)
            spread = np.array(moments["deviation"]) / np.array(moments["cost"])
            middle.plot(sizes, 100 * spread, color=color, marker=marker, label=label)
        low, median, high = 100 * np.array(part["digit_share"]).T
        right.plot(sizes, median, color=GREEN, marker="^")
        right.fill_between(sizes, low, high, color=GREEN, alpha=0.18, lw=0)
        left.set_ylabel("cosine to the gradient of all rows")
        middle.set_ylabel("standard deviation of the cost (% of it)")
        right.set_ylabel("most frequent digit (% of the batch)")
        for axis, title in zip(
            (left, middle, right), ("Direction", "Cost", "Mixture"), strict=True
        ):
            axis.set_xscale("log")
            axis.set_xlabel("rows of a mini-batch (count)")
            axis.set_title(title)
        middle.set_yscale("log")
        left.set_ylim(min(0.0, *left.get_ylim()), 1.02)
        middle.yaxis.set_major_formatter("{x:g}")
        left.legend(loc="lower right")
        headline(figure, "What a mini-batch says about all rows", _statistics_finding(part))
    return figure  # type: ignore[no-any-return]


def _statistics_finding(part: dict[str, Any]) -> str:
    medians = {
        when: [values[1] for values in part["moments"][when]["cosine"]]
        for when in ("start", "later")
    }
    size = part["sizes"][min(3, len(part["sizes"]) - 1)]
    i = part["sizes"].index(size)
    return (
        f"The gradients of {size} rows and of all rows have a cosine of {medians['start'][i]:.2f} "
        f"at the start, and of {medians['later'][i]:.2f} in the trained network"
    )


def draw_halves(result: Result) -> Figure:
    """Distance of the weights over the epochs; accuracies on both halves."""
    halves = result["halves"]
    with styled_pyplot((8.0, 4.5)) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        for item, (color, marker) in zip(halves, CATEGORIES, strict=False):
            left.plot(
                item["epochs"],
                item["distance"],
                color=color,
                marker=marker,
                markevery=0.1,
                label=HALF_NAMES[item["split"]],
            )
        left.set_xlabel("epochs of training")
        left.set_ylabel("distance of the weights / their length")
        left.set_ylim(bottom=0)
        left.set_title("How far the weights part")
        left.legend(loc="lower right")
        columns = (
            ("own half", BLUE, "o", 0, 1),
            ("other half", ORANGE, "s", 1, 0),
            ("test", GREEN, "^", 2, 2),
        )
        for name, color, marker, first, second in columns:
            for k, column in enumerate((first, second)):
                places = np.arange(len(halves)) + (k - 0.5) * 0.2
                values = [item["accuracy"][k][column] for item in halves]
                right.plot(
                    places,
                    values,
                    linestyle="none",
                    marker=marker,
                    color=color,
                    markersize=7,
                    label=name if k == 0 else "_",
                )
        right.set_xticks(range(len(halves)), labels=[HALF_NAMES[h["split"]] for h in halves])
        right.grid(axis="x", visible=False)
        right.margins(x=0.2)
        right.set_xlabel("how the rows were divided; one point per network")
        right.set_ylabel("accuracy (fraction)")
        right.set_title("What each network knows")
        right.legend(loc="lower left")
        headline(figure, "Networks that know half of the rows", _halves_finding(result))
    return figure  # type: ignore[no-any-return]


def _halves_finding(result: Result) -> str:
    losses = {
        item["split"]: np.mean(
            [
                item["accuracy"][0][0] - item["accuracy"][0][1],
                item["accuracy"][1][1] - item["accuracy"][1][0],
            ]
        )
        for item in result["halves"]
    }
    distance = {item["split"]: item["distance"][-1] for item in result["halves"]}
    worst = max(losses, key=losses.__getitem__)
    return (
        f"Weights of random halves part by {distance['random']:.2f} of their length; each knows "
        f"the other half {100 * losses['random']:.1f} percentage points worse than its own, and of "
        f"halves {HALF_NAMES[worst].replace(' | ', ' and ')} {100 * losses[worst]:.1f}"
    )


def draw_full_cost(result: Result) -> Figure:
    """Training cost and test accuracy: mini-batches throughout, and full cost in the end."""
    ends = result["ends"]
    begin = result["config"]["batch_epochs"]
    colors = [INK, *ordered_colors(len(ends) - 1)]
    with styled_pyplot((8.0, 4.5)) as plt:
        figure, axes = plt.subplots(1, 2)
        for item, color in zip(ends, colors, strict=True):
            rate = item["rate"]
            label = "mini-batches" if rate is None else f"full cost, rate × {rate:g}"
            for axis, name in zip(axes, ("train_cost", "test_accuracy"), strict=True):
                axis.plot(item["epochs"], item[name], color=color, label=label)
        for axis in axes:
            axis.axvline(begin, color=GREY, linestyle=":", label="_")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.set_xlabel("epochs of training (dotted: here it changes)")
        axes[0].set_yscale("log")
        label_log_axis(axes[0].yaxis)
        axes[0].set_ylabel("training cost per row")
        axes[1].set_ylabel("test accuracy (fraction)")
        accuracies = np.concatenate([item["test_accuracy"][begin // 3 :] for item in ends])
        axes[1].set_ylim(accuracies.min() - 0.002, accuracies.max() + 0.002)
        axes[0].set_title("Training cost")
        axes[1].set_title("Test accuracy")
        axes[0].legend(loc="upper right")
        headline(figure, "The last epochs on the full cost", _full_finding(ends, begin))
    return figure  # type: ignore[no-any-return]


def _full_finding(ends: list[dict[str, Any]], begin: int) -> str:
    batches = ends[0]
    best = min(ends[1:], key=lambda item: item["train_cost"][-1])
    before = batches["train_cost"][begin - 1]
    return (
        f"Epochs on the full cost take it from {before:.4f} to {best['train_cost'][-1]:.4f} at "
        f"best, as many with mini-batches to {batches['train_cost'][-1]:.4f}; test accuracy "
        f"{best['test_accuracy'][-1]:.4f} and {batches['test_accuracy'][-1]:.4f}"
    )
