"""Several sources, one after the other, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_iterable
from fastmlp.data.classes import OneHotSource
from fastmlp.data.source import Indices, Source, SourceRows, joined, joined_targets
from fastmlp.data.wrapped import WrappedSource


class ConcatenatedSource(Source):
    """The rows of several sources, one after the other. Made by :func:`concatenate`."""

    __module__ = "fastmlp.data"

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)
        self._begins = np.cumsum([0, *map(len, self._sources)])

    def __len__(self) -> int:
        return int(self._begins[-1])

    @property
    def n_features(self) -> int:
        """Number of columns of X, of each source."""
        return self._sources[0].n_features

    @property
    def n_outputs(self) -> int:
        """Number of targets of a row, of each source."""
        return self._sources[0].n_outputs

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the columns of X, of the sources that have some."""
        named = (source.feature_names for source in self._sources)
        return next((names for names in named if names is not None), None)

    @property
    def has_weights(self) -> bool:
        """Whether any of the sources has sample weights; the rows of the others have 1."""
        return any(source.has_weights for source in self._sources)

    @property
    def is_sparse(self) -> bool:
        """Whether the sources are sparse."""
        return self._sources[0].is_sparse

    @property
    def is_series(self) -> bool:
        """Whether any of the sources is one."""
        return any(source.is_series for source in self._sources)

    @property
    def blocks(self) -> Indices:
        """The blocks of all sources."""
        parts = [
            begin + source.blocks[1:]
            for begin, source in zip(self._begins[:-1], self._sources, strict=True)
        ]
        return np.concatenate([[0], *parts]).astype(np.intp)

    def read(self, begin: int, end: int) -> SourceRows:
        """Return rows of one source, or copies of those of several."""
        if begin == end:
            return self._weighted(self._sources[0].read(0, 0))
        return joined([self._weighted(part) for part in self._each("read", begin, end)])

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return y of some rows, (n,) or (n, n_outputs)."""
        if begin == end:
            return self._sources[0].read_targets(0, 0)
        return joined_targets(self._each("read_targets", begin, end))

    def _each(self, method: str, begin: int, end: int) -> list[Any]:
        """Call a method of every source that has some of the rows, with its own row numbers."""
        return [
            getattr(source, method)(max(begin, first) - first, min(end, last) - first)
            for first, last, source in zip(
                self._begins[:-1].tolist(), self._begins[1:].tolist(), self._sources, strict=True
            )
            if first < end and begin < last
        ]

    def _weighted(self, rows: SourceRows) -> SourceRows:
        if rows.weights is not None or not self.has_weights:
            return rows
        return rows._replace(weights=np.ones(len(rows.y)))

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say in which source a number is, and where in it."""
        i = int(np.searchsorted(self._begins, row, side="right")) - 1
        where = self._sources[i].locate(row - int(self._begins[i]), what, column)
        return f"sources[{i}], {where}"

    def facts(self) -> Mapping[str, Any]:
        """Return the facts of all sources."""
        return {"sources": [[len(source), source.facts()] for source in self._sources]}


def concatenate(sources: Sequence[Source]) -> Source:
    """Return a source with the rows of all `sources`, one after the other.

    Parameters
    ----------
    sources : sequence of Source
        With the same numbers of features and targets, the same names of features, if any, and the
        same classes, where :func:`one_hot` has made the targets; all sparse or none. Rows of
        sources without sample weights have weight 1 if others have some.

    Raises
    ------
    ValueError, TypeError
        Naming the argument and the source that differs.
    """
    given = check_iterable("sources", sources, "sources")
    if not given:
        raise ValueError("sources must have at least one source; got none")
    for i, source in enumerate(given):
        if not isinstance(source, Source):
            raise TypeError(f"sources[{i}] must be a Source; got {type(source).__name__}")
        for name in ("n_features", "n_outputs", "is_sparse"):
            now, first = getattr(source, name), getattr(given[0], name)
            if now != first:
                raise ValueError(f"sources[{i}].{name} must be {first} as of sources[0]; got {now}")
        names, known = source.feature_names, given[0].feature_names
        if names is not None and known is not None and names != known:
            raise ValueError(
                f"sources[{i}] must have the features {known}, as sources[0]; got {names}"
            )
        _check_classes(i, source, given[0])
    return ConcatenatedSource(given)


def _check_classes(i: int, source: Source, first: Source) -> None:
    """Raise ValueError if the one-hot targets of two sources stand for other classes."""
    now, known = _classes_of(source), _classes_of(first)
    if now is not None and known is not None and now != known:
        raise ValueError(f"sources[{i}] must have the classes of sources[0], {known}; got {now}")


def _classes_of(source: Source) -> list[Any] | None:
    """Return the classes of targets that `one_hot` has made; None of others."""
    while not isinstance(source, OneHotSource):
        if isinstance(source, ConcatenatedSource):
            source = source._sources[0]
        elif isinstance(source, WrappedSource):
            source = source._source
        else:
            return None
    classes: list[Any] = source.classes.tolist()
    return classes
