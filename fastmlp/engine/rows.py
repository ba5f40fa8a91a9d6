"""Input rows of the engine: a checked dense or sparse matrix, with targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_finite, check_matrix
from fastmlp._types import Array

MOST_SPARSE_COLUMNS = 2**31 - 1
"""Columns of a sparse matrix are kept as int32."""


@dataclass(frozen=True)
class SparseRows:
    """Matrix (n, n_columns) in compressed sparse row format.

    Row i has ``values[k]`` in column ``columns[k]`` for ``begin[i] <= k < begin[i + 1]``; duplicate
    entries are summed. The engine multiplies the first layer's weights with the values alone, or,
    where :func:`fastmlp.engine.plan.multiplies_values` says so, expands the rows of one chunk at a
    time, in training at most those of a batch: the whole matrix is never dense.

    Attributes
    ----------
    values : ndarray of shape (n_values,), float32 or float64
    columns : ndarray of shape (n_values,), int32
    begin : ndarray of shape (n + 1,), intp
    n_columns : int
    """

    values: Array
    columns: NDArray[np.int32]
    begin: NDArray[np.intp]
    n_columns: int

    @classmethod
    def from_matrix(cls, matrix: Any, dtype: np.dtype[Any]) -> SparseRows:
        """Convert a SciPy sparse matrix or array of any format, with copies only where needed.

        Raises
        ------
        ValueError
            If indices lie outside the matrix, which SciPy does not check, or if there are 2^31
            columns or more.
        """
        rows = matrix.tocsr()
        n_rows, n_columns = map(int, rows.shape)
        if n_columns > MOST_SPARSE_COLUMNS:
            raise ValueError(
                f"a sparse matrix must have at most {MOST_SPARSE_COLUMNS} columns; got {n_columns}"
            )
        _check_columns(rows.indices, n_columns)
        result = cls(
            np.ascontiguousarray(rows.data, dtype),
            np.ascontiguousarray(rows.indices, np.int32),
            np.ascontiguousarray(rows.indptr, np.intp),
            n_columns,
        )
        result._check_rows(n_rows)
        return result

    def _check_rows(self, n_rows: int) -> None:
        begin, columns = self.begin, self.columns
        if len(begin) != n_rows + 1 or begin[0] != 0 or (np.diff(begin) < 0).any():
            raise ValueError("a sparse matrix must have row pointers that start at 0 and increase")
        if begin[-1] > min(len(columns), len(self.values)):
            raise ValueError("a sparse matrix must have as many values as its row pointers need")

    def __len__(self) -> int:
        return len(self.begin) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self), self.n_columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.values.dtype

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array:
        """Return the selected rows as a dense matrix."""
        row_index = np.arange(len(self))[rows]
        dense = np.zeros((len(row_index), self.n_columns), self.values.dtype)
        lengths = self.begin[row_index + 1] - self.begin[row_index]
        line = np.repeat(np.arange(len(row_index)), lengths)
        place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        value_index = self.begin[row_index][line] + place
        np.add.at(dense, (line, self.columns[value_index]), self.values[value_index])
        return dense


def _check_columns(columns: NDArray[Any], n_columns: int) -> None:
    """Raise ValueError unless all of `columns` are from 0 to n_columns - 1."""
    if len(columns) and not 0 <= columns.min() <= columns.max() < n_columns:
        raise ValueError(
            f"a sparse matrix must have column indices from 0 to {n_columns - 1}; "
            f"got {columns.min()} to {columns.max()}"
        )


Inputs = Array | SparseRows


def first_rows(x: Inputs, n: int) -> Inputs:
    """Return the first rows of x, at most n, without a copy."""
    if isinstance(x, SparseRows):
        begin = x.begin[: n + 1]
        return replace(x, values=x.values[: begin[-1]], columns=x.columns[: begin[-1]], begin=begin)
    return x[:n]


class Rows(NamedTuple):
    """Checked rows of a data set, C-ordered and in the network's dtype.

    Attributes
    ----------
    x : ndarray of shape (n, n_features), or SparseRows
    y : ndarray of shape (n, n_out)
    weights : ndarray of shape (n,) or None
        Sample weights; None if all are 1.
    """

    x: Inputs
    y: Array
    weights: Array | None = None


def check_inputs(
    name: str, values: Any, dtype: np.dtype[Any], *, n_columns: int, finite: bool = True
) -> Inputs:
    """Return `values` checked by `check_matrix`, or a SciPy sparse matrix as SparseRows."""
    if not hasattr(values, "tocsr"):
        return check_matrix(name, values, dtype, n_columns=n_columns, finite=finite)
    if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] != n_columns:
        raise ValueError(f"{name} must have rows and {n_columns} columns; got shape {values.shape}")
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers; got a matrix of dtype {values.dtype}")
    with np.errstate(over="ignore"):  # overflow to infinity is reported below
        rows = SparseRows.from_matrix(values, dtype)
    check_finite(f"{name}.data", rows.values)
    return rows
