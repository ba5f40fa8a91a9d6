"""Parameters of a step as JSON, and back."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np

from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Fields
from fastmlp.files.plain_values import encode

_DTYPES = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_NOT_SET = "deprecated"
"""Default of parameters that scikit-learn is about to remove; they are not written."""


def describe_parameters(step: Any, where: str, besides: Collection[str] = ()) -> dict[str, Any]:
    """Return the parameters of a step, encoded, but those in `besides`.

    Parameters
    ----------
    step : estimator of scikit-learn
    where : str
        The step for messages, as from `named`.
    besides : collection of str
        Parameters that are saved in another form.

    Raises
    ------
    TypeError
        For values that are no data, such as functions, with step and parameter.
    """
    parameters = step.get_params(deep=False)
    return {
        name: _encoded(where, name, value)
        for name, value in parameters.items()
        if name not in besides and not (isinstance(value, str) and value == _NOT_SET)
    }


def restore_parameters(cls: type, fields: Fields, besides: Collection[str] = ()) -> dict[str, Any]:
    """Return the parameters for the constructor of a step; unknown names are an error.

    Raises
    ------
    ModelFormatError
    """
    known = set(cls._get_param_names()) - set(besides)  # type: ignore[attr-defined]
    parameters = {name: fields.plain(name) for name in fields.names() if name in known}
    fields.end()
    if "dtype" in parameters:
        parameters["dtype"] = _dtype(parameters["dtype"], fields.where)
    return parameters


def _encoded(where: str, name: str, value: Any) -> Any:
    try:
        if name == "dtype":
            return _dtype_name(value)
        return encode(value)
    except TypeError as error:
        raise TypeError(
            f"{where}: {name}={value!r}: {error}; a model file can hold numbers, strings, None, "
            "arrays, and lists and mappings of these"
        ) from None


def _dtype_name(value: Any) -> str:
    name: str = np.dtype(value).name
    if not _DTYPES.fullmatch(name):
        raise TypeError(f"the dtype {name} cannot be saved")
    return name


def _dtype(name: Any, where: str) -> type:
    if type(name) is not str or not _DTYPES.fullmatch(name):
        raise ModelFormatError(f"{where}: 'dtype' must be the name of a type of numbers")
    return np.dtype(name).type
