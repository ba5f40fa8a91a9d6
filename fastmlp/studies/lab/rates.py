"""Settings that ran at several learning rates: the best rate of each, and the figure by rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.studies.lab.figures import CATEGORIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Runs = Sequence[Mapping[str, Any]]

SHOWN_BELOW_BEST = 0.03
"""Test accuracies more than this below the best are omitted from a figure."""


def finished(runs: Runs, **wanted: Any) -> list[Mapping[str, Any]]:
    """The runs with these values that did not diverge."""
    return [
        run
        for run in runs
        if not run["diverged"] and all(run[name] == value for name, value in wanted.items())
    ]


def best_rate(runs: Runs) -> list[Mapping[str, Any]]:
    """The runs at the rate whose last validation accuracy is the highest, averaged over seeds.

    The smallest of equal ones. The test set has no say in it. Empty if all runs diverged.
    """
    rates = sorted({run["rate"] for run in finished(runs)})
    by_rate = [finished(runs, rate=rate) for rate in rates]

    def ended(own: Runs) -> float:
        return float(np.mean([run["validation_accuracy"][-1] for run in own]))

    return max(by_rate, key=ended, default=[])


def draw_by_rate(axis: Axes, groups: Mapping[str, Runs], rates: Sequence[float]) -> None:
    """Test accuracy by learning rate, one line per group, as mean and range of the seeds."""
    means = []
    for (label, runs), (color, marker) in zip(groups.items(), CATEGORIES, strict=False):
        found = {r: [run["test_accuracy"] for run in finished(runs, rate=r)] for r in rates}
        found = {rate: values for rate, values in found.items() if values}
        y = [float(np.mean(values)) for values in found.values()]
        low, high = ([pick(v) for v in found.values()] for pick in (min, max))
        axis.plot(list(found), y, color=color, marker=marker, label=label)
        axis.fill_between(list(found), low, high, color=color, alpha=0.18, lw=0)
        means += y
    axis.set_xscale("log")
    axis.set_xticks(rates, labels=[f"{rate:g}" for rate in rates])
    axis.set_xticks([], minor=True)
    best = max(means, default=1.0)
    near = [mean for mean in means if mean >= best - SHOWN_BELOW_BEST]
    axis.set_ylim(min(near, default=0.0) - 0.004, best + 0.004)
