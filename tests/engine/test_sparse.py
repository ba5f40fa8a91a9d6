"""The first layer over the values of sparse rows: against dense rows, the twin and itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from cases import RUNNABLE_LEVELS, TOLERANCE

from fastmlp import DivergenceError, MLPRegressor, Network, Trainer
from fastmlp.engine import _core, plan
from fastmlp.engine.rows import SparseRows
from fastmlp.losses import CustomLoss, check_loss
from fastmlp.optimizers import SGD, Adam, AdamW, RMSprop
from fastmlp.reference.engine import ReferenceEngine

RULES = {
    "plain": dict(),
    "plain, l2": dict(l2=0.1),
    "plain, l1": dict(l1=0.01),
    "plain, clipped": dict(max_grad_norm=0.5, l2=0.1),
    "one step": dict(optimizer=SGD(momentum=0.9)),
    "classical": dict(optimizer=SGD(momentum=0.9, rule="classical")),
    "nesterov": dict(optimizer=SGD(momentum=0.9, rule="nesterov"), l2=0.1),
    "adam": dict(optimizer=Adam(), penalty_scale="per_sample", l2=0.1),
    "adam, clipped": dict(optimizer=Adam(), max_grad_norm=0.1),
    "adamw": dict(optimizer=AdamW()),
    "rmsprop": dict(optimizer=RMSprop(momentum=0.5, epsilon=1e-3)),
}
SIZES = [(100, 9, 3), (700, 33, 20, 4), (1100, 300, 140, 3), (500, 10)]
"""Narrow layers, with padding, wide layers, no hidden layer."""


def sparse_data(n_rows, sizes, *, density=0.03, seed=0, used=1.0):
    """Rows with values in the first columns only, the share `used` of them, and targets."""
    rng = np.random.default_rng(seed)
    n_used = int(used * sizes[0])
    x = scipy.sparse.random_array((n_rows, n_used), density=density, format="csr", random_state=rng)
    x.resize((n_rows, sizes[0]))
    return x, np.eye(sizes[-1])[rng.integers(0, sizes[-1], n_rows)]


def fit(x, y, sizes, *, dtype="float64", n_epochs=3, **options):
    """Parameters, optimizer states, history and predictions of a run."""
    network = Network(sizes, activation="tanh", output="softmax", dtype=dtype, random_state=0)
    options = dict(learning_rate=0.01, batch_size=60, n_threads=2, reduction="mean") | options
    trainer = Trainer(network, loss="cross_entropy", random_state=1, **options)
    history = trainer.fit(x, y, n_epochs=n_epochs, validation_data=(x, y))
    return network.parameters, trainer.states, history, network.predict(x)


def by_values(sizes, x, dtype="float64"):
    network = plan.plan_network(sizes, np.dtype(dtype).itemsize)
    return plan.multiplies_values(network, x.shape[0], x.nnz)


# --- The same numbers as from dense rows ----------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sparse_rows_train_like_dense_ones_by_every_rule(sizes, rule):
    x, y = sparse_data(331, sizes)
    assert by_values(sizes, x)
    found, states, history, outputs = fit(x, y, sizes, **RULES[rule])
    for data, engine in ((x.toarray(), "native"), (x.toarray(), "numpy")):
        expected, twin_states, records, predicted = fit(
            data, y, sizes, engine=engine, **RULES[rule]
        )
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
        if (
            "optimizer" in RULES[rule]
        ):  # the twin has a state, which it ignores, without momentum too
            np.testing.assert_allclose(states, twin_states, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(outputs, predicted, rtol=1e-8)
        for name in ("costs", "val_cost", "batch_accuracy", "errors"):
            np.testing.assert_allclose(history[name], records[name], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "softplus"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_weights_of_samples_dropout_and_custom_losses_work_on_sparse_rows(
    activation, dtype
):
    sizes = (400, 37, 12, 3)
    x, y = sparse_data(200, sizes)
    squares = CustomLoss(lambda y, a: (((a - y) ** 2).sum(axis=1), 2 * (a - y)))
    weights = np.random.default_rng(1).uniform(0.5, 2, 200)
    for loss in ("squared_error", squares):
        results = []
        for data, engine in ((x, "native"), (x.toarray(), "native"), (x, "numpy")):
            network = Network(sizes, activation=activation, dtype=dtype, random_state=0)
            trainer = Trainer(
                network, loss=loss, dropout=(0.3, 0.1), batch_size=64, engine=engine, n_threads=2,
                learning_rate=0.05, random_state=2,
            )  # fmt: skip
            trainer.fit(data.astype(dtype), y, n_epochs=2, sample_weight=weights)
            results.append(network.parameters)
        for expected in results[1:]:
            assert np.abs(results[0] - expected).max() <= TOLERANCE[dtype]


@pytest.mark.parametrize("sizes", [(6000, 20, 140, 3), (6000, 150, 5)], ids=str)
def test_the_gradient_of_more_rows_than_are_kept_at_once_is_the_whole_one(sizes):
    x, y = sparse_data(2 * plan.GRADIENT_ROWS + 77, sizes, density=0.001)
    x, y = x.astype(np.float32), y.astype(np.float32)
    network = Network(sizes, activation="tanh", output="softmax", random_state=0)
    arguments = sizes, network.functions, check_loss("cross_entropy"), np.dtype(np.float32)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(y)).astype(np.float32)
    rows = SparseRows.from_matrix(x, np.dtype(np.float32))
    results = []
    for engine, data in (
        *((_core.Engine(*arguments, n_threads), rows) for n_threads in (1, 2, 3)),
        (ReferenceEngine(*arguments), x.toarray()),
    ):
        out = np.empty_like(network.parameters)
        with np.errstate(all="raise"):
            totals = engine.gradient(network.parameters, data, y, weights, out)
        results.append((totals, out))
    for totals, out in results[1:3]:
        assert totals == results[0][0]
        np.testing.assert_array_equal(out, results[0][1])
    np.testing.assert_allclose(results[0][0], results[3][0], rtol=1e-4)
    scale = np.abs(results[3][1]).max()
    np.testing.assert_allclose(results[0][1], results[3][1], rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_lbfgs_finds_the_same_minimum():
    x, y = sparse_data(150, (300, 3))
    found, expected = (
        MLPRegressor(
            hidden_layer_sizes=(8,), solver="lbfgs", max_iter=5, random_state=0, alpha=0.01
        ).fit(data, y)
        for data in (x, x.toarray())
    )
    assert found.loss_ == pytest.approx(expected.loss_, rel=1e-8)
    for a, b in zip(found.coefs_, expected.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_predictions_and_evaluations_are_those_of_dense_rows(sizes, dtype):
    """Of few values, with the weights of their columns alone, and of many, with all."""
    x, y = sparse_data(400, sizes)
    network = Network(sizes, activation="relu", output="identity", dtype=dtype, random_state=0)
    x = x.astype(dtype)
    shape = plan.plan_network(sizes, x.dtype.itemsize)
    close = dict(rtol=1e-4 if dtype == "float32" else 1e-11, atol=1e-6)
    for n_rows in (1, 2, 50, 400):  # of 50 rows most columns occur
        rows = x[:n_rows]
        looks = plan.compacts_columns(shape, rows.nnz)
        assert looks == (n_rows < 400) and plan.multiplies_values(shape, n_rows, rows.nnz)
        np.testing.assert_allclose(network.predict(rows), network.predict(rows.toarray()), **close)
    trainer = Trainer(network, loss="squared_error", n_threads=2)
    found, expected = (trainer.evaluate(data, y[:400]) for data in (x, x.toarray()))
    assert found.cost == pytest.approx(expected.cost, rel=1e-5)


# --- The same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sizes", [(700, 33, 20, 4), (1100, 300, 140, 3)], ids=str)
def test_every_number_of_threads_gives_the_same_bits(sizes, rule):
    x, y = sparse_data(331, sizes)
    results = [
        fit(x, y, sizes, dtype="float32", n_threads=n_threads, **RULES[rule])
        for n_threads in (1, 2, 3, 8, 2, 2)
    ]
    for parameters, states, history, outputs in results[1:]:
        np.testing.assert_array_equal(parameters, results[0][0])
        np.testing.assert_array_equal(states, results[0][1])
        np.testing.assert_array_equal(outputs, results[0][3])
        np.testing.assert_array_equal(history["costs"], results[0][2]["costs"])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("level", RUNNABLE_LEVELS)
def test_columns_without_values_end_as_if_zeros_stood_in_them(rule, level):
    sizes, before = (500, 20, 3), _core.selected_level()
    x, y = sparse_data(200, sizes, used=0.5)
    dense_places = np.random.default_rng(3).random(x.shape) < 0.05
    zeros = scipy.sparse.csr_array(dense_places, dtype=float)
    zeros.data[...] = 0
    # As coordinates, because a sum of matrices drops what is zero.
    parts = [x.tocoo(), zeros.tocoo()]
    written = scipy.sparse.csr_array(
        scipy.sparse.coo_array(
            (
                np.concatenate([part.data for part in parts]),
                [np.concatenate([part.coords[axis] for part in parts]) for axis in (0, 1)],
            ),
            shape=x.shape,
        )
    )
    assert written.nnz > 2 * x.nnz and by_values(sizes, written)
    _core.select_level(level)
    try:
        found, expected = (fit(data, y, sizes, **RULES[rule]) for data in (x, written))
    finally:
        _core.select_level(before)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    network = Network(sizes, activation="tanh", output="softmax", dtype="float64", random_state=0)
    first = network.weights[0].copy()
    network.parameters[...] = found[0]
    unused = network.weights[0][:, 1 + 250 :] == first[:, 1 + 250 :]
    moves = rule not in ("plain", "one step", "classical", "adam, clipped", "rmsprop")
    assert unused.all() != moves


@pytest.mark.parametrize("rule", ["plain", "adam", "adam, clipped"])
def test_an_epoch_in_parts_has_the_bits_of_the_whole(rule):
    """As after a checkpoint: each call begins with the public weights."""
    sizes = (800, 24, 3)
    x, y = sparse_data(300, sizes)
    rows, y = SparseRows.from_matrix(x, np.dtype(np.float32)), y.astype(np.float32)
    rates = RULES[rule]
    results = []
    for parts in ([(0, 10)], [(0, 1), (1, 2), (2, 7), (7, 10)]):
        network = Network(sizes, output="softmax", random_state=0)
        engine = _core.Engine(
            sizes, network.functions, check_loss("cross_entropy"), network.dtype, 2
        )
        optimizer = rates.get("optimizer", SGD())
        states = np.zeros((optimizer.n_states, network.parameters.size), np.float32)
        costs = np.zeros(10)
        for first, last in parts:
            status, done, error = engine.train(
                network.parameters, states, rows, y, order=np.arange(300)[::-1].copy(),
                sample_weights=None, batch_size=30, first_batch=first, last_batch=last,
                optimizer=optimizer, learning_rate=0.05, n_steps=first,
                l1=0.0, l2=0.0, l1_cost=0.0, mean_reduction=False, penalty_scale="per_batch",
                costs=costs, penalties=np.zeros(10), errors=np.zeros(10),
                accuracies=np.zeros(10), max_grad_norm=rates.get("max_grad_norm", 0.0),
            )  # fmt: skip
            assert (status, done, error) == (_core.DONE, last - first, None)
        results.append((network.parameters.copy(), states.copy(), costs))
    for whole, in_parts in zip(*results, strict=True):
        np.testing.assert_array_equal(whole, in_parts)


@pytest.mark.parametrize("sizes", [(400, 20, 3), (3000, 100, 3)], ids=str)
def test_one_engine_trains_on_sparse_and_dense_rows_in_turn(sizes):
    """The weights lie transposed for the one and not for the other, both beside zeros; those of the
    larger network are updated in blocks by both."""
    x, y = sparse_data(130, sizes)

    def trainer_of(network):
        options = dict(optimizer="adam", batch_size=32, l2=0.1, shuffle=False)
        return Trainer(network, **options, n_threads=2)

    results = []
    for renews in (False, True):
        network = Network(sizes, output="softmax", dtype="float64", random_state=0)
        trainer, costs = trainer_of(network), []
        for data in (x, x.toarray(), x, x.toarray()):
            trainer = trainer_of(network) if renews else trainer
            costs.append(trainer.fit(data, y, n_epochs=2)["costs"])
            network.predict(data[:3])
            trainer.evaluate(x, y)
        results.append((network.parameters, np.concatenate(costs)))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_column_indices_of_64_bits_are_read_as_those_of_32():
    sizes = (300, 8, 3)
    x, y = sparse_data(100, sizes)
    wide = x.copy()
    wide.indices, wide.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    assert wide.indices.dtype == np.int64
    found, expected = (fit(data, y, sizes)[0] for data in (wide, x))
    np.testing.assert_array_equal(found, expected)


def test_values_of_the_same_place_add_up_in_training():
    sizes = (64, 5, 2)
    x = scipy.sparse.csr_array(
        ([1.0, 2.0, 4.0, 8.0], [7, 7, 0, 63], [0, 2, 2, 4, 4]), shape=(4, 64)
    )
    y = np.eye(2)[[0, 1, 1, 0]]
    assert by_values(sizes, x)
    found, expected = (fit(data, y, sizes, batch_size=3)[0] for data in (x, x.toarray()))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_matrix_without_any_value_trains_the_biases():
    sizes = (90, 7, 2)
    x, y = scipy.sparse.csr_array((20, 90)), np.eye(2)[[0, 1] * 10]
    found, expected = (fit(data, y, sizes)[0] for data in (x, x.toarray()))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


# --- Runs that end early --------------------------------------------------------------------------


@pytest.mark.parametrize("overflows", ["loss", "weight"])
@pytest.mark.parametrize("rule", ["plain", "plain, l2", "adamw", "plain, clipped"])
def test_a_step_that_diverges_is_not_made(rule, overflows):
    """The weights afterwards are those of the last finished batch, in every bit."""
    sizes = (600, 16, 2)
    x, y = sparse_data(200, sizes, used=0.9)
    options = dict(activation="identity", output="identity", dtype="float64")
    network = Network(sizes, **options, random_state=0)
    network.weights[0][:, 1 + 599] = 0
    x = x.tolil()
    x[150, 599] = 1e160  # times 0
    y[150] = 1e200 if overflows == "loss" else 1e150  # and the gradient is of the order of 1e310
    x = x.tocsr()
    start = network.parameters.copy()
    options = dict(batch_size=50, shuffle=False, learning_rate=1e-3, n_threads=2) | RULES[rule]
    with pytest.raises(DivergenceError):
        Trainer(network, **options).fit(x, y, n_epochs=1)
    ended = network.parameters.copy()
    assert np.isfinite(ended).all()
    network.parameters[...] = start
    Trainer(network, **options).fit(x[:150], y[:150], n_epochs=1)
    np.testing.assert_array_equal(network.parameters, ended)


@pytest.mark.parametrize("rule", ["plain", "adamw", "plain, clipped"])
def test_an_exception_in_the_middle_leaves_the_last_finished_batch(rule):
    sizes = (600, 16, 2)
    x, y = sparse_data(200, sizes)
    seen, limit = [], 120  # in the third batch of 50

    def squares(targets, outputs):
        seen.append(len(targets))
        if sum(seen) > limit:
            raise KeyboardInterrupt
        return ((outputs - targets) ** 2).sum(axis=1) / 2, outputs - targets

    options = dict(batch_size=50, shuffle=False, learning_rate=1e-2, n_threads=1) | RULES[rule]
    options["loss"] = CustomLoss(squares)
    network = Network(sizes, output="identity", dtype="float64", random_state=0)
    start = network.parameters.copy()
    with pytest.raises(KeyboardInterrupt):
        Trainer(network, **options).fit(x, y, n_epochs=1)
    ended, limit = network.parameters.copy(), 1000
    network.parameters[...] = start
    Trainer(network, **options).fit(x[:100], y[:100], n_epochs=1)
    np.testing.assert_array_equal(ended, network.parameters)


# --- What the plan decides ------------------------------------------------------------------------


def test_rows_with_many_values_are_written_out_dense():
    network = plan.plan_network((784, 64, 10), 4)
    assert plan.most_values_share(network) == 1 / plan.SPARSE_COST
    assert plan.multiplies_values(network, 100, 100 * 784 // plan.SPARSE_COST)
    assert not plan.multiplies_values(network, 100, 100 * 784 // plan.SPARSE_COST + 1)
    narrow = plan.plan_network((784, 4, 10), 4)
    assert plan.most_values_share(narrow) == plan.most_values_share(network) / 4
    assert not plan.multiplies_values(network, plan.MOST_SPARSE_ROWS + 1, 1)


def test_forced_blas_writes_sparse_rows_out(monkeypatch):
    sizes = (500, 30, 3)
    x, y = sparse_data(100, sizes)
    calls = []
    original = plan.plan_sparse_batch
    monkeypatch.setattr(plan, "plan_sparse_batch", lambda *a: calls.append(a) or original(*a))
    found = fit(x, y, sizes, products="blas")[0]
    assert not calls
    for products in ("auto", "own"):
        np.testing.assert_allclose(fit(x, y, sizes, products=products)[0], found, rtol=1e-9)
        assert calls
        calls.clear()


@pytest.mark.parametrize("sizes", [(50_000, 32, 2), (17, 16, 3), (3000, 5000, 2), (1, 16)])
def test_blocks_of_input_columns_cover_the_first_layer_once(sizes):
    network = plan.plan_network(sizes, 4)
    blocks = plan.weight_blocks(network, True, sparse=True)
    first = [block for block in blocks if block.layer == 0]
    assert [block.row for block in first] == [
        sum(block.n_rows for block in first[:i]) for i in range(len(first))
    ]
    assert sum(block.n_rows for block in first) == sizes[0]
    assert all((block.column, block.n_columns) == (0, sizes[1]) for block in first)
    largest = max(block.n_rows for block in first) * network.strides[1]
    assert largest <= plan.SPARSE_BLOCK_NUMBERS + 16 * network.strides[1]
    upper = [block for block in blocks if block.layer > 0]
    cells = sum(block.n_rows * block.n_columns for block in upper)
    assert cells == sum(a * b for a, b in pairwise(sizes[1:]))


def test_a_plan_of_sparse_rows_follows_from_shapes_and_threads_only_limit_the_workers():
    network = plan.plan_network((50_000, 32, 2), 4)
    plans = [plan.plan_sparse_batch(500, network, n, 50.0) for n in (1, 2, 9)]
    assert [p.n_workers for p in plans] == [1, 2, 8]
    assert len({(p.n_rows, p.blocks, p.n_lanes, p.lane_rows, p.chunk_rows) for p in plans}) == 1
    assert plans[0].chunk_rows <= network.value_chunk_rows
    tiny = plan.plan_sparse_batch(2, plan.plan_network((100, 16, 2), 4), 8, 3.0)
    assert (tiny.n_workers, tiny.chunk_rows) == (1, 2)


def test_a_matrix_of_more_columns_than_32_bits_count_is_refused():
    x = scipy.sparse.csr_array((1, 2**31))
    with pytest.raises(ValueError, match="at most 2147483647 columns; got 2147483648"):
        SparseRows.from_matrix(x, np.dtype(np.float32))
