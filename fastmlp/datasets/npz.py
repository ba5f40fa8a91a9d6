"""Reader for npz files in the layout of Keras' data sets: a zip of plain numeric arrays.

`numpy.load` compiles the header of each array, a Python literal, and allocates the memory that it
asks for. Here the header is parsed by a regular expression, and its size is compared with the
archive's directory, and that with the size on disk, before anything is allocated. Pickles are never
read.
"""

from __future__ import annotations

import errno
import io
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_path
from fastmlp._types import StrPath
from fastmlp.datasets.untrusted import (
    CHUNK_BYTES,
    check_cap,
    check_ratio,
    check_shape,
    fill,
    in_native_order,
    refuse_devices,
)
from fastmlp.exceptions import DataFormatError

# Exceptions of zipfile and zlib for damaged archives, apart from OSError.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,
    RuntimeError,  # encrypted; its subclass NotImplementedError: unknown zip version
    ValueError,
)
_FLAG_ENCRYPTED = 0x1

MAX_PIECE_BYTES = CHUNK_BYTES
"""Maximum size of an archive's directory, which needs about ten times as much memory."""

_MAGIC = b"\x93NUMPY"
_LENGTH = struct.Struct("<H")
# A dict with each of three names once, in any order.
_ITEM = re.compile(
    r"\s*'(?P<name>descr|fortran_order|shape)'\s*:\s*"
    r"(?P<value>'[^']{1,40}'|True|False|\([^()]*\))\s*(?:,|$)"
)
_DESCR = re.compile(r"'(?P<order>[<>=|])(?P<kind>[iu][1248]|f[248])'")
_SHAPE = re.compile(r"\((?:(?:\s*-?\d{1,20}L?\s*,)+(?:\s*-?\d{1,20}L?)?)?\s*\)")


def read_npz(path: StrPath, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read the arrays called `names` from an npz file; other members are ignored.

    Parameters
    ----------
    path : str, bytes or PathLike
        The file.
    names : sequence of str
        Names of the arrays, such as "x_train" (without the ".npy" of the zip member).

    Returns
    -------
    dict of str to ndarray
        In the order of `names`; each in C order and native byte order, with the shape and the
        integer or floating type it was stored with.

    Raises
    ------
    DataFormatError
        If the file is not a regular file or not a zip archive, is truncated or corrupt, lacks a
        member or has it twice, or if a member is not a plain numeric array, fails its checksum, or
        declares an implausible size.
    OSError
        The file cannot be opened or read.
    """
    path = check_path("path", path)
    refuse_devices(path)
    with _Reader(open(path, "rb", buffering=0)) as file:
        file_bytes = os.fstat(file.fileno()).st_size
        with _damage_named(path):
            archive = zipfile.ZipFile(file)
        with archive:
            return {name: _read_member(archive, name, path, file_bytes) for name in names}


class _Reader(io.BufferedReader):
    """File that is read in limited pieces, because zipfile reads a whole directory at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_PIECE_BYTES:
            raise DataFormatError(
                f"{self.name}: refused: declares a zip directory of {size} bytes, "
                f"expected at most {MAX_PIECE_BYTES}"
            )
        return super().read(size)


@contextmanager
def _damage_named(where: str) -> Iterator[None]:
    """Convert the exceptions for a damaged archive to one that names the location."""
    try:
        yield
    except DataFormatError:
        raise
    except _DAMAGE as error:
        raise DataFormatError(f"{where}: truncated or corrupt npz file: {_brief(error)}") from error
    except OSError as error:
        # A wrong offset in the directory seeks before the start of the file; any other
        # operating system error is about the disk, not about the format.
        if error.errno != errno.EINVAL:
            raise
        raise DataFormatError(f"{where}: corrupt npz file: impossible offset") from error


def _brief(error: Exception) -> str:
    """Return the start of a message, because some messages quote up to 64 KiB of the file."""
    text = str(error)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _read_member(archive: zipfile.ZipFile, name: str, path: str, file_bytes: int) -> NDArray[Any]:
    """Read one array; its directory entry, header and bytes must agree."""
    where = f"{path}, member {name}.npy"
    info = _find_member(archive, name, path)
    if info.flag_bits & _FLAG_ENCRYPTED:
        raise DataFormatError(f"{where}: expected a plain member, found an encrypted one")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataFormatError(
            f"{where}: expected a stored or deflated member, "
            f"found compression method {info.compress_type}"
        )
    # The compressed size in the directory may be too large, so compare with the file's size.
    check_ratio(info.file_size, min(info.compress_size, file_bytes), where)
    with _damage_named(where), archive.open(info) as stream:
        return _read_array(stream, info.file_size, where)


def _find_member(archive: zipfile.ZipFile, name: str, path: str) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if member.filename == f"{name}.npy"]
    if len(members) > 1:
        raise DataFormatError(f"{path}: expected one array named {name}, found {len(members)}")
    if not members:
        found = [member.removesuffix(".npy")[:40] for member in archive.namelist()[:8]]
        raise DataFormatError(
            f"{path}: expected an array named {name}, found {', '.join(found) or 'none'}"
        )
    return members[0]


def _read_array(stream: IO[bytes], member_bytes: int, where: str) -> NDArray[Any]:
    """Read a member of `member_bytes` uncompressed bytes: npy header, then elements."""
    shape, fortran_order, dtype = _read_header(stream, where)
    declared_bytes = math.prod(shape) * dtype.itemsize
    check_cap(declared_bytes, where)
    stored_bytes = member_bytes - stream.tell()
    if declared_bytes != stored_bytes:
        raise DataFormatError(
            f"{where}: the header declares {shape} {dtype.name} = {declared_bytes} bytes, "
            f"found {stored_bytes} in the archive's directory"
        )
    buffer = np.empty(declared_bytes, dtype=np.uint8)
    found_bytes = fill(stream, buffer) + len(stream.read(1))
    if found_bytes != declared_bytes:
        raise DataFormatError(
            f"{where}: truncated: expected {declared_bytes} bytes, found {found_bytes}"
        )
    flat = in_native_order(buffer.view(dtype))
    if fortran_order:
        return np.ascontiguousarray(flat.reshape(shape[::-1]).T)
    return flat.reshape(shape)


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, order and type, and leave the stream at the first element."""
    magic = stream.read(len(_MAGIC) + 2)
    if magic[:-2] != _MAGIC:
        raise DataFormatError(f"{where}: bad npy header: expected {_MAGIC!r}, found {magic!r}")
    # Later versions are only needed for structured types: headers above 64 KiB.
    if magic[-2:] != b"\1\0":
        raise DataFormatError(f"{where}: expected npy format 1.0, found {magic[-2]}.{magic[-1]}")
    length = stream.read(_LENGTH.size)
    n_bytes = _LENGTH.unpack(length)[0] if len(length) == _LENGTH.size else 0
    text = stream.read(n_bytes).decode("latin-1")
    if not n_bytes or len(text) < n_bytes:
        raise DataFormatError(f"{where}: bad npy header: truncated")
    items = _take_apart(text.strip(" \n"), where)
    dtype, shape = _dtype(items["descr"], where), _shape(items["shape"], where)
    if items["fortran_order"] not in ("True", "False"):
        raise DataFormatError(f"{where}: bad npy header: fortran_order must be True or False")
    return shape, items["fortran_order"] == "True", dtype


def _take_apart(text: str, where: str) -> dict[str, str]:
    """Return the three entries of a header as strings."""
    if not (text.startswith("{") and text.endswith("}")):
        raise DataFormatError(f"{where}: bad npy header: expected a dict, found {text[:100]!r}")
    items: dict[str, str] = {}
    position, body = 0, text[1:-1].rstrip()
    while position < len(body):
        item = _ITEM.match(body, position)
        if item is None or item["name"] in items:
            raise DataFormatError(
                f"{where}: bad npy header: expected descr, fortran_order and shape, each once, "
                f"found {body[position : position + 100]!r}"
            )
        items[item["name"]] = item["value"]
        position = item.end()
    if len(items) < 3:
        raise DataFormatError(
            f"{where}: bad npy header: expected descr, fortran_order and shape, "
            f"found {', '.join(items) or 'none'}"
        )
    return items


def _dtype(text: str, where: str) -> np.dtype[Any]:
    if text == "'|O'":
        raise DataFormatError(
            f"{where}: expected numbers, found Python objects; these are pickles, "
            "which can run code when they are read"
        )
    if not _DESCR.fullmatch(text):
        raise DataFormatError(f"{where}: expected integers or floats, found dtype {text[:100]}")
    return np.dtype(text.strip("'"))


def _shape(text: str, where: str) -> tuple[int, ...]:
    """Parse the shape; Python 2 appended an L to long integers."""
    if not _SHAPE.fullmatch(text):
        raise DataFormatError(f"{where}: bad npy header: shape is {text[:100]}")
    shape = tuple(int(size) for size in re.findall(r"-?\d+", text))
    check_shape(shape, where)
    return shape
