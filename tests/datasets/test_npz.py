"""npz files: honest ones are read, hostile ones are refused, and nothing else happens."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged_in_place

from fastmlp.datasets.npz import read_npz
from fastmlp.exceptions import DataFormatError

MIB = 1 << 20
A = np.arange(10, 16, dtype=np.uint8).reshape(2, 3)
B = np.array([1, -2, 3], dtype=np.int64)
FLIPS = (0x01, 0x10, 0x80, 0xFF)
SAVERS = [
    pytest.param(np.savez, id="stored"),
    pytest.param(np.savez_compressed, id="deflated"),
]


def npy_bytes(shape: str, data: bytes, descr: str = "'|u1'", version: int = 1) -> bytes:
    """Return an npy file written by hand; `shape` and `descr` are Python source."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


def npz_of(tmp_path: Path, npy: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", npy)
    return path


def refuse(path: Path, match: str, names: tuple[str, ...] = ("a",)) -> Callable[[], None]:
    def call() -> None:
        with pytest.raises(DataFormatError, match=match):
            read_npz(path, names)

    return call


def peak_bytes_of(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- honest files


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "<i8", "<f4", ">f8", "<u8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_saves_is_read(
    save: Callable[..., None], dtype: str, order: Any, tmp_path: Path
) -> None:
    a = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    save(tmp_path / "data.npz", b=B, a=a)
    arrays = read_npz(tmp_path / "data.npz", ("a", "b"))
    assert list(arrays) == ["a", "b"]
    assert arrays["a"].dtype == np.dtype(dtype).newbyteorder("=")
    assert arrays["a"].dtype.isnative
    assert arrays["a"].flags.c_contiguous
    np.testing.assert_array_equal(arrays["a"], a)
    np.testing.assert_array_equal(arrays["b"], B)


def test_other_members_are_not_looked_at(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("evil.npy", b"no array at all")
        archive.writestr("../outside", b"no array at all")
    assert read_npz(str(path), ["a"])["a"].tobytes() == b"abc"


def test_an_array_longer_than_one_read_is_complete(tmp_path: Path) -> None:
    a = np.random.default_rng(0).integers(0, 256, 5 * MIB // 2, dtype=np.uint8)
    np.savez_compressed(tmp_path / "data.npz", a=a)
    np.testing.assert_array_equal(read_npz(tmp_path / "data.npz", ["a"])["a"], a)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read_npz(tmp_path / "absent.npz", ["a"])


def test_the_costliest_honest_file_takes_twice_its_size(tmp_path: Path) -> None:
    a = np.asfortranarray(np.ones((300, 4000), ">f8"))
    np.savez(tmp_path / "data.npz", a=a)
    peak = peak_bytes_of(lambda: read_npz(tmp_path / "data.npz", ["a"]))
    assert peak < 2 * a.nbytes + 4 * MIB


def test_a_pipe_is_refused_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    with pytest.raises(DataFormatError, match=r"pipe: expected a regular file, found a pipe"):
        read_npz(path, ["a"])


def test_a_folder_is_an_os_error(tmp_path: Path) -> None:
    path = tmp_path
    with pytest.raises(IsADirectoryError):
        read_npz(path, ["a"])


# --- damaged files


@pytest.mark.parametrize("save", SAVERS)
def test_every_truncation_is_refused(save: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    save(path, a=A, b=B)
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        with pytest.raises(DataFormatError, match=r"data\.npz.*: truncated or corrupt npz"):
            read_npz(path, ("a", "b"))


@pytest.mark.parametrize("save", SAVERS)
def test_every_corrupt_byte_is_refused_or_harmless(
    save: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "data.npz"
    save(path, a=A, b=B)
    for _ in damaged_in_place(path, FLIPS):
        try:
            arrays = read_npz(path, ("a", "b"))
        except DataFormatError:
            continue
        # Time stamps, attributes and the like do not touch the data.
        assert (arrays["a"] == A).all() and (arrays["b"] == B).all()


def test_every_corrupt_byte_of_the_npy_header_is_refused_or_another_array(tmp_path: Path) -> None:
    # Packed anew each time, so that the zip checksum does not hide the npy reader.
    buffer = io.BytesIO()
    np.save(buffer, A)
    content = buffer.getvalue()
    for position in range(len(content) - A.nbytes):
        for flip in FLIPS:
            damaged = bytearray(content)
            damaged[position] ^= flip
            path = npz_of(tmp_path, bytes(damaged))
            try:
                array = read_npz(path, ["a"])["a"]
            except DataFormatError:
                continue
            assert array.nbytes == A.nbytes


def test_a_message_does_not_quote_the_whole_file(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)" + "?" * 5000, b"abc"))
    with pytest.raises(
        DataFormatError, match=r"bad npy header: expected descr.*found .*\?"
    ) as caught:
        read_npz(path, ["a"])
    assert len(str(caught.value)) < 300 + len(str(path))


def test_a_missing_member_is_named_with_those_there(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"))
    refuse(path, r"data\.npz: expected an array named x_test, found a$", ("a", "x_test"))()


def test_an_empty_archive_has_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz")
    refuse(tmp_path / "data.npz", r"expected an array named a, found none")()


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.npz"
    path.write_text("<html>404</html>")
    refuse(path, r"page\.npz: truncated or corrupt npz file: File is not a zip file")()


def test_a_wrong_checksum_names_the_member(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"))
    path.write_bytes(path.read_bytes().replace(b"abc", b"abd"))
    refuse(path, r"data\.npz, member a\.npy: truncated or corrupt npz file: Bad CRC-32")()


def test_a_broken_deflate_stream_is_not_blamed_on_the_npy_header(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"), zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[30 + len("a.npy")] = 0xFF  # the first byte behind the local zip header
    path.write_bytes(content)
    refuse(path, r"member a\.npy: truncated or corrupt npz file: Error -3 while")()


def test_a_directory_that_points_before_the_file_is_refused(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"))
    content = bytearray(path.read_bytes())
    end = content.index(b"PK\5\6")
    # A directory said to begin later moves every member towards the front.
    (offset,) = struct.unpack_from("<I", content, end + 16)
    struct.pack_into("<I", content, end + 16, offset + 10)
    path.write_bytes(content)
    refuse(path, r"member a\.npy: corrupt npz file: impossible offset")()


@pytest.mark.parametrize("found", [2, 4])
def test_a_member_of_another_length_than_its_header_is_refused(found: int, tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", bytes(found)))
    match = rf"member a\.npy: the header declares \(3,\) uint8 = 3 bytes, found {found} in"
    refuse(path, match)()


def test_bytes_missing_behind_a_false_directory_entry_are_noticed(tmp_path: Path) -> None:
    # The directory promises three bytes more than the deflated stream holds.
    path = npz_of(tmp_path, npy_bytes("(6,)", b"abc"), zipfile.ZIP_DEFLATED)
    size = len(npy_bytes("(6,)", b"abc"))
    content = path.read_bytes()
    directory = content.index(b"PK\1\2")
    old, new = struct.pack("<I", size), struct.pack("<I", size + 3)
    path.write_bytes(content[:directory] + content[directory:].replace(old, new))
    refuse(path, r"member a\.npy: truncated: expected 6 bytes, found 3")()


# --- hostile files


@pytest.mark.parametrize("save", SAVERS)
def test_a_pickle_is_refused_and_not_run(save: Callable[..., None], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    save(tmp_path / "data.npz", a=np.array([Evil()], dtype=object))
    refuse(tmp_path / "data.npz", r"member a\.npy: expected numbers, found Python objects")()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "descr",
    ["'<U3'", "'|S3'", "'<c8'", "'|b1'", "'<M8[s]'", "'|V4'", "'<f16'", "'float64'"],
)
def test_types_other_than_integers_and_floats_are_refused(descr: str, tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", bytes(24), descr))
    refuse(path, r"member a\.npy: expected integers or floats, found dtype")()


@pytest.mark.parametrize("descr", ["[('x', '<f4')]", "('<f4', (2,))"])
def test_structured_types_are_refused(descr: str, tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", bytes(24), descr))
    refuse(path, r"member a\.npy: (bad npy header|expected integers or floats)")()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_header_of_two_to_the_40_elements_is_refused_without_allocation(
    method: int, tmp_path: Path
) -> None:
    path = npz_of(tmp_path, npy_bytes(f"({2**40},)", bytes(100)), method)
    match = r"member a\.npy: refused: declares 1099511627776 bytes, expected at most 4294967296"
    assert peak_bytes_of(refuse(path, match)) < MIB


def test_a_header_beyond_its_member_is_refused_without_allocation(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes(f"({2**31},)", bytes(100)))
    match = r"declares \(2147483648,\) uint8 = 2147483648 bytes, found 100 in the archive's"
    assert peak_bytes_of(refuse(path, match)) < MIB


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ("()", r"expected 1 to 32 dimensions, found 0"),
        ("(" + "1," * 33 + ")", r"expected 1 to 32 dimensions, found 33"),
        ("(3, 0)", r"expected at least 1 element along axis 1, found 0"),
        ("(-3, -1)", r"expected at least 1 element along axis 0, found -3"),
        (f"({2**32}, {2**32})", rf"declares {2**64} bytes, expected at most"),
        (f"({10**20 - 1},)", r"axis 0, found a number beyond 64 bits"),
        ("(" + "9" * 5000 + ",)", r"bad npy header: shape is \(9999"),
        ("(" * 300 + ")" * 300, r"bad npy header"),
        ("3", r"bad npy header: expected descr, fortran_order and shape, each once, found \" 's"),
        ("(3)", r"bad npy header: shape is \(3\)$"),
        ("(3,,)", r"bad npy header: shape is \(3,,\)$"),
        ("(3", r"bad npy header"),
        ("(__import__('os'),)", r"bad npy header"),
        ("(3,), 'more': 1", r"bad npy header: expected descr.* found \" 'more': 1,\"$"),
        ("(3,), 'shape': (3,)", r"bad npy header: expected descr, .* each once, found"),
        ("'(3,)'", r"bad npy header: shape is '\(3,\)'"),
    ],
)
def test_a_bad_shape_is_refused(shape: str, match: str, tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes(shape, b"abc"))
    refuse(path, rf"member a\.npy: {match}" if match.startswith("bad") else match)()


def test_a_member_without_npy_magic_is_refused(tmp_path: Path) -> None:
    refuse(npz_of(tmp_path, b"no array"), r"bad npy header: expected b'.x93NUMPY', found b'no ar")()


def test_only_the_plain_npy_version_is_read(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc", version=2))
    refuse(path, r"expected npy format 1\.0, found 2\.0")()


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("", r"bad npy header: truncated"),
        ("[]", r"bad npy header: expected a dict, found '\[\]'"),
        ("{}", r"bad npy header: expected descr, fortran_order and shape, found none"),
        ("{'shape': (3,), 'descr': '|u1'}", r"and shape, found shape, descr$"),
        ("{'descr': '|u1', 'fortran_order': (), 'shape': (3,)}", r"must be True or False"),
        ("{'descr': 'u1', 'fortran_order': False, 'shape': (3,)}", r"found dtype 'u1'"),
        ("{'descr': True, 'fortran_order': False, 'shape': (3,)}", r"found dtype True"),
        ("{'descr': '|u1' 'fortran_order': False, 'shape': (3,)}", r"each once, found"),
    ],
)
def test_a_header_that_is_no_such_dict_is_refused(header: str, match: str, tmp_path: Path) -> None:
    content = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + b"abc"
    refuse(npz_of(tmp_path, content), match)()


@pytest.mark.parametrize(
    "header",
    [
        "{'shape': (2, 3), 'fortran_order': False, 'descr': '|u1'}",
        "{ 'descr' : '|u1' ,'fortran_order':False,'shape':( 2,3, ), }   \n",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L), }\n",
    ],
    ids=["other order", "other spaces", "Python 2"],
)
def test_headers_of_other_writers_are_read(header: str, tmp_path: Path) -> None:
    content = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + A.tobytes()
    np.testing.assert_array_equal(read_npz(npz_of(tmp_path, content), ["a"])["a"], A)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.npy", npy_bytes("(3,)", b"abd"))
    refuse(path, r"data\.npz: expected one array named a, found 2$")()


def test_a_huge_directory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy_bytes("(3,)", b"abc"))
    content = path.read_bytes()
    begin, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    n = 2 * MIB // (end - begin)
    sizes = struct.pack("<HHI", n, n, n * (end - begin))
    path.write_bytes(
        content[:begin]
        + n * content[begin:end]
        + content[end : end + 8]
        + sizes
        + content[end + 16 :]
    )
    match = r"data\.npz: refused: declares a zip directory of \d+ bytes, expected at most 1048576"
    assert peak_bytes_of(refuse(path, match)) < MIB


def test_a_zip_bomb_is_refused_without_allocation(tmp_path: Path) -> None:
    n_bytes = 64 * MIB
    npy = npy_bytes(f"({n_bytes},)", bytes(n_bytes))
    path = npz_of(tmp_path, npy, zipfile.ZIP_DEFLATED)
    match = rf"member a\.npy: refused as a decompression bomb: .* declare {len(npy)}, expected"
    assert peak_bytes_of(refuse(path, match)) < MIB


def test_a_false_compressed_size_does_not_hide_a_bomb(tmp_path: Path) -> None:
    n_bytes = 64 * MIB
    path = npz_of(tmp_path, npy_bytes(f"({n_bytes},)", bytes(n_bytes)), zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        compressed = archive.getinfo("a.npy").compress_size
    content = path.read_bytes()
    directory = content.index(b"PK\1\2")
    old, new = struct.pack("<I", compressed), struct.pack("<I", 2**31)
    path.write_bytes(content[:directory] + content[directory:].replace(old, new, 1))
    refuse(path, r"refused as a decompression bomb")()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(method: int, tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"), method)
    refuse(path, rf"expected a stored or deflated member, found compression method {method}")()


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    refuse(path, r"member a\.npy: expected a plain member, found an encrypted one")()


def test_an_error_of_the_disk_is_not_called_a_format_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz_of(tmp_path, npy_bytes("(3,)", b"abc"))

    def fail(*args: Any) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(zipfile.ZipExtFile, "read", fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        read_npz(path, ["a"])
    assert not isinstance(caught.value, DataFormatError)
