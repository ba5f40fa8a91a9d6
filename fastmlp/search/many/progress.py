"""Progress of many fits: a bar on a terminal, else a line for every tenth of the groups."""

from __future__ import annotations

import sys
from typing import Any

from fastmlp._terminal import rich_console
from fastmlp.estimators.verbose import is_silenced
from fastmlp.search.table import show_line

N_LINES = 10


class GroupProgress:
    """Shows how many groups are done.

    Parameters
    ----------
    n_groups : int
    """

    def __init__(self, n_groups: int) -> None:
        self.n_groups, self.n_done = n_groups, 0
        self._bar: Any = None

    def __enter__(self) -> GroupProgress:
        console = None if sys.stdout is None or is_silenced() else rich_console(sys.stdout)
        if console is not None:
            self._bar = _bar(console)
            self._task = self._bar.add_task("groups", total=self.n_groups)
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, n_groups: int) -> None:
        """Count groups that are done."""
        before, self.n_done = self.n_done, self.n_done + n_groups
        if self._bar is not None:
            self._bar.advance(self._task, n_groups)
        elif before * N_LINES // self.n_groups < self.n_done * N_LINES // self.n_groups:
            show_line(f"{self.n_done} of {self.n_groups} groups")


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Elapsed(),
        TextColumn("left"),
        Remaining(),
        console=console,
        refresh_per_second=4,
    )
