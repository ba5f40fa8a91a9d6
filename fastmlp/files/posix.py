"""What `atomic` and `lock` ask of POSIX; `windows` has the same names."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

RENAMES_OPEN_FILES = True
"""Whether a file can be renamed or removed while it is open."""


def lock_file(descriptor: int, *, wait: bool) -> None:
    """Lock an open file until it is closed.

    Raises
    ------
    BlockingIOError
        If it is locked already, unless `wait` is set.
    OSError
        If the file system does not support locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def open_for_lock(folder: Path) -> int:
    """Return a descriptor whose lock is the folder's: that of the folder."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def copy_permissions(descriptor: int, source: Path) -> None:
    """Give an open file the permissions of the file `source`."""
    os.fchmod(descriptor, stat.S_IMODE(source.stat().st_mode))


def remove_unlocked(temporary: Path) -> None:
    """Remove a file that no process has locked.

    Raises
    ------
    OSError
        If it is locked, or another process has removed it.
    """
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        lock_file(descriptor, wait=False)
        temporary.unlink()
    finally:
        os.close(descriptor)


def synchronize_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
