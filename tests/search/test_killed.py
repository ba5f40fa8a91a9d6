"""A killed search continues from its folder, with the result of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killed_search import summary
from processes import PATIENCE_SECONDS, is_running, wait_until
from searches import X, Y, search

SCRIPT = Path(__file__).parents[1] / "tools" / "killed_search.py"


@pytest.fixture(scope="module")
def expected():
    return summary(search().fit(X, Y))


def started(folder, *n_outcomes, backend="threads"):
    words = [SCRIPT, folder / "search", folder / "results", backend, *map(str, n_outcomes)]
    return subprocess.Popen([sys.executable, *words])


def outcomes(folder):
    return len(list((folder / "search").glob("bracket-*.json")))


def finished(folder, backend="threads"):
    """What the last one of the processes has found."""
    assert started(folder, backend=backend).wait(PATIENCE_SECONDS) == 0
    return (folder / "results").read_text()


def kill(process):
    process.kill()
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_a_killed_search_continues_with_the_same_result(tmp_path, expected):
    for n_outcomes in (3, 19):
        process = started(tmp_path, n_outcomes)
        wait_until(lambda wanted=n_outcomes: outcomes(tmp_path) == wanted)
        kill(process)
    assert finished(tmp_path) == expected
    assert outcomes(tmp_path) == 26


def children(pid):
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_processes_of_a_killed_search_end_too(tmp_path):
    process = started(tmp_path, 2, backend="processes")
    wait_until(lambda: outcomes(tmp_path) == 2)
    workers = children(process.pid)
    assert len(workers) >= 2
    kill(process)
    wait_until(lambda: not any(map(is_running, workers)))


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_search_that_is_killed_at_any_moment_ends_with_the_same_result(
    backend, tmp_path, expected
):
    rng = random.Random(backend)
    for n_search in range(10):
        folder = tmp_path / str(n_search)
        folder.mkdir()
        for _ in range(6):
            process = started(folder, backend=backend)
            _wait_for_progress(folder, process)
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
            process.wait(PATIENCE_SECONDS)
        assert finished(folder, backend) == expected


def _wait_for_progress(folder, process):
    before = outcomes(folder)
    wait_until(lambda: outcomes(folder) > before or process.poll() is not None)
