"""Figures of the moons: points, contours, surfaces, and decision surfaces side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.plots import decisions
from fastmlp.plots.mesh import Surface
from fastmlp.plots.style import BLUE, ORANGE, styled_pyplot
from fastmlp.studies.lab.figures import headline
from fastmlp.studies.lab.packed import unpack
from fastmlp.studies.lab.study import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = NDArray[np.float64]

CLASSES = ((BLUE, "o"), (ORANGE, "s"))
DEMO_COLORS = "plasma_r"
DEMO_REACH = 2.0
DEMO_STEPS = 81
LINES = 10
"""Contour lines of the demonstration; there is one band less than lines."""

Z_TICKS = 5
THINNED = 5
"""One point in so many is drawn on the surfaces, or it would hide them."""


def mesh(extent: Sequence[float], resolution: float) -> tuple[Points, Points]:
    """X and Y (n_y, n_x) from the lower left to the upper right corner of (x0, y0, x1, y1)."""
    x = np.arange(extent[0], extent[2] + resolution, resolution)
    y = np.arange(extent[1], extent[3] + resolution, resolution)
    both = np.meshgrid(x, y)
    return both[0], both[1]


def points_of(result: Result) -> tuple[Points, NDArray[np.int64]]:
    """The training points (n, 2), and their classes (n,)."""
    low, high = np.array(result["extent"][:2]), np.array(result["extent"][2:])
    return low + unpack(result["points"]) * (high - low), np.array(list(result["labels"]), int)


def draw_points(result: Result) -> Figure:
    """Draw the points in the plane, and from the side with the class as height."""
    X, y = points_of(result)
    with styled_pyplot((8.0, 3.9)) as plt:
        figure = plt.figure()
        left = figure.add_subplot(1, 2, 1)
        _scatter(left, X, y, size=8)
        left.set_title("The plane")
        left.legend(loc="upper right")
        right: Any = figure.add_subplot(1, 2, 2, projection="3d")
        for label, (color, marker) in enumerate(CLASSES):
            points = X[y == label]
            right.scatter(*points.T, label, s=4, color=color, marker=marker, depthshade=False)
        right.set_zticks([0, 1])
        right.set_zlabel("class")
        right.view_init(25, -65)
        _label_plane(right, "The class as height")
        headline(
            figure,
            "The two moons",
            f"Two moons of {len(y)} points: a straight line leaves "
            f"{_errors_of_best_line(X, y):.0%} of them on the wrong side",
        )
    return figure  # type: ignore[no-any-return]


def _errors_of_best_line(X: Points, y: NDArray[np.int64]) -> float:
    """Share on the wrong side of the best straight line in the sense of least squares."""
    A = np.c_[np.ones(len(X)), X]
    solution = np.linalg.lstsq(A, 2.0 * y - 1.0, rcond=None)[0]
    return float(((A @ solution > 0) != (y == 1)).mean())


def _scatter(axis: Axes, X: Points, y: NDArray[np.int64], size: float = 5) -> None:
    for label, (color, marker) in enumerate(CLASSES):
        axis.scatter(
            X[y == label, 0],
            X[y == label, 1],
            s=size,
            color=color,
            marker=marker,
            linewidths=0,
            label=f"class {label}",
        )
    _label_plane(axis)
    axis.grid(False)


def _label_plane(axis: Axes, title: str | None = None) -> None:
    axis.set_xlabel("x₁")
    axis.set_ylabel("x₂")
    if title is not None:
        axis.set_title(title)


def demo(coefficients: Sequence[float]) -> tuple[Points, Points, Points]:
    """X, Y and Z = a X^2 + b Y^2, each (DEMO_STEPS, DEMO_STEPS)."""
    x = np.linspace(-DEMO_REACH, DEMO_REACH, DEMO_STEPS)
    X, Y = np.meshgrid(x, x)
    return X, Y, coefficients[0] * X**2 + coefficients[1] * Y**2


def draw_demo(result: Result) -> Figure:
    """Ellipse and saddle: lines, bands, and surface."""
    config = result["config"]
    with styled_pyplot((8.0, 5.8)) as plt:
        figure = plt.figure()
        for row, name in enumerate(("ellipse", "saddle")):
            a, b = config[name]
            surface = demo((a, b))
            formula = f"Z = {a:g} X² {'+' if b >= 0 else '−'} {abs(b):g} Y²".replace("-", "−")
            lines = figure.add_subplot(2, 3, 3 * row + 1)
            drawn = lines.contour(*surface, LINES, cmap=DEMO_COLORS)
            lines.clabel(drawn, fontsize=7)
            bands = figure.add_subplot(2, 3, 3 * row + 2)
            filled = bands.contourf(*surface, drawn.levels, cmap=DEMO_COLORS, alpha=0.9)
            for axis, title in ((lines, f"{name.title()}: {formula}"), (bands, "Filled")):
                axis.set_title(title)
                axis.set_xlabel("X")
                axis.set_ylabel("Y")
                axis.set_aspect("equal")
                axis.grid(False)
            _bar(figure, filled, bands)
            _draw_height(figure, (2, 3, 3 * row + 3), surface)
        headline(
            figure,
            "Contours of an ellipse and of a saddle",
            f"A plus sign makes closed ellipses, long in X; the minus sign of the printed formula "
            f"makes a saddle with hyperbolas. {len(drawn.levels)} levels bound "
            f"{len(drawn.levels) - 1} bands",
        )
    return figure  # type: ignore[no-any-return]


def _bar(figure: Figure, image: Any, axis: Axes) -> None:
    bar = figure.colorbar(image, ax=axis, shrink=0.75)
    bar.locator = _few_ticks()
    bar.update_ticks()
    bar.set_label("Z")


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(Z_TICKS)


def _draw_height(
    figure: Figure, place: tuple[int, int, int], surface: tuple[Points, Points, Points]
) -> None:
    """One surface of the demonstration in three dimensions with a color bar."""
    axis: Any = figure.add_subplot(*place, projection="3d")
    image = axis.plot_surface(
        *surface, cmap=DEMO_COLORS, rcount=60, ccount=60, linewidth=0, antialiased=False
    )
    axis.zaxis.set_major_locator(_few_ticks())
    axis.set_xlabel("X")
    axis.set_ylabel("Y")
    axis.set_title("Surface")
    axis.view_init(30, -60)
    axis.tick_params(labelsize=7)
    bar = figure.colorbar(image, ax=axis, shrink=0.6, pad=0.12)
    bar.locator = _few_ticks()
    bar.update_ticks()
    bar.set_label("Z")


def draw_classifiers(result: Result) -> Figure:
    """Decision surfaces of all classifiers, with the points."""
    runs = result["runs"]
    with styled_pyplot((8.0, 6.4)) as plt:
        figure, axes = plt.subplots(-(-len(runs) // 2), 2, squeeze=False, sharex=True, sharey=True)
        for axis, run in zip(axes.flat, runs, strict=False):
            _draw_decision(axis, result, run["surface"], size=14)
            axis.set_title(f"{run['classifier']}: test {run['test_accuracy']:.3f}")
        for axis in axes.flat[len(runs) :]:
            axis.set_axis_off()
        best = max(runs, key=lambda run: run["test_accuracy"])
        worst = min(runs, key=lambda run: run["test_accuracy"])
        headline(
            figure,
            "How four classifiers divide the plane",
            f"{best['classifier']} separates the moons best ({best['test_accuracy']:.3f} of the "
            f"test points right), {worst['classifier']} worst ({worst['test_accuracy']:.3f}); "
            "black: the decision line",
        )
    return figure  # type: ignore[no-any-return]


def _draw_decision(axis: Axes, result: Result, packed: dict[str, Any], size: float) -> None:
    """A stored surface, its decision line, and some of the points."""
    X, y = points_of(result)
    decisions.draw_plane(axis, stored_surface(result, packed))
    decisions.draw_points(axis, X[::THINNED], y[::THINNED], np.array([0, 1]), size=size)
    _label_plane(axis)


def stored_surface(result: Result, packed: dict[str, Any]) -> Surface:
    """The surface of a classifier as it was stored: probabilities in [0, 1], or decision values."""
    xx, yy = mesh(result["extent"], result["config"]["stored_resolution"])
    values = unpack(packed)
    is_probability = packed["low"] == 0
    both = (1 - values, values) if is_probability else (-values, values)
    label = "probability" if is_probability else "decision value"
    return Surface(xx[0], yy[:, 0], np.stack(both, axis=2), np.array([0, 1]), label)


def draw_surface(result: Result) -> Figure:
    """The heights of a support vector machine and of MyANN."""
    runs = [run for run in result["runs"] if not run["classifier"].startswith("Linear")]
    X, y = points_of(result)
    with styled_pyplot((8.0, 4.2)) as plt:
        figure = plt.figure()
        heights = [unpack(run["surface"]) for run in runs]
        for i, run in enumerate(runs):
            axis: Any = figure.add_subplot(1, len(runs), i + 1, projection="3d")
            floor = decisions.draw_height(axis, stored_surface(result, run["surface"]), 1, 1)
            decisions.draw_points(
                axis, X[::THINNED], y[::THINNED], np.array([0, 1]), floor=floor, size=4
            )
            kind = axis.get_zlabel().removesuffix(" of 1")
            axis.set_zlabel("")  # it would be cut off
            _label_plane(axis, f"{run['classifier']}: {kind}")
            axis.view_init(30, -60)
            axis.tick_params(labelsize=7)
        kernel, probability = heights
        sure = (np.abs(probability - 0.5) > 0.45).mean()
        corners = kernel[:: kernel.shape[0] - 1, :: kernel.shape[1] - 1]
        headline(
            figure,
            "The surfaces of two classifiers",
            f"MyANN's surface is a step: it is sure (beyond 95 %) on {sure:.0%} of the mesh; "
            "in the corners, far from all points, the kernel's is between "
            f"±{np.abs(corners).max():.1f}",
        )
    return figure  # type: ignore[no-any-return]


def draw_epochs(result: Result) -> Figure:
    """MyANN's surface after chosen epochs."""
    course = next(run["course"] for run in result["runs"] if run["classifier"] == "MyANN")
    with styled_pyplot((8.0, 4.5)) as plt:
        n_rows = -(-len(course) // 4)
        figure, axes = plt.subplots(n_rows, 4, squeeze=False, sharex=True, sharey=True)
        for axis, item in zip(axes.flat, course, strict=False):
            _draw_decision(axis, result, item["surface"], size=6)
            axis.set_title(f"Epoch {item['epoch']}: {item['test_accuracy']:.3f}")
            axis.label_outer()
        for axis in axes.flat[len(course) :]:
            axis.set_axis_off()
        headline(figure, "The line bends while the network learns", _epochs_finding(course))
    return figure  # type: ignore[no-any-return]


def _epochs_finding(course: Sequence[dict[str, Any]]) -> str:
    last = course[-1]
    near = next(item for item in course if item["test_accuracy"] >= last["test_accuracy"] - 0.01)
    first = course[min(1, len(course) - 1)]
    return (
        f"After epoch {first['epoch']} MyANN is right on {first['test_accuracy']:.3f} of the test "
        f"points; by epoch {near['epoch']} its line has bent to {near['test_accuracy']:.3f}, "
        f"in the end {last['test_accuracy']:.3f}"
    )
