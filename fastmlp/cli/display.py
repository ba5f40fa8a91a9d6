"""The progress of a training run: plain lines, or a live table where rich can draw one."""

from __future__ import annotations

import math
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from shutil import get_terminal_size
from typing import Any, TextIO

from fastmlp._terminal import RowPrinter, rich_console
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import RecordedEpochs, Training

COLUMNS = ("epoch", "seconds", "rate", "cost", "reg.", "error", "train acc.", "val. acc.")
WIDTHS = (9, 8, 10, 9, 7, 8, 11, 10)
"""Widths of the columns in characters, with the space before each."""

BY_IMPORTANCE = (0, 7, 6, 3, 5, 2, 1, 4)
"""Positions in COLUMNS, in the order in which narrow terminals get them."""

RECENT_EPOCHS = 10
"""Rows of the live table."""

ROOM_BESIDE_BAR = 20
"""Characters in the line of the progress bar besides it and the numbers of epochs."""

SECONDS_BETWEEN_FRAMES = 0.1
"""Short epochs share a frame of the live table; drawing would take longer than training."""


@dataclass(frozen=True)
class EpochRow:
    """The last finished epoch as strings, in the order of COLUMNS.

    Cost, share of the penalty in it and error are means over the epoch's mini-batches; so is the
    training accuracy where the training rows are not measured after the epoch. What there is not is
    a dash.
    """

    epoch: str
    seconds: str
    rate: str
    cost: str
    reg_share: str
    error: str
    train_accuracy: str
    validation_accuracy: str

    @classmethod
    def of(cls, history: RecordedEpochs, n_epochs: int) -> EpochRow:
        """Return the row of the last epoch of `history`; `n_epochs` are planned."""
        train, validation = history.last("train_accuracy"), history.last("val_accuracy")
        if math.isnan(train):
            train = history.last("batch_accuracy")
        return cls(
            f"{history.n_epochs}/{n_epochs}",
            f"{history.last('epoch_seconds'):.4f}",
            f"{history.last('learning_rates'):.4g}",
            f"{history.last_mean('costs'):.5g}",
            f"{history.last_mean('reg_share'):.1%}",
            f"{history.last_mean('errors'):.5f}",
            f"{train:.4f}",
            "-" if math.isnan(validation) else f"{validation:.4f}",
        )


def line_width(stream: TextIO) -> int | None:
    """Return the characters in a line of `stream`: of a terminal, or as COLUMNS says; or None."""
    is_set = os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) > 0
    return get_terminal_size().columns if is_set or stream.isatty() else None


def fitting_columns(width: int | None) -> list[int]:
    """Return the positions in COLUMNS of those that fit into lines of `width` characters."""
    chosen, left = [], sum(WIDTHS) if width is None else width
    for i in BY_IMPORTANCE:
        if i == 0 or WIDTHS[i] <= left:
            chosen.append(i)
            left -= WIDTHS[i]
    return sorted(chosen)


class Display(EpochCallback, ABC):
    """A callback that shows the epochs of a run.

    Parameters
    ----------
    n_epochs : int
        Planned epochs.
    width : int or None
        Characters in a line; None for all columns.

    Attributes
    ----------
    n_shown : int
        Epochs of this run, without those of a checkpoint that it resumed.
    best : (float, int) or None
        Highest validation accuracy of these epochs, and the number of its epoch from 1.
    """

    def __init__(self, n_epochs: int, width: int | None = None) -> None:
        self.n_epochs = n_epochs
        self.columns = fitting_columns(width)
        self.best: tuple[float, int] | None = None
        self.n_shown = 0

    def cells(self, row: Sequence[str]) -> list[str]:
        """Return the cells of a row, or the names or widths of COLUMNS, that are shown."""
        return [row[i] for i in self.columns]

    def settings(self) -> None:
        """Return None: what is shown has no influence on the run."""

    def after_epoch(self, training: Training) -> None:
        """Show the epoch."""
        self.n_shown += 1
        history = training.history
        accuracy = history.last("val_accuracy")
        if not math.isnan(accuracy) and (self.best is None or accuracy > self.best[0]):
            self.best = accuracy, history.n_epochs
        self.update(history)

    @abstractmethod
    def update(self, history: RecordedEpochs) -> None:
        """Show the last epoch of `history`."""


class PlainDisplay(Display):
    """One line per epoch."""

    def __init__(self, n_epochs: int, stream: TextIO) -> None:
        super().__init__(n_epochs, line_width(stream))
        widths = [WIDTHS[i] for i in self.columns]
        self._printer = RowPrinter(self.cells(COLUMNS), widths, stream)

    def before_training(self, training: Training) -> None:
        """Write the names of the columns."""
        self._printer.header()

    def update(self, history: RecordedEpochs) -> None:
        """Write the line of the last epoch."""
        self._printer.row(self.cells(astuple(EpochRow.of(history, self.n_epochs))))


class RichDisplay(Display):
    """A progress bar over a table of the last epochs, drawn after an epoch and never in between.

    Parameters
    ----------
    n_epochs : int
        Planned epochs.
    console : rich.console.Console
    """

    def __init__(self, n_epochs: int, console: Any) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        super().__init__(n_epochs, console.width)
        self.rows: deque[EpochRow] = deque(maxlen=RECENT_EPOCHS)
        self._progress = Progress(
            "epochs",
            BarColumn(min(40, max(4, console.width - ROOM_BESIDE_BAR - 2 * len(str(n_epochs))))),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("epochs", total=n_epochs)
        self._live = Live(self._frame(), console=console, auto_refresh=False)
        self._last_frame = 0.0

    def before_training(self, training: Training) -> None:
        """Draw an empty bar."""
        self._live.start()

    def after_training(self, training: Training) -> None:
        """Draw the last frame, also after an exception."""
        self._live.update(self._frame(), refresh=True)
        self._live.stop()

    def update(self, history: RecordedEpochs) -> None:
        """Add the last epoch; redraw unless that was done a moment ago."""
        self.rows.append(EpochRow.of(history, self.n_epochs))
        self._progress.update(self._task, completed=history.n_epochs)
        now = time.monotonic()
        if now - self._last_frame >= SECONDS_BETWEEN_FRAMES:
            self._last_frame = now
            self._live.update(self._frame(), refresh=True)

    def _frame(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for column in self.cells(COLUMNS):
            table.add_column(column, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*self.cells(astuple(row)))
        if self.best is None:
            return Group(self._progress, table)
        accuracy, epoch = self.best
        return Group(self._progress, table, f"best val. acc. {accuracy:.4f} in epoch {epoch}")


def choose_display(n_epochs: int, stream: TextIO | None = None) -> Display:
    """Return the live table if rich can draw on `stream` (default: stdout), else lines."""
    stream = sys.stdout if stream is None else stream
    console = rich_console(stream)
    return PlainDisplay(n_epochs, stream) if console is None else RichDisplay(n_epochs, console)
