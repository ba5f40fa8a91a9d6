"""The extension and the thread team under sanitizers and valgrind: `make sanitize`.

Four checks, each with a build of its own below build/sanitize, all with gcc alone:

    extension   ASan and UBSan over the tests of engine and kernels
    kernels     ASan and UBSan over the kernels as a library, and leaks in the C tests
    team        TSan over the C test of the thread team
    valgrind    nothing definitely lost, in the C test and after a few fits in Python

`python tests/long/sanitize.py team valgrind` runs some of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "sanitize"
MEMORY = "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
THREADS = "-fsanitize=thread"
COMMON = "-g -fno-omit-frame-pointer"
LEAKS = {"ASAN_OPTIONS": "detect_leaks=1"}
# The test of the team forks, and the child makes a team of its own: die_after_fork=0 lets it.
RACES = {"TSAN_OPTIONS": "halt_on_error=1:die_after_fork=0"}

ENGINE_TESTS = (
    "engine/test_engine.py",
    "engine/test_sparse.py",
    "engine/test_kernels.py",
    "engine/test_forced_choices.py",
    "network/test_network.py",
    "test_optimizers.py",
    "engine/test_functions_and_losses.py",
    "engine/test_shuffle.py",
    "engine/test_threads.py",
    "training/test_trainer.py",
    "training/test_lbfgs.py",
)
KERNEL_TESTS = ("engine/test_single_kernels.py", "engine/test_native.py")

SMOKE = """
import numpy as np
from fastmlp import Network, Trainer
from scipy.sparse import csr_array
x, y = np.random.default_rng(0).normal(size=(300, 20)), np.eye(3)[np.arange(300) % 3]
for optimizer in ("sgd", "adam"):
    for sizes, dtype, products in (
        ((20, 7, 3), "float32", "own"),
        ((20, 201, 135, 3), "float32", "own"),
        ((20, 135, 3), "float64", "own"),
        ((20, 200, 3), "float32", "blas"),
    ):
        network = Network(sizes, output="softmax", dtype=dtype, random_state=0)
        options = {"batch_size": 100, "dropout": 0.1, "n_threads": 3, "products": products}
        Trainer(network, optimizer=optimizer, **options).fit(x, y, n_epochs=2)
        network.predict(x), network.predict(x[:2])
        rows = csr_array(np.where(x > 2, x, 0))
        Trainer(network, optimizer=optimizer, **options).fit(rows, y, n_epochs=2)
        network.predict(rows), network.predict(rows[:2])
"""


def run(*command: object, **environment: str) -> None:
    """Run a command, show what it prints, and end with it when it fails."""
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True, env=os.environ | environment)


def gcc_library(name: str) -> str:
    """Path of one of gcc's own libraries."""
    command = ["gcc", f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def build(source: Path, name: str, flags: str, *options: str) -> Path:
    """Build the CMake project in `source` with these compiler flags."""
    folder = BUILD / name
    run(
        "cmake",
        "-S",
        source,
        "-B",
        folder,
        "-DCMAKE_C_COMPILER=gcc",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_C_FLAGS={COMMON} {flags}",
        *options,
    )
    run("cmake", "--build", folder, "--parallel", "2")
    return folder


def package(name: str, flags: str) -> Path:
    """A folder with fastmlp, its extension built with these flags."""
    folder = build(ROOT, name, flags, "-DSKBUILD=1", f"-DPython_EXECUTABLE={sys.executable}")
    packages = folder / "packages"
    shutil.rmtree(packages, ignore_errors=True)
    shutil.copytree(
        ROOT / "fastmlp", packages / "fastmlp", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    (extension,) = folder.glob("_core*.so")
    shutil.copy(extension, packages / "fastmlp" / "engine")
    return packages


def preload() -> dict[str, str]:
    """Environment of a Python that loads code with ASan; leaks would be Python's own."""
    libraries = ":".join(map(gcc_library, ("libasan.so", "libubsan.so", "libstdc++.so")))
    return {
        "LD_PRELOAD": libraries,
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1",
    }


def pytest(names: tuple[str, ...], **environment: str) -> None:
    """Run test files against the fastmlp of PYTHONPATH: -P keeps the working folder out.

    A report ends the process, and with it what pytest has captured: -s lets it be seen.
    """
    files = [ROOT / "tests" / name for name in names]
    run(sys.executable, "-P", "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider",
        "-o", "faulthandler_timeout=600", *files, **environment)  # fmt: skip


def check_extension() -> None:
    packages = package("extension", MEMORY)
    environment = preload() | {"PYTHONPATH": str(packages)}
    code = (
        "import fastmlp.engine._core as c; "
        f"assert c.__file__.startswith({str(packages)!r}), c.__file__"
    )
    run(sys.executable, "-P", "-c", code, **environment)
    pytest(ENGINE_TESTS, **environment)


def check_kernels() -> None:
    folder = build(ROOT / "tests" / "engine" / "native", "kernels", MEMORY)
    run(folder / "fastmlp" / "test_team", **LEAKS)
    pytest(KERNEL_TESTS, FASTMLP_NATIVE_BUILD=str(folder), **preload())


def check_team() -> None:
    folder = build(ROOT / "tests" / "engine" / "native", "team", THREADS)
    for _ in range(5):
        run(folder / "fastmlp" / "test_team", **RACES)


def check_valgrind() -> None:
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: its check is left out")
        return
    folder = build(ROOT / "tests" / "engine" / "native", "plain", "")
    run(
        "valgrind",
        "-q",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--error-exitcode=1",
        folder / "fastmlp" / "test_team",
        "one-at-a-time",
    )
    log = BUILD / "valgrind.log"
    run(
        "valgrind",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--num-callers=40",
        f"--log-file={log}",
        sys.executable,
        "-P",
        "-c",
        SMOKE,
        PYTHONMALLOC="malloc",
        PYTHONPATH=str(package("valgrind", "")),
    )
    records = records_of(log.read_text())
    own = [record for record in records if is_own(record)]
    assert not own, "\n".join(own)
    print(f"valgrind: nothing in {len(records)} records is of fastmlp")


def is_own(record: str) -> bool:
    """Whether a function of the extension is in it: by source file, or without debug symbols."""
    files = {path.name for path in (ROOT / "src").glob("*.[ch]")} | {"_core.c"}
    return "/_core.cpython" in record or any(f"({name}:" in record for name in files)


def records_of(log: str) -> list[str]:
    """What valgrind found, one text each: lines without words stand between them."""
    process = log.split("==", 2)[1]
    return log.split(f"=={process}== \n")


CHECKS = {
    "extension": check_extension,
    "kernels": check_kernels,
    "team": check_team,
    "valgrind": check_valgrind,
}

if __name__ == "__main__":
    # Tests send themselves Ctrl-C, which the shell lets its background jobs ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unknown = set(sys.argv[1:]) - set(CHECKS)
    if unknown:
        sys.exit(f"{__doc__}\nunknown: {', '.join(unknown)}")
    for name in sys.argv[1:] or CHECKS:
        CHECKS[name]()
    print("sanitizers: no report")
