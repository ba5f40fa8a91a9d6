"""Targets of the estimators: from labels or numbers to the network's outputs, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array


@dataclass(frozen=True)
class ClassTargets:
    """Labels as network outputs.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted labels; for multilabel targets their column numbers.
    kind : {"binary", "multiclass", "multilabel"}
        One output that is the probability of the second class, one per class that sum to 1, or one
        per label that are independent.
    sparse : bool
        Whether predictions of multilabel targets are sparse, as the targets were.
    """

    classes: NDArray[Any]
    kind: str
    sparse: bool = False

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return 1 if self.kind == "binary" else len(self.classes)

    def encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """Labels (n,), or indicators (n, n_classes), as targets (n, n_outputs) of 0 and 1.

        Raises
        ------
        ValueError
            For labels that are not among the classes.
        """
        if self.kind == "multilabel":
            return self._indicators(y, dtype)
        codes = np.searchsorted(self.classes, y).clip(max=len(self.classes) - 1)
        unknown = self.classes[codes] != y
        if unknown.any():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. "
                f"'y' has {np.unique(y)}."
            )
        if self.kind == "binary":
            return np.asarray(codes[:, np.newaxis], dtype)
        targets: Array = np.zeros((len(codes), len(self.classes)), dtype)
        targets[np.arange(len(codes)), codes] = 1
        return targets

    def _indicators(self, y: Any, dtype: np.dtype[Any]) -> Array:
        dense = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
        if dense.ndim != 2 or dense.shape[1] != len(self.classes):
            raise ValueError(
                f"y must have {len(self.classes)} columns, one per label; got shape {dense.shape}"
            )
        return np.ascontiguousarray(dense != 0, dtype)

    def decode(self, outputs: Array) -> Any:
        """Predicted labels (n,), or indicators (n, n_classes), from outputs (n, n_outputs)."""
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
        """(n, n_classes), from outputs (n, n_outputs)."""
        if self.kind != "binary":
            return outputs
        if len(self.classes) == 1:
            return np.ones_like(outputs)
        return np.concatenate([1 - outputs, outputs], axis=1)


def learn_classes(y: Any) -> ClassTargets:
    """The classes in `y`, labels (n,) or indicators (n, n_labels).

    Raises
    ------
    ValueError
        For continuous numbers, several classes per row, and labels that cannot be sorted.
    """
    from sklearn.utils.multiclass import check_classification_targets, type_of_target

    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind.startswith("continuous"):
        check_classification_targets(y)  # says so in scikit-learn's words
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


def smoothed(targets: Array, smoothing: float, kind: str) -> Array:
    """(1 - s) y + s / K for K classes that exclude each other; K = 2 where there is one output.

    References
    ----------
    C. Szegedy et al., "Rethinking the inception architecture for computer vision" (2016).
    """
    n_classes = targets.shape[1] if kind == "multiclass" else 2
    return targets * targets.dtype.type(1 - smoothing) + targets.dtype.type(smoothing / n_classes)
