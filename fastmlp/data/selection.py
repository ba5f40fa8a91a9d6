"""Which rows of a source a part of it has: some stretches of rows, or rows chosen at random.

Both are in the order of the source, and neither holds a number for every row: a source can have
more rows than there is memory for their numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.data.shuffle import derived_seed
from fastmlp.data.source import Indices
from fastmlp.engine import _core

STRATUM_ROWS = 1 << 16
"""Rows of which a fixed share is chosen at random: their numbers fit into 16 bits."""


class Piece(NamedTuple):
    """Rows of a source to read, and those of them that are wanted.

    Attributes
    ----------
    begin, end : int
        Rows of the source.
    wanted : ndarray of shape (n,), intp, or None
        Counted from `begin`, rising; None for all.
    """

    begin: int
    end: int
    wanted: Indices | None


class Selection(ABC):
    """Rows of a source, in its order."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def count_before(self, rows: Indices) -> Indices:
        """Return how many selected rows lie before each of these rows of the source.

        Parameters
        ----------
        rows : ndarray of shape (n,), intp
            From 0 to the length of the source.
        """

    @abstractmethod
    def pieces(self, begin: int, end: int, most: int) -> Iterator[Piece]:
        """Yield what is read for the selected rows from `begin` to `end` (excluded).

        Parameters
        ----------
        begin, end : int
            Counted in the selection.
        most : int
            Rows that are read at once, unless all of them are wanted.
        """

    @abstractmethod
    def row(self, number: int) -> int:
        """Return the row of the source that has this number in the selection."""

    @abstractmethod
    def rows(self, numbers: Indices) -> Indices:
        """Return the rows of the source that have these numbers (n,) in the selection."""

    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """Return what the selection depends on, as JSON."""


class Spans(Selection):
    """Stretches of rows.

    Parameters
    ----------
    spans : array-like of shape (n_spans, 2)
        Begin and end (excluded) of each, rising; not empty. Those without a gap are joined.
    """

    def __init__(self, spans: ArrayLike) -> None:
        bounds = np.array(spans, np.intp)
        is_first = np.append(True, bounds[1:, 0] != bounds[:-1, 1])
        is_last = np.append(is_first[1:], True)
        self._first, self._last = bounds[is_first, 0], bounds[is_last, 1]
        self._begins = np.append(0, np.cumsum(self._last - self._first)).astype(np.intp)

    def __len__(self) -> int:
        return int(self._begins[-1])

    def count_before(self, rows: Indices) -> Indices:
        """Return how many selected rows lie before each of these rows of the source."""
        span = (np.searchsorted(self._first, rows, side="right") - 1).clip(min=0)
        within = np.minimum(rows, self._last[span]) - self._first[span]
        return np.asarray(self._begins[span] + within.clip(min=0), np.intp)

    def pieces(self, begin: int, end: int, most: int) -> Iterator[Piece]:
        """Yield what is read for some rows: stretches whose rows are all wanted."""
        for span in range(self._span_of(begin), self._span_of(end - 1) + 1):
            shift = int(self._first[span] - self._begins[span])
            first, last = self._begins[span : span + 2].tolist()
            yield Piece(max(begin, first) + shift, min(end, last) + shift, None)

    def _span_of(self, number: int) -> int:
        return int(np.searchsorted(self._begins, number, side="right")) - 1

    def row(self, number: int) -> int:
        """Return the row of the source that has this number in the selection."""
        return int(self.rows(np.array([number], np.intp))[0])

    def rows(self, numbers: Indices) -> Indices:
        """Return the rows of the source that have these numbers (n,) in the selection."""
        span = np.searchsorted(self._begins, numbers, side="right") - 1
        return np.asarray(numbers - self._begins[span] + self._first[span], np.intp)

    def facts(self) -> Mapping[str, Any]:
        """Return the stretches."""
        return {"spans": np.stack([self._first, self._last], axis=1).tolist()}


class Sample(Selection):
    """Rows that are held out at random, or those that are left.

    The same share of every STRATUM_ROWS consecutive rows is held out, up to rounding:
    ``b k // n - a k // n`` of the rows from a to b. Which ones follows from the seed and the
    number of the stratum, so that the rows of one stratum at a time are in memory. If rows are
    sorted, the sample also represents them better than one of all rows.

    Parameters
    ----------
    n_rows, n_held : int
        Numbers of rows, n, and of rows held out, k.
    seed : int >= 0
    is_held : bool
        Whether these are the rows that are held out.

    References
    ----------
    W. G. Cochran, "Sampling Techniques" (1977), chapter 5, stratified random sampling.
    """

    def __init__(self, n_rows: int, n_held: int, seed: int, *, is_held: bool) -> None:
        self._n_rows, self._n_held, self._seed, self._is_held = n_rows, n_held, seed, is_held
        bounds = [*range(0, n_rows, STRATUM_ROWS), n_rows]
        held = np.array([bound * n_held // n_rows for bound in bounds], np.intp)
        self._bounds = np.array(bounds, np.intp)
        self._n_held_of = np.diff(held)
        self._begins = held if is_held else self._bounds - held
        self._last: tuple[int, Indices] | None = None

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name != "_offsets"}
        return state | {"_last": None}

    def count_before(self, rows: Indices) -> Indices:
        """Return how many selected rows lie before each of these rows of the source."""
        strata = np.searchsorted(self._bounds, rows, side="right") - 1
        counts = self._begins[strata].copy()
        inside = rows > self._bounds[strata]
        for stratum in np.unique(strata[inside]).tolist():
            chosen = inside & (strata == stratum)
            counts[chosen] += np.searchsorted(self._rows_of(stratum), rows[chosen])
        return counts

    def pieces(self, begin: int, end: int, most: int) -> Iterator[Piece]:
        """Yield what is read for some rows, at most `most` rows of the source at once."""
        for stratum in range(self._stratum_of(begin), self._stratum_of(end - 1) + 1):
            first = int(self._begins[stratum])
            rows = self._rows_of(stratum)[max(begin - first, 0) : end - first]
            at = 0
            while at < len(rows):
                stop = int(np.searchsorted(rows, rows[at] + most))
                yield Piece(int(rows[at]), int(rows[stop - 1]) + 1, rows[at:stop] - rows[at])
                at = stop

    def _stratum_of(self, number: int) -> int:
        return int(np.searchsorted(self._begins, number, side="right")) - 1

    def _rows_of(self, stratum: int) -> Indices:
        """Return the selected rows of a stratum, rising; those of the last call are kept."""
        last = self._last
        if last is None or last[0] != stratum:
            begin, end = self._bounds[stratum : stratum + 2].tolist()
            held = np.zeros(end - begin, bool)
            order = _core.permutation(end - begin, derived_seed(self._seed, stratum))
            held[order[: self._n_held_of[stratum]]] = True
            last = self._last = stratum, begin + np.flatnonzero(held == self._is_held)
        return last[1]

    def row(self, number: int) -> int:
        """Return the row of the source that has this number in the selection."""
        stratum = self._stratum_of(number)
        return int(self._rows_of(stratum)[number - self._begins[stratum]])

    def rows(self, numbers: Indices) -> Indices:
        """Return the rows of the source that have these numbers (n,) in the selection."""
        stratum = np.searchsorted(self._begins, numbers, side="right") - 1
        return np.asarray(self._bounds[stratum] + self._offsets[numbers], np.intp)

    @cached_property
    def _offsets(self) -> NDArray[np.uint16]:
        """Where every selected row is in its stratum: two bytes a row, of sources in memory."""
        strata = range(len(self._bounds) - 1)
        return np.concatenate(
            [(self._rows_of(i) - self._bounds[i]).astype(np.uint16) for i in strata]
        )

    def facts(self) -> Mapping[str, Any]:
        """Return the numbers of rows, the seed, and which part this is."""
        return {"rows": [self._n_rows, self._n_held, self._seed], "is_held": self._is_held}
