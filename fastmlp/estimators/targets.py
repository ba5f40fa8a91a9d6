"""Conversion of class labels to the network's targets, and of its outputs to labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array

TOLERANCE = 1e-3
"""Largest difference of a sum of probabilities from 1."""


@dataclass(frozen=True)
class ClassTargets:
    """Encoding of class labels as network outputs.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted labels; for multilabel targets, the column indices.
    kind : {"binary", "multiclass", "multilabel"}
        One output, the probability of the second class; one output per class, with sum 1; or one
        independent output per label.
    sparse : bool
        Whether the multilabel targets were sparse, so that predictions are sparse too.
    """

    classes: NDArray[Any]
    kind: str
    sparse: bool = False

    @property
    def n_outputs(self) -> int:
        """Number of network outputs."""
        return 1 if self.kind == "binary" else len(self.classes)

    def encode(self, y: Any, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Encode labels (n,) or indicators (n, n_classes) as targets (n, n_outputs) of 0 and 1.

        Probabilities (n, n_classes) remain what they are, between 0 and 1.

        `name` is that of the argument in error messages.

        Raises
        ------
        ValueError
            If a label is not among the classes, or probabilities have no sum of 1.
        """
        if self.kind == "multilabel":
            return self._indicators(y, dtype, name)
        if np.ndim(y) == 2:
            return self._shares(y, dtype, name)
        codes = np.searchsorted(self.classes, y).clip(max=len(self.classes) - 1)
        unknown = self.classes[codes] != y
        if unknown.any():
            raise ValueError(
                f"`{name}` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes}. '{name}' has {np.unique(y)}."
            )
        if self.kind == "binary":
            return np.asarray(codes[:, np.newaxis], dtype)
        targets: Array = np.zeros((len(codes), len(self.classes)), dtype)
        targets[np.arange(len(codes)), codes] = 1
        return targets

    def _indicators(self, y: Any, dtype: np.dtype[Any], name: str) -> Array:
        dense = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
        if dense.ndim != 2 or dense.shape[1] != len(self.classes):
            raise ValueError(
                f"{name} must have {len(self.classes)} columns, one per label; got shape "
                f"{dense.shape}"
            )
        return np.ascontiguousarray(dense != 0, dtype)

    def _shares(self, y: Any, dtype: np.dtype[Any], name: str) -> Array:
        shares = as_probabilities(name, np.asarray(y, np.float64))
        if shares.shape[1] != max(len(self.classes), 2):
            raise ValueError(
                f"{name} must have {len(self.classes)} columns, one per class; got {shares.shape}"
            )
        return np.ascontiguousarray(shares[:, 1:] if self.kind == "binary" else shares, dtype)

    def hard(self, y: Any) -> Any:
        """Return labels as they are, and the most probable class of rows of probabilities."""
        if self.kind == "multilabel" or np.ndim(y) != 2:
            return y
        return self.classes[np.argmax(y, axis=1)]

    def decode(self, outputs: Array) -> Any:
        """Return predicted labels (n,) or indicators (n, n_classes) for outputs (n, n_outputs)."""
        if self.kind == "multiclass":
            return self.classes[outputs.argmax(axis=1)]
        chosen = (outputs > 0.5).astype(np.int64)
        if self.kind == "binary":
            return self.classes[np.minimum(chosen[:, 0], len(self.classes) - 1)]
        if self.sparse:
            from scipy.sparse import csr_matrix

            return csr_matrix(chosen)
        return chosen

    def probabilities(self, outputs: Array) -> Array:
        """Return the class probabilities (n, n_classes) for outputs (n, n_outputs)."""
        if self.kind != "binary":
            return outputs
        if len(self.classes) == 1:
            return np.ones_like(outputs)
        return np.concatenate([1 - outputs, outputs], axis=1)


def learn_classes(y: Any) -> ClassTargets:
    """Return the encoding for the classes in `y`, labels (n,) or indicators (n, n_labels).

    The classes of probabilities (n, n_classes), which are not all 0 and 1, are 0, 1, ....

    Raises
    ------
    ValueError
        For continuous targets that are no probabilities, multiclass-multioutput targets, or labels
        that cannot be sorted.
    """
    from sklearn.utils.multiclass import check_classification_targets, type_of_target

    _check_sortable(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind == "continuous-multioutput":
        n_classes = as_probabilities("y", np.asarray(y, np.float64)).shape[1]
        return ClassTargets(np.arange(n_classes), "binary" if n_classes == 2 else "multiclass")
    if kind.startswith("continuous"):
        check_classification_targets(y)  # raises scikit-learn's error
    if kind.endswith("multioutput"):
        raise ValueError(
            "y must be labels of shape (n,), or 0 and 1 of shape (n, n_labels); several classes "
            "per row are not supported"
        )
    if kind == "multilabel-indicator":
        sparse = hasattr(y, "toarray")
        return ClassTargets(np.arange(np.shape(y)[1]), "multilabel", sparse)
    classes = np.unique(y)
    return ClassTargets(classes, "binary" if len(classes) <= 2 else "multiclass")


def as_probabilities(name: str, array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities (n, n_classes) with rows that sum to 1 exactly.

    Raises
    ------
    ValueError
        If a value is not a probability, or a row's sum differs from 1 by more than ``TOLERANCE``.
    """
    sums = array.sum(axis=1)
    wrong = np.maximum(-array.min(axis=1), np.abs(sums - 1))
    if array.min() < 0 or wrong.max() > TOLERANCE:
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} with several columns must hold probabilities of the classes, each row with "
            f"sum 1; got {array[row][:5].tolist()} in row {row}"
        )
    shares: NDArray[np.float64] = array / sums[:, np.newaxis]
    return shares


def _check_sortable(y: Any) -> None:
    """Raise TypeError for labels of types that cannot be compared, such as "a" and 1."""
    dtype = getattr(y, "dtype", None)
    if dtype is None or dtype.kind != "O":
        return
    try:
        np.unique(y)
    except TypeError:
        types = sorted({type(label).__name__ for label in np.ravel(y)})
        if len(types) == 1:
            return  # scikit-learn's message about the type says more
        raise TypeError(
            f"y must hold labels of one type, or of types that can be sorted; got "
            f"{', '.join(types)}. Convert them, for example with y.astype(str); missing labels "
            "must be filled or dropped"
        ) from None


def smoothed(targets: Array, smoothing: float, kind: str) -> Array:
    """Return (1 - s) y + s / K for K mutually exclusive classes; K = 2 with a single output.

    References
    ----------
    C. Szegedy et al., "Rethinking the inception architecture for computer vision" (2016).
    """
    n_classes = targets.shape[1] if kind == "multiclass" else 2
    return targets * targets.dtype.type(1 - smoothing) + targets.dtype.type(smoothing / n_classes)
