"""A Trainer on sources: the bits of arrays, exact resume, errors that cost nothing."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import fastmlp
from fastmlp import Checkpoint, DataFormatError, DivergenceError, ResumeError
from fastmlp import data as d
from fastmlp.data.shuffle import WindowOrder
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path
from fastmlp.training.checkpoints.keeper import Keeper

RNG = np.random.default_rng(0)
N = 100
X = RNG.integers(0, 9, (N, 5))
Y = np.eye(3)[RNG.integers(0, 3, N)]
WEIGHTS = RNG.random(N).astype(np.float32)


class Table:
    """Rows that cannot be taken one by one; an error can be put into the reading."""

    def __init__(self, x=X):
        self.x, self.error, self.n_reads_left = x, None, 0

    def __len__(self):
        return N

    def __getitem__(self, rows):
        self.n_reads_left -= 1
        if self.error is not None and self.n_reads_left < 0:
            raise self.error
        return self.x[rows], Y[rows], WEIGHTS[rows]


def table(*arguments, block_rows=7, **named):
    return d.SequenceSource(Table(*arguments, **named), block_rows=block_rows)


def trainer(**changes):
    network = fastmlp.Network((5, 6, 3), output="softmax", dtype="float32", random_state=0)
    settings = {"learning_rate": 1e-3, "batch_size": 8, "l2": 1e-3, "dropout": 0.3}
    return fastmlp.Trainer(network, **settings | changes, random_state=1)


def trained(*data, n_epochs=2, changes=None, **arguments):
    """Weights and costs after a fit."""
    t = trainer(**changes or {})
    history = t.fit(*data, n_epochs=n_epochs, **arguments)
    return t.network.parameters.copy(), history["costs"]


def same(result, expected):
    return all(np.array_equal(a, b) for a, b in zip(result, expected, strict=True))


SETTINGS = {
    "sgd": {},
    "adam": {"optimizer": "adam", "reduction": "mean", "penalty_scale": "per_weight"},
    "in order": {"shuffle": False, "momentum": 0.5},
    "steps": {"steps_per_epoch": 5, "max_grad_norm": 1.0},
    "numpy": {"engine": "numpy"},
}


@pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("window_rows", [None, 8, 30])
def test_an_array_as_a_source_has_the_bits_of_the_array(changes, window_rows):
    expected = trained(X.astype(np.float32), Y, sample_weight=WEIGHTS, changes=changes)
    source = d.ArraySource(X.astype(np.uint8), Y.astype(bool), WEIGHTS)
    assert same(trained(source, window_rows=window_rows, changes=changes), expected)


def test_sparse_rows_have_the_bits_of_the_matrix():
    expected = trained(csr_matrix(X.astype(np.float32)), Y)
    assert same(trained(d.ArraySource(csr_matrix(X), Y), window_rows=24), expected)


def test_one_window_of_any_source_has_the_bits_of_the_array():
    expected = trained(X.astype(np.float32), Y, sample_weight=WEIGHTS)
    assert same(trained(table()), expected)
    assert same(trained(table(), window_rows=N), expected)


def in_order_of_windows(source, window_rows, seed):
    order = WindowOrder(source.blocks, window_rows, seed)
    rows = []
    for window in range(order.n_windows):
        spans = order.spans(window, order.read_order())
        read = np.concatenate([np.arange(*span) for span in spans])
        rows.append(read[order.order_within(window)])
    return np.concatenate(rows)


def test_windows_of_blocks_have_the_bits_of_an_array_in_their_order():
    """Dropout's masks, Adam's step numbers and the history are those of the whole epoch."""
    adam = {"optimizer": "adam"}
    result = trained(table(), window_rows=24, n_epochs=1, changes=adam)
    seed = int(trainer().rng.integers(2**64, dtype=np.uint64))
    rows = in_order_of_windows(table(), 24, seed)
    assert sorted(rows) == list(range(N))
    t = trainer(**adam)
    t._new_seed()  # of the order
    t.shuffle = False
    x = X.astype(np.float32)[rows]
    history = t.fit(x, Y[rows], sample_weight=WEIGHTS[rows])
    assert same(result, (t.network.parameters, history["costs"]))


def test_a_penalty_that_is_shared_by_rows_counts_all_rows_of_the_source():
    changes = {"penalty_scale": "per_sample", "l1": 1e-3}
    expected = trained(X.astype(np.float32), Y, changes=changes)
    found = trained(d.ArraySource(X, Y), window_rows=8, changes=changes)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)


def test_threads_do_not_change_a_bit():
    results = [trained(table(), window_rows=24, changes={"n_threads": n}) for n in (1, 2)]
    assert same(*results)


def test_epochs_differ_in_their_order_and_runs_do_not():
    a, b = (trained(table(), window_rows=24, changes={"learning_rate": 0.0}) for _ in range(2))
    assert same(a, b) and not np.array_equal(a[1][0], a[1][1])


@pytest.mark.parametrize("scale", ["per_batch", "per_weight"])
def test_validation_and_training_rows_are_measured_as_arrays_are(scale):
    def history(*data, **arguments):
        t = trainer(penalty_scale=scale, reduction="mean")
        return t.fit(*data, n_epochs=2, measure_train=True, **arguments)

    expected = history(X.astype(np.float32), Y, validation_data=(X[:50], Y[:50]))
    half = d.ArraySource(X[:50], Y[:50])
    found = history(d.ArraySource(X, Y), validation_data=half, window_rows=24)
    for name in expected:
        if name != "epoch_seconds":
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_a_source_is_evaluated_with_its_weights():
    t = trainer(reduction="mean")
    k = WEIGHTS > 0.5
    found = t.evaluate(d.ArraySource(X, Y, k.astype(float)))
    expected = t.evaluate(X[k], Y[k])
    assert found.loss == pytest.approx(expected.loss) and found.accuracy == expected.accuracy


def test_the_rows_have_no_order_where_there_are_several_windows():
    t = trainer()
    t.fit(table(), window_rows=24)
    assert t.order is None
    t.fit(table())
    assert sorted(t.order) == list(range(N))


# --- Resume


@pytest.fixture
def every_batch(monkeypatch):
    monkeypatch.setattr(Keeper, "batches_to_go", lambda self, epoch: 1)


@pytest.mark.parametrize("source", [table(), d.ArraySource(X, Y, WEIGHTS)], ids=["blocks", "rows"])
def test_a_run_resumes_in_the_middle_of_a_window(tmp_path, every_batch, source):
    whole = trained(source, window_rows=24)
    call = Checkpoint(tmp_path, every="0.000001s", keep=99)
    assert same(trained(source, window_rows=24, callbacks=[call]), whole)
    numbers = checkpoint_numbers(tmp_path)
    assert len(numbers) >= 26  # batches
    for number in numbers[::5]:
        path = checkpoint_path(tmp_path, number)
        assert same(trained(source, window_rows=24, resume=path), whole)


def test_a_run_resumes_after_the_last_batch_of_an_epoch(tmp_path, every_batch):
    changes = {"batch_size": 10}
    whole = trained(table(), window_rows=50, changes=changes)
    call = Checkpoint(tmp_path, every="0.000001s", keep=99)
    trained(table(), window_rows=50, changes=changes, callbacks=[call])
    for number in checkpoint_numbers(tmp_path)[8:12]:
        path = checkpoint_path(tmp_path, number)
        assert same(trained(table(), window_rows=50, changes=changes, resume=path), whole)


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("gone"), KeyboardInterrupt()],
                         ids=["disk", "any", "Ctrl-C"])  # fmt: skip
def test_rows_that_cannot_be_read_cost_no_batch(tmp_path, error):
    whole = trained(table(), window_rows=24)
    t = trainer()
    failing = table()
    assert failing.fingerprint  # reads some rows
    failing._rows.error, failing._rows.n_reads_left = error, 14  # of a window 4 or 5
    with pytest.raises(DataFormatError if isinstance(error, KeyError) else type(error)):
        t.fit(failing, n_epochs=2, window_rows=24, callbacks=[Checkpoint(tmp_path, "1h")])
    assert t.n_steps > 0 and checkpoint_numbers(tmp_path) == [1]
    failing._rows.error = None
    assert same(trained(failing, window_rows=24, resume=tmp_path), whole)


def test_another_source_or_window_is_another_run(tmp_path):
    trained(table(), window_rows=24, callbacks=[Checkpoint(tmp_path, "1h")])
    for source, rows, message in [
        (table(), 32, "window_rows was 24, is now 32"),
        (table(x=X + 1), 24, r"X was SequenceSource \(100, 5, 3\) with SHA-256 .*, is now"),
        (table(block_rows=8), 24, "X was SequenceSource"),
    ]:
        with pytest.raises(ResumeError, match=message):
            trained(source, window_rows=rows, n_epochs=3, resume=tmp_path)


# --- Errors


def test_damaged_rows_keep_what_was_trained():
    x = X.astype(float)
    x[90, 3] = np.nan
    t = trainer(shuffle=False)
    with pytest.raises(DataFormatError, match=r"X, row 90, column 3: .* found NaN"):
        t.fit(d.SequenceSource(Table(x=x), block_rows=7), window_rows=24)
    expected = trainer(shuffle=False, steps_per_epoch=9)
    expected.fit(table(), window_rows=24)
    np.testing.assert_array_equal(t.network.parameters, expected.network.parameters)
    assert not any(each.name.startswith("fastmlp-reader") for each in threading.enumerate())


def test_divergence_has_the_batch_of_the_epoch_and_the_cause():
    def loss(y, a):
        return np.where(y[:, 0] > 1, np.nan, ((y - a) ** 2).sum(axis=1)), 2 * (a - y)

    y = np.ones((N, 3))
    y[60] = 2
    settings = {"loss": loss, "learning_rate": 1e-9, "batch_size": 8, "shuffle": False}
    messages = []
    for data in [(X, y), (d.ArraySource(X, y),)]:
        network = fastmlp.Network((5, 3), output="identity", random_state=0)
        t = fastmlp.Trainer(network, **settings)
        with pytest.raises(DivergenceError) as caught:
            t.fit(*data, **({"window_rows": 24} if len(data) == 1 else {}))
        assert caught.value.batch == 7 and caught.value.cause
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


ROWS = d.ArraySource(X, Y)


@pytest.mark.parametrize("data, arguments, message", [
    ((ROWS, Y), {}, "Y must be None, because X is a source, which has it"),
    ((ROWS,), {"sample_weight": WEIGHTS}, "sample_weight must be None, because X is a source"),
    ((X, Y), {"window_rows": 20}, "window_rows is for sources; for arrays, X must be"),
    ((ROWS,), {"window_rows": 0}, "window_rows must be at least 1; got 0"),
    ((d.ArraySource(X[:, 1:], Y),), {}, "X must have 5 features"),
    ((d.ArraySource(X, Y[:, 0]),), {}, r"X must have 3 target\(s\) .* fastmlp.data.one_hot"),
    ((ROWS,), {"validation_data": d.ArraySource(X[:, 1:], Y)}, "validation_data must have 5 feat"),
])  # fmt: skip
def test_wrong_arguments_are_named_before_any_work(data, arguments, message):
    t = trainer()
    before = t.network.parameters.copy()
    with pytest.raises(ValueError, match=message):
        t.fit(*data, **arguments)
    np.testing.assert_array_equal(t.network.parameters, before)
