"""Figures of a training run, drawn from a History.

Nothing here trains or measures. matplotlib is imported inside the functions, so that fastmlp works
without it; every function makes its figure with pyplot and returns it, open.

Positions on the epoch axis: a batch is drawn at the (fractional) number of epochs completed before
it, the mean over an epoch in the middle of that epoch, values measured after an epoch at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from fastmlp.plots.panels import (
    SETS,
    HistoryLike,
    check_n_rows,
    check_not_empty,
    draw_accuracy,
    draw_costs,
    draw_errors,
    draw_rate_and_share,
    draw_reg_share,
    draw_set_costs,
    label_epochs,
    measured,
    run_title,
)
from fastmlp.plots.style import FigureSize, check_legend_loc, check_title, styled_pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_costs(
    history: HistoryLike,
    *,
    figsize: FigureSize = (12, 8),
    legend_loc: str = "upper right",
    validation_name: str = "validation",
    n_rows: Mapping[str, int] | None = None,
) -> Figure:
    """Plot the cost (loss + penalty) of every mini-batch and its mean per epoch.

    If they were measured, a second panel has the costs of the full training and validation sets.
    These are sums over different numbers of rows, of which only the trend can be compared; with
    `n_rows` they are divided by these numbers. Axes are logarithmic if the values span more than a
    factor of 20.

    Parameters
    ----------
    history : History, or a mapping with its names
    figsize : (float, float)
        Width and height in inches.
    legend_loc : str
        Location of the legends, as matplotlib names it.
    validation_name : str
        What the figure calls the validation set: "test" where the test set was watched.
    n_rows : mapping of str to int, optional
        Numbers of rows of the sets "train" and "val", for costs per row.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If no epoch was finished, or a number of rows is missing or below 1.
    ImportError
        If matplotlib is missing.
    """
    check_not_empty(history)
    sizes = check_n_rows(n_rows)
    sets = [part for part in SETS if measured(history, f"{part}_cost")]
    with styled_pyplot(figsize) as plt:
        legend_loc = check_legend_loc(legend_loc)
        figure, axes = plt.subplots(1 + bool(sets), sharex=True, squeeze=False)
        draw_costs(axes[0, 0], history, legend_loc)
        if sets:
            draw_set_costs(axes[1, 0], history, sets, legend_loc, validation_name, sizes)
        label_epochs(axes[-1, 0])
    return figure  # type: ignore[no-any-return]


def plot_errors(
    history: HistoryLike, *, figsize: FigureSize = (12, 8), legend_loc: str = "upper right"
) -> Figure:
    """Plot the mean output error abs(y - a) of every mini-batch and per epoch.

    Parameters, returned figure and exceptions are the same as in :func:`plot_costs`.
    """
    return _single(draw_errors, history, figsize, legend_loc)


def plot_reg_share(
    history: HistoryLike, *, figsize: FigureSize = (12, 8), legend_loc: str = "upper left"
) -> Figure:
    """Plot the share of the penalty in the cost of every mini-batch and per epoch, in percent.

    Parameters, returned figure and exceptions are the same as in :func:`plot_costs`.
    """
    return _single(draw_reg_share, history, figsize, legend_loc)


def plot_accuracy(
    history: HistoryLike,
    *,
    figsize: FigureSize = (12, 8),
    legend_loc: str = "lower right",
    validation_name: str = "validation",
) -> Figure:
    """Plot the training and validation accuracy after every epoch, and the batches' during it.

    The axis shows the range near the final values; the first epochs may lie below it.
    Parameters, returned figure and exceptions are the same as in :func:`plot_costs`.
    """
    draw = partial(draw_accuracy, validation_name=validation_name)
    return _single(draw, history, figsize, legend_loc)


def plot_run(
    history: HistoryLike,
    *,
    title: str | None = None,
    figsize: FigureSize = (12, 8),
    validation_name: str = "validation",
) -> Figure:
    """Plot a run on one page: cost, accuracy, output error, learning rate and penalty share.

    Parameters
    ----------
    history : History, or a mapping with its names
    title : str or None
        None means a title with the number of epochs, their time and the accuracy.
    figsize : (float, float)
        Width and height in inches.
    validation_name : str
        What the figure calls the validation set: "test" where the test set was watched.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If no epoch was finished.
    ImportError
        If matplotlib is missing.
    """
    check_not_empty(history)
    title = check_title(title)
    with styled_pyplot(figsize) as plt:
        figure, axes = plt.subplots(2, 2, sharex=True)
        draw_costs(axes[0, 0], history, "upper right")
        draw_accuracy(axes[0, 1], history, "best", validation_name)
        draw_errors(axes[1, 0], history, "upper right")
        draw_rate_and_share(axes[1, 1], history)
        for axis in axes[1]:
            label_epochs(axis)
        figure.suptitle(
            run_title(history, validation_name) if title is None else title,
            x=0.01,
            ha="left",
            weight="bold",
            size=1.25 * plt.rcParams["font.size"],
        )
        figure.get_layout_engine().set(hspace=0.06, wspace=0.05)
    return figure  # type: ignore[no-any-return]


def _single(
    draw: Callable[[Any, HistoryLike, str], None],
    history: HistoryLike,
    figsize: FigureSize,
    legend_loc: str,
) -> Figure:
    """Create a figure with one panel."""
    check_not_empty(history)
    with styled_pyplot(figsize) as plt:
        legend_loc = check_legend_loc(legend_loc)
        figure, axis = plt.subplots()
        draw(axis, history, legend_loc)
        label_epochs(axis)
    return figure  # type: ignore[no-any-return]
