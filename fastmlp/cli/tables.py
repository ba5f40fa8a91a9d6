"""Tables of text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "   "


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column to the left, the others to the right.

    Parameters
    ----------
    columns : sequence of str
        Names, the first line.
    rows : sequence of sequences of str
        As long as `columns`.
    """
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [_align(line, widths) for line in lines]


def _align(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return GAP.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])
