"""Reader of table.txt: one mistake in one file each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).parent / "table.txt"
HEAD = re.compile(r"(?P<file>[\w/.]+)(?: #(?P<place>\d))?: (?P<name>.+)")


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes
    ----------
    file : str
        Below the root of the repository.
    name : str
        What is wrong.
    old, new : str
    place : int or None
        Which of the places where `old` stands is changed, from 1; None where it stands once.
    """

    file: str
    name: str
    old: str
    new: str
    place: int | None = None

    def applied(self, text: str) -> str:
        """The file's text with the mistake.

        Raises
        ------
        ValueError
            The text to replace is not there, or stands there several times and `place` is None.
        """
        pieces = text.split(self.old)
        n_places, place = len(pieces) - 1, self.place or 1
        if n_places < place or (self.place is None and n_places > 1):
            raise ValueError(f"{self.file}, {self.name}: the text stands there {n_places} times")
        return self.old.join(pieces[:place]) + self.new + self.old.join(pieces[place:])


def mutants(table: str | None = None) -> Iterator[Mutant]:
    """All mutants of a table, or of table.txt."""
    text = re.sub(r"(?m)^#.*\n", "", TABLE.read_text() if table is None else table)
    for stanza in filter(None, (part.strip("\n") for part in text.split("\n\n"))):
        head, *lines = stanza.split("\n")
        match = HEAD.fullmatch(head)
        if match is None or not all(line[:1] in ("-", "+") for line in lines):
            raise ValueError(f"no mutant: {stanza!r}")
        old, new = ("\n".join(x[1:] for x in lines if x[0] == sign) for sign in "-+")
        place = match["place"]
        yield Mutant(match["file"], match["name"], old, new, int(place) if place else None)
