"""The C tests: built with CMake and run by ctest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_c_tests_pass(tmp_path):
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("no source tree beside the tests")
    cmake, ctest = shutil.which("cmake"), shutil.which("ctest")
    if not cmake or not ctest:
        pytest.skip("cmake and ctest are not installed")
    run(cmake, "-S", str(ROOT), "-B", str(tmp_path), "-DFASTMLP_C_TESTS=ON")
    run(cmake, "--build", str(tmp_path), "--parallel", "2")
    run(ctest, "--test-dir", str(tmp_path), "--output-on-failure", "--timeout", "120")
