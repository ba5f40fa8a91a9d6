"""Do two training runs learn the same filters? Their maps, matched by their responses to images.

Maps have no order, so those of one network are permuted until they correlate best with those of
the other: the assignment problem, solved by SciPy. For comparison, the same
matching is done by chance: after the images of one network were shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from fastmlp.cnn.maps.activations import activation_maps
from fastmlp.cnn.network import CNN

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matching:
    """The best pairs of maps of two networks in one layer.

    Attributes
    ----------
    layer : str
    correlations : ndarray of shape (maps of the first, maps of the second)
        Over images and places; 0 for maps that never change.
    partners : ndarray of shape (maps of the first,)
        Map of the second network that belongs to each of the first.
    matched : ndarray of shape (maps of the first,)
        Correlation of each pair.
    by_chance : ndarray of shape (maps of the first,)
        Correlations of the best pairs after the images were mixed up.
    """

    __module__ = "fastmlp.cnn.maps"  # its public address, which pickles keep when files move

    layer: str
    correlations: Matrix
    partners: NDArray[np.intp]
    matched: Matrix
    by_chance: Matrix


def match_maps(
    first: CNN, second: CNN, layer: str, X: ArrayLike, *, seed: int | None = 0
) -> Matching:
    """Match the maps of a layer of two networks of one architecture.

    Parameters
    ----------
    first, second : CNN
    layer : str
        A convolution or pooling of both.
    X : array-like of shape (n, height, width, channels), n >= 2
        Images that both see.
    seed : int or None
        Of the mixing for `by_chance`.
    """
    a = activation_maps(first, layer, X)
    b = activation_maps(second, layer, X)
    if a.shape != b.shape:
        raise ValueError(
            f"both networks must have the same maps in {layer!r}; got {a.shape[1:]} and "
            f"{b.shape[1:]}"
        )
    if len(a) < 2:
        raise ValueError(f"X must have at least 2 images; got {len(a)}")
    correlations = map_correlations(a, b)
    rows, partners = linear_sum_assignment(-correlations)
    mixed = map_correlations(a, b[np.random.default_rng(seed).permutation(len(b))])
    chance = mixed[linear_sum_assignment(-mixed)]
    return Matching(layer, correlations, partners, correlations[rows, partners], chance)


def map_correlations(a: ArrayLike, b: ArrayLike) -> Matrix:
    """Correlation of every map of `a` with every map of `b`, (..., maps) each."""
    columns = [_unit_columns(np.asarray(part, np.float64)) for part in (a, b)]
    return np.asarray(columns[0].T @ columns[1])


def _unit_columns(maps: Matrix) -> Matrix:
    """(images and places, maps), every column with mean 0 and length 1, or 0 if constant."""
    columns = maps.reshape(-1, maps.shape[-1])
    centered = columns - columns.mean(axis=0)
    lengths = np.linalg.norm(centered, axis=0)
    return np.asarray(centered / np.where(lengths > 1e-12 * len(columns), lengths, np.inf))
