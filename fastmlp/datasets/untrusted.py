"""Checks of files that may be damaged or malicious, shared by the IDX and the npz reader.

Memory for a size declared in a header is only allocated after that size was found plausible.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp.exceptions import DataFormatError

MAX_ARRAY_BYTES = 4 << 30
# Fashion-MNIST and MNIST shrink 1.8 to 4.9 times; deflate's limit, reached by bombs, is 1032.
MAX_RATIO = 100
# Small blank images are valid and compress like a bomb, but they are harmless.
RATIO_SLACK_BYTES = 1 << 20
MAX_DIMENSIONS = 32
CHUNK_BYTES = 1 << 20


class ByteStream(Protocol):
    """Required interface of open files: gzip files, zip members and plain files have it."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, and no bytes only at the end of the file."""
        ...


def refuse_devices(path: str) -> None:
    """Raise an error unless the path is a regular file: opening a pipe could block forever."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a folder raises an error
        raise DataFormatError(f"{path}: expected a regular file, found a pipe, socket or device")


def check_shape(shape: Sequence[int], where: str) -> None:
    """Raise an error for an impossible or empty shape; `where` is the prefix of the message."""
    if not 1 <= len(shape) <= MAX_DIMENSIONS:
        raise DataFormatError(
            f"{where}: expected 1 to {MAX_DIMENSIONS} dimensions, found {len(shape)}"
        )
    for axis, size in enumerate(shape):
        # The upper bound keeps products, and the digits in messages, short.
        if not 1 <= size < 2**63:
            found = size if abs(size) < 2**63 else "a number beyond 64 bits"
            raise DataFormatError(
                f"{where}: expected at least 1 element along axis {axis}, found {found}"
            )


def check_cap(declared_bytes: int, where: str) -> None:
    """Raise an error for an array above 4 GiB; `where` is the prefix of the message."""
    if declared_bytes > MAX_ARRAY_BYTES:
        raise DataFormatError(
            f"{where}: refused: declares {declared_bytes} bytes, expected at most {MAX_ARRAY_BYTES}"
        )


def check_ratio(declared_bytes: int, compressed_bytes: int, where: str) -> None:
    """Raise an error for a likely decompression bomb; `where` is the prefix of the message."""
    check_cap(declared_bytes, where)
    limit = MAX_RATIO * compressed_bytes + RATIO_SLACK_BYTES
    if declared_bytes > limit:
        raise DataFormatError(
            f"{where}: refused as a decompression bomb: {compressed_bytes} compressed bytes "
            f"declare {declared_bytes}, expected at most {limit}"
        )


def in_native_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers in native byte order; bytes are swapped in place, without a copy."""
    if array.dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def fill(stream: ByteStream, buffer_out: NDArray[np.uint8]) -> int:
    """Fill `buffer_out` (1-D) from `stream` and return the number of bytes read.

    Fewer than `len(buffer_out)` means that the stream ended.
    """
    n_read = 0
    # In chunks, so that each request's temporary copy stays small.
    while chunk := stream.read(min(CHUNK_BYTES, len(buffer_out) - n_read)):
        buffer_out[n_read : n_read + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        n_read += len(chunk)
    return n_read
