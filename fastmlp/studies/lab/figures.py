"""Style of the studies' figures, and writing them to files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.files.atomic import write_atomically
from fastmlp.plots.headline import MOST_CHARACTERS as MOST_CHARACTERS
from fastmlp.plots.headline import finding_of as finding_of
from fastmlp.plots.headline import headline as headline
from fastmlp.plots.headline import title_of as title_of
from fastmlp.plots.style import CATEGORIES as CATEGORIES
from fastmlp.plots.style import INK, import_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGSIZE = (10.0, 5.6)
DPI = 100
PALETTE = 128
"""Number of colors in a PNG file."""

PUBLISHED: dict[str, Any] = {
    "linestyle": "none",
    "marker": "D",
    "markerfacecolor": "white",
    "markeredgecolor": INK,
    "markeredgewidth": 1.5,
    "zorder": 4,
}
"""Style of published values: hollow diamonds."""


def ordered_colors(n: int) -> list[Any]:
    """Colors for lines of `n` values in their order: up to 8 that can be told apart.

    A map of colors whose neighbors resemble each other is for more lines than that.
    """
    import matplotlib

    if n <= len(CATEGORIES):
        return [color for color, _ in CATEGORIES[:n]]
    return list(matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, max(n, 1))))


def label_log_axis(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2, 3 and 5 times powers of ten."""
    from matplotlib.ticker import LogLocator

    axis.set_minor_locator(LogLocator(subs=(2.0, 3.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}")


def legend_below(figure: Figure, axis: Axes, n_columns: int, title: str | None = None) -> None:
    """Put the legend of one panel below all panels, where it covers no line."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=n_columns, title=title)


def draw_spread(axis: Axes, x: ArrayLike, runs: Sequence[Sequence[float]], **style: Any) -> None:
    """The mean over runs (n_runs, n_x) as a line, from lowest to highest as a pale band."""
    values = np.asarray(runs, float)
    (line,) = axis.plot(np.asarray(x), values.mean(axis=0), **style)
    if len(values) > 1:
        axis.fill_between(
            np.asarray(x),
            values.min(axis=0),
            values.max(axis=0),
            color=line.get_color(),
            alpha=0.18,
            lw=0,
        )


def draw_tiles(
    axis: Axes,
    images: NDArray[Any],
    n_columns: int,
    *,
    titles: Sequence[str] = (),
    rows: Sequence[str] = (),
    above: float = 0.0,
) -> None:
    """Draw square images (n, n_pixels) side by side in one panel, white 0, which is fast.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    images : ndarray of shape (n, n_pixels)
        Of any scale: the largest value of all is black.
    n_columns : int
    titles : sequence of str
        Written above the images, from the first on.
    rows : sequence of str
        Names of the rows, at their left.
    above : float
        Space above each image, as a share of its side.
    """
    side = round(images.shape[1] ** 0.5)
    space, gap = round(above * side), max(1, side // 12)
    n_rows = -(-len(images) // n_columns)
    height, width = side + space + gap, side + gap
    page = np.zeros((n_rows * height, n_columns * width))
    for i, image in enumerate(images):
        top, left = i // n_columns * height + space, i % n_columns * width
        page[top : top + side, left : left + side] = image.reshape(side, side)
        if i < len(titles):
            axis.text(left + side / 2, top - 0.12 * side, titles[i], ha="center", va="bottom")
    axis.imshow(page, cmap="gray_r", vmin=0, vmax=images.max(), interpolation="nearest")
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_xticks([])
    middles = np.arange(len(rows)) * height + space + side / 2
    axis.set_yticks(middles, labels=list(rows))


def write_figures(
    figures: Mapping[str, Figure], folder: Path, stem: str, kinds: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write every figure as ``stem-name.kind`` for all kinds, and close it; returns the paths."""
    plt = import_pyplot()
    paths = []
    try:
        for name, figure in figures.items():
            for kind in kinds:
                paths.append(folder / f"{stem}-{name}.{kind}")
                write_atomically(paths[-1], [encode_image(figure, kind)])
    finally:
        for figure in figures.values():
            plt.close(figure)
    return paths


def encode_image(figure: Figure, kind: str) -> bytes:
    """Return the bytes of a figure, reproducibly; a PNG has a palette, for a third of the size."""
    buffer = io.BytesIO()
    if kind == "svg":
        with import_pyplot().rc_context({"svg.hashsalt": "fastmlp"}):
            figure.savefig(buffer, format="svg", metadata={"Date": None})
    else:
        from PIL import Image  # matplotlib depends on it

        figure.savefig(buffer, format="rgba", dpi=DPI)
        width, height = figure.canvas.get_width_height(physical=True)
        image = Image.frombytes("RGBA", (width, height), buffer.getvalue()).convert("RGB")
        buffer = io.BytesIO()
        image.quantize(PALETTE, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()
