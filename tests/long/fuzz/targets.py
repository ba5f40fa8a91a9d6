"""What the fuzzer calls: every reader of foreign bytes.

A reader may return or raise the exception that it documents; everything else is a find. Where a
checksum would stop every mutation at the door, it is set right first, so that what lies behind is
reached too. A new reader gets an entry in TARGETS and a folder below corpus/.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fastmlp
import fastmlp.estimators.document  # else loaded with the first estimator, unseen by the fuzzer
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.datasets.idx import read_idx
from fastmlp.datasets.npz import read_npz
from fastmlp.exceptions import (
    DataFormatError,
    DivergenceError,
    ModelFormatError,
    ResumeError,
)
from fastmlp.files.fields import Fields
from fastmlp.files.safetensors_header import parse_header, parse_object
from fastmlp.search import GroupModels

CORPUS = Path(__file__).parent / "corpus"
EXTRA_BYTES = 64 << 20
"""Memory that a reader may take beside twice the size of its file."""

MOST_BYTES = 1 << 16
"""Longest input: where 100 times the file is allowed, that stays far below EXTRA_BYTES."""


@dataclass(frozen=True)
class Target:
    """A reader, and how the fuzzer's bytes become a file for it.

    Attributes
    ----------
    read : function of a path
    documented : type of exception, or several
        What it may raise.
    as_file : function of bytes
        The content of the file.
    """

    read: Callable[[Path], object]
    documented: type[ValueError] | tuple[type[Exception], ...]
    as_file: Callable[[bytes], bytes] = bytes


def packed(data: bytes) -> bytes:
    """Gzipped, unless it is already."""
    return data if data[:2] == b"\x1f\x8b" else gzip.compress(data, 1, mtime=0)


def archived(data: bytes) -> bytes:
    """What is no archive becomes the member of one."""
    if data[:2] == b"PK":
        return data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.npy"), data)
    return buffer.getvalue()


def sealed(data: bytes) -> bytes:
    """64 zeros become a model file's checksum."""
    return data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode(), 1)


def read_header(path: Path) -> object:
    """The header of a safetensors file, behind two bytes that say how many bytes follow it."""
    data = path.read_bytes()
    return parse_header(data[2:], int.from_bytes(data[:2], "big"))


def read_value(path: Path) -> object:
    """A JSON object whose "value" is one of a model file's values."""
    return Fields(parse_object(path.read_bytes(), "the object"), "the object").plain("value")


X, Y = np.eye(6, 3), np.eye(6, 2)


def begun(folder: Path | None = None, resume: Path | None = None, n_epochs: int = 2) -> None:
    """The training whose checkpoints `go_on` reads."""
    network = fastmlp.Network((3, 2, 2), random_state=0)
    trainer = fastmlp.Trainer(network, optimizer="adam", dropout=0.5, batch_size=2, random_state=0)
    calls: list[EpochCallback] = [EarlyStopping("loss")]
    if folder is not None:
        calls.append(fastmlp.Checkpoint(folder, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another processor than the corpus was made on
        trainer.fit(X, Y, n_epochs=n_epochs, callbacks=calls, resume=resume)


def go_on(path: Path) -> object:
    """Read a checkpoint and train to the end."""
    begun(resume=path)
    return True


def read_groups(path: Path) -> object:
    """All models of a file of `fit_many`: a single one is checked when it is used."""
    models = GroupModels.load(path)
    for label in models:
        models[label]
    return models.failures


begun()  # imports and buffers

TARGETS = {
    "idx": Target(read_idx, DataFormatError),
    "idx_gzip": Target(read_idx, DataFormatError, packed),
    "npz": Target(lambda path: read_npz(path, ["a"]), DataFormatError, archived),
    "model": Target(fastmlp.load, ModelFormatError, sealed),
    "groups": Target(read_groups, ModelFormatError, sealed),
    "checkpoint": Target(go_on, (ModelFormatError, ResumeError, DivergenceError), sealed),
    "header": Target(read_header, ModelFormatError),
    "values": Target(read_value, ModelFormatError),
}

_SHARED_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_folder = tempfile.TemporaryDirectory(prefix="fastmlp-fuzz-", dir=_SHARED_MEMORY)
_path = Path(_folder.name) / "input"
"""One file that is written again and again, in memory where the system has a place for that."""


def run(name: str, data: bytes) -> bool:
    """Give the bytes to a reader, and return whether it took them.

    Raises
    ------
    AssertionError
        The reader took more memory than is promised; only while tracemalloc is tracing.
    Exception
        Whatever else than the documented exception the reader raised.
    """
    target = TARGETS[name]
    _path.write_bytes(target.as_file(data))
    before = tracemalloc.get_traced_memory()[0]
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
    try:
        target.read(_path)
        taken = True
    except target.documented:
        taken = False
    used = tracemalloc.get_traced_memory()[1] - before
    assert used <= EXTRA_BYTES + 2 * len(data), f"{used} bytes for a file of {len(data)}"
    return taken
