"""Predictions for Dask collections, which stay lazy, and scores from sums over partitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import _num_samples, check_array

from fastmlp.dask.collection import CollectionSource, Part, source_of
from fastmlp.estimators.naming import naming
from fastmlp.estimators.source_scores import RunningR2
from fastmlp.estimators.sources import positive_weight, single_column
from fastmlp.losses import Quantile


def lazily(local: Any, method: str, X: Any) -> Any:
    """Return the predictions of a fitted estimator for a collection, of the same kind.

    Parameters
    ----------
    local : MLPClassifier or MLPRegressor
    method : str
        ``"predict"``, ``"predict_proba"`` or another one.
    X : dask array, data frame, or list of delayed partitions
    """
    from dask.delayed import delayed

    width, dtype = _kind_of_outputs(local, method)
    if isinstance(X, list | tuple):
        model = delayed(local, pure=True)
        return [delayed(_outputs)(model, method, part, width, dtype) for part in X]
    if hasattr(X, "chunks"):
        X = X.rechunk({1: -1})
        shape = {"drop_axis": 1} if width is None else {"chunks": (X.chunks[0], (width,))}
        return X.map_blocks(
            lambda part: _outputs(local, method, part, width, dtype),
            dtype=dtype,
            meta=np.empty((0,) if width is None else (0, width), dtype),
            **shape,
        )
    return _of_frame(local, method, X, width, dtype)


def _of_frame(local: Any, method: str, X: Any, width: int | None, dtype: Any) -> Any:
    """Return the predictions for a data frame, with its index: a Series, or a column per output."""
    import pandas as pd

    names = _columns(local, method, width)
    if width is None:
        meta: Any = pd.Series(np.empty(0, dtype), name=method)
    else:
        meta = pd.DataFrame(np.empty((0, width), dtype), columns=names)

    def predicted(part: Any) -> Any:
        values = _outputs(local, method, part, width, dtype)
        if width is None:
            return pd.Series(values, index=part.index, name=method)
        return pd.DataFrame(values, index=part.index, columns=names)

    return X.map_partitions(predicted, meta=meta)


def _columns(local: Any, method: str, width: int | None) -> list[Any]:
    classes = getattr(local, "classes_", None)
    if method != "predict" and classes is not None and width == len(classes):
        return list(classes)
    return list(range(width or 0))


def _outputs(local: Any, method: str, part: Any, width: int | None, dtype: Any) -> Any:
    """Return the predictions for a partition, which may be empty."""
    if _num_samples(part) == 0:
        return np.empty((0,) if width is None else (0, width), dtype)
    return getattr(local, method)(part)


def _kind_of_outputs(local: Any, method: str) -> tuple[int | None, Any]:
    """Return the number of columns of predictions, None for a vector, and their dtype."""
    row = np.zeros((1, local.n_features_in_))
    known = vars(local).get("feature_names_in_")
    if known is not None:
        import pandas as pd

        row = pd.DataFrame(row, columns=known)
    found = getattr(local, method)(row)
    return (None if found.ndim == 1 else found.shape[1]), found.dtype


def summed_score(client: Any, local: Any, X: Any, y: Any, sample_weight: Any) -> float:
    """Return the score of a collection, from sums over its partitions.

    It is accuracy, or R^2 (mean over outputs). D^2 of quantiles has no such sums: targets and
    predictions come to the client.

    Raises
    ------
    ValueError
        For targets that are not finite, labels of another kind than the classes, and weights that
        are all 0.
    """
    source = source_of(client, X, y, sample_weight)
    if is_classifier(local):
        right, total = sum(_on_parts(client, _hits, local, source))
        return float(right / positive_weight(total))
    if isinstance(local._loss_function(), Quantile):
        parts = _on_parts(client, _quantiles, local, source)
        targets, outputs, weights = map(np.concatenate, zip(*parts, strict=True))
        positive_weight(weights.sum())
        with naming("y"):
            return float(local._default_score(targets, weights)(outputs))
    running = RunningR2()
    for part in _on_parts(client, _running_r2, local, source):
        running.merge(part)
    return running.score()


def _on_parts(client: Any, function: Any, local: Any, source: CollectionSource) -> Any:
    """Return what a function of the estimator and a partition has for each that has rows."""
    filled = [
        future
        for facts, future in zip(source.partitions, source.futures, strict=True)
        if facts.n_rows
    ]
    return client.gather([client.submit(function, local, part, pure=False) for part in filled])


def _hits(local: Any, part: Part) -> Any:
    """Return the weight of the rows that are predicted right, and of all, (2,)."""
    X, y, weights = _given(part)
    predicted = local.predict(X)
    with naming("y"):
        right = accuracy_score(single_column(y), predicted, normalize=False, sample_weight=weights)
    return np.array([right, weights.sum()])


def _running_r2(local: Any, part: Part) -> RunningR2:
    """Return the sums of R^2."""
    X, y, weights = _given(part)
    y = check_array(y.reshape(len(y), -1), dtype=float, input_name="y")
    running = RunningR2()
    running.add(y, np.asarray(local.predict(X), float).reshape(y.shape), weights)
    return running


def _quantiles(local: Any, part: Part) -> tuple[Any, Any, Any]:
    """Return targets and predictions (n, n_outputs), and weights (n,)."""
    X, y, weights = _given(part)
    outputs = local._predictions(X)
    return local._columns(y, "y").astype(outputs.dtype), outputs, weights


def _given(part: Part) -> tuple[Any, Any, Any]:
    """Return X, as the estimator was given it, y, and weights (n,) float64 of a partition."""
    X, y, weights = part.rows
    if part.names is not None:
        import pandas as pd

        X = pd.DataFrame(X, columns=list(part.names))
    return X, y, np.ones(len(y)) if weights is None else weights.astype(float)
