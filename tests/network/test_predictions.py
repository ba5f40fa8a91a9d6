"""Predictions of a Network: dense rows of any number, in place or not, from several threads."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
from cases import PAIRS

from fastmlp import Network, reference
from fastmlp.engine.plan import FEATURE_ROWS, MOST_FEATURE_CHUNKS, PANEL_ROWS, few_rows

SIZES = (33, 17, 3)
FEW = few_rows(SIZES)
"""Rows that are multiplied with the weights where they lie; one more is multiplied with panels."""


def rows_for(network, n_rows, seed=0):
    x = np.random.default_rng(seed).normal(size=(n_rows, network.sizes[0]))
    return x.astype(network.dtype)


def expected_outputs(network, x):
    """Of the reference in NumPy, in float64."""
    weights = [w.astype(float) for w in network.weights]
    inputs = reference.input_layer(np.asarray(x, float), slice(None))
    return reference.forward(weights, inputs, network.functions)[1][-1].T


def with_blas(network, x):
    """Outputs on the way of sparse rows, in the engine's chunks."""
    out = np.empty((len(x), network.sizes[-1]), network.dtype)
    with network._engine(1) as engine:
        engine.predict(network.parameters, x, out)
    return out


def is_read_in_place(network, x, out=None):
    return network._predict_dense(x, out) is not None


@pytest.mark.parametrize("dtype, tolerance", [("float32", 3e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("output", sorted({output for output, _ in PAIRS}))
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "gelu"])
def test_predictions_are_the_references_at_every_width_and_number_of_rows(
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
        x = rows_for(network, 40)
        expected = expected_outputs(network, x)
        for n_rows in (1, 7, few_rows(sizes), few_rows(sizes) + 1, 40):
            found = network.predict(x[:n_rows])
            assert (found.dtype, found.shape) == (network.dtype, (n_rows, sizes[-1]))
            np.testing.assert_allclose(
                found, expected[:n_rows], rtol=10 * tolerance, atol=tolerance, err_msg=str(sizes)
            )
        assert is_read_in_place(network, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [SIZES, (20, 400, 130, 5)])
def test_a_row_has_the_same_bits_whatever_is_beside_it_threads_or_not(simd_level, sizes, dtype):
    """Once for few rows and once for more, feature-major in chunks or with panels of weights."""
    network = Network(sizes, dtype=dtype, output="softmax", random_state=0)
    few = network.plan.few_rows
    n = max(3 * PANEL_ROWS + 1, 2 * network._row_engine.shared_rows)
    x = rows_for(network, n)
    all_rows, first = network.predict(x, n_threads=1), network.predict(x[:few])
    for n_threads in (2, 3):
        np.testing.assert_array_equal(network.predict(x, n_threads=n_threads), all_rows)
    for n_rows in range(1, few):
        np.testing.assert_array_equal(network.predict(x[:n_rows]), first[:n_rows])
    most = MOST_FEATURE_CHUNKS * FEATURE_ROWS
    more = (FEATURE_ROWS, FEATURE_ROWS + 1, most, most + 1, PANEL_ROWS + 1, 2 * PANEL_ROWS + 3)
    for n_rows in (few + 1, few + 2, *more):
        np.testing.assert_array_equal(network.predict(x[:n_rows]), all_rows[:n_rows])
        np.testing.assert_array_equal(network.predict(x[5 : n_rows + 5]), all_rows[5 : n_rows + 5])


def test_sparse_rows_and_blas_give_the_values_of_dense_rows():
    network = Network((30, 200, 5), random_state=0)
    x = rows_for(network, 100)
    np.testing.assert_allclose(with_blas(network, x), network.predict(x), rtol=2e-5, atol=1e-6)


def misaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)
    other = raw[1:].view(x.dtype).reshape(x.shape)
    other[...] = x
    return other


@pytest.mark.parametrize("n_rows", [1, FEW, FEW + 1, 300])
@pytest.mark.parametrize("dtype, other", [("float32", "float64"), ("float64", "float32")])
def test_rows_of_the_other_precision_are_converted_on_the_way(dtype, other, n_rows):
    network = Network(SIZES, dtype=dtype, random_state=0)
    x = np.random.default_rng(0).normal(size=(n_rows, 33)).astype(other)
    assert is_read_in_place(network, x)
    np.testing.assert_array_equal(network.predict(x), network.predict(x.astype(dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("change", [
    lambda x: x.astype(np.float16), lambda x: x.astype(np.int64), lambda x: x.astype(bool),
    lambda x: x.astype(x.dtype.newbyteorder()), lambda x: x.astype(object).astype(float).tolist(),
    np.asfortranarray, lambda x: x[::-1], lambda x: x[:, ::-1],
    lambda x: np.repeat(x, 2, 1)[:, ::2], lambda x: x[::2], misaligned,
    lambda x: np.broadcast_to(x[:1], (5, x.shape[1])),
], ids=["half", "integers", "booleans", "byte order", "list", "fortran", "rows reversed",
        "columns reversed", "every second column", "every second row", "misaligned",
        "broadcast"])  # fmt: skip
def test_rows_that_cannot_be_read_in_place_are_copied(change, dtype):
    network = Network(SIZES, activation="tanh", dtype=dtype, random_state=0)
    x = change(rows_for(network, 7))
    assert not is_read_in_place(network, x)
    plain = np.array(x, dtype=dtype, order="C")
    np.testing.assert_array_equal(network.predict(x), network.predict(plain))


@pytest.mark.parametrize("n_rows", [3, 50])
def test_read_only_rows_and_memory_views_are_read_in_place(n_rows):
    network = Network(SIZES, random_state=0)
    x = rows_for(network, n_rows)
    expected = network.predict(x)
    x.flags.writeable = False
    for rows in (x, memoryview(x)):
        assert is_read_in_place(network, rows)
        np.testing.assert_array_equal(network.predict(rows), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "value, kind", [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_a_number_that_is_not_finite_is_named_wherever_it_is(value, kind, dtype):
    network = Network((33, 17, 3), dtype=dtype, random_state=0)
    for n_rows in (1, FEW, FEW + 1, 300):
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
def test_rows_of_a_wrong_shape_are_named(shape, message):
    with pytest.raises(ValueError, match=message):
        Network((3, 2)).predict(np.ones(shape, np.float32))


def test_a_float64_row_that_overflows_float32_is_named():
    x = np.ones((20, 33))
    x[13, 4] = 1e300
    for rows in (x, x[13:14]):
        with pytest.raises(ValueError, match=f"found infinity at row {13 % len(rows)}, column 4"):
            Network(SIZES, random_state=0).predict(rows)


@pytest.mark.parametrize("n_rows", [4, 40])
def test_weights_that_are_not_finite_give_nan(n_rows):
    for output in ("sigmoid", "softmax", "identity"):
        network = Network((3, 4, 2), output=output, activation="relu", random_state=0)
        network.weights[0][1, 2] = np.nan
        assert np.isnan(network.predict(rows_for(network, n_rows))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_threads", [None, 1, 3])
def test_out_is_written_in_place_and_nothing_beside_it(n_threads, dtype):
    network = Network(SIZES, dtype=dtype, random_state=0)
    x = rows_for(network, 300)
    for n_rows in (*range(1, 2 * FEW), 127, 128, 129, 300):
        expected = network.predict(x[:n_rows])
        frame = np.full((n_rows + 2, 3), np.nan, dtype)
        out = frame[1:-1]
        assert network.predict(x[:n_rows], out=out, n_threads=n_threads) is out
        np.testing.assert_array_equal(out, expected)
        assert np.isnan(frame[[0, -1]]).all()


def test_a_wrong_number_of_threads_is_refused_for_few_rows_too():
    network = Network(SIZES, random_state=0)
    for n_rows in (2, 50):
        with pytest.raises(ValueError, match="n_threads must be from 1 to 256; got 0"):
            network.predict(rows_for(network, n_rows), n_threads=0)


def test_out_stays_as_it_was_when_few_rows_are_refused():
    network = Network(SIZES, random_state=0)
    x, out = rows_for(network, 2), np.full((2, 3), 7, np.float32)
    x[1, 4] = np.nan
    with pytest.raises(ValueError, match="found NaN at row 1, column 4"):
        network.predict(x, out=out)
    assert (out == 7).all()


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


@pytest.mark.parametrize("n_rows", [2, 50])
def test_predictions_see_new_weights_and_those_of_copies(n_rows):
    network = Network(SIZES, random_state=0)
    x = rows_for(network, n_rows)
    before = network.predict(x)
    others = [copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
    network.weights[0][...] *= 2
    np.testing.assert_allclose(network.predict(x), expected_outputs(network, x), rtol=1e-5)
    assert (network.predict(x) != before).all()
    for other in others:
        np.testing.assert_array_equal(other.predict(x), before)


@pytest.mark.parametrize("n_rows", [1, 50])
def test_outputs_are_arrays_of_their_own(n_rows):
    network = Network(SIZES, random_state=0)
    first = network.predict(rows_for(network, n_rows))
    copied = first.copy()
    network.predict(rows_for(network, n_rows, seed=1))
    np.testing.assert_array_equal(first, copied)


def test_calls_of_different_sizes_one_after_the_other_share_memory_without_harm():
    """What a call leaves for the next is too small, too large or full of other numbers."""
    network = Network((40, 300, 7), random_state=0)
    x = rows_for(network, 1000)
    expected = {n: network.predict(x[:n]) for n in (1, 5, 17, 130, 1000)}
    for n in (1000, 1, 130, 5, 1000, 17, 1, 5, 130):
        np.testing.assert_array_equal(network.predict(x[:n]), expected[n])
        np.testing.assert_array_equal(network.predict(x[:n].astype(float)), expected[n])


@pytest.mark.parametrize("frozen", [False, True])
def test_several_threads_on_one_network_get_the_serial_outputs(frozen):
    """Of few rows and of many, which share nothing but the weights."""
    network = Network((33, 300, 17, 3), output="softmax", random_state=0)
    inputs = [rows_for(network, n, seed=n) for n in (1, 3, 8, 9, 200)]
    expected = [network.predict(x) for x in inputs]
    model = network.predictor() if frozen else network
    start, wrong = threading.Barrier(8), []

    def work(first):
        start.wait()
        for i in range(first, first + 300):
            case = i % len(inputs)
            if not np.array_equal(model.predict(inputs[case]), expected[case]):
                wrong.append(case)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- Predictor ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(4, 8, 1), SIZES, (20, 400, 130, 5)])
def test_a_predictor_has_the_bits_of_the_network(simd_level, sizes, dtype):
    network = Network(sizes, dtype=dtype, random_state=0)
    predictor = network.predictor()
    x = rows_for(network, 300)
    for n_rows in (1, 4, 5, 16, 17, 128, 129, 300):
        expected, out = network.predict(x[:n_rows]), np.empty((n_rows, sizes[-1]), dtype)
        np.testing.assert_array_equal(predictor.predict(x[:n_rows]), expected)
        assert predictor.predict(x[:n_rows], out=out, n_threads=None) is out
        np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(predictor.predict(x.tolist()), network.predict(x.tolist()))


def test_a_predictor_keeps_the_weights_of_its_moment():
    network = Network(SIZES, random_state=0)
    predictor, x = network.predictor(), rows_for(network, 50)
    before = network.predict(x)
    network.weights[0][...] = 0
    for frozen in (predictor, pickle.loads(pickle.dumps(predictor)), copy.deepcopy(predictor)):
        np.testing.assert_array_equal(frozen.predict(x), before)
        np.testing.assert_array_equal(frozen.predict(x[:2]), predictor.predict(x[:2]))
    assert repr(predictor) == "Predictor(33-17-3, dtype='float32')"
    assert (predictor.sizes, predictor.dtype) == (network.sizes, network.dtype)


def test_a_predictor_works_after_another_level_has_been_selected(simd_level):
    """Panels of another level are not read; 300 rows are enough for panels where there are any."""
    from fastmlp.engine import _core

    network = Network((30, 200, 5), random_state=0)
    predictor, x = network.predictor(), rows_for(network, 300)
    for level in _core.LEVELS:
        if _core.LEVELS[level] <= _core.LEVELS[_core.best_level()]:
            _core.select_level(level)
            np.testing.assert_array_equal(predictor.predict(x), network.predict(x))


def test_a_predictor_names_what_is_wrong_as_the_network_does():
    predictor = Network(SIZES, random_state=0).predictor()
    with pytest.raises(ValueError, match="X must have 33 columns"):
        predictor.predict(np.ones((2, 4)))
    with pytest.raises(ValueError, match="found NaN at row 0, column 0"):
        predictor.predict(np.full((50, 33), np.nan))
    with pytest.raises(ValueError, match="out must be a writeable"):
        predictor.predict(np.ones((50, 33)), out=np.empty((50, 4)))


@pytest.mark.parametrize("widest", [64, 65])
def test_a_predictor_keeps_panels_only_where_predictions_read_them(simd_level, widest):
    """With AVX-512 and in narrow layers the weights are read where they lie: no second copy."""
    network = Network((30, widest, 5), random_state=0)
    panels = network._row_engine.fill_panels(network.parameters)
    assert (panels is not None) == (widest > 64 and simd_level not in ("avx512", "neon"))


def test_panels_of_parameters_that_do_not_fit_are_refused():
    network, other = Network(SIZES, random_state=0), Network((3, 2), random_state=0)
    with pytest.raises(ValueError, match="parameters must hold"):
        network._row_engine.fill_panels(other.parameters)
    with pytest.raises(ValueError, match="parameters must hold"):
        network._row_engine.fill_panels(network.parameters.astype(float))
