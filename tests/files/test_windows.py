"""What Windows asks of files, tried here with its locks replaced by ones of this system.

That an open file can be neither renamed nor removed is played by a check of the open descriptors;
what the system itself does is for tests on Windows.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from types import SimpleNamespace

import pytest

from fastmlp.files import atomic, lock, windows
from fastmlp.files.atomic import remove_abandoned, write_atomically

fcntl = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="lists open files")

OLD, NEW = b"old" * 1000, b"new" * 5000


@pytest.fixture
def locked(monkeypatch):
    """Positions and sizes of the locked parts of files."""
    parts = []

    def locking(descriptor, mode, n_bytes):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            code = errno.EDEADLK if mode == "wait" else errno.EACCES
            raise OSError(code, os.strerror(code)) from None
        parts.append((os.lseek(descriptor, 0, os.SEEK_CUR), n_bytes))

    fake = SimpleNamespace(LK_LOCK="wait", LK_NBLCK="at once", locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    return parts


@pytest.fixture(autouse=True)
def on_windows(locked, monkeypatch):
    """The rules of Windows for open files, and the calls that keep them."""
    monkeypatch.setattr(atomic, "calls", windows)
    monkeypatch.setattr(lock, "calls", windows)
    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, refusing_open_files(getattr(os, name)))


def refusing_open_files(call):
    def refusing(path, *others, **options):
        inode = os.stat(path).st_ino
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            try:
                is_same = os.fstat(descriptor).st_ino == inode
            except OSError:
                continue
            if is_same:
                raise PermissionError(errno.EACCES, "in use", str(path))
        return call(path, *others, **options)

    return refusing


def test_both_systems_have_the_same_calls():
    from fastmlp.files import posix

    def names(module):
        return {n for n in vars(module) if not n.startswith("_")}

    def is_of(module, name):
        return getattr(getattr(module, name), "__module__", "") == module.__name__

    own = {n for n in names(posix) if is_of(posix, n)} | {"RENAMES_OPEN_FILES"}
    assert own == {n for n in names(windows) if is_of(windows, n)} | {"RENAMES_OPEN_FILES"}


def test_a_file_is_replaced_after_it_is_closed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    write_atomically(path, [NEW], lambda: (0, b"NEW"))
    assert path.read_bytes() == b"NEW" + NEW[3:]
    assert os.listdir(tmp_path) == ["file"]


def test_a_fault_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="cannot synchronize"):
        patch.setattr(os, "fsync", full)
        write_atomically(path, [NEW])
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["file"]


def test_an_abandoned_file_is_removed_when_it_is_old_enough_and_closed(tmp_path):
    names = [f".model.{name}.fastmlp-tmp" for name in ("in-use", "old", "young")]
    ages = [2 * windows.ABANDONED_SECONDS, 2 * windows.ABANDONED_SECONDS, 1.0]
    for name, age in zip(names, ages, strict=True):
        (tmp_path / name).write_bytes(b"half a file")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with open(tmp_path / names[0]):
        remove_abandoned(tmp_path, "model")
    assert sorted(os.listdir(tmp_path)) == [names[0], names[2]]


def test_a_folder_is_locked_by_a_byte_of_a_file_in_it(tmp_path, locked):
    owned = lock.own_folder(tmp_path, "checkpoints")
    assert os.listdir(tmp_path) == [windows.LOCK_FILE]
    assert locked == [(1 << 30, 1)]
    with pytest.raises(BlockingIOError, match="another run writes its checkpoints there"):
        lock.own_folder(tmp_path, "checkpoints")
    owned.release()
    lock.own_folder(tmp_path, "checkpoints").release()


def test_a_locked_file_is_an_error_of_its_own_and_others_stay_as_they_are(tmp_path, monkeypatch):
    with open(tmp_path / "file", "wb") as one, open(tmp_path / "file", "rb+") as two:
        windows.lock_file(one.fileno(), wait=False)
        for wait in (False, True):
            with pytest.raises(BlockingIOError):
                windows.lock_file(two.fileno(), wait=wait)
        assert two.tell() == 0

        def unsupported(*arguments):
            raise OSError(errno.EINVAL, "no locks here")

        monkeypatch.setattr(sys.modules["msvcrt"], "locking", unsupported)
        with pytest.raises(OSError, match="no locks here"):
            windows.lock_file(one.fileno(), wait=False)
