"""Rows and trainings that the tests of several machines share."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import numpy as np

import fastmlp
from fastmlp import data as d

N = 403
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 6)).astype(np.float32)
LABELS = np.array(list("abcd"))[np.abs(X[:, :4]).argmax(axis=1)]
Y = (LABELS[:, np.newaxis] == np.array(list("abcd"))).astype(np.float32)
WEIGHTS = (RNG.random(N) + 0.1).astype(np.float32)
SOURCE = d.ArraySource(X, Y)


@contextmanager
def local_cluster(n_workers, **options):
    """A cluster of processes with a thread each, that can be reached from this machine alone."""
    from distributed import LocalCluster

    options = {"processes": True, "threads_per_worker": 1} | options
    with LocalCluster(
        n_workers=n_workers, host="127.0.0.1", dashboard_address="127.0.0.1:0", **options
    ) as cluster:
        yield cluster


def make_trainer(dtype="float32", sizes=(6, 17, 4), **changes):
    network = fastmlp.Network(
        sizes, activation="tanh", output="softmax", dtype=dtype, random_state=0
    )
    settings = {"learning_rate": 1e-2, "batch_size": 20, "reduction": "mean", "random_state": 1}
    return fastmlp.Trainer(network, **settings | changes)


def on_one_machine(source=SOURCE, n_epochs=3, n_shards=8, window_rows=None, make=make_trainer):
    """A trainer that has trained in this process, with its weights, states and costs."""
    trainer = make()
    trainer.fit(source, n_epochs=n_epochs, n_shards=n_shards, window_rows=window_rows)
    return result_of(trainer)


def result_of(trainer):
    """What must be equal to the last bit."""
    return {
        "weights": trainer.network.parameters.copy(),
        "states": trainer.states.copy(),
        "costs": np.array(trainer.history["costs"]),
        "n_steps": trainer.n_steps,
    }


def assert_same_bits(found, expected):
    np.testing.assert_equal(found, expected)


class InThread:
    """A call in a thread, whose result or exception is asked for later."""

    def __init__(self, call):
        self._call, self._outcome = call, []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self._outcome = [self._call(), None]
        except BaseException as error:
            self._outcome = [None, error]

    def result(self, seconds):
        """What it has returned within so many seconds; raises what it has raised."""
        self._thread.join(seconds)
        assert self._outcome, f"no end in {seconds} s"
        if self._outcome[1] is not None:
            raise self._outcome[1]
        return self._outcome[0]
