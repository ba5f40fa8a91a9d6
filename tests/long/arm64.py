"""The tests of kernels and engine on an emulated arm64 processor: `make test-arm64`.

Needs Linux x86-64, a network, and Debian's packages gcc-aarch64-linux-gnu, qemu-user-static and
mmdebstrap. What is made lies below build/arm64 and is kept: Debian's Python for arm64, wheels of
NumPy and SciPy for it, and the cross-compiled extension. Other tests than the usual ones, or
options of pytest, may be named: `python tests/long/arm64.py tests/engine/test_sparse.py -x`.

An emulator says nothing about speed, and orders memory as its host does: it finds wrong numbers,
not missing barriers.
"""

from __future__ import annotations

import platform
import shutil
import sys
import zipfile
from pathlib import Path

from sanitize import run

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "arm64"
PYTHON = BUILD / "python"
TOOLS = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "qemu-aarch64-static": "qemu-user-static",
    "mmdebstrap": "mmdebstrap",
}
RELEASE, VERSION = "bookworm", "3.11"
WHEELS = ("numpy", "scipy", "scikit-learn", "safetensors", "hypothesis", "pytest")
TESTS = (
    "tests/engine/test_native.py",
    "tests/engine/test_single_kernels.py",
    "tests/engine/test_kernels.py",
    "tests/engine/test_engine.py",
    "tests/engine/test_sparse.py",
    "tests/network/test_predictions.py",
)


def missing() -> list[str]:
    """Debian's packages that have to be installed first."""
    return [package for tool, package in TOOLS.items() if not shutil.which(tool)]


def make_python() -> None:
    """A script that runs Debian's Python under the emulator, with wheels made for it."""
    root, site = BUILD / "root", BUILD / "site"
    if not (root / "usr" / "bin" / f"python{VERSION}").exists():
        shutil.rmtree(root, ignore_errors=True)
        packages = f"python{VERSION},libpython{VERSION}-dev,libgomp1,libstdc++6"
        run("mmdebstrap", "--variant=extract", "--architectures=arm64", f"--include={packages}",
            RELEASE, root)  # fmt: skip
    if not site.exists():
        glibc = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
        run(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", *glibc,
            f"--python-version={VERSION}", "--dest", BUILD / "wheels", *WHEELS)  # fmt: skip
        for wheel in (BUILD / "wheels").glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(site)
    # Tests that start a process take sys.executable, which the kernel cannot run.
    (site / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(PYTHON)!r}\n")
    # A plain ARMv8.2: with the long vectors of qemu's best processor OpenBLAS multiplies wrongly.
    PYTHON.write_text(
        "#!/bin/sh\n"
        f"export PYTHONPATH={BUILD / 'packages'}:{site} PYTHONSAFEPATH=1 QEMU_CPU=neoverse-n1\n"
        f'exec qemu-aarch64-static -L {root} {root}/usr/bin/python{VERSION} "$@"\n'
    )
    PYTHON.chmod(0o755)


def cross_build(source: Path, folder: Path, *options: str) -> None:
    # Debian's pyconfig.h asks for <aarch64-linux-gnu/...>, but the rest of the root's headers would
    # hide those of the cross compiler.
    includes = BUILD / "include"
    for name in (f"python{VERSION}", f"aarch64-linux-gnu/python{VERSION}"):
        headers = BUILD / "root" / "usr" / "include" / name
        shutil.copytree(headers, includes / name, dirs_exist_ok=True)
    run("cmake", "-S", source, "-B", folder, "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc",
        f"-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64-static;-L;{BUILD / 'root'}",  # for ctest
        "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_C_FLAGS=-isystem {includes}", *options)  # fmt: skip
    run("cmake", "--build", folder, "--parallel", "2")


def make_package() -> None:
    """fastmlp with its extension for arm64, and the native tests."""
    folder = BUILD / "extension"
    headers = BUILD / "include" / f"python{VERSION}"
    python = [f"-DPython_EXECUTABLE={sys.executable}", f"-DPython_INCLUDE_DIR={headers}"]
    cross_build(ROOT, folder, "-DSKBUILD=1", *python)
    package = BUILD / "packages" / "fastmlp"
    shutil.rmtree(package, ignore_errors=True)
    no_other = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "fastmlp", package, ignore=no_other)
    (extension,) = folder.glob("_core*.so")
    shutil.copy(extension, package / "engine" / "_core.so")
    cross_build(ROOT / "tests" / "engine" / "native", BUILD / "native")


def main(arguments: list[str]) -> int:
    if platform.machine() != "x86_64" or missing():
        print(f"needs Linux x86-64 with these packages installed: {', '.join(TOOLS.values())}")
        return 2
    BUILD.mkdir(parents=True, exist_ok=True)
    make_python()
    make_package()
    run(PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(arguments or TESTS),
        FASTMLP_NATIVE_BUILD=str(BUILD / "native"))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
