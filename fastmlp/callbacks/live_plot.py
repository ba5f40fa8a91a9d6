"""LivePlot: a figure of a run that is updated during training, for MLPs and CNNs."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fastmlp._checks import (
    check_number,
    check_path,
    check_string,
)
from fastmlp._types import StrPath
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training
from fastmlp.files.atomic import refuse_special
from fastmlp.plots.live import Progress, draw_accuracies, draw_costs, draw_rate
from fastmlp.plots.style import FigureSize, import_pyplot, styled_pyplot

CANVASES_THAT_STAY = ("ipympl", "widget", "nbagg", "notebook")
"""Parts of the names of matplotlib backends whose figure is on the page and draws itself again."""


class LivePlot(EpochCallback):
    """Accuracy, cost and learning rate, drawn during training.

    In a notebook the figure updates in place, with matplotlib's inline backend and with
    ipympl. In a terminal nothing is drawn, unless `out` asks for a file. Given to a `Trainer`, an
    estimator, a `MyANN` or a `CNN` in ``callbacks=[LivePlot()]``.

    Parameters
    ----------
    out : path or None
        File of the figure, replaced with every drawing; it is never half written.
    reference : float or None
        A dashed line in the accuracy panel, for example 0.992.
    validation_name : str
        What the figure calls the validation set: "test" where the test set was watched.
    seconds_between : float >= 0
        At most one drawing in this time; the last epoch is always drawn.
    figsize : (float, float)
        Width and height in inches.

    Attributes
    ----------
    progress : Progress
        The numbers that are drawn.
    n_drawn : int
        Drawings so far.

    Raises
    ------
    ImportError, OSError
        Before the run, if a figure is wanted and matplotlib or the folder is missing, or `out` is
        no regular file.
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(
        self,
        *,
        out: StrPath | None = None,
        reference: float | None = None,
        validation_name: str = "validation",
        seconds_between: float = 0.4,
        figsize: FigureSize = (14, 4.5),
    ) -> None:
        self.out = None if out is None else Path(check_path("out", out))
        self.reference = (
            None if reference is None else check_number("reference", reference, maximum=1.0)
        )
        self.validation_name = check_string("validation_name", validation_name)
        self.seconds_between = check_number("seconds_between", seconds_between)
        self.figsize = figsize
        self._figure: Any = None
        self._handle: Any = None
        self._begin()

    def before_training(self, training: Training) -> None:
        """Begin a new figure; raise here if it could not be drawn."""
        if self.out is not None and not self.out.parent.is_dir():
            raise FileNotFoundError(f"out must lie in a folder that exists; got {self.out}")
        if self.out is not None:
            refuse_special(self.out)
        if self.out is not None or notebook_shell() is not None:
            import_pyplot()
        self._begin()

    def after_epoch(self, training: Training) -> None:
        """Add the epoch; draw, unless that was done a moment ago."""
        self._note(training)
        if time.monotonic() - self._drawn_at >= self.seconds_between:
            self._draw()

    def after_training(self, training: Training) -> None:
        """Draw the last epoch, and close the figure if it does not stay on the page."""
        if self.progress.n_epochs > self._epochs_drawn:
            self._draw()
        if self._figure is not None and not self._stays:
            from matplotlib import pyplot as plt

            plt.close(self._figure)
            self._figure = None

    def settings(self) -> None:
        """Return None: it has no influence on the run."""

    def state(self) -> Mapping[str, Any]:
        """Return what has been drawn so far."""
        return {"numbers": partial(self.progress.first, self.progress.n_epochs)}

    def restore(self, training: Training, state: Mapping[str, Any]) -> None:
        """Continue with what was drawn before."""
        for column, numbers in zip(self.progress.columns, state["numbers"], strict=True):
            column[:] = numbers.tolist()

    def _begin(self) -> None:
        self.progress = Progress(validation_name=self.validation_name)
        self.n_drawn = self._epochs_drawn = 0
        self._drawn_at = -math.inf
        self._figure = self._handle = None
        self._stays = False

    def _note(self, training: Training) -> None:
        """Take the last epoch's numbers from `training.metrics` or `trainer.history`."""
        numbers = {**_from_history(training), **training.metrics}
        progress = self.progress
        progress.train_accuracy.append(
            _first(numbers, "train_accuracy", "accuracy", "batch_accuracy")
        )
        progress.val_accuracy.append(_first(numbers, "val_accuracy", "val_score"))
        progress.train_cost.append(_first(numbers, "train_cost", "cost", "loss"))
        progress.val_cost.append(_first(numbers, "val_cost", "val_loss"))
        progress.rate.append(_first(numbers, "learning_rate", "learning_rates"))

    def _draw(self) -> None:
        """Draw all panels and show or write them, if there is somewhere to show them."""
        shell = notebook_shell()
        if shell is None and self.out is None:
            return
        # An interactive figure would be shown by ipympl once more, by itself.
        with styled_pyplot(self.figsize) as plt, plt.rc_context({"interactive": False}):
            if self._figure is None:
                self._stays = shell is not None and any(
                    part in plt.get_backend().lower() for part in CANVASES_THAT_STAY
                )
                self._figure, self._axes = plt.subplots(1, 3)
            draw_accuracies(self._axes[0], self.progress, self.reference)
            draw_costs(self._axes[1], self.progress)
            draw_rate(self._axes[2], self.progress)
            if shell is not None:
                self._show()
            if self.out is not None:
                self._write(self.out)
        self.n_drawn += 1
        self._epochs_drawn = self.progress.n_epochs
        self._drawn_at = time.monotonic()

    def _show(self) -> None:
        """Show the figure, or update the one that is shown."""
        if self._stays:
            if self.n_drawn == 0:
                self._figure.show()
            self._figure.canvas.draw_idle()
            self._figure.canvas.flush_events()
            return
        from IPython import display

        show: Any = display.display
        if self._handle is None:
            self._handle = show(self._figure, display_id=True)
        else:
            self._handle.update(self._figure)

    def _write(self, path: Path) -> None:
        part = path.with_name(f".{path.stem}.part{path.suffix or '.png'}")
        self._figure.savefig(part, dpi=100)
        os.replace(part, path)


def notebook_shell() -> Any:
    """The IPython shell of a Jupyter kernel, or None in a terminal and in plain Python."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None


def _from_history(training: Training) -> dict[str, float]:
    """Return the values of a history's last epoch, averaged over the batches."""
    history = training.history
    if not history.n_epochs:
        return {}
    names = (
        "batch_accuracy",
        "train_accuracy",
        "val_accuracy",
        "train_cost",
        "val_cost",
        "learning_rates",
    )
    return {"cost": history.last_mean("costs"), **{name: history.last(name) for name in names}}


def _first(numbers: dict[str, float], *names: str) -> float:
    """The first of the names that was measured, or NaN."""
    for name in names:
        value = float(numbers.get(name, math.nan))
        if not math.isnan(value):
            return value
    return math.nan
