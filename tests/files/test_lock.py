"""A lock belongs to the process that took it, and its owner can be named."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

import pytest
from processes import fork, fork_and_stay

from fastmlp.files import lock


@pytest.fixture
def descriptor(tmp_path):
    return os.open(tmp_path, os.O_RDONLY)


def is_free(folder):
    other = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(other)
    return True


def test_a_lock_is_free_after_its_release_while_a_forked_child_lives(descriptor, tmp_path):
    lock.hold(descriptor)
    child = fork_and_stay()
    try:
        assert not is_free(tmp_path)
        lock.release(descriptor)
        assert is_free(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_child_that_releases_closes_no_file_of_its_own(descriptor, tmp_path):
    lock.hold(descriptor)
    child = fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), descriptor)  # the number is used again
        lock.release(descriptor)
        try:
            os.fstat(descriptor)
        except OSError:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not is_free(tmp_path)
    lock.release(descriptor)


def test_the_owner_of_a_lock_is_named(descriptor, tmp_path, monkeypatch):
    code = (
        "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDONLY);"
        "fcntl.flock(fd, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(BlockingIOError):
            lock.hold(descriptor)
        assert lock.owner_of(descriptor) == f"process {other.pid}"
        monkeypatch.setattr(lock, "LOCK_TABLE", str(tmp_path / "none"))
        assert lock.owner_of(descriptor) == "another process"
        other.stdin.close()
    os.close(descriptor)
