"""Titles of one line, and below them what a figure shows in full sentences."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from fastmlp.plots.style import FONT_POINTS_PER_INCH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CHARACTERS = 60
"""Length of a title that fits the width of every figure."""

CAPTION_CHARACTERS = 122
"""Letters in a line of the finding: the font grows with the width of the figure."""

FINDING = "finding"
TOP_INCHES = 0.1
"""Space above the title, and around the panels."""


def headline(figure: Figure, title: str, finding: str) -> None:
    """Write a title of one line above all panels, and below it the main result.

    Parameters
    ----------
    figure : Figure
        With matplotlib's constrained layout.
    title : str
        At most MOST_CHARACTERS long.
    finding : str
        Wrapped to lines; "" for none.

    Raises
    ------
    ValueError
        If the title is longer than MOST_CHARACTERS.
    """
    if len(title) > MOST_CHARACTERS:
        raise ValueError(f"title must have at most {MOST_CHARACTERS} characters; got {title!r}")
    width, height = figure.get_size_inches()
    small = FONT_POINTS_PER_INCH * width
    large, lines = 1.2 * small, textwrap.wrap(finding, CAPTION_CHARACTERS)
    # Empty lines of the title make room for the finding, which the layout does not see.
    figure.suptitle(title + "\n" * len(lines), x=0.01, ha="left", weight="bold", size=large)
    below = 1 - (TOP_INCHES + 1.5 * large / 72) / height
    figure.text(0.01, below, "\n".join(lines), va="top", size=small, gid=FINDING)
    layout: Any = figure.get_layout_engine()
    layout.set(hspace=0.06, wspace=0.05, h_pad=TOP_INCHES)


def shortened(title: str) -> str:
    """Return a title that holds names of any length, cut where it would be too long."""
    return title if len(title) <= MOST_CHARACTERS else f"{title[: MOST_CHARACTERS - 1]}…"


def title_of(figure: Figure) -> str:
    """Return the title of a figure; "" if it has none."""
    return str(figure.get_suptitle()).strip()


def finding_of(figure: Figure) -> str:
    """Return the main result that a figure states, in one line; "" if it has none."""
    found = [text.get_text() for text in figure.texts if text.get_gid() == FINDING]
    return " ".join(" ".join(found).split())
