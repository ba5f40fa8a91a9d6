"""Blocks of epochs in one call: everything is as if each epoch had been a call."""

from __future__ import annotations

import copy
import itertools
import signal
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmlp import DivergenceError, EarlyStopping, MLPClassifier, MLPRegressor
from fastmlp.estimators import blocks, solvers

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
Y = X[:, 0] ** 2 + 0.1 * rng.normal(size=60)
LABELS = np.digitize(Y, [0.2, 1.0])
WEIGHTS = rng.random(60)
MEASURES = ("costs", "penalties", "errors", "accuracies", "batch_rows")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def by_epochs(monkeypatch, fit):
    """What `fit` returns if every epoch is a call."""
    with monkeypatch.context() as patch:
        patch.setattr(solvers, "can_run_in_blocks", lambda *_: False)
        return fit()


def facts(model):
    """Everything that a fit leaves, without times."""
    names = ("loss_curve_", "n_iter_", "t_", "best_loss_", "best_epoch_", "loss_")
    last = model._record.last.trainer
    return {
        **{name: getattr(model, name) for name in names},
        "history": {k: v for k, v in model.history_.items() if k != "seconds"},
        "columns": list(model.history_),
        "weights": [w.tobytes() for w in model.coefs_ + model.intercepts_],
        "trainer": (last.n_steps, last.epochs_done, last.order, last.states.tobytes()),
        "metrics": {k: v for k, v in last.metrics.items() if k != "seconds"},
        "last epoch": [getattr(last.last_epoch, name).tobytes() for name in MEASURES],
        "generator": last.rng.bit_generator.state,
        "plateau": vars(model._record.plateau),
    }


CASES = list(
    itertools.product(
        (MLPRegressor, MLPClassifier),
        ({"solver": "adam"}, {"solver": "sgd"}, {"solver": "rmsprop", "alpha": 0.0}),
        ({"max_iter": 1}, {"max_iter": 37}, {"max_iter": 100, "learning_rate_init": 0.03}),
        ({"n_iter_no_change": 1}, {"tol": 0.01}, {"n_iter_no_change": np.inf, "dtype": "float32"}),
    )
)


@pytest.mark.parametrize("cls, solver, length, end", CASES, ids=range(len(CASES)))
def test_a_fit_is_the_same_as_epoch_by_epoch(cls, solver, length, end, monkeypatch):
    weight = WEIGHTS if "tol" in end else None

    def fit():
        model = cls(hidden_layer_sizes=(6,), random_state=0, **solver, **length, **end)
        return model.fit(X, LABELS if cls is MLPClassifier else Y, sample_weight=weight)

    assert facts(fit()) == facts(by_epochs(monkeypatch, fit))


def test_warm_starts_and_partial_fit_continue_in_the_same_way(monkeypatch):
    def fit():
        model = MLPRegressor(hidden_layer_sizes=(6,), random_state=0, max_iter=20, warm_start=True)
        return model.fit(X, Y).fit(X, Y).partial_fit(X, Y)

    assert facts(fit()) == facts(by_epochs(monkeypatch, fit))


def test_a_block_is_one_call(monkeypatch):
    calls = []
    train = blocks.train_batches

    def counted(training, window, block, last_batch):
        calls.append(last_batch)
        return train(training, window, block, last_batch)

    monkeypatch.setattr(blocks, "train_batches", counted)
    model = MLPRegressor(hidden_layer_sizes=(6,), random_state=0, max_iter=100).fit(X, Y)
    assert sum(calls) == model.n_iter_ == 100
    assert max(calls) == 11 and len(calls) < 20


def test_no_call_gets_more_indices_than_are_allowed(monkeypatch):
    monkeypatch.setattr(blocks, "MOST_ROWS", 130)
    model = MLPRegressor(hidden_layer_sizes=(6,), random_state=0, max_iter=7).fit(X, Y)
    assert facts(model) == facts(
        by_epochs(monkeypatch, lambda: MLPRegressor(**model.get_params()).fit(X, Y))
    )


EPOCH_BY_EPOCH = [
    {"batch_size": 20}, {"early_stopping": True}, {"learning_rate": "cosine"}, {"warmup": 2},
    {"dropout": 0.1}, {"verbose": True}, {"solver": "sgd", "learning_rate": "adaptive"},
    {"solver": "sgd", "learning_rate": "invscaling"},
]  # fmt: skip


@pytest.mark.parametrize("parameters", EPOCH_BY_EPOCH, ids=str)
def test_epochs_between_which_something_happens_are_single(parameters, monkeypatch, capsys):
    monkeypatch.setattr(blocks, "train_batches", lambda *_: pytest.fail("a block"))
    MLPRegressor(hidden_layer_sizes=(6,), max_iter=3, **parameters).fit(X, Y)


def test_callbacks_and_validation_rows_see_every_epoch(monkeypatch):
    monkeypatch.setattr(blocks, "train_batches", lambda *_: pytest.fail("a block"))
    model = MLPRegressor(hidden_layer_sizes=(6,), max_iter=3)
    assert len(model.fit(X, Y, X_val=X, y_val=Y).history_["val_loss"]) == 3
    copy.copy(model).set_callbacks(EarlyStopping("loss")).fit(X, Y)


def test_a_divergence_within_a_block_names_its_epoch(monkeypatch):
    def fit():
        model = MLPRegressor(
            hidden_layer_sizes=(6,), activation="identity", solver="sgd", random_state=0,
            learning_rate_init=3.0, max_iter=200, n_iter_no_change=np.inf,
        )  # fmt: skip
        with pytest.raises(DivergenceError) as error:
            model.fit(X, Y)
        return model, error.value

    (model, error), (expected, expected_error) = fit(), by_epochs(monkeypatch, fit)
    assert (error.epoch, error.batch) == (expected_error.epoch, 0) and error.epoch > 1
    assert str(error) == str(expected_error)
    assert model.loss_curve_ == expected.loss_curve_ and len(model.loss_curve_) == error.epoch
    assert [w.tobytes() for w in model.coefs_] == [w.tobytes() for w in expected.coefs_]


def test_ctrl_c_within_a_block_keeps_the_finished_epochs(monkeypatch):
    train = blocks.train_batches

    def interrupted(training, window, block, last_batch):
        train(training, window, block, last_batch // 2)
        signal.raise_signal(signal.SIGINT)

    model = MLPRegressor(hidden_layer_sizes=(6,), random_state=0, max_iter=20)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(blocks, "train_batches", interrupted)
        model.fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = MLPRegressor(**model.get_params() | {"max_iter": 5}).fit(X, Y)
    assert facts(model)["weights"] == facts(expected)["weights"]
    assert facts(model)["loss_curve_"] == facts(expected)["loss_curve_"]
