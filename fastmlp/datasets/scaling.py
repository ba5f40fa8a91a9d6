"""Standardization by scikit-learn, in blocks of rows to avoid a second copy of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_choice

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

KINDS = ("feature", "global", "none")
BLOCK_BYTES = 1 << 24
MOMENTS = ("mean", "var", "scale")
"""Arrays of a fitted StandardScaler, by names without the underscore."""


class Scaler:
    """Transformation to mean 0 and variance 1, fitted on one set and applied to others.

    Parameters
    ----------
    kind : {"feature", "global", "none"}
        One mean and deviation per feature, one for all features, or no change.

    Attributes
    ----------
    standard_scaler : sklearn.preprocessing.StandardScaler or None
        The fitted scaler; for "global" it has a single feature.
    """

    def __init__(self, kind: str = "feature") -> None:
        self.kind = check_choice("kind", kind, KINDS)
        self.standard_scaler: StandardScaler | None = None

    def fit(self, X: NDArray[Any]) -> Scaler:
        """Compute mean and deviation of X (n, n_features), which is not modified."""
        self.standard_scaler = None
        for rows in _blocks(X):
            self.partial_fit(X[rows])
        return self

    def partial_fit(self, X: NDArray[Any]) -> Scaler:
        """Add the rows X (n, n_features) to those that mean and deviation are computed of."""
        if self.kind == "none":
            return self
        if self.standard_scaler is None:
            from sklearn.preprocessing import StandardScaler

            self.standard_scaler = StandardScaler()
        self.standard_scaler.partial_fit(self._columns(X))
        return self

    def transform(self, X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return X (n, n_features) scaled, as a new array of `dtype`."""
        out = np.empty(X.shape, dtype)
        for rows in _blocks(X):
            if self.kind == "none":
                out[rows] = X[rows]
            else:
                scaled = self._fitted().transform(self._columns(X[rows]))
                out[rows] = scaled.reshape(X[rows].shape)
        return out

    def inverse_transform(self, X: NDArray[Any]) -> NDArray[Any]:
        """Undo the scaling of `X` (n, n_features), as a new array."""
        if self.kind == "none":
            return X.copy()
        unscaled: NDArray[Any] = self._fitted().inverse_transform(self._columns(X))
        return unscaled.reshape(X.shape)

    def state(self) -> dict[str, Any]:
        """Return the state needed to restore a fitted scaler: its moments and number of rows.

        Returns
        -------
        dict
            ``mean``, ``var``, ``scale``: arrays of shape (n_features,), or (1,) for "global";
            ``n_rows``: int. Empty if nothing was fitted.
        """
        fitted = self.standard_scaler
        if fitted is None:
            return {}
        moments = {name: getattr(fitted, f"{name}_") for name in MOMENTS}
        return moments | {"n_rows": int(np.max(fitted.n_samples_seen_))}

    @classmethod
    def restored(
        cls,
        kind: str,
        mean: NDArray[Any],
        var: NDArray[Any],
        scale: NDArray[Any],
        n_rows: int,
    ) -> Scaler:
        """Return a fitted scaler from its `state`.

        Raises
        ------
        ValueError
            If the arrays are not 1-D, of one shape and finite, or a scale is not positive.
        """
        from sklearn.preprocessing import StandardScaler

        scaler, fitted = cls(kind), StandardScaler()
        for name, moment in zip(MOMENTS, (mean, var, scale), strict=True):
            if moment.ndim != 1 or moment.shape != mean.shape or not np.isfinite(moment).all():
                raise ValueError(f"the scaler's {name} must be finite, one number per feature")
            setattr(fitted, f"{name}_", moment)
        if not (scale > 0).all():
            raise ValueError("the scaler's scale must be positive")
        fitted.n_samples_seen_, fitted.n_features_in_ = np.int64(n_rows), len(mean)
        scaler.standard_scaler = fitted
        return scaler

    def _fitted(self) -> StandardScaler:
        if self.standard_scaler is None:
            raise ValueError("this Scaler has not been fitted: call fit(X) first")
        return self.standard_scaler

    def _columns(self, block: NDArray[Any]) -> NDArray[Any]:
        return block.reshape(-1, 1) if self.kind == "global" else block


def _blocks(X: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of rows that take about BLOCK_BYTES as float64."""
    n_rows = max(1, BLOCK_BYTES // (8 * X.shape[1]))
    for begin in range(0, len(X), n_rows):
        yield slice(begin, begin + n_rows)
