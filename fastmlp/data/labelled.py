"""Sources of a classification task: labels as one-hot targets, inputs standardized."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastmlp.data.classes import one_hot
from fastmlp.data.scaling import fit_scaler, scaled
from fastmlp.data.source import Source
from fastmlp.datasets.scaling import Scaler


class LabelledSources(NamedTuple):
    """Sources on which a network is trained and measured.

    Attributes
    ----------
    train : Source
    test : Source or None
    classes : ndarray of shape (n_classes,)
        Sorted labels.
    """

    train: Source
    test: Source | None
    classes: NDArray[Any]


class RowScaler:
    """A Scaler with the interface of scikit-learn: rows keep their type.

    Parameters
    ----------
    scaler : Scaler
        Fitted.
    """

    def __init__(self, scaler: Scaler) -> None:
        self.scaler = scaler

    def transform(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return X (n, n_features) scaled, as a new array."""
        return self.scaler.transform(X, X.dtype)


def prepare_sources(
    train: Source,
    test: Source | None,
    scaler: Scaler,
    *,
    argument: str,
    classes: NDArray[Any] | None = None,
) -> LabelledSources:
    """Find the classes and fit the scaler on the training rows, in one pass each.

    Parameters
    ----------
    train : Source
        With one target per row, its label.
    test : Source or None
        With labels that occur in `train`.
    scaler : Scaler
        Fitted in place.
    argument : str
        Name of the data in error messages.
    classes : ndarray of shape (n_classes,), optional
        All labels; by default those of `train`.

    Raises
    ------
    ValueError
        If there is one class only, or the sources have other columns than each other.
    DataFormatError
        If rows cannot be used; with the place.
    """
    labelled = one_hot(train, classes)
    if len(labelled.classes) < 2:
        raise ValueError(
            f"{argument} must have at least two classes; all labels are {labelled.classes[0]}"
        )
    if test is not None and test.n_features != train.n_features:
        raise ValueError(
            f"{argument} must have the same features for training and test; got "
            f"{train.n_features} and {test.n_features}"
        )
    held_out = None if test is None else one_hot(test, labelled.classes)
    if scaler.kind == "none":
        return LabelledSources(labelled, held_out, labelled.classes)
    fit_scaler(train, scaler)
    rows = RowScaler(scaler)
    return LabelledSources(
        scaled(labelled, rows),
        None if held_out is None else scaled(held_out, rows),
        labelled.classes,
    )
