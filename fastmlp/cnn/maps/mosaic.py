"""Many small images as one, on a grid with numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANSWERS = "viridis"
"""Colours of activations, from none to the largest; told apart by color-blind readers."""

SIGNED = "PuOr_r"
"""Colours of numbers of both signs, white at 0."""


def columns_for(n: int, aspect: float) -> int:
    """Return the columns of a grid of `n` square cells with width = `aspect` times height."""
    return max(1, min(n, math.ceil(math.sqrt(n * aspect))))


def mosaic(tiles: NDArray[Any], n_columns: int, gap: int) -> NDArray[np.float64]:
    """Tiles (n, height, width) side by side, row by row, with NaN between them.

    Returns
    -------
    ndarray of shape (n_rows * (height + gap) - gap, n_columns * (width + gap) - gap)
    """
    n, height, width = tiles.shape
    n_rows = math.ceil(n / n_columns)
    sheet = np.full((n_rows * (height + gap) - gap, n_columns * (width + gap) - gap), np.nan)
    for i, tile in enumerate(tiles):
        top, left = (i // n_columns) * (height + gap), (i % n_columns) * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def draw_numbered_grid(
    axis: Axes, tiles: NDArray[Any], n_columns: int, *, cmap: str, limits: tuple[float, float]
) -> Any:
    """Tiles (n, height, width) with the first number of each row left, and steps above.

    The number of a tile is the sum of the two; returns matplotlib's image, for a color bar.
    """
    n, height, width = tiles.shape
    gap = max(1, round(0.08 * height))
    shown = axis.imshow(
        mosaic(tiles, n_columns, gap),
        cmap=cmap,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
    )
    n_rows = math.ceil(n / n_columns)
    every = 1 if n_columns <= 10 else 2
    columns = range(0, n_columns, every)
    axis.set_xticks(
        [j * (width + gap) + (width - 1) / 2 for j in columns], [f"+{j}" for j in columns]
    )
    axis.set_yticks(
        [i * (height + gap) + (height - 1) / 2 for i in range(n_rows)],
        [str(i * n_columns) for i in range(n_rows)],
    )
    axis.xaxis.tick_top()
    _hide_frame(axis)
    return shown


def draw_labelled_tiles(
    axis: Axes, tiles: NDArray[Any], labels: Sequence[str], n_columns: int, *, cmap: str
) -> None:
    """Tiles (n, height, width) with a text over each; every tile has its own contrast."""
    height, width = tiles.shape[1:]
    strip = max(2, round(0.36 * height))
    gap = max(2, round(0.1 * width))
    n_rows = math.ceil(len(tiles) / n_columns)
    sheet = np.full((n_rows * (height + strip), n_columns * (width + gap) - gap), np.nan)
    for i, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        top, left = (i // n_columns) * (height + strip) + strip, (i % n_columns) * (width + gap)
        sheet[top : top + height, left : left + width] = stretched(tile)
        axis.text(left + width / 2, top - 1.5, label, ha="center", va="bottom")
    axis.imshow(sheet, cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    _hide_frame(axis)


def stretched(tile: NDArray[Any]) -> NDArray[np.float64]:
    """A tile from 0 to 1, without its extreme hundredths; 0.5 where it has no contrast."""
    low, high = np.nanpercentile(tile, [1, 99])
    if not high > low:
        return np.full(tile.shape, 0.5)
    result: NDArray[np.float64] = np.clip((np.asarray(tile, float) - low) / (high - low), 0, 1)
    return result


def _hide_frame(axis: Axes) -> None:
    axis.grid(False)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
