"""When there is no memory, calls raise MemoryError, and work again once there is some.

What CPython and NumPy make of a failed allocation of their own is not this package's, see
OF_OTHERS: most ends in MemoryError, an array's `all()` may end in SystemError.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
    pytest.skip("needs gcc on Linux", allow_module_level=True)

FINE = "success", "MemoryError", "not reached"


@pytest.fixture
def run(tmp_path):
    library = tmp_path / "failing_malloc.so"
    command = ["gcc", "-O1", "-shared", "-fPIC", "-fno-builtin"]
    subprocess.run([*command, FOLDER / "failing_malloc.c", "-o", library], check=True)

    def run(*words, **environment):
        script = FOLDER / "failed_allocations.py"
        result = subprocess.run(
            [sys.executable, script, library, *map(str, words)],
            capture_output=True,
            text=True,
            env=os.environ | {"LD_PRELOAD": str(library), "TMPDIR": str(tmp_path)} | environment,
        )
        assert result.returncode == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


OF_OTHERS = {
    "RuntimeError": "can't allocate",  # threading.RLock, open
    "ValueError": "digital envelope routines",  # hashlib
    "TypeError": "expected str, bytes or os.PathLike object, not PosixPath",  # os.fspath
    "SystemError": "",  # NumPy's reduce, all, divide
    f"died of {-signal.SIGSEGV}": "",  # NumPy's var
}


def is_of_others(row):
    """Whether CPython or NumPy made a failure, not the extension or what calls it."""
    if row["outcome"] not in OF_OTHERS or OF_OTHERS[row["outcome"]] not in row["text"]:
        return False
    if row["outcome"].startswith("died"):  # Python sees the caller of an extension
        return "site-packages/numpy" in row["place"]
    in_extension = row["place"].startswith("fastmlp/")
    return not in_extension and "fastmlp" not in row["text"].splitlines()[-1]


def test_every_failed_allocation_of_the_extension_is_a_memory_error(run):
    rows = run(1, 1, 10)
    assert not [row for row in rows if row["outcome"] not in FINE]
    failed = {row["call"] for row in rows if row["outcome"] == "MemoryError"}
    assert failed >= {"network", "engine", "predict 1", "fit", "load"}
    assert {row["call"] for row in rows if row["outcome"] == "not reached"} >= failed


@pytest.mark.soak
@pytest.mark.parametrize("allocator", ["malloc", "pymalloc"])
def test_every_failed_allocation_of_the_process_is_an_error_that_says_so(allocator, run):
    rows = run(0, 1, 500, PYTHONMALLOC=allocator)
    wrong = [row for row in rows if row["outcome"] not in FINE and not is_of_others(row)]
    assert not wrong, "\n".join(f"{row}" for row in wrong[:5])
    assert len(rows) > (1500 if allocator == "malloc" else 100)
