"""Panels of the figures in runs.py: each draws one part of a History on the given axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_integer, shown
from fastmlp.plots.style import BLUE, GREEN, ORANGE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HistoryLike = Mapping[str, Any]
"""A History, or a mapping with the same names, as from ``to_dict()`` or history.json."""

NEEDED = {"costs", "errors", "reg_share", "learning_rates", "batch_accuracy", "epoch_seconds"}
"""Names that exist in every history, even if nothing else was measured."""

LOG_RANGE = 20.0
"""Decrease of the cost, as a factor, above which the axis is logarithmic."""

MOST_MARKERS = 40
"""Maximum number of points of curves drawn with markers."""

SETS = {"train": BLUE, "val": VERMILLION}
"""Colour of each data set, by the prefix of its names in a History."""


def set_names(validation_name: str) -> dict[str, str]:
    """Return the names of the data sets for titles and legends."""
    return {"val": validation_name, "train": "training", "batch": "batch"}


def draw_costs(axis: Axes, history: HistoryLike, legend_loc: Any) -> None:
    """Draw the cost of every mini-batch, and the mean per epoch."""
    means = _draw_per_batch(axis, _values(history, "costs"), BLUE, legend_loc)
    axis.set_ylabel("cost of a mini-batch")
    _choose_scale(axis, _values(history, "costs"))
    axis.set_title(f"Mean cost of a mini-batch: {_course(means)} in {_epochs(history)}")


def draw_set_costs(
    axis: Axes,
    history: HistoryLike,
    sets: list[str],
    legend_loc: Any,
    validation_name: str,
    n_rows: Mapping[str, int] | None,
) -> None:
    """Draw the costs of the full training set, validation set or both, after each epoch."""
    names = set_names(validation_name)
    curves = {
        part: _values(history, f"{part}_cost") / (1 if n_rows is None else n_rows[part])
        for part in sets
    }
    parts = []
    for part, values in curves.items():
        _draw_per_epoch(axis, values, SETS[part], f"{names[part]} set")
        parts.append(f"{names[part]} set {_number(values[-1])}")
    per_row = "" if n_rows is None else " per row"
    axis.set_ylabel(f"cost{per_row}" if per_row else "cost of the full set (a sum)")
    axis.set_title(f"Cost{per_row} after {_epochs(history)}: {', '.join(parts)}")
    _choose_scale(axis, np.concatenate(list(curves.values())))
    axis.legend(loc=legend_loc)


def draw_errors(axis: Axes, history: HistoryLike, legend_loc: Any) -> None:
    """Draw the output error of every mini-batch, and the mean per epoch."""
    means = _draw_per_batch(axis, _values(history, "errors"), GREEN, legend_loc)
    axis.set_ylabel("mean of |y − a| per output")
    _choose_scale(axis, _values(history, "errors"))
    axis.set_title(f"Mean output error: {_course(means)} in {_epochs(history)}")


def draw_reg_share(axis: Axes, history: HistoryLike, legend_loc: Any) -> None:
    """Draw the share of the penalty in the cost of every mini-batch, and the mean per epoch."""
    percent = 100 * _values(history, "reg_share")
    means = _draw_per_batch(axis, percent, ORANGE, legend_loc)
    axis.set_ylim(0, 1.2 * percent.max() or 1.0)  # room for the legend
    axis.set_ylabel("regularization (% of the cost)")
    axis.set_title(f"Regularization is {means[-1]:.1f} % of the cost in epoch {len(means)}")


def draw_accuracy(axis: Axes, history: HistoryLike, legend_loc: Any, validation_name: str) -> None:
    """Draw the training and validation accuracy after each epoch, and the batches' during it."""
    names, shown = set_names(validation_name), []
    batch = _values(history, "batch_accuracy")
    for part, color in SETS.items():
        if measured(history, f"{part}_accuracy"):
            values = _values(history, f"{part}_accuracy")
            _draw_per_epoch(axis, values, color, f"{names[part]} set")
            shown.append(values)
    if not np.isnan(batch).all():
        middles = np.arange(len(batch)) + 0.5
        axis.plot(middles, batch, color=BLUE, lw=1, ls=":", label="batches, during the epoch")
        shown.append(batch)
    axis.set_ylabel("accuracy (fraction correct)")
    axis.set_title(_accuracy_sentence(history, names))
    if shown:
        axis.set_ylim(_accuracy_limits(np.concatenate(shown)))
        axis.legend(loc=legend_loc)


def draw_rate_and_share(axis: Axes, history: HistoryLike) -> None:
    """Draw the learning rate (left axis) and the share of the penalty, if any (right axis)."""
    rates = _values(history, "learning_rates")
    axis.step(np.arange(len(rates) + 1), np.append(rates, rates[-1]), where="post", color=BLUE)
    axis.set_ylim(0, 1.15 * rates.max() or 1.0)
    axis.set_ylabel("learning rate", color=BLUE)
    axis.set_title(f"Learning rate {_number(rates[-1])}")
    shares = 100 * _values(history, "reg_share").mean(axis=1)
    if not shares.any():
        return
    axis.set_title(f"Learning rate {_number(rates[-1])}, regularization {shares[-1]:.1f} %")
    twin = axis.twinx()
    twin.grid(False)
    twin.spines["right"].set_visible(True)
    twin.plot(np.arange(len(shares)) + 0.5, shares, color=VERMILLION, linestyle="--")
    twin.set_ylim(0, 1.15 * np.nanmax(shares))
    twin.set_ylabel("regularization (% of the cost)", color=VERMILLION)


def _draw_per_batch(
    axis: Axes, values: NDArray[np.float64], color: str, legend_loc: Any
) -> NDArray[np.float64]:
    """Draw `values` (n_epochs, n_batches) lightly, and their means per epoch; return the means."""
    n_epochs, n_batches = values.shape
    means: NDArray[np.float64] = values.mean(axis=1)
    x = np.arange(values.size) / n_batches
    axis.plot(x, values.ravel(), color=color, alpha=0.3, linewidth=0.8, label="every mini-batch")
    marker = "o" if n_epochs <= MOST_MARKERS else None
    middles = np.arange(n_epochs) + 0.5
    axis.plot(middles, means, color=color, marker=marker, label="mean of the epoch")
    axis.legend(loc=legend_loc)
    return means


def _draw_per_epoch(axis: Axes, values: NDArray[np.float64], color: str, label: str) -> None:
    """Draw `values` (n_epochs,), which were measured after each epoch."""
    marker = "o" if len(values) <= MOST_MARKERS else None
    axis.plot(np.arange(len(values)) + 1, values, color=color, marker=marker, label=label)


def _choose_scale(axis: Axes, values: NDArray[np.float64]) -> None:
    finite = values[np.isfinite(values)]
    if finite.min() > 0 and finite.max() > LOG_RANGE * finite.min():
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=min(0.0, finite.min()))


def _accuracy_limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return axis limits for the values near the end: five times the median's distance to 1."""
    finite = values[np.isfinite(values)]
    reach = 5 * max(1 - float(np.median(finite)), 0.004)
    bottom = max(float(finite.min()), 1 - reach)
    top = min(1.0, float(finite.max()))
    margin = 0.05 * max(top - bottom, 0.01)
    return bottom - margin, top + margin


def _accuracy_sentence(history: HistoryLike, names: dict[str, str]) -> str:
    """Return a title such as "Accuracy: validation 0.974, training 0.999"."""
    found = {
        name: f"{_values(history, f'{part}_accuracy')[-1]:.3f}"
        for part, name in names.items()
        if measured(history, f"{part}_accuracy")
    }
    if not found:
        return f"Accuracy not measured in {_epochs(history)}"
    if len(found) > 1:
        found.pop("batch", None)
    if len(found) > 1:  # short enough for one of two panels side by side
        return "Accuracy: " + ", ".join(f"{name} {value}" for name, value in found.items())
    ((name, value),) = found.items()
    return f"{name.capitalize()} accuracy {value} after {_epochs(history)}"


def run_title(history: HistoryLike, validation_name: str) -> str:
    """Return a title such as "35 epochs in 3.8 s of training: validation accuracy 0.974"."""
    seconds = _values(history, "epoch_seconds").sum()
    title = _epochs(history)
    if not np.isnan(seconds):
        title += f" in {seconds:.3g} s of training"
    if measured(history, "val_accuracy"):
        title += f": {validation_name} accuracy {_values(history, 'val_accuracy')[-1]:.3f}"
    return title


def _course(means: NDArray[np.float64]) -> str:
    return " → ".join(_number(value) for value in dict.fromkeys((means[0], means[-1])))


def _epochs(history: HistoryLike) -> str:
    n_epochs = len(history["learning_rates"])
    return "1 epoch" if n_epochs == 1 else f"{n_epochs} epochs"


def check_not_empty(history: HistoryLike) -> None:
    """Raise an error unless `history` has the names of a History and a finished epoch."""
    missing = sorted(NEEDED - set(history)) if isinstance(history, Mapping) else sorted(NEEDED)
    if missing:
        raise TypeError(
            f"history must be a History or a mapping with its names; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing in {shown(history)}"
        )
    if len(history["learning_rates"]) == 0:
        raise ValueError("nothing to plot: no finished epoch")


def check_n_rows(n_rows: object) -> dict[str, int] | None:
    """Return the numbers of rows of the sets, or None."""
    if n_rows is None:
        return None
    if not isinstance(n_rows, Mapping) or set(n_rows) != set(SETS):
        raise ValueError(
            f"n_rows must be a mapping with the keys {', '.join(map(repr, SETS))}; got "
            f"{shown(n_rows)}"
        )
    return {part: check_integer(f"n_rows[{part!r}]", n_rows[part], minimum=1) for part in SETS}


def _values(history: HistoryLike, name: str) -> NDArray[np.float64]:
    return np.asarray(history[name], float)  # None, from JSON, becomes NaN


def measured(history: HistoryLike, name: str) -> bool:
    """Return whether `name` was measured in any epoch."""
    return not bool(np.isnan(_values(history, name)).all())


def label_epochs(axis: Axes) -> None:
    """Label the x axis with whole numbers of epochs."""
    axis.locator_params(axis="x", integer=True)
    axis.set_xlabel("epochs of training")


def _number(value: float) -> str:
    """Format with three significant digits, without an exponent if that is readable."""
    return f"{value:.0f}" if 100 <= value < 1e6 else f"{value:.3g}"
