"""Text for a terminal: tables, rows that are printed one by one, a status line, rich's console."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, TextIO

ERASE_LINE = "\r\033[K"
GAP = "   "


def text_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,)
) -> list[str]:
    """Return the lines of a table, its columns as wide as their longest cell.

    Parameters
    ----------
    columns : sequence of str
        Names, the first line.
    rows : sequence of sequences of str
        As long as `columns`.
    left : collection of int
        Positions of the left-aligned columns; the others are right-aligned.
    """
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        GAP.join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


class RowPrinter:
    """Prints rows of right-aligned cells, the names of the columns first.

    Parameters
    ----------
    columns : sequence of str
    widths : sequence of int
        Widths of the columns in characters, including the space between them.
    stream : TextIO
        Flushed after every row.
    """

    def __init__(self, columns: Sequence[str], widths: Sequence[int], stream: TextIO) -> None:
        self._columns, self._widths, self._stream = columns, widths, stream

    def header(self) -> None:
        """Print the names of the columns."""
        self.row(self._columns)

    def row(self, cells: Sequence[str]) -> None:
        """Print one row; a cell per column."""
        line = "".join(f"{cell:>{width}}" for cell, width in zip(cells, self._widths, strict=True))
        print(line, file=self._stream, flush=True)


class StatusLine:
    """A line that is updated in place; shows nothing where `stream` is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.shown = stream.isatty()

    def show(self, text: str) -> None:
        """Replace the line with `text`, without a line break."""
        if self.shown:
            print(f"{ERASE_LINE}{text}", end="", file=self._stream, flush=True)

    def clear(self) -> None:
        """Erase the line."""
        self.show("")


def rich_console(stream: TextIO) -> Any | None:
    """Return rich's console for `stream`, or None if it is not a terminal that rich can draw on.

    None also if rich is not installed.
    """
    if stream.isatty():
        with suppress(ImportError):
            from rich.console import Console

            console = Console(file=stream)
            if console.is_terminal and not console.is_dumb_terminal:
                return console
    return None
