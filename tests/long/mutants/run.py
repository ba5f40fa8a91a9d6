"""Show that the tests notice every mistake of table.txt.

    python tests/long/mutants/run.py [WORD ...]

Works on a copy of the sources in build/mutants, where each mutant is put in, built (what changed
alone, and quickly) and tested until the first failure. Prints a line each and the survivors, and
exits with 1 if there are any. WORDs choose the mutants that have one of them in their file or name.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from table import Mutant, mutants

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "mutants"
TREE = BUILD / "tree"
patience_seconds = 3600.0
"""For one run of tests; from the second on, some times what the first took."""

KERNEL_TESTS = ("engine/test_single_kernels.py", "engine/test_native.py")
ENGINE_TESTS = (
    "engine/test_forced_choices.py",
    "test_optimizers.py",
    "engine/test_functions_and_losses.py",
    "network/test_predictions.py",
    "network/test_network.py",
    "engine/test_shuffle.py",
    "engine/test_kernels.py",
    "engine/test_engine.py",
    "engine/test_sparse.py",
    "engine/test_shards.py",
    "training/test_batches.py",
    "training/test_subnormals.py",
    "training/test_trainer.py",
    "training/test_products.py",
)
CLOSEST = {
    "src/narrow.c": ("engine/test_single_kernels.py", "-k", "narrow"),
    "src/dots.c": ("engine/test_single_kernels.py", "-k", "dot_row"),
    "src/panels.c": ("engine/test_single_kernels.py", "-k", "panel"),
    "src/feature_major.c": ("engine/test_single_kernels.py", "-k", "feature_product"),
    "src/activation.c": (
        "engine/test_single_kernels.py",
        "-k",
        "activation or dropout or column_sums",
    ),
    "src/output_functions.h": ("engine/test_single_kernels.py", "-k", "output"),
    "src/output.c": ("engine/test_single_kernels.py", "-k", "output_loss or output_backward"),
    "src/sparse.c": ("engine/test_single_kernels.py", "-k", "sparse"),
    "src/update.c": ("engine/test_single_kernels.py", "-k", "update or gradient_squares"),
    "src/transpose.c": ("engine/test_single_kernels.py", "-k", "gather or scatter or transpose"),
    "src/vector_math.h": ("engine/test_single_kernels.py", "-k", "apply or bias_activation"),
    "src/peak.c": ("engine/test_single_kernels.py", "-k", "multiply_adds"),
    "src/finite.c": ("engine/test_single_kernels.py", "-k", "all_finite"),
    "src/team.c": ("engine/test_native.py",),
    "src/shuffle.c": ("engine/test_shuffle.py",),
    "fastmlp/engine/_sparse.pxi": ("engine/test_sparse.py",),
    "fastmlp/engine/_shards.pxi": (
        "engine/test_shards.py",
        "training/test_batches.py",
        "training/test_subnormals.py",
    ),
}
"""What to run first, so that most mutants die soon."""


def run(*command: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(TREE),
        "FASTMLP_NATIVE_BUILD": str(BUILD / "native"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=TREE,
        env=environment,
        text=True,
        capture_output=True,
        timeout=patience_seconds,
    )


def copy_sources() -> None:
    """The tree to work on; files keep their time, so that builds go on where they were."""
    shutil.rmtree(TREE, ignore_errors=True)
    leave = shutil.ignore_patterns("*.so", "__pycache__", "corpus")
    for name in ("src", "fastmlp", "tests"):
        shutil.copytree(ROOT / name, TREE / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, TREE / name)
    for mutant in mutants():  # what was built of the last run's last mutant is newer than its file
        (TREE / mutant.file).touch()
    build_description = (ROOT / "CMakeLists.txt").read_text()
    for level, quicker in (("-O3", "-O1"), ("PRIVATE -O2", "PRIVATE -O0")):  # kernels, engine
        assert level in build_description
        build_description = build_description.replace(level, quicker)
    (TREE / "CMakeLists.txt").write_text(build_description)


def build_extension() -> str:
    """What the build complains about, or nothing."""
    folder = BUILD / "extension"
    for command in (
        (
            "cmake",
            "-S",
            TREE,
            "-B",
            folder,
            "-DSKBUILD=1",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DPython_EXECUTABLE={sys.executable}",
        ),
        ("cmake", "--build", folder, "--parallel", "2"),
    ):
        result = run(*command)
        if result.returncode != 0:
            return result.stdout[-2000:] + result.stderr[-2000:]
    for extension in folder.glob("_core*.so"):
        shutil.copy(extension, TREE / "fastmlp" / "engine")
    return ""


def first_failure(*arguments: str) -> str | None:
    """The test that fails first, or None."""
    command = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
    files = (TREE / "tests" / a if a.endswith(".py") else a for a in arguments)
    try:
        result = run(*command, *files)
    except subprocess.TimeoutExpired:
        return f"no end in {patience_seconds:.0f} s"
    if result.returncode == 0:
        return None
    failed = re.findall(r"^(?:FAILED|ERROR) .*?(test_\w+\.py::\S+)", result.stdout, re.MULTILINE)
    return failed[0] if failed else f"exit status {result.returncode}: {result.stdout[-300:]}"


def killer(file: str) -> str | None:
    """The test that notices what is in this file, or None; the closest first."""
    closest = CLOSEST.get(file, ())
    of_kernels = closest[:1] and closest[0] in KERNEL_TESTS
    if of_kernels and (found := first_failure(*closest) or first_failure(*KERNEL_TESTS)):
        return found
    if complaint := build_extension():
        return f"does not build: {complaint}"
    return (closest and not of_kernels and first_failure(*closest)) or first_failure(*ENGINE_TESTS)


def check(mutant: Mutant) -> bool:
    """Whether the tests notice; leaves the tree as it was."""
    path = TREE / mutant.file
    text, begin = path.read_text(), time.monotonic()
    path.write_text(mutant.applied(text))
    try:
        found = killer(mutant.file)
    finally:
        path.write_text(text)
    verdict = "SURVIVED" if found is None else f"killed by {found}"
    seconds = time.monotonic() - begin
    print(f"{mutant.file}, {mutant.name}: {verdict} ({seconds:.0f} s)", flush=True)
    assert found is None or not found.startswith("does not build"), found
    return found is not None


def main() -> None:
    words = sys.argv[1:]
    chosen = [m for m in mutants() if not words or any(w in f"{m.file} {m.name}" for w in words)]
    if not chosen:
        sys.exit(f"no mutant has any of the words {', '.join(words)}")
    copy_sources()
    global patience_seconds
    begin = time.monotonic()
    # Built first: without an extension of its own the tree would be tested with an installed one.
    if failure := build_extension() or first_failure(*KERNEL_TESTS) or first_failure(*ENGINE_TESTS):
        sys.exit(f"the tests fail without a mutant: {failure}")
    patience_seconds = 60 + 5 * (time.monotonic() - begin)
    survivors = [mutant for mutant in chosen if not check(mutant)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    for mutant in survivors:
        print(f"survived: {mutant.file}, {mutant.name}")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    # Tests send themselves Ctrl-C, which the shell lets its background jobs ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
