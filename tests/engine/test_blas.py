"""BLAS runs on one thread while the engine computes, and its setting is always given back."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from processes import PATIENCE_SECONDS
from threadpoolctl import ThreadpoolController, threadpool_limits

from fastmlp import Network, Trainer
from fastmlp.engine import _core, blas
from fastmlp.engine.blas import _thread_functions, find_blas, single_threaded_blas

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def blas_threads():
    return [b.num_threads for b in ThreadpoolController().select(user_api="blas").lib_controllers]


def engine_threads():
    """The setting of the library that the engine calls."""
    return find_blas()[0].get_num_threads()


@pytest.fixture
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        yield blas_threads()
    assert _core.blas_users() == 0


@pytest.fixture(scope="module")
def set_directly():
    """The library's own function: threadpoolctl may refuse threads that do not "control" it."""
    _, set_, _ = _thread_functions(find_blas()[0])
    return ctypes.CFUNCTYPE(None, ctypes.c_int)(set_)


def test_setting_is_one_inside_and_the_old_one_afterwards(two_blas_threads):
    with single_threaded_blas():
        assert [b.get_num_threads() for b in find_blas()] == [1]
        with single_threaded_blas():
            assert engine_threads() == 1
        assert engine_threads() == 1
    assert blas_threads() == two_blas_threads


def test_overlapping_users_restore_the_setting_once_the_last_one_leaves(two_blas_threads):
    entered, leave = threading.Event(), threading.Event()

    def other_user():
        with single_threaded_blas():
            entered.set()
            leave.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=other_user)
    with single_threaded_blas():
        thread.start()
        entered.wait(PATIENCE_SECONDS)
    assert engine_threads() == 1  # the other one is still inside
    leave.set()
    thread.join()
    assert blas_threads() == two_blas_threads


def test_setting_is_one_also_in_a_thread_that_does_not_control_openblas(two_blas_threads):
    """threadpoolctl lets the main thread, which entered the fixture's context, keep the control."""
    seen = []

    def other_thread():
        with single_threaded_blas():
            seen.append(engine_threads())

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert seen == [1]
    assert blas_threads() == two_blas_threads


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_setting_returns_after_an_exception_inside_fit(two_blas_threads, error):
    def fail(trainer):
        assert engine_threads() == 1
        raise error

    with pytest.raises(error):
        Trainer(Network((3, 129)), products="blas").fit(
            np.ones((4, 3)), np.ones((4, 129)), callbacks=[fail]
        )
    assert blas_threads() == two_blas_threads


def test_a_fit_with_own_products_leaves_the_setting_alone(two_blas_threads):
    seen = []
    Trainer(Network((3, 129))).fit(
        np.ones((4, 3)), np.ones((4, 129)), callbacks=[lambda _: seen.append(engine_threads())]
    )
    assert seen == [2]


# --- Others that change the setting meanwhile


def test_what_another_sets_inside_is_what_remains(two_blas_threads, set_directly):
    with single_threaded_blas():
        set_directly(3)
    assert engine_threads() == 3


def test_a_one_that_another_has_set_before_is_not_undone(two_blas_threads, set_directly):
    set_directly(1)
    with single_threaded_blas():
        pass
    assert engine_threads() == 1


def test_a_limit_that_began_before_and_ends_inside_gives_back_what_it_saved(two_blas_threads):
    """The guard begins under the limit of another and must not take that for the setting."""
    limit = threadpool_limits(1, user_api="blas")
    with single_threaded_blas():
        limit.restore_original_limits()
        wide_weights()
        assert engine_threads() == 1
    assert engine_threads() == 2


WIDE = (300, 400, 10)


def wide_weights(callbacks=()):
    rng = np.random.default_rng(0)
    network = Network(WIDE, random_state=1)
    X, y = rng.random((600, WIDE[0])), np.eye(10)[rng.integers(10, size=600)]
    Trainer(network, batch_size=200, n_threads=2, products="blas", random_state=0).fit(
        X, y, n_epochs=3, callbacks=callbacks
    )
    return network.parameters.tobytes()


def test_bits_do_not_change_when_a_callback_gives_blas_more_threads(two_blas_threads, set_directly):
    undisturbed = wide_weights()
    assert wide_weights([lambda trainer: set_directly(4)]) == undisturbed
    assert engine_threads() == 4


def test_bits_do_not_change_when_another_thread_uses_threadpoolctl(two_blas_threads):
    undisturbed = wide_weights()
    stop = threading.Event()

    def others():
        while not stop.is_set():
            with threadpool_limits(2, user_api="blas"):
                time.sleep(0.0005)

    thread = threading.Thread(target=others)
    thread.start()
    try:
        results = {wide_weights() for _ in range(10)}
    finally:
        stop.set()
        thread.join()
    assert results == {undisturbed}


def test_bits_do_not_change_when_another_thread_raises_the_setting_all_the_time(
    two_blas_threads, set_directly
):
    """Products that may have run on several threads are repeated."""
    undisturbed = wide_weights()
    stop = threading.Event()

    def hammer():
        while not stop.is_set():
            set_directly(2)

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        results = {wide_weights() for _ in range(5)}
    finally:
        stop.set()
        thread.join()
    assert results == {undisturbed}


# --- Forks


@forks
def test_a_child_forked_inside_a_run_stays_at_one_thread_and_has_the_same_bits(two_blas_threads):
    undisturbed = wide_weights()
    reader, writer = os.pipe()
    children = []

    def fork(trainer):
        if trainer.epochs_done == 1:
            children.append(os.fork())
            if children == [0]:
                signal.alarm(PATIENCE_SECONDS)  # a child that hangs is killed

    weights = None
    try:
        weights = wide_weights([fork])
    finally:
        if children == [0]:
            os.write(writer, bytes([weights == undisturbed, blas_threads() == two_blas_threads]))
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    assert os.read(reader, 2) == b"\1\1"
    assert weights == undisturbed
    os.close(reader)
    os.close(writer)


@forks
def test_a_child_of_another_thread_restores_the_setting(two_blas_threads):
    """The thread that is inside does not exist in the child, and will never leave."""
    entered, leave = threading.Event(), threading.Event()

    def user():
        with single_threaded_blas():
            entered.set()
            leave.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=user)
    thread.start()
    entered.wait(PATIENCE_SECONDS)
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_SECONDS)  # a child that hangs is killed
        os._exit(_core.blas_users() != 0 or blas_threads() != two_blas_threads)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert engine_threads() == 1
    leave.set()
    thread.join()


@forks
def test_forks_while_others_come_and_go_neither_hang_nor_lose_the_setting(two_blas_threads):
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            with single_threaded_blas():
                pass

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(PATIENCE_SECONDS)
                with single_threaded_blas():
                    inside = engine_threads()
                os._exit(inside != 1 or blas_threads() != two_blas_threads)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        thread.join()


@forks
def test_a_child_forked_while_another_thread_searches_for_blas_does_not_wait(monkeypatch):
    inside, leave = threading.Event(), threading.Event()

    def slow():
        inside.set()
        leave.wait(PATIENCE_SECONDS)
        return []

    monkeypatch.setattr(blas, "find_blas", slow)
    monkeypatch.setattr(blas, "_found", False)
    thread = threading.Thread(target=single_threaded_blas)
    thread.start()
    inside.wait(PATIENCE_SECONDS)
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_SECONDS)
        blas.find_blas = list
        with single_threaded_blas():
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


# --- Signals

INTERRUPTED = """
import random, signal, sys
import numpy as np
from threadpoolctl import threadpool_limits
from fastmlp import MLPClassifier, Network
from fastmlp.engine import _core, blas
from fastmlp.engine.blas import find_blas

class Alarm(Exception): pass
def ring(*_): raise Alarm

random.seed(int(sys.argv[2]))
library, rows = find_blas()[0], np.ones((20, 64), np.float32)
network = Network((64, 300, 3), random_state=0)
model = MLPClassifier((200,), max_iter=1, n_iter_no_change=5)
with np.errstate(), __import__("warnings").catch_warnings():
    __import__("warnings").simplefilter("ignore")
    model.fit(rows, np.arange(20) % 2)
threadpool_limits(2, user_api="blas")
signal.signal(signal.SIGALRM, ring)
interrupted = wrong = 0
while interrupted < int(sys.argv[1]):
    predict = random.choice([network.predict, model.predict])
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 1e-3))
        while True:
            predict(rows)
    except Alarm:
        interrupted += 1
    wrong += _core.blas_users() != 0 or library.get_num_threads() != 2
print(interrupted, wrong)
"""


def interruptions(count, seed):
    command = [sys.executable, "-c", INTERRUPTED, str(count), str(seed)]
    environment = os.environ | {"FASTMLP_PRODUCTS": "blas"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer")
def test_a_signal_handler_that_raises_inside_predict_never_loses_the_setting():
    assert interruptions(500, seed=0) == "500 0\n"


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer")
def test_ten_thousand_raising_signals_never_lose_the_setting():
    assert interruptions(10_000, seed=1) == "10000 0\n"
