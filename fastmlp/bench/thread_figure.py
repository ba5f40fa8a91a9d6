"""Figure of a thread sweep: seconds per epoch, and the speed-up with the ideal one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastmlp.bench.thread_sweep import Point
from fastmlp.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, FigureSize, styled_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENGINES = {
    "native": ("fastmlp", BLUE, "o"),
    "blas": ("fastmlp, BLAS alone", GREEN, "v"),
    "own": ("fastmlp, own products alone", PURPLE, "^"),
    "numpy": ("NumPy reference", ORANGE, "s"),
}
"""Name, color and marker of each engine."""

MOST_LINEAR_THREADS = 8
"""Thread count above which counts are doubled, and the axes are logarithmic."""


def plot_threads(
    points: Sequence[Point], *, title: str | None = None, figsize: FigureSize = (12, 6)
) -> Figure:
    """Plot median seconds per epoch with quartiles (left), and actual and ideal speed-up (right).

    Parameters
    ----------
    points : sequence of Point
        From :func:`fastmlp.bench.thread_sweep.summarize`.
    title : str or None
        Above both panels; None means no title.
    figsize : (float, float)
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no points.
    ImportError
        If matplotlib is missing, with the command that installs it.
    """
    if not points:
        raise ValueError("nothing to plot: no thread count was timed")
    with styled_pyplot(figsize) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        _draw_seconds(left, points)
        _draw_speed_up(right, points)
        for axis in (left, right):
            _label_threads(axis, points)
        if title is not None:
            figure.suptitle(
                title, x=0.01, ha="left", weight="bold", size=1.25 * plt.rcParams["font.size"]
            )
        figure.get_layout_engine().set(wspace=0.06)
    return figure  # type: ignore[no-any-return]


def _of_engines(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Points by engine, thread counts ascending."""
    names = dict.fromkeys(point.engine for point in points)
    return {
        name: sorted((p for p in points if p.engine == name), key=lambda p: p.n_threads)
        for name in names
    }


def _draw_seconds(axis: Axes, points: Sequence[Point]) -> None:
    for engine, row in _of_engines(points).items():
        label, color, marker = ENGINES[engine]
        medians = [p.seconds for p in row]
        below = [p.seconds - p.q1_seconds for p in row]
        above = [p.q3_seconds - p.seconds for p in row]
        axis.errorbar(
            [p.n_threads for p in row],
            medians,
            yerr=[below, above],
            color=color,
            marker=marker,
            capsize=5,
            label=label,
        )
    axis.set_ylim(bottom=0, top=1.25 * max(p.q3_seconds for p in points))  # room for the legend
    axis.set_ylabel("seconds per epoch (median, quartiles)")
    best = min(points, key=lambda p: p.seconds)
    axis.set_title(f"Fastest: {_name(best)}, {best.seconds:.3g} s per epoch")
    axis.legend(loc="upper right")


def _draw_speed_up(axis: Axes, points: Sequence[Point]) -> None:
    counts = sorted({p.n_threads for p in points})
    axis.plot(counts, counts, color=INK, linestyle="--", linewidth=1.2, label="ideal")
    for engine, row in _of_engines(points).items():
        label, color, marker = ENGINES[engine]
        axis.plot(
            [p.n_threads for p in row],
            [p.speed_up for p in row],
            color=color,
            marker=marker,
            label=label,
        )
    best = max(points, key=lambda p: p.speed_up)
    axis.set_ylabel("speed-up over one thread")
    axis.set_title(f"Best speed-up: {best.speed_up:.2f}, {_name(best)}")
    if counts[-1] > MOST_LINEAR_THREADS:
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter("{x:g}")
    else:
        axis.set_ylim(0, 1.08 * max(counts[-1], best.speed_up))
    axis.legend(loc="upper left")


def _label_threads(axis: Axes, points: Sequence[Point]) -> None:
    """Put one tick at every thread count that was timed, and none between."""
    counts = sorted({p.n_threads for p in points})
    if counts[-1] > MOST_LINEAR_THREADS:
        axis.set_xscale("log", base=2)
    axis.set_xticks(counts, labels=[str(n) for n in counts])
    axis.set_xticks([], minor=True)
    axis.margins(x=0.08)
    axis.set_xlabel("OPENBLAS_NUM_THREADS")


def _name(point: Point) -> str:
    """Return a label such as "fastmlp with 2 threads"."""
    threads = "1 thread" if point.n_threads == 1 else f"{point.n_threads} threads"
    return f"{ENGINES[point.engine][0]} with {threads}"
