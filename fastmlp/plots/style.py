"""Style of all figures: colors, fonts, and the import of matplotlib.

The colors are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which color-blind
readers can distinguish. Fonts scale with the width of a figure, so that letters are about 12 pixels
high in a figure shown 800 pixels wide, whatever its size in inches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastmlp._checks import check_choice, check_figsize, check_string

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
INK, GREY, SILVER, PALE = "#333333", "#777777", "#BBBBBB", "#D9D9D9"

CATEGORIES = (
    (BLUE, "o"),
    (ORANGE, "s"),
    (GREEN, "^"),
    (VERMILLION, "D"),
    (PURPLE, "v"),
    (SKY, "P"),
    (INK, "X"),
    (GREY, "*"),
)
"""Colours and markers for unordered items, distinguishable by either."""

FONT_POINTS_PER_INCH = 1.1
"""Font size in points per inch of figure width: 1.1 / 72 * 800 = 12 pixels of 800."""

FigureSize = tuple[float, float]


def import_pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or raise ImportError with the command that installs it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'figures need matplotlib: pip install "fastmlp[plots]"', name=error.name
        ) from error
    return plt


@contextmanager
def styled_pyplot(figsize: FigureSize) -> Iterator[Any]:
    """Yield ``matplotlib.pyplot``; figures created in the block have the package's style.

    Parameters
    ----------
    figsize : (float, float)
        Width and height in inches of the figures to be made.

    Raises
    ------
    ValueError, TypeError
        If the size is not two positive numbers.
    ImportError
        If matplotlib is missing, with the command that installs it.
    """
    figsize = check_figsize("figsize", figsize)
    plt = import_pyplot()
    points = max(7.0, FONT_POINTS_PER_INCH * figsize[0])
    rc: dict[str, Any] = {
        "figure.figsize": figsize,
        "figure.constrained_layout.use": True,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlesize": points,
        "axes.titlecolor": INK,
        "axes.titlepad": 0.8 * points,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.xmargin": 0.02,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.8,
        "font.size": points,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "lines.linewidth": 2.0,
        "lines.markersize": 0.45 * points,
        "legend.frameon": True,
        "legend.framealpha": 0.9,
        "legend.edgecolor": PALE,
        "legend.fontsize": 0.9 * points,
    }
    with plt.style.context(["default", rc]):
        yield plt


def check_legend_loc(legend_loc: str) -> str:
    """Return `legend_loc`, which must be one of matplotlib's legend locations."""
    from matplotlib.legend import Legend

    return check_choice("legend_loc", legend_loc, Legend.codes)


def check_title(title: str | None) -> str | None:
    """Return the title of a figure; None stays None."""
    return None if title is None else check_string("title", title)
