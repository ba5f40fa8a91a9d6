"""An object with ``__len__`` and ``__getitem__(slice)`` as a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import as_numeric_array, check_integer, check_same_length, shown
from fastmlp.data.arrays import as_matrix, check_columns, count_outputs, no_targets
from fastmlp.data.source import Indices, Source, SourceRows, even_blocks
from fastmlp.exceptions import DataFormatError


class SequenceSource(Source):
    """Rows of an object that reads them itself, such as a table of HDF5, Zarr or a database.

    Parameters
    ----------
    rows : object with ``__len__`` and ``__getitem__``
        ``rows[begin:end]`` is X, an array-like of shape (end - begin, n_features), or a tuple
        (X, y) or (X, y, sample_weight). Called in another thread than the one that trains.
    y : array-like of shape (n,) or (n, n_outputs), optional
        Targets, if ``rows[begin:end]`` has none. Rows without targets can only be predicted.
    sample_weight : array-like of shape (n,), optional
        With `y` only.
    block_rows : int >= 1
        Number of rows that are fast to read together.

    Raises
    ------
    ValueError, TypeError
        Naming the argument: also if the first row has another form.
    """

    __module__ = "fastmlp.data"

    def __init__(
        self, rows: Any, y: Any = None, sample_weight: Any = None, *, block_rows: int = 4096
    ) -> None:
        kind = type(rows)
        if isinstance(rows, str | bytes | Mapping) or not (
            hasattr(kind, "__len__") and hasattr(kind, "__getitem__")
        ):
            raise TypeError(
                f"rows must be an object with __len__ and __getitem__(slice); got {shown(rows)}"
            )
        try:
            self._rows, self._n_rows = rows, len(rows)
        except TypeError as error:
            raise TypeError(f"rows must have a length; got {shown(rows)}") from error
        self._block_rows = check_integer("block_rows", block_rows, minimum=1)
        if self._n_rows == 0:
            raise ValueError("rows must have at least one row; got 0")
        self._y = self._weights = None
        if y is not None:
            self._y, self._weights = check_columns(y, sample_weight, self._n_rows, "rows")
        elif sample_weight is not None:
            raise ValueError("sample_weight needs y; without it, rows[begin:end] has both")
        first = self._parts(0, 1)
        self._n_features, self._n_outputs = first.X.shape[1], count_outputs(first.y)
        self._has_weights = first.weights is not None

    def __len__(self) -> int:
        return self._n_rows

    @property
    def n_features(self) -> int:
        """Number of columns of X, by the first row."""
        return int(self._n_features)

    @property
    def n_outputs(self) -> int:
        """Number of targets of a row, by the first row."""
        return self._n_outputs

    @property
    def has_weights(self) -> bool:
        """Whether the first row has a sample weight."""
        return self._has_weights

    @property
    def blocks(self) -> Indices:
        """Boundaries of blocks of `block_rows` rows."""
        return even_blocks(self._n_rows, self._block_rows)

    def read(self, begin: int, end: int) -> SourceRows:
        """Return ``rows[begin:end]``.

        Raises
        ------
        DataFormatError
            If it has another number of rows or columns than expected.
        """
        rows = self._parts(begin, end)
        wanted = end - begin, self._n_features
        if rows.X.shape != wanted or count_outputs(rows.y) != self._n_outputs:
            raise DataFormatError(
                f"rows[{begin}:{end}]: expected X of shape {wanted} and {self._n_outputs} "
                f"target(s) per row, found {rows.X.shape} and y of shape {rows.y.shape}"
            )
        if (rows.weights is not None) != self._has_weights:
            raise DataFormatError(
                f"rows[{begin}:{end}]: expected {'a' if self._has_weights else 'no'} sample weight "
                "per row, as in the first one"
            )
        return rows

    def _parts(self, begin: int, end: int) -> SourceRows:
        """Return X, y and weights of some rows as arrays, of whatever lengths X has."""
        where = f"rows[{begin}:{end}]"
        value = self._rows[begin:end]
        if self._y is not None:
            weights = None if self._weights is None else self._weights[begin:end]
            x = as_matrix(where, value)
            check_same_length(where, len(x), "y", end - begin)
            return SourceRows(x, self._y[begin:end], weights)
        if not isinstance(value, tuple):
            x = as_matrix(where, value)
            return SourceRows(x, no_targets(len(x)))
        if len(value) not in (2, 3):
            raise TypeError(
                f"{where} must be X or a tuple (X, y) or (X, y, sample_weight); got a tuple of "
                f"length {len(value)}"
            )
        x = as_matrix(f"{where}, X", value[0])
        y, weights = check_columns(value[1], None, len(x), f"{where}, X")
        if len(value) == 3 and value[2] is not None:
            weights = as_numeric_array(f"{where}, sample_weight", value[2])
            check_same_length(where, len(x), f"{where}, sample_weight", np.size(weights))
        return SourceRows(x, y, weights)

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return y of some rows, (n,) or (n, n_outputs); without `y` the rows are read."""
        return self.read(begin, end).y if self._y is None else self._y[begin:end]

    def facts(self) -> Mapping[str, Any]:
        """Return the number of rows of a block."""
        return {"block_rows": self._block_rows}
