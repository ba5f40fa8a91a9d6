"""Fingerprint of a run: the facts that must be the same when it is resumed.

Parameters are compared one by one. Data are compared by dtype, shape and SHA-256 of the numbers,
which takes about as long as an epoch of a small network and is computed once a run, for its first
checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.source import Source
from fastmlp.engine.rows import SparseRows
from fastmlp.files.plain_values import decode, encode

DATA_NAMES = ("X", "Y", "sample_weight")
"""Names of the arrays of a Rows in error messages."""

DIGEST_SHOWN = 12
HASH_BYTES = 1 << 24

PartsOf = Callable[[Any], list[Any] | None]
"""Returns what is to be compared of an object; None of one that it does not know."""


@dataclass
class Fingerprint:
    """Facts about a run that are compared when it is resumed.

    Attributes
    ----------
    data : mapping of str to array, SparseRows, Source or None
        By the name that messages use.
    owner : str
        The object that trains: "Trainer", "MyANN", "MLPClassifier" and so on.
    owner_settings : mapping
        Parameters in the owner's names, compared before those of the Trainer.
    owner_state : mapping
        What the owner needs back before it can call its trainer; plain values.
    settings : mapping
        More parameters of this run, in addition to those of the Trainer.
    """

    data: Mapping[str, Any]
    owner: str = "Trainer"
    owner_settings: Mapping[str, Any] = field(default_factory=dict)
    owner_state: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def described_owner(self) -> dict[str, Any]:
        """The owner's settings as JSON, as they are when this is first asked for."""
        return {name: described(value) for name, value in self.owner_settings.items()}

    def read_sources(self) -> None:
        """Take the fingerprints of sources, which may be unreadable when the first file is due."""
        for data in self.data.values():
            if isinstance(data, Source):
                data.fingerprint  # noqa: B018

    @cached_property
    def digests(self) -> dict[str, str | None]:
        """Dtype, shape and SHA-256 of the data, by name."""
        return {name: digest_of(array) for name, array in self.data.items()}


def digest_of(array: NDArray[Any] | SparseRows | Source | None) -> str | None:
    """Return dtype, shape and SHA-256 of a C-ordered array or of sparse rows, as a string.

    A source is not read as a whole: see :attr:`fastmlp.data.Source.fingerprint`.
    """
    if array is None:
        return None
    if isinstance(array, Source):
        return array.fingerprint
    digest, prefix = hashlib.sha256(), ""
    parts = [array]
    if isinstance(array, SparseRows):
        parts, prefix = [array.values, array.columns, array.begin], "sparse "
    for part in parts:
        flat = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        for begin in range(0, len(flat), HASH_BYTES):  # a signal is seen in between
            digest.update(flat[begin : begin + HASH_BYTES].data)
    return f"{prefix}{array.dtype} {tuple(array.shape)} sha256:{digest.hexdigest()}"


def _unknown(value: Any) -> None:
    """Know no object."""


def described(value: Any, parts_of: PartsOf = _unknown) -> Any:
    """Return a parameter as JSON; what JSON cannot hold by name and by what can be compared of it.

    That is of a function its module, name, code, defaults and closure, of a partial function or a
    bound method also its arguments or object, of a callable object its `__call__` and attributes
    without an underscore in front (others are its state, which may change), and of any other object
    the type.

    Parameters
    ----------
    value : object
    parts_of : callable, optional
        Knows more kinds of objects; asked first.
    """
    try:
        return encode(value)
    except TypeError:
        traits = repr(_traits(value, {}, parts_of))
        return f"{name_of(value)} sha256:{hashlib.sha256(traits.encode()).hexdigest()}"


def name_of(value: Any) -> str:
    """Return type, module and name of a function, or the type of another object."""
    name = getattr(value, "__qualname__", None)
    where = value if name else type(value)
    module = getattr(where, "__module__", None) or "builtins"
    address = f"{module}.{name or where.__qualname__}"
    return f"{type(value).__name__} {address}" if name else f"a {address}"


def _traits(value: Any, seen: dict[int, Any], parts_of: PartsOf) -> Any:
    """Nested tuples of what can be compared of a value, without addresses in memory.

    Parameters
    ----------
    value : object
    seen : dict of int to object
        What has been described already, by address; extended. It keeps the objects alive, so that
        no other gets the address of one.
    parts_of : callable
    """
    if isinstance(value, np.ndarray) and value.dtype != object:
        return digest_of(value)
    if not isinstance(value, np.random.Generator | np.random.RandomState):  # they advance
        with suppress(TypeError):
            return repr(encode(value))
    if id(value) in seen:
        return name_of(value)
    seen[id(value)] = value
    return (name_of(value), *(_traits(part, seen, parts_of) for part in _parts(value, parts_of)))


def _parts(value: Any, parts_of: PartsOf) -> list[Any]:
    """Return the parts of a value that is not a plain value."""
    known = parts_of(value)
    if known is not None:
        return known
    if isinstance(value, CodeType):
        constants = value.co_consts, value.co_names, value.co_varnames, value.co_freevars
        return [value.co_code.hex(), *(part for parts in constants for part in parts)]
    if isinstance(value, FunctionType):
        cells = [_content(cell) for cell in value.__closure__ or ()]
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items()]
        return [value.__code__, *defaults, "closure", *cells, *sorted(vars(value).items())]
    if isinstance(value, partial):
        return [value.func, *value.args, *sorted(value.keywords.items())]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, set | frozenset):
        return sorted((described(part, parts_of) for part in value), key=repr)
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple | list):
        return list(value)
    if callable(value) and not isinstance(value, type) and hasattr(value, "__dict__"):
        public = [item for item in vars(value).items() if not item[0].startswith("_")]
        return [type(value).__call__, *sorted(public)]
    return []


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def differences(
    saved: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[str, str]]:
    """Return the names under which two mappings of JSON differ, and both values as strings."""
    return {
        f"{prefix}{name}": (_shown(saved.get(name)), _shown(now.get(name)))
        for name in (*saved, *(name for name in now if name not in saved))
        if saved.get(name) != now.get(name)
    }


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text, _, digest = value.partition(" sha256:")
        return f"{text} with SHA-256 {digest[:DIGEST_SHOWN]}..." if digest else repr(value)[:100]
    with suppress(ValueError, TypeError, LookupError, ArithmeticError):
        value = decode(value)
    return repr(value)[:100]
