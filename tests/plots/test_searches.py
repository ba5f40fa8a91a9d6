"""The figure of a search, by the lines in its axes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from searches import Grower, X, Y, search

from fastmlp.plots import plot_search
from fastmlp.plots.headline import finding_of, title_of
from fastmlp.plots.style import BLUE, ORANGE, SILVER
from fastmlp.search import HyperbandSearch

STARTS = [0.1, 0.9, 0.3, 0.7, 0.5, 0.2, 0.8, 0.4, 0.6]


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def found():
    return search(Grower(), {"start": STARTS}, n_candidates="all").fit(X, Y)


def lines(axis):
    return {
        (tuple(line.get_xdata()), tuple(np.round(line.get_ydata(), 3))): line.get_color()
        for line in axis.get_lines()
    }


def test_a_line_is_a_configuration_and_its_color_says_how_far_it_came(found):
    figure = plot_search(found)
    (axis,) = figure.axes
    expected = {((1,), (start,)): SILVER for start in (0.1, 0.3, 0.5, 0.2, 0.4, 0.6)}
    expected |= {((1, 3), (start, start)): SILVER for start in (0.7, 0.8)}
    assert lines(axis) == expected | {((1, 3, 9), (0.9, 0.9, 0.9)): ORANGE}
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "3", "9"]
    assert title_of(figure) == "9 configurations, the best 0.9"
    assert "1 reached the end" in finding_of(figure)
    assert "Trained: 21 epochs per split; all to the end: 81." in finding_of(figure)


def test_every_bracket_has_a_panel():
    space = {"start": np.linspace(0, 1, 101).tolist()}
    found = HyperbandSearch(Grower(), space, max_epochs=9, cv=2, random_state=0).fit(X, Y)
    figure = plot_search(found.cv_results_, title="three")
    assert [len(axis.get_lines()) for axis in figure.axes] == [9, 5, 3]
    assert [axis.get_title("left") for axis in figure.axes] == [f"bracket {i}" for i in range(3)]
    colors = [color for axis in figure.axes for color in lines(axis).values()]
    assert colors.count(ORANGE) == 1 and colors.count(BLUE) == 4
    assert title_of(figure) == "three"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_a_failure_is_a_cross():
    space = [{"start": [0.5, 0.4, 0.3]}, {"start": [0.9], "fails_at": [2]}]
    found = search(Grower(), space, n_candidates="all", factor=2, max_epochs=2).fit(X, Y)
    (axis,) = plot_search(found).axes
    assert [line.get_xdata().tolist() for line in axis.get_lines() if line.get_marker() == "x"] == (
        [[2]]
    )


def test_one_of_several_scores_is_drawn():
    found = search(scoring=["accuracy", "neg_log_loss"], refit="accuracy").fit(X, Y)
    (axis,) = plot_search(found, score="neg_log_loss").axes
    assert axis.get_ylabel() == "mean neg_log_loss over the splits"
    assert max(axis.get_lines()[0].get_ydata()) < 0
    with pytest.raises(ValueError, match="score must be one of 'accuracy', 'neg_log_loss'"):
        plot_search(found)


def test_what_is_no_search_is_refused(found):
    for other in (3, search(), {"candidate": [1]}):
        with pytest.raises(TypeError, match="search must be a fitted SuccessiveHalvingSearch"):
            plot_search(other)
    with pytest.raises(ValueError, match="search has no configurations"):
        plot_search({name: [] for name in ("bracket", "iter", "candidate", "n_resources")})
    with pytest.raises(TypeError, match="title must be a string"):
        plot_search(found, title=3)
