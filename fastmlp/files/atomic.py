"""Files that are written whole or not at all.

The bytes go into a temporary file in the folder of the target, which is synchronised with the disk
before it takes the target's name; then the folder is synchronised too. Whatever ends the process in
between, the target is the old file or the new one.

A temporary file that a killed process left behind is removed by the next one that writes the same
target. It is told from one that is being written by a lock, which the system releases with its
owner.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHUNK_BYTES = 1 << 26
TEMPORARY_SUFFIX = ".fastmlp-tmp"


def write_atomically(path: str | os.PathLike[str], pieces: Iterable[bytes | memoryview]) -> None:
    """Make the file `path` of `pieces`, one after the other.

    A link is followed. A file that is replaced hands on its permissions.

    Parameters
    ----------
    path : str or PathLike
        In a folder that exists.
    pieces : iterable of bytes-like
        Contiguous.

    Raises
    ------
    OSError
        Where something cannot be written, with the system's `errno`, the step that failed and the
        file's name. Whatever had the name before is unchanged, unless it was the last step, the
        synchronisation of the folder, that failed: then the new file is there, whole.
    """
    target = Path(os.path.realpath(path))
    remove_abandoned(target.parent, _prefix(target)[1:])
    with _temporary(target) as (temporary, descriptor):
        with _named("write", target):
            for piece in pieces:
                _write_all(descriptor, piece)
        with _named("synchronise", target):
            os.fsync(descriptor)
        with _named("replace", target):
            os.replace(temporary, target)
    with _named("synchronise the folder of", target):
        _synchronise_folder(target.parent)


@contextmanager
def _named(step: str, target: Path) -> Iterator[None]:
    """Say in an error which step failed."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot {step} the file: {reason}", str(target)) from error


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[Path, int]]:
    """Name and descriptor of a new, locked file beside the target; removed unless renamed."""
    with _named("create a temporary file beside", target):
        temporary, descriptor = _create_locked(target)
    try:
        yield temporary, descriptor
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _create_locked(target: Path) -> tuple[Path, int]:
    """A new file that is locked before anybody could take it for abandoned."""
    while True:
        temporary = target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with suppress(OSError):  # a file system without locks: then nobody tidies up either
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            if os.path.exists(temporary):
                return temporary, descriptor
        except BaseException:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody tidied it away before it was locked


def _prefix(target: Path) -> str:
    return f".{target.name[:50]}."


def _write_all(descriptor: int, piece: bytes | memoryview) -> None:
    rest = memoryview(piece).cast("B")
    while len(rest):
        rest = rest[os.write(descriptor, rest[:CHUNK_BYTES]) :]


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove the temporary files of targets that begin with `prefix` and that nobody has locked."""
    with suppress(OSError):  # no such folder: creating a file there will say so
        for name in os.listdir(folder):
            if name.startswith(f".{prefix}") and name.endswith(TEMPORARY_SUFFIX):
                _remove_unlocked(folder / name)


def _remove_unlocked(temporary: Path) -> None:
    with suppress(OSError):  # locked, or removed by another process
        descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()
        finally:
            os.close(descriptor)


def _synchronise_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
