"""The built distributions: what is inside, and that the wheel works without the source."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from processes import shared_folder

ROOT = Path(__file__).parents[2]
TRAIN = """
import json, pathlib, sys
import fastmlp
ann = fastmlp.MyANN("digits", ay_nodes_layers=[0, 30, 0], n_epochs=20, learn_rate=0.01,
                    my_initializer="sqrt_nodes", random_state=0)
print(json.dumps({"file": fastmlp.__file__, "accuracy": ann.test_accuracy[-1]}))
"""


def run(*command, **options):
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(command, capture_output=True, text=True, env=environ, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Folder with the sdist and the wheel that was built from it."""
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("no source tree beside the tests")
    with shared_folder(tmp_path_factory, "dist") as folder:
        if not list(folder.glob("*.whl")):
            run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def wheel(dist, tmp_path_factory):
    (built,) = dist.glob("*.whl")
    if sys.platform != "linux":
        return built
    with shared_folder(tmp_path_factory, "repaired") as folder:
        if not list(folder.glob("*.whl")):
            repair(built, folder)
    (repaired,) = folder.glob("*.whl")
    return repaired


def repair(built, folder):
    bin_folder = str(Path(sys.executable).parent)
    subprocess.run(
        [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", str(folder), str(built)],
        check=True,
        capture_output=True,
        env=os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
    )


def packages():
    """Folders of the source tree that hold a package, relative to its root."""
    return {path.parent.relative_to(ROOT) for path in (ROOT / "fastmlp").rglob("__init__.py")}


def test_wheel_is_small_and_holds_no_sources(wheel):
    assert wheel.stat().st_size < 3_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert [n for n in names if n.endswith((".pyx", ".pxd", ".pxi", ".c", ".h"))] == []
    assert "fastmlp/py.typed" in names
    assert "fastmlp/engine/_core.pyi" in names
    compiled = [n for n in names if n.endswith(".so")]
    assert len(compiled) == 1
    assert re.fullmatch(r"fastmlp/engine/_core\..*\.so", compiled[0])
    assert {n.split("/")[0].split("-")[0] for n in names} == {"fastmlp"}


def test_wheel_holds_every_python_file_of_every_room_and_no_other(wheel):
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if n.endswith(".py")}
    expected = {
        path.relative_to(ROOT).as_posix()
        for folder in packages()
        for path in (ROOT / folder).glob("*.py")
    }
    assert inside == expected
    assert {"fastmlp/engine/plan.py", "fastmlp/training/checkpoints/folder.py"} <= inside


def test_every_folder_with_python_files_is_a_package():
    """Without an __init__.py a folder would silently be left out of the wheel."""
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("no source tree beside the tests")
    assert packages() == {p.parent.relative_to(ROOT) for p in (ROOT / "fastmlp").rglob("*.py")}


@pytest.mark.skipif(sys.platform != "linux", reason="manylinux is a Linux tag")
def test_wheel_has_a_manylinux_tag_and_bundles_no_library(wheel):
    assert re.search(r"manylinux_2_\d+_\w+\.whl$", wheel.name)
    assert not any("fastmlp.libs" in name for name in zipfile.ZipFile(wheel).namelist())


def test_sdist_holds_what_a_build_needs(dist):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        names = {n.split("/", 1)[1] for n in content.getnames() if "/" in n}
    sources = {
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "fastmlp")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".c", ".h", ".py", ".pyx", ".pxd", ".pxi", ".pyi"}
    }
    top = {"CMakeLists.txt", "setup.py", "pyproject.toml", "LICENSE", "README.md"}
    assert {"src/fastmlp.h", "fastmlp/engine/_core.pyx"} <= sources
    assert top | sources <= names
    assert not [n for n in names if n.endswith(".so")]


def test_wheel_trains_in_a_clean_environment_without_the_source(wheel, tmp_path):
    run(sys.executable, "-m", "venv", str(tmp_path / "clean"))
    python = tmp_path / "clean" / "bin" / "python"
    run(str(python), "-m", "pip", "install", "--quiet", str(wheel))
    output = run(str(python), "-I", "-c", TRAIN, cwd=tmp_path)
    assert str(tmp_path / "clean") in output
    assert float(re.search(r'"accuracy": ([\d.]+)', output)[1]) > 0.9
    assert "fastmlp 0." in run(str(tmp_path / "clean" / "bin" / "fastmlp"), "--version")
