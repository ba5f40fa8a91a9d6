"""Locks of files and folders that belong to one process and are not inherited by forked children.

The system's lock belongs to an open file, which a forked child shares: a surviving pool worker
would keep the lock of a parent that has ended. Therefore a child closes its copies when it starts.
"""

from __future__ import annotations

import errno
import gc
import os
from contextlib import suppress
from pathlib import Path

from fastmlp.files.system import calls

LOCK_TABLE = "/proc/locks"
"""File in which Linux lists the owners of locks."""

_owned: dict[int, int] = {}
"""Descriptors of this process that a `Lock` closes, by the identity of the lock."""


class Lock:
    """Ownership of an open file by this process, and the system's lock of it.

    `release` ends both. An interrupt may come before it has done anything; then they end when
    nothing refers to the object any more.

    Parameters
    ----------
    descriptor : int
        Of the open file, which the lock closes.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        _owned[id(self)] = descriptor

    def hold(self, *, wait: bool = False) -> None:
        """Lock the file, until `release`.

        If the file system does not support locks, nothing is locked.

        Raises
        ------
        BlockingIOError
            If another owner has the lock, unless `wait` is set.
        """
        try:
            calls.lock_file(self.descriptor, wait=wait)
        except OSError as error:
            if isinstance(error, BlockingIOError):
                raise

    def release(self) -> None:
        """Close the file, which releases the lock; in a forked child, do nothing."""
        if _owned and id(self) in _owned:
            os.close(_owned.pop(id(self)))

    def __del__(self) -> None:
        self.release()


def own_folder(folder: Path, use: str) -> Lock:
    """Lock an existing folder for this process, and return the lock.

    Parameters
    ----------
    folder : Path
    use : str
        What is written there, for the message: "checkpoints".

    Raises
    ------
    BlockingIOError
        If another owner has the lock; the message names the process.
    OSError
        If the folder cannot be opened.
    """
    lock = Lock(calls.open_for_lock(folder))
    try:
        with suppress(BlockingIOError):
            lock.hold()
            return lock
        gc.collect()  # a lock that Ctrl-C met just before its release may still wait for this
        lock.hold()
    except BlockingIOError:
        owner = owner_of(lock.descriptor)
        lock.release()
        raise BlockingIOError(
            errno.EWOULDBLOCK,
            f"another run writes its {use} there ({owner}); wait for its end, end it, or "
            "choose another folder",
            str(folder),
        ) from None
    return lock


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
    for descriptor in _owned.values():
        with suppress(OSError):
            os.close(descriptor)
    _owned.clear()


if hasattr(os, "register_at_fork"):  # nothing forks on Windows
    os.register_at_fork(after_in_child=_forget_in_child)
