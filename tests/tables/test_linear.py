"""The linear model beside the networks: it is scikit-learn's, and is named where it is as good."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score

from fastmlp import load, save
from fastmlp.engine.rows import Rows
from fastmlp.exceptions import LinearModelWarning
from fastmlp.losses import check_loss
from fastmlp.tables import TabularClassifier, TabularRegressor
from fastmlp.tables.linear import LinearModels

N = 600
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4)).astype(np.float32)
Z = X @ RNG.normal(size=(4, 3)) + RNG.normal(size=(N, 3))
STRAIGHT, BENT = Z[:, 0], np.abs(X[:, 0]) + np.sin(3 * X[:, 1])
QUICK = {"n_members": 5, "random_state": 0, "n_threads": 1, "network": {"max_epochs": 40}}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("output", "loss", "codes"),
    [("sigmoid", "log_loss", (Z[:, 0] > 0).astype(int)), ("softmax", "cross_entropy", Z.argmax(1))],
)
def test_probabilities_are_those_of_logistic_regression(output, loss, codes, weighted):
    weights = np.linspace(0.5, 1.5, N).astype(np.float32) if weighted else None
    hot = np.eye(codes.max() + 1, dtype=np.float32)[codes]
    y = np.ascontiguousarray(hot[:, 1:] if output == "sigmoid" else hot)
    network = LinearModels(output, check_loss(loss), "float32").fit(Rows(X, y, weights))
    theirs = LogisticRegression().fit(X, codes, weights).predict_proba(X)
    found = network.predict(X)
    np.testing.assert_allclose(found, theirs[:, -found.shape[1] :], atol=5e-3)


def test_numbers_are_those_of_ridge_regression():
    y = np.ascontiguousarray(Z[:, :1], np.float32)
    network = LinearModels("identity", check_loss("squared_error"), "float32").fit(Rows(X, y, None))
    np.testing.assert_allclose(
        network.predict(X)[:, 0], Ridge().fit(X, y[:, 0]).predict(X), atol=5e-3
    )


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_linear_model_that_is_as_good_is_named(classes):
    if classes:
        model, y = TabularClassifier(**QUICK), Z[:, :classes].argmax(axis=1)
    else:
        model, y = TabularRegressor(**QUICK), 1e3 * STRAIGHT
    word = r"R\^2" if not classes else "accuracy"
    with pytest.warns(LinearModelWarning, match=f"as good: its {word} .*TabularEncoder") as record:
        model.fit(X, y)
    assert len(record) == 1 and record[0].filename == __file__
    assert model.linear_score_ >= model.oof_score_ - 0.01
    assert f"(a linear model: {model.linear_score_:.4f})" in str(model.summary())


def test_where_networks_are_better_nothing_is_said():
    model = TabularRegressor(**QUICK).fit(X, BENT)
    assert model.linear_score_ < model.oof_score_ - 0.1
    TabularClassifier(**QUICK).fit(X, np.median(BENT) < BENT)


def test_the_score_is_that_of_a_linear_model_of_the_same_splits():
    split = [(np.arange(400), np.arange(400, N))]
    model = TabularRegressor(**QUICK | {"n_members": 1, "validation": split}).fit(X, BENT)
    inputs = model.encoder_.transform(X)
    theirs = Ridge().fit(inputs[:400], BENT[:400]).predict(inputs[400:])
    assert model.linear_score_ == pytest.approx(r2_score(BENT[400:], theirs), abs=2e-3)


def test_the_number_of_threads_does_not_change_the_score():
    one, two = (TabularRegressor(**QUICK | {"n_threads": n}).fit(X, BENT) for n in (1, 2))
    assert one.linear_score_ == two.linear_score_


def test_the_warning_can_be_switched_off_and_does_not_change_the_fit():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinearModelWarning)
        model = TabularRegressor(**QUICK).fit(X, STRAIGHT)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LinearModelWarning)
        with pytest.raises(LinearModelWarning):
            TabularRegressor(**QUICK).fit(X, STRAIGHT)
    assert model.linear_score_ is not None


@pytest.mark.parametrize(
    ("parameters", "rows", "arguments"),
    [
        ({}, 399, {}),
        ({}, N, {"X_val": X[:50], "y_val": STRAIGHT[:50]}),
        ({"quantiles": [0.5]}, N, {}),
        ({"time_limit": 1e-9}, N, {}),
    ],
    ids=["few rows", "validation set", "quantiles", "no time"],
)
def test_otherwise_there_is_no_such_score(parameters, rows, arguments):
    model = TabularRegressor(**QUICK | parameters).fit(X[:rows], STRAIGHT[:rows], **arguments)
    assert model.linear_score_ is None
    assert "linear" not in str(model.summary())


def test_the_same_accuracy_is_not_enough_where_probabilities_are_better():
    """Of rare classes none is predicted by either model."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 2))
    p = 1 / (1 + np.exp(4 - 1.2 * x[:, 0] - 1.0 * np.minimum(x[:, 1] ** 2, 2)))
    model = TabularClassifier(**QUICK).fit(x, rng.random(2000) < p)
    assert abs(model.linear_score_ - model.oof_score_) < 0.01


def test_where_nothing_can_be_learned_nothing_is_said():
    y = np.random.default_rng(1).integers(0, 2, N)
    assert 0.4 < TabularClassifier(**QUICK).fit(X, y).linear_score_ < 0.6


def test_classes_that_are_all_the_same_have_no_linear_model():
    assert TabularClassifier(**QUICK).fit(X, np.zeros(N)).linear_score_ is None


def test_many_categories_bins_and_weights_are_compared_too():
    table = pd.DataFrame(X).rename(columns=str).assign(id=RNG.integers(0, 50, N).astype(str))
    rules = QUICK | {"encoding": "ple", "class_weight": "balanced"}
    model = TabularClassifier(**rules).fit(
        table, BENT + X[:, 2] > 1, sample_weight=1 + RNG.random(N)
    )
    assert 0.5 < model.linear_score_ < model.oof_score_


def test_files_keep_the_score(tmp_path):
    model = TabularRegressor(**QUICK).fit(X, BENT)
    save(model, tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").linear_score_ == model.linear_score_
