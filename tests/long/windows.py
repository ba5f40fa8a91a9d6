"""Kernels and thread team for Windows, cross-compiled and tested under wine: `make test-windows`.

Needs Linux x86-64, and Debian's packages gcc-mingw-w64-x86-64 and wine64. All C files are compiled
for all SIMD levels, and the C test of the team runs. What is built lies below build/windows and is
kept.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from sanitize import run

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "windows"
# The compiler whose own library needs no threads of POSIX.
COMPILER = "x86_64-w64-mingw32-gcc-win32"
TOOLS = {COMPILER: "gcc-mingw-w64-x86-64", "wine64": "wine64"}
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/lib/wine"
"""Debian's wine64 lies outside the usual folders."""


def missing() -> list[str]:
    """Debian's packages that have to be installed first."""
    return [package for tool, package in TOOLS.items() if not shutil.which(tool, path=PATH)]


def main() -> int:
    if platform.machine() != "x86_64" or missing():
        print(f"needs Linux x86-64 with these packages installed: {', '.join(TOOLS.values())}")
        return 2
    native, wine = BUILD / "native", shutil.which("wine64", path=PATH)
    (BUILD / "wine").mkdir(parents=True, exist_ok=True)
    run("cmake", "-S", ROOT / "tests" / "engine" / "native", "-B", native,
        "-DCMAKE_SYSTEM_NAME=Windows", "-DCMAKE_SYSTEM_PROCESSOR=AMD64",
        f"-DCMAKE_C_COMPILER={COMPILER}", f"-DCMAKE_CROSSCOMPILING_EMULATOR={wine}",
        "-DCMAKE_C_FLAGS=-Werror", "-DCMAKE_BUILD_TYPE=Release")  # fmt: skip
    run("cmake", "--build", native, "--parallel", "2")
    run("ctest", "--test-dir", native, "--output-on-failure", "--timeout", "600",
        WINEPREFIX=str(BUILD / "wine"), WINEDEBUG="-all")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
