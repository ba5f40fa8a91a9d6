"""Header of a safetensors file, validated against the file.

A safetensors file is the length of its header (little-endian uint64), the header (JSON), and the
arrays' bytes. The header maps "__metadata__" to strings by name and every array to its dtype, shape
and position. The safetensors package can read it too, but it accepts duplicate names and does not
enforce the limits below.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmlp.exceptions import ModelFormatError

DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "U8": np.dtype("u1"),
}
"""Element types allowed in a file, a subset of those of the format."""

MAX_HEADER_BYTES = 4 << 20
MAX_CONTAINERS = 1 << 17
"""Maximum number of lists and objects; with the size, it limits the memory that JSON can use."""

MAX_DIMENSIONS = 8

MAX_DEPTH = 64
"""Maximum nesting depth of lists and objects, which later code reads recursively."""


@dataclass(frozen=True)
class Entry:
    """Declaration of an array in a file.

    Attributes
    ----------
    name : str
    dtype : dtype
    shape : tuple of int
    begin, end : int
        Positions of its bytes, counted from the end of the header.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def parse_header(header: bytes, data_bytes: int) -> tuple[dict[str, str], list[Entry]]:
    """Return the metadata and the arrays that a header declares.

    Parameters
    ----------
    header : bytes
    data_bytes : int
        Bytes in the file after the header, which the arrays must fill exactly.

    Returns
    -------
    dict of str to str
        The metadata.
    list of Entry
        Arrays in the order of their bytes, without gaps or overlaps.

    Raises
    ------
    ModelFormatError
        If anything is inconsistent; no memory has been allocated for arrays at that point.
    """
    declared = parse_object(header, "the header")
    _refuse_surrogates(declared)
    metadata = declared.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) for text in metadata.values()
    ):
        raise ModelFormatError("__metadata__ must map names to strings")
    entries = sorted(
        (_entry(name, value) for name, value in declared.items()), key=lambda e: (e.begin, e.end)
    )
    _check_tiling(entries, data_bytes)
    return metadata, entries


def _refuse_surrogates(declared: dict[str, Any]) -> None:
    """Raise an error for an unpaired surrogate in any string, which UTF-8 cannot encode."""
    try:
        json.dumps(declared, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ModelFormatError(f"the header has {half!r}, which is no character") from None


def parse_object(
    text: str | bytes,
    where: str,
    max_bytes: int = MAX_HEADER_BYTES,
    max_containers: int = MAX_CONTAINERS,
) -> dict[str, Any]:
    """Parse a JSON object of limited size and depth, without duplicate names, NaN, infinity or -0.

    Raises
    ------
    ModelFormatError
        With `where` in the message.
    """
    if len(text) > max_bytes:
        raise ModelFormatError(f"{where} has {len(text)} bytes, allowed {max_bytes}")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        n_containers = text.count("{") + text.count("[")
        if n_containers > max_containers:
            raise ModelFormatError(
                f"{where} has {n_containers} lists and objects, allowed {max_containers}"
            )
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_integer,
        )
    except ModelFormatError:
        raise
    except RecursionError:
        raise ModelFormatError(f"{where} is nested too deeply") from None
    except ValueError as error:  # bad UTF-8, bad JSON, numbers of thousands of digits
        raise ModelFormatError(f"{where} is not valid JSON: {_brief(error)}") from None
    if not isinstance(value, dict):
        raise ModelFormatError(f"{where} must be a JSON object, found {type(value).__name__}")
    _check_depth(value, where)
    return value


def _check_depth(value: dict[str, Any], where: str) -> None:
    """Raise an error if the nesting is too deep; checked without recursion."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise ModelFormatError(f"{where} is nested too deeply: more than {MAX_DEPTH} levels")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice!r} twice")
    return result


def _integer(digits: str) -> int:
    if digits == "-0":  # a float for the safetensors package
        raise ValueError("the number -0")
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"the number {name}")


def _brief(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _entry(name: str, value: Any) -> Entry:
    """Return the declaration of an array after checking that size and shape agree."""
    where = f"array {name[:100]!r}"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ModelFormatError(f"{where} must have dtype, shape and data_offsets, nothing else")
    code = value["dtype"]
    if not isinstance(code, str) or code not in DTYPES:
        found = repr(code)[:40]
        raise ModelFormatError(f"{where} must have a dtype of {', '.join(DTYPES)}, found {found}")
    shape = _sizes(value["shape"], f"the shape of {where}")
    offsets = _sizes(value["data_offsets"], f"the data_offsets of {where}")
    if len(shape) > MAX_DIMENSIONS:
        raise ModelFormatError(f"{where} has {len(shape)} dimensions, allowed {MAX_DIMENSIONS}")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ModelFormatError(f"{where} must have two ordered data_offsets, found {offsets[:3]}")
    n_bytes = _checked_product((DTYPES[code].itemsize, *shape), where)
    if n_bytes != offsets[1] - offsets[0]:
        raise ModelFormatError(
            f"{where} has {offsets[1] - offsets[0]} bytes, its shape {shape} of {code} {n_bytes}"
        )
    return Entry(name, DTYPES[code], shape, offsets[0], offsets[1])


def _sizes(value: Any, where: str) -> tuple[int, ...]:
    """Return a list of integers, which must be from 0 to 2^63 - 1."""
    if not isinstance(value, list) or not all(
        type(size) is int and 0 <= size < 2**63 for size in value
    ):
        raise ModelFormatError(f"{where} must be integers from 0 to 2^63 - 1")
    return tuple(value)


def _checked_product(factors: tuple[int, ...], where: str) -> int:
    """Return the product, which must stay below 2^63 even if a later factor is 0."""
    product = 1
    for factor in factors:
        product *= max(factor, 1)
        if product >= 2**63:
            raise ModelFormatError(f"{where} has a size beyond 64 bits")
    return 0 if 0 in factors else product


def _check_tiling(entries: list[Entry], data_bytes: int) -> None:
    """Raise an error unless the arrays cover the data without gaps or overlaps."""
    position = 0
    for entry in entries:
        if entry.begin != position:
            problem = "overlaps another" if entry.begin < position else "leaves a gap before it"
            raise ModelFormatError(
                f"array {entry.name[:100]!r} {problem}: it begins at byte {entry.begin}, "
                f"expected {position}"
            )
        position = entry.end
    if position != data_bytes:
        problem = "truncated" if position > data_bytes else "trailing bytes"
        raise ModelFormatError(
            f"{problem}: the header declares {position} bytes of arrays, found {data_bytes}"
        )
