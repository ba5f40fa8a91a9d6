"""Base of sources that show another source's rows with other inputs or targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from fastmlp.data.source import Indices, Source, SourceRows


class WrappedSource(Source):
    """The rows of a source; a subclass changes X or y.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def _changed(self, rows: SourceRows) -> SourceRows:
        """Return rows of the source as this one has them."""
        return rows

    def __len__(self) -> int:
        return len(self._source)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self._source.n_features

    @property
    def n_outputs(self) -> int:
        """Number of targets of a row."""
        return self._source.n_outputs

    @property
    def blocks(self) -> Indices:
        """Boundaries of the blocks."""
        return self._source.blocks

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the columns of X."""
        return self._source.feature_names

    @property
    def window_rows(self) -> int | None:
        """Rows that are in memory and shuffled at once."""
        return self._source.window_rows

    @property
    def has_weights(self) -> bool:
        """Whether the rows have sample weights."""
        return self._source.has_weights

    @property
    def is_sparse(self) -> bool:
        """Whether X are SciPy CSR matrices."""
        return self._source.is_sparse

    @property
    def is_series(self) -> bool:
        """Whether neighbouring rows share numbers."""
        return self._source.is_series

    @property
    def can_take(self) -> bool:
        """Whether single rows can be read."""
        return self._source.can_take

    @property
    def piece_rows(self) -> int:
        """Number of rows that are read at once."""
        return self._source.piece_rows

    def read(self, begin: int, end: int) -> SourceRows:
        """Return some rows."""
        return self._changed(self._source.read(begin, end))

    def take(self, rows: Indices) -> SourceRows:
        """Return the rows with these indices, (n,) intp, in their order."""
        return self._changed(self._source.take(rows))

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return y of some rows, (n,) or (n, n_outputs)."""
        return self._source.read_targets(begin, end)

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say where a number is."""
        return self._source.locate(row, what, column)

    def facts(self) -> Mapping[str, Any]:
        """Return the facts of the source."""
        return self._source.facts()


def check_source(name: str, value: Any) -> Source:
    """Return `value`, which must be a Source."""
    if not isinstance(value, Source):
        raise TypeError(
            f"{name} must be a source of fastmlp.data, such as ArraySource(X, y); got "
            f"{type(value).__name__}"
        )
    return value
