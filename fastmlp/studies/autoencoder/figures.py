"""Figures of autoencoders: the plane of codes, and rows of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.plots.style import styled_pyplot
from fastmlp.studies.lab.figures import draw_tiles, headline
from fastmlp.studies.lab.packed import unpack
from fastmlp.studies.lab.study import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plain_runs(result: Result) -> list[dict[str, Any]]:
    """The autoencoders without noise that saw all digits, by width."""
    return [r for r in result["runs"] if not r["noisy"] and r["left_out"] is None]


def draw_plane(result: Result) -> Figure:
    """Draw codes of test images in the plane, and what the plane decodes to."""
    run = plain_runs(result)[0]
    points = unpack(run["ranks"])
    labels = np.array(list(result["labels"]), int)
    with styled_pyplot((10.0, 5.6)) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        colors = plt.get_cmap("tab10")
        for digit in range(10):
            own = points[labels == digit]
            left.scatter(*own.T, s=5, color=colors(digit), linewidths=0)
            if len(own):
                left.text(
                    *np.median(own, axis=0), str(digit), weight="bold", size=12, ha="center",
                    va="center", bbox={"boxstyle": "circle,pad=0.15", "fc": "white",
                    "ec": colors(digit), "alpha": 0.85},
                )  # fmt: skip
        left.set_aspect("equal")
        left.set_xlim(0, 1)
        left.set_ylim(0, 1)
        left.set_xlabel("first number of the code (rank)")
        left.set_ylabel("second number (rank)")
        left.set_title(f"{len(labels)} test images")
        tiles = unpack(run["tiles"])
        side, n = round(tiles.shape[1] ** 0.5), round(len(tiles) ** 0.5)
        page = tiles.reshape(n, n, side, side).transpose(0, 2, 1, 3).reshape(n * side, n * side)
        right.imshow(page, cmap="gray_r", vmin=0, vmax=1)
        right.set_axis_off()
        right.set_title("Decoded from the same plane")
        headline(
            figure,
            "Images as two numbers",
            f"Two numbers per image: the ten nearest codes name {run['neighbor_accuracy']:.2f} of "
            f"the test images correctly, with PCA's two {_linear_accuracy(result):.2f}",
        )
    return figure  # type: ignore[no-any-return]


def _linear_accuracy(result: Result) -> float:
    return float(result["linear"][0]["neighbor_accuracy"])


def _draw_rows(
    rows: Sequence[tuple[str, NDArray[np.float64]]], titles: Sequence[str], title: str, text: str
) -> Figure:
    """Rows of images (n, n_pixels) with their names at the left."""
    n = len(rows[0][1])
    with styled_pyplot((8.0, 0.66 * len(rows) + (1.4 if titles else 1.1))) as plt:
        figure, axis = plt.subplots()
        images = np.concatenate([images for _, images in rows])
        names = [name for name, _ in rows]
        draw_tiles(axis, images, n, titles=titles, rows=names, above=0.35 if titles else 0.0)
        axis.set_title("Test images")
        headline(figure, title, text)
    return figure  # type: ignore[no-any-return]


def draw_restored(result: Result) -> Figure:
    """Draw test images, and what remains of them by width of the code."""
    rows = [("original", unpack(result["originals"]))]
    for run, linear in zip(plain_runs(result), result["linear"], strict=True):
        rows.append((f"{run['width']}, PCA", unpack(linear["restored"])))
        rows.append((f"{run['width']} numbers", unpack(run["restored"])))
    first, last = plain_runs(result)[0], plain_runs(result)[-1]
    width = next((x["width"] for x in result["linear"] if x["error"] <= first["error"]), None)
    known = f"PCA needs {width} for less" if width else "PCA needs more than all of these"
    return _draw_rows(
        rows,
        [],
        "Images from few numbers",
        f"An error of {first['error']:.3f} per pixel with {first['width']} numbers ({known}), "
        f"{last['error']:.3f} with {last['width']} (PCA {result['linear'][-1]['error']:.3f})",
    )


def draw_noise(result: Result) -> Figure:
    """Draw noisy images, and what a median filter and the network make of them."""
    run = next(r for r in result["runs"] if r["noisy"])
    names = ("noisy", "median", "network")
    packed = (run["noisy_images"], run["median_images"], run["restored"])
    rows = [
        (f"{n} ({run['errors'][n]:.3f})", unpack(p)) for n, p in zip(names, packed, strict=True)
    ]
    gone = {name: 1 - run["errors"][name] / run["errors"]["noisy"] for name in names}
    return _draw_rows(
        [*rows, ("clean", unpack(result["originals"]))],
        [],
        "Noise taken away",
        f"A network with {run['width']} numbers in the middle takes {gone['network']:.0%} of the "
        f"squared error away, a median filter {gone['median']:.0%}",
    )


def draw_outliers(result: Result) -> Figure:
    """Draw the test images with the largest errors."""
    run = next(r for r in plain_runs(result) if "worst" in r)
    worst = run["worst"]
    titles = [
        f"{label} ({error / run['error']:.1f}×)"
        for label, error in zip(worst["labels"], worst["errors"], strict=True)
    ]
    left_out = [r for r in result["runs"] if r["left_out"] is not None]
    areas = ", ".join(f"the {r['left_out']} {r['area']:.2f}" for r in left_out)
    return _draw_rows(
        [("test image", unpack(worst["images"])), ("given back", unpack(worst["restored"]))],
        titles,
        "The images given back worst",
        "Errors are multiples of the mean; area under the "
        f"ROC curve for a digit that was left out of the training: {areas}",
    )
