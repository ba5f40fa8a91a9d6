"""OIPs, original input patterns: images that maximise the activation of a map.

Gradient ascent on the pixels, in the line of F. Chollet, "Deep Learning with Python" (2017),
section 5.4.2, with other start images and other normalization. For a map m of a layer,

    loss(x)   = mean over the map of its activation for the image x
    x        <- standardize(x + step * g / RMS(g)),   g = dloss/dx

A whole batch of images, each for a map of its own, climbs at once. The step is halved for an image
whose loss has not risen; an image has ended when its step is below `least_step`, or when its loss
has risen by less than `tol` of itself in `patience` steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import check_integer, check_number
from fastmlp.cnn.arrays import Images, check_images
from fastmlp.cnn.backend import library
from fastmlp.cnn.maps.activations import activation_maps, check_map_layer, layer_model
from fastmlp.cnn.maps.oip_starts import SCALES, standardized, start_images
from fastmlp.cnn.network import CNN


@dataclass(frozen=True)
class Ascent:
    """Settings of the gradient ascent of an image.

    Parameters
    ----------
    step : float > 0
        First step, in deviations of the image's pixels.
    max_steps : int >= 1
    patience : int >= 1
    tol : float >= 0
        A fraction of the loss.
    least_step : float > 0
    """

    __module__ = "fastmlp.cnn.maps"  # its public address, which pickles keep when files move

    step: float = 0.2
    max_steps: int = 120
    patience: int = 10
    tol: float = 0.002
    least_step: float = 0.002

    def __post_init__(self) -> None:
        for name in ("step", "least_step"):
            if check_number(name, getattr(self, name)) == 0:
                raise ValueError(f"{name} must be above 0; got 0")
        check_number("tol", self.tol)
        for name in ("max_steps", "patience"):
            check_integer(name, getattr(self, name), minimum=1)


@dataclass(frozen=True, eq=False)
class OIP:
    """The pattern of one map.

    Attributes
    ----------
    map : int
        Counted from 0.
    image : ndarray of shape (height, width, channels), float32
        Standardized.
    activation : float
        Mean activation of the map for the image.
    losses : ndarray of shape (n_steps + 1,)
        The mean activation from the start image on; it never falls.
    """

    __module__ = "fastmlp.cnn.maps"  # its public address, which pickles keep when files move

    map: int
    image: Images
    activation: float
    losses: NDArray[np.float64]

    @property
    def found(self) -> bool:
        """Whether an image was found to which the map responds at all."""
        return self.activation > 0

    @property
    def n_steps(self) -> int:
        """Steps of the ascent."""
        return len(self.losses) - 1


def find_oip(
    cnn: CNN,
    layer: str,
    map: int,
    *,
    n_starts: int = 200,
    n_climbers: int = 4,
    scales: Sequence[int] = SCALES,
    ascent: Ascent | None = None,
    seed: int | None = None,
) -> OIP:
    """Find the pattern of one map of a convolution or pooling by activation maximization.

    Parameters
    ----------
    cnn : CNN
    layer : str
    map : int
        Counted from 0.
    n_starts : int >= 1
        Random start images that are tried.
    n_climbers : int >= 1
        Of these, the ones with the highest activation that climb; the best result counts.
    scales : sequence of int
        Sides of the noise's squares in pixels.
    ascent : Ascent or None
    seed : int or None
    """
    return find_oips(
        cnn,
        layer,
        maps=[map],
        n_starts=n_starts,
        n_climbers=n_climbers,
        scales=scales,
        ascent=ascent,
        seed=seed,
    )[0]


def find_oips(
    cnn: CNN,
    layer: str,
    *,
    maps: Sequence[int] | None = None,
    n_starts: int = 400,
    n_climbers: int = 2,
    scales: Sequence[int] = SCALES,
    ascent: Ascent | None = None,
    seed: int | None = None,
) -> list[OIP]:
    """Find the patterns of many maps of a layer by activation maximization; `maps` None means all.

    The start images are the same for all maps; every map takes those it answers to most. Other
    parameters as in :func:`find_oip`.
    """
    check_map_layer(cnn, layer)
    check_integer("n_climbers", n_climbers, minimum=1)
    check_integer("n_starts", n_starts, minimum=n_climbers)
    chosen = check_maps(cnn, layer, maps)
    rng = np.random.default_rng(seed)
    starts = start_images(n_starts, cnn.config.input_shape, rng, scales)
    answers = mean_activations(cnn, layer, starts)
    best = np.argsort(-answers[:, chosen], axis=0)[:n_climbers].T
    images, losses = climb(
        cnn, layer, starts[best.ravel()], np.repeat(chosen, n_climbers), ascent or Ascent()
    )
    result = []
    for i, number in enumerate(chosen):
        rows = range(i * n_climbers, (i + 1) * n_climbers)
        row = max(rows, key=lambda r: losses[r][-1])
        result.append(OIP(int(number), images[row], float(losses[row][-1]), losses[row]))
    return result


def refine(
    cnn: CNN,
    layer: str,
    map: int,
    image: NDArray[Any],
    *,
    rounds: int = 8,
    step: float = 0.1,
) -> list[Images]:
    """Refine an image step by step towards what a map responds to.

    Parameters
    ----------
    cnn : CNN
    layer : str
        Name of a convolution.
    map : int
        The map, counted from 0.
    image : ndarray of shape (height, width, channels)
        Standardized like the training images.
    rounds : int >= 1
    step : float > 0
        Change per round, in deviations of the image's pixels.

    Returns
    -------
    list of ndarray of shape (height, width, channels)
        The standardized image and its state after every round that raised the activation.
    """
    check_map_layer(cnn, layer)
    (number,) = check_maps(cnn, layer, [map])
    if np.shape(image) != cnn.config.input_shape:
        raise ValueError(f"image must have shape {cnn.config.input_shape}; got {np.shape(image)}")
    given = check_images("image", np.asarray(image)[np.newaxis], cnn.config.input_shape)
    states = [standardized(given)[0]]
    gradient_of = _gradient_function(cnn, layer)
    for _ in range(check_integer("rounds", rounds, minimum=1)):
        once = Ascent(step=step, max_steps=1, least_step=step / 64)
        images, losses = climb(
            cnn, layer, states[-1][np.newaxis], np.array([number]), once, gradient_of
        )
        if losses[0][-1] <= losses[0][0]:
            break
        states.append(images[0])
    return states


def climb(
    cnn: CNN,
    layer: str,
    images: Images,
    maps: NDArray[np.intp],
    ascent: Ascent,
    gradient_of: Any = None,
) -> tuple[Images, list[NDArray[np.float64]]]:
    """Maximise one map's activation for each image; see the head of this file.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, channels), standardized
    maps : ndarray of shape (n,)
    ascent : Ascent
    gradient_of : callable or None
        From an earlier call for this layer, which saves its compilation.

    Returns
    -------
    images : as given, at the end of the ascent
    losses : list of n arrays
        From the start image on.
    """
    gradient_of = gradient_of or _gradient_function(cnn, layer)
    x = images.copy()
    loss, gradient = gradient_of(x, maps)
    courses = [[float(value)] for value in loss]
    steps = np.full(len(x), ascent.step)
    active = _can_climb(gradient)
    for _ in range(ascent.max_steps):
        rows = np.flatnonzero(active)
        if len(rows) == 0:
            break
        tried = standardized(x[rows] + steps[rows, None, None, None] * _unit(gradient[rows]))
        new_loss, new_gradient = gradient_of(tried, maps[rows])
        better = new_loss > loss[rows]
        up, down = rows[better], rows[~better]
        x[up], loss[up], gradient[up] = tried[better], new_loss[better], new_gradient[better]
        steps[down] /= 2
        for row in rows:
            courses[row].append(float(loss[row]))
        active[down] &= steps[down] >= ascent.least_step
        active[up] &= _can_climb(gradient[up])
        for row in up:
            active[row] &= not _stagnates(courses[row], ascent)
    return x, [np.array(course) for course in courses]


def mean_activations(cnn: CNN, layer: str, X: ArrayLike) -> Images:
    """Mean activation of every map of a layer for images: (n, maps)."""
    return np.asarray(activation_maps(cnn, layer, X).mean(axis=(1, 2)))


def format_oips(oips: Sequence[OIP], layer: str) -> str:
    """Format the patterns that were found as a table, the strongest maps first."""
    found = sorted((oip for oip in oips if oip.found), key=lambda oip: -oip.activation)
    missed = [str(oip.map) for oip in oips if not oip.found]
    lines = [
        f"{layer}: patterns for {len(found)} of {len(oips)} maps",
        f"{'map':>5}{'first':>10}{'last':>10}{'steps':>7}",
    ]
    lines += [
        f"{oip.map:>5}{oip.losses[0]:>10.4f}{oip.activation:>10.4f}{oip.n_steps:>7}"
        for oip in found
    ]
    if missed:
        lines.append(f"no start image moved the maps {', '.join(missed)}")
    return "\n".join(lines)


def check_maps(cnn: CNN, layer: str, maps: Sequence[int] | None) -> NDArray[np.intp]:
    """Numbers of maps of a layer; None means all."""
    n_maps = int(cnn.model.get_layer(layer).output.shape[-1])
    if maps is None:
        return np.arange(n_maps)
    return np.array(
        [check_integer("map", number, minimum=0, maximum=n_maps - 1) for number in maps], np.intp
    )


def _gradient_function(cnn: CNN, layer: str) -> Any:
    """A function of images (n, ...) and maps (n,): mean activations (n,) and their gradients."""
    run_on = library()
    compute = run_on.gradient_function(layer_model(cnn, layer), cnn.config.input_shape)

    def gradient_of(x: Images, maps: NDArray[np.intp]) -> tuple[NDArray[np.float64], Images]:
        with run_on.placed(cnn.device):
            return compute(x, maps)

    return gradient_of


def _can_climb(gradient: Images) -> NDArray[np.bool_]:
    """Return which gradients have a direction: relu maps without a response have none."""
    return np.asarray(np.abs(gradient).max(axis=(1, 2, 3)) > 0)


def _unit(gradient: Images) -> Images:
    """Gradients with root mean square 1."""
    rms = np.sqrt((gradient**2).mean(axis=(1, 2, 3), keepdims=True))
    return np.asarray(gradient / np.maximum(rms, np.finfo(np.float32).tiny))


def _stagnates(course: list[float], ascent: Ascent) -> bool:
    if len(course) <= ascent.patience:
        return False
    before, now = course[-1 - ascent.patience], course[-1]
    return now - before < ascent.tol * max(abs(now), 1e-12)
