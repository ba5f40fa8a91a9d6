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
        check=True, capture_output=True,
        env=os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip


def test_wheel_is_small_and_holds_no_sources(wheel):
    assert wheel.stat().st_size < 3_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert [n for n in names if n.endswith((".pyx", ".pxd", ".pxi", ".c", ".h"))] == []
    assert "fastmlp/py.typed" in names
    assert "fastmlp/_core.pyi" in names
    assert any(re.fullmatch(r"fastmlp/_core\..*\.so", n) for n in names)
    assert {n.split("/")[0].split("-")[0] for n in names} == {"fastmlp"}


@pytest.mark.skipif(sys.platform != "linux", reason="manylinux is a Linux tag")
def test_wheel_has_a_manylinux_tag_and_bundles_no_library(wheel):
    assert re.search(r"manylinux_2_\d+_\w+\.whl$", wheel.name)
    assert not any("fastmlp.libs" in name for name in zipfile.ZipFile(wheel).namelist())


def test_sdist_holds_what_a_build_needs(dist):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        names = {n.split("/", 1)[1] for n in content.getnames() if "/" in n}
    needed = {"CMakeLists.txt", "setup.py", "pyproject.toml", "LICENSE", "README.md",
              "src/fastmlp.h", "src/team.c", "fastmlp/_core.pyx", "fastmlp/_blas.pxd",
              "fastmlp/_passes.pxi", "src/kernels.h"}  # fmt: skip
    assert needed <= names
    assert not [n for n in names if n.endswith(".so")]


def test_wheel_trains_in_a_clean_environment_without_the_source(wheel, tmp_path):
    run(sys.executable, "-m", "venv", str(tmp_path / "clean"))
    python = tmp_path / "clean" / "bin" / "python"
    run(str(python), "-m", "pip", "install", "--quiet", str(wheel))
    output = run(str(python), "-I", "-c", TRAIN, cwd=tmp_path)
    assert str(tmp_path / "clean") in output
    assert float(re.search(r'"accuracy": ([\d.]+)', output)[1]) > 0.9
    assert "fastmlp 0." in run(str(tmp_path / "clean" / "bin" / "fastmlp"), "--version")
