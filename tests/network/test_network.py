"""Network: shapes, views, initial weights, prediction, bad arguments."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
from cases import PAIRS

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


# --- The short way of up to 32 rows ---------------------------------------------------------------


def rows_for(network, n_rows, seed=0):
    x = np.random.default_rng(seed).normal(size=(n_rows, network.sizes[0]))
    return x.astype(network.dtype)


def long_way(network, x):
    """Outputs of any number of rows in chunks."""
    out = np.empty((len(x), network.sizes[-1]), network.dtype)
    with network._engine(1) as engine:
        engine.predict(network.parameters, x, out)
    return out


def goes_the_short_way(network, x, out=None):
    return network._row_engine.predict_few(network.parameters, x, out) is not None


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("output", sorted({output for output, _ in PAIRS}))
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity"])
def test_few_rows_agree_with_the_long_way_at_every_width(
    simd_level, activation, output, dtype, tolerance
):
    for i, width in enumerate([1, 15, 16, 17, 31, 70, 127, 128, 129, 500]):
        sizes = [(width, 3), (33, width), (width, width, 2), (7, 4, width, 9, 3)][i % 4]
        network = Network(
            sizes,
            activation=activation,
            output=output,
            dtype=dtype,
            initializer="glorot",
            random_state=i,
        )
        for w in network.weights:
            w[:, 0] = np.random.default_rng(i).normal(size=len(w))
        x = rows_for(network, 8)
        few = network.predict(x)
        expected = long_way(network, x)
        assert goes_the_short_way(network, x)
        assert (few.dtype, few.shape) == (network.dtype, (8, sizes[-1]))
        np.testing.assert_allclose(
            few, expected, rtol=tolerance, atol=tolerance, err_msg=str(sizes)
        )
        for n_rows in range(1, 8):  # a row has the same bits whatever is beside it
            np.testing.assert_array_equal(network.predict(x[:n_rows]), few[:n_rows])
        np.testing.assert_allclose(
            network.predict(np.concatenate([x, x[:1]])),
            [*expected, expected[0]],
            rtol=tolerance,
            atol=tolerance,
        )


def misaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)
    other = raw[1:].view(x.dtype).reshape(x.shape)
    other[...] = x
    return other


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("change", [
    lambda x: x.astype("float64" if x.dtype == "float32" else "float32"),
    lambda x: x.astype(np.float16), lambda x: x.astype(np.int64), lambda x: x.astype(bool),
    lambda x: x.astype(x.dtype.newbyteorder()), lambda x: x.astype(object).astype(float).tolist(),
    np.asfortranarray, lambda x: x[::-1], lambda x: x[:, ::-1],
    lambda x: np.repeat(x, 2, 1)[:, ::2], lambda x: x[::2], misaligned,
    lambda x: np.broadcast_to(x[:1], (5, x.shape[1])),
    lambda x: np.concatenate([x] * 5),
], ids=["other precision", "half", "integers", "booleans", "byte order", "list", "fortran",
        "rows reversed", "columns reversed", "every second column", "every second row",
        "misaligned", "broadcast", "35 rows"])  # fmt: skip
def test_other_input_than_the_short_way_takes_gives_the_values_of_the_long_way(change, dtype):
    network = Network((33, 17, 3), activation="tanh", dtype=dtype, random_state=0)
    x = change(rows_for(network, 7))
    assert not goes_the_short_way(network, x)
    plain = np.array(x, dtype=dtype, order="C")
    np.testing.assert_array_equal(network.predict(x), long_way(network, plain))


def test_read_only_rows_and_memory_views_go_the_short_way():
    network = Network((33, 17, 3), random_state=0)
    x = rows_for(network, 3)
    expected = network.predict(x)
    x.flags.writeable = False
    for rows in (x, memoryview(x)):
        assert goes_the_short_way(network, rows)
        np.testing.assert_array_equal(network.predict(rows), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "value, kind", [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_a_number_that_is_not_finite_is_named_wherever_it_is_in_few_rows(value, kind, dtype):
    network = Network((33, 17, 3), dtype=dtype, random_state=0)
    for n_rows in (1, 8):
        for row in (0, n_rows - 1):
            for column in (0, 15, 16, 32):
                x = rows_for(network, n_rows)
                x[row, column] = value
                message = f"X must hold finite {dtype} numbers; found {kind} at row {row}, column"
                with pytest.raises(ValueError, match=f"{message} {column}"):
                    network.predict(x)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((3,), r"X must have 2 dimensions \(rows, columns\); got shape \(3,\)"),
        ((1, 1, 3), r"X must have 2 dimensions \(rows, columns\); got shape \(1, 1, 3\)"),
        ((0, 3), r"X must have at least one row and one column; got \(0, 3\)"),
        ((2, 4), r"X must have 3 columns; got shape \(2, 4\)"),
        ((3, 2), r"X must have 3 columns; got shape \(3, 2\)"),
    ],
)
def test_few_rows_of_a_wrong_shape_are_named(shape, message):
    with pytest.raises(ValueError, match=message):
        Network((3, 2)).predict(np.ones(shape, np.float32))


def test_weights_that_are_not_finite_give_the_same_outputs_on_both_ways():
    for output in ("sigmoid", "softmax", "identity"):
        network = Network((3, 4, 2), output=output, activation="relu", random_state=0)
        network.weights[0][1, 2] = np.nan
        x = rows_for(network, 4)
        np.testing.assert_array_equal(np.isnan(network.predict(x)), np.isnan(long_way(network, x)))
        assert np.isnan(network.predict(x)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_threads", [None, 1, 3])
def test_few_rows_go_the_short_way_with_threads_and_into_out_too(n_threads, dtype, monkeypatch):
    network = Network((33, 17, 3), dtype=dtype, random_state=0)
    x = rows_for(network, 33)
    expected = network.predict(x[:32])

    def refuse(n_threads):
        raise LookupError("the long way")

    monkeypatch.setattr(network, "_engine", refuse)
    for n_rows in (*range(1, 19), 31, 32):
        frame = np.full((n_rows + 2, 3), np.nan, dtype)
        out = frame[1:-1]
        assert goes_the_short_way(network, x[:n_rows], out)
        out[...] = np.nan
        assert network.predict(x[:n_rows], out=out, n_threads=n_threads) is out
        np.testing.assert_array_equal(out, expected[:n_rows])
        assert np.isnan(frame[[0, -1]]).all()
        few = network.predict(x[:n_rows], n_threads=n_threads)
        np.testing.assert_array_equal(few, expected[:n_rows])
    with pytest.raises(LookupError, match="the long way"):
        network.predict(x, n_threads=n_threads)


def test_few_rows_are_refused_with_a_wrong_number_of_threads():
    network = Network((33, 17, 3), random_state=0)
    with pytest.raises(ValueError, match="n_threads must be from 1 to 256; got 0"):
        network.predict(rows_for(network, 2), n_threads=0)


def test_out_stays_as_it_was_when_few_rows_are_refused():
    network = Network((33, 17, 3), random_state=0)
    x, out = rows_for(network, 2), np.full((2, 3), 7, np.float32)
    x[1, 4] = np.nan
    with pytest.raises(ValueError, match="found NaN at row 1, column 4"):
        network.predict(x, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes, most", [((510, 512), 32), ((784, 900, 400, 10), 18)])
def test_large_networks_take_fewer_rows_the_short_way(dtype, sizes, most):
    network = Network(sizes, dtype=dtype, initializer="glorot", random_state=0)
    x = rows_for(network, most + 2)
    expected = long_way(network, x)
    tolerance = 2e-6 if dtype == "float32" else 1e-13
    for n_rows in (1, 2, 7, most - 1, most, most + 1):
        assert goes_the_short_way(network, x[:n_rows]) == (n_rows <= most)
        found = network.predict(x[:n_rows])
        np.testing.assert_allclose(found, expected[:n_rows], rtol=tolerance, atol=tolerance)
        if n_rows > most:
            np.testing.assert_array_equal(found, long_way(network, x[:n_rows]))


@pytest.mark.parametrize(
    "replace",
    [
        lambda p: p,
        lambda p: p.astype(float),
        lambda p: p[:-1].copy(),
        lambda p: p.tobytes(),
        list,
        lambda p: None,
    ],
    ids=["themselves", "other precision", "too short", "bytes", "list", "None"],
)
def test_parameters_cannot_be_replaced(replace):
    network = Network((33, 17, 3), random_state=0)
    expected = network.predict(rows_for(network, 2))
    with pytest.raises(TypeError, match="parameters cannot be replaced; change them in place"):
        network.parameters = replace(network.parameters)
    np.testing.assert_array_equal(network.predict(rows_for(network, 2)), expected)


def test_few_rows_see_new_weights_and_those_of_copies():
    network = Network((33, 17, 3), random_state=0)
    x = rows_for(network, 2)
    before = network.predict(x)
    others = [copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
    network.weights[0][...] *= 2
    np.testing.assert_allclose(network.predict(x), long_way(network, x), rtol=1e-5)
    assert (network.predict(x) != before).all()
    for other in others:
        np.testing.assert_array_equal(other.predict(x), before)


def test_outputs_of_few_rows_are_arrays_of_their_own():
    network = Network((33, 17, 3), random_state=0)
    first = network.predict(rows_for(network, 1))
    copied = first.copy()
    network.predict(rows_for(network, 1, seed=1))
    np.testing.assert_array_equal(first, copied)


def test_several_threads_on_one_network_get_the_serial_outputs():
    """Of few rows and of many, which share nothing but the weights."""
    network = Network((33, 300, 17, 3), output="softmax", random_state=0)
    inputs = [rows_for(network, n, seed=n) for n in (1, 3, 8, 9, 200)]
    expected = [network.predict(x) for x in inputs]
    start, wrong = threading.Barrier(6), []

    def work(first):
        start.wait()
        for i in range(first, first + 300):
            case = i % len(inputs)
            if not np.array_equal(network.predict(inputs[case]), expected[case]):
                wrong.append(case)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- Arguments ------------------------------------------------------------------------------------


READ_ONLY = np.empty((5, 2), np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize("dtype", ["float32", "float64"])  # the short way and the long way
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
