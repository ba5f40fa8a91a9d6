"""`make test-arm64` passes where its tools are, and says what is missing where they are not."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import arm64
import pytest

if not (Path(__file__).parents[2] / "src").exists():
    pytest.skip("no source tree beside the tests", allow_module_level=True)


def test_missing_tools_are_named_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(arm64, "BUILD", tmp_path / "build")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert arm64.main([]) == 2
    packages = "gcc-aarch64-linux-gnu, qemu-user-static, mmdebstrap"
    expected = f"needs Linux x86-64 with these packages installed: {packages}\n"
    assert (capsys.readouterr().out, (tmp_path / "build").exists()) == (expected, False)


@pytest.mark.soak
@pytest.mark.skipif(
    platform.machine() != "x86_64" or bool(arm64.missing()),
    reason="needs cross compiler, emulator and mmdebstrap",
)
def test_products_of_an_emulated_arm64_processor_are_right():
    command = [sys.executable, arm64.__file__, "tests/engine/test_single_kernels.py", "-k"]
    result = subprocess.run([*command, "narrow or panel"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
