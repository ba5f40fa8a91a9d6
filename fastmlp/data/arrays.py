"""Arrays as a source: NumPy arrays of any numeric type, memory maps, SciPy sparse matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import as_array, as_numeric_array, check_same_length
from fastmlp.data.source import Indices, Source, SourceRows, even_blocks

BLOCK_BYTES = 1 << 20
"""Memory of a block, in bytes: large enough to be read fast from a disk."""


class ArraySource(Source):
    """Rows of arrays, which keep their types: a window of them is converted at a time.

    ``uint8``, ``float16``, ``int16`` and ``bool`` take an eighth to a half of the memory of the
    network's numbers. The rows of arrays in memory are shuffled all together, so that the results
    are, bit for bit, those of `X` and `y` converted as a whole; memory maps block by block.

    Parameters
    ----------
    X : array, memory map, or SciPy sparse matrix of shape (n, n_features)
        Real numbers of any type; images (n, height, width) are flattened, which needs no copy if
        they are C-ordered. Not copied; sparse formats other than CSR are converted.
    y : array-like of shape (n,) or (n, n_outputs), optional
        Targets; labels for a classifier. Rows without targets can only be predicted.
    sample_weight : array-like of shape (n,), optional
        Weight >= 0 of every row.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.
    """

    __module__ = "fastmlp.data"

    def __init__(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> None:
        self._x = X.tocsr() if hasattr(X, "tocsr") else as_matrix("X", X)
        if 0 in self._x.shape:
            raise ValueError(f"X must have at least one row and one column; got {self._x.shape}")
        if self._x.dtype.kind not in "fiub":
            raise TypeError(f"X must be real numbers; got a matrix of dtype {self._x.dtype}")
        if y is None:
            self._y, self._weights = no_targets(len(self), sample_weight), None
        else:
            self._y, self._weights = check_columns(y, sample_weight, len(self))
        self._is_mapped = any(map(_is_mapped, (self._x, self._y, self._weights)))

    def __len__(self) -> int:
        return int(self._x.shape[0])

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return int(self._x.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number of columns of y."""
        return count_outputs(self._y)

    @property
    def has_weights(self) -> bool:
        """Whether there are sample weights."""
        return self._weights is not None

    @property
    def is_sparse(self) -> bool:
        """Whether X is sparse."""
        return hasattr(self._x, "tocsr")

    @property
    def can_take(self) -> bool:
        """Whether all arrays are in memory."""
        return not self._is_mapped

    @property
    def blocks(self) -> Indices:
        """Boundaries of blocks of about BLOCK_BYTES."""
        n_bytes = self._x.data.nbytes if self.is_sparse else self._x.nbytes
        return even_blocks(len(self), BLOCK_BYTES * len(self) // max(1, n_bytes))

    def read(self, begin: int, end: int) -> SourceRows:
        """Return views of the arrays' rows, of a sparse matrix a copy."""
        return self.take(slice(begin, end))

    def take(self, rows: Indices | slice) -> SourceRows:
        """Return the rows with these indices; copies, unless `rows` is a slice."""
        weights = None if self._weights is None else self._weights[rows]
        return SourceRows(self._x[rows], self._y[rows], weights)

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return a view of the targets of some rows, (n,) or (n, n_outputs)."""
        return self._y[begin:end]

    def facts(self) -> Mapping[str, Any]:
        """Return the types of the arrays."""
        return {"X": str(self._x.dtype), "y": str(self._y.dtype), "is_sparse": self.is_sparse}


def as_matrix(name: str, values: Any) -> NDArray[Any]:
    """Return real numbers of shape (n, n_features), memory maps without reading them."""
    x = as_numeric_array(name, values)
    if x.ndim > 2:
        x = x.reshape(len(x), -1) if len(x) else x
    if x.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions (rows, columns); got shape {x.shape}")
    return x


def check_columns(
    y: Any, sample_weight: Any, n_rows: int, name: str = "X"
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return targets and sample weights, which must have `n_rows` rows, as arrays."""
    target = as_array("y", y)
    if target.ndim not in (1, 2) or 0 in target.shape:
        raise ValueError(f"y must have shape (rows,) or (rows, outputs); got {target.shape}")
    if target.dtype.kind not in "fiubUO":
        raise TypeError(f"y must be real numbers or labels; got dtype {target.dtype}")
    check_same_length(name, n_rows, "y", len(target))
    if sample_weight is None:
        return target, None
    weights = as_numeric_array("sample_weight", sample_weight)
    if weights.shape != (n_rows,):
        raise ValueError(
            f"sample_weight must have shape ({n_rows},), one per row; got {weights.shape}"
        )
    if not weights.any():
        raise ValueError(f"sample_weight must have a positive weight; all {n_rows} are zero")
    return target, weights


def no_targets(n_rows: int, sample_weight: Any = None) -> NDArray[Any]:
    """Return the targets (n_rows, 0) of rows that have none, and no sample weights."""
    if sample_weight is not None:
        raise ValueError("sample_weight needs y: rows without targets can only be predicted")
    return np.empty((n_rows, 0), np.uint8)


def count_outputs(y: NDArray[Any]) -> int:
    """Return the number of columns of y (n,) or (n, n_outputs)."""
    return 1 if y.ndim == 1 else int(y.shape[1])


def _is_mapped(array: Any) -> bool:
    """Return whether an array, or what it is a view of, is a memory map."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None
