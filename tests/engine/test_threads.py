"""Who decides the number of threads, and that the BLAS setting is always given back."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from fastmlp import Network, Trainer, resolve_threads
from fastmlp.engine import threads as _threads


@pytest.mark.parametrize("environ, n_threads, source", [
    ({"OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3, "OPENBLAS_NUM_THREADS"),
    ({"OMP_NUM_THREADS": "5"}, 5, "OMP_NUM_THREADS"),
    ({"OMP_NUM_THREADS": "4,2"}, 4, "OMP_NUM_THREADS"),
    ({"OPENBLAS_NUM_THREADS": "0", "OMP_NUM_THREADS": "2"}, 2, "OMP_NUM_THREADS"),
    ({"OPENBLAS_NUM_THREADS": "many"}, None, "usable processors"),
    ({"OPENBLAS_NUM_THREADS": "9999"}, 256, "OPENBLAS_NUM_THREADS"),
    ({}, None, "usable processors"),
], ids=str)  # fmt: skip
def test_environment_decides_in_the_documented_order(environ, n_threads, source):
    found = resolve_threads(None, environ)
    assert found.source == source
    assert found.n_threads == (n_threads or _threads.usable_processors())


def test_argument_beats_the_environment():
    assert resolve_threads(7, {"OPENBLAS_NUM_THREADS": "3"}).n_threads == 7


@pytest.mark.parametrize("value, error, message", [
    (0, ValueError, "n_threads must be from 1 to 256; got 0"),
    (300, ValueError, "n_threads must be from 1 to 256; got 300"),
    (1.5, TypeError, "n_threads must be an integer; got 1.5"),
])  # fmt: skip
def test_wrong_thread_counts_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        resolve_threads(value)


@pytest.mark.parametrize("files, expected", [
    ({"cpu.max": "150000 100000"}, 2),
    ({"cpu.max": "50000 100000"}, 1),
    ({"cpu.max": "max 100000"}, None),
    ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
    ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    ({"cpu.max": "nonsense"}, None),
    ({}, None),
], ids=str)  # fmt: skip
def test_control_group_quota_is_respected(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _threads.cgroup_quota(tmp_path) == expected


def blas_threads():
    return [b.num_threads for b in ThreadpoolController().select(user_api="blas").lib_controllers]


@pytest.fixture
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        yield blas_threads()


def test_setting_is_one_inside_and_the_old_one_afterwards(two_blas_threads):
    with _threads.single_threaded_blas():
        assert [b.get_num_threads() for b in _threads.find_blas()] == [1]
    assert blas_threads() == two_blas_threads


def test_overlapping_users_restore_the_setting_once_the_last_one_leaves(two_blas_threads):
    entered, leave = threading.Event(), threading.Event()

    def other_user():
        with _threads.single_threaded_blas():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other_user)
    with _threads.single_threaded_blas():
        thread.start()
        entered.wait(10)
    assert 1 in blas_threads()  # the other one is still inside
    leave.set()
    thread.join()
    assert blas_threads() == two_blas_threads


def test_setting_is_one_also_in_a_thread_that_does_not_control_openblas(two_blas_threads):
    """threadpoolctl lets the main thread, which entered the fixture's context, keep the control."""
    seen = []

    def other_thread():
        with _threads.single_threaded_blas():
            seen.extend(blas_threads())
        seen.append("left")

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert 1 in seen
    assert seen[-1] == "left"
    assert blas_threads() == two_blas_threads


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_setting_returns_after_an_exception_inside_fit(two_blas_threads, error):
    def fail(trainer):
        assert 1 in blas_threads()
        raise error

    with pytest.raises(error):
        Trainer(Network((3, 2))).fit(np.ones((4, 3)), np.ones((4, 2)), callbacks=[fail])
    assert blas_threads() == two_blas_threads


@pytest.mark.parametrize("call", [1, 2], ids=["entering", "leaving"])
def test_ctrl_c_while_the_setting_changes_brings_back_the_old_one(
    two_blas_threads, call, monkeypatch
):
    set_threads, calls = _threads._set_blas_threads, []

    def pressed(library, n_threads):
        calls.append(n_threads)
        if len(calls) == call:
            raise KeyboardInterrupt
        set_threads(library, n_threads)

    monkeypatch.setattr(_threads, "_set_blas_threads", pressed)
    monkeypatch.setattr(_threads._guard, "_libraries", _threads.find_blas()[:1])
    with pytest.raises(KeyboardInterrupt), _threads.single_threaded_blas():
        pass
    monkeypatch.undo()
    assert blas_threads() == two_blas_threads
    test_setting_is_one_inside_and_the_old_one_afterwards(two_blas_threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_waits_for_a_thread_that_is_changing_the_setting(two_blas_threads, monkeypatch):
    set_threads, inside = _threads._set_blas_threads, threading.Event()

    def slow(library, n_threads):
        set_threads(library, n_threads)
        inside.set()
        time.sleep(0.2)

    def other_user():
        with _threads.single_threaded_blas():
            pass

    monkeypatch.setattr(_threads, "_set_blas_threads", slow)
    thread = threading.Thread(target=other_user)
    thread.start()
    inside.wait(10)
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that hangs is killed
        os._exit(_threads._guard._users != 0 or blas_threads() != two_blas_threads)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert blas_threads() == two_blas_threads


def test_forked_child_restores_the_setting_of_a_parent_in_fit(two_blas_threads):
    with _threads.single_threaded_blas():
        inside = blas_threads()
        guard = _threads._guard
        guard.forget_after_fork()
        assert blas_threads() == two_blas_threads
        guard._users = 1  # as the parent has it
        assert inside != two_blas_threads
