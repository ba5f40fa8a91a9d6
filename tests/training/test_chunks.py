"""Rows in chunks: runs that continue in memory, schedules by epochs, validation in partial_fit."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import Checkpoint, MLPClassifier, MLPRegressor, Network, Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = np.eye(3)[RNG.integers(3, size=60)]
LABELS = Y.argmax(axis=1)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def trainer(**settings):
    network = Network((5, 8, 3), output="softmax", random_state=1, dtype="float64")
    adam = {"optimizer": "adam", "reduction": "mean", "batch_size": 10, "learning_rate": 0.01}
    return Trainer(network, **adam | settings, random_state=2)


# --- Trainer.fit(reset=False)


@pytest.mark.parametrize("schedule", ["constant", "exponential"])
def test_two_calls_without_reset_are_one_run(schedule):
    one, two = (trainer(schedule=schedule, decay=0.1) for _ in range(2))
    one.fit(X, Y, n_epochs=5)
    two.fit(X, Y, n_epochs=2)
    history = two.fit(X, Y, n_epochs=3, reset=False)
    np.testing.assert_array_equal(two.network.parameters, one.network.parameters)
    np.testing.assert_array_equal(two.states, one.states)
    np.testing.assert_array_equal(history["learning_rates"], one.history["learning_rates"][2:])
    assert (two.n_steps, two.epochs_done) == (30, 5)


def test_chunks_in_the_order_of_the_rows_are_an_epoch():
    one, two = (trainer(shuffle=False, schedule="power", decay=1.0) for _ in range(2))
    one.fit(X, Y, n_epochs=3)
    for epoch in range(3):
        for chunk in range(3):
            rows = slice(20 * chunk, 20 * chunk + 20)
            first, last = epoch == chunk == 0, chunk == 2
            two.fit(X[rows], Y[rows], reset=first, end_of_epoch=last)
    np.testing.assert_array_equal(two.network.parameters, one.network.parameters)
    assert (
        two.epochs_done == 3 and two.history["learning_rates"] == one.history["learning_rates"][2]
    )


def test_a_schedule_is_planned_for_the_horizon():
    one, two = (trainer(schedule="cosine") for _ in range(2))
    rates = one.fit(X, Y, n_epochs=4)["learning_rates"]
    found = [two.fit(X, Y, reset=epoch == 0, horizon=4)["learning_rates"][0] for epoch in range(4)]
    np.testing.assert_array_equal(found, rates)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reset": "no"}, "reset must be True or False"),
        ({"end_of_epoch": 1}, "end_of_epoch must be True or False"),
        ({"end_of_epoch": False, "n_epochs": 2}, "needs n_epochs=1; got n_epochs=2"),
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"reset": False, "resume": "folder"}, "use it without resume and Checkpoint"),
        ({"reset": False, "callbacks": [Checkpoint("x")]}, "use it without resume and Checkpoint"),
    ],
    ids=["reset", "end_of_epoch", "n_epochs", "horizon", "resume", "Checkpoint"],
)
def test_what_cannot_continue_is_refused_before_training(arguments, message):
    run = trainer()
    before = run.network.parameters.copy()
    with pytest.raises((TypeError, ValueError), match=message):
        run.fit(X, Y, **arguments)
    np.testing.assert_array_equal(run.network.parameters, before)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_planned_schedule_that_continues_needs_its_horizon(schedule):
    run = trainer(schedule=schedule)
    run.fit(X, Y, horizon=4)
    before = run.network.parameters.copy()
    with pytest.raises(ValueError, match=rf"reset=False with schedule='{schedule}' needs horizon"):
        run.fit(X, Y, reset=False)
    np.testing.assert_array_equal(run.network.parameters, before)
    assert run.fit(X, Y, reset=False, horizon=4)["learning_rates"][0] > 0


# --- partial_fit


def test_partial_fit_measures_validation_data_after_every_call():
    model = MLPClassifier((8,), random_state=0)
    model.partial_fit(X[:40], LABELS[:40], classes=[0, 1, 2])
    for _ in range(3):
        model.partial_fit(X[:40], LABELS[:40], X_val=X[40:], y_val=LABELS[40:])
    model.partial_fit(X[:40], LABELS[:40])
    scores = model.history_["val_score"]
    np.testing.assert_array_equal(np.isnan(scores), [True, False, False, False, True])
    assert len(model.loss_curve_) == 5 and model.validation_scores_ == scores[1:4]
    last = MLPClassifier((8,), random_state=0)
    for _ in range(4):
        last.partial_fit(X[:40], LABELS[:40], classes=[0, 1, 2])
    assert scores[3] == last.score(X[40:], LABELS[40:])
    assert model.best_loss_ == min(model.loss_curve_)


def test_validation_data_of_partial_fit_is_checked_as_in_fit():
    model = MLPRegressor(hidden_layer_sizes=(8,), random_state=0).partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match="y_val is missing"):
        model.partial_fit(X, X[:, 0], X_val=X)
    with pytest.raises(ValueError, match="X_val: X has 4 features"):
        model.partial_fit(X, X[:, 0], X_val=X[:, :4], y_val=X[:, 0])
    assert len(model.loss_curve_) == 1


@pytest.mark.parametrize("rate", ["cosine", "exponential"])
def test_chunks_of_partial_fit_share_the_rate_of_their_epoch(rate):
    parameters = {"learning_rate": rate, "learning_rate_init": 0.01, "max_iter": 4}
    whole = MLPRegressor(
        hidden_layer_sizes=(8,), **parameters, n_iter_no_change=np.inf, random_state=0
    )
    whole.fit(X, X[:, 0])
    chunked = MLPRegressor(hidden_layer_sizes=(8,), **parameters, random_state=0)
    for _ in range(4):
        for chunk in range(3):
            rows = slice(20 * chunk, 20 * chunk + 20)
            chunked.partial_fit(X[rows], X[rows, 0], end_of_epoch=chunk == 2)
    rates = chunked.history_["learning_rate"]
    np.testing.assert_allclose(rates, np.repeat(whole.history_["learning_rate"], 3))
    with pytest.raises(TypeError, match="end_of_epoch must be True or False"):
        chunked.partial_fit(X, X[:, 0], end_of_epoch="no")
