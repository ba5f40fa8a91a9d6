"""Progress display of a fit with `verbose`, as lines of text.

On a terminal, if rich is installed, one line is updated in place; otherwise there is one line per
epoch. Lines go to the logger "fastmlp" if its INFO messages reach a handler, and to standard output
otherwise. ``logging.getLogger("fastmlp").setLevel("WARNING")`` silences both.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training
from fastmlp.estimators.records import FitRecord

if TYPE_CHECKING:
    from rich.live import Live

logger = logging.getLogger("fastmlp")
REFRESH_SECONDS = 0.1


def is_silenced() -> bool:
    """Return whether INFO messages of fastmlp are switched off in logging."""
    if logger.disabled or logging.root.manager.disable >= logging.INFO:
        return True
    return logger.level > logging.INFO


def is_listened_to() -> bool:
    """Return whether INFO messages of fastmlp reach a handler."""
    return logger.isEnabledFor(logging.INFO) and logger.hasHandlers()


class FitDisplay(EpochCallback):
    """Callback that shows every epoch of a fit.

    Parameters
    ----------
    record : FitRecord
        Record from which the number of the epoch is read.
    """

    def __init__(self, record: FitRecord) -> None:
        self.record = record
        self._live: Live | None = None
        self._last_refresh = 0.0

    def settings(self) -> None:
        """Return None, because the display does not influence training."""

    def before_training(self, training: Training) -> None:
        """On a terminal, start a line that is updated in place."""
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        if on_terminal and not is_listened_to():
            self._live = _started_live()

    def after_epoch(self, training: Training) -> bool | None:
        """Show the numbers of the epoch."""
        row = training.metrics
        text = f"Iteration {self.record.n_iter}, loss = {row['loss']:.8f}"
        if "val_loss" in row:
            text += f", validation loss = {row['val_loss']:.8f}, score = {row['val_score']:.6f}"
        if self._live is None:
            self.show(text)
            return None
        now = time.monotonic()
        refresh = now - self._last_refresh > REFRESH_SECONDS
        self._live.update(text, refresh=refresh)
        self._last_refresh = now if refresh else self._last_refresh
        return None

    def show(self, sentence: str) -> None:
        """Show a sentence on a line of its own."""
        if self._live is not None:
            self._live.console.print(sentence, highlight=False)
        elif is_listened_to():
            logger.info(sentence)
        else:
            print(sentence)

    def after_training(self, training: Training) -> None:
        """Keep the last line on the screen."""
        if self._live is not None:
            self._live.stop()


def _started_live() -> Live | None:
    """Return a line that can be updated; None without rich, or while another fit uses one."""
    try:
        from rich.errors import LiveError
        from rich.live import Live
    except ImportError:
        return None
    live = Live(auto_refresh=False)
    try:
        live.start()
    except LiveError:
        return None
    return live
