"""Random start images for the search: noise on several length scales, standardized."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_integer, check_number
from fastmlp.cnn.arrays import Images

SCALES = (3, 7, 14, 28)
"""Sides of the squares of equal noise, in pixels."""


def start_images(
    n: int,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    scales: Sequence[int] = SCALES,
    weights: Sequence[float] | None = None,
) -> Images:
    """Weighted sums of uniform noise on coarse grids, each image with mean 0 and deviation 1.

    Parameters
    ----------
    n : int >= 1
    shape : (int, int, int)
        Height, width, channels.
    rng : numpy.random.Generator
    scales : sequence of int >= 1
        Sides of the grids' cells in pixels; the cells are blended linearly.
    weights : sequence of float >= 0, one per scale, or None
        None draws new ones for every image, so that large and small patterns dominate by turns.

    Returns
    -------
    ndarray of shape (n, *shape), float32
    """
    sides = [check_integer("scales", side, minimum=1) for side in scales]
    if not sides:
        raise ValueError("scales must have at least one side; got none")
    if weights is None:
        shares = rng.dirichlet(np.ones(len(sides)), n)
    else:
        if len(weights) != len(sides):
            raise ValueError(f"weights must have {len(sides)} numbers; got {len(weights)}")
        shares = np.tile([check_number("weights", w) for w in weights], (n, 1))
    images = np.zeros((n, *shape))
    for share, side in zip(shares.T, sides, strict=True):
        images += share[:, np.newaxis, np.newaxis, np.newaxis] * _noise(n, shape, side, rng)
    return standardized(images)


def standardized(images: NDArray[np.floating]) -> Images:
    """Every image with mean 0 and deviation 1; an image without contrast becomes 0."""
    axes = (1, 2, 3)
    centered = images - images.mean(axis=axes, keepdims=True)
    deviation = centered.std(axis=axes, keepdims=True)
    safe = np.where(deviation > 0, deviation, 1)
    result: Images = (centered / safe).astype(np.float32)
    return result


def _noise(
    n: int, shape: tuple[int, int, int], side: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Uniform noise on cells of `side` pixels, linear between their centers, deviation 1.

    A grid of the image's size alone would be grey all over; it gets a second cell, which makes a
    slope across the image.
    """
    height, width, channels = shape
    rows, columns = _positions(height, side, rng, n), _positions(width, side, rng, n)
    cells = (int(rows.max()) + 2, int(columns.max()) + 2)
    values = rng.uniform(-1, 1, (n, *cells, channels))
    image = np.arange(n)[:, np.newaxis, np.newaxis]
    i, j = rows.astype(int)[:, :, np.newaxis], columns.astype(int)[:, np.newaxis, :]
    u = (rows - np.floor(rows))[:, :, np.newaxis, np.newaxis]
    v = (columns - np.floor(columns))[:, np.newaxis, :, np.newaxis]
    upper = (1 - v) * values[image, i, j] + v * values[image, i, j + 1]
    lower = (1 - v) * values[image, i + 1, j] + v * values[image, i + 1, j + 1]
    blended = (1 - u) * upper + u * lower
    deviation = blended.std(axis=(1, 2, 3), keepdims=True)
    result: NDArray[np.float64] = blended / np.where(deviation > 0, deviation, 1)
    return result


def _positions(n_pixels: int, side: int, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Place of every pixel on a grid of cells with a random shift, (n, n_pixels)."""
    shift = rng.uniform(0, 1, (n, 1))
    return np.asarray(np.arange(n_pixels)[np.newaxis] / side + shift)
