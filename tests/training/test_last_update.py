"""No step follows the last update of a run: its outputs are checked instead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from fastmlp import DivergenceError, MLPRegressor, Network, Trainer, losses
from fastmlp.callbacks import EarlyStopping
from fastmlp.engine import _core
from fastmlp.engine.rows import SparseRows, first_rows
from fastmlp.training import loop

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.abs(X @ np.ones((3, 1), np.float32))


def random_run(seed):
    """A network, a Trainer with a huge learning rate, its data and its epochs."""
    rng = np.random.default_rng(seed)
    n, n_features, n_out = (int(rng.integers(*limits)) for limits in ((5, 300), (1, 9), (1, 4)))
    hidden = [int(width) for width in rng.integers(1, 30, rng.integers(0, 4))]
    dtype, widest = [("float32", 12), ("float64", 60)][rng.integers(2)]
    network = Network(
        (n_features, *hidden, n_out),
        activation=str(rng.choice(losses.ACTIVATIONS)),
        output=str(rng.choice(losses.OUTPUT_FUNCTIONS)),
        dtype=dtype,
        random_state=seed,
    )
    trainer = Trainer(
        network,
        learning_rate=float(10.0 ** rng.uniform(-2, widest)),
        optimizer=str(rng.choice(["sgd", "adam", "rmsprop"])),
        batch_size=int(rng.integers(1, n + 1)),
        random_state=seed,
        n_threads=1,
    )
    x = rng.normal(size=(n, n_features)) * 10.0 ** rng.uniform(-1, 3)
    return network, trainer, x, np.eye(n_out)[rng.integers(0, n_out, n)], int(rng.integers(1, 4))


@pytest.mark.parametrize("seed", [14, 42, 218, 229, 259, 323, 469, 593, 698, 717, 729, 768])
def test_a_run_whose_last_update_makes_infinite_outputs_has_diverged(seed):
    network, trainer, x, y, n_epochs = random_run(seed)
    with pytest.raises(DivergenceError, match="outputs of the rows of X are no longer finite"):
        trainer.fit(x, y, n_epochs=n_epochs)
    assert np.isfinite(network.parameters).all()
    assert not np.isfinite(network.predict(x)).all()
    assert not trainer.states.any() and trainer.epochs_done == trainer.n_steps == 0


def test_of_many_runs_with_huge_rates_those_that_return_have_finite_outputs():
    n_returned = 0
    for seed in range(80):
        network, trainer, x, y, n_epochs = random_run(seed)
        try:
            trainer.fit(x, y, n_epochs=n_epochs)
        except DivergenceError:
            continue
        n_returned += 1
        assert np.isfinite(network.predict(x)).all(), seed
    assert n_returned > 40


def overflowing(*, output="identity", **settings):
    """A Trainer whose first step of one batch leads to outputs beyond float32."""
    network = Network((3, 8, 1), activation="relu", output=output, random_state=0)
    rules = {"learning_rate": 1e22, "batch_size": 40, "random_state": 0} | settings
    return Trainer(network, **rules)


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("matrix", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_the_error_names_the_last_update_and_the_epoch_is_recorded(matrix, engine):
    trainer = overflowing(engine=engine)
    with pytest.raises(DivergenceError) as info:
        trainer.fit(matrix(X), Y)
    assert str(info.value) == (
        "training diverged in epoch 0, batch 0 (both counted from 0) at learning rate 1e+22: with "
        "the weights of the last update, outputs of the rows of X are no longer finite. Scale the "
        "input (to [0, 1], or to mean 0 and variance 1) or lower the learning rate. The last "
        "finite weights are kept."
    )
    assert len(trainer.history["learning_rates"]) == 1


def test_a_run_of_no_epochs_checks_nothing():
    trainer = overflowing()
    trainer.network.parameters[...] = 1e30
    assert len(trainer.fit(X, Y, n_epochs=0)["learning_rates"]) == 0


def test_the_best_weights_of_early_stopping_are_what_is_checked():
    calls = []

    def spoil(trainer):
        calls.append(trainer.epochs_done)
        if len(calls) == 3:
            trainer.network.parameters[...] *= 1e30
            trainer.metrics["grade"] = 2.0
        else:
            trainer.metrics["grade"] = 1.0

    trainer = overflowing(learning_rate=1e-3)
    trainer.fit(X, Y, n_epochs=3, callbacks=[spoil, EarlyStopping("grade", mode="min")])
    assert np.isfinite(trainer.network.predict(X)).all()
    calls.clear()
    with pytest.raises(DivergenceError, match=r"epoch 2, batch 0 .* the last update"):
        trainer.fit(X, Y, n_epochs=3, callbacks=[spoil])


def test_rows_beyond_the_first_few_hundred_are_not_looked_at():
    x = np.zeros((loop.CHECKED_ROWS + 1, 3), np.float32)
    x[-1] = 1e36
    y = np.zeros((len(x), 1), np.float32)
    network = Network((3, 8, 1), activation="relu", output="identity", random_state=0)
    network.parameters[...] = 1e3
    rules = {"learning_rate": 0.0, "batch_size": 10, "steps_per_epoch": 1, "shuffle": False}
    trainer = Trainer(network, **rules)
    trainer.fit(x, y)
    assert not np.isfinite(network.predict(x)).all()
    x[loop.CHECKED_ROWS - 1] = 1e36
    with pytest.raises(DivergenceError, match=r"epoch 0, batch 0 .* the last update"):
        trainer.fit(x, y)


def test_an_estimator_keeps_a_first_fit_and_takes_back_a_further_one():
    rules = {"solver": "sgd", "momentum": 0.0, "batch_size": 40, "random_state": 0, "alpha": 0.0}
    model = MLPRegressor(hidden_layer_sizes=8, learning_rate_init=1e30, max_iter=1, **rules)
    with pytest.raises(DivergenceError, match=r"^Solver produced non-finite.*the last update"):
        model.fit(X, Y.ravel())
    assert model.n_iter_ == 1 and np.isfinite(model.coefs_[0]).all()

    model = MLPRegressor(hidden_layer_sizes=8, learning_rate_init=1e-3, **rules).partial_fit(
        X, Y.ravel()
    )
    before = model.predict(X)
    model.set_params(learning_rate_init=1e30)
    with pytest.raises(DivergenceError, match="the last update"):
        model.partial_fit(X, Y.ravel())
    np.testing.assert_array_equal(model.predict(X), before)


# --- The bound that saves the check


class Asked(Exception):
    """The outputs would have been predicted."""


@pytest.fixture
def unpredictable(monkeypatch):
    """Let an objective raise instead of predicting."""

    def predict(*arguments):
        raise Asked

    return lambda objective: monkeypatch.setattr(objective, "predict", predict)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", losses.OUTPUT_FUNCTIONS)
@pytest.mark.parametrize("activation", losses.ACTIVATIONS)
def test_outputs_are_finite_wherever_they_are_not_predicted(
    activation, output, dtype, unpredictable
):
    rng = np.random.default_rng(1)
    network = Network((3, 5, 4, 2), activation=activation, output=output, dtype=dtype)
    loss = losses.Quantile((0.2, 0.8)) if output == "increasing" else None
    objective = Trainer(network, loss=loss, n_threads=1).objective
    unpredictable(objective)
    answers = []
    largest = np.log10(np.finfo(dtype).max)
    for i in range(200):
        limits = (largest - 1, largest / 2) if i % 2 else (2, 2)  # of weights and inputs
        size, input_size = (10 ** rng.uniform(-3, limit) for limit in limits)
        network.parameters[...] = rng.uniform(-1, 1, network.n_parameters) * size
        x = (rng.normal(size=(9, 3)) * input_size).astype(dtype)
        try:
            assert not objective.overflows(x)
        except Asked:
            answers.append(True)
        else:
            answers.append(False)
            for rows in (x, x[:1]):  # chunk by chunk, and row by row
                assert np.isfinite(network.predict(rows)).all()
    assert 10 < sum(answers) < 190


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_outputs_are_finite_if_and_only_if_the_check_says_so(activation, dtype):
    rng = np.random.default_rng(3)
    network = Network((2, 1), activation=activation, output="identity", dtype=dtype)
    objective = Trainer(network, n_threads=1).objective
    largest = float(np.finfo(dtype).max)
    answers = []
    for size in rng.uniform(-1.5, 1.5, 50):
        network.parameters[...] = [0, np.sqrt(largest), np.sqrt(largest) / 2]
        x = np.full((9, 2), np.sqrt(largest) * 10.0**size, dtype)
        answers.append(objective.overflows(x))
        assert answers[-1] == (1.5 * 10.0**size > 1)
    assert 10 < sum(answers) < 40


def test_an_ordinary_run_predicts_nothing_after_its_last_update(unpredictable):
    network = Network((3, 8, 1), random_state=0)
    trainer = Trainer(network, learning_rate=0.01, n_threads=1)
    unpredictable(trainer.objective)
    trainer.fit(X, (Y > 1).astype(np.float32))
    network.parameters[...] *= 1e36
    with pytest.raises(Asked):
        trainer.fit(X, (Y > 1).astype(np.float32))


def test_deep_networks_are_judged_by_the_norms_of_their_layers(unpredictable):
    sizes = (3,) + 9 * (64,) + (1,)
    network = Network(sizes, activation="relu", output="identity", random_state=0)
    objective = Trainer(network, n_threads=1).objective
    unpredictable(objective)
    network.parameters[...] *= 400
    assert objective._bound(10.0, [_core.norm(network.parameters)] * 10) > 1e38
    assert not objective.overflows(X)
    network.parameters[...] *= 10
    with pytest.raises(Asked):
        objective.overflows(X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (300,), (5, 3)])
def test_the_norm_is_that_of_numpy(shape, dtype):
    x = np.random.default_rng(2).normal(size=shape).astype(dtype)
    assert _core.norm(x) == pytest.approx(np.linalg.norm(x.astype(float)), rel=1e-6)


def test_the_norm_of_large_numbers_of_float32_does_not_overflow():
    x = np.full(4, 1e30, np.float32)
    assert _core.norm(x) == pytest.approx(2e30, rel=1e-6)
    assert _core.norm(np.full(4, 1e300)) == np.inf


def test_the_first_rows_of_a_sparse_matrix_are_those_of_the_dense_one():
    dense = np.where(X > 0.3, X, 0)
    rows = SparseRows.from_matrix(sparse.csr_array(dense), np.dtype(np.float32))
    for n in (0, 1, 7, 40, 100):
        head = first_rows(rows, n)
        assert len(head) == min(n, 40) and head.n_columns == 3
        np.testing.assert_array_equal(head[:], dense[:n])
        np.testing.assert_array_equal(first_rows(dense, n), dense[:n])
