"""Means of the target per category, for columns with many categories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastmlp.tables.features import smooth_clip
from fastmlp.tables.plain import is_part
from fastmlp.tables.weighted import Numbers

N_FOLDS = 5


@is_part
@dataclass(frozen=True)
class TargetStatistics:
    """Smoothed means of the targets in every category, as inputs of a network.

    Attributes
    ----------
    tables : list of ndarray of shape (n_categories + 1, n_targets)
        For every column the scaled statistic of each code; the last row is for unknown categories.
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    tables: list[Numbers]

    @property
    def n_inputs(self) -> int:
        """Number of inputs that `encode` returns."""
        return sum(table.shape[1] for table in self.tables)

    def encode(self, codes: NDArray[np.intp]) -> Numbers:
        """Return the statistics for codes (n, n_columns), as inputs (n, n_inputs)."""
        if not self.tables:  # learned without a target
            return np.zeros((len(codes), 0))
        parts = [table[column] for column, table in zip(codes.T, self.tables, strict=True)]
        return np.concatenate(parts, axis=1)

    @classmethod
    def learn(
        cls,
        codes: NDArray[np.intp],
        n_categories: list[int],
        targets: Numbers,
        weights: Numbers | None,
        fold: NDArray[np.intp],
    ) -> tuple[TargetStatistics, Numbers]:
        """Return statistics of all rows for new ones, and the training rows' own inputs.

        A training row gets the statistic of the rows in other folds, so that its own target is not
        among its inputs; the mean of all rows if there are none.

        Parameters
        ----------
        codes : ndarray of shape (n, n_columns), intp
        n_categories : list of int
        targets : ndarray of shape (n, n_targets)
            Standardized numbers, or 0 and 1, or probabilities.
        weights : ndarray of shape (n,), >= 0, or None
        fold : ndarray of shape (n,), intp
            From 0 to ``N_FOLDS`` - 1.

        Returns
        -------
        TargetStatistics
        ndarray of shape (n, n_inputs)
        """
        w = np.ones(len(codes)) if weights is None else weights
        tables, own = [], []
        for column, n in zip(codes.T, n_categories, strict=True):
            of_rows = np.empty(targets.shape)
            for k in range(N_FOLDS):
                inside = fold == k
                if inside.any():
                    rest = ~inside & (w > 0)
                    if not rest.any():  # a single group, whose means would be its own targets
                        of_rows[inside] = np.average(targets, axis=0, weights=w)
                        continue
                    table = smoothed_means(column[rest], n, targets[rest], w[rest])
                    of_rows[inside] = table[column[inside]]
            center = np.average(of_rows, axis=0, weights=w)
            spread = np.sqrt(np.average((of_rows - center) ** 2, axis=0, weights=w))
            spread = np.where(spread > 1e-12, spread, 1.0)
            table = smoothed_means(column, n, targets, w)
            tables.append(smooth_clip((table - center) / spread))
            own.append(smooth_clip((of_rows - center) / spread))
        statistics = cls(tables)
        return statistics, np.concatenate(own, axis=1) if own else np.zeros((len(codes), 0))


def smoothed_means(
    codes: NDArray[np.intp], n_categories: int, targets: Numbers, weights: Numbers
) -> Numbers:
    """Return the means (s_c + m mu) / (n_c + m) of the targets per category.

    s_c and n_c are the sums of targets and weights in category c, mu the mean of all, and m the
    ratio of the variance within categories to that between them (empirical Bayes), at least 1.

    Parameters
    ----------
    codes : ndarray of shape (n,), intp
        From 0 to `n_categories`; the last one is for unknown categories.
    targets : ndarray of shape (n, n_targets)
    weights : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n_categories + 1, n_targets)
        mu for categories without rows, and in the last row.

    References
    ----------
    D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes" (2001).
    """
    size = n_categories + 1
    counts = np.bincount(codes, weights, minlength=size)[:, np.newaxis]
    sums = np.stack([np.bincount(codes, weights * t, minlength=size) for t in targets.T], axis=1)
    mean = sums.sum(axis=0) / counts.sum()
    total = np.average((targets - mean) ** 2, axis=0, weights=weights)
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    within_sum = np.average((targets - means[codes]) ** 2, axis=0, weights=weights)
    occupied, n = int(np.count_nonzero(counts)), float(counts.sum())
    # Unbiased: the means of the categories have taken one degree of freedom each.
    within = within_sum * n / max(n - occupied, 0.1 * n)
    between = np.maximum(total - within, 1e-3 * total)
    m = np.clip(np.divide(within, between, out=np.ones_like(total), where=between > 0), 1.0, 1e3)
    table: Numbers = (sums + m * mean) / (counts + m)
    table[-1] = mean
    return table
