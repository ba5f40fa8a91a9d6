"""Reader for npz files in the layout of Keras' data sets: a zip of plain numeric arrays.

`numpy.load` trusts the header of each array and allocates what it asks for. Here the header's
claim is compared with the archive's directory, and that with the size on disk, before anything
is allocated. Pickles are never read.
"""

from __future__ import annotations

import errno
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from fastmlp._idx import check_cap, check_ratio, check_shape, fill
from fastmlp.exceptions import DataFormatError

# What zipfile and zlib raise on damaged archives, apart from OSError.
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


def read_npz(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read the arrays called `names` from an npz file; other members are not looked at.

    Parameters
    ----------
    path : str or PathLike
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
        The file is no zip archive, is truncated or corrupt, lacks a member, or a member is not
        a plain numeric array, fails its checksum, or declares a size that cannot be honest.
    OSError
        The file cannot be opened or read.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        with _damage_named(path):
            archive = zipfile.ZipFile(file)
        with archive:
            return {name: _read_member(archive, name, path, file_bytes) for name in names}


@contextmanager
def _damage_named(where: str) -> Iterator[None]:
    """Turn the many exceptions of a damaged archive into one that names the place."""
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
    """Return the start of a message, because some quote up to 64 KiB of the file."""
    text = str(error)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _read_member(archive: zipfile.ZipFile, name: str, path: str, file_bytes: int) -> NDArray[Any]:
    """Read one array; its directory entry, its header and its bytes have to agree."""
    where = f"{path}, member {name}.npy"
    info = _find_member(archive, name, path)
    if info.flag_bits & _FLAG_ENCRYPTED:
        raise DataFormatError(f"{where}: expected a plain member, found an encrypted one")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataFormatError(
            f"{where}: expected a stored or deflated member, "
            f"found compression method {info.compress_type}"
        )
    # The directory may overstate the compressed size, the file's size may not.
    check_ratio(info.file_size, min(info.compress_size, file_bytes), where)
    with _damage_named(where), archive.open(info) as stream:
        return _read_array(stream, info.file_size, where)


def _find_member(archive: zipfile.ZipFile, name: str, path: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(f"{name}.npy")
    except KeyError:
        found = [member.removesuffix(".npy") for member in archive.namelist()[:8]]
        raise DataFormatError(
            f"{path}: expected an array named {name}, found {', '.join(found) or 'none'}"
        ) from None


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
    flat = buffer.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    if fortran_order:
        return np.ascontiguousarray(flat.reshape(shape[::-1]).T)
    return flat.reshape(shape)


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, order and type, and leave the stream at the first element."""
    try:
        version = npy_format.read_magic(stream)
        # Later versions hold what only structured types need: headers above 64 KiB.
        if version != (1, 0):
            raise DataFormatError(f"{where}: expected npy format 1.0, found {version}")
        shape, fortran_order, dtype = npy_format.read_array_header_1_0(stream)
    except (DataFormatError, zipfile.BadZipFile, zlib.error, EOFError, OSError):
        raise
    except Exception as error:
        # The header is a Python literal: syntax, recursion, tokens and memory can all fail.
        raise DataFormatError(f"{where}: bad npy header: {_brief(error)}") from error
    if dtype.hasobject:
        raise DataFormatError(
            f"{where}: expected numbers, found Python objects; these are pickles, "
            "which can run code when they are read"
        )
    if dtype.kind not in "iuf":
        raise DataFormatError(f"{where}: expected integers or floats, found dtype {dtype}")
    check_shape(shape, where)
    return shape, fortran_order, dtype
