"""What a resumed run must have in common with the one that was saved.

Parameters are compared one by one. Data are compared by dtype, shape and SHA-256 of the numbers,
which takes about as long as an epoch of a small network and is computed once a run, for its first
checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.engine.rows import SparseRows
from fastmlp.files.plain_values import decode, encode

DATA_NAMES = ("X", "Y", "sample_weight")
"""Names of the arrays of a Rows in error messages."""

DIGEST_SHOWN = 12
HASH_BYTES = 1 << 24


@dataclass
class Fingerprint:
    """What a run is compared by when it is resumed.

    Attributes
    ----------
    data : mapping of str to array, SparseRows or None
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
    def digests(self) -> dict[str, str | None]:
        """Dtype, shape and SHA-256 of the data, by name."""
        return {name: digest_of(array) for name, array in self.data.items()}


def digest_of(array: NDArray[Any] | SparseRows | None) -> str | None:
    """Return dtype, shape and SHA-256 of a C-ordered array or of sparse rows, as a string."""
    if array is None:
        return None
    digest, kind = hashlib.sha256(), ""
    parts = [array]
    if isinstance(array, SparseRows):
        parts, kind = [array.values, array.columns, array.begin], "sparse "
    for part in parts:
        flat = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        for begin in range(0, len(flat), HASH_BYTES):  # a signal is seen in between
            digest.update(flat[begin : begin + HASH_BYTES].data)
    return f"{kind}{array.dtype} {tuple(array.shape)} sha256:{digest.hexdigest()}"


def described(value: Any) -> Any:
    """Return a parameter as JSON; what JSON cannot hold by the name of its type or function."""
    try:
        return encode(value)
    except TypeError:
        name = getattr(value, "__qualname__", None)
        return f"{type(value).__name__} {name}" if name else f"a {type(value).__name__}"


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
