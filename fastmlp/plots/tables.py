"""Figures of an ensemble for tables: losses of the members, importances of the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastmlp._checks import check_integer
from fastmlp._types import Array
from fastmlp.plots.style import BLUE, GREY, ORANGE, FigureSize, styled_pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_member_curves(
    histories: Sequence[Mapping[str, Sequence[float]]],
    best_epochs: Sequence[int | None],
    *,
    figsize: FigureSize = (10, 6),
) -> Figure:
    """Plot the training loss of every member, and its loss for held-out rows with the best epoch.

    Parameters
    ----------
    histories : sequence of mappings
        ``loss`` and perhaps ``val_loss`` of every epoch.
    best_epochs : sequence of int or None
        Epochs with the lowest loss of held-out rows, counted from 0.
    figsize : (float, float)
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with styled_pyplot(figsize) as plt:
        figure, ax = plt.subplots()
        for number, (history, best) in enumerate(zip(histories, best_epochs, strict=True)):
            for name, color, label in (
                ("loss", GREY, "training rows"),
                ("val_loss", BLUE, "held-out rows"),
            ):
                values = history.get(name, [])
                if len(values):
                    epochs = np.arange(1, len(values) + 1)
                    ax.plot(epochs, values, color=color, label=label if number == 0 else None)
            if best is not None and "val_loss" in history:
                ax.plot(
                    best + 1,
                    history["val_loss"][best],
                    "o",
                    color=ORANGE,
                    label="best epoch" if number == 0 else None,
                )
        ax.set_xlabel("epochs")
        ax.set_ylabel("loss per row")
        ax.set_title(f"{len(histories)} member{'s' * (len(histories) > 1)}")
        ax.legend()
    result: Figure = figure
    return result


def plot_importances(
    names: Sequence[str],
    importances: Array,
    *,
    n_columns: int = 20,
    figsize: FigureSize | None = None,
) -> Figure:
    """Plot permutation importances, the largest first: a dot per repetition, a bar for the mean.

    Parameters
    ----------
    names : sequence of str
        Of the columns.
    importances : ndarray of shape (n_repeats, n_columns)
        Rise of the loss when a column is shuffled.
    n_columns : int >= 1
        Number of columns shown at most.
    figsize : (float, float) or None
        Width and height in inches; None for a height that fits the columns.

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_integer("n_columns", n_columns, minimum=1)
    mean = importances.mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:n_columns]
    size = (10.0, 1.5 + 0.35 * len(order)) if figsize is None else figsize
    with styled_pyplot(size) as plt:
        figure, ax = plt.subplots()
        places = np.arange(len(order))
        ax.barh(places, mean[order], color=BLUE, height=0.6)
        for repeat in importances[:, order]:
            ax.plot(repeat, places, ".", color=ORANGE)
        ax.set_yticks(places, [names[i] for i in order])
        ax.invert_yaxis()
        ax.axvline(0.0, color=GREY)
        ax.set_xlabel("rise of the loss of held-out rows when the column is shuffled")
    result: Figure = figure
    return result
