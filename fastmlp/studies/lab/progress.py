"""Progress display of a study: a line per finished configuration, or a bar."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from fastmlp._terminal import rich_console


class Progress(Protocol):
    """Progress display of a list of configurations; called from several threads."""

    def begin(self, n_cases: int, n_ticks: int) -> None:
        """Start the display of `n_cases` configurations with `n_ticks` ticks in all."""
        ...

    def tick(self, n_ticks: int = 1) -> None:
        """Advance by `n_ticks`."""
        ...

    def finish_case(self, case: Mapping[str, Any], seconds: float | None) -> None:
        """Count a finished configuration; `seconds` is None for one that was stored before."""
        ...

    def end(self) -> None:
        """Close the display, also after an exception."""
        ...


class Silence:
    """Shows nothing."""

    def begin(self, n_cases: int, n_ticks: int) -> None:
        """Show nothing."""

    def tick(self, n_ticks: int = 1) -> None:
        """Show nothing."""

    def finish_case(self, case: Mapping[str, Any], seconds: float | None) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


class Lines(Silence):
    """One line per finished configuration."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._n_cases = self._n_finished = 0

    def begin(self, n_cases: int, n_ticks: int) -> None:
        """Count from 0."""
        self._n_cases, self._n_finished = n_cases, 0

    def finish_case(self, case: Mapping[str, Any], seconds: float | None) -> None:
        """Write the line."""
        self._n_finished += 1
        took = "stored before" if seconds is None else f"{seconds:.1f} s"
        print(
            f"{self._n_finished}/{self._n_cases}  {describe(case)}: {took}",
            file=self._stream,
            flush=True,
        )


class Bar:
    """A bar over all ticks, with the time that remains; redrawn twice a second.

    Parameters
    ----------
    console : rich.console.Console
    """

    def __init__(self, console: Any) -> None:
        self._console = console
        self._bar: Any = None

    def begin(self, n_cases: int, n_ticks: int) -> None:
        """Show an empty bar."""
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed
        from rich.progress import TimeRemainingColumn as Remaining

        self._bar = Progress(
            TextColumn("{task.fields[finished]}/{task.fields[cases]} configurations"),
            BarColumn(),
            TaskProgressColumn(),
            Elapsed(),
            TextColumn("left"),
            Remaining(),
            TextColumn("{task.fields[last]}"),
            console=self._console,
            refresh_per_second=2,
            transient=True,
        )
        self._task = self._bar.add_task("", total=n_ticks, finished=0, cases=n_cases, last="")
        self._n_finished = 0
        self._bar.start()

    def tick(self, n_ticks: int = 1) -> None:
        """Move the bar."""
        self._bar.advance(self._task, n_ticks)

    def finish_case(self, case: Mapping[str, Any], seconds: float | None) -> None:
        """Count a configuration and show which it was."""
        self._n_finished += 1
        self._bar.update(self._task, finished=self._n_finished, last=describe(case))

    def end(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def describe(case: Mapping[str, Any]) -> str:
    """Return a label such as "lambda2 0.1, seed 3"."""
    return ", ".join(f"{name} {value}" for name, value in case.items())


def choose_progress(stream: TextIO | None = None) -> Progress:
    """A bar if `stream` (stderr) is a terminal and rich is installed, else lines."""
    stream = sys.stderr if stream is None else stream
    console = rich_console(stream)
    return Lines(stream) if console is None else Bar(console)
