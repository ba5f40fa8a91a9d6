"""Fitted StandardScaler, MinMaxScaler and RobustScaler as arrays, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.plain_values import encode

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
COLUMNS: dict[type, tuple[str, ...]] = {
    StandardScaler: ("mean_", "var_", "scale_"),
    MinMaxScaler: ("min_", "scale_", "data_min_", "data_max_", "data_range_"),
    RobustScaler: ("center_", "scale_"),
}
"""Fitted attributes that have a number for every feature, or are None."""

COUNT = "n_samples_seen_"


def describe_scaler(
    scaler: Any, where: str, place: str, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    """Add the fitted numbers of a scaler to `arrays`, under names that begin with `place`.

    Returns
    -------
    dict
        The names of the attributes that are arrays, and the number of rows seen.

    Raises
    ------
    TypeError
        For numbers that are neither float32 nor float64.
    """
    present = []
    for name in COLUMNS[type(scaler)]:
        column = getattr(scaler, name)
        if column is None:
            continue
        if column.dtype not in FLOATS:
            raise TypeError(f"{where}: {name} of {column.dtype} cannot be saved")
        arrays[f"{place}.{name}"] = column
        present.append(name)
    fitted: dict[str, Any] = {"arrays": present}
    if hasattr(scaler, COUNT):
        fitted[COUNT] = encode(getattr(scaler, COUNT))
    return fitted


def restore_scaler(
    scaler: Any, fields: Fields, place: str, arrays: Arrays, n_features: int
) -> None:
    """Give a scaler its fitted numbers.

    It is fitted to zeros first, so that everything else that its class keeps is there too.

    Raises
    ------
    ModelFormatError, ValueError
        The latter from scikit-learn's checks of the parameters.
    """
    present = fields.texts("arrays")
    scaler.fit(np.zeros((1, n_features)))
    for name in COLUMNS[type(scaler)]:
        fitted = getattr(scaler, name) is not None
        if (name in present) is not fitted:
            raise ModelFormatError(f"{fields.where}: {name} does not fit the parameters")
        if fitted:
            values = arrays.take(f"{place}.{name}", FLOATS, (n_features,), finite=False)
            setattr(scaler, name, values)
    if len(present) != len(set(present) & set(COLUMNS[type(scaler)])):
        raise ModelFormatError(f"{fields.where}: 'arrays' has an unknown name, or one twice")
    if hasattr(scaler, COUNT):
        _restore_count(scaler, fields, n_features)


def _restore_count(scaler: Any, fields: Fields, n_features: int) -> None:
    """Restore the number of rows seen: of all features, or an array of one number for each."""
    count = fields.plain(COUNT, int, float, np.ndarray)
    numbers = np.asarray(count)
    shape_fits = numbers.shape in ((), (n_features,)) and numbers.dtype.kind in "if"
    if not shape_fits or not (numbers >= 0).all():
        raise ModelFormatError(f"{fields.where}: {COUNT!r} must be numbers of rows")
    if isinstance(scaler, StandardScaler) and not isinstance(count, np.ndarray):
        count = numbers[()]  # a number of NumPy, as scikit-learn has it
    setattr(scaler, COUNT, count)
