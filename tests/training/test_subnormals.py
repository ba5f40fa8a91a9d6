"""Subnormal numbers count as 0 in training, and only there.

What Adam remembers of a node that has died would stay at the smallest subnormal number for good,
and many processors take some hundred cycles for each of them.
"""

import platform
import signal
import threading

import numpy as np
import pytest

from fastmlp import Network, Trainer
from fastmlp.data import ArraySource
from fastmlp.losses import CustomLoss

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64", "aarch64", "arm64"},
    reason="no floating-point mode is known for this processor",
)
rng = np.random.default_rng(0)
X = rng.random((64, 5), dtype=np.float32)
Y = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 64)]
SMALL = {"float32": 1e-40, "float64": 1e-310}


def are_kept(dtype="float32"):
    """Whether this thread computes with subnormal numbers; not folded by the compiler."""
    small = np.full(3, SMALL[dtype], dtype)
    return bool((small * np.ones(3, dtype) > 0).all())


def trainer(dtype="float32", **settings):
    network = Network((5, 16, 2), activation="relu", output="softmax", dtype=dtype, random_state=0)
    given = {"optimizer": "adam", "reduction": "mean", "batch_size": 8, "random_state": 0,
             **settings}  # fmt: skip
    return Trainer(network, **given)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_what_adam_remembers_of_dead_nodes_fades_to_zero(dtype, n_threads):
    # 0.9^n reaches the subnormal numbers of float32 after some 800 steps, of float64 after 6,700.
    run = trainer(dtype, n_threads=n_threads, learning_rate=0.01)
    run.network.weights[0][:, 0] = -100.0  # the bias: no node ever answers
    run.fit(X, Y, n_epochs=1)
    run.states[0] = 1e-3  # as if they had
    run.fit(X, Y, n_epochs=130 if dtype == "float32" else 1000, reset=False)
    tiny = np.finfo(dtype).tiny
    states = np.abs(run.states)
    assert not ((states > 0) & (states < tiny)).any()
    assert (run.network.views(run.states[0])[0] == 0).all()


def quadratic_loss(y, p):
    return ((y - p) ** 2).sum(axis=1), 2 * (p - y)


def train_in_shards(run, n_epochs, exchange):
    from fastmlp.data.sharded import ShardReader

    form = run._check().reader("X", ArraySource(X, Y)).format
    run.train(ShardReader(ArraySource(X, Y), form, 8, n_shards=4, bounds=[0, 2, 4],
                          exchange=exchange), n_epochs=n_epochs)  # fmt: skip


def add_nothing(slots, totals):
    slots[1:], totals[2:] = 0, 0
    return False


@pytest.mark.parametrize("callback", ["custom loss", "exchange"])
def test_they_fade_also_after_python_was_called_in_every_step(callback):
    run = trainer(learning_rate=0.01)
    if callback == "custom loss":
        run = Trainer(run.network, optimizer="adam", loss=CustomLoss(quadratic_loss),
                      reduction="mean", batch_size=8, learning_rate=0.01, n_threads=1)  # fmt: skip
    run.network.weights[0][:, 0] = -100.0
    run.fit(X, Y, n_epochs=1)
    run.states[0] = 1e-3
    if callback == "custom loss":
        run.fit(X, Y, n_epochs=130, reset=False)
    else:
        train_in_shards(run, 130, add_nothing)
    states = np.abs(run.states)
    assert not ((states > 0) & (states < np.finfo("float32").tiny)).any()
    assert (run.network.views(run.states[0])[0] == 0).all()


def test_predictions_and_python_keep_them_afterwards():
    trainer().fit(X, Y, n_epochs=2)
    assert are_kept()
    assert are_kept("float64")
    network = Network((1, 1), output="identity", dtype="float32")
    network.parameters[...] = [0.0, 1.0]
    assert network.predict(np.array([[1e-40]], np.float32))[0, 0] > 0


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("batch_size", [8, 64])
def test_a_custom_loss_computes_with_them(n_threads, batch_size):
    kept = []

    def loss(y, p):
        kept.append(are_kept())
        return quadratic_loss(y, p)

    network = Network((5, 400, 2), output="identity", random_state=0)
    Trainer(network, loss=CustomLoss(loss), learning_rate=1e-4, batch_size=batch_size,
            n_threads=n_threads).fit(X, Y, n_epochs=2)  # fmt: skip
    assert kept
    assert all(kept)


def test_an_exchange_of_shards_computes_with_them():
    kept = []

    def exchange(slots, totals):
        kept.append(are_kept())
        return add_nothing(slots, totals)

    train_in_shards(trainer(), 1, exchange)
    assert len(kept) == 8
    assert all(kept)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_a_signal_handler_computes_with_them():
    kept = []
    before = signal.signal(signal.SIGALRM, lambda *_: kept.append(are_kept()))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        network = Network((5, 300, 300, 2), output="softmax", random_state=0)
        run = Trainer(network, batch_size=64, reduction="mean")
        rows = np.repeat(X, 300, axis=0), np.repeat(Y, 300, axis=0)
        run.fit(*rows, n_epochs=2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert kept
    assert all(kept)


def test_another_thread_keeps_them_meanwhile():
    kept, over = [], threading.Event()

    def watch():
        while not over.is_set():
            kept.append(are_kept())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        trainer(n_threads=2).fit(np.repeat(X, 50, axis=0), np.repeat(Y, 50, axis=0), n_epochs=3)
    finally:
        over.set()
        thread.join()
    assert kept
    assert all(kept)
