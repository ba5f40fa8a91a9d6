"""Outputs of single layers: those of the reference, and the estimators' way to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fastmlp import MLPClassifier, MLPRegressor, Network, reference
from fastmlp.losses import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RTOL = {"float32": 2e-6, "float64": 1e-13}


def reference_activations(network, X):
    """A of every layer as (n, nodes), from the articles' forward propagation."""
    x = X.astype(network.dtype)
    _, activations = reference.forward(
        network.weights, reference.input_layer(x, slice(None)), network.functions
    )
    return [*(a[1:].T for a in activations[:-1]), activations[-1].T]


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 100])
def test_every_layer_is_that_of_the_reference(activation, dtype, n):
    network = Network((5, 7, 3, 4), activation=activation, output="softmax", dtype=dtype,
                      random_state=1)  # fmt: skip
    X = np.random.default_rng(0).normal(size=(n, 5))
    expected = reference_activations(network, X)
    for layer in range(4):
        for number in (layer, layer - 4):
            found = network.transform(X, layer=number)
            assert found.dtype == network.dtype and found.shape == (n, network.sizes[layer])
            np.testing.assert_allclose(found, expected[layer], rtol=RTOL[dtype], atol=RTOL[dtype])


def test_the_last_hidden_layer_is_the_default_and_mixed_functions_keep_their_places():
    network = Network((5, 7, 3, 4), activation=("relu", "tanh"), random_state=1)
    X = np.random.default_rng(0).normal(size=(9, 5))
    np.testing.assert_array_equal(network.transform(X), network.transform(X, layer=2))
    expected = reference_activations(network, X)
    for layer in (1, 2):
        np.testing.assert_allclose(
            network.transform(X, layer=layer), expected[layer], rtol=2e-6, atol=2e-6
        )
    assert expected[1].min() == 0 > expected[2].min()


def test_output_layer_is_the_prediction_and_input_layer_a_copy():
    network = Network((5, 3, 4), random_state=1)
    X = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    np.testing.assert_array_equal(network.transform(X, layer=-1), network.predict(X))
    copy = network.transform(X, layer=0)
    np.testing.assert_array_equal(copy, X)
    assert not np.may_share_memory(copy, X)
    np.testing.assert_array_equal(Network((5, 2)).transform(X), X)  # no hidden layer


def test_sparse_rows_give_the_same_and_threads_change_no_bit():
    network = Network((20, 8, 4), activation="relu", random_state=1)
    X = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
    X[X < 0.8] = 0
    dense = network.transform(X, n_threads=1)
    np.testing.assert_array_equal(network.transform(X, n_threads=2), dense)
    np.testing.assert_allclose(network.transform(csr_array(X)), dense, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(network.transform(csr_array(X), layer=0), X)


def test_huge_activations_warn_nobody():
    network = Network((2, 3, 3, 2), activation="softplus", random_state=0)
    network.parameters[...] *= 1e4
    assert np.isfinite(network.transform(np.full((3, 2), 1e4))).all()


@pytest.mark.parametrize(("layer", "error"), [(3, ValueError), (-4, ValueError), (1.0, TypeError)])
def test_a_layer_that_is_not_there_is_refused(layer, error):
    network = Network((5, 3, 4))
    with pytest.raises(error, match=f"layer must be .*; got {layer}"):
        network.transform(np.ones((1, 5)), layer=layer)


def test_wrong_rows_and_threads_are_refused_for_every_layer():
    network = Network((5, 3, 4))
    for layer in (0, 1, 2):
        with pytest.raises(ValueError, match=r"X must have 5 columns; got shape \(1, 4\)"):
            network.transform(np.ones((1, 4)), layer=layer)
        with pytest.raises(ValueError, match="X must hold finite float32 numbers"):
            network.transform(np.full((1, 5), np.nan), layer=layer)
        with pytest.raises(ValueError, match="n_threads must be from 1 to 256; got 0"):
            network.transform(np.ones((1, 5)), layer=layer, n_threads=0)


# --- Estimators ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"))
    y = (X["a"] > X["b"]).astype(int)
    return X, MLPClassifier((6, 2), activation="tanh", solver="lbfgs", max_iter=5).fit(X, y)


def test_hidden_outputs_lead_to_the_predictions(fitted):
    X, clf = fitted
    hidden = clf.hidden_outputs(X)
    assert hidden.shape == (60, 2)
    z = hidden @ clf.coefs_[-1] + clf.intercepts_[-1]
    np.testing.assert_allclose(1 / (1 + np.exp(-z[:, 0])), clf.predict_proba(X)[:, 1], rtol=1e-6)
    first = np.tanh(X.to_numpy() @ clf.coefs_[0] + clf.intercepts_[0])
    np.testing.assert_allclose(clf.hidden_outputs(X, layer=1), first, rtol=1e-6, atol=1e-9)


def test_an_autoencoder_shows_its_narrow_layer():
    X = np.random.default_rng(0).normal(size=(50, 4))
    model = MLPRegressor(hidden_layer_sizes=(8, 2, 8), solver="lbfgs", max_iter=3).fit(X, X)
    assert model.hidden_outputs(X, layer=2).shape == (50, 2)


def test_hidden_outputs_can_be_a_step_of_a_pipeline(fitted):
    X, clf = fitted
    step = FunctionTransformer(clf.hidden_outputs, kw_args={"layer": 1})
    np.testing.assert_array_equal(
        make_pipeline(step).fit_transform(X), clf.hidden_outputs(X, layer=1)
    )


def test_an_estimator_is_no_transformer_and_must_be_fitted(fitted):
    assert not hasattr(MLPClassifier(), "transform")
    with pytest.raises(NotFittedError):
        MLPClassifier().hidden_outputs(np.ones((1, 2)))
    X, clf = fitted
    with pytest.raises(ValueError, match="layer must be from -4 to 3; got 4"):
        clf.hidden_outputs(X, layer=4)
    with pytest.raises(ValueError, match="feature names should match"):
        clf.hidden_outputs(X.rename(columns={"a": "z"}))
