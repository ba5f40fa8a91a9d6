"""A training that is killed anywhere and resumed is, bit for bit, the one that nobody disturbed."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fork_server import ForkServer, read_diary
from training_jobs import EVERY, JOBS

from fastmlp.files.model_file import read_model_file
from fastmlp.training.checkpoints import keeper
from fastmlp.training.checkpoints.folder import checkpoint_numbers, read_newest
from fastmlp.training.checkpoints.keeper import Keeper


@pytest.fixture(scope="module")
def server():
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed():
    """Results of the jobs without checkpoints."""
    known = {}

    def run(name):
        if name not in known:
            known[name] = JOBS[name](None, None, 2)
        return known[name]

    return run


def assert_same(result, expected):
    assert set(result) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(result[name], array, err_msg=name)


WAYS = ({"every": EVERY}, {"every": EVERY, "looks_often": True}, {"every": 1})
"""When a job saves: where it would itself, mostly within epochs, and after each of them."""


def kill_and_resume(server, undisturbed, name, tmp_path, n_kills, rng):
    """Kill a job n_kills times, each when it has saved a random number of times, and resume it.

    Returns whether it was resumed within an epoch, for each.
    """
    expected = undisturbed(name)
    within = []
    for number in range(n_kills):
        folder, result = tmp_path / f"{number}", tmp_path / f"{number}.npz"
        request = dict(job=name, folder=str(folder), result=str(result)) | WAYS[number % 3]
        if name == "wide" and request["every"] == EVERY:  # its files are large
            request["every"] = "0.05s"
        n_threads = 1 + number % 2
        kill_between_saves(server, rng, resume=None, n_threads=n_threads, **request)
        within.append(read_newest(folder).under_way)
        assert server.run(resume=str(folder), n_threads=3 - n_threads, **request) == 0
        with np.load(result) as found:
            assert_same(dict(found), expected)
        assert not [name for name in os.listdir(folder) if name.startswith(".")]
    assert not any(within[2::3])
    return within


def kill_between_saves(server, rng, **request):
    """Begin a job in a new folder and kill it some time after one of its first saves."""
    folder, result = Path(request["folder"]), Path(request["result"])
    for n_saves in (*range(rng.integers(1, 6), 1, -1), *[1] * 20):
        folder.mkdir()
        seconds = rng.uniform(0, 0.01) if n_saves > 1 else rng.uniform(0, 0.002)
        status = server.kill_after(seconds, when=partial(has_saved, folder, n_saves), **request)
        if status == -9 and not result.exists():
            return
        assert status in (0, -9)  # it was over before: again, and earlier
        shutil.rmtree(folder)
        result.unlink()
    raise AssertionError("a job that cannot be killed")


def has_saved(folder, n):
    return checkpoint_numbers(folder)[-1:] >= [n]


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_and_resumed_training_is_the_undisturbed_one(name, server, undisturbed, tmp_path):
    rng = np.random.default_rng(list(JOBS).index(name))
    kill_and_resume(server, undisturbed, name, tmp_path, 3, rng)


@pytest.mark.soak
@pytest.mark.parametrize("name", JOBS)
def test_killed_many_times_and_resumed(name, server, undisturbed, tmp_path):
    rng = np.random.default_rng([1, list(JOBS).index(name)])
    assert any(kill_and_resume(server, undisturbed, name, tmp_path, 12, rng)[1::3])


def test_there_are_fifty_killed_trainings_and_two_hundred_in_the_soak():
    assert 3 * len(JOBS) >= 50 and 12 * len(JOBS) >= 200


# --- Killed while saving

BUSY = dict(job="classical", every="0.001s", n_threads=1)
"""A job that saves most of the time."""


@pytest.fixture(scope="module")
def positions(tmp_path_factory):
    """Arrays of a checkpoint of that job after every batch and epoch, by (epochs, batches) done."""
    with pytest.MonkeyPatch.context() as patch:
        known = {}

        def keep(folder, content, keep):
            position, progress = content.document["position"], content.document["progress"]
            place = position["epochs_done"], progress and progress["batches_done"]
            known[place] = {name: array.copy() for name, array in content.arrays.items()}
            return folder / "not-written"

        patch.setattr(keeper, "write_next", keep)
        patch.setattr(Keeper, "batches_to_go", lambda self, epoch: 1)
        patch.setattr(Keeper, "write_if_due", lambda self: self._write(self._writers[0]))
        JOBS[BUSY["job"]](str(tmp_path_factory.mktemp("positions")), None, 1, 1)
    return known


def assert_is_a_position(saved, positions):
    content = read_model_file(saved.path, ("Checkpoint",))
    progress = content.document["progress"]
    expected = positions[saved.epochs_done, progress and progress["batches_done"]]
    assert set(content.arrays) == set(expected)
    for name, array in expected.items():
        if not name.endswith("epoch_seconds"):
            np.testing.assert_array_equal(content.arrays[name], array, err_msg=name)


def kill_while_saving(server, positions, undisturbed, n_kills, tmp_path):
    """Kill a job again and again, which goes on each time; how many kills cut a save short."""
    rng, n_cut = np.random.default_rng(0), 0
    folder, diary, result = tmp_path / "run", tmp_path / "diary", tmp_path / "result.npz"
    folder.mkdir()
    diary.touch()
    request = BUSY | dict(folder=str(folder), resume=str(folder), diary=str(diary))
    expected = undisturbed(BUSY["job"])
    for number in range(n_kills):
        # Some kills come at any time, most of them during one of the next saves or soon after.
        seconds, n_saves = rng.uniform(0, 0.1), 0
        if number % 5:
            seconds, n_saves = rng.exponential(0.002), read_diary(diary)[1] + rng.integers(1, 4)
        status = server.kill_after(
            seconds, when=partial(is_saving, diary, n_saves), result=str(result), **request
        )
        saved = read_newest(folder)
        began, ended = read_diary(diary)
        number = 0 if saved is None else checkpoint_numbers(folder)[-1]
        assert number in (ended, began), "save N or N - 1"
        n_cut += began > ended
        if saved is not None:
            assert_is_a_position(saved, positions)
        if status == 0:
            with np.load(result) as found:
                assert_same(dict(found), expected)
            assert not [name for name in os.listdir(folder) if name.startswith(".")]
            shutil.rmtree(folder)
            folder.mkdir()
            diary.write_bytes(b"")
        else:
            assert status == -9
    assert server.run(**request) == 0
    assert not [name for name in os.listdir(folder) if name.startswith(".")]
    return n_cut


def is_saving(diary, n):
    """Whether save number n, or a later one, has begun."""
    return read_diary(diary)[0] >= n


def test_a_process_killed_while_saving_leaves_this_save_or_the_one_before(
    server, positions, undisturbed, tmp_path
):
    assert kill_while_saving(server, positions, undisturbed, 100, tmp_path) > 20


@pytest.mark.soak
def test_a_thousand_processes_killed_while_saving(server, positions, undisturbed, tmp_path):
    assert kill_while_saving(server, positions, undisturbed, 1000, tmp_path) > 200


@pytest.mark.parametrize(
    "step, count",
    [
        ("open", 2),
        ("write", 4),
        ("write", 5),
        ("write", 25),
        ("lseek", 1),
        ("lseek", 2),
        ("fsync", 3),
        ("fsync", 4),
        ("replace", 1),
        ("replace", 2),
        ("unlink", 3),
        ("unlink", 6),
    ],
)
def test_a_process_killed_at_any_step_of_a_save_is_resumed(
    step, count, server, positions, undisturbed, tmp_path
):
    expected = undisturbed(BUSY["job"])
    folder, result, diary = tmp_path / "run", tmp_path / "result.npz", tmp_path / "diary"
    folder.mkdir()
    request = BUSY | dict(folder=str(folder), resume=str(folder), result=str(result))
    request["every"] = 2  # epochs: the calls are always the same ones
    assert server.run(fault=[step, count], diary=str(diary), **request) == -9
    saved, (began, ended) = read_newest(folder), read_diary(diary)
    assert (0 if saved is None else checkpoint_numbers(folder)[-1]) in (began, ended)
    if saved is not None:
        assert_is_a_position(saved, positions)
    assert server.run(**request) == 0
    with np.load(result) as found:
        assert_same(dict(found), expected)
    assert len(os.listdir(folder)) == len(checkpoint_numbers(folder)) == 3
