"""Network: shapes, views, initial weights, prediction, bad arguments."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import Network, reference


def test_standard_network_of_the_articles_has_57390_parameters():
    network = Network((784, 70, 30, 10))
    assert network.n_parameters == 57390
    assert [w.shape for w in network.weights] == [(70, 785), (30, 71), (10, 31)]


def test_weights_are_views_of_the_parameters():
    network = Network((3, 2, 1), dtype="float64")
    network.weights[1][0, 0] = 42.0
    assert network.parameters[8] == 42.0


def test_repr_names_widths_and_parameters():
    assert repr(Network((4, 3, 2))) == "Network(4-3-2, 23 parameters, float32)"


@pytest.mark.parametrize(
    "name, limits",
    [
        ("legacy", (0.5, 1.0)),
        ("range", (0.5, 0.5)),
        ("sqrt_nodes", (0.05, 0.5 / np.sqrt(70))),
        ("glorot", (np.sqrt(6 / 170), np.sqrt(6 / 130))),
    ],
)
def test_uniform_initializers_fill_their_range(name, limits):
    network = Network((100, 70, 60), initializer=name, dtype="float64", random_state=0)
    for w, limit in zip(network.weights, limits, strict=True):
        assert 0.98 * limit < np.abs(w).max() <= limit
        assert abs(w[:, 1:].mean()) < 0.05 * limit


def test_he_initializer_has_its_deviation_and_no_bias():
    w = Network((200, 300), initializer="he", dtype="float64", random_state=0).weights[0]
    assert w[:, 1:].std() == pytest.approx(np.sqrt(2 / 200), rel=0.02)
    assert not w[:, 0].any()


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    first, second, other = (Network((5, 4), random_state=s).parameters for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "identity"])
@pytest.mark.parametrize("n_rows", [1, 2, 255, 256, 257, 1000])
def test_prediction_equals_the_reference(output, n_rows):
    network = Network(
        (6, 5, 4, 3), activation=["tanh", "relu"], output=output, dtype="float64", random_state=0
    )
    x = np.random.default_rng(0).normal(size=(n_rows, 6))
    _, activations = reference.forward(
        network.weights, reference.input_layer(x, slice(None)), network.functions
    )
    np.testing.assert_allclose(network.predict(x), activations[-1].T, rtol=1e-11, atol=1e-14)


def test_weights_can_be_exchanged_between_layers():
    network = Network((3, 3, 3), random_state=0)
    first, second = (w.copy() for w in network.weights)
    network.set_weights([network.weights[1], network.weights[0]])
    np.testing.assert_array_equal(network.weights[0], second)
    np.testing.assert_array_equal(network.weights[1], first)


def test_prediction_writes_into_out_and_returns_it():
    network = Network((3, 2), random_state=0)
    out = np.empty((5, 2), np.float32)
    assert network.predict(np.ones((5, 3)), out=out) is out
    np.testing.assert_array_equal(out, network.predict(np.ones((5, 3))))


# --- Arguments ------------------------------------------------------------------------------------


READ_ONLY = np.empty((5, 2), np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("out", [
    np.empty(41, np.uint8)[1:].view(np.float32).reshape(5, 2), np.empty((5, 3), np.float32),
    np.empty((6, 2), np.float32), np.empty((5, 2)), np.empty((2, 5), np.float32).T,
    np.empty((10, 2), np.float32)[::2], READ_ONLY, np.empty((5, 2), ">f4"), [[0.0] * 2] * 5,
], ids=["alignment", "columns", "rows", "dtype", "order", "every second row", "read-only",
        "byte order", "list"])  # fmt: skip
def test_wrong_out_is_refused(out, dtype):
    with pytest.raises(ValueError, match=r"out must be a writeable C-ordered float32 array of \(5"):
        Network((3, 2)).predict(np.ones((5, 3), dtype), out=out)


def test_set_weights_copies_and_changes_nothing_when_one_matrix_is_wrong():
    network = Network((3, 2, 1), random_state=0)
    new = [np.full((2, 4), 7.0), np.full((1, 3), 8.0)]
    network.set_weights(new)
    new[0][...] = 0
    assert (network.weights[0] == 7).all()
    with pytest.raises(ValueError, match=r"weights\[1\] must have shape \(1, 3\); got \(2, 3\)"):
        network.set_weights([np.zeros((2, 4)), np.zeros((2, 3))])
    with pytest.raises(ValueError, match=r"weights\[1\] must have 3 columns; got shape \(1, 4\)"):
        network.set_weights([np.zeros((2, 4)), np.zeros((1, 4))])
    with pytest.raises(ValueError, match=r"weights must be 2 matrices, one per layer; got 1"):
        network.set_weights([np.zeros((2, 4))])
    with pytest.raises(TypeError, match="weights must be a list of matrices; got int"):
        network.set_weights(5)
    with pytest.raises(ValueError, match=r"found NaN at row 0, column 2"):
        network.set_weights([np.array([[0, 0, np.nan, 0]] * 2), np.zeros((1, 3))])
    assert (network.weights[0] == 7).all()


@pytest.mark.parametrize("arguments, error, message", [
    (dict(sizes=(3,)), ValueError, r"sizes needs an input and an output width; got \(3,\)"),
    (dict(sizes="34"), TypeError, "sizes must be a sequence of layer widths; got '34'"),
    (dict(sizes=5), TypeError, "sizes must be a sequence of layer widths; got 5"),
    (dict(sizes=(3, 0, 2)), ValueError, r"sizes\[1\] must be at least 1; got 0"),
    (dict(sizes=(3, 2.5)), TypeError, r"sizes\[1\] must be an integer; got 2.5"),
    (dict(sizes=(2**31, 1)), ValueError, r"sizes\[0\] must be below 2147483647; got 2147483648"),
    (dict(sizes=(2**30, 2**30)), ValueError, "needs 4294967300 GiB of parameters; at most 1024"),
    (dict(activation="swish"), ValueError, "activation must be one of 'sigmoid', 'tanh', 'relu'"),
    (dict(activation=["relu"] * 2), ValueError, "one name or 1, one per hidden layer"),
    (dict(activation=5), TypeError, "activation must be a name or a sequence of names; got 5"),
    (dict(activation=["mish"]), ValueError, r"activation\[0\] must be one of"),
    (dict(output="relu"), ValueError, "output must be one of 'sigmoid', 'softmax', 'identity'"),
    (dict(dtype="float16"), ValueError, "dtype must be one of 'float32', 'float64'; got 'float16'"),
    (dict(dtype=None), ValueError, "dtype must be one of 'float32', 'float64'; got None"),
    (dict(dtype="wide"), ValueError, "dtype must be one of 'float32', 'float64'; got 'wide'"),
    (dict(initializer="xavier"), ValueError, "initializer must be one of 'legacy', 'range'"),
], ids=str)  # fmt: skip
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Network(**{"sizes": (3, 2, 1)} | arguments)


@pytest.mark.parametrize("X, error, message", [
    (np.ones(3), ValueError, r"X must have 2 dimensions \(rows, columns\); got shape \(3,\)"),
    (np.ones((0, 3)), ValueError, r"X must have at least one row and one column; got \(0, 3\)"),
    (np.ones((4, 2)), ValueError, r"X must have 3 columns; got shape \(4, 2\)"),
    ([["a", "b", "c"]], TypeError, "X must be real numbers; got an array of dtype <U1"),
    ([[1, 2], [3]], ValueError, "X cannot be read as an array"),
    (np.ones((1, 3)) * 1j, TypeError, "X must be real numbers; got an array of dtype complex128"),
    ([[1.0, np.inf, 0.0]], ValueError, "X must hold finite float32 numbers; found infinity at row "
                                       "0, column 1"),
    ([[0.0] * 3, [0.0, 0.0, np.nan]], ValueError, "found NaN at row 1, column 2"),
    ([[1e300, 0, 0]], ValueError, "X must hold finite float32 numbers; found infinity at row 0"),
], ids=str)  # fmt: skip
def test_bad_input_of_predict_is_named(X, error, message):
    with pytest.raises(error, match=message):
        Network((3, 2)).predict(X)
