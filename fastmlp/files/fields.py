"""Checked access to a model file: values by name and type, arrays by dtype and shape."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastmlp.exceptions import ModelFormatError
from fastmlp.files.plain_values import decode

Value = TypeVar("Value")

_NAMES = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _type_name(type_: type) -> str:
    return _NAMES.get(type_, f"a {type_.__name__}")


class Fields:
    """JSON object whose values are taken one by one; missing, wrong or unused values are errors.

    Parameters
    ----------
    document : dict
        Not modified.
    where : str
        Prefix of error messages.
    """

    def __init__(self, document: dict[str, Any], where: str) -> None:
        self._rest = dict(document)
        self.where = where

    def take(self, name: str, *types: type) -> Any:
        """Take the value of a name, of exactly one of these types; float also accepts integers."""
        return self._checked(name, self._pop(name), types)

    def _pop(self, name: str) -> Any:
        if name not in self._rest:
            raise ModelFormatError(f"{self.where}: {name!r} is missing")
        return self._rest.pop(name)

    def _checked(self, name: str, value: Any, types: tuple[type, ...]) -> Any:
        found = type(value)
        if found not in types and not (found is int and float in types):
            raise ModelFormatError(
                f"{self.where}: {name!r} must be {' or '.join(map(_type_name, types))}, "
                f"found {_type_name(found)}"
            )
        if found is int and not -(2**63) <= value < 2**63:
            raise ModelFormatError(f"{self.where}: {name!r} is an integer beyond 64 bits")
        return value

    def count(self, name: str, minimum: int = 0) -> int:
        """Take an integer from `minimum` to 2^62, so that native code can add to it in 64 bits."""
        value: int = self.take(name, int)
        if not minimum <= value <= 2**62:
            raise ModelFormatError(f"{self.where}: {name!r} must be from {minimum} to 2^62")
        return value

    def number(self, name: str) -> float:
        """Take a finite number >= 0."""
        value = float(self.take(name, float))
        if not 0 <= value < math.inf:
            raise ModelFormatError(f"{self.where}: {name!r} must be finite and at least 0")
        return value

    def texts(self, name: str) -> list[str]:
        """Take a list of strings."""
        return self._items(name, str)

    def counts(self, name: str) -> list[int]:
        """Take a list of integers from 1 to 2^31 - 1."""
        values = self._items(name, int)
        if not all(1 <= value < 2**31 for value in values):
            raise ModelFormatError(f"{self.where}: {name!r} must be from 1 to 2^31 - 1")
        return values

    def _items(self, name: str, item_type: type[Value]) -> list[Value]:
        values = self.take(name, list)
        if not all(type(value) is item_type for value in values):
            raise ModelFormatError(
                f"{self.where}: {name!r} must be a list, each {_NAMES[item_type]}"
            )
        return values  # type: ignore[no-any-return]

    def fields(self, name: str) -> Fields:
        """Take a JSON object."""
        return Fields(self.take(name, dict), f"{self.where}.{name}")

    def objects(self, name: str) -> list[Fields]:
        """Take a list of JSON objects."""
        items: list[dict[str, Any]] = self._items(name, dict)
        return [Fields(item, f"{self.where}.{name}[{i}]") for i, item in enumerate(items)]

    def plain(self, name: str, *types: type) -> Any:
        """Take a value encoded by `plain_values.encode`, optionally of one of these types."""
        content = self._pop(name)
        try:
            value = decode(content)
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise ModelFormatError(f"{self.where}: {name!r}: {str(error)[:200]}") from error
        return self._checked(name, value, types) if types else value

    def names(self) -> list[str]:
        """Return the names that have not been taken."""
        return list(self._rest)

    def end(self) -> None:
        """Raise an error if names have not been taken."""
        if self._rest:
            names = ", ".join(repr(name[:40]) for name in list(self._rest)[:8])
            raise ModelFormatError(f"{self.where}: unknown names: {names}")


class Arrays:
    """Arrays of a model file, taken one by one so that none is kept longer than needed."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._rest = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._rest

    def names(self) -> list[str]:
        """Return the names that have not been taken."""
        return list(self._rest)

    def pop(self, name: str) -> NDArray[Any]:
        """Take an array without checking it."""
        if name not in self._rest:
            raise ModelFormatError(f"array {name!r} is missing")
        return self._rest.pop(name)

    def take(
        self,
        name: str,
        dtype: np.dtype[Any] | tuple[np.dtype[Any], ...],
        shape: tuple[int | None, ...],
        *,
        finite: bool = True,
    ) -> NDArray[Any]:
        """Take an array of this dtype (or one of these) and shape, where None allows any size."""
        array = self.pop(name)
        dtypes = dtype if isinstance(dtype, tuple) else (dtype,)
        fits = array.ndim == len(shape) and all(
            wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
        )
        if array.dtype not in dtypes or not fits:
            raise ModelFormatError(
                f"array {name!r} must be {' or '.join(map(str, dtypes))} of shape {shape}, "
                f"found {array.dtype} of {array.shape}"
            )
        if finite and not np.isfinite(array).all():
            raise ModelFormatError(f"array {name!r} has values that are NaN or infinite")
        return array

    def under(self, prefix: str) -> Arrays:
        """Take all arrays whose names begin with `prefix`, and return them without it."""
        names = [name for name in self._rest if name.startswith(prefix)]
        return Arrays({name[len(prefix) :]: self._rest.pop(name) for name in names})

    def end(self) -> None:
        """Raise an error if arrays have not been taken."""
        if self._rest:
            names = ", ".join(repr(name[:40]) for name in list(self._rest)[:8])
            raise ModelFormatError(f"unknown arrays: {names}")
