"""Scaled inputs: one pass over a source fits a scaler, and rows are scaled when they are read."""

from __future__ import annotations

from inspect import signature
from typing import Any, TypeVar

import numpy as np

from fastmlp._checks import shown
from fastmlp.data.source import Source, SourceRows
from fastmlp.data.wrapped import WrappedSource, check_source
from fastmlp.exceptions import DataFormatError

S = TypeVar("S")

NARROW = ("float16", "float32", "int8", "uint8", "int16", "uint16", "bool")
"""Types whose numbers float32 has; those of others are scaled in float64."""


class ScaledSource(WrappedSource):
    """The rows of a source with scaled inputs. Made by :func:`scaled`."""

    __module__ = "fastmlp.data"

    def __init__(self, source: Source, scaler: Any) -> None:
        super().__init__(source)
        self._scaler = scaler

    def _changed(self, rows: SourceRows) -> SourceRows:
        x = self._scaler.transform(_as_float(rows.X))
        if hasattr(x, "to_numpy"):  # a frame, if the scaler has been told to make some
            x = x.to_numpy()
        if getattr(x, "shape", None) != rows.X.shape:
            raise DataFormatError(
                f"scaler.transform must return an array of shape {rows.X.shape}; got {shown(x)}"
            )
        return rows._replace(X=x)


def fit_scaler(source: Source, scaler: S | None = None) -> S | Any:
    """Fit a scaler to the inputs of a source, in one pass, and return it.

    By default it is scikit-learn's StandardScaler: mean and variance of every feature over all
    rows, added up in float64, which ``(x - mean) / sqrt(variance)`` brings to 0 and 1. Sparse rows
    are divided only. Sample weights count if the scaler's ``partial_fit`` takes them.

    Parameters
    ----------
    source : Source
    scaler : object with ``partial_fit``, optional
        A scaler of scikit-learn that is not yet fitted, such as ``MinMaxScaler()``; changed in
        place.

    Returns
    -------
    object
        `scaler`, or the new one.

    Raises
    ------
    TypeError
        Naming the argument.
    DataFormatError
        Where rows cannot be read or are not finite.
    ValueError
        If no row has a positive weight, and the weights count.
    """
    check_source("source", source)
    if scaler is None:
        from sklearn.preprocessing import StandardScaler

        fitted: Any = StandardScaler(with_mean=not source.is_sparse)
    elif isinstance(scaler, type) or not callable(getattr(scaler, "partial_fit", None)):
        raise TypeError(f"scaler must have a method partial_fit; got {shown(scaler)}")
    else:
        fitted = scaler
    takes_weights = "sample_weight" in signature(fitted.partial_fit).parameters
    is_fitted = False
    for begin, end in source.pieces():
        rows = source.read(begin, end)
        x = _as_float(rows.X).astype(np.float64)
        _check_finite(source, begin, x)
        if rows.weights is None or not takes_weights:
            fitted.partial_fit(x)
        elif rows.weights.any():
            fitted.partial_fit(x, sample_weight=rows.weights)
        else:  # scikit-learn refuses a part whose mean is not defined
            continue
        is_fitted = True
    if not is_fitted:
        raise ValueError(
            f"source must have a row with a positive sample weight; all {len(source)} are zero"
        )
    return fitted


def scaled(source: Source, scaler: Any) -> Source:
    """Return a source whose inputs are those of `source`, scaled when they are read.

    Parameters
    ----------
    source : Source
    scaler : object with ``transform``
        Fitted, for example by :func:`fit_scaler`, or a Pipeline of transformers that keep the
        number of columns. Called in a thread.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        Naming the argument.
    """
    check_source("source", source)
    if isinstance(scaler, type) or not callable(getattr(scaler, "transform", None)):
        raise TypeError(f"scaler must have a method transform; got {shown(scaler)}")
    return ScaledSource(source, scaler)


def _as_float(x: Any) -> Any:
    """Return numbers as float32, or as float64 where float32 does not have them all."""
    if x.dtype.kind not in "fiub":
        raise DataFormatError(f"X must be real numbers; got dtype {x.dtype}")
    return x.astype(np.float32 if x.dtype.name in NARROW else np.float64, copy=False)


def _check_finite(source: Source, begin: int, x: Any) -> None:
    """Raise DataFormatError, with the place, at the first number that is not finite."""
    values = x.data if hasattr(x, "tocsr") else x
    if np.isfinite(values).all():
        return
    dense = x.toarray() if hasattr(x, "tocsr") else x
    row, column = map(int, np.argwhere(~np.isfinite(dense))[0])
    raise DataFormatError(
        f"{source.locate(begin + row, 'X', column)}: expected a finite number, found "
        f"{dense[row, column]}"
    )
