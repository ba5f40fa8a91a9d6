"""Plain values in place of the objects that fitted estimators for tables consist of, for pickles.

A pickle, a copy and a file of skops then name the class of the estimator alone: everything inside
is a list, a mapping, a number or an array. They survive changes of this room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from fastmlp.network.network import Network

Part = TypeVar("Part", bound=type)

_PARTS: dict[str, type] = {}
_KEYS = {"part", "fields"}


def is_part(cls: Part) -> Part:
    """Decorate a class whose objects fitted estimators consist of."""
    _PARTS[cls.__name__] = cls
    return cls


def to_plain(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return lists, mappings and arrays with everything that is in `value`.

    A part that occurs twice is converted once, so that it is one object again after `from_plain`.
    `seen` has what has been converted, by the identity of the original.
    """
    seen = {} if seen is None else seen
    if isinstance(value, list):
        return [to_plain(item, seen) for item in value]
    if isinstance(value, dict):
        return {name: to_plain(item, seen) for name, item in value.items()}
    if not isinstance(value, Network) and _PARTS.get(type(value).__name__) is not type(value):
        return value
    if id(value) not in seen:
        seen[id(value)] = {
            "part": type(value).__name__,
            "fields": to_plain(_fields_of(value), seen),
        }
    return seen[id(value)]


def _fields_of(part: Any) -> dict[str, Any]:
    if isinstance(part, Network):
        return {
            "sizes": list(part.sizes),
            "activation": list(part.activations),
            "output": part.output,
            "dtype": part.dtype.name,
            "initializer": part.initializer,
            "parameters": part.parameters,
        }
    return dict(part._asdict() if isinstance(part, tuple) else vars(part))  # type: ignore[attr-defined]


def from_plain(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return what `to_plain` was given; objects of earlier pickles stay as they are."""
    seen = {} if seen is None else seen
    if isinstance(value, list):
        return [from_plain(item, seen) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != _KEYS:
        return {name: from_plain(item, seen) for name, item in value.items()}
    if id(value) not in seen:
        seen[id(value)] = _build(value["part"], from_plain(value["fields"], seen))
    return seen[id(value)]


def _build(name: str, fields: Mapping[str, Any]) -> Any:
    if name == "Network":
        return _network(**fields)
    cls = _PARTS[name]
    if issubclass(cls, tuple):
        return cls(**fields)
    part = object.__new__(cls)
    part.__dict__.update(fields)
    return part


def _network(parameters: Any, **options: Any) -> Network:
    network = Network(**options, random_state=0)
    np.copyto(network.parameters, parameters, casting="no")
    return network


class PlainPickles:
    """Base class, before scikit-learn's, of estimators whose pickles hold plain values alone."""

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = to_plain(super().__getstate__())
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(from_plain(dict(state)))  # type: ignore[misc]
