"""What a fitted estimator has done: to every column, and with its members."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmlp._terminal import text_table
from fastmlp.tables.encoder import TabularEncoder
from fastmlp.tables.members import Member

COLUMN_HEADER = ("column", "kind", "inputs", "treatment")
MEMBER_HEADER = ("member", "layers", "rows", "held out", "epochs", "best", "loss", "val_loss")


@dataclass(frozen=True)
class TabularSummary:
    """Columns and members, displayed as two tables.

    Attributes
    ----------
    title : str
        The estimator, and its score for held-out rows.
    columns : tuple of (str, str, str, str)
        Name, kind, number of inputs and treatment of every column.
    members : tuple of tuple of str
        Layer widths, numbers of rows and epochs, and losses of every member.
    """

    __module__ = "fastmlp.tables"  # the public address, so that pickles survive moves

    title: str
    columns: tuple[tuple[str, ...], ...]
    members: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        parts = [self.title]
        for header, rows, words in (
            (COLUMN_HEADER, self.columns, (0, 1, 3)),
            (MEMBER_HEADER, self.members, (0, 1)),
        ):
            first, *lines = text_table(header, list(rows), words)
            parts += ["", first, "-" * len(first), *lines]
        return "\n".join(line.rstrip() for line in parts)

    __repr__ = __str__


def summarize(title: str, encoder: TabularEncoder, members: list[Member]) -> TabularSummary:
    """Return the summary of an encoder and members."""
    sources = encoder.sources(encoder.features_, members[0].statistics)
    n_inputs = np.bincount(sources, minlength=len(encoder.reader_.columns))
    columns = [
        (column.name, column.kind, str(n), treatment(encoder, i) if n else "dropped: constant")
        for i, (column, n) in enumerate(zip(encoder.reader_.columns, n_inputs, strict=True))
    ]
    return TabularSummary(
        title, tuple(columns), tuple(_member_row(i, member) for i, member in enumerate(members))
    )


def treatment(encoder: TabularEncoder, index: int) -> str:
    """Describe in words what was done to a column."""
    reader, features = encoder.reader_, encoder.features_
    column = reader.columns[index]
    if column.kind == "categorical":
        place = reader.categorical.index(column)
        n = len(column.categories)
        parts = [f"{n} categories", f"{features.n_indicators[place]} indicators"]
        if features.frequencies[place] is not None:
            parts += ["frequency", "mean of y"]
        return ", ".join(parts)
    owners = reader.number_owners
    numbers = np.flatnonzero(owners == index)
    parts = ["scaled"] if column.kind != "date" else ["days, phases of year, week and day"]
    if column.kind == "ordinal":
        parts = [f"place among {len(column.categories)}, scaled"]
    n_bins = int(np.isin(features.bins.owner, numbers).sum())
    parts += [f"{n_bins} bins (not in all members)"] if n_bins else []
    if np.isin(features.marked, numbers).any():
        parts += ["missing values filled and marked"]
    return ", ".join(parts)


def _member_row(number: int, member: Member) -> tuple[str, ...]:
    history = member.history
    n_epochs = len(history.get("loss", []))
    best = n_epochs - 1 if member.best_epoch is None else member.best_epoch
    losses = [
        f"{history[name][best]:.4g}" if len(history.get(name, [])) > best >= 0 else ""
        for name in ("loss", "val_loss")
    ]
    widths = "-".join(map(str, member.network.sizes))
    return (
        str(number + 1),
        widths,
        f"{member.n_rows:,}",
        f"{member.n_held_out:,}",
        str(n_epochs),
        str(best),
        *losses,
    )
