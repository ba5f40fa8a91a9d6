"""Standardisation by scikit-learn, in blocks of rows, so that no second copy of the data exists."""

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


class Scaler:
    """Mean 0 and variance 1, with the numbers of the set it was fitted on.

    Parameters
    ----------
    kind : {"feature", "global", "none"}
        One mean and deviation per feature, one for all features, or no change.

    Attributes
    ----------
    standard_scaler : sklearn.preprocessing.StandardScaler or None
        The fitted scaler; for "global" it knows a single feature.
    """

    def __init__(self, kind: str = "feature") -> None:
        self.kind = check_choice("kind", kind, KINDS)
        self.standard_scaler: StandardScaler | None = None

    def fit(self, X: NDArray[Any]) -> Scaler:
        """Learn from X (n, n_features); X is not modified."""
        if self.kind == "none":
            return self
        from sklearn.preprocessing import StandardScaler

        self.standard_scaler = StandardScaler()
        for rows in _blocks(X):
            self.standard_scaler.partial_fit(self._columns(X[rows]))
        return self

    def transform(self, X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A new scaled array (n, n_features) of `dtype`."""
        out = np.empty(X.shape, dtype)
        for rows in _blocks(X):
            if self.kind == "none":
                out[rows] = X[rows]
            else:
                scaled = self._fitted().transform(self._columns(X[rows]))
                out[rows] = scaled.reshape(X[rows].shape)
        return out

    def inverse_transform(self, X: NDArray[Any]) -> NDArray[Any]:
        """What `X` (n, n_features) was before scaling, as a new array."""
        if self.kind == "none":
            return X.copy()
        unscaled: NDArray[Any] = self._fitted().inverse_transform(self._columns(X))
        return unscaled.reshape(X.shape)

    def _fitted(self) -> StandardScaler:
        if self.standard_scaler is None:
            raise ValueError("this Scaler has not been fitted: call fit(X) first")
        return self.standard_scaler

    def _columns(self, block: NDArray[Any]) -> NDArray[Any]:
        return block.reshape(-1, 1) if self.kind == "global" else block


def _blocks(X: NDArray[Any]) -> Iterator[slice]:
    """Slices of about BLOCK_BYTES of float64 rows."""
    n_rows = max(1, BLOCK_BYTES // (8 * X.shape[1]))
    for begin in range(0, len(X), n_rows):
        yield slice(begin, begin + n_rows)
