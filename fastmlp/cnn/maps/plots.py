"""Figures of the responses of a CNN's layers, drawn from precomputed numbers.

matplotlib is imported inside the functions; every function makes its figure with pyplot and
returns it, open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import check_same_length
from fastmlp.cnn.maps.activations import answering_maps, clear_nodes
from fastmlp.cnn.maps.matching import Matching
from fastmlp.cnn.maps.mosaic import (
    ANSWERS,
    SIGNED,
    columns_for,
    draw_labelled_tiles,
    draw_numbered_grid,
)
from fastmlp.cnn.maps.oip import OIP
from fastmlp.plots.headline import headline, shortened
from fastmlp.plots.style import BLUE, ORANGE, FigureSize, styled_pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_activation_maps(
    maps: ArrayLike,
    images: ArrayLike,
    labels: Sequence[Any],
    layer: str,
    *,
    field: tuple[int, int] | None = None,
    figsize: FigureSize | None = None,
) -> Figure:
    """All maps of a layer for one or more images, side by side on numbered grids.

    The number of a map is that at the left of its row plus that over its column. One color scale
    for all images.

    Parameters
    ----------
    maps : array-like of shape (n, height, width, n_maps)
        From :func:`fastmlp.cnn.maps.activation_maps`.
    images : array-like of shape (n, image height, image width) or (..., 1)
        The images, drawn over the grids.
    labels : sequence of length n
        What each image shows.
    layer : str
    field : (int, int) or None
        Receptive field of a node in pixels, for the title.
    figsize : (float, float) or None
        Width and height in inches.
    """
    values, grey = np.asarray(maps, float), _grey(images)
    if values.ndim != 4 or len(values) == 0:
        raise ValueError(f"maps must have shape (n, height, width, maps); got {values.shape}")
    check_same_length("maps", len(values), "images", len(grey))
    check_same_length("maps", len(values), "labels", len(labels))
    n, n_maps = len(values), values.shape[-1]
    n_columns = columns_for(n_maps, 1.0)
    limits = min(0.0, float(values.min())), float(np.percentile(values, 99.8)) or 1.0
    with styled_pyplot(figsize or (min(5.0 * n, 15) + 1, 8 if n < 3 else 7.2)) as plt:
        figure, axes = plt.subplots(2, n, height_ratios=[1, 4.2], squeeze=False)
        for i in range(n):
            axes[0, i].imshow(grey[i], cmap="gray_r")
            axes[0, i].set_axis_off()
            axes[0, i].set_title(f"shows {labels[i]}", loc="center", weight="normal")
            shown = draw_numbered_grid(
                axes[1, i], np.moveaxis(values[i], -1, 0), n_columns, cmap=ANSWERS, limits=limits
            )
        figure.colorbar(shown, ax=list(axes[1]), shrink=0.8, label="activation")
        headline(figure, *_maps_sentences(values, layer, field))
    return figure  # type: ignore[no-any-return]


def plot_filters(
    kernels: ArrayLike, layer: str, *, channel: int = 0, figsize: FigureSize = (10, 8)
) -> Figure:
    """The kernels of a convolution for one of the maps before it, on a numbered grid.

    Parameters
    ----------
    kernels : array-like of shape (height, width, maps before, maps)
        From :func:`fastmlp.cnn.maps.filters`.
    layer : str
        Name of the convolution, for the title.
    channel : int
        The map before, counted from 0.
    figsize : (float, float)
        Width and height in inches.
    """
    weights = np.asarray(kernels, float)
    if weights.ndim != 4 or not 0 <= channel < weights.shape[2]:
        raise ValueError(
            "kernels must have shape (height, width, maps before, maps) and channel a map before; "
            f"got {weights.shape} and {channel}"
        )
    tiles = np.moveaxis(weights[:, :, channel], -1, 0)
    size = float(np.abs(tiles).max()) or 1.0
    with styled_pyplot(figsize) as plt:
        figure, axis = plt.subplots()
        shown = draw_numbered_grid(
            axis, tiles, columns_for(len(tiles), 1.3), cmap=SIGNED, limits=(-size, size)
        )
        figure.colorbar(shown, ax=axis, shrink=0.8, label="weight")
        one_sign = int((np.sign(tiles) == np.sign(tiles[:, :1, :1])).all(axis=(1, 2)).sum())
        before = "" if weights.shape[2] == 1 else f" For map {channel} of the layer before."
        add_up = "adds up or subtracts" if one_sign == 1 else "add up or subtract"
        headline(
            figure,
            shortened(f"{layer}: {len(tiles)} filters"),
            f"{len(tiles) - one_sign} of {len(tiles)} weigh one side against another, {one_sign} "
            f"only {add_up}.{before}",
        )
    return figure  # type: ignore[no-any-return]


def plot_class_activations(
    means: ArrayLike, layer: str, *, figsize: FigureSize = (13, 6)
) -> Figure:
    """Mean activation of a dense layer's nodes by class, nodes sorted by their favorite class.

    Parameters
    ----------
    means : array-like of shape (n_classes, nodes)
        From :func:`fastmlp.cnn.maps.class_activations`.
    layer : str
        Name of the dense layer, for the title.
    figsize : (float, float)
        Width and height in inches.
    """
    values = np.asarray(means, float)
    if values.ndim != 2 or np.isnan(values).all():
        raise ValueError(f"means must have shape (n_classes, nodes); got {values.shape}")
    filled = np.where(np.isnan(values), -np.inf, values)
    favorite = filled.argmax(axis=0)
    order = np.lexsort((-filled.max(axis=0), favorite))
    with styled_pyplot(figsize) as plt:
        figure, axis = plt.subplots()
        shown = axis.imshow(values[:, order], cmap=ANSWERS, aspect="auto", interpolation="nearest")
        axis.grid(False)
        axis.set_yticks(range(len(values)))
        axis.set_ylabel("class of the images")
        every = max(1, -(-len(order) // 24))
        ticks = range(0, len(order), every)
        axis.set_xticks(ticks, [str(order[i]) for i in ticks], rotation=90 if every == 1 else 0)
        axis.set_xlabel(f"node of {layer}, sorted by the class it answers to most")
        figure.colorbar(shown, ax=axis, label="mean activation", pad=0.01)
        clear, dead = clear_nodes(values), int((filled.max(axis=0) <= 0).sum())
        silent = f"; {dead} never answer" if dead else ""
        headline(
            figure,
            shortened(f"{layer}: mean activations by class"),
            f"{clear} of {len(order)} nodes answer more than twice as much to one class as to any "
            f"other{silent}.",
        )
    return figure  # type: ignore[no-any-return]


def plot_oips(oips: Sequence[OIP], layer: str, *, figsize: FigureSize | None = None) -> Figure:
    """Plot the patterns of many maps, each with its map's number; grey where none was found."""
    if not oips:
        raise ValueError("nothing to plot: no patterns")
    tiles = np.stack([_grey(oip.image[np.newaxis])[0] for oip in oips])
    tiles[[not oip.found for oip in oips]] = 0
    n_columns = columns_for(len(oips), 1.3)
    n_rows = -(-len(oips) // n_columns)
    size = figsize or (12.0, 1.2 + 11.6 / n_columns * 1.25 * n_rows)
    with styled_pyplot(size) as plt:
        plt.rcParams["font.size"] = min(plt.rcParams["font.size"], 90 / n_columns + 2)
        figure, axis = plt.subplots()
        draw_labelled_tiles(axis, tiles, [str(oip.map) for oip in oips], n_columns, cmap="gray_r")
        n_found = sum(oip.found for oip in oips)
        title = f"{layer}: patterns found for {n_found} of {len(oips)} maps"
        headline(figure, shortened(title), "")
    return figure  # type: ignore[no-any-return]


def plot_oip(oip: OIP, layer: str, *, figsize: FigureSize = (11, 5)) -> Figure:
    """Plot one pattern and the activations during its ascent."""
    with styled_pyplot(figsize) as plt:
        figure, (left, right) = plt.subplots(1, 2, width_ratios=[1, 1.5])
        left.imshow(_grey(oip.image[np.newaxis])[0], cmap="gray_r")
        left.set_axis_off()
        right.plot(oip.losses, color=BLUE)
        right.set_xlabel("step of the ascent")
        right.set_ylabel("mean activation of the map")
        right.set_ylim(bottom=min(0.0, float(oip.losses.min())))
        course = f"from {oip.losses[0]:.2f} to {oip.activation:.2f} in {oip.n_steps} steps"
        headline(figure, shortened(f"{layer}, map {oip.map}: {course}"), "")
    return figure  # type: ignore[no-any-return]


def plot_refinement(
    states: Sequence[NDArray[Any]],
    layer: str,
    map: int,
    *,
    answers: Sequence[float] | None = None,
    figsize: FigureSize = (12, 2.9),
) -> Figure:
    """Plot an image and its states after every round of `refine`.

    Parameters
    ----------
    states : sequence of ndarray of shape (height, width, channels)
        From :func:`fastmlp.cnn.maps.refine`.
    layer : str
    map : int
    answers : sequence of float, as many as states, or None
        Mean activations of the map, from :func:`fastmlp.cnn.maps.mean_activations`.
    figsize : (float, float)
        Width and height in inches.
    """
    if not states:
        raise ValueError("nothing to plot: no images")
    tiles = np.stack([_grey(state[np.newaxis])[0] for state in states])
    labels = ["given", *(f"round {i}" for i in range(1, len(states)))]
    with styled_pyplot(figsize) as plt:
        figure, axis = plt.subplots()
        draw_labelled_tiles(axis, tiles, labels, min(len(tiles), 9), cmap="gray_r")
        title = shortened(f"{layer}, map {map}: refined")
        headline(figure, title, _refinement_sentence(states, answers))
    return figure  # type: ignore[no-any-return]


def plot_matching(matching: Matching, *, figsize: FigureSize = (12, 6)) -> Figure:
    """Plot the correlations of matched maps and of random pairs, and the reordered matrix."""
    order = np.argsort(-matching.matched)
    n = len(order)
    with styled_pyplot(figsize) as plt:
        figure, (left, right) = plt.subplots(1, 2, width_ratios=[1.1, 1])
        left.plot(range(1, n + 1), matching.matched[order], color=BLUE, label="two trainings")
        left.plot(
            range(1, n + 1),
            np.sort(matching.by_chance)[::-1],
            color=ORANGE,
            linestyle="--",
            label="images mixed up (chance)",
        )
        left.set_ylim(min(0.0, float(matching.matched.min())) - 0.02, 1.02)
        left.set_xlabel("pairs of maps, best first")
        left.set_ylabel("correlation of their answers")
        left.legend(loc="upper right")
        ordered = matching.correlations[order][:, matching.partners[order]]
        shown = right.imshow(ordered, cmap=SIGNED, vmin=-1, vmax=1, interpolation="nearest")
        right.grid(False)
        right.set_xlabel("maps of the second training, matched")
        right.set_ylabel("maps of the first")
        figure.colorbar(shown, ax=right, shrink=0.8, label="correlation")
        close = int((matching.matched > 0.9).sum())
        headline(
            figure,
            shortened(f"{matching.layer}: {close} of {n} maps have a twin above 0.9"),
            "Correlation with the most similar map of another training: median "
            f"{np.median(matching.matched):.2f}, by chance {np.median(matching.by_chance):.2f}.",
        )
    return figure  # type: ignore[no-any-return]


def plot_receptive_field(
    image: ArrayLike, window: tuple[slice, slice], title: str, *, figsize: FigureSize = (6, 6.4)
) -> Figure:
    """An image with a frame around the pixels that one node sees."""
    grey = _grey(np.asarray(image)[np.newaxis])[0]
    rows, columns = window
    with styled_pyplot(figsize) as plt:
        from matplotlib.patches import Rectangle

        figure, axis = plt.subplots()
        axis.imshow(grey, cmap="gray_r")
        axis.grid(False)
        axis.add_patch(
            Rectangle(
                (columns.start - 0.5, rows.start - 0.5),
                columns.stop - columns.start,
                rows.stop - rows.start,
                fill=False,
                edgecolor=BLUE,
                linewidth=3,
            )
        )
        axis.set_title(title)
    return figure  # type: ignore[no-any-return]


def _maps_sentences(
    values: NDArray[Any], layer: str, field: tuple[int, int] | None
) -> tuple[str, str]:
    """Return a title such as "Conv2D_3: 41 of 64 maps answer to all 3 images", and a caption."""
    n, n_maps = len(values), values.shape[-1]
    every, none = answering_maps(values)
    if n == 1:
        title, parts = f"{layer}: {every} of {n_maps} maps answer to this image", []
    else:
        title = f"{layer}: {every} of {n_maps} maps answer to all {n} images"
        parts = [f"{none} answer{'s' if none == 1 else ''} to none of them."] if none else []
    if field is not None:
        parts.append(f"A node sees {field[0]} x {field[1]} pixels.")
    return shortened(title), " ".join(parts)


def _refinement_sentence(states: Sequence[NDArray[Any]], answers: Sequence[float] | None) -> str:
    """Return a caption such as "8 rounds raised its answer from 0.50 to 1.62"."""
    if len(states) == 1:
        return "No small change of this image raises its answer."
    if answers is not None:
        check_same_length("answers", len(answers), "states", len(states))
        raised = f"raised its answer from {answers[0]:.2f} to {answers[-1]:.2f}, and "
    change = float(np.sqrt(((states[-1] - states[0]) ** 2).mean()))
    return (
        f"{len(states) - 1} rounds {'' if answers is None else raised}"
        f"changed the image by {change:.2f} deviations."
    )


def _grey(images: ArrayLike) -> NDArray[np.float64]:
    """(n, height, width) from that, or from (n, height, width, channels) by the mean."""
    pixels = np.asarray(images, float)
    return pixels.mean(axis=-1) if pixels.ndim == 4 else pixels
