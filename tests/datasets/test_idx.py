"""IDX files: honest ones are read, hostile ones are refused, and nothing else happens."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged_in_place

from fastmlp.datasets.idx import read_idx
from fastmlp.datasets.untrusted import MAX_ARRAY_BYTES
from fastmlp.exceptions import DataFormatError

MIB = 1 << 20
# Type code, struct letter and dtype, written down independently of the reader's table.
CODES = [
    pytest.param(0x08, "B", np.uint8, id="uint8"),
    pytest.param(0x09, "b", np.int8, id="int8"),
    pytest.param(0x0B, "h", np.int16, id="int16"),
    pytest.param(0x0C, "i", np.int32, id="int32"),
    pytest.param(0x0D, "f", np.float32, id="float32"),
    pytest.param(0x0E, "d", np.float64, id="float64"),
]
Write = Callable[..., Path]


def idx_bytes(shape: tuple[int, ...], data: bytes, code: int = 0x08) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + data


def small_idx() -> bytes:
    return idx_bytes((2, 3), bytes(range(10, 16)))


SMALL = np.array([[10, 11, 12], [13, 14, 15]], dtype=np.uint8)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: bytes, name: str = "data-idx") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def peak_bytes_of(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refuse(path: Path, match: str) -> Callable[[], None]:
    def call() -> None:
        with pytest.raises(DataFormatError, match=match):
            read_idx(path)

    return call


# --- honest files


@pytest.mark.parametrize(("code", "letter", "dtype"), CODES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_every_element_type_is_read(
    code: int, letter: str, dtype: type, packed: bool, write: Write
) -> None:
    values = [0, 1, 2, 100, 7, 8, 9, 10, 11, 12, 13, 127]
    content = idx_bytes((3, 2, 2), struct.pack(f">12{letter}", *values), code)
    array = read_idx(write(gzip.compress(content) if packed else content))
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, np.array(values, dtype=dtype).reshape(3, 2, 2))


def test_gzip_is_told_by_content_not_by_name(write: Write) -> None:
    np.testing.assert_array_equal(read_idx(write(small_idx(), "unpacked.gz")), SMALL)
    np.testing.assert_array_equal(read_idx(write(gzip.compress(small_idx()), "packed")), SMALL)


def test_a_str_path_is_accepted(write: Write) -> None:
    np.testing.assert_array_equal(read_idx(str(write(small_idx()))), SMALL)


def test_an_array_longer_than_one_read_is_complete(write: Write) -> None:
    data = np.random.default_rng(0).integers(0, 256, 5 * MIB // 2, dtype=np.uint8)
    path = write(gzip.compress(idx_bytes(data.shape, data.tobytes()), 1))
    np.testing.assert_array_equal(read_idx(path), data)


def test_the_array_can_be_written_to(write: Write) -> None:
    array = read_idx(write(small_idx()))
    array[0, 0] = 99
    assert array[0, 0] == 99


def test_small_blank_images_are_no_bomb(write: Write) -> None:
    blank = gzip.compress(idx_bytes((1000, 28, 28), bytes(784_000)))
    assert 100 * len(blank) < 784_000
    assert read_idx(write(blank)).shape == (1000, 28, 28)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")


def test_a_pipe_is_refused_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    with pytest.raises(DataFormatError, match=r"pipe: expected a regular file, found a pipe"):
        read_idx(path)


def test_a_folder_is_an_os_error(tmp_path: Path) -> None:
    path = tmp_path
    with pytest.raises(IsADirectoryError):
        read_idx(path)


# --- damaged files


def test_every_truncation_of_a_plain_file_is_refused(write: Write) -> None:
    content = small_idx()
    for length in range(len(content)):
        with pytest.raises(DataFormatError, match=r"data-idx: truncated: .*, found "):
            read_idx(write(content[:length]))


def test_every_truncation_of_a_gzip_file_is_refused(write: Write) -> None:
    content = gzip.compress(small_idx(), mtime=0)
    for length in range(len(content)):
        with pytest.raises(DataFormatError, match=r"data-idx: truncated"):
            read_idx(write(content[:length]))


def test_every_corrupt_header_byte_is_refused_or_gives_another_array(write: Write) -> None:
    path = write(small_idx())
    for _ in damaged_in_place(path, range(1, 256), end=12):
        try:
            array = read_idx(path)
        except DataFormatError:
            continue
        assert array.shape != SMALL.shape or array.dtype != SMALL.dtype


def test_every_corrupt_gzip_byte_is_refused_or_harmless(write: Write) -> None:
    path = write(gzip.compress(small_idx(), mtime=0))
    for _ in damaged_in_place(path):
        try:
            array = read_idx(path)
        except DataFormatError:
            continue
        # Time stamp and operating system in the gzip header do not touch the data.
        np.testing.assert_array_equal(array, SMALL)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_trailing_bytes_are_refused(packed: bool, write: Write) -> None:
    content = small_idx() + b"\0"
    path = write(gzip.compress(content) if packed else content)
    refuse(path, r"trailing bytes: the header declares 2 x 3 uint8 = 6 bytes, found 7 or more")()


def test_a_gzip_file_that_unpacks_to_less_than_declared_is_truncated(write: Write) -> None:
    path = write(gzip.compress(small_idx()[:-2]))
    refuse(path, r"truncated: the header declares 2 x 3 uint8 = 6 bytes, found 4$")()


def test_a_gzip_file_with_a_wrong_checksum_is_refused(write: Write) -> None:
    content = bytearray(gzip.compress(small_idx()))
    content[-8] ^= 1
    refuse(write(bytes(content)), r"truncated or corrupt gzip data: CRC check failed")()


def test_a_gzip_file_with_garbage_behind_it_is_refused(write: Write) -> None:
    path = write(gzip.compress(small_idx()) + b"garbage")
    refuse(path, r"truncated or corrupt gzip data: Not a gzipped file")()


@pytest.mark.parametrize("magic", [b"PK\3\4", b"\0\1\x08\2", b"\0\0\x0a\2"])
def test_a_bad_magic_is_refused(magic: bytes, write: Write) -> None:
    path = write(magic + small_idx()[4:])
    refuse(path, rf"bad IDX magic: .* 0x08, 0x09, .*, found 0x{magic[:3].hex()}")()


def test_no_dimensions_are_refused(write: Write) -> None:
    refuse(write(idx_bytes((), b"\1")), r"expected 1 to 32 dimensions, found 0")()


def test_too_many_dimensions_are_refused(write: Write) -> None:
    refuse(write(idx_bytes((1,) * 33, b"\1")), r"expected 1 to 32 dimensions, found 33")()


def test_an_empty_axis_is_refused(write: Write) -> None:
    path = write(idx_bytes((0, 2**32 - 1, 2**32 - 1), b""))
    refuse(path, r"expected at least 1 element along axis 0, found 0")()


# --- hostile files


def test_a_header_of_two_to_the_40_elements_is_refused_without_allocation(write: Write) -> None:
    path = write(idx_bytes((2**20, 2**20), bytes(100)))
    assert peak_bytes_of(refuse(path, r"refused: declares 1099511627776 bytes")) < MIB


def test_sizes_whose_product_overflows_64_bits_are_refused(write: Write) -> None:
    # The product is 2**64, which is 0 in 64-bit arithmetic.
    path = write(idx_bytes((2**31, 2**31, 4), b""))
    refuse(path, rf"refused: declares {2**64} bytes, expected at most {MAX_ARRAY_BYTES}")()


def test_a_declared_size_beyond_a_plain_file_is_refused_without_allocation(write: Write) -> None:
    path = write(idx_bytes((2**31,), bytes(100)))
    assert peak_bytes_of(refuse(path, r"truncated: .* = 2147483648 bytes, found 100$")) < MIB


def test_a_gzip_bomb_with_an_honest_header_is_refused_without_allocation(write: Write) -> None:
    n_bytes = 64 * MIB
    path = write(gzip.compress(idx_bytes((n_bytes,), bytes(n_bytes)), 9))
    match = rf"decompression bomb: \d+ compressed bytes declare {n_bytes}, expected at most"
    assert peak_bytes_of(refuse(path, match)) < MIB


def test_a_gzip_bomb_behind_a_small_header_is_not_unpacked(write: Write) -> None:
    path = write(gzip.compress(small_idx() + bytes(64 * MIB), 9))
    assert peak_bytes_of(refuse(path, r"trailing bytes: .*, found 7 or more")) < MIB
