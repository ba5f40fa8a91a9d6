"""A thousand runs like one: memory, forked children, threads; in short, and at length (soak)."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from estimator_data import blobs
from many_runs import KINDS, X, fit

from fastmlp import MLPClassifier, MyANN

MIB = 1 << 20
SCRIPT = Path(__file__).parent / "many_runs.py"
N_THREADS = 8


def many(kind, n):
    assert kind in KINDS
    command = [sys.executable, "-W", "ignore::DeprecationWarning", SCRIPT, kind, str(n)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


def at_length(*values):
    """A parameter of the suite, and one of the soak."""
    short, long = values
    return [short, pytest.param(long, marks=pytest.mark.soak)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("n_cycles", at_length(60, 1000))
def test_cycles_of_fit_predict_save_and_load_grow_memory_by_a_mebibyte_at_most(n_cycles):
    assert many("memory", n_cycles) <= MIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_loading_takes_twice_the_file():
    assert 100 < many("load", 3000) < 220


@pytest.mark.parametrize("n_children", at_length(10, 200))
@pytest.mark.parametrize("kind", ["forks", "forks-while-fitting"])
def test_forked_children_fit_as_their_threaded_parent_did(kind, n_children):
    assert many(kind, n_children) == n_children


# Here and not around each fit: threads share the filters of warnings.
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("n_rounds", at_length(2, 50))
def test_eight_threads_predict_on_one_model_and_fit_others_with_the_serial_bits(n_rounds):
    network, (x, y) = fit(), blobs(300, n_classes=3)
    classifier = MLPClassifier((20,), max_iter=3, random_state=0).fit(x, y)
    ann = MyANN(
        (x[:200], y[:200], x[200:], y[200:]),
        n_hidden_layers=1,
        n_nodes_layer_out=0,
        ay_nodes_layers=[0, 9, 0],
        n_epochs=2,
        random_state=0,
    )

    def work(seed):
        fresh = MLPClassifier((20,), max_iter=3, random_state=seed).fit(x, y)
        return [
            network.predict(X, n_threads=2),
            network.predict(X[:2]),
            ann.network.predict(x[:5]),
            classifier.predict_proba(x),
            classifier.predict(x[:1]),
            fit(seed).parameters,
            fit(seed, optimizer="adam", momentum=0).parameters,
            fit(seed, sizes=(30, 200, 4), n_threads=2).parameters,
            fit(seed, sizes=(30, 200, 4), n_threads=2, products="blas").parameters,
            *fresh.coefs_,
        ]

    expected = [work(seed) for seed in range(N_THREADS)]
    for _ in range(n_rounds):
        with ThreadPoolExecutor(N_THREADS) as pool:
            found = list(pool.map(work, range(N_THREADS)))
        for serial, parallel in zip(expected, found, strict=True):
            for a, b in zip(serial, parallel, strict=True):
                np.testing.assert_array_equal(a, b)
