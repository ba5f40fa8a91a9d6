"""Predictions for the rows of a source, window by window."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import shown
from fastmlp._types import Array
from fastmlp.data.reader import Format, Window, WindowReader
from fastmlp.data.source import Source, SourceRows
from fastmlp.data.wrapped import WrappedSource, check_source
from fastmlp.engine.plan import FEW_ROWS
from fastmlp.engine.rows import SparseRows
from fastmlp.exceptions import DataFormatError
from fastmlp.network.network import Network

WINDOW_BYTES = 1 << 24
"""Memory of the inputs of a window, in bytes; there are two windows."""

LEAST_ROWS = 64
"""Rows of a window, however wide they are."""


class PredictionWindow(NamedTuple):
    """Rows of a source to predict, in their order.

    Attributes
    ----------
    X : ndarray or SciPy CSR matrix of shape (n, n_features)
        Checked, in the network's dtype; the array belongs to the reader.
    y : ndarray of shape (n,) or (n, n_outputs)
        Unchecked targets, as the source has them.
    weights : ndarray of shape (n,) or None
        Unchecked sample weights.
    begin : int
        Number of the first row.
    """

    X: Any
    y: NDArray[Any]
    weights: NDArray[Any] | None
    begin: int


class _Inputs(WrappedSource):
    """The inputs of a source; its targets and weights are put aside, as they are.

    Attributes
    ----------
    others : deque of SourceRows
        Targets and weights of the pieces, in the order in which these have been read.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.others: deque[tuple[NDArray[Any], NDArray[Any] | None]] = deque()

    @property
    def n_outputs(self) -> int:
        """One, for the zeros in the place of the targets."""
        return 1

    @property
    def has_weights(self) -> bool:
        """Never."""
        return False

    def read(self, begin: int, end: int) -> SourceRows:
        """Return some rows with 0 as their targets."""
        rows = self._source.read(begin, end)
        if len(rows.y) != end - begin:
            raise DataFormatError(f"expected {end - begin} targets, found {len(rows.y)}")
        self.others.append((rows.y, rows.weights))
        return SourceRows(rows.X, np.zeros(end - begin, np.uint8))


def read_windows(source: Source, dtype: np.dtype[Any]) -> Iterator[PredictionWindow]:
    """Yield the rows of a source in windows, each until the next one is asked for.

    A thread reads the next window while one is in use.

    Parameters
    ----------
    source : Source
    dtype : float32 or float64
        Of the network.

    Raises
    ------
    DataFormatError, OSError
        Where rows cannot be read, or are not finite; with the place.
    """
    inputs = _Inputs(source)
    wanted = Format(dtype, source.n_features, 1, "", (0, 0))
    reader = WindowReader(inputs, wanted, 1, _window_rows(source, dtype))
    read = cast(Generator[Window], reader.windows(None))
    with closing(read) as windows:  # the thread ends with this function
        for window in windows:
            y, weights = _taken(inputs.others, window.n_rows)
            yield PredictionWindow(_matrix(window.rows.x), y, weights, window.begin)


def _window_rows(source: Source, dtype: np.dtype[Any]) -> int:
    """Return the number of rows of a window.

    The last window is never so short that the network multiplies its rows in another way: they have
    the bits of the same rows in an array.
    """
    n_rows = max(LEAST_ROWS, WINDOW_BYTES // (dtype.itemsize * source.n_features))
    if n_rows >= len(source):
        return len(source)
    while 0 < len(source) % n_rows <= FEW_ROWS < n_rows - 1:
        n_rows -= 1
    return n_rows


def _taken(
    others: deque[tuple[NDArray[Any], NDArray[Any] | None]], n_rows: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Take targets and weights of the next rows; those of the rows after them may be there too."""
    targets, weights, n_taken = [], [], 0
    while n_taken < n_rows:
        y, weight = others.popleft()
        targets.append(y)
        if weight is not None:
            weights.append(weight)
        n_taken += len(y)
    return np.concatenate(targets), np.concatenate(weights) if weights else None


def _matrix(x: Array | SparseRows) -> Any:
    """Return rows as Network.predict takes them."""
    if not isinstance(x, SparseRows):
        return x
    from scipy.sparse import csr_matrix

    return csr_matrix((x.values, x.columns, x.begin), shape=x.shape)


def predict(
    network: Network, source: Source, *, out: Array | None = None, n_threads: int | None = None
) -> Array:
    """Compute the outputs of a network for the rows of a source.

    The rows are read window by window; two windows of 16 MiB are in memory, and the outputs, unless
    `out` is a memory map. The bits are those of :meth:`fastmlp.Network.predict` for an array.

    Parameters
    ----------
    network : Network
    source : Source
        With as many features as the network has inputs. Its targets are not used, and may be
        missing.
    out : ndarray of shape (n, n_out), optional
        C-ordered array or memory map of the network's dtype for the result, which is not one of the
        source's arrays; a new array by default. If an error is raised, its contents are undefined.
    n_threads : int or None
        See :func:`fastmlp.resolve_threads`. It does not affect the result.

    Returns
    -------
    ndarray of shape (n, n_out)
        `out`, or the new array.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    DataFormatError, OSError
        Where rows cannot be read, or are not finite; with the place.
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be a fastmlp.Network; got {shown(network)}. Estimators and MyANN "
            "predict sources themselves: model.predict(source)"
        )
    check_source("source", source)
    check_features("source", source, network.sizes[0])
    shape = len(source), network.sizes[-1]
    result = np.empty(shape, network.dtype) if out is None else out
    if not (
        isinstance(result, np.ndarray)
        and (result.shape, result.dtype) == (shape, network.dtype)
        and result.flags.c_contiguous
        and result.flags.writeable
    ):
        raise ValueError(
            f"out must be a writeable C-ordered {network.dtype} array of {shape}; got {shown(out)}"
        )
    for window in read_windows(source, network.dtype):
        rows = result[window.begin : window.begin + len(window.y)]
        network.predict(window.X, out=rows, n_threads=n_threads)
    return result


def check_features(name: str, source: Source, n_features: int) -> None:
    """Raise ValueError if a source, called `name`, has another number of features."""
    if source.n_features != n_features:
        raise ValueError(
            f"{name} must have {n_features} features, as many as the network has inputs; got "
            f"{source.n_features}"
        )
