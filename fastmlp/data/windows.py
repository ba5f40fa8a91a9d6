"""Windows over a series as a source, without copies of the series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastmlp._checks import as_numeric_array, check_integer
from fastmlp.data.arrays import BLOCK_BYTES
from fastmlp.data.source import Indices, Source, SourceRows, even_blocks


class WindowSource(Source):
    """Rows of a series: `width` values as inputs, and the `horizon` values after them as targets.

    Made by :func:`windows`.
    """

    __module__ = "fastmlp.data"

    def __init__(self, series: NDArray[Any], targets: NDArray[Any], width: int, horizon: int):
        self._series, self._targets = series, targets  # (n, n_columns) and (n, n_targets)
        self._width, self._horizon = width, horizon

    def __len__(self) -> int:
        return len(self._series) - self._width - self._horizon + 1

    @property
    def n_features(self) -> int:
        """Width times number of columns."""
        return self._width * int(self._series.shape[1])

    @property
    def n_outputs(self) -> int:
        """Horizon times number of target columns."""
        return self._horizon * int(self._targets.shape[1])

    @property
    def is_series(self) -> bool:
        """Always: neighbouring windows overlap."""
        return True

    @property
    def blocks(self) -> Indices:
        """Boundaries of blocks of about BLOCK_BYTES, when they are windows."""
        return even_blocks(len(self), BLOCK_BYTES // (self._series.itemsize * self.n_features))

    def read(self, begin: int, end: int) -> SourceRows:
        """Return copies of some windows and their targets."""
        last = end + self._width - 1
        x = _windows(self._series[begin:last], self._width)
        y = _windows(
            self._targets[begin + self._width : last + self._horizon],
            self._horizon,
        )
        return SourceRows(x, y)

    def locate(self, row: int, what: str = "X", column: int | None = None) -> str:
        """Say where in the series a number is."""
        values = self._series if what == "X" else self._targets
        column = column or 0
        at = row + column // values.shape[1] + (0 if what == "X" else self._width)
        where = f"series, row {at}"
        return where if values.shape[1] == 1 else f"{where}, column {column % values.shape[1]}"

    def facts(self) -> Mapping[str, Any]:
        """Return type, width and horizon."""
        return {
            "series": str(self._series.dtype),
            "width": self._width,
            "horizon": self._horizon,
        }


def windows(series: Any, width: int, horizon: int = 1, *, target: int | None = None) -> Source:
    """Return a source whose rows are all windows over a series.

    Row i has ``series[i : i + width]`` as inputs, flattened in the order of time, and
    ``series[i + width : i + width + horizon]`` as targets. The series is not copied: windows are
    made when they are read, where ``sliding_window_view`` makes `width` copies of it when it is
    trained on.

    Parameters
    ----------
    series : array or memory map of shape (n,) or (n, n_columns)
        Real numbers of any type, in the order of time; n >= width + horizon.
    width : int >= 1
        Values of each column that a row has as inputs.
    horizon : int >= 1
        Values after them that are its targets.
    target : int, optional
        The column that is predicted; by default all are.

    Returns
    -------
    Source
        Of ``n - width - horizon + 1`` rows.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.
    """
    values = as_numeric_array("series", series)
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise ValueError(f"series must have shape (n,) or (n, columns); got {values.shape}")
    values = values.reshape(len(values), -1)
    width = check_integer("width", width, minimum=1)
    horizon = check_integer("horizon", horizon, minimum=1)
    if len(values) < width + horizon:
        raise ValueError(
            f"series must have at least width + horizon = {width + horizon} rows; got {len(values)}"
        )
    targets = values
    if target is not None:
        column = check_integer("target", target, minimum=0, maximum=values.shape[1] - 1)
        targets = values[:, column : column + 1]
    return WindowSource(values, targets, width, horizon)


def _windows(values: NDArray[Any], width: int) -> NDArray[Any]:
    """Return all windows over values (n, k) as rows (n - width + 1, width * k), copied."""
    view = sliding_window_view(values, width, axis=0)  # (rows, k, width)
    return np.ascontiguousarray(view.swapaxes(1, 2)).reshape(len(view), -1)
