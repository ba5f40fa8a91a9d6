"""Processes and folders of a test run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

from fastmlp.files.system import calls

PATIENCE_SECONDS = 600
"""After which something hangs. What is only slow, beside many other programs, takes less."""


def run_tool(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@contextmanager
def shared_folder(tmp_path_factory, name):
    """One folder for all processes of a test run; the others wait, and find what is in it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    (base / name).mkdir(exist_ok=True)
    with open(base / f"{name}.lock", "w") as lock:
        calls.lock_file(lock.fileno(), wait=True)
        yield base / name


def is_running(pid):
    """Neither gone nor dead and waiting for its parent, which in a container may never ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition):
    """Not for ever, so that a defect is no hang."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fork():
    """`os.fork` without the warning of other threads; 0 in the child, which must not return."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def fork_and_stay():
    """Process id of a forked child that has begun to wait to be killed."""
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        os.write(writer, b"x")
        signal.pause()
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    return child
