"""Responses of a classifier on a mesh over two of its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._checks import (
    as_array,
    as_numeric_array,
    check_finite,
    check_iterable,
    check_same_length,
    shown,
)

Points = NDArray[np.float64]

LARGEST = 1e150
"""Largest absolute value of a feature that is drawn, so that ranges do not overflow."""


@dataclass(frozen=True, eq=False)
class Surface:
    """What a classifier answers on a mesh.

    Attributes
    ----------
    x, y : ndarray of shape (n_x,) and (n_y,)
        Values of the two features.
    responses : ndarray of shape (n_y, n_x, n_classes)
        Probabilities; or decision values, which for two classes are -d and d.
    classes : ndarray of shape (n_classes,)
    label : str
        What the responses are: "probability" or "decision value".
    """

    x: Points
    y: Points
    responses: Points
    classes: NDArray[Any]
    label: str

    @property
    def winners(self) -> NDArray[np.intp]:
        """Index of the class with the highest response, (n_y, n_x)."""
        winners: NDArray[np.intp] = self.responses.argmax(axis=2)
        return winners

    @property
    def leads(self) -> Points:
        """Difference of the two highest responses, >= 0, (n_y, n_x)."""
        ordered = np.sort(self.responses, axis=2)
        leads: Points = ordered[..., -1] - ordered[..., -2]
        return leads

    def lead_of(self, index: int) -> Points:
        """Response of a class minus the highest of the others, 0 on its boundary, (n_y, n_x)."""
        others = np.delete(self.responses, index, axis=2).max(axis=2)
        lead: Points = self.responses[..., index] - others
        return lead

    def smoothed(self, step: int) -> Surface:
        """Average the responses over about `step` lines, and keep every `step`-th line."""
        kept = _smooth(self.responses, step)
        return Surface(self.x[::step], self.y[::step], kept, self.classes, self.label)

    def heights(self, index: int | None, step: int) -> Points:
        """Return the responses of a class, or the highest for None, averaged like `smoothed`.

        A jump between two lines becomes a slope over a few of them; drawn with squares, a jump
        would be a comb.
        """
        highest = self.responses.max(axis=2) if index is None else self.responses[..., index]
        return _smooth(highest[..., np.newaxis], step)[..., 0]


def _smooth(values: Points, step: int) -> Points:
    """Average (n_y, n_x, n) over about `step` lines of the mesh; keep every `step`-th line."""
    from scipy.ndimage import gaussian_filter

    smooth: Points = gaussian_filter(values, (step, step, 0), mode="nearest", truncate=3)
    return smooth[::step, ::step]


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows of a data set of which two features are drawn.

    Attributes
    ----------
    table : ndarray of shape (n, n_features), or data frame
        As the classifier gets it.
    names : list of str
        Names of the two features.
    points : ndarray of shape (n, 2)
    columns : (column, column)
        Their indices in an array, or names in a data frame.
    """

    table: Any
    names: tuple[str, str]
    points: Points
    columns: tuple[Any, Any]

    def at(self, x: Points, y: Points, values: Any) -> Any:
        """Rows (n, n_features) with x and y in the two features and `values` in the others."""
        if isinstance(self.table, np.ndarray):
            rows = np.tile(_fixed_numbers(self.table, values), (len(x), 1))
            rows[:, self.columns[0]], rows[:, self.columns[1]] = x, y
            return rows
        names = list(self.table.columns)
        fixed = _given(values, names) if values is not None else {}
        chosen = dict(zip(self.columns, (x, y), strict=True))
        filled = {
            name: chosen[name]
            if name in chosen
            else np.repeat(np.asarray([fixed.get(name, _middle(self.table[name]))]), len(x))
            for name in names
        }
        return type(self.table)(filled)


def check_classifier(classifier: Any, X: Any, y: Any) -> None:
    """Refuse a class, and a classifier in the place of X or y, with a sentence about it.

    Raises
    ------
    TypeError
    """
    if isinstance(classifier, type):
        raise TypeError(
            f"classifier must be a fitted object; got the class {classifier.__name__}. Pass "
            f"{classifier.__name__}(...).fit(X, y)"
        )
    for name, value in {"X": X, "y": y}.items():
        if hasattr(value, "predict"):
            raise TypeError(
                f"{name} must be data; got a {type(value).__name__}. The arguments are "
                "classifier, X, y"
            )
    if not hasattr(classifier, "predict") and hasattr(classifier, "shape"):
        raise TypeError(
            "classifier must be a fitted classifier; got an array. The arguments are "
            "classifier, X, y"
        )


def take_samples(X: Any, features: Any) -> Samples:
    """Check rows and the choice of two features.

    Raises
    ------
    ValueError, TypeError
        If `X` is no table of numbers, or `features` are not two of its columns.
    """
    pair = check_iterable("features", features, "two features: indices, or names of columns")
    if len(pair) != 2:
        raise ValueError(f"features must be two of the features; got {shown(features)}")
    frame = hasattr(X, "columns") and hasattr(X, "__getitem__") and not hasattr(X, "tocsr")
    table: Any = X if frame else as_numeric_array("X", X)
    if table.ndim != 2 if not frame else len(table.columns) == 0:
        raise ValueError(f"X must have 2 dimensions (rows, features); got shape {table.shape}")
    if len(table) == 0:
        raise ValueError("X must have at least one row")
    known = list(table.columns) if frame else list(range(table.shape[1]))
    first, second = (_column(feature, known, features) for feature in pair)
    if first == second:
        raise ValueError(f"features must be two different features; got {shown(features)}")
    chosen = [
        as_numeric_array(f"X[{c!r}]", table[c]) if frame else table[:, c] for c in (first, second)
    ]
    points = np.column_stack(chosen).astype(np.float64)
    check_finite("X", points)
    if np.abs(points).max() > LARGEST:
        raise ValueError(f"X must be below {LARGEST:g} to be drawn; got {np.abs(points).max():g}")
    names = (f"{c}" if frame else f"feature {c}" for c in (first, second))
    return Samples(table, tuple(names), points, (first, second))  # type: ignore[arg-type]


def _column(feature: Any, known: list[Any], given: Any) -> Any:
    """Return the column of a feature, which is its name or its index."""
    if isinstance(feature, str) and feature in known:
        return feature
    is_index = isinstance(feature, int | np.integer) and not isinstance(feature, bool | np.bool_)
    if is_index and 0 <= feature < len(known):
        return known[int(feature)]
    names = all(isinstance(name, str) for name in known)
    allowed = f"indices from 0 to {len(known) - 1}" + (" or names of columns" if names else "")
    raise ValueError(f"features must be {allowed}; got {shown(given)}")


def _fixed_numbers(table: NDArray[Any], values: Any) -> Points:
    """Return a number for every feature: those given, else the medians."""
    fixed: Points = np.median(table.astype(np.float64), axis=0)
    if values is None:
        return fixed
    if not isinstance(values, Mapping):
        given = as_numeric_array("values", values)
        if given.shape != fixed.shape:
            raise ValueError(
                f"values must be {len(fixed)} numbers, one per feature, or a mapping from features "
                f"to values; got shape {given.shape}"
            )
        fixed = given.astype(np.float64)
    else:
        for feature, value in _given(values, list(range(len(fixed)))).items():
            number = as_numeric_array("values", value)
            if number.ndim:
                raise ValueError(f"values must be one number per feature; got {shown(value)}")
            fixed[feature] = number
    check_finite("values", fixed[np.newaxis])
    return fixed


def _given(values: Any, known: list[Any]) -> dict[Any, Any]:
    """Check a mapping from features to values."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f"values must be a mapping from columns of X to values; got {shown(values)}"
        )
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ValueError(f"values must be for features of X; {shown(unknown[0])} is none")
    return dict(values)


def _middle(column: Any) -> Any:
    """Return the median of a column of numbers, or the most frequent value of another.

    Missing values do not count, unless there are no others.
    """
    known = column.dropna() if hasattr(column, "dropna") else column.drop_nulls()
    array = np.asarray(known if len(known) else column)
    if array.dtype.kind in "fiu":
        return np.median(array)
    if not len(known):
        return array[0]
    found, counts = np.unique(array, return_counts=True)
    return found[counts.argmax()]


def respond(
    classifier: Any, rows: Any, response: str, classes: NDArray[Any] | None
) -> tuple[Points, NDArray[Any], str]:
    """Return responses (n, n_classes), the classes, and what the responses are called."""
    methods = {"predict_proba": "probability", "decision_function": "decision value"}
    wanted = tuple(methods) if response == "auto" else (response,)
    method = next((name for name in wanted if hasattr(classifier, name)), None)
    if method is None:
        raise TypeError(
            f"classifier must be a fitted classifier with {' or '.join(wanted)}; "
            f"got {shown(classifier)}"
        )
    found = getattr(classifier, method)(rows)
    values = np.asarray(found, np.float64) if not isinstance(found, list) else np.empty(0)
    if values.ndim == 1 and len(values) == len(rows):
        values = np.column_stack([-values, values])
    known = _classes_of(classifier, classes)
    if values.ndim != 2 or len(values) != len(rows) or values.shape[1] != len(known):
        raise ValueError(
            f"classifier must have one response per class; {method} gave "
            f"{'a list' if isinstance(found, list) else f'shape {values.shape}'} for {len(rows)} "
            f"rows and {len(known)} classes"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"classifier must have finite responses; {method} gave NaN or infinity")
    return values, known, methods[method]


def _classes_of(classifier: Any, labels: NDArray[Any] | None) -> NDArray[Any]:
    classes = getattr(classifier, "classes_", None)
    if classes is None and labels is not None:
        classes = np.unique(labels)
    known = np.empty(0) if classes is None or isinstance(classes, list) else np.asarray(classes)
    if known.ndim != 1 or len(known) < 2:
        raise ValueError(
            "classifier must have classes_ of a single target, two or more; "
            f"got {shown(classes)} (y is used where there are none)"
        )
    return known


def evaluate(
    classifier: Any,
    samples: Samples,
    labels: NDArray[Any] | None,
    *,
    values: Any,
    response: str,
    resolution: int,
    margin: float,
) -> Surface:
    """Evaluate a classifier on a mesh around the samples, `resolution` points along each axis."""
    low, high = samples.points.min(axis=0), samples.points.max(axis=0)
    reach = np.where(high > low, margin * (high - low), np.maximum(np.abs(low), 1.0))
    x, y = (np.linspace(low[i] - reach[i], high[i] + reach[i], resolution) for i in (0, 1))
    xx, yy = np.meshgrid(x, y)
    rows = samples.at(xx.ravel(), yy.ravel(), values)
    found, classes, label = respond(classifier, rows, response, labels)
    return Surface(x, y, found.reshape(resolution, resolution, -1), classes, label)


def check_labels(y: ArrayLike | None, n: int) -> NDArray[Any] | None:
    """Return labels (n,), or None."""
    if y is None:
        return None
    labels = as_array("y", y)
    if labels.ndim != 1:
        raise ValueError(f"y must have 1 dimension; got shape {labels.shape}")
    check_same_length("X", n, "y", len(labels))
    return labels
