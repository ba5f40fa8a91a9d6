"""Losses, dropout, clipping and sparse rows of the estimators, against independent models."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cases import name_of
from estimator_data import blobs, multilabel, regression
from scipy import sparse
from sklearn import metrics, neural_network
from sklearn.base import clone
from sklearn.linear_model import GammaRegressor, PoissonRegressor, QuantileRegressor

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.losses import Huber, Quantile

LINEAR = dict(
    hidden_layer_sizes=(),
    alpha=0.0,
    solver="lbfgs",
    tol=1e-9,
    max_iter=5000,
    max_fun=50_000,
    random_state=0,
)
SMALL = dict(hidden_layer_sizes=(12, 7), random_state=0, max_iter=20)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def counts(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (300, 3))
    return x, rng.poisson(np.exp(x @ [1.0, -0.5, 0.3] + 0.5)).astype(float)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_poisson_loss_takes_the_same_course_as_in_scikit_learn(solver):
    x, y = counts()
    kinds = (MLPRegressor, neural_network.MLPRegressor)
    weights = np.random.default_rng(1).uniform(0, 2, 300)
    rules = dict(solver=solver, shuffle=False, alpha=0.5)
    ours, theirs = (k("poisson", **SMALL, **rules).fit(x, y, sample_weight=weights) for k in kinds)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-8)
    assert ours.out_activation_ == theirs.out_activation_ == "exp"
    if solver != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize(
    ("loss", "model"),
    [
        ("poisson", PoissonRegressor(alpha=0, tol=1e-9)),
        ("gamma", GammaRegressor(alpha=0, tol=1e-9)),
    ],
)
def test_without_hidden_layers_they_are_generalised_linear_models(loss, model):
    x, y = counts()
    y = y + 0.5
    ours, theirs = MLPRegressor(loss, **LINEAR).fit(x, y), model.fit(x, y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-3)


@pytest.mark.parametrize("level", [0.2, 0.5, 0.9])
def test_a_linear_quantile_is_as_good_as_that_of_linear_programming(level):
    x, y = regression()
    rules = LINEAR | dict(
        solver="adam",
        learning_rate="cosine",
        learning_rate_init=0.05,
        tol=0,
        max_iter=600,
        n_iter_no_change=np.inf,
    )
    ours = MLPRegressor("quantile", quantile=level, **rules).fit(x, y)
    best = QuantileRegressor(quantile=level, alpha=0).fit(x, y)
    losses = [metrics.mean_pinball_loss(y, m.predict(x), alpha=level) for m in (ours, best)]
    assert losses[1] <= losses[0] < losses[1] * 1.01
    assert ours.score(x, y) == pytest.approx(
        metrics.d2_pinball_score(y, ours.predict(x), alpha=level)
    )


def test_several_quantiles_do_not_cross_and_hold_their_share():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2000, 1))
    y = (x[:, 0] + 0.2) * rng.normal(size=2000)
    levels = (0.1, 0.5, 0.9)
    model = MLPRegressor(
        "quantile",
        quantile=levels,
        hidden_layer_sizes=(30,),
        max_iter=150,
        learning_rate_init=0.01,
        random_state=0,
    )
    model.fit(x, y, X_val=x, y_val=y)
    predicted = model.predict(x)
    assert predicted.shape == (2000, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    np.testing.assert_allclose((y[:, None] <= predicted).mean(axis=0), levels, atol=0.04)
    expected = np.mean(
        [
            metrics.d2_pinball_score(y, predicted[:, k], alpha=level)
            for k, level in enumerate(levels)
        ]
    )
    assert model.score(x, y) == pytest.approx(expected)
    assert model.validation_scores_[-1] == pytest.approx(expected)
    pinball = [metrics.mean_pinball_loss(y, predicted[:, k], alpha=q) for k, q in enumerate(levels)]
    assert model.history_["val_loss"][-1] == pytest.approx(np.mean(pinball))


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("absolute_error", lambda d: abs(d)),
        ("huber", lambda d: np.where(abs(d) <= 0.3, d**2 / 2, 0.3 * (abs(d) - 0.15))),
        (Huber(0.3), lambda d: np.where(abs(d) <= 0.3, d**2 / 2, 0.3 * (abs(d) - 0.15))),
        ("squared_error", lambda d: d**2 / 2),
        (Quantile(0.8), lambda d: np.where(d < 0, -0.8 * d, 0.2 * d)),
    ],
    ids=name_of,
)
def test_validation_loss_of_a_regressor_is_its_formula(loss, expected, n_outputs):
    x, y = regression(n_outputs=n_outputs)
    model = MLPRegressor(loss, **SMALL, huber_delta=0.3).fit(x, y, X_val=x, y_val=y)
    assert model.history_["val_loss"][-1] == pytest.approx(expected(model.predict(x) - y).mean())
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_brier_loss_is_the_brier_score():
    for x, y in (blobs(), blobs(n_classes=3)):
        model = MLPClassifier(**SMALL, loss="brier").fit(x, y, X_val=x, y_val=y)
        score = metrics.brier_score_loss(y, model.predict_proba(x), labels=model.classes_)
        assert model.history_["val_loss"][-1] == pytest.approx(score)
    x, y = multilabel()
    model = MLPClassifier(**SMALL, loss="brier").fit(x, y, X_val=x, y_val=y)
    expected = ((model.predict_proba(x) - y) ** 2).sum(axis=1).mean()
    assert model.history_["val_loss"][-1] == pytest.approx(expected)


def squared(y, a):
    """The squared error from outside."""
    return ((a - y) ** 2).sum(axis=1) / 2, a - y


def test_a_function_can_be_the_loss():
    x, y = regression()
    own, built_in = (MLPRegressor(loss, **SMALL).fit(x, y) for loss in (squared, "squared_error"))
    np.testing.assert_allclose(own.loss_curve_, built_in.loss_curve_)
    loaded = pickle.loads(pickle.dumps(own))
    np.testing.assert_array_equal(loaded.predict(x), own.predict(x))
    x, y = blobs()
    own, built_in = (MLPClassifier(**SMALL, loss=loss).fit(x, y) for loss in (brier, "brier"))
    np.testing.assert_allclose(own.loss_curve_, built_in.loss_curve_)


def brier(y, a):
    """The Brier score from outside."""
    return ((a - y) ** 2).sum(axis=1), 2 * (a - y)


def test_loss_objects_survive_clone():
    model = MLPRegressor(Quantile((0.1, 0.9)), **SMALL).fit(*regression())
    assert clone(model).fit(*regression()).predict(np.zeros((1, 6))).shape == (1, 2)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_dropout_is_reproducible_and_only_in_training(kind):
    x, y = blobs()
    a, b = (kind(**SMALL, dropout=(0.5, 0.2)).fit(x, y) for _ in range(2))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    np.testing.assert_array_equal(a.predict(x), a.predict(x))
    plain = kind(**SMALL).fit(x, y)
    assert not np.allclose(a.coefs_[0], plain.coefs_[0])


@pytest.mark.filterwarnings("ignore:y is not scaled")
def test_a_clipped_gradient_is_no_longer_than_allowed():
    x, y = regression()
    rules = SMALL | dict(solver="sgd", momentum=0.0, max_iter=1, batch_size=200)
    start = MLPRegressor(**rules, learning_rate_init=1e-300).fit(x, 1000 * y)
    model = MLPRegressor(**rules, learning_rate_init=1.0, max_grad_norm=0.01).fit(x, 1000 * y)
    pairs = zip(model.coefs_ + model.intercepts_, start.coefs_ + start.intercepts_, strict=True)
    step = np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs))
    assert step == pytest.approx(0.01)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_sparse_rows_are_not_made_dense_as_a_whole(early_stopping):
    import tracemalloc

    rows, features = 400, 50_000
    x = sparse.random(rows, features, density=2e-4, format="csr", random_state=0, dtype=np.float32)
    y = np.arange(rows) % 2
    model = MLPClassifier(
        (4,),
        max_iter=2,
        batch_size=20,
        early_stopping=early_stopping,
        validation_fraction=0.02,
        random_state=0,
    )
    tracemalloc.start()
    model.fit(x, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * rows * features / 3


def test_early_stopping_on_sparse_rows_is_that_on_dense_ones():
    x, y = blobs()
    x[x < 0.5] = 0
    rules = dict(early_stopping=True, scoring="f1", class_weight="balanced")
    dense = MLPClassifier(**SMALL, **rules).fit(x, y)
    other = MLPClassifier(**SMALL, **rules).fit(sparse.csr_array(x), y)
    assert dense.history_["val_f1"] == other.history_["val_f1"]
    np.testing.assert_allclose(dense.coefs_[0], other.coefs_[0], rtol=1e-12)
