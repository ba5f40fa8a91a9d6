"""Locks of files and folders that belong to one process and are not inherited by forked children.

The system's lock belongs to an open file, which a forked child shares: a surviving pool worker
would keep the lock of a parent that has ended. Therefore a child closes its copies when it starts.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

LOCK_TABLE = "/proc/locks"
"""File in which Linux lists the owners of locks."""

_held: set[int] = set()
"""Descriptors of this process that are locked."""


def hold(descriptor: int, *, wait: bool = False) -> None:
    """Lock an open file for this process, until `release`.

    If the file system does not support locks, nothing is locked.

    Raises
    ------
    BlockingIOError
        If another owner has the lock, unless `wait` is set.
    """
    _held.add(descriptor)  # first, because a child may be forked at any time
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        _held.discard(descriptor)
        raise
    except OSError:
        pass


def release(descriptor: int) -> None:
    """Close a file locked by `hold`, which releases the lock; in a forked child, do nothing."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def owner_of(descriptor: int) -> str:
    """Return "process 123" for the owner of the lock of an open file, if it is known."""
    with suppress(OSError, ValueError, IndexError):
        inode = str(os.fstat(descriptor).st_ino)
        for line in Path(LOCK_TABLE).read_text().splitlines():
            parts = line.split()  # "1: FLOCK ADVISORY WRITE 123 08:01:4567 0 EOF"
            if parts[1] == "FLOCK" and parts[5].split(":")[2] == inode and int(parts[4]) > 0:
                return "this process" if int(parts[4]) == os.getpid() else f"process {parts[4]}"
    return "another process"


def _forget_in_child() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
