"""to_sklearn: scikit-learn's own estimator with the same predictions."""

from __future__ import annotations

import numpy as np
import pytest
from estimator_data import blobs, multilabel, regression
from saved_models import SHORT, classifier, fitted
from scipy.sparse import csr_matrix
from sklearn import neural_network

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators.parameters import SOLVERS

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def assert_close(a, b, dtype):
    np.testing.assert_allclose(a, b, rtol=10 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "sigmoid", "identity"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifiers_predict_the_same(n_classes, activation, dtype):
    x, y = blobs(n_classes=n_classes)
    x = x.astype(dtype)
    labels = np.array(["a", "b", "c"])[y]
    ours = fitted(MLPClassifier(**SHORT | {"activation": activation}), x, labels)
    theirs = ours.to_sklearn()
    assert type(theirs) is neural_network.MLPClassifier
    assert_close(theirs.predict_proba(x), ours.predict_proba(x), dtype)
    assert (theirs.predict(x) == ours.predict(x)).all()
    assert theirs.score(x, labels) == ours.score(x, labels)


@pytest.mark.parametrize("make", [np.asarray, csr_matrix], ids=["dense", "sparse"])
def test_multilabel_classifiers_predict_the_same(make):
    x, y = multilabel()
    ours = fitted(MLPClassifier(**SHORT), x, make(y))
    theirs = ours.to_sklearn()
    assert_close(theirs.predict_proba(x), ours.predict_proba(x), "float64")
    assert abs(theirs.predict(x) - ours.predict(x)).sum() == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressors_predict_the_same(n_outputs, dtype):
    x, y = regression(n_outputs=n_outputs)
    x = x.astype(dtype)
    ours = fitted(MLPRegressor(**SHORT), x, y)
    theirs = ours.to_sklearn()
    assert type(theirs) is neural_network.MLPRegressor
    assert theirs.predict(x).shape == ours.predict(x).shape
    assert_close(theirs.predict(x), ours.predict(x), dtype)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_result_can_be_fitted_by_scikit_learn(solver):
    ours = classifier(solver=solver, learning_rate="cosine" if solver == "sgd" else "constant")
    theirs = ours.to_sklearn()
    fitted(theirs, *blobs())
    assert theirs.n_iter_ >= 1
    assert {name for name in theirs.get_params()} == {
        name for name in neural_network.MLPClassifier().get_params()
    }


def test_the_result_is_a_copy():
    ours = classifier()
    theirs = ours.to_sklearn()
    for array in (*theirs.coefs_, *theirs.intercepts_):
        array[...] = 0
    theirs.loss_curve_.clear()
    assert all(array.any() for array in ours.coefs_)
    assert ours.loss_curve_


def test_a_network_without_hidden_layers_and_mixed_functions():
    assert classifier(hidden_layer_sizes=()).to_sklearn().n_layers_ == 2
    with pytest.raises(ValueError, match="for all hidden layers; this network has tanh, relu"):
        classifier(activation=("tanh", "relu")).to_sklearn()
    with pytest.raises(ValueError, match="scikit-learn needs one of"):
        classifier(activation="gelu").to_sklearn()


def test_several_quantiles_have_no_counterpart():
    model = fitted(MLPRegressor("quantile", quantile=[0.1, 0.9], **SHORT), *regression())
    with pytest.raises(ValueError, match="scikit-learn has no outputs that increase"):
        model.to_sklearn()


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "quantile", "gamma", "poisson"])
def test_losses_that_scikit_learn_lacks_become_those_of_the_same_outputs(loss):
    x, y = regression()
    ours = fitted(MLPRegressor(loss, **SHORT), x, np.abs(y) + 0.1)
    theirs = ours.to_sklearn()
    assert_close(theirs.predict(x), ours.predict(x), "float64")
    assert theirs.loss == ("poisson" if loss in ("gamma", "poisson") else "squared_error")
    fitted(theirs, x, np.abs(y) + 0.1).partial_fit(x, np.abs(y) + 0.1)


def test_a_fit_that_finds_nothing_better_returns_to_the_weights_it_began_with():
    ours = classifier(early_stopping=True, warm_start=True)
    theirs = ours.to_sklearn()
    theirs.best_validation_score_ = 2.0  # nothing is better
    fitted(theirs, *blobs())
    for a, b in zip(theirs.coefs_, ours.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
