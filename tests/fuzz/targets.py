"""What the fuzzer calls: every reader of foreign bytes, as a function of bytes.

A reader may return or raise the exception that it documents; everything else is a find. Where a
checksum would stop every mutation at the door, the target sets it right first, so that what lies
behind is reached too. A new reader gets a function here and a folder below corpus/.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import fastmlp
import fastmlp._saved_estimator  # else loaded with the first estimator, unseen by the fuzzer
from fastmlp._idx import read_idx
from fastmlp._model_fields import Fields
from fastmlp._npz import read_npz
from fastmlp._safetensors_header import parse_header, parse_object
from fastmlp.exceptions import DataFormatError, ModelFormatError

CORPUS = Path(__file__).parent / "corpus"
EXTRA_BYTES = 64 << 20
"""Memory that a reader may take beside twice the size of its file."""

MOST_BYTES = 1 << 16
"""Longest input: where 100 times the file is allowed, that stays far below EXTRA_BYTES."""

Target = Callable[[bytes], None]


class Scratch:
    """One file that is written again and again, in memory where the system has a place for that."""

    def __init__(self) -> None:
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="fastmlp-fuzz-", dir=shared)
        self.path = Path(self._folder.name) / "input"

    def holding(self, content: bytes) -> Path:
        self.path.write_bytes(content)
        return self.path


scratch = Scratch()


def idx(data: bytes) -> None:
    """An IDX file."""
    read_idx(scratch.holding(data))


def idx_gzip(data: bytes) -> None:
    """A gzipped IDX file; what is not packed yet is packed."""
    read_idx(scratch.holding(data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1, mtime=0)))


def npz(data: bytes) -> None:
    """An npz file; what is no archive becomes the member of one."""
    if data[:2] != b"PK":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo("a.npy"), data)
        data = buffer.getvalue()
    read_npz(scratch.holding(data), ["a"])


def model(data: bytes) -> None:
    """A model file; 64 zeros in it become its checksum."""
    digest = hashlib.sha256(data).hexdigest().encode()
    fastmlp.load(scratch.holding(data.replace(b"0" * 64, digest, 1)))


def header(data: bytes) -> None:
    """The header of a safetensors file, behind two bytes that say how many bytes follow it."""
    parse_header(data[2:], int.from_bytes(data[:2], "big"))


def values(data: bytes) -> None:
    """A JSON object whose "value" is one of a model file's values."""
    Fields(parse_object(data, "the object"), "the object").plain("value")


TARGETS: dict[str, tuple[Target, type[ValueError]]] = {
    "idx": (idx, DataFormatError),
    "idx_gzip": (idx_gzip, DataFormatError),
    "npz": (npz, DataFormatError),
    "model": (model, ModelFormatError),
    "header": (header, ModelFormatError),
    "values": (values, ModelFormatError),
}


def run(name: str, data: bytes) -> bool:
    """Give the bytes to a target, and return whether it took them.

    Raises
    ------
    AssertionError
        The reader took more memory than is promised; only while tracemalloc is tracing.
    Exception
        Whatever else than the documented exception the reader raised.
    """
    target, documented = TARGETS[name]
    taken = True
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
    try:
        target(data)
    except documented:
        taken = False
    if tracemalloc.is_tracing():
        used = tracemalloc.get_traced_memory()[1] - before
        assert used <= EXTRA_BYTES + 2 * len(data), f"{used} bytes for a file of {len(data)}"
    return taken
