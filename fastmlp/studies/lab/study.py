"""Definition of a study, and the tables that it prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastmlp._terminal import text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastmlp.studies.lab.session import Session

Result = Mapping[str, Any]
"""Result of a study, as read from its JSON file."""


@dataclass(frozen=True)
class Table:
    """Strings in rows and columns.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuple of str
        As long as `columns`.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_text(self) -> str:
        """Format for a terminal: the first column to the left, the others to the right."""
        lines = text_table(self.columns, self.rows)
        return "\n".join([self.title, *(f"  {line}" for line in lines)])

    def as_markdown(self) -> str:
        """Format for the HTML page: title, header, rows."""
        rules = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (self.columns, rules, *self.rows)]
        return "\n".join([f"**{self.title}**", "", *lines])


@dataclass(frozen=True)
class Study:
    """One experiment: functions to configure it, run it, and present its results.

    Attributes
    ----------
    name : str
    question : str
        One sentence.
    configure : callable
        ``(data, quick) -> Config``: a frozen dataclass for the data set of this name.
    run : callable
        ``(Config, Session) -> dict``, ready for JSON.
    tables, draw : callable
        ``(result) -> list of Table``, and ``(result) -> figures by name``.
    """

    __module__ = "fastmlp.studies"  # its public address, which pickles keep when files move

    name: str
    question: str
    configure: Callable[[str, bool], Any]
    run: Callable[[Any, Session], dict[str, Any]]
    tables: Callable[[Result], Sequence[Table]]
    draw: Callable[[Result], dict[str, Figure]]


def mean_and_range(values: Iterable[float], digits: int = 4) -> str:
    """Return mean and range, such as "0.9728 (0.9719 to 0.9735)"; no range for a single value."""
    values = list(values)
    text = f"{sum(values) / len(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return text
