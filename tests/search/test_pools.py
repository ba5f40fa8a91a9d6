"""Backends: the same result on each, and for each number of workers; what ends early ends all."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from searches import Grower, X, Y, results, search, weights

from fastmlp.search.pools import open_pool
from fastmlp.search.shared import LoadedData, SharedData, load_shared


@pytest.fixture(scope="module")
def expected():
    return search(n_workers=1).fit(X, Y)


def check(found, expected):
    assert results(found) == results(expected)
    assert weights(found) == weights(expected)


@pytest.mark.parametrize("n_workers", [2, 7])
def test_the_number_of_threads_does_not_change_the_result(n_workers, expected):
    check(search(n_workers=n_workers).fit(X, Y), expected)


def test_processes_give_the_result_of_threads(expected):
    check(search(backend="processes").fit(X, Y), expected)


def test_executors_give_the_result_of_threads(expected):
    with ThreadPoolExecutor(3) as executor:
        check(search(backend=executor).fit(X, Y), expected)
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as executor:
        check(search(backend=executor).fit(X, Y), expected)


def test_a_dask_client_gives_the_result_of_threads(expected):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    )
    with cluster, distributed.Client(cluster) as client:
        check(search(backend=client).fit(X, Y), expected)


def test_workers_of_a_client_or_executor_are_its_own():
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(ValueError, match="n_workers is for back"),
    ):
        search(backend=executor).set_params(n_workers=2).fit(X, Y)


def test_data_are_written_once_and_loaded_once():
    shared = SharedData({"x": np.arange(6.0)})
    function, arguments = shared.__reduce__()
    assert shared.__reduce__()[1] == arguments
    loaded = function(*arguments)
    assert loaded is load_shared(*arguments) and isinstance(loaded, LoadedData)
    np.testing.assert_array_equal(loaded.data["x"], np.arange(6.0))
    assert isinstance(loaded.data["x"], np.memmap)
    assert not loaded.is_over()
    shared.close()
    assert loaded.is_over() and shared.is_over()


def test_the_data_of_an_earlier_search_are_dropped():
    first, second = SharedData(1), SharedData(2)
    loaded = [load_shared(*shared.__reduce__()[1]) for shared in (first, second)]
    assert [one.data for one in loaded] == [1, 2]
    assert load_shared(*first.__reduce__()[1]) is not loaded[0]
    first.close()
    second.close()


def wait_until_cancelled(task, started, is_cancelled):
    started.set()
    while not is_cancelled():
        pass
    return task


def test_an_error_in_the_search_ends_the_tasks_under_way():
    started = threading.Event()
    with (
        pytest.raises(KeyboardInterrupt),
        open_pool("threads", 1, wait_until_cancelled, started) as pool,
    ):
        pool.submit(1)
        pool.submit(2)
        started.wait()
        raise KeyboardInterrupt


def test_training_ends_before_the_next_epoch():
    """A search that raises does not wait for a model with a thousand epochs."""
    seen = []

    class Slow(Grower):
        def partial_fit(self, X, y=None, sample_weight=None):
            seen.append(self.start)
            if self.start == 0.5 and len(seen) > 3:
                raise FloatingPointError("the end")
            return super().partial_fit(X, y)

    with pytest.raises(FloatingPointError, match="the end"):
        search(Slow(), {"start": [0.5, 0.1]}, n_candidates="all", max_epochs=10**6, factor=2,
               min_epochs=10**6, error_score="raise").fit(X, Y)  # fmt: skip
