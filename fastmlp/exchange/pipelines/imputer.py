"""A fitted SimpleImputer as values, and back."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Fields
from fastmlp.files.plain_values import encode

_DTYPES = re.compile(r"object|u?int(8|16|32|64)|float(32|64)")


def describe_imputer(imputer: Any, where: str) -> dict[str, Any]:
    """Return what a SimpleImputer fills in, the type of its data, and the indicated columns.

    Raises
    ------
    TypeError
        For values and types that a file cannot hold.
    """
    dtype = getattr(imputer, "_fit_dtype", imputer.statistics_.dtype).name
    if not _DTYPES.fullmatch(dtype):
        raise TypeError(f"{where}: an imputer of {dtype} cannot be saved")
    try:
        statistics = encode(imputer.statistics_)
    except TypeError as error:
        raise TypeError(f"{where}: statistics_: {error}") from None
    indicator = imputer.indicator_
    return {
        "statistics_": statistics,
        "dtype": dtype,
        "indicated": None if indicator is None else indicator.features_.tolist(),
    }


def restore_imputer(imputer: Any, fields: Fields, n_features: int) -> None:
    """Give a SimpleImputer what it fills in.

    It is fitted first to two rows of the type of its data, in which the indicated columns have a
    missing value, so that everything else that its class keeps is there too.

    Raises
    ------
    ModelFormatError, ValueError, TypeError
        The latter two from scikit-learn's checks.
    """
    statistics = fields.plain("statistics_", np.ndarray)
    if statistics.shape != (n_features,) or statistics.dtype.kind not in "Ofiu":
        raise ModelFormatError(f"{fields.where}: 'statistics_' must be a value for every feature")
    dtype = fields.take("dtype", str)
    if not _DTYPES.fullmatch(dtype):
        raise ModelFormatError(f"{fields.where}: 'dtype' must be object or a type of numbers")
    indicated = _indicated(fields, n_features)
    if (indicated is not None) is not bool(imputer.add_indicator):
        raise ModelFormatError(f"{fields.where}: 'indicated' does not fit add_indicator")
    imputer._validate_params()
    rows = np.full((2, n_features), _no_gap(imputer.missing_values, dtype), dtype)
    if indicated:
        rows[0, indicated] = imputer.missing_values
    wanted = imputer.get_params(deep=False)
    imputer.set_params(strategy="constant", fill_value=None).fit(rows).set_params(**wanted)
    imputer.statistics_ = statistics


def _indicated(fields: Fields, n_features: int) -> list[int] | None:
    columns = fields.take("indicated", list, type(None))
    if columns is None:
        return None
    right = all(type(i) is int and 0 <= i < n_features for i in columns)
    if not right or columns != sorted(set(columns)):
        raise ModelFormatError(f"{fields.where}: 'indicated' must be increasing columns")
    return list(columns)


def _no_gap(missing: Any, dtype: str) -> Any:
    """Return a value of the type that is not the missing one."""
    first, second = ("x", "y") if dtype == "object" else (0, 1)
    is_nan = isinstance(missing, float) and math.isnan(missing)
    return second if not is_nan and missing == first else first
