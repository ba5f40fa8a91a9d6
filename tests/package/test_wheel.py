"""The built distributions: what is inside, and that the wheel works without the source."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from build import ProjectBuilder
from packaging.requirements import Requirement
from processes import shared_folder
from pyproject_hooks import quiet_subprocess_runner

ROOT = Path(__file__).parents[2]
TRAIN = """
import json, pathlib, sys
import fastmlp
ann = fastmlp.MyANN("digits", ay_nodes_layers=[0, 30, 0], n_epochs=20, learn_rate=0.01,
                    my_initializer="sqrt_nodes", random_state=0, b_verbose=False)
print(json.dumps({"file": fastmlp.__file__, "accuracy": ann.test_accuracy[-1]}))
"""


def run(*command, **options):
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(command, capture_output=True, text=True, env=environ, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def dist(kernel_library, tmp_path_factory):
    """Folder with the sdist and the wheel that was built from it."""
    with shared_folder(tmp_path_factory, "dist") as folder:
        if not list(folder.glob("*.whl")):
            build(folder, kernel_library)
    return folder


def build(folder, kernels):
    """What `python -m build` does, with kernels already compiled and the tools of this environment.

    The command as it is, which installs its own tools, runs among the long tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        patch.setenv("CMAKE_ARGS", f"-DFASTMLP_KERNELS={kernels}")
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        sdist = build_one("sdist", ROOT, folder)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "tree", filter="data")
        (tree,) = (folder / "tree").iterdir()
        build_one("wheel", tree, folder)


def build_one(kind, source, folder):
    return ProjectBuilder(source, runner=quiet_subprocess_runner).build(kind, folder)


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


def test_the_extension_does_not_say_where_it_was_built(wheel, dist):
    """Two builds would differ otherwise."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith((".so", ".pyd"))]
        content = archive.read(name)
    assert b"fastmlp/engine/_training.pxi" in content
    assert b"../fastmlp" not in content
    for folder in (ROOT, dist, Path(tempfile.gettempdir()), Path.home()):
        assert os.fsencode(folder) + b"/" not in content


@pytest.mark.soak
def test_two_builds_of_a_wheel_have_the_same_bytes(dist, tmp_path, monkeypatch):
    """Kernels too are compiled in each, from the sdist, in folders of other names."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (sdist,) = dist.glob("*.tar.gz")
    wheels = []
    for name in ("one", "another one"):
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path / name, filter="data")
        (tree,) = (tmp_path / name).iterdir()
        wheels.append(Path(build_one("wheel", tree, tmp_path / name)).read_bytes())
    assert wheels[0] == wheels[1]


@pytest.mark.skipif(sys.platform != "linux", reason="manylinux is a Linux tag")
def test_wheel_runs_on_linux_as_old_as_scipy_s_and_bundles_no_library(wheel):
    tag = re.search(r"manylinux_2_(\d+)_\w+\.whl$", wheel.name)
    assert int(tag[1]) <= 28
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


# --- In a clean environment


def test_wheel_trains_beside_the_packages_that_it_names_and_no_others(wheel, tmp_path):
    python = new_environment(tmp_path, "--without-pip")
    (packages,) = (tmp_path / "clean" / "lib").glob("*/site-packages")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel)
    for name in requirements("fastmlp", path=[str(packages)]):
        link_distribution(name, packages)
    assert_trains(python, tmp_path)


@pytest.mark.soak
def test_wheel_of_the_build_command_is_installed_with_what_it_needs_and_trains(tmp_path):
    """Nothing is shared: the kernels are compiled in the build, packages come from the registry."""
    run(sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT)
    (built,) = (tmp_path / "dist").glob("*.whl")
    python = new_environment(tmp_path)
    run(python, "-m", "pip", "install", "--quiet", built)
    assert_trains(python, tmp_path)


def new_environment(tmp_path, *options):
    run(sys.executable, "-m", "venv", *options, tmp_path / "clean")
    return tmp_path / "clean" / "bin" / "python"


def requirements(name, path=sys.path):
    """Names of the distributions that one needs, without extras, and that these need."""
    (distribution,) = Distribution.discover(name=name, path=path)
    found = set()
    for line in distribution.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found |= {requirement.name} | requirements(requirement.name)
    return found


def link_distribution(name, packages):
    """Put what this process has of a distribution into another folder of packages."""
    own = distribution(name)
    for part in {file.parts[0] for file in own.files} - {"..", "__pycache__"}:
        (packages / part).symlink_to(own.locate_file(part))


def assert_trains(python, tmp_path):
    output = run(python, "-I", "-c", TRAIN, cwd=tmp_path)
    assert str(tmp_path / "clean") in output
    assert float(re.search(r'"accuracy": ([\d.]+)', output)[1]) > 0.9
    assert "fastmlp 0." in run(python.parent / "fastmlp", "--version")
