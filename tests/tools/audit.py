"""Run readers under an audit hook: what may not happen while a foreign file is read.

As a program it reads every file of the folder that is its argument: FOLDER/TARGET/NAME, with the
reader of this name in long/fuzz/targets.py. Those whose name begins with "honest" are read before,
unseen: they may import what a reader needs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FORBIDDEN = (
    "exec", "compile", "import", "subprocess.", "socket.", "os.system", "os.exec", "os.fork",
    "os.posix_spawn", "os.spawn", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link",
    "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.putenv", "os.kill",
    "pickle.", "marshal.", "ctypes.", "shutil.", "tempfile.", "code.", "builtins.input", "mmap.",
    "urllib.", "http.", "glob.", "signal.", "sys._getframe", "sys.settrace", "sys.setprofile",
)  # fmt: skip
"""Beginnings of audit events; opening for writing comes on top."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def audited(folder):
    """Read all files of a folder in a process of its own: what became of each, in their order.

    Raises
    ------
    AssertionError
        Where something was seen that is forbidden, or another exception than the documented one.
    """
    result = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    seen, results = json.loads(result.stdout)
    assert seen == []
    return results


def watch():
    """Return a list of what is seen from now on, and a function that ends that."""
    seen, active = [], [True]

    def hook(event, arguments):
        if not active:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if writes or event.startswith(FORBIDDEN):
            seen.append(f"{event} {str(arguments)[:200]}")

    sys.addaudithook(hook)
    return seen, active.clear


def read_all(paths):
    from targets import TARGETS

    def read(path):
        target = TARGETS[path.parent.name]
        try:
            target.read(path)
        except target.documented:
            return "refused"
        return "taken"

    return [read(path) for path in paths]


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "long" / "fuzz"))
    paths = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file())
    read_all(path for path in paths if path.name.startswith("honest"))
    seen, end = watch()
    results = read_all(paths)
    end()
    print(json.dumps([seen, results]))
