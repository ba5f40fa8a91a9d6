"""Reader for IDX files, the format of the original MNIST, plain or gzipped.

An IDX file is two zero bytes, one byte for the element type, one byte for the number of
dimensions, one big-endian uint32 per dimension, and the elements in C order, big-endian.

The file is not trusted; see :mod:`fastmlp.datasets.untrusted`.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_path
from fastmlp._types import StrPath
from fastmlp.datasets.untrusted import (
    ByteStream,
    check_cap,
    check_ratio,
    check_shape,
    fill,
    in_native_order,
    refuse_devices,
)
from fastmlp.exceptions import DataFormatError

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: StrPath) -> NDArray[Any]:
    """Read one IDX file, plain or gzipped (detected by content, not by name).

    Parameters
    ----------
    path : str, bytes or PathLike
        The file.

    Returns
    -------
    ndarray
        C order, native byte order, the shape of the header; uint8, int8, int16, int32, float32
        or float64.

    Raises
    ------
    DataFormatError
        If the file is not a regular file or not IDX, is truncated, has trailing bytes, fails its
        gzip checksum, or declares more data than is plausible for its size.
    OSError
        The file cannot be opened or read.
    """
    path = check_path("path", path)
    refuse_devices(path)
    with open(path, "rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if not packed:
            return _read_stream(file, path, file_bytes, packed=False)
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                return _read_stream(stream, path, file_bytes, packed=True)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataFormatError(f"{path}: truncated or corrupt gzip data: {error}") from error


def _read_stream(stream: ByteStream, path: str, file_bytes: int, *, packed: bool) -> NDArray[Any]:
    """Read header and elements; `file_bytes` is the size on disk, compressed if `packed`."""
    dtype, shape = _read_header(stream, path)
    declared_bytes = math.prod(shape) * dtype.itemsize
    if packed:
        check_ratio(declared_bytes, file_bytes, path)
    else:
        check_cap(declared_bytes, path)
        found_bytes = file_bytes - 4 - 4 * len(shape)
        if found_bytes != declared_bytes:
            raise _wrong_length(path, shape, dtype, declared_bytes, found_bytes)
    buffer = np.empty(declared_bytes, dtype=np.uint8)
    found_bytes = fill(stream, buffer)
    # Reading one byte more finds trailing data, and makes gzip compare its checksum.
    found_bytes += len(stream.read(1))
    if found_bytes != declared_bytes:
        raise _wrong_length(path, shape, dtype, declared_bytes, found_bytes)
    return in_native_order(buffer.view(dtype)).reshape(shape)


def _read_header(stream: ByteStream, path: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Read element type and shape, and leave the stream at the first element."""
    magic = stream.read(4)
    if len(magic) < 4:
        raise DataFormatError(f"{path}: truncated: an IDX file has 4 first bytes, found {magic!r}")
    if magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise DataFormatError(
            f"{path}: bad IDX magic: expected two zero bytes and a type code out of "
            f"{', '.join(f'0x{code:02x}' for code in _DTYPES)}, found 0x{magic[:3].hex()}"
        )
    n_dims = magic[3]
    sizes = stream.read(4 * n_dims)
    if len(sizes) < 4 * n_dims:
        raise DataFormatError(
            f"{path}: truncated: expected {4 * n_dims} bytes for {n_dims} dimensions, "
            f"found {len(sizes)}"
        )
    shape: tuple[int, ...] = struct.unpack(f">{n_dims}I", sizes)
    check_shape(shape, path)
    return _DTYPES[magic[2]], shape


def _wrong_length(
    path: str, shape: Sequence[int], dtype: np.dtype[Any], declared_bytes: int, found_bytes: int
) -> DataFormatError:
    problem = "truncated" if found_bytes < declared_bytes else "trailing bytes"
    more = " or more" if found_bytes > declared_bytes else ""
    return DataFormatError(
        f"{path}: {problem}: the header declares {' x '.join(map(str, shape))} {dtype.name} "
        f"= {declared_bytes} bytes, found {found_bytes}{more}"
    )
