"""`make test-windows` passes where its tools are, and says what is missing where they are not."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import windows

if not (Path(__file__).parents[2] / "src").exists():
    pytest.skip("no source tree beside the tests", allow_module_level=True)


def test_missing_tools_are_named_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(windows, "BUILD", tmp_path / "build")
    monkeypatch.setattr(windows, "PATH", str(tmp_path))
    assert windows.main() == 2
    expected = "needs Linux x86-64 with these packages installed: gcc-mingw-w64-x86-64, wine64\n"
    assert (capsys.readouterr().out, (tmp_path / "build").exists()) == (expected, False)


@pytest.mark.soak
@pytest.mark.skipif(
    platform.machine() != "x86_64" or bool(windows.missing()),
    reason="needs a cross compiler for Windows, and wine",
)
def test_the_team_works_with_the_threads_of_windows():
    result = subprocess.run([sys.executable, windows.__file__], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
