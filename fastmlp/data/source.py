"""The interface of a source of rows: where they are read from, block by block."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]

HASHED_BLOCKS, HASHED_ROWS = 8, 64
"""A fingerprint reads the first rows of so many blocks, and so many rows of each."""

PIECE_BYTES = 1 << 22
"""Memory of the rows that are read at once, in bytes, with 8 bytes per number."""


class SourceRows(NamedTuple):
    """Some rows of a source, in the types of the source.

    Attributes
    ----------
    X : ndarray or SciPy CSR matrix of shape (n, n_features)
        Numbers of any real type.
    y : ndarray of shape (n,) or (n, n_outputs)
        Numbers; labels of any type in a source for a classifier; of shape (n, 0) where there are
        none.
    weights : ndarray of shape (n,) or None
        Sample weights; None if all are 1.
    """

    X: Any
    y: NDArray[Any]
    weights: NDArray[Any] | None = None


SourceRows.__module__ = "fastmlp.data"  # the class statement of a NamedTuple cannot set it


class Source(ABC):
    """Rows with targets that are read when they are needed, block by block.

    A subclass says how many rows, features and targets there are, and reads rows. Objects of a
    subclass may be read by one thread at a time.
    """

    __module__ = "fastmlp.data"

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows, at least 1."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number of columns of X."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of targets of a row; 1 for labels, 0 for rows that can only be predicted."""

    @property
    @abstractmethod
    def blocks(self) -> Indices:
        """Boundaries of the natural blocks, (n_blocks + 1,) intp, rising from 0 to the length.

        A block is what is read fast in its order: a row group of a file, some pages of a memory
        map. Shuffling changes the order of the blocks.
        """

    @abstractmethod
    def read(self, begin: int, end: int) -> SourceRows:
        """Return the rows from `begin` to `end` (excluded), 0 <= begin < end <= length.

        Raises
        ------
        DataFormatError
            Where the rows cannot be read; it names the place.
        OSError
        """

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the columns of X, in their order; None if they have none."""
        return None

    @property
    def window_rows(self) -> int | None:
        """Rows that are in memory and shuffled at once, if the training does not say it."""
        return None

    @property
    def has_weights(self) -> bool:
        """Whether the rows have sample weights."""
        return False

    @property
    def is_sparse(self) -> bool:
        """Whether X are SciPy CSR matrices."""
        return False

    @property
    def is_series(self) -> bool:
        """Whether neighbouring rows share numbers, as windows over a series do.

        :func:`split` then holds out the last rows: the neighbours of a row say much about it.
        """
        return False

    @property
    def can_take(self) -> bool:
        """Whether `take` reads single rows as fast as `read` does; then any order is possible."""
        return False

    def take(self, rows: Indices) -> SourceRows:
        """Return the rows with these indices, (n,) intp, in their order."""
        raise NotImplementedError(f"{type(self).__name__} reads rows in their order")

    def read_targets(self, begin: int, end: int) -> NDArray[Any]:
        """Return y of the rows from `begin` to `end`, (n,) or (n, n_outputs)."""
        return self.read(begin, end).y

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say where a number is, for error messages.

        Parameters
        ----------
        row : int
            Counted from 0.
        what : {"X", "y", "sample_weight"}
        column : int, optional
            Counted from 0; not for sample weights.
        """
        where = f"{what}, row {row}"
        return where if column is None else f"{where}, column {column}"

    @property
    def piece_rows(self) -> int:
        """Number of rows that are read at once, at least 1."""
        return max(1, PIECE_BYTES // (8 * (self.n_features + self.n_outputs)))

    # --- Fingerprint

    def facts(self) -> Mapping[str, Any]:
        """Return what is known without reading rows, as JSON: compared when a run is resumed."""
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Type, shape and SHA-256 of facts and of some rows, for the comparison of resumed runs.

        It notices another number of rows, features, targets or blocks, other names and types of
        columns, another size of a file, and another number in the first 64 rows of 8 blocks, evenly
        spaced. A number that has changed elsewhere, without the size of the file, is not noticed.
        """
        digest = hashlib.sha256()
        facts = {"blocks": len(self.blocks) - 1, "weights": self.has_weights, **self.facts()}
        digest.update(json.dumps(facts, sort_keys=True).encode())
        begins = self.blocks[:-1]
        chosen = np.unique(np.linspace(0, len(begins) - 1, HASHED_BLOCKS).astype(int))
        for begin in begins[chosen].tolist():
            for part in self.read(begin, min(begin + HASHED_ROWS, len(self))):
                digest.update(b"none" if part is None else _bytes_of(part))
        shape = len(self), self.n_features, self.n_outputs
        return f"{type(self).__name__} {shape} sha256:{digest.hexdigest()}"

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield begin and end of pieces of at most PIECE_BYTES, in the order of the rows.

        No piece crosses the boundary of a block.
        """
        step = self.piece_rows
        for begin, end in zip(self.blocks[:-1].tolist(), self.blocks[1:].tolist(), strict=True):
            for first in range(begin, end, step):
                yield first, min(first + step, end)


def joined(parts: Sequence[SourceRows]) -> SourceRows:
    """Return the rows of several parts, one after the other; those of a single one as they are."""
    if len(parts) == 1:
        return parts[0]
    xs = [part.X for part in parts]
    if hasattr(xs[0], "tocsr"):
        from scipy.sparse import vstack

        x = vstack(xs, "csr")
    else:
        x = np.concatenate(xs)
    weights = [part.weights for part in parts if part.weights is not None]
    y = joined_targets([part.y for part in parts])
    return SourceRows(x, y, np.concatenate(weights) if weights else None)


def joined_targets(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return y of several parts, one after the other: (n,) if one of them is, else (n, n_out)."""
    if any(part.ndim == 1 for part in parts):
        parts = [part.reshape(len(part)) for part in parts]
    return np.concatenate(parts)


def even_blocks(n_rows: int, block_rows: int) -> Indices:
    """Return boundaries of blocks of `block_rows` rows; the last one may be shorter."""
    return np.append(np.arange(0, n_rows, max(1, block_rows), dtype=np.intp), np.intp(n_rows))


def _bytes_of(part: Any) -> bytes:
    """Type and numbers of an array or a CSR matrix; of strings and objects their text."""
    array = part.toarray() if hasattr(part, "tocsr") else part
    if array.dtype.kind == "O":
        array = array.astype(str)
    if array.dtype.kind == "U":
        return "\0".join(array.ravel().tolist()).encode("utf-8", "surrogatepass")
    return str(array.dtype).encode() + np.ascontiguousarray(array).tobytes()
