"""Numbers and codes of a table as the inputs of a network, without looking at the target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.tables.piecewise import PiecewiseBins
from fastmlp.tables.plain import is_part
from fastmlp.tables.reader import Cells, Reader
from fastmlp.tables.weighted import Numbers, weighted_quantiles

CLIP = 3.0
"""Where the smooth clip z / sqrt(1 + (z / 3)^2) has its limits."""

HUGE = 1e100
"""Larger numbers are taken for this one; its square is finite."""

MIN_ROWS, MIN_SHARE = 10, 0.02
"""A category in fewer rows, and in a smaller share of them, has no column of its own."""

FREQUENT_ROWS, MAX_INDICATORS = 20, 200
"""Of more than `max_one_hot` categories, those in as many rows have indicators, so many at most."""


def smooth_clip(z: Numbers) -> Numbers:
    """Return z / sqrt(1 + (z / 3)^2), nearly z around 0 and within (-3, 3) everywhere."""
    clipped: Numbers = z / np.sqrt(1.0 + (z / CLIP) ** 2)
    return clipped


@is_part
@dataclass(frozen=True)
class Features:
    """Everything that makes columns of inputs from cells.

    The inputs stand in this order: numbers, marks of missing numbers, bins, indicators of
    categories, and log frequencies of columns with many categories.

    Attributes
    ----------
    kept : ndarray of shape (n_kept,), intp
        Columns of the numbers that are not constant.
    center, rate : ndarray of shape (n_kept,), float64
        Median, and 1 over the interquartile range (half the range where that is 0).
    marked : ndarray of shape (n_marked,), intp
        Columns of the numbers in which some values were missing.
    fill : ndarray of shape (n_numbers,), float64
        Median of every column.
    bins : PiecewiseBins
    indicators : list of ndarray of shape (n_categories + 1,), intp
        For every categorical column the position of each code's indicator, or -1.
    n_indicators : list of int
        Number of indicators of every categorical column.
    frequencies : list of ndarray of shape (n_categories + 1,) or None
        For columns with many categories the scaled logarithm of 1 + each code's count.
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    kept: NDArray[np.intp]
    center: Numbers
    rate: Numbers
    marked: NDArray[np.intp]
    fill: Numbers
    bins: PiecewiseBins
    indicators: list[NDArray[np.intp]]
    n_indicators: list[int]
    frequencies: list[Numbers | None]

    @classmethod
    def learn(
        cls,
        cells: Cells,
        n_categories: list[int],
        weights: Numbers | None,
        *,
        max_one_hot: int,
        n_bins: int,
    ) -> Features:
        """Learn from rows.

        Parameters
        ----------
        cells : Cells
        n_categories : list of int
            Length of every categorical column's list.
        weights : ndarray of shape (n,), > 0, or None
            Of the rows; they count in medians, ranges and bins.
        max_one_hot : int
            Categories up to which all of them have indicators.
        n_bins : int
            Bins per number; 0 for none.
        """
        missing = np.isnan(cells.numbers)
        quartiles = [_quartiles(column, weights) for column in cells.numbers.T]
        center = np.array([q[0] for q in quartiles])
        scale = np.array([q[1] for q in quartiles])
        kept = np.flatnonzero(scale > 0)
        bins = PiecewiseBins(np.zeros(0, np.intp), np.zeros(0), np.zeros(0))
        if n_bins:
            bins = PiecewiseBins.of(cells.numbers, weights, n_bins)
        indicators, n_indicators, frequencies = [], [], []
        for codes, n in zip(cells.codes.T, n_categories, strict=True):
            table, n_columns = _indicator_table(codes, n, max_one_hot)
            indicators.append(table)
            n_indicators.append(n_columns)
            frequencies.append(_log_frequencies(codes, n) if n > max_one_hot else None)
        return cls(
            kept,
            center[kept],
            1 / scale[kept],
            np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)),
            center,
            bins,
            indicators,
            n_indicators,
            frequencies,
        )

    def without_bins(self) -> Features:
        """Return the same features without bins."""
        none = PiecewiseBins(np.zeros(0, np.intp), np.zeros(0), np.zeros(0))
        return replace(self, bins=none)

    @cached_property
    def bin_columns(self) -> slice:
        """Where the bins stand among the inputs."""
        begin = len(self.kept) + len(self.marked)
        return slice(begin, begin + len(self.bins.owner))

    @cached_property
    def many(self) -> NDArray[np.bool_]:
        """Mask of the categorical columns that have statistics of the target."""
        return np.array([table is not None for table in self.frequencies], bool)

    @cached_property
    def n_inputs(self) -> int:
        """Number of inputs that `encode` returns."""
        many = sum(table is not None for table in self.frequencies)
        numbers = len(self.kept) + len(self.marked) + len(self.bins.owner)
        return numbers + sum(self.n_indicators) + many

    def encode(self, cells: Cells, dtype: Any, *, extra: int = 0) -> NDArray[Any]:
        """Return the inputs of the network, (n, n_inputs + extra); the last `extra` are not set."""
        numbers, codes = cells
        n = len(numbers)
        inputs: NDArray[Any] = np.empty((n, self.n_inputs + extra), dtype)
        missing = np.isnan(numbers)
        if missing.any():
            numbers = np.where(missing, self.fill, numbers)
        end = len(self.kept)
        with np.errstate(over="ignore"):
            z = (numbers[:, self.kept] - self.center) * self.rate
            np.minimum(np.maximum(z, -HUGE, out=z), HUGE, out=z)
        inputs[:, :end] = smooth_clip(z)
        if len(self.marked):
            inputs[:, end : end + len(self.marked)] = missing[:, self.marked]
        bins, end = self.bin_columns, self.bin_columns.stop
        if end > bins.start:
            inputs[:, bins] = self.bins.encode(numbers)
        inputs[:, end : self.n_inputs] = 0
        if codes.shape[1]:
            self._encode_codes(codes, inputs, end)
        return inputs

    def _encode_codes(self, codes: NDArray[np.intp], inputs: NDArray[Any], end: int) -> None:
        """Write indicators and frequencies into the inputs, from column `end` on, which are 0."""
        rows = np.arange(len(codes))
        for column, table, n_columns in zip(
            codes.T, self.indicators, self.n_indicators, strict=True
        ):
            place = table[column]
            there = place >= 0
            inputs[rows[there], end + place[there]] = 1
            end += n_columns
        for column, counts in zip(codes.T, self.frequencies, strict=True):
            if counts is not None:
                inputs[:, end] = counts[column]
                end += 1

    def sources(self, reader: Reader) -> list[int]:
        """Return for every input the position of the table's column that it comes from."""
        owners = reader.number_owners
        numbers = np.concatenate([self.kept, self.marked, self.bins.owner]).astype(np.intp)
        categorical = [i for i, c in enumerate(reader.columns) if c.kind == "categorical"]
        sources: list[int] = owners[numbers].tolist()
        for column, n in zip(categorical, self.n_indicators, strict=True):
            sources += [column] * n
        for column, counts in zip(categorical, self.frequencies, strict=True):
            sources += [] if counts is None else [column]
        return sources

    def names(self, reader: Reader) -> list[str]:
        """Return a name for every input."""
        numbers, categorical = reader.number_names, reader.categorical
        names = [numbers[i] for i in self.kept]
        names += [f"{numbers[i]}_missing" for i in self.marked]
        seen: dict[int, int] = {}
        for i in self.bins.owner.tolist():
            names.append(f"{numbers[i]}_bin{seen.setdefault(i, 0)}")
            seen[i] += 1
        for column, table, n_columns in zip(
            categorical, self.indicators, self.n_indicators, strict=True
        ):
            for place in range(n_columns):
                codes = np.flatnonzero(table[:-1] == place)
                key = column.categories[codes[0]] if len(codes) == 1 else "other"
                names.append(f"{column.name}_{'missing' if key is None else key}")
        for column, counts in zip(categorical, self.frequencies, strict=True):
            names += [] if counts is None else [f"{column.name}_frequency"]
        return names


def different(names: list[str]) -> list[str]:
    """Return names of which no two are the same: a second "town_other" becomes "town_other_2"."""
    taken, result = set(names), []
    seen: set[str] = set()
    for name in names:
        new, number = name, 1
        while new in seen or (new != name and new in taken):
            number += 1
            new = f"{name}_{number}"
        seen.add(new)
        result.append(new)
    return result


def _quartiles(column: Numbers, weights: Numbers | None) -> tuple[float, float]:
    """Return median and scale of a column: interquartile range, or half the range; 0 for none."""
    known = ~np.isnan(column)
    if not known.any():
        return 0.0, 0.0
    present = None if weights is None else weights[known]
    levels = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    with np.errstate(over="ignore"):
        low, first, middle, third, high = weighted_quantiles(column[known], present, levels)
        scale = third - first if third > first else (high - low) / 2
    usable = scale > 1e-300 and np.isfinite(scale)
    return float(middle), float(scale) if usable else 0.0


def _counts(codes: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    return np.bincount(codes, minlength=n + 1)


def _indicator_table(
    codes: NDArray[np.intp], n: int, max_one_hot: int
) -> tuple[NDArray[np.intp], int]:
    """Return the indicator of every code of a column, -1 for none, and the number of indicators.

    With few categories rare ones share the last indicator, and so does what is unknown; with many
    the frequent ones have indicators.
    """
    counts = _counts(codes, n)[:n]
    enough = max(1, min(MIN_ROWS, round(MIN_SHARE * len(codes))))
    own = np.flatnonzero(counts >= enough)
    table = np.full(n + 1, -1, np.intp)
    if n > max_one_hot:
        own = np.flatnonzero(counts >= FREQUENT_ROWS)
        own = own[np.argsort(-counts[own], kind="stable")][:MAX_INDICATORS]
        table[own] = np.arange(len(own))
        return table, len(own)
    if len(own) == n == 1:
        return table, 0  # constant
    table[own] = np.arange(len(own))
    if len(own) < n:
        table[table < 0] = len(own)
        return table, len(own) + 1
    return table, n


def _log_frequencies(codes: NDArray[np.intp], n: int) -> Numbers:
    """Return log(1 + count) of every code, centered and scaled over the rows."""
    logs = np.log1p(_counts(codes, n).astype(np.float64))
    logs[n] = 0.0
    of_rows = logs[codes]
    deviation = of_rows.std()
    return smooth_clip((logs - of_rows.mean()) / (deviation if deviation > 0 else 1.0))
