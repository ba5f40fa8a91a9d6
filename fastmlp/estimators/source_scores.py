"""Predictions and scores of an estimator for the rows of a source, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from fastmlp._types import Array
from fastmlp.data.predicting import PredictionWindow, read_windows
from fastmlp.data.source import Source
from fastmlp.estimators.sources import (
    check_labels,
    finite_targets,
    positive_weight,
    single_column,
    take_features,
)
from fastmlp.exceptions import DataFormatError

Floats = NDArray[np.float64]
Finish = Callable[[Array], Any]
"""Makes predictions of a network's outputs (n, n_outputs)."""


def windows_of(estimator: Any, source: Source) -> Iterator[PredictionWindow]:
    """Yield the windows of a source, which must have the features of the fit.

    Raises
    ------
    NotFittedError
        Before `fit`.
    ValueError
        If number or names of the features differ from those of the fit.
    DataFormatError, OSError
        Where rows cannot be read, or are not finite; with the place.
    """
    check_is_fitted(estimator)
    take_features(estimator, source, reset=False)
    yield from read_windows(source, estimator._network().dtype)


def predictions(
    estimator: Any, source: Source, finish: Finish
) -> Iterator[tuple[Any, PredictionWindow]]:
    """Yield what `finish` makes of the outputs for every window of a source, and the window.

    Raises
    ------
    NotFittedError, ValueError, DataFormatError, OSError
        As :func:`windows_of`.
    """
    check_is_fitted(estimator)
    network = estimator._network()
    for window in windows_of(estimator, source):
        yield finish(network.predict(window.X, n_threads=estimator.n_threads)), window


def predicted(estimator: Any, source: Source, finish: Finish) -> Any:
    """Return what `finish` makes of the outputs of all rows, as :func:`predictions`."""
    return joined(len(source), predictions(estimator, source, finish))


def hidden_outputs(estimator: Any, source: Source, layer: int) -> Array:
    """Return the outputs (n, n_nodes) of a layer for all rows, as :func:`windows_of`."""
    network = estimator._network()
    parts = (
        (network.transform(window.X, layer=layer, n_threads=estimator.n_threads), window)
        for window in windows_of(estimator, source)
    )
    outputs: Array = joined(len(source), parts)
    return outputs


def joined(n_rows: int, parts: Iterable[tuple[Any, PredictionWindow]]) -> Any:
    """Return the predictions of all windows, of `n_rows` rows together, as one array."""
    result: Any = None
    sparse = []
    for values, window in parts:
        if hasattr(values, "tocsr"):
            sparse.append(values)
            continue
        if result is None:
            result = np.empty((n_rows, *values.shape[1:]), values.dtype)
        result[window.begin : window.begin + len(values)] = values
    if sparse:
        from scipy.sparse import vstack

        return vstack(sparse, "csr")
    return result


def accuracy(estimator: Any, source: Source, decode: Finish) -> float:
    """Return the share of rows, by weight, whose labels are all predicted.

    Parameters
    ----------
    estimator : MLPClassifier
    source : Source
        With labels; those that the fit has not seen are never predicted.
    decode : Finish
        Makes labels of outputs.

    Raises
    ------
    ValueError
        If the source has no labels, or all weights are 0.
    DataFormatError, OSError
        As :func:`predictions`, and for labels that are NaN or of another kind than the classes.
    """
    check_is_fitted(estimator)
    is_multilabel = estimator._targets.kind == "multilabel"
    _check_targets(source, len(estimator.classes_) if is_multilabel else 1)
    right = total = 0.0
    for predicted, window in predictions(estimator, source, decode):
        y = single_column(window.y)
        check_labels(source, y, window.begin)
        _check_kind(source, estimator.classes_, y, window.begin)
        dense = predicted.toarray() if hasattr(predicted, "toarray") else predicted
        is_right = dense == y
        is_right = is_right.all(axis=1) if is_right.ndim == 2 else is_right
        weights = _weights(window)
        right += float(weights @ is_right)
        total += float(weights.sum())
    return right / positive_weight(total)


@dataclass
class RunningR2:
    """R^2 of predictions that come in parts.

    Attributes
    ----------
    total : float
        Sum of the weights.
    mean, squares, residual : ndarray of shape (n_outputs,)
        Weighted mean of the targets, and sums of the squares of their distances from it and from
        the predictions.

    References
    ----------
    T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances" (1979).
    """

    total: float = 0.0
    mean: Floats | float = 0.0
    squares: Floats | float = 0.0
    residual: Floats | float = 0.0

    def add(self, y: Floats, predicted: Floats, weights: Floats) -> None:
        """Add rows: targets and predictions (n, n_outputs), and weights (n,)."""
        total = float(weights.sum())
        if total == 0:
            return
        mean = weights @ y / total
        squares, residual = weights @ (y - mean) ** 2, weights @ (y - predicted) ** 2
        self.merge(RunningR2(total, mean, squares, residual))

    def merge(self, other: RunningR2) -> None:
        """Add the rows of another one."""
        if other.total == 0:
            return
        total = self.total + other.total
        step = other.mean - self.mean
        self.squares = self.squares + other.squares + step**2 * self.total * other.total / total
        self.residual = self.residual + other.residual
        self.mean, self.total = self.mean + step * other.total / total, total

    def score(self) -> float:
        """Return the mean of R^2 over the outputs; 1 or 0 for targets that are all equal."""
        positive_weight(self.total)
        squares, residual = np.atleast_1d(self.squares), np.atleast_1d(self.residual)
        share = np.divide(residual, squares, out=(residual > 0).astype(float), where=squares > 0)
        return float(np.mean(1 - share))


def r2(estimator: Any, source: Source, finish: Finish) -> float:
    """Return R^2 of the predictions for a source, as scikit-learn's `r2_score`.

    Parameters
    ----------
    estimator : MLPRegressor
    source : Source
        With targets and at least two rows.
    finish : Finish
        Makes predictions (n, n_outputs) in the units of the targets.

    Raises
    ------
    ValueError
        If the source has no such targets, too few rows, or weights that are all 0.
    DataFormatError, OSError
        As :func:`predictions`, and for targets that are not finite.
    """
    check_is_fitted(estimator)
    _check_targets(source, estimator._network().sizes[-1])
    if len(source) < 2:
        raise ValueError(f"X must have at least two rows for R^2; got {len(source)}")
    running = RunningR2()
    for predicted, window in predictions(estimator, source, finish):
        y = finite_targets(source, window.y, window.begin)
        running.add(y, predicted.astype(np.float64), _weights(window))
    return running.score()


def with_targets(
    estimator: Any, source: Source, finish: Finish, n_targets: int
) -> tuple[Any, Floats, NDArray[Any] | None]:
    """Return predictions, targets and weights of all rows, for scores that need them at once."""
    _check_targets(source, n_targets)
    targets, weights = [], []

    def noted() -> Iterator[tuple[Any, PredictionWindow]]:
        for values, window in predictions(estimator, source, finish):
            targets.append(finite_targets(source, window.y, window.begin))
            weights.append(window.weights)
            yield values, window

    predicted = joined(len(source), noted())
    given = [part for part in weights if part is not None]
    return predicted, np.concatenate(targets), np.concatenate(given) if given else None


def _check_targets(source: Source, n_outputs: int) -> None:
    if source.n_outputs != n_outputs:
        raise ValueError(
            f"X must be a source with {n_outputs} target(s) per row for a score; got "
            f"{source.n_outputs}"
        )


def _check_kind(source: Source, classes: NDArray[Any], y: NDArray[Any], begin: int) -> None:
    """Raise DataFormatError if one of classes and labels are numbers, the others strings."""
    is_text, expected = (array.dtype.kind in "UO" for array in (y, classes))
    if is_text != expected:
        names = {True: "strings", False: "numbers"}
        raise DataFormatError(
            f"{source.locate(begin, 'y', 0)}: expected labels that are {names[expected]}, as in "
            f"the fit, found {names[is_text]}"
        )


def _weights(window: PredictionWindow) -> Floats:
    if window.weights is None:
        return np.ones(len(window.y))
    return window.weights.astype(np.float64)
