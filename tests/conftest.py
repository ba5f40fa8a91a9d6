"""Shared fixtures: real data where there is some, and tolerances by dtype."""

from __future__ import annotations

import fcntl
import inspect
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import Network, Trainer, _core

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Relative agreement of trained weights with the NumPy twin."""

PAIRS = [
    ("sigmoid", "log_loss"),
    ("sigmoid", "squared_error"),
    ("softmax", "cross_entropy"),
    ("softmax", "squared_error"),
    ("softmax", "log_loss"),
    ("identity", "squared_error"),
]
PAIR_IDS = ["-".join(pair) for pair in PAIRS]
RUNNABLE_LEVELS = [
    name for name, code in _core.LEVELS.items() if code <= _core.LEVELS[_core.best_level()]
]


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


def run_tool(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="session")
def native_build(tmp_path_factory):
    """Folder with the C tests and the kernels as a shared library, built once per session.

    FASTMLP_NATIVE_BUILD names a folder to keep for the next session, which then builds faster.
    """
    native = Path(__file__).parent / "native"
    if not (native.parent.parent / "CMakeLists.txt").exists():
        pytest.skip("no source tree beside the tests")
    if not shutil.which("cmake") or not shutil.which("ctest"):
        pytest.skip("cmake and ctest are not installed")
    with shared_folder(tmp_path_factory, "native") as folder:
        folder = os.environ.get("FASTMLP_NATIVE_BUILD") or folder
        run_tool("cmake", "-S", native, "-B", folder)
        run_tool("cmake", "--build", folder, "--parallel", "2")
    return Path(folder)


@contextmanager
def shared_folder(tmp_path_factory, name):
    """One folder for all processes of a test run; the others wait, and find what is in it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    (base / name).mkdir(exist_ok=True)
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield base / name


def name_of(value):
    """A parameter's name in the name of a test, the same in every process: without addresses."""
    if inspect.isfunction(value):
        return value.__name__.strip("<>")
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", str(value))


def make_classes(n_rows, n_features, n_classes, seed=0):
    """Gaussian inputs (n_rows, n_features) and one-hot targets (n_rows, n_classes)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_rows)
    return rng.normal(size=(n_rows, n_features)), np.eye(n_classes)[labels]


def train(engine, sizes, x, y, *, activation="sigmoid", output="sigmoid", dtype="float64",
          n_epochs=3, sample_weight=None, **options):  # fmt: skip
    network = Network(
        sizes, activation=activation, output=output, dtype=dtype,
        initializer="glorot", random_state=5,
    )  # fmt: skip
    before = network.parameters.copy()
    trainer = Trainer(network, engine=engine, shuffle=False, **options)
    history = trainer.fit(x, y, n_epochs=n_epochs, sample_weight=sample_weight)
    return network.parameters, before, history


def relative_difference(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def is_running(pid):
    """Neither gone nor dead and waiting for its parent, which in a container may never ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition):
    """Half a minute at most, so that a defect is no hang."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
