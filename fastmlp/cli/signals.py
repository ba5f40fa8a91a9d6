"""SIGTERM as an exception, so that what Ctrl-C may end can be ended by the system too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """The process has been asked to end."""


def _terminate(*_: object) -> NoReturn:
    raise Terminated


@contextmanager
def terminable(wanted: bool) -> Iterator[None]:
    """Within this block SIGTERM raises Terminated, if wanted and in the main thread."""
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
