"""Eight threads fit, predict and save at once, on a Python without the GIL too."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import make_classes

import fastmlp
from fastmlp import MLPClassifier, Network, Trainer

N_THREADS = 8
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.fixture(scope="module")
def data():
    x, y = make_classes(600, 20, 3)
    return x.astype(np.float32), y.astype(np.float32)


@pytest.fixture(autouse=True)
def hurried():
    """Threads change places often, where one at a time runs Python."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(task):
    """What the task returns for 0 to 7, each in a thread, all of which begin together."""
    start = threading.Barrier(N_THREADS)

    def run(i):
        start.wait()
        return task(i)

    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(run, range(N_THREADS)))


@pytest.mark.skipif(not FREE_THREADED, reason="this Python always has a GIL")
def test_the_import_leaves_the_gil_off():
    code = "import sys, fastmlp; fastmlp.MLPClassifier; print(sys._is_gil_enabled())"
    output = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "False\n"


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("products", ["own", "blas"])
def test_trainings_at_once_have_the_bits_of_each_alone(products, n_threads, data):
    def train(seed):
        network = Network((20, 200, 30, 3), random_state=seed)
        Trainer(
            network, n_threads=n_threads, batch_size=100, products=products, random_state=seed
        ).fit(*data, n_epochs=4)
        return network.parameters

    alone = [train(seed) for seed in range(N_THREADS)]
    for found, expected in zip(at_once(train), alone, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_one_network_predicts_in_all_threads_at_once(data):
    x, _ = data
    network = Network((20, 30, 3), random_state=0)
    predictor = network.predictor()
    parts = [x[: 1 + 7 * i] for i in range(N_THREADS)]
    expected = [network.predict(part) for part in parts]

    def predict(i):
        return all(
            np.array_equal(model.predict(parts[i]), expected[i])
            for _ in range(200)
            for model in (network, predictor)
        )

    assert at_once(predict) == [True] * N_THREADS


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_fit_in_all_threads_at_once(data):
    x, y = data[0], data[1].argmax(axis=1)

    def fit(seed):
        model = MLPClassifier((16,), max_iter=5, early_stopping=True, random_state=seed)
        return model.fit(x, y).predict_proba(x)

    alone = [fit(seed) for seed in range(N_THREADS)]
    for found, expected in zip(at_once(fit), alone, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_custom_loss_that_fails_in_several_workers_is_raised_once(data):
    def failing(targets, outputs):
        raise ZeroDivisionError("of the loss")

    def fit(seed):
        trainer = Trainer(Network((20, 30, 3)), loss=failing, n_threads=2, batch_size=200)
        with pytest.raises(ZeroDivisionError, match="of the loss"):
            trainer.fit(*data)
        return True

    assert at_once(fit) == [True] * N_THREADS


def test_models_are_saved_and_loaded_in_all_threads_at_once(data, tmp_path):
    networks = [Network((20, 5, 3), random_state=seed) for seed in range(N_THREADS)]

    def save(i):
        for _ in range(5):
            fastmlp.save(networks[i], tmp_path / f"{i}.safetensors")
            fastmlp.save(networks[i], tmp_path / "of-all.safetensors")
        return fastmlp.load(tmp_path / f"{i}.safetensors").parameters

    for network, parameters in zip(networks, at_once(save), strict=True):
        np.testing.assert_array_equal(network.parameters, parameters)
    assert len(list(tmp_path.iterdir())) == N_THREADS + 1
