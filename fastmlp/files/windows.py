"""What `atomic` and `lock` ask of Windows; `posix` has the same names.

A file that is open can be neither renamed nor removed, a folder cannot be opened, and a lock is one
of some bytes.
"""

from __future__ import annotations

import errno
import importlib
import os
import time
from pathlib import Path

RENAMES_OPEN_FILES = False
"""Whether a file can be renamed or removed while it is open."""

LOCK_FILE = ".fastmlp-lock"
"""Name of the file whose lock is its folder's; it stays there, empty."""

ABANDONED_SECONDS = 600.0
"""Between its last change and the time when a closed temporary file counts as abandoned.

One that is being written is open and cannot be removed, but it is closed just before it is renamed.
"""

_LOCKED_BYTE = 1 << 30
"""Position of the byte that is locked, which need not exist."""


def lock_file(descriptor: int, *, wait: bool) -> None:
    """Lock an open file until it is closed.

    Raises
    ------
    BlockingIOError
        If it is locked already; with `wait` after ten seconds.
    OSError
        If the file system does not support locks.
    """
    msvcrt = importlib.import_module("msvcrt")
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)) from None
        raise
    finally:
        os.lseek(descriptor, position, os.SEEK_SET)


def open_for_lock(folder: Path) -> int:
    """Return a descriptor whose lock is the folder's: that of a file in it."""
    return os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)


def copy_permissions(descriptor: int, source: Path) -> None:
    """Do nothing: a new file inherits the permissions of its folder."""


def remove_unlocked(temporary: Path) -> None:
    """Remove a file that no process has open, and that has not changed for some minutes.

    Raises
    ------
    OSError
        If it is open, or another process has removed it.
    """
    if time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS:
        temporary.unlink()


def synchronize_folder(folder: Path) -> None:
    """Do nothing: the file system's journal keeps names and their order."""
