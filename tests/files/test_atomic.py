"""Files are written whole or not at all, whatever fails in between."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest
from damage import fail_in

import fastmlp
from fastmlp import Network
from fastmlp.files import atomic as _atomic_file
from fastmlp.files.atomic import write_atomically

OLD, NEW = b"old" * 1000, b"new" * 5000
posix_only = pytest.mark.skipif(os.name != "posix", reason="asks for what only POSIX has")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    return path


def test_a_file_is_made_of_all_its_pieces(tmp_path):
    pieces = [b"a" * 10, memoryview(b"bc"), b"", memoryview(bytes(range(256)))]
    write_atomically(tmp_path / "file", pieces)
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)
    assert os.listdir(tmp_path) == ["file"]


def test_large_pieces_are_written_in_chunks_and_short_writes_go_on(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(_atomic_file.os, "write", lambda fd, piece: real(fd, piece[:7]))
    write_atomically(path, [NEW])
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize(
    ("step", "after", "says"),
    [
        ("write", 0, "cannot write"),
        ("write", 1, "cannot write"),
        ("fsync", 0, "cannot synchronize"),
        ("replace", 0, "cannot replace"),
        ("open", 0, "cannot create a temporary file beside"),
    ],
)
def test_a_fault_leaves_the_old_file_and_no_other(step, after, says, code, path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_in(patch, step, code, after=after)
        with pytest.raises(OSError, match=says) as caught:
            write_atomically(path, [NEW[:100], NEW[100:]])
    assert caught.value.errno == code
    assert caught.value.filename == str(path)
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == ["file"]
    write_atomically(path, [NEW])
    assert path.read_bytes() == NEW
    assert os.listdir(path.parent) == ["file"]


@posix_only
def test_a_fault_after_the_rename_leaves_the_new_file_whole(path, monkeypatch):
    fail_in(monkeypatch, "fsync", errno.EIO, after=1)
    with pytest.raises(OSError, match="cannot synchronize the folder of the file"):
        write_atomically(path, [NEW])
    assert path.read_bytes() == NEW
    assert os.listdir(path.parent) == ["file"]


@posix_only
def test_file_and_folder_are_synchronised_around_the_rename(path, monkeypatch):
    order = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor):
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def replace(*names):
        order.append("rename")
        real_replace(*names)

    monkeypatch.setattr(_atomic_file.os, "fsync", sync)
    monkeypatch.setattr(_atomic_file.os, "replace", replace)
    write_atomically(path, [NEW])
    assert order == ["file", "rename", "folder"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_an_interruption_leaves_the_old_file_and_no_other(step, path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_atomic_file.os, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, [NEW])
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == ["file"]


KILLED = """
import os, signal, sys
from fastmlp.files import atomic as _atomic_file
def killed(*args):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(_atomic_file.os, sys.argv[2], killed)
_atomic_file.write_atomically(sys.argv[1], [b"new" * 100])
"""


@posix_only
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_what_a_killed_process_left_is_removed_by_the_next(step, path):
    result = subprocess.run([sys.executable, "-c", KILLED, str(path), step])
    assert result.returncode == -signal.SIGKILL
    assert path.read_bytes() == OLD
    assert len(os.listdir(path.parent)) == 2
    write_atomically(path, [NEW])
    assert path.read_bytes() == NEW
    assert os.listdir(path.parent) == ["file"]


def test_a_file_that_is_being_written_is_not_taken_for_abandoned(path):
    def pieces():
        yield b"first"
        write_atomically(path, [NEW])  # another one, from start to end
        assert path.read_bytes() == NEW
        yield b"second"

    write_atomically(path, pieces())
    assert path.read_bytes() == b"firstsecond"
    assert os.listdir(path.parent) == ["file"]


@posix_only
def test_a_full_disk_leaves_the_old_model(tmp_path):
    """The system itself refuses to write more than some bytes."""
    code = (
        "import resource, sys, fastmlp; from fastmlp import Network\n"
        "path = sys.argv[1]; fastmlp.save(Network((2, 3, 1), random_state=0), path)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: fastmlp.save(Network((50, 60, 1), random_state=0), path)\n"
        "except OSError as error: print(error)\n"
        "print(fastmlp.load(path))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m")], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "cannot write the file: File too large" in result.stdout
    assert "Network(2-3-1" in result.stdout
    assert os.listdir(tmp_path) == ["m"]


def test_a_missing_folder_is_named_and_not_made(tmp_path):
    with pytest.raises(OSError, match=r"cannot create a temporary file beside .*nowhere"):
        write_atomically(tmp_path / "nowhere" / "file", [NEW])
    assert os.listdir(tmp_path) == []


@posix_only
def test_links_are_followed_and_permissions_stay(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(OLD)
    target.chmod(0o600)
    link.symlink_to(target)
    write_atomically(link, [NEW])
    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_new_file_has_the_permissions_that_any_new_file_has(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "file", [NEW])
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@posix_only
def test_many_writers_of_one_file_leave_one_whole_file(path):
    contents = [bytes([65 + i]) * 100_000 for i in range(8)]
    errors = []

    def write(content):
        try:
            for _ in range(10):
                write_atomically(path, [content])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert path.read_bytes() in contents
    assert os.listdir(path.parent) == ["file"]


@posix_only
def test_long_names_and_names_with_patterns_work(tmp_path):
    for name in ("ü" * 120, "[a]*?", ".hidden", "a b"):
        write_atomically(tmp_path / name, [NEW])
        assert (tmp_path / name).read_bytes() == NEW
    assert len(os.listdir(tmp_path)) == 4


def test_save_uses_it(tmp_path, monkeypatch):
    fail_in(monkeypatch, "fsync", errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        fastmlp.save(Network((1, 1)), tmp_path / "model")
    assert os.listdir(tmp_path) == []
