"""Figure of a search: which configurations were trained further, and which ended early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastmlp._checks import check_choice, check_string, shown
from fastmlp.plots.headline import headline, shortened
from fastmlp.plots.style import (
    BLUE,
    ORANGE,
    SILVER,
    VERMILLION,
    FigureSize,
    check_title,
    styled_pyplot,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("bracket", "iter", "candidate", "n_resources")
MEAN = "mean_test_"
FEWEST_LABELS = 8
"""Epochs are labelled where there are at most so many different ones."""


class Course(NamedTuple):
    """A candidate: after how many epochs it had which mean score."""

    candidate: int
    n_epochs: list[int]
    scores: list[float]


def plot_search(
    search: Any,
    *,
    score: str = "score",
    title: str | None = None,
    figsize: FigureSize = (12, 6),
) -> Figure:
    """Plot the scores of all configurations of a search against the epochs they were trained for.

    A line is a configuration: grey if its training ended early, blue if it reached the end of its
    bracket, orange if it is the best of all. Every bracket has a panel. A cross is a failure.

    Parameters
    ----------
    search : fitted SuccessiveHalvingSearch or HyperbandSearch, or its `cv_results_`
    score : str
        Name of the score, if there are several.
    title : str or None
        None for the numbers of the search.
    figsize : (float, float)
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If `search` is not fitted or not such a search, or has no such score.
    ImportError
        If matplotlib is missing.
    """
    table = _table_of(search)
    names = [name.removeprefix(MEAN) for name in table if name.startswith(MEAN)]
    name = check_choice("score", check_string("score", score), names)
    check_title(title)
    brackets = _courses(table, f"{MEAN}{name}")
    best = _best(brackets)
    n_candidates = sum(map(len, brackets))
    with styled_pyplot(figsize) as plt:
        figure, axes = plt.subplots(1, len(brackets), sharey=True, squeeze=False)
        for number, (axis, courses) in enumerate(zip(axes[0], brackets, strict=True)):
            _draw(axis, courses, best)
            if len(brackets) > 1:
                axis.set_title(f"bracket {number}")
            axis.set_xlabel("epochs")
        axes[0, 0].set_ylabel(f"mean {name} over the splits".replace("score score", "score"))
        made = f"{n_candidates} configurations, the best {best.scores[-1]:.4g}"
        headline(figure, shortened(title or made), _finding(brackets))
    return figure  # type: ignore[no-any-return]


def _table_of(search: Any) -> Mapping[str, Any]:
    table = search if isinstance(search, Mapping) else getattr(search, "cv_results_", None)
    if not isinstance(table, Mapping) or not all(name in table for name in COLUMNS):
        raise TypeError(
            "search must be a fitted SuccessiveHalvingSearch or HyperbandSearch, or its "
            f"cv_results_; got {shown(search)}"
        )
    if not len(table["candidate"]):
        raise ValueError("search has no configurations")
    return table


def _courses(table: Mapping[str, Any], column: str) -> list[list[Course]]:
    """Return the courses of the candidates, for every bracket."""
    brackets: dict[int, dict[int, Course]] = {}
    columns = [np.asarray(table[name]).tolist() for name in (*COLUMNS, column)]
    for bracket, _, candidate, n_epochs, mean in zip(*columns, strict=True):
        courses = brackets.setdefault(bracket, {})
        course = courses.setdefault(candidate, Course(candidate, [], []))
        course.n_epochs.append(n_epochs)
        course.scores.append(mean)
    return [list(courses.values()) for _, courses in sorted(brackets.items())]


def _is_last(course: Course, courses: list[Course]) -> bool:
    """Return whether a candidate has reached the last rung of its bracket."""
    return course.n_epochs[-1] == max(other.n_epochs[-1] for other in courses)


def _best(brackets: list[list[Course]]) -> Course:
    ended = [course for courses in brackets for course in courses if _is_last(course, courses)]
    return max(ended, key=lambda course: np.nan_to_num(course.scores[-1], nan=-np.inf))


def _draw(axis: Any, courses: list[Course], best: Course) -> None:
    for course in courses:
        color, order, width = SILVER, 2, 1.0
        if course is best:
            color, order, width = ORANGE, 4, 3.0
        elif _is_last(course, courses):
            color, order, width = BLUE, 3, 2.0
        axis.plot(course.n_epochs, course.scores, "o-", color=color, zorder=order, linewidth=width)
    failed = [(c.n_epochs[i], 0.02) for c in courses for i, s in enumerate(c.scores) if np.isnan(s)]
    if failed:
        where = axis.get_xaxis_transform()
        axis.plot(*zip(*failed, strict=True), "x", color=VERMILLION, transform=where, zorder=5)
    epochs = sorted({n for course in courses for n in course.n_epochs})
    if len(epochs) > 1:
        axis.set_xscale("log")
    if len(epochs) <= FEWEST_LABELS:
        axis.set_xticks(epochs, [str(n) for n in epochs])
        axis.minorticks_off()


def _finding(brackets: list[list[Course]]) -> str:
    """Return how much was trained, and how much without an early end."""
    trained = sum(course.n_epochs[-1] for courses in brackets for course in courses)
    whole = sum(
        max(course.n_epochs[-1] for course in courses) * len(courses) for courses in brackets
    )
    n_last = sum(_is_last(course, courses) for courses in brackets for course in courses)
    return (
        f"{n_last} reached the end (blue; orange: the best), the others were left behind (grey). "
        f"Trained: {trained:,} epochs per split; all to the end: {whole:,}."
    )
