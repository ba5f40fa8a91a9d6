"""A Trainer on shards: the numbers of an array, and the bits of any number of processes."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import fastmlp
from fastmlp import Checkpoint, DivergenceError, ResumeError
from fastmlp import data as d
from fastmlp.data.sharded import ShardReader
from fastmlp.engine.plan import plan_network
from fastmlp.engine.shards import plan_sum
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path
from fastmlp.training.checkpoints.keeper import Keeper
from fastmlp.training.history import HistoryRecorder

RNG = np.random.default_rng(0)
N = 203
X = RNG.normal(size=(N, 6))
Y = np.eye(3)[RNG.integers(0, 3, N)]
WEIGHTS = RNG.random(N) + 0.1
SOURCE = d.ArraySource(X, Y, WEIGHTS)


class Table:
    """Rows that cannot be taken one by one."""

    def __len__(self):
        return N

    def __getitem__(self, rows):
        return X[rows], Y[rows], WEIGHTS[rows]


def trainer(dtype="float64", sizes=(6, 17, 5, 3), **changes):
    network = fastmlp.Network(sizes, activation="tanh", output="softmax", dtype=dtype,
                              random_state=0)  # fmt: skip
    settings = {"learning_rate": 1e-2, "batch_size": 20, "reduction": "mean", "random_state": 1}
    return fastmlp.Trainer(network, **settings | changes)


def in_order_of_shards(n_shards, n_rows=N):
    """All rows: one of each shard in turn."""
    parts = [part.tolist() for part in np.array_split(np.arange(n_rows), n_shards)]
    return [parts[position % n_shards][position // n_shards] for position in range(n_rows)]


SETTINGS = {
    "sgd": {"reduction": "sum", "learning_rate": 1e-3},
    "momentum, ragged batches": {"momentum": 0.5, "batch_size": 7},
    "adam": {"optimizer": "adam"},
    "penalty per batch": {"l2": 0.1, "l1": 0.01},
    "penalty per sample": {"l2": 0.1, "l1": 0.01, "penalty_scale": "per_sample"},
    "penalty per weight": {"l2": 0.1, "l1": 0.01, "penalty_scale": "per_weight"},
    "clipped": {"max_grad_norm": 0.05, "l2": 0.01},
    "some batches": {"steps_per_epoch": 4},
    "all rows at once": {"batch_size": 500},
}


@pytest.mark.parametrize("window_rows", [None, 60])
@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
def test_shards_train_as_an_array_with_their_rows_in_turn(changes, window_rows):
    rows = in_order_of_shards(8)
    expected = trainer(shuffle=False, **changes)
    expected.fit(X[rows], Y[rows], sample_weight=WEIGHTS[rows], n_epochs=3)
    found = trainer(shuffle=False, **changes)
    found.fit(SOURCE, n_epochs=3, n_shards=8, window_rows=window_rows)
    np.testing.assert_allclose(
        found.network.parameters, expected.network.parameters, rtol=1e-12, atol=1e-13
    )
    for name in ("costs", "reg_share", "errors", "batch_accuracy"):
        np.testing.assert_allclose(found.history[name], expected.history[name], rtol=1e-11)
    assert found.n_steps == expected.n_steps


# --- Several processes, as threads


class Exchange:
    """Sums of threads, which put them into queues for each other."""

    def __init__(self, bounds):
        n = len(bounds) - 1
        self.bounds, self.plans = bounds, [plan_sum(bounds, rank) for rank in range(n)]
        self.boxes = [[queue.Queue() for _ in range(n)] for _ in range(n)]

    def of(self, rank):
        plan = self.plans[rank]
        others = [other for other in range(len(self.plans)) if other != rank]

        def exchange(slots, totals):
            own = slots[list(plan.own_slots)], totals[plan.first : plan.first + plan.n_own].copy()
            for other in others:
                self.boxes[rank][other].put(own)
            for other, places in zip(others, plan.slots_from, strict=True):
                sums, numbers = self.boxes[other][rank].get(timeout=60)
                slots[list(places)] = sums
                totals[self.bounds[other] : self.bounds[other + 1]] = numbers
            return False

        return exchange


def on_processes(n_processes, make, source, window_rows=None, n_epochs=2, n_shards=8):
    """Weights, states and costs of each simulated process."""
    bounds = [n_shards * rank // n_processes for rank in range(n_processes + 1)]
    exchange, results = Exchange(bounds), [None] * n_processes

    def work(rank):
        t = make()
        wanted = t._check(window_rows).reader("X", source).format
        reader = ShardReader(
            source, wanted, t.batch_size, window_rows,
            n_shards=n_shards, bounds=bounds, rank=rank, exchange=exchange.of(rank),
        )  # fmt: skip
        t.train(reader, n_epochs=n_epochs, recorder=HistoryRecorder(t._evaluate, None, None))
        results[rank] = t.network.parameters, t.states, t.history["costs"]

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(n_processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


BITS = {
    "momentum": {"momentum": 0.5},
    "adam, dropout": {"optimizer": "adam", "dropout": 0.3},
    "clipped, ragged": {"max_grad_norm": 0.1, "batch_size": 7},
    "penalty": {"l2": 0.1, "penalty_scale": "per_sample", "n_threads": 2},
}


@pytest.mark.parametrize("changes", BITS.values(), ids=BITS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window_rows, source", [
    (None, SOURCE), (50, SOURCE), (60, d.SequenceSource(Table(), block_rows=11)),
], ids=["one window", "windows of rows", "windows of blocks"])  # fmt: skip
def test_the_number_of_processes_does_not_change_a_bit(window_rows, source, dtype, changes):
    def make():
        return trainer(dtype, **changes)

    alone = make()
    history = alone.fit(source, n_epochs=2, n_shards=8, window_rows=window_rows)
    for n_processes in (2, 3, 4, 5, 8):
        for parameters, states, costs in on_processes(n_processes, make, source, window_rows):
            np.testing.assert_array_equal(parameters, alone.network.parameters)
            np.testing.assert_array_equal(states, alone.states)
            np.testing.assert_array_equal(costs, history["costs"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lanes_of_several_chunks_are_cut_alike_on_every_process(dtype):
    rng = np.random.default_rng(0)
    source = d.ArraySource(rng.normal(size=(1300, 60)), np.eye(3)[rng.integers(0, 3, 1300)])

    def make():
        return trainer(dtype, (60, 150, 40, 3), batch_size=900)

    alone = make()
    chunk = plan_network(alone.network.sizes, alone.network.dtype.itemsize).chunk_rows
    assert chunk < 900 // 2  # or a lane would be one chunk
    alone.fit(source, n_shards=2)
    for parameters, *_ in on_processes(2, make, source, n_epochs=1, n_shards=2):
        np.testing.assert_array_equal(parameters, alone.network.parameters)


def test_windows_in_the_order_of_the_source_have_the_bits_of_one():
    """Masks of dropout, and Adam's number of steps, are those of the whole epoch."""
    results = []
    for window_rows in (None, 60, 120):
        t = trainer("float32", shuffle=False, dropout=0.4, optimizer="adam", batch_size=12)
        t.fit(SOURCE, n_epochs=2, n_shards=5, window_rows=window_rows)
        results.append(t.network.parameters)
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_a_single_process_has_the_bits_of_fit():
    alone = trainer()
    alone.fit(SOURCE, n_epochs=2, n_shards=8)
    ((parameters, _, _),) = on_processes(1, trainer, SOURCE)
    np.testing.assert_array_equal(parameters, alone.network.parameters)


@pytest.mark.parametrize("n_shards", [1, 2, 3, 7, 16])
def test_other_numbers_of_shards_have_bits_that_no_process_changes(n_shards):
    alone = trainer("float32")
    alone.fit(SOURCE, n_epochs=1, n_shards=n_shards)
    for n_processes in {1, min(2, n_shards), min(3, n_shards)}:
        for parameters, *_ in on_processes(
            n_processes, lambda: trainer("float32"), SOURCE, n_epochs=1, n_shards=n_shards
        ):
            np.testing.assert_array_equal(parameters, alone.network.parameters)


def test_the_number_of_shards_is_part_of_the_result():
    """Other sums, and an order of its own: or the tests of equal bits would show nothing."""
    results = []
    for n_shards in (2, 8):
        t = trainer("float32", shuffle=False, batch_size=N)
        t.fit(SOURCE, n_epochs=20, n_shards=n_shards)
        results.append(t.network.parameters)
    assert not np.array_equal(*results)
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_number_of_threads_does_not_change_a_bit(dtype):
    """Wide enough for several workers of the team, and for several pieces of a sum."""
    rng = np.random.default_rng(0)
    source = d.ArraySource(rng.normal(size=(600, 60)), np.eye(3)[rng.integers(0, 3, 600)])
    results = []
    for n_threads in (1, 2, 3, 8):
        t = trainer(dtype, (60, 150, 40, 3), n_threads=n_threads, batch_size=130, dropout=0.2,
                    optimizer="adam")  # fmt: skip
        t.fit(source, n_epochs=2, n_shards=8)
        results.append(t.network.parameters)
    for parameters in results[1:]:
        np.testing.assert_array_equal(parameters, results[0])


def test_validation_and_measures_of_all_rows_are_those_of_an_array():
    arguments = {"validation_data": (X[:50], Y[:50]), "measure_train": True}
    rows = in_order_of_shards(5)
    expected = trainer(shuffle=False).fit(X[rows], Y[rows], n_epochs=2, **arguments)
    found = trainer(shuffle=False).fit(d.ArraySource(X, Y), n_epochs=2, n_shards=5, **arguments)
    for name in expected:
        if name != "epoch_seconds":
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)


# --- Checkpoints


@pytest.mark.parametrize("source", [SOURCE, d.SequenceSource(Table(), block_rows=11)],
                         ids=["rows", "blocks"])  # fmt: skip
def test_a_sharded_run_resumes_in_the_middle_of_a_window(tmp_path, monkeypatch, source):
    monkeypatch.setattr(Keeper, "batches_to_go", lambda self, epoch: 1)

    def trained(**arguments):
        t = trainer("float32", optimizer="adam", dropout=0.3)
        history = t.fit(source, n_epochs=2, n_shards=8, window_rows=80, **arguments)
        return [t.network.parameters, t.states, history["costs"]]

    whole = trained()
    saved = trained(callbacks=[Checkpoint(tmp_path, every="0.000001s", keep=99)])
    np.testing.assert_equal(saved, whole)
    numbers = checkpoint_numbers(tmp_path)
    assert len(numbers) >= 22  # batches
    for number in numbers[::4]:
        np.testing.assert_equal(trained(resume=checkpoint_path(tmp_path, number)), whole)


@pytest.mark.parametrize(
    "n_shards, message", [(4, "n_shards was 8, is now 4"), (None, "n_shards was 8, is now None")]
)
def test_a_run_with_another_number_of_shards_is_another_run(tmp_path, n_shards, message):
    trainer().fit(SOURCE, n_shards=8, callbacks=[Checkpoint(tmp_path)])
    other = trainer()
    before = other.network.parameters.copy()
    with pytest.raises(ResumeError, match=message):
        other.fit(SOURCE, n_epochs=2, n_shards=n_shards, resume=tmp_path)
    np.testing.assert_array_equal(other.network.parameters, before)


def test_a_run_without_shards_does_not_continue_with_some(tmp_path):
    trainer().fit(SOURCE, callbacks=[Checkpoint(tmp_path)])
    with pytest.raises(ResumeError, match="n_shards was None, is now 8"):
        trainer().fit(SOURCE, n_epochs=2, n_shards=8, resume=tmp_path)


# --- Errors


def test_divergence_in_shards_has_the_batch_and_the_cause():
    def loss(y, a):
        return np.where(y[:, 0] > 1, np.nan, ((y - a) ** 2).sum(axis=1)), 2 * (a - y)

    y = np.ones((N, 3))
    row = in_order_of_shards(8)[7 * 20 + 3]
    y[row] = 2
    network = fastmlp.Network((6, 3), output="identity", random_state=0)
    settings = {"loss": loss, "learning_rate": 1e-9, "batch_size": 20, "shuffle": False}
    for window_rows in (None, 80):
        t = fastmlp.Trainer(network, **settings)
        with pytest.raises(DivergenceError, match="loss") as caught:
            t.fit(d.ArraySource(X, y), n_shards=8, window_rows=window_rows)
        assert caught.value.batch == 7 and "got values of nan" in caught.value.cause


@pytest.mark.parametrize("data, arguments, changes, error, message", [
    ((X, Y), {"n_shards": 4}, {}, ValueError,
     r"n_shards is for sources; for arrays, X must be a fastmlp.data.ArraySource\(X, Y\)"),
    ((SOURCE,), {"n_shards": 4}, {"engine": "numpy"}, ValueError,
     "n_shards needs engine='native'; got engine='numpy'"),
    ((d.ArraySource(csr_matrix(X), Y),), {"n_shards": 4}, {}, ValueError,
     "n_shards is for dense rows; got a source of sparse ones"),
    ((SOURCE,), {"n_shards": N + 1}, {}, ValueError,
     f"n_shards must be at most the number of rows, {N}; got {N + 1}"),
    ((SOURCE,), {"n_shards": 0}, {}, ValueError, "n_shards must be at least 1; got 0"),
    ((SOURCE,), {"n_shards": "8"}, {}, TypeError, "n_shards must be an integer; got '8'"),
], ids=["arrays", "numpy", "sparse", "more than rows", "none", "text"])  # fmt: skip
def test_shards_that_cannot_be_are_refused_before_any_work(data, arguments, changes, error,
                                                           message):  # fmt: skip
    t = trainer(**changes)
    before = t.network.parameters.copy()
    with pytest.raises(error, match=message):
        t.fit(*data, **arguments)
    np.testing.assert_array_equal(t.network.parameters, before)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exchange_that_fails_ends_the_run_with_the_weights_of_the_last_batch(error):
    calls = []

    def exchange(slots, totals):
        calls.append(1)
        if len(calls) == 4:
            raise error("gone")
        return False

    t, expected = trainer(shuffle=False), trainer(shuffle=False, steps_per_epoch=3)
    wanted = t._check().reader("X", SOURCE).format
    # It has all shards, so that nothing is missing.
    reader = ShardReader(SOURCE, wanted, 20, n_shards=4, exchange=exchange)
    with pytest.raises(error, match="gone"):
        t.train(reader)
    expected.fit(SOURCE, n_shards=4)
    assert t.n_steps == 3
    np.testing.assert_array_equal(t.network.parameters, expected.network.parameters)
