"""Model files: safetensors with a JSON document in the header and a checksum over every byte.

The header's metadata has one string, "fastmlp", a JSON object:

- ``sha256`` (first): SHA-256 of the whole file with 64 zeros in its place;
- ``schema``: version of what follows, ``SCHEMA``;
- ``kind``: what the file holds;
- everything that this kind needs. If it is larger than 1 MB, for example because of a great many
  class labels, it is stored as a JSON object in an array of bytes, "fastmlp.document".

Any safetensors reader can extract the arrays. The file is identical to one written by the
safetensors package, but is written array by array, so that saving needs little memory. Reading is
stricter than the package and imports no module. Files contain no references to code, and nothing in
them is evaluated or unpickled.

The checksum detects accidental damage. It is easily forged, so no other check relies on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_path
from fastmlp._types import StrPath
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.atomic import CHUNK_BYTES, write_atomically
from fastmlp.files.safetensors_header import (
    DTYPES,
    MAX_HEADER_BYTES,
    Entry,
    parse_header,
    parse_object,
)

SCHEMA = 1
TEXT = "fastmlp"
"""Name of the only string in the metadata."""

DOCUMENT = "fastmlp.document"
"""Name of the array that holds a long JSON object."""

MAX_TEXT_BYTES = 1 << 20
"""Maximum size of the JSON object in the metadata."""

MAX_DOCUMENT_BYTES = 16 << 20
MAX_DOCUMENT_CONTAINERS = 1 << 19
"""Limits of a JSON object in an array."""

_CODES = {dtype: code for code, dtype in DTYPES.items()}
_ORDER = ("U64", "I64", "F64", "F32", "U8")
"""Order of the element types in a file, as in the safetensors package."""

_LENGTH = struct.Struct("<Q")
_NO_DIGEST = b"0" * 64
_BEFORE_DIGEST = b'"{\\"sha256\\":\\"'
"""Text before the checksum: the start of the metadata string, encoded as JSON."""


@dataclass(frozen=True)
class Content:
    """Content of a model file.

    Attributes
    ----------
    kind : str
    document : dict
        The JSON object without checksum, schema and kind.
    arrays : dict of str to ndarray
        C-ordered arrays in native byte order that share no memory.
    """

    kind: str
    document: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def write_model_file(path: StrPath, content: Content) -> None:
    """Write a model file, atomically.

    Arrays that are not contiguous are copied one by one while they are written, which needs
    additional memory for the largest one.

    Raises
    ------
    ModelFormatError
        As from `check_content`, before anything is written.
    OSError
        As from `write_atomically`.
    """
    header, arrays = _laid_out(content)
    checksum = hashlib.sha256()

    def pieces() -> Iterator[memoryview]:
        for piece in (_LENGTH.pack(len(header)), header):
            checksum.update(piece)
            yield memoryview(piece)
        for array in arrays:
            view = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            for begin in range(0, len(view), CHUNK_BYTES):  # in chunks, so that signals are handled
                checksum.update(view[begin : begin + CHUNK_BYTES])
                yield view[begin : begin + CHUNK_BYTES]

    def digest() -> tuple[int, bytes]:
        return _LENGTH.size + _digest_position(header), checksum.hexdigest().encode()

    write_atomically(path, pieces(), digest)


def check_content(content: Content) -> None:
    """Raise an error for content that `read_model_file` would reject.

    Raises
    ------
    ModelFormatError
        If there are too many arrays, or if the document is too large or nested too deeply; a
        ValueError that states the limit.
    """
    _laid_out(content)


def _laid_out(content: Content) -> tuple[bytes, list[NDArray[Any]]]:
    """Return the header of a file, without a checksum, and the arrays in the order of their bytes.

    As in the safetensors package, arrays are sorted by type, then by name, and the header is padded
    with blanks to a multiple of eight bytes.
    """
    head: dict[str, Any] = {"sha256": _NO_DIGEST.decode(), "schema": SCHEMA, "kind": content.kind}
    arrays = content.arrays
    text = _dumped(head | content.document)
    if len(text) > MAX_TEXT_BYTES:
        rest = _dumped(content.document).encode()
        parse_object(rest, "the document", MAX_DOCUMENT_BYTES, MAX_DOCUMENT_CONTAINERS)
        arrays = arrays | {DOCUMENT: np.frombuffer(rest, np.uint8)}
        text = _dumped(head)
    parse_object(text, "the document")
    order = sorted(
        arrays.items(), key=lambda item: (_ORDER.index(_CODES[item[1].dtype]), item[0].encode())
    )
    declared: dict[str, Any] = {"__metadata__": {TEXT: text}}
    position = 0
    for name, array in order:
        end = position + array.nbytes
        declared[name] = {
            "dtype": _CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [position, end],
        }
        position = end
    header = json.dumps(declared, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _LENGTH.size)
    parse_header(header, position)
    return header, [array for _, array in order]


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def read_model_file(path: StrPath, kinds: Collection[str]) -> Content:
    """Read a model file of one of these kinds.

    No memory is allocated for arrays before header and file agree on their sizes. The caller must
    check that the arrays are those that the kind needs, and their values.

    Raises
    ------
    ModelFormatError
        If the file is not exactly as it was written; the message lacks the file's name.
    OSError
        If the file cannot be opened or read.
    """
    path = check_path("path", path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        if os.path.isdir(path):
            raise IsADirectoryError(f"{path!r} is a folder, expected a model file")
        raise ModelFormatError("not a regular file")
    with open(path, "rb") as file:
        return _read(file, os.fstat(file.fileno()).st_size, kinds)


def _read(file: BufferedReader, file_bytes: int, kinds: Collection[str]) -> Content:
    length = file.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        raise ModelFormatError(f"truncated: expected {_LENGTH.size} first bytes, found {length!r}")
    n_header, n_rest = _LENGTH.unpack(length)[0], file_bytes - _LENGTH.size
    if n_header > n_rest:
        raise ModelFormatError(
            f"not a model file, or truncated: declares a header of {n_header} bytes, found {n_rest}"
        )
    header = _read_header(file, n_header)
    metadata, entries = parse_header(header, n_rest - n_header)
    if set(metadata) != {TEXT}:
        raise ModelFormatError(
            f"not written by fastmlp: __metadata__ must have {TEXT!r} alone, found "
            f"{', '.join(repr(name[:40]) for name in list(metadata)[:8]) or 'nothing'}"
        )
    document = parse_object(metadata[TEXT], "the document in __metadata__")
    kind = _check_kind(document, kinds)
    position = _digest_position(header)
    expected = header[position : position + len(_NO_DIGEST)]
    if document.pop("sha256", None) != expected.decode("ascii", "replace"):
        raise ModelFormatError("the document must begin with its sha256")
    checksum = hashlib.sha256(length)
    checksum.update(header[:position] + _NO_DIGEST + header[position + len(_NO_DIGEST) :])
    arrays = {entry.name: _read_array(file, entry, checksum) for entry in entries}
    if file.read(1):
        raise ModelFormatError("trailing bytes: the file grew while it was read")
    if checksum.hexdigest().encode() != expected:
        raise ModelFormatError(
            f"damaged: its SHA-256 is {checksum.hexdigest()[:16]}..., "
            f"expected {expected[:16].decode('ascii', 'replace')}..."
        )
    if DOCUMENT in arrays:
        document |= _read_document(arrays.pop(DOCUMENT), document)
    return Content(kind, document, arrays)


def _read_document(array: NDArray[Any], text: dict[str, Any]) -> dict[str, Any]:
    """Return the document that is stored in an array instead of the header."""
    if text or array.dtype != np.uint8 or array.ndim != 1:
        raise ModelFormatError(f"array {DOCUMENT!r} must have the whole document, as bytes")
    return parse_object(
        array.tobytes(), f"array {DOCUMENT!r}", MAX_DOCUMENT_BYTES, MAX_DOCUMENT_CONTAINERS
    )


def _read_header(file: BufferedReader, n_header: int) -> bytes:
    """Read the header; raise an error if its length is implausible."""
    if n_header > MAX_HEADER_BYTES:
        raise ModelFormatError(f"the header has {n_header} bytes, allowed {MAX_HEADER_BYTES}")
    header = file.read(n_header)
    if len(header) < n_header:
        raise ModelFormatError(f"truncated: expected a header of {n_header} bytes")
    return header


def _check_kind(document: dict[str, Any], kinds: Collection[str]) -> str:
    """Take schema and kind from the document; raise an error if one is unknown."""
    schema, kind = document.pop("schema", None), document.pop("kind", None)
    if type(schema) is not int or schema != SCHEMA:
        raise ModelFormatError(
            f"schema version {repr(schema)[:40]} is not known; this fastmlp reads {SCHEMA}"
        )
    if not isinstance(kind, str) or kind not in kinds:
        raise ModelFormatError(
            f"kind {repr(kind)[:40]} is not known; expected {', '.join(map(repr, kinds))}"
        )
    return kind


def _digest_position(header: bytes) -> int:
    """Return the position of the checksum in the header."""
    position = header.find(_BEFORE_DIGEST)
    if position < 0:
        raise ModelFormatError("the document must begin with its sha256")
    return position + len(_BEFORE_DIGEST)


def _read_array(file: BufferedReader, entry: Entry, checksum: Any) -> NDArray[Any]:
    """Read the next array of a file, and update the checksum with it."""
    buffer = np.empty(entry.end - entry.begin, np.uint8)
    n_read = file.readinto(buffer.data) if len(buffer) else 0
    if n_read != len(buffer):
        raise ModelFormatError(
            f"truncated: array {entry.name!r} must have {len(buffer)} bytes, found {n_read}"
        )
    checksum.update(buffer.data)
    array = buffer.view(entry.dtype).reshape(entry.shape)
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
