"""Figures of error surfaces: planes, lines between two networks, and barriers by width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.plots.style import BLUE, INK, VERMILLION, styled_pyplot
from fastmlp.studies.lab.figures import (
    draw_spread,
    headline,
    legend_below,
    ordered_colors,
)
from fastmlp.studies.lab.study import Result
from fastmlp.studies.landscapes.matching import barrier

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def lines_of(result: Result, width: int, when: str) -> list[dict[str, Any]]:
    """The lines of all pairs of a width, ``before`` or ``after`` matching."""
    return [pair[when] for pair in result["pairs"] if pair["width"] == width]


def _levels(low: float, high: float) -> NDArray[np.float64]:
    """1, 2 and 5 times powers of ten, from the one below `low` to the one above `high`."""
    powers = 10.0 ** np.arange(-4, 8)
    steps = np.outer(powers, [1, 2, 5]).ravel()
    begin, end = np.searchsorted(steps, low, "right") - 1, np.searchsorted(steps, high)
    levels: NDArray[np.float64] = steps[begin : end + 1]
    return levels


def draw_planes(result: Result) -> Figure:
    """Draw the training cost around the end of each training, on one logarithmic scale."""
    planes = result["planes"]
    costs = [np.array(plane["costs"]) for plane in planes]
    low, high = min(c.min() for c in costs), max(c.max() for c in costs)
    levels = _levels(max(low, 1e-3), high)
    with styled_pyplot((10.0, 4.3)) as plt:
        from matplotlib.colors import LogNorm

        figure, axes = plt.subplots(1, len(planes), sharey=True, squeeze=False)
        for axis, plane, values in zip(axes[0], planes, costs, strict=True):
            x = np.linspace(-1, 1, len(values))
            norm = LogNorm(levels[0], levels[-1])
            image = axis.contourf(x, x, values.clip(levels[0]), levels, cmap="viridis", norm=norm)
            axis.contour(x, x, values.clip(levels[0]), levels, colors="white", linewidths=0.5)
            axis.plot(0, 0, "o", color="white", markeredgecolor=INK)
            axis.set_aspect("equal")
            axis.grid(False)
            axis.set_xlabel("first direction")
            hidden = plane["hidden"]
            shape = (
                "-".join(map(str, hidden)) if len(hidden) < 4 else f"{len(hidden)} × {hidden[0]}"
            )
            axis.set_title(f"{plane['activation']}, {shape}: {plane['test_accuracy']:.3f}")
        axes[0, 0].set_ylabel("second direction")
        bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=levels[1::2], format="{x:g}")
        bar.minorticks_off()
        bar.set_label("cost of a training image")
        rises = [c.max() / max(c[len(c) // 2, len(c) // 2], 1e-4) for c in costs]
        steep = int(np.argmax([c.max() for c in costs]))
        name = f"{planes[steep]['activation']} network with {len(planes[steep]['hidden'])}"
        headline(
            figure,
            "The cost around the end of training",
            f"Around the end (white) the cost rises most in the {name} hidden layers, up to "
            f"{costs[steep].max():.0f}, {rises[steep]:.0f} times its value in the middle",
        )
    return figure  # type: ignore[no-any-return]


def draw_lines(result: Result) -> Figure:
    """Draw cost and accuracy on the line between two networks, by width, before and after."""
    widths = result["config"]["widths"]
    x = np.linspace(0, 1, result["config"]["n_steps"]).tolist()
    with styled_pyplot((10.0, 5.0)) as plt:
        figure, axes = plt.subplots(1, 2)
        for axis, name in zip(axes, ("test_cost", "test_accuracy"), strict=True):
            for width, color in zip(widths, ordered_colors(len(widths)), strict=True):
                for when, style in (("before", "--"), ("after", "-")):
                    runs = [line[name] for line in lines_of(result, width, when)]
                    label = f"{width} nodes, {'as trained' if when == 'before' else 'matched'}"
                    draw_spread(axis, x, runs, color=color, linestyle=style, label=label)
            axis.set_xlabel("share of the way from one network to the other")
        axes[0].set_ylabel("cost of a test image")
        axes[0].set_title("Cost: mean and range of pairs")
        axes[1].set_ylabel("test accuracy (fraction)")
        axes[1].set_title("Accuracy")
        legend_below(figure, axes[0], len(widths))
        before, after = (lines_of(result, widths[-1], when) for when in ("before", "after"))
        middle = len(x) // 2
        accuracy = [np.mean([line["test_accuracy"][middle] for line in b]) for b in (before, after)]
        ends = np.mean([line["test_accuracy"][0] for line in before])
        headline(
            figure,
            "On the way from one network to another",
            f"Half-way between two networks of {widths[-1]} nodes, accuracy falls from {ends:.3f} "
            f"to {accuracy[0]:.3f}; with the nodes of one permuted to match, to {accuracy[1]:.3f}",
        )
    return figure  # type: ignore[no-any-return]


def draw_barriers(result: Result) -> Figure:
    """Draw the barrier of the test cost by width, before and after matching."""
    widths = result["config"]["widths"]
    with styled_pyplot((8.0, 4.6)) as plt:
        figure, axis = plt.subplots()
        means = {}
        for when, color, marker in (("before", VERMILLION, "s"), ("after", BLUE, "o")):
            runs = np.array(
                [[barrier(np.array(line["test_cost"])) for line in lines_of(result, width, when)]
                 for width in widths]
            ).T  # fmt: skip
            label = "as trained" if when == "before" else "nodes matched"
            draw_spread(axis, widths, runs.tolist(), color=color, marker=marker, label=label)
            means[when] = runs.mean(axis=0)
        axis.set_xscale("log")
        axis.set_xticks(widths, labels=map(str, widths))
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_xlabel("nodes per hidden layer")
        axis.set_ylabel("barrier (cost of a test image)")
        axis.set_title("Rise over the ends: mean and range of pairs")
        axis.legend(loc="best")
        headline(
            figure,
            "The barrier between two networks",
            f"Matching the nodes lowers the barrier from {means['before'][0]:.2f} to "
            f"{means['after'][0]:.2f} at {widths[0]} nodes, from {means['before'][-1]:.2f} to "
            f"{means['after'][-1]:.2f} at {widths[-1]}",
        )
    return figure  # type: ignore[no-any-return]
