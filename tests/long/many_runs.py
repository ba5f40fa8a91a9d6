"""The same work again and again, in a process of its own: `python tests/long/many_runs.py KIND N`.

memory   N cycles of fit, predict, save and load; prints by how many bytes the process grew
forks    N forked children fit after a threaded fit in the parent; prints how many agree with it
forks-while-fitting   the same, while another thread of the parent fits
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import signal
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, MyANN, Network, Trainer

PATIENCE_SECONDS = 600


def data(n_rows=600, n_features=30, n_classes=4):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, n_classes, n_rows)
    return rng.normal(size=(n_rows, n_features)), labels, np.eye(n_classes)[labels]


X, LABELS, TARGETS = data()


def fit(seed=0, sizes=(30, 40, 4), n_threads=3, **options):
    """Weights of a network that three threads have trained, in two lanes."""
    network = Network(sizes, output="softmax", random_state=seed)
    Trainer(network, batch_size=256, n_threads=n_threads, random_state=seed, **options).fit(
        X, TARGETS, n_epochs=2
    )
    return network


def cycle(path):
    """Everything that keeps buffers: networks, estimators, files, and a failure."""
    network = fit(optimizer="adam", dropout=0.1)
    network.predict(X)
    fastmlp.save(network, path)
    fastmlp.load(path).predict(X[:3])
    for estimator, y in ((MLPClassifier, LABELS), (MLPRegressor, X[:, 0])):
        model = estimator(hidden_layer_sizes=(10,), max_iter=2, random_state=0).fit(
            X[:100], y[:100]
        )
        fastmlp.save(model, path)
        fastmlp.load(path).predict(X)
    path.write_bytes(path.read_bytes()[:-1])
    try:
        fastmlp.load(path)
    except fastmlp.ModelFormatError:
        return
    raise AssertionError("a truncated file was loaded")


def resident_bytes():
    """Of this process, after everything that is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def grow(n_cycles):
    warnings.simplefilter("ignore")  # two epochs are no convergence
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for _ in range(20):
            cycle(path)
        before = resident_bytes()
        for _ in range(n_cycles):
            cycle(path)
        return resident_bytes() - before


def fork(n_children):
    """How many children, one after the other, end with the weights of their parent."""
    expected = fit().parameters.tobytes()
    return sum(child_agrees(expected) for _ in range(n_children))


def child_agrees(expected):
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_SECONDS)  # a child that hangs is killed
        os._exit(0 if fit().parameters.tobytes() == expected else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def fork_while_fitting(n_children):
    ended = threading.Event()

    def keep_fitting():
        while not ended.is_set():
            fit(sizes=(30, 200, 4), products="blas")

    thread = threading.Thread(target=keep_fitting)
    thread.start()
    try:
        return fork(n_children)
    finally:
        ended.set()
        thread.join()


def save_large(n, path):
    rows, labels = np.ones((4, n)), np.arange(4) % 2
    model = MyANN(
        (rows, labels, rows, labels),
        n_hidden_layers=1,
        ay_nodes_layers=[0, n, 0],
        n_nodes_layer_out=0,
        n_epochs=1,
        b_train_on_init=False,
        b_verbose=False,
    )
    fastmlp.save(model, path)


def peak_bytes():
    """Of this process alone; getrusage begins with what its parent had."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])


def load_large(n):
    """Hundredths; the file is made by a child, whose memory is not this process's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save_large(4, path)
        fastmlp.load(path)  # imports what it needs
        if (child := os.fork()) == 0:
            save_large(n, path)
            os._exit(0)
        os.waitpid(child, 0)
        before = peak_bytes()
        fastmlp.load(path)
        return 100 * (peak_bytes() - before) // path.stat().st_size


KINDS = {
    "load": load_large,
    "memory": grow,
    "forks": fork,
    "forks-while-fitting": fork_while_fitting,
}

if __name__ == "__main__":
    print(KINDS[sys.argv[1]](int(sys.argv[2])))
