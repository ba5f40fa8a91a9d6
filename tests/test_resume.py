"""A training that is killed anywhere and resumed is, bit for bit, the one that nobody disturbed."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from fork_server import ForkServer
from training_jobs import JOBS

from fastmlp._checkpoint_folder import read_newest


@pytest.fixture(scope="module")
def server():
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed():
    """Results of the jobs without checkpoints, and how long they took."""
    known = {}

    def run(name):
        if name not in known:
            JOBS[name](None, None, 2)  # the first time takes longer
            start = time.perf_counter()
            known[name] = JOBS[name](None, None, 2), time.perf_counter() - start
        return known[name]

    return run


def assert_same(result, expected):
    assert set(result) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(result[name], array, err_msg=name)


def kill_and_resume(server, undisturbed, name, tmp_path, n_kills, rng):
    """Kill a job n_kills times, each after a random part of its time; the places of the kills."""
    expected, seconds = undisturbed(name)
    places = []
    for number in range(n_kills):
        folder, result = tmp_path / f"{number}", tmp_path / f"{number}.npz"
        request = dict(job=name, folder=str(folder), result=str(result))
        if name == "wide":  # its files are large
            request["every"] = "0.05s"
        n_threads = 1 + number % 2
        status = server.kill_after(
            rng.uniform(0, 2.5 * seconds), resume=None, n_threads=n_threads, **request
        )
        assert status in (0, -9)
        if status == 0:  # faster than the kill: resumed at its end
            result.unlink()
        folder.mkdir(exist_ok=True)
        saved = read_newest(folder)
        if saved is None:
            places.append("before the first file")
        elif not saved.under_way:
            places.append("between epochs")
        else:
            places.append("within an epoch")
        assert server.run(resume=str(folder), n_threads=3 - n_threads, **request) == 0
        with np.load(result) as found:
            assert_same(dict(found), expected)
        assert not [name for name in os.listdir(folder) if name.startswith(".")]
    return places


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_and_resumed_training_is_the_undisturbed_one(
    name, server, undisturbed, tmp_path, request
):
    rng = np.random.default_rng(list(JOBS).index(name))
    kill_and_resume(server, undisturbed, name, tmp_path, 3, rng)


@pytest.mark.soak
@pytest.mark.parametrize("name", JOBS)
def test_killed_many_times_and_resumed(name, server, undisturbed, tmp_path):
    rng = np.random.default_rng([1, list(JOBS).index(name)])
    places = kill_and_resume(server, undisturbed, name, tmp_path, 12, rng)
    assert len(set(places)) > 1, places
