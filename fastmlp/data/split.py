"""Two parts of a source, for training and for validation, without copies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_choice, check_integer, check_number, check_random_state, shown
from fastmlp._types import RandomState
from fastmlp.data.selection import Piece, Sample, Selection, Spans
from fastmlp.data.shuffle import derived_seed
from fastmlp.data.source import Indices, Source, SourceRows, joined
from fastmlp.data.wrapped import WrappedSource, check_source
from fastmlp.engine import _core
from fastmlp.exceptions import DataFormatError

WAYS = ("auto", "random", "blocks", "last")

PIECES_AT_ONCE = 2
"""So many pieces of the source are read at once for a piece of most of its rows.

Where a piece is read from the beginning of its row group, it is then read once.
"""


class SplitSource(WrappedSource):
    """Some rows of a source, in its order. Made by :func:`split`."""

    __module__ = "fastmlp.data"

    def __init__(self, source: Source, selection: Selection) -> None:
        super().__init__(source)
        self._selection = selection

    def __len__(self) -> int:
        return len(self._selection)

    @cached_property
    def blocks(self) -> Indices:
        """Boundaries of the source's blocks, without those of which no row is here."""
        return np.unique(self._selection.count_before(self._source.blocks))

    def read(self, begin: int, end: int) -> SourceRows:
        """Return copies of some rows, of stretches views where the source has them."""
        if begin == end:
            return self._source.read(0, 0)
        return joined([self._wanted(piece) for piece in self._pieces(begin, end)])

    def _pieces(self, begin: int, end: int) -> Iterator[Piece]:
        return self._selection.pieces(begin, end, PIECES_AT_ONCE * self._source.piece_rows)

    def _wanted(self, piece: Piece) -> SourceRows:
        """Read a piece, and return what is wanted of it."""
        rows = self._source.read(piece.begin, piece.end)
        if piece.wanted is None:
            return rows
        lengths = {part.shape[0] for part in rows if part is not None}
        if lengths != {piece.end - piece.begin}:
            raise DataFormatError(
                f"{self._source.locate(piece.begin)}, and the rows after it: expected "
                f"{piece.end - piece.begin} rows, found {sorted(lengths)}"
            )
        weights = None if rows.weights is None else rows.weights[piece.wanted]
        return SourceRows(rows.X[piece.wanted], rows.y[piece.wanted], weights)

    def take(self, rows: Indices) -> SourceRows:
        """Return the rows with these indices, (n,) intp, in their order."""
        return self._source.take(self._selection.rows(rows))

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return y of some rows, (n,) or (n, n_outputs)."""
        if begin == end:
            return self._source.read_targets(0, 0)
        parts = []
        for piece in self._pieces(begin, end):
            y = self._source.read_targets(piece.begin, piece.end)
            parts.append(y if piece.wanted is None else y[piece.wanted])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say where in the source a number is."""
        return self._source.locate(self._selection.row(row), what, column)

    def facts(self) -> Mapping[str, Any]:
        """Return the facts of the source, and what says which of its rows these are."""
        return {"source": self._source.facts(), "selection": self._selection.facts()}


def split(
    source: Source,
    fraction: float = 0.1,
    *,
    how: str = "auto",
    gap: int = 0,
    random_state: RandomState = 0,
) -> tuple[Source, Source]:
    """Split a source into rows for training and rows that are held out for validation or tests.

    Nothing is read or copied: both parts are sources, which read their rows from `source` when they
    are needed, with targets and sample weights, in the order of `source`. Every row is in exactly
    one of them (`gap` aside). The split is not stratified by label.

    Parameters
    ----------
    source : Source
        Of any type, also a part of another split. Both parts read from it, so that only one of them
        may be read at a time.
    fraction : float in (0, 1)
        Share f of the rows that is held out: ``ceil(f n)`` of n rows, as in scikit-learn.
    how : {"auto", "random", "blocks", "last"}
        "random" holds out single rows at random, the same share of every 65,536 consecutive rows.
        Which ones depends on n, `fraction` and `random_state` alone, not on files and blocks. It
        suits rows in any order: of a table that is sorted by time, label or group, both parts have
        a share of every stretch. The rows between those wanted have to be read, too: reading the
        part held out of a file costs about as much as reading the file. (A Trainer reads it once if
        it fits into a window, and the estimators always do.)

        "blocks" holds out ``ceil(f b)`` of the b blocks of the source at random: row groups of a
        file, some pages of a memory map. Each part reads its own blocks only, which costs least. It
        is for tables of many blocks whose rows are in random order: of a sorted one, whole days or
        labels would be missing from a part.

        "last" holds out the last rows, and each part reads its own rows only. It is for windows
        over a series: neighbouring windows share most of their numbers, so that a network would
        know rows held out at random. Split several series before they are concatenated.

        "auto" is "last" for windows over a series, also if they are scaled, concatenated or split,
        and "random" otherwise.
    gap : int >= 0
        Number of rows before the last ones that are in neither part, with "last". Of windows over a
        series, ``horizon - 1`` rows have targets in common with rows that are held out.
    random_state : int >= 0, Generator or None
        Seed of "random" and "blocks"; None for a different split at every call.

    Returns
    -------
    train, held_out : Source

    Raises
    ------
    TypeError, ValueError
        Naming the argument: also if there is no row to train on.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import data
    >>> X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    >>> train, held_out = data.split(data.ArraySource(X, y), 0.2)
    >>> len(train), held_out.read(0, 2).y
    (8, array([5, 7]))
    """
    check_source("source", source)
    check_fraction("fraction", fraction)
    chosen = check_choice("how", how, WAYS)
    gap = check_integer("gap", gap, minimum=0)
    if chosen == "auto":
        chosen = "last" if source.is_series else "random"
    if gap and chosen != "last":
        raise ValueError(f"gap is for how='last', and must be 0 with how={chosen!r}; got {gap}")
    if chosen == "last":
        parts = _split_last(source, float(fraction), gap)
    else:
        make = _split_blocks if chosen == "blocks" else _split_random
        parts = make(source, float(fraction), _seed(random_state))
    return SplitSource(source, parts[0]), SplitSource(source, parts[1])


Parts = tuple[Selection, Selection]


def check_fraction(name: str, value: object) -> float:
    """Return `value` as a float, which must be above 0 and below 1."""
    fraction = check_number(name, value, below=1)
    if fraction == 0:
        raise ValueError(f"{name} must be above 0 and below 1; got {shown(value)}")
    return fraction


def count_held_out(n: int, fraction: float) -> int:
    """Return how many of n rows are held out, as scikit-learn's `train_test_split`."""
    return math.ceil(fraction * n)


def _split_random(source: Source, fraction: float, seed: int) -> Parts:
    n_held = count_held_out(len(source), fraction)
    _check_rest(len(source) - n_held, fraction, f"{len(source)} rows")
    train, held_out = (
        Sample(len(source), n_held, seed, is_held=is_held) for is_held in (False, True)
    )
    return train, held_out


def _split_blocks(source: Source, fraction: float, seed: int) -> Parts:
    blocks = source.blocks
    n_blocks = len(blocks) - 1
    n_held = count_held_out(n_blocks, fraction)
    _check_rest(n_blocks - n_held, fraction, f"{n_blocks} block(s)")
    is_held = np.zeros(n_blocks, bool)
    is_held[_core.permutation(n_blocks, derived_seed(seed, 0))[:n_held]] = True
    spans = np.stack([blocks[:-1], blocks[1:]], axis=1)
    return Spans(spans[~is_held]), Spans(spans[is_held])


def _split_last(source: Source, fraction: float, gap: int) -> Parts:
    n_rows = len(source)
    n_held = count_held_out(n_rows, fraction)
    n_train = n_rows - n_held - gap
    _check_rest(n_train, fraction, f"{n_rows} rows" + (f", after a gap of {gap}," if gap else ""))
    return Spans([(0, n_train)]), Spans([(n_rows - n_held, n_rows)])


def _check_rest(n_train: int, fraction: float, of: str) -> None:
    if n_train < 1:
        raise ValueError(f"fraction={fraction} of {of} leaves nothing to train on")


def _seed(random_state: RandomState) -> int:
    """Return an integer >= 0: a seed that is one as it is."""
    generator = check_random_state("random_state", random_state)
    if random_state is None or isinstance(random_state, np.random.Generator):
        return int(generator.integers(2**63))
    return int(random_state)
