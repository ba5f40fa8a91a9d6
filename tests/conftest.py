"""Shared fixtures: real data where there is some, and tolerances by dtype."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from cases import RUNNABLE_LEVELS
from processes import run_tool, shared_folder

import fastmlp
from fastmlp.engine import _core


def pytest_configure():
    """Tests press Ctrl-C, which what a shell starts in the background inherits as ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mnist() -> fastmlp.datasets.Dataset:
    folder = os.environ.get("FASTMLP_DATA")
    if not folder or not (Path(folder) / "mnist.npz").exists():
        pytest.skip("FASTMLP_DATA names no folder with mnist.npz")
    return fastmlp.datasets.load("mnist")


@pytest.fixture(params=RUNNABLE_LEVELS)
def simd_level(request):
    """Run a test with the kernels of every level this processor has."""
    before = _core.selected_level()
    _core.select_level(request.param)
    yield request.param
    _core.select_level(before)


@pytest.fixture(scope="session")
def native_build(tmp_path_factory):
    """Folder with the C tests and the kernels as a shared library, built once per session.

    FASTMLP_NATIVE_BUILD names a folder to keep for the next session, which then builds faster;
    FASTMLP_KERNELS names the static library that the package was linked with, to compile nothing
    twice.
    """
    native = Path(__file__).parent / "engine" / "native"
    if not (native.parents[2] / "CMakeLists.txt").exists():
        pytest.skip("no source tree beside the tests")
    if not shutil.which("cmake") or not shutil.which("ctest"):
        pytest.skip("cmake and ctest are not installed")
    with shared_folder(tmp_path_factory, "native") as folder:
        folder = os.environ.get("FASTMLP_NATIVE_BUILD") or folder
        kernels = os.environ.get("FASTMLP_KERNELS")
        options = [f"-DFASTMLP_KERNELS={kernels}"] if kernels else []
        run_tool("cmake", "-S", native, "-B", folder, *options)
        run_tool("cmake", "--build", folder, "--parallel", "2")
    return Path(folder)


@pytest.fixture(scope="session")
def kernel_library(native_build):
    """The static library of kernels that the C tests are linked with."""
    compiled = list(native_build.rglob("libkernels.a"))
    return Path(os.environ.get("FASTMLP_KERNELS") or compiled[0])
