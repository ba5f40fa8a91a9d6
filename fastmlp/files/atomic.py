"""Atomic writing of files.

The bytes go into a temporary file in the folder of the target, which is synchronized with the disk
before it takes the target's name; then the folder is synchronized too. Even if the process ends in
between, the target is either the old file or the new one.

A temporary file left behind by a killed process is removed by the next process that writes the same
target. A lock, which the system releases when its owner ends, distinguishes it from a file that is
being written; on Windows its age does (see `windows`).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastmlp._checks import check_path
from fastmlp._types import StrPath
from fastmlp.files.lock import Lock
from fastmlp.files.system import calls

CHUNK_BYTES = 1 << 26
TEMPORARY_SUFFIX = ".fastmlp-tmp"


def write_atomically(
    path: StrPath,
    pieces: Iterable[bytes | memoryview],
    insertion: Callable[[], tuple[int, bytes]] | None = None,
) -> None:
    """Write `pieces` one after the other to the file `path`, atomically.

    Links are followed. A new file takes over the permissions of the file it replaces.

    Parameters
    ----------
    path : str, bytes or PathLike
        File in an existing folder.
    pieces : iterable of bytes-like
        Contiguous pieces; each is requested after the previous ones have been written.
    insertion : callable, optional
        Called when all pieces have been written; returns a position and the bytes to write there.

    Raises
    ------
    IsADirectoryError, OSError
        If `path` is a folder, a device, a pipe or a socket; nothing is changed.
    OSError
        If writing fails, with the system's `errno`, the failed step and the file's name. An
        existing file is unchanged, unless only the last step failed, the synchronization of the
        folder: then the new file is complete.
    """
    target = Path(os.path.realpath(check_path("path", path)))
    refuse_special(target)
    remove_abandoned(target.parent, _prefix(target)[1:])
    with _temporary(target) as (temporary, lock):
        with _named("write", target):
            for piece in pieces:
                _write_all(lock.descriptor, piece)
            if insertion is not None:
                _overwrite(lock.descriptor, *insertion())
        with _named("synchronize", target):
            os.fsync(lock.descriptor)
        with _named("replace", target):
            if not calls.RENAMES_OPEN_FILES:
                lock.release()
            os.replace(temporary, target)
    with _named("synchronize the folder of", target):
        calls.synchronize_folder(target.parent)


def check_writable(folder: Path, prefix: str) -> None:
    """Test whether a folder is writable by creating and removing an empty file.

    Raises
    ------
    OSError
        As from `write_atomically` for a file there whose name begins with `prefix`.
    """
    with _temporary(folder / prefix):
        pass


def refuse_special(target: Path) -> None:
    """Raise an error for anything but a regular file: /dev/null would be replaced by one.

    Raises
    ------
    IsADirectoryError, OSError
        If `target` is a folder, a device, a pipe or a socket.
    """
    try:
        mode = target.stat().st_mode
    except OSError:  # it is missing, or creating the temporary file will raise
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "cannot replace a folder by a file", str(target))
    if not stat.S_ISREG(mode):
        raise OSError(
            errno.EINVAL,
            "cannot replace a device, pipe or socket by a file; give the name of a regular file",
            str(target),
        )


@contextmanager
def _named(step: str, target: Path) -> Iterator[None]:
    """Add the name of the failed step to an OSError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot {step} the file: {reason}", str(target)) from error


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[Path, Lock]]:
    """Yield name and lock of a new temporary file, which is open; remove it unless renamed."""
    with _named("create a temporary file beside", target):
        temporary, lock = _create_locked(target)
    try:
        yield temporary, lock
    except BaseException:
        with suppress(OSError):  # the first error counts
            _discard(temporary, lock)
        raise
    with _named("close", target):
        _discard(temporary, lock)


def _discard(temporary: Path, lock: Lock) -> None:
    try:
        lock.release()  # first, because Windows removes no open file
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _create_locked(target: Path) -> tuple[Path, Lock]:
    """Create a file that is locked before another process could consider it abandoned."""
    while True:
        temporary = target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        lock = Lock(os.open(temporary, flags, 0o666))
        try:
            lock.hold(wait=True)  # without locks, nothing is cleaned up either
            with suppress(FileNotFoundError):
                calls.copy_permissions(lock.descriptor, target)
            if os.path.exists(temporary):
                return temporary, lock
        except BaseException:
            _discard(temporary, lock)
            raise
        lock.release()  # another process removed it before it was locked


def _prefix(target: Path) -> str:
    return f".{target.name[:50]}."


def _write_all(descriptor: int, piece: bytes | memoryview) -> None:
    rest = memoryview(piece).cast("B")
    while len(rest):
        rest = rest[os.write(descriptor, rest[:CHUNK_BYTES]) :]


def _overwrite(descriptor: int, position: int, content: bytes) -> None:
    os.lseek(descriptor, position, os.SEEK_SET)
    _write_all(descriptor, content)


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove unlocked temporary files of targets whose names begin with `prefix`."""
    with suppress(OSError):  # without the folder, creating the file will raise
        for name in os.listdir(folder):
            if name.startswith(f".{prefix}") and name.endswith(TEMPORARY_SUFFIX):
                with suppress(OSError):  # in use, or removed by another process
                    calls.remove_unlocked(folder / name)
