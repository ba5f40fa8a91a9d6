"""Piecewise-linear encoding of numbers, and a transformer that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp._checks import check_integer
from fastmlp._links import Documented
from fastmlp.estimators.naming import naming, naming_columns
from fastmlp.tables.plain import PlainPickles, is_part
from fastmlp.tables.weighted import Numbers, weighted_quantiles

SAME = 1e-9
"""Edges whose relative difference is smaller are the same."""


@is_part
@dataclass(frozen=True)
class PiecewiseBins:
    """Bins of all columns, side by side: column j of the result is clip((x_owner - left) / width).

    Attributes
    ----------
    owner : ndarray of shape (n_bins,), intp
        Column of the numbers that each bin belongs to.
    left, rate : ndarray of shape (n_bins,), float64
        Left edge of each bin, and 1 / width.
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    owner: NDArray[np.intp]
    left: Numbers
    rate: Numbers

    @classmethod
    def of(cls, numbers: Numbers, weights: Numbers | None, n_bins: int) -> PiecewiseBins:
        """Return bins between quantiles; columns with fewer than three values get none.

        Parameters
        ----------
        numbers : ndarray of shape (n, n_numbers)
            NaN is left out.
        weights : ndarray of shape (n,), > 0, or None
        n_bins : int >= 2
            Bins per column at most; equal quantiles make fewer.
        """
        levels = np.linspace(0, 1, n_bins + 1)
        owner: list[int] = []
        left: list[float] = []
        rate: list[float] = []
        for i, column in enumerate(numbers.T):
            known = ~np.isnan(column)
            if not known.any():
                continue
            present = None if weights is None else weights[known]
            edges = _apart(np.unique(weighted_quantiles(column[known], present, levels)))
            if len(edges) < 3:
                continue
            with np.errstate(over="ignore"):
                widths = np.diff(edges)
                usable = np.isfinite(1 / widths) & np.isfinite(widths)
            owner += [i] * int(np.sum(usable))
            left += edges[:-1][usable].tolist()
            rate += (1 / widths[usable]).tolist()
        return cls(np.array(owner, np.intp), np.array(left), np.array(rate))

    def encode(self, numbers: Numbers) -> Numbers:
        """Return the positions within the bins, (n, n_bins), each in [0, 1]; NaN is unknown."""
        inside = numbers[:, self.owner]
        inside -= self.left
        inside *= self.rate
        np.maximum(inside, 0.0, out=inside)
        return np.minimum(inside, 1.0, out=inside)


class PiecewiseLinearEncoder(PlainPickles, Documented, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode every number by its position in each of its column's bins.

    With edges b_0 < b_1 < ... between quantiles, bin t gives
    ``clip((x - b_(t-1)) / (b_t - b_(t-1)), 0, 1)``: bins below x are 1, bins above are 0. A linear
    layer on top is a piecewise-linear function of x.

    Parameters
    ----------
    n_bins : int >= 2, default=16
        Bins per column at most; columns with few values have fewer. A column of one or two values
        is left as it is, scaled to [0, 1].

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Defined only if `X` has names that are all strings.
    n_features_out_ : int

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep
    learning" (2022).

    Examples
    --------
    >>> import numpy as np
    >>> encoder = PiecewiseLinearEncoder(n_bins=2).fit(np.array([[0.0], [1.0], [2.0], [4.0]]))
    >>> encoder.transform(np.array([[0.5], [3.0]])).tolist()
    [[0.5, 0.0], [1.0, 0.6666666666666666]]
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    def __init__(self, n_bins: int = 16) -> None:
        self.n_bins = n_bins

    def fit(self, X: Any, y: Any = None) -> PiecewiseLinearEncoder:
        """Learn the bins.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN is allowed and does not count.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `X` is not numbers, or `n_bins` not an integer from 2 on.
        """
        check_integer("n_bins", self.n_bins, minimum=2)
        x = self._check(X, reset=True)
        bins = PiecewiseBins.of(x, None, self.n_bins)
        few = sorted(set(range(x.shape[1])) - set(bins.owner.tolist()))
        low, range_ = _ranges(x[:, few])
        owner = np.concatenate([bins.owner, np.array(few, np.intp)])
        order = np.argsort(owner, kind="stable")
        self._bins = PiecewiseBins(
            owner[order],
            np.concatenate([bins.left, low])[order],
            np.concatenate([bins.rate, 1 / range_])[order],
        )
        self.n_features_out_ = len(owner)
        return self

    def transform(self, X: Any) -> Numbers:
        """Encode numbers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, `n_features_out_`), float64
            NaN where a number is NaN.
        """
        check_is_fitted(self)
        return self._bins.encode(self._check(X, reset=False))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the encoded columns: ``<column>_bin<t>``, from 0.

        Parameters
        ----------
        input_features : array-like of str, shape (n_features,), or None
            Names of the columns of `X`; by default those of `fit`.

        Returns
        -------
        ndarray of str, shape (n_encoded,)
        """
        from sklearn.utils.validation import _check_feature_names_in

        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        owner = self._bins.owner
        first = np.searchsorted(owner, owner)
        return np.array(
            [
                f"{names[i]}_bin{t}"
                for i, t in zip(owner, np.arange(len(owner)) - first, strict=True)
            ],
            object,
        )

    def _check(self, X: Any, *, reset: bool) -> Numbers:
        with naming("X"), naming_columns("X", X):
            checked: Numbers = validate_data(
                self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
            )
            return checked

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _apart(edges: Numbers) -> Numbers:
    """Leave out edges that differ from the one before by rounding alone."""
    gaps = np.diff(edges)
    far = gaps > SAME * np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))
    apart: Numbers = edges[np.concatenate([[True], far])]
    return apart


def _ranges(x: Numbers) -> tuple[Numbers, Numbers]:
    """Return minimum and range of every column, 0 and 1 where it is empty or constant."""
    low, high = (
        np.array([f(c[~np.isnan(c)], initial=start) for c in x.T])
        for f, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    width = high - low
    usable = np.isfinite(width) & (width > 0)
    return np.where(np.isfinite(low), low, 0.0), np.where(usable, width, 1.0)
