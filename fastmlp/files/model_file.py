"""Model files: safetensors with a JSON document in the header and a checksum over every byte.

The header's metadata has one text, "fastmlp", a JSON object:

- ``sha256`` (first): SHA-256 of the whole file with 64 zeros in its place;
- ``schema``: version of what follows, ``SCHEMA``;
- ``kind``: what the file holds;
- whatever that kind needs. Where that is more than 1 MB, as for class labels by the hundred
  thousand, it is a JSON object in an array of bytes, "fastmlp.document".

Any safetensors reader can take the arrays out of such a file. It has the bytes that the safetensors
package would write, but is written array by array, so that saving takes little memory. Reading has
to be stricter than the package, and loads no module. Nothing in a file names code; nothing in it is
evaluated or unpickled.

The checksum finds accidents. Whoever forges a file can make it fit, so every other check stands
without it.
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
"""Name of the only text in the metadata."""

DOCUMENT = "fastmlp.document"
"""Name of the array that has the JSON object where it is long."""

MAX_TEXT_BYTES = 1 << 20
"""Longest JSON object in the metadata."""

MAX_DOCUMENT_BYTES = 16 << 20
MAX_DOCUMENT_CONTAINERS = 1 << 19
"""Limits of a JSON object in an array."""

_CODES = {dtype: code for code, dtype in DTYPES.items()}
_ORDER = ("U64", "I64", "F64", "F32", "U8")
"""Order of the element types in a file: that of the safetensors package."""

_LENGTH = struct.Struct("<Q")
_NO_DIGEST = b"0" * 64
_MARK = b'"{\\"sha256\\":\\"'
"""What stands in front of the checksum: the text's beginning, as a JSON string."""


@dataclass(frozen=True)
class Content:
    """What a model file holds.

    Attributes
    ----------
    kind : str
    document : dict
        The JSON object without checksum, schema and kind.
    arrays : dict of str to ndarray
        Each C-ordered, its own memory, in native byte order.
    """

    kind: str
    document: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def write_model_file(path: StrPath, content: Content) -> None:
    """Write a model file, whole or not at all.

    Arrays are copied one by one as they are written, where they are not contiguous: the memory that
    this takes is that of the largest one.

    Raises
    ------
    ModelFormatError
        As `check_content`, before anything is written.
    OSError
        As `write_atomically`.
    """
    header, arrays = _laid_out(content)
    checksum = hashlib.sha256()

    def pieces() -> Iterator[memoryview]:
        for piece in (_LENGTH.pack(len(header)), header):
            checksum.update(piece)
            yield memoryview(piece)
        for array in arrays:
            view = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            for begin in range(0, len(view), CHUNK_BYTES):  # a signal is seen in between
                checksum.update(view[begin : begin + CHUNK_BYTES])
                yield view[begin : begin + CHUNK_BYTES]

    def digest() -> tuple[int, bytes]:
        return _LENGTH.size + _digest_position(header), checksum.hexdigest().encode()

    write_atomically(path, pieces(), digest)


def check_content(content: Content) -> None:
    """Refuse what `read_model_file` would not read.

    Raises
    ------
    ModelFormatError
        A ValueError: where there are too many arrays, or the document is too large or nested too
        deeply, with the limit.
    """
    _laid_out(content)


def _laid_out(content: Content) -> tuple[bytes, list[NDArray[Any]]]:
    """Return the header of a file, without a checksum, and the arrays in the order of their bytes.

    Both are as the safetensors package has them: sorted by type, then by name, and the header
    padded with blanks to a multiple of eight bytes.
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

    Nothing is allocated for arrays before header and file agree on their sizes. The arrays are not
    looked into; that they are the ones that the kind needs is for the caller to check.

    Raises
    ------
    ModelFormatError
        For every file that is not exactly as it was written; without the file's name.
    OSError
        Where the file cannot be opened or read.
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
            f"no model file, or truncated: declares a header of {n_header} bytes, found {n_rest}"
        )
    header = _read_header(file, n_header)
    texts, entries = parse_header(header, n_rest - n_header)
    if set(texts) != {TEXT}:
        raise ModelFormatError(
            f"not written by fastmlp: __metadata__ must have {TEXT!r} alone, found "
            f"{', '.join(repr(name[:40]) for name in list(texts)[:8]) or 'nothing'}"
        )
    document = parse_object(texts[TEXT], "the document in __metadata__")
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
    """The document that has an array of its own; then there is none in the header."""
    if text or array.dtype != np.uint8 or array.ndim != 1:
        raise ModelFormatError(f"array {DOCUMENT!r} must have the whole document, as bytes")
    return parse_object(
        array.tobytes(), f"array {DOCUMENT!r}", MAX_DOCUMENT_BYTES, MAX_DOCUMENT_CONTAINERS
    )


def _read_header(file: BufferedReader, n_header: int) -> bytes:
    """The header, unless it is too long to be believed."""
    if n_header > MAX_HEADER_BYTES:
        raise ModelFormatError(f"the header has {n_header} bytes, allowed {MAX_HEADER_BYTES}")
    header = file.read(n_header)
    if len(header) < n_header:
        raise ModelFormatError(f"truncated: expected a header of {n_header} bytes")
    return header


def _check_kind(document: dict[str, Any], kinds: Collection[str]) -> str:
    """Take schema and kind out of the document, and refuse unknown ones by name."""
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
    """Where in the header the checksum stands."""
    position = header.find(_MARK)
    if position < 0:
        raise ModelFormatError("the document must begin with its sha256")
    return position + len(_MARK)


def _read_array(file: BufferedReader, entry: Entry, checksum: Any) -> NDArray[Any]:
    """The next array of a file, which goes into the checksum too."""
    buffer = np.empty(entry.end - entry.begin, np.uint8)
    n_read = file.readinto(buffer.data) if len(buffer) else 0
    if n_read != len(buffer):
        raise ModelFormatError(
            f"truncated: array {entry.name!r} must have {len(buffer)} bytes, found {n_read}"
        )
    checksum.update(buffer.data)
    array = buffer.view(entry.dtype).reshape(entry.shape)
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
