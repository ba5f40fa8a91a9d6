"""The C tests: built with CMake and run by ctest."""

from __future__ import annotations

import shutil

from processes import run_tool


def test_c_tests_pass(native_build):
    ctest = shutil.which("ctest")
    # The limit is for what hangs: the tests take a second, on a busy machine many.
    run_tool(ctest, "--test-dir", native_build, "--output-on-failure", "--timeout", "600")
