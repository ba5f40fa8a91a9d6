"""Data of a MyANN that are sources, read window by window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import as_labels
from fastmlp._types import Array
from fastmlp.data.labelled import LabelledSources, RowScaler, prepare_sources
from fastmlp.data.predicting import check_features, read_windows
from fastmlp.data.scaling import scaled
from fastmlp.data.source import Source
from fastmlp.datasets.labelled import LabelledData, without_rows
from fastmlp.datasets.scaling import Scaler

Sources = Source | tuple[Source, Source]
"""Training rows, or training and test rows."""


def are_sources(my_data_set: Any) -> bool:
    """Return whether it is a source or a pair of sources."""
    parts = my_data_set if isinstance(my_data_set, tuple) else (my_data_set,)
    return len(parts) in (1, 2) and all(isinstance(part, Source) for part in parts)


def prepare_data(my_data_set: Any, scaler: Scaler) -> LabelledSources:
    """Find the classes, and fit `scaler` in place, as :func:`prepare_sources`."""
    parts = my_data_set if isinstance(my_data_set, tuple) else (my_data_set,)
    test = parts[1] if len(parts) == 2 else None
    return prepare_sources(parts[0], test, scaler, argument="my_data_set")


def without_sources(data: LabelledSources, dtype: np.dtype[Any]) -> LabelledData:
    """Return shapes and classes of the data, which are not in memory."""
    n_test = 0 if data.test is None else len(data.test)
    where = f"sources of {len(data.train)} training and {n_test} test rows"
    return without_rows(data.train.n_features, data.classes, dtype, where)


def predict_windows(ann: Any, source: Source) -> Iterator[tuple[Array, NDArray[Any]]]:
    """Yield outputs (n, n_out) of the rows of a source, window by window, and their targets.

    Parameters
    ----------
    ann : MyANN
    source : Source
        Unscaled, like the training rows.

    Yields
    ------
    outputs, y
        Targets (n,) or (n, n_outputs) as the source has them.

    Raises
    ------
    ValueError
        If number or names of the features differ from those of the training rows.
    DataFormatError, OSError
        Where rows cannot be read, or are not finite; with the place.
    """
    network, names, known = ann.network, source.feature_names, ann.feature_names
    check_features("X", source, network.sizes[0])
    if names is not None and known is not None and names != known:
        raise ValueError(f"X must have the features {known}, as the training rows; got {names}")
    rows = source if ann.scaler.kind == "none" else scaled(source, RowScaler(ann.scaler))
    for window in read_windows(rows, network.dtype):
        yield network.predict(window.X, n_threads=ann.n_threads), window.y


def predict_labels(ann: Any, source: Source) -> NDArray[Any]:
    """Return the labels (n,) with the largest outputs, as :func:`predict_windows`."""
    windows = predict_windows(ann, source)
    return np.concatenate([ann.classes_[outputs.argmax(axis=1)] for outputs, _ in windows])


def accuracy(ann: Any, source: Source) -> float:
    """Return the share of rows whose label is predicted.

    Raises
    ------
    ValueError
        If the source has no labels, or as :func:`predict_windows`.
    """
    if source.n_outputs != 1:
        raise ValueError(
            f"X must be a source with one label per row for a score; got {source.n_outputs} targets"
        )
    n_right = 0
    for outputs, y in predict_windows(ann, source):
        labels = as_labels("y", y.reshape(len(y)))
        n_right += int((ann.classes_[outputs.argmax(axis=1)] == labels).sum())
    return n_right / len(source)
