"""A lock belongs to the process that took it, and its owner can be named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from processes import fork, fork_and_stay

from fastmlp.files import lock

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def owned(tmp_path):
    return lock.Lock(os.open(tmp_path, os.O_RDONLY))


def is_free(folder):
    other = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(other)
    return True


def test_a_lock_is_free_after_its_release_while_a_forked_child_lives(owned, tmp_path):
    owned.hold()
    child = fork_and_stay()
    try:
        assert not is_free(tmp_path)
        owned.release()
        assert is_free(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_child_that_releases_closes_no_file_of_its_own(owned, tmp_path):
    owned.hold()
    child = fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), owned.descriptor)  # the number is used again
        owned.release()
        try:
            os.fstat(owned.descriptor)
        except OSError:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not is_free(tmp_path)
    owned.release()


def test_the_owner_of_a_lock_is_named(owned, tmp_path, monkeypatch):
    code = (
        "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDONLY);"
        "fcntl.flock(fd, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(BlockingIOError):
            owned.hold()
        assert lock.owner_of(owned.descriptor) == f"process {other.pid}"
        monkeypatch.setattr(lock, "LOCK_TABLE", str(tmp_path / "none"))
        assert lock.owner_of(owned.descriptor) == "another process"
        other.stdin.close()
    owned.release()


def test_a_lock_that_nobody_refers_to_is_free(tmp_path):
    """As after an interrupt that came before its release."""
    owned = lock.Lock(os.open(tmp_path, os.O_RDONLY))
    owned.hold()
    assert not is_free(tmp_path)
    del owned
    assert is_free(tmp_path)


def test_a_released_lock_closes_nothing_again(owned, tmp_path):
    owned.hold()
    owned.release()
    other = os.open(tmp_path, os.O_RDONLY)  # has the same number now
    assert other == owned.descriptor
    owned.release()
    del owned
    os.close(other)  # was still open
