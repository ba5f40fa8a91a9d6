"""`make sanitize` reports errors: planted ones, in a few lines and (soak) in the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sanitize

ROOT = Path(__file__).parents[2]
if not (ROOT / "src").exists():
    pytest.skip("no source tree beside the tests", allow_module_level=True)
if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
    pytest.skip("needs gcc on Linux", allow_module_level=True)


def compiled(folder, code, *options):
    (folder / "planted.c").write_text(code)
    result = folder / "planted"
    subprocess.run(["gcc", *options, folder / "planted.c", "-o", result], check=True)
    return result


def ended(command, **environment):
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


# Each is right for 7 and wrong for 8.
IN_PYTHON = {
    "AddressSanitizer: heap-buffer-overflow": """
        volatile char *bytes = malloc(8); bytes[n] = 1; n = bytes[0]; free((void *)bytes);""",
    "AddressSanitizer: heap-use-after-free": """
        volatile char *bytes = malloc(8); if (n == 8) free((void *)bytes); n = bytes[0];""",
    "runtime error: signed integer overflow": "n += INT_MAX - 7;",
    "is outside the range of representable values": """
        volatile double large = INT_MAX - 7.0; n = (int)(large + n);""",
    "runtime error: load of misaligned address": """
        volatile int two[2] = {0}; n = *(volatile int *)((size_t)two + n - 7);""",
}


@pytest.mark.parametrize("report", IN_PYTHON)
def test_an_error_in_what_python_loads_is_reported_and_ends_it(report, tmp_path):
    includes = "#include <limits.h>\n#include <stdlib.h>\n"
    code = f"{includes}int f(int n) {{{IN_PYTHON[report]} return n; }}"
    flags = [*sanitize.MEMORY.split(), *sanitize.COMMON.split(), "-shared", "-fPIC"]
    library = compiled(tmp_path, code, *flags)
    use = "import ctypes, sys; f = ctypes.CDLL(sys.argv[1]).f; f(7); print(7, flush=True); f(8)"
    result = ended([sys.executable, "-c", use, library], **sanitize.preload())
    assert result.stdout == "7\n", result.stderr
    assert result.returncode != 0 and report in result.stderr


LEAK = """
#include <stdlib.h>
int main(int n, char **words)
{
    char *volatile bytes = malloc(100);
    if (n == 1)
        free(bytes);
    bytes = NULL;
    return 0;
}"""
RACE = """
#include <pthread.h>
static volatile int shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *add(void *locked)
{
    /* Often: ThreadSanitizer misses a pair of accesses that hit the same memory at once. */
    for (int i = 0; i < 1000; i++) {
        if (locked)
            pthread_mutex_lock(&lock);
        shared++;
        if (locked)
            pthread_mutex_unlock(&lock);
    }
    return NULL;
}
int main(int n, char **words)
{
    pthread_t other;
    pthread_create(&other, NULL, add, n == 1 ? &lock : NULL);
    add(n == 1 ? &lock : NULL);
    return pthread_join(other, NULL);
}"""


@pytest.mark.parametrize(
    "code, flags, options, report",
    [
        (LEAK, sanitize.MEMORY, sanitize.LEAKS, "LeakSanitizer: detected memory leaks"),
        (RACE, sanitize.THREADS, sanitize.RACES, "ThreadSanitizer: data race"),
    ],
    ids=["leak", "race"],
)
def test_an_error_of_a_c_test_is_reported_and_ends_it(code, flags, options, report, tmp_path):
    program = compiled(tmp_path, code, *flags.split(), *sanitize.COMMON.split(), "-pthread")
    fine = ended([program], **options)
    if fine.returncode != 0:
        pytest.skip(f"the sanitizer does not run here: {fine.stderr[-200:]}")
    planted = ended([program, "wrong"], **options)
    assert planted.returncode != 0 and report in planted.stderr


RECORD = """==7== {} bytes in 1 blocks are definitely lost in loss record 1 of 2
==7==    at 0x48465EF: calloc (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)
==7==    by 0x8AC7D8E: {}
==7== \n"""


@pytest.mark.parametrize(
    "place, own",
    [
        ("__pyx_pf_7fastmlp_5_core_6Engine___cinit__ (_core.c:18626)", True),
        ("fm_team_share (team.c:140)", True),
        ("__cinit__ (in /x/fastmlp/_core.cpython-311-x86_64-linux-gnu.so)", True),
        ("initumath (in /x/numpy/_core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so)", False),
        ("PyObject_Vectorcall (call.c:299)", False),
    ],
)
def test_records_of_the_extension_are_told_from_those_of_others(place, own):
    log = RECORD.format(8, "main (in /bin/python)") + RECORD.format(256, place)
    assert [sanitize.is_own(record) for record in sanitize.records_of(log)[:2]] == [False, own]


# --- The script itself, over sources with a mistake

PLANTED = {
    "extension": ("fastmlp/engine/_workspace.pxi", "n_layers, sizeof(Layer))",
                  "n_layers, sizeof(Layer) - 8)", "AddressSanitizer: heap-buffer-overflow"),
    "kernels": ("src/narrow.c", "row = r + i < last ? r + i : last;", "row = r + i;",
                "AddressSanitizer: heap-buffer-overflow"),
    "team": ("src/team.c", "while (atomic_load(&team.done) < n_claims)", "while (0)",
             "ThreadSanitizer: data race"),
    "valgrind": ("fastmlp/engine/_workspace.pxi", "free(self.job.network.layers)", "pass",
                 "are definitely lost"),
}  # fmt: skip


@pytest.mark.parametrize("check", PLANTED)
def test_a_mistake_to_be_planted_has_one_place_in_the_sources(check):
    file, old, new, _ = PLANTED[check]
    assert (ROOT / file).read_text().count(old) == 1 and old != new


@pytest.mark.soak
@pytest.mark.parametrize("check", PLANTED)
def test_a_mistake_in_the_sources_is_reported_by_the_script(check, tmp_path):
    if check == "valgrind" and shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    for name in ("src", "fastmlp", "tests"):
        leave = shutil.ignore_patterns("*.so", "__pycache__", "corpus")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave)
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    file, old, new, report = PLANTED[check]
    text = (tmp_path / file).read_text()
    assert text.count(old) == 1
    (tmp_path / file).write_text(text.replace(old, new))
    result = ended([sys.executable, tmp_path / "tests" / "long" / "sanitize.py", check])
    assert result.returncode != 0 and report in result.stdout + result.stderr
    assert "sanitizers: no report" not in result.stdout
