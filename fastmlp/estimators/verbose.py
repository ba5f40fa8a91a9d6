"""What an estimator with `verbose` shows while it fits.

One line that is kept up to date where standard output is a terminal and rich is installed; else a
line per epoch. Lines go to the logger "fastmlp" where somebody listens to its INFO messages, and to
standard output otherwise. ``logging.getLogger("fastmlp").setLevel("WARNING")`` silences both.
"""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live

logger = logging.getLogger("fastmlp")
REFRESH_SECONDS = 0.1


def is_silenced() -> bool:
    """Whether logging has been told not to pass INFO messages of fastmlp."""
    if logger.disabled or logging.root.manager.disable >= logging.INFO:
        return True
    return logger.level > logging.INFO


def is_listened_to() -> bool:
    """Whether INFO messages of fastmlp reach a handler."""
    return logger.isEnabledFor(logging.INFO) and logger.hasHandlers()


class Report:
    """Shows the epochs of one fit; does nothing unless `verbose`. Use it in a with statement."""

    def __init__(self, verbose: bool | int) -> None:
        self.verbose = bool(verbose) and not is_silenced()
        self._live: Live | None = None
        self._last_refresh = 0.0

    def __enter__(self) -> Report:
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        if self.verbose and on_terminal and not is_listened_to():
            self._start_live()
        return self

    def _start_live(self) -> None:
        """A line that can be kept up to date; without rich, or beside another fit's, none."""
        try:
            from rich.errors import LiveError
            from rich.live import Live
        except ImportError:
            return
        live = Live(auto_refresh=False)
        try:
            live.start()
        except LiveError:
            return
        self._live = live

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def epoch(self, number: int, row: dict[str, float]) -> None:
        """Show the numbers of epoch `number`, counted from 1."""
        if not self.verbose:
            return
        text = f"Iteration {number}, loss = {row['loss']:.8f}"
        if "val_loss" in row:
            text += f", validation loss = {row['val_loss']:.8f}, score = {row['val_score']:.6f}"
        self._show(text)

    def line(self, text: str) -> None:
        """Show a message."""
        if self.verbose and self._live is not None:
            self._live.console.print(text, highlight=False)
        elif self.verbose:
            self._show(text)

    def _show(self, text: str) -> None:
        if self._live is not None:
            now = time.monotonic()
            refresh = now - self._last_refresh > REFRESH_SECONDS
            self._live.update(text, refresh=refresh)
            self._last_refresh = now if refresh else self._last_refresh
        elif is_listened_to():
            logger.info(text)
        else:
            print(text)
