"""Live figure of a training run: accuracy, cost and learning rate so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastmlp.plots.style import BLUE, GREEN, ORANGE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_RANGE = 20.0
"""Factor between costs above which the axis is logarithmic."""

STYLES = {"train": (GREEN, "o", "-"), "val": (VERMILLION, "s", "-.")}
"""Colour, marker and line style of the two sets, distinguishable without colors too."""


@dataclass
class Progress:
    """Measurements after each finished epoch; NaN for values that were not measured.

    Attributes
    ----------
    train_accuracy, val_accuracy, train_cost, val_cost, rate : list of float
    train_name, validation_name : str
        Names of the two sets in the legend.
    """

    train_accuracy: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    train_cost: list[float] = field(default_factory=list)
    val_cost: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    train_name: str = "training"
    validation_name: str = "validation"

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.rate)

    @property
    def columns(self) -> list[list[float]]:
        """Return the five lists."""
        return [self.train_accuracy, self.val_accuracy, self.train_cost, self.val_cost, self.rate]

    def first(self, n_epochs: int) -> NDArray[np.float64]:
        """Return the values of the first epochs, (5, n_epochs)."""
        return np.array([column[:n_epochs] for column in self.columns], np.float64)


def draw_accuracies(axis: Axes, progress: Progress, reference: float | None) -> None:
    """Draw the accuracy of both sets, and a dashed line at `reference`."""
    axis.clear()
    shown = _draw_both(axis, progress, progress.train_accuracy, progress.val_accuracy)
    if reference is not None:
        axis.axhline(reference, color=BLUE, linestyle="--", label=f"reference {reference:g}")
        shown = np.append(shown, reference)
    if len(shown):
        bottom = max(shown.min(), 1 - 5 * max(1 - float(np.median(shown)), 0.004))
        top = min(float(shown.max()), 1.0)
        margin = 0.08 * max(top - bottom, 0.01)
        axis.set_ylim(bottom - margin, top + margin)
        axis.legend(loc="lower right")
    axis.set_ylabel("accuracy (fraction correct)")
    axis.set_xlabel("epochs of training")
    axis.set_title(_sentence(progress))


def draw_costs(axis: Axes, progress: Progress) -> None:
    """Draw the cost of both sets."""
    axis.clear()
    shown = _draw_both(axis, progress, progress.train_cost, progress.val_cost)
    if len(shown):
        if shown.min() > 0 and shown.max() > LOG_RANGE * shown.min():
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        axis.legend(loc="upper right")
    validation = _last(progress.val_cost)
    name, value = (
        (progress.train_name, _last(progress.train_cost))
        if np.isnan(validation)
        else (progress.validation_name, validation)
    )
    axis.set_ylabel("cost (loss + penalty)")
    axis.set_xlabel("epochs of training")
    axis.set_title(f"Cost, {name}: {value:.3g}")


def draw_rate(axis: Axes, progress: Progress) -> None:
    """Draw the learning rate of every epoch."""
    axis.clear()
    axis.plot(_epochs(progress.rate), progress.rate, color=ORANGE, marker=_marker(progress, "o"))
    axis.locator_params(axis="x", integer=True)
    rates = np.array(progress.rate)
    if rates.min() > 0 and rates.max() > LOG_RANGE * rates.min():
        axis.set_yscale("log")
    else:
        axis.set_ylim(0, 1.15 * rates.max() or 1.0)
    axis.set_ylabel("learning rate")
    axis.set_xlabel("epochs of training")
    axis.set_title(f"Learning rate {rates[-1]:.3g}")


def _draw_both(
    axis: Axes, progress: Progress, train: Sequence[float], validation: Sequence[float]
) -> NDArray[np.float64]:
    """Draw the curves of both sets; return the finite values."""
    names = {"train": progress.train_name, "val": progress.validation_name}
    for part, values in (("train", train), ("val", validation)):
        if np.isfinite(values).any():
            color, marker, line = STYLES[part]
            axis.plot(
                _epochs(values),
                values,
                color=color,
                linestyle=line,
                label=names[part],
                marker=_marker(progress, marker),
            )
    axis.locator_params(axis="x", integer=True)
    axis.grid(True)
    both = np.array([*train, *validation], float)
    finite: NDArray[np.float64] = both[np.isfinite(both)]
    return finite


def _epochs(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _marker(progress: Progress, marker: str) -> str | None:
    return marker if progress.n_epochs <= 40 else None


def _last(values: Sequence[float]) -> float:
    return values[-1] if values else float("nan")


def _sentence(progress: Progress) -> str:
    """Return a title such as "Epoch 5: test accuracy 0.9893, best 0.9901 in epoch 4"."""
    validation = np.array(progress.val_accuracy, float)
    if np.isfinite(validation).any():
        name, values = progress.validation_name, validation
    else:
        name, values = progress.train_name, np.array(progress.train_accuracy, float)
    if not np.isfinite(values).any():
        return f"Epoch {progress.n_epochs}"
    best = int(np.nanargmax(values))
    text = f"Epoch {progress.n_epochs}: {name} accuracy {values[-1]:.4f}"
    if best != len(values) - 1:
        text += f"\nbest {values[best]:.4f} in epoch {best + 1}"
    return text
