"""Every kernel of src/kernels.h alone, at every level and precision, against NumPy.

Matrices lie at odd addresses in wider ones, whose other elements are NaN where they are read and
must stay as they are where the kernel writes. Sums of products are sums of small integers, which
are exact in any order and precision: the twins must agree in every bit.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import scipy.sparse
from cases import RUNNABLE_LEVELS
from native_kernels import (
    CANARY,
    Kernels,
    Sheet,
    read_enum,
    read_prototypes,
    read_struct,
    round_up,
)

from fastmlp import reference
from fastmlp.engine import _core
from fastmlp.losses import (
    ACTIVATIONS,
    OUTPUT_FUNCTIONS,
    OUTPUTS_OF_LOSS,
    Huber,
    Loss,
    Quantile,
)
from fastmlp.optimizers import SGD, Adam, AdamW, RMSprop
from fastmlp.reference.engine import ReferenceEngine

SIZES = [1, 15, 16, 17, 31, 70, 127, 128, 129, 500]
TWOS = [(first, second) for first in SIZES for second in SIZES if first * second < 200_000]
THREES = [
    (first, second, SIZES[(i + j) % len(SIZES)])
    for i, first in enumerate(SIZES)
    for j, second in enumerate(SIZES)
]
"""Every two of the three sizes meet in every combination."""

NO_ROWS = [(17, 70, 0), (128, 1, 0), (1, 16, 0)]

OUTPUT_SHAPES = [(n_out, batch) for n_out in (1, 2, 10, 70) for batch in SIZES]
OUTPUT_SHAPES += [(129, 65), (500, 1), (70, 0)]
"""Outputs and samples; the output kernels go along the samples, 64 at a time."""

FUNCTIONS, LOSSES = _core.FUNCTIONS, _core.LOSSES
SLOPED = ("gelu", "silu")
"""Functions whose slopes do not follow from their values."""

PAIRS = [
    (output, name)
    for name, outputs in OUTPUTS_OF_LOSS.items()
    for output in outputs
    if name != "own"
]
PAIR_IDS = ["-".join(pair) for pair in PAIRS]
DTYPES = ["float32", "float64"]
APPLIED = {
    "exp": np.exp,
    "log": np.log,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
}


@pytest.fixture(scope="module", params=[f"{a}-{b}" for a in RUNNABLE_LEVELS for b in DTYPES])
def kernels(request, native_build):
    level, dtype = request.param.split("-")
    library = native_build / "libkernel_table.so"
    return Kernels(library, _core.LEVELS[level], dtype)


def integers(rng, *shape):
    return rng.integers(-3, 4, shape).astype(float)


def two_indices(rng, n_rows, batch):
    """The kernels' two ways to find a row: side by side, or through an index with repetitions."""
    yield None, slice(batch)
    index = rng.integers(0, n_rows, batch)
    yield index, index


def test_every_kernel_has_a_test_here():
    tests = [name for name in globals() if name.startswith("test_")]
    kernels = {re.sub("^apply_.*", "apply", name) for name in read_prototypes()}
    assert len(kernels) > 10
    assert not [name for name in kernels if not any(f"test_{name}_" in test for test in tests)]


# --- Products -------------------------------------------------------------------------------------


def test_narrow_product_is_rows_times_matrix_plus_bias(kernels):
    rng, turns = np.random.default_rng(0), itertools.cycle([1, 0, 0, 1])
    for n, m, batch in THREES + NO_ROWS:
        x = Sheet(integers(rng, batch + 3, n), kernels.dtype)
        right, bias = (
            Sheet(integers(rng, n, m), kernels.dtype),
            Sheet(integers(rng, m), kernels.dtype),
        )
        for index, rows in two_indices(rng, batch + 3, batch):
            b = bias if next(turns) else None
            z = Sheet(np.zeros((batch, m)), kernels.dtype, fill=CANARY)
            kernels.narrow_product(
                z(), z.stride, x(), x.stride, index, right(), right.stride, b and b(), batch, n, m
            )
            expected = x.matrix[rows] @ right.matrix + (b.matrix if b else 0)
            z.assert_holds(expected, written=round_up(m), case=(n, m, batch, index is None))


def test_narrow_product_of_a_row_has_the_same_bits_whatever_rows_are_beside_it(kernels):
    rng = np.random.default_rng(1)
    for n, m in [(70, 17), (500, 128), (31, 70), (784, 30)]:
        x = Sheet(rng.normal(size=(37, n)), kernels.dtype)
        right = Sheet(rng.normal(size=(n, m)), kernels.dtype)

        def product(index, batch, x=x, right=right, n=n, m=m):
            z = Sheet(np.zeros((batch, m)), kernels.dtype)
            kernels.narrow_product(
                z(), z.stride, x(), x.stride, index, right(), right.stride, None, batch, n, m
            )
            return z.matrix

        together = product(None, 37)
        for index in (rng.permutation(37), np.arange(36, 25, -1), np.array([4, 4, 9])):
            np.testing.assert_array_equal(product(index, len(index)), together[index])
        for batch in range(1, 20):
            np.testing.assert_array_equal(product(None, batch), together[:batch])


def test_narrow_gradient_is_transposed_deltas_times_rows(kernels):
    rng, turns = np.random.default_rng(2), itertools.cycle([1, 0, 0, 1])
    for n, n_out, batch in THREES + NO_ROWS:
        x = Sheet(integers(rng, batch + 3, n), kernels.dtype)
        delta, start = Sheet(integers(rng, batch, n_out), kernels.dtype), integers(rng, n_out, n)
        for index, rows in two_indices(rng, batch + 3, batch):
            accumulate = next(turns)
            case = n, n_out, batch, index is None, accumulate
            g = Sheet(start, kernels.dtype, fill=CANARY)
            g.wide[:, n : round_up(n)] = 0
            kernels.narrow_gradient(
                g(),
                g.stride,
                delta(),
                delta.stride,
                x(),
                x.stride,
                index,
                batch,
                n,
                n_out,
                accumulate,
            )
            assert not g.wide[:, n : round_up(n)].any(), f"padding is not zero; {case}"
            expected = accumulate * start + delta.matrix.T @ x.matrix[rows]
            g.assert_holds(expected, written=round_up(n), case=case)


def test_narrow_gradient_writes_zeros_beyond_the_last_column_up_to_a_whole_vector(kernels):
    for n in (1, 15, 17, 31, 70, 127, 129):
        x, delta = Sheet(np.ones((5, n)), kernels.dtype), Sheet(np.ones((5, 9)), kernels.dtype)
        g = Sheet(np.zeros((9, n)), kernels.dtype)
        kernels.narrow_gradient(
            g(), g.stride, delta(), delta.stride, x(), x.stride, None, 5, n, 9, 0
        )
        whole = -(-n // kernels.lanes) * kernels.lanes
        assert (g.wide[:, n:whole] == 0).all()


def test_narrow_gradient_of_rows_with_themselves_is_their_gram_matrix(kernels):
    x = Sheet(integers(np.random.default_rng(3), 129, 31), kernels.dtype)
    g = Sheet(np.zeros((31, 31)), kernels.dtype, fill=CANARY)
    kernels.narrow_gradient(g(), g.stride, x(), x.stride, x(), x.stride, None, 129, 31, 31, 0)
    g.assert_holds(x.matrix.T @ x.matrix, written=32)


def test_dot_rows_is_rows_times_transposed_matrix_plus_bias_column(kernels):
    rng, n_rows = np.random.default_rng(4), itertools.cycle([1, 2, 3, 4, 5, 8, 11, 16])
    for n_in, n_out in TWOS:
        batch = next(n_rows)
        x = Sheet(integers(rng, batch, n_in), kernels.dtype)
        w = Sheet(integers(rng, n_out, n_in + 1), kernels.dtype, stride=n_in + 1)
        z = Sheet(np.zeros((batch, n_out)), kernels.dtype, fill=CANARY)
        kernels.dot_rows(z(), z.stride, x(), x.stride, w(), batch, n_out, n_in + 1)
        expected = x.matrix @ w.matrix[:, 1:].T + w.matrix[:, 0]
        z.assert_holds(expected, case=(n_in, n_out, batch))


def test_dot_rows_gives_a_row_the_same_bits_whatever_is_beside_it(kernels):
    rng = np.random.default_rng(5)
    for n_in, n_out in [(37, 29), (5, 3), (784, 12)]:
        x = Sheet(rng.normal(size=(11, n_in)), kernels.dtype)
        w = Sheet(rng.normal(size=(n_out, n_in + 1)), kernels.dtype, stride=n_in + 1)
        results = []
        for batch in range(1, 12):
            z = Sheet(np.zeros((batch, n_out)), kernels.dtype, fill=CANARY)
            kernels.dot_rows(z(), z.stride, x(), x.stride, w(), batch, n_out, n_in + 1)
            results.append(z.matrix)
        for batch, found in enumerate(results, start=1):
            np.testing.assert_array_equal(found, results[-1][:batch], err_msg=f"{n_in} {batch}")


def test_panel_product_is_rows_times_transposed_matrix_plus_bias(kernels):
    """Biases side by side or beside their weights, and panels filled before or on the way."""
    rng, turns = np.random.default_rng(6), itertools.cycle([0, 1, 2, 1, 0])
    for n, m, batch in [*THREES, *NO_ROWS, (700, 61, 13), (225, 3, 9), (224, 24, 4)]:
        x = Sheet(integers(rng, batch, n), kernels.dtype)
        w, bias = (
            Sheet(integers(rng, m, n + 1), kernels.dtype),
            Sheet(integers(rng, 1, m), kernels.dtype),
        )
        turn = next(turns)
        start = [(None, 1), (bias(), 1), (w(), w.stride)][turn]
        added = [0, bias.matrix[0], w.matrix[:, 0]][turn]
        panels = Sheet(np.zeros((1, n * round_up(m))), kernels.dtype)
        weights = w()[1:]
        kernels.pack_panels(panels(), weights, w.stride, n, m)
        for packed in (None, panels()):
            z = Sheet(np.zeros((batch, m)), kernels.dtype, fill=CANARY)
            kernels.panel_product(
                z(), z.stride, x(), x.stride, weights, w.stride, *start, packed, batch, n, m
            )
            expected = x.matrix @ w.matrix[:, 1:].T + added
            z.assert_holds(expected, written=round_up(m), case=(n, m, batch, packed is None))


def test_pack_panels_holds_every_weight_and_panels_alone_are_read(kernels):
    """Weights that are NaN afterwards do not matter."""
    rng = np.random.default_rng(7)
    for n, m in [(31, 70), (500, 129), (3, 1)]:
        x, w = (Sheet(integers(rng, rows, n), kernels.dtype) for rows in (5, m))
        panels = Sheet(np.zeros((1, n * round_up(m))), kernels.dtype)
        kernels.pack_panels(panels(), w(), w.stride, n, m)
        expected = x.matrix @ w.matrix.T
        w.matrix[...] = np.nan
        z = Sheet(np.zeros((5, m)), kernels.dtype, fill=CANARY)
        kernels.panel_product(
            z(), z.stride, x(), x.stride, w(), w.stride, None, 1, panels(), 5, n, m
        )
        z.assert_holds(expected, written=round_up(m), case=(n, m))


def test_panel_product_of_a_row_has_the_same_bits_whatever_rows_are_beside_it(kernels):
    rng = np.random.default_rng(8)
    for n, m in [(70, 17), (500, 128), (31, 70), (784, 30)]:
        x, w = (Sheet(rng.normal(size=(rows, n)), kernels.dtype) for rows in (37, m))
        results = []
        for batch in (1, 2, 3, 5, 8, 11, 37):
            z = Sheet(np.zeros((batch, m)), kernels.dtype, fill=CANARY)
            kernels.panel_product(
                z(), z.stride, x(), x.stride, w(), w.stride, None, 1, None, batch, n, m
            )
            results.append(z.matrix[:, :m])
        for found in results:
            np.testing.assert_array_equal(found, results[-1][: len(found)])


def test_feature_product_is_matrix_times_columns_plus_bias(kernels):
    """Biases side by side or beside their weights; what lies beyond the last row is ignored."""
    rng, turns = np.random.default_rng(11), itertools.cycle([0, 1, 2, 1, 0])
    for n, m, batch in [*THREES, *NO_ROWS, (700, 61, 13), (33, 25, 64), (7, 49, 90), (1, 1, 1)]:
        x = Sheet(integers(rng, n, batch), kernels.dtype, fill=np.nan)
        w, bias = (
            Sheet(integers(rng, m, n + 1), kernels.dtype),
            Sheet(integers(rng, 1, m), kernels.dtype),
        )
        turn = next(turns)
        start = [(None, 1), (bias(), 1), (w(), w.stride)][turn]
        added = [0, bias.matrix[0], w.matrix[:, 0]][turn]
        z = Sheet(np.zeros((m, batch)), kernels.dtype, fill=CANARY)
        kernels.feature_product(
            z(), z.stride, x(), x.stride, w()[1:], w.stride, *start, batch, n, m
        )
        expected = (x.matrix.T @ w.matrix[:, 1:].T + added).T
        z.assert_holds(expected, written=round_up(batch), case=(n, m, batch))


def test_feature_product_has_the_bits_of_panel_product(kernels):
    rng = np.random.default_rng(12)
    for n, m, batch in [(70, 17, 5), (500, 128, 37), (31, 70, 64), (784, 30, 16), (97, 29, 100)]:
        x, w = (Sheet(rng.normal(size=(rows, n)), kernels.dtype) for rows in (batch, m))
        columns = Sheet(x.matrix.T, kernels.dtype)
        z = Sheet(np.zeros((batch, m)), kernels.dtype, fill=CANARY)
        found = Sheet(np.zeros((m, batch)), kernels.dtype, fill=CANARY)
        bias = Sheet(rng.normal(size=(1, m)), kernels.dtype)
        sizes = (batch, n, m)
        kernels.panel_product(z(), z.stride, x(), x.stride, w(), w.stride, bias(), 1, None, *sizes)
        kernels.feature_product(
            found(), found.stride, columns(), columns.stride, w(), w.stride, bias(), 1, *sizes
        )
        np.testing.assert_array_equal(found.matrix, z.matrix.T, err_msg=str((n, m, batch)))


MORE_THREES = [(61, 700, 13), (130, 225, 300), (95, 97, 193), (257, 64, 96)]
"""Beyond the rows and outputs that are taken at once."""


def test_panel_delta_is_rows_times_matrix(kernels):
    rng = np.random.default_rng(9)
    for m, n, batch in [*THREES, *NO_ROWS, *MORE_THREES]:
        x = Sheet(integers(rng, batch, n), kernels.dtype)
        w = Sheet(integers(rng, n, m), kernels.dtype, fill=np.nan)
        z = Sheet(np.zeros((batch, m)), kernels.dtype, fill=CANARY)
        kernels.panel_delta(z(), z.stride, x(), x.stride, w(), w.stride, batch, n, m)
        z.assert_holds(x.matrix @ w.matrix, written=round_up(m), case=(m, n, batch))


def test_panel_delta_writes_zeros_beyond_the_last_column_up_to_a_whole_vector(kernels):
    for m in (1, 15, 17, 31, 70, 129):
        x, w = Sheet(np.ones((5, 9)), kernels.dtype), Sheet(np.ones((9, m)), kernels.dtype)
        z = Sheet(np.zeros((5, m)), kernels.dtype, fill=CANARY)
        kernels.panel_delta(z(), z.stride, x(), x.stride, w(), w.stride, 5, 9, m)
        whole = -(-m // kernels.lanes) * kernels.lanes
        assert (z.wide[:, m:whole] == 0).all()


def room(kernels):
    """For deltas on their way, as an engine has it for every worker."""
    return Sheet(np.zeros((1, 96 * 512 // np.dtype(kernels.dtype).itemsize)), kernels.dtype)()


def test_panel_gradient_is_transposed_deltas_times_rows(kernels):
    rng, turns = np.random.default_rng(10), itertools.cycle([1, 0, 0, 1])
    for n, n_out, batch in [*THREES, *NO_ROWS, *MORE_THREES]:
        x = Sheet(integers(rng, batch, n), kernels.dtype, fill=np.nan)
        delta, start = Sheet(integers(rng, batch, n_out), kernels.dtype), integers(rng, n_out, n)
        accumulate = next(turns)
        g = Sheet(start, kernels.dtype, fill=CANARY)
        g.wide[:, n : round_up(n)] = 0
        case = n, n_out, batch, accumulate
        kernels.panel_gradient(
            g(), g.stride, delta(), delta.stride, x(), x.stride, room(kernels), batch, n, n_out,
            accumulate,
        )  # fmt: skip
        assert not g.wide[:, n : round_up(n)].any(), f"padding is not zero; {case}"
        expected = accumulate * start + delta.matrix.T @ x.matrix
        g.assert_holds(expected, written=round_up(n), case=case)


def test_panel_gradient_adds_the_rows_in_their_order(kernels):
    """So the bits of two calls are those of one."""
    rng = np.random.default_rng(11)
    x = Sheet(rng.normal(size=(230, 70)), kernels.dtype)
    delta = Sheet(rng.normal(size=(230, 300)), kernels.dtype)
    found = []
    for bounds in ((0, 230), (0, 1, 100, 230)):
        g = Sheet(np.zeros((300, 70)), kernels.dtype)
        for k, (begin, end) in enumerate(itertools.pairwise(bounds)):
            kernels.panel_gradient(
                g(), g.stride, delta()[begin * delta.stride :], delta.stride,
                x()[begin * x.stride :], x.stride, room(kernels), end - begin, 70, 300, int(k > 0)
            )  # fmt: skip
        found.append(g.matrix.copy())
    np.testing.assert_array_equal(*found)


def sparse_rows(rng, n_rows, n, dtype):
    """Small integers in random places, some twice; every fourth row is empty.

    Values and columns of rows that nobody asks for are wrong on purpose: before and behind.
    """
    lengths = rng.integers(0, min(n, 9) + 1, n_rows)
    lengths[::4] = 0
    begin = 3 + np.concatenate([[0], np.cumsum(lengths)])
    values = np.full(begin[-1] + 5, np.nan, dtype)
    columns = np.full(begin[-1] + 5, -(10**9), np.int32)
    values[3 : begin[-1]] = integers(rng, begin[-1] - 3)
    columns[3 : begin[-1]] = rng.integers(0, n, begin[-1] - 3)
    inside = slice(3, begin[-1])
    dense = scipy.sparse.csr_array((values[inside], columns[inside], begin - 3), (n_rows, n))
    return values, columns, begin, dense.toarray()


# --- Sparse rows ----------------------------------------------------------------------------------


def test_sparse_product_is_sparse_rows_times_matrix(kernels):
    rng = np.random.default_rng(18)
    for n, m, batch in THREES + NO_ROWS:
        values, columns, begin, dense = sparse_rows(rng, batch + 3, n, kernels.dtype)
        right = Sheet(integers(rng, n, m), kernels.dtype)
        for index, rows in two_indices(rng, batch + 3, batch):
            z = Sheet(np.zeros((batch, m)), kernels.dtype, fill=CANARY)
            kernels.sparse_product(
                z(), z.stride, values, columns, begin, index, right(), right.stride, batch, m
            )
            expected = dense[rows] @ right.matrix
            z.assert_holds(expected, written=round_up(m), case=(n, m, batch, index is None))


def test_compact_columns_numbers_the_columns_that_occur(kernels):
    rng = np.random.default_rng(19)
    for n in (1, 63, 64, 65, 500):
        for n_values in (0, 1, 7, n, 3 * n):
            columns = rng.integers(0, n, n_values, dtype=np.int32)
            touched = np.full(min(n, n_values) + 1, -7, np.int32)
            places = np.full(n_values + 1, -7, np.int32)
            marks, ranks = np.zeros(-(-n // 64), np.uint64), np.empty(-(-n // 64), np.int32)
            found = kernels.compact_columns(touched, places, marks, ranks, columns, n_values, n)
            occurring, expected = np.unique(columns, return_inverse=True)
            assert touched.tolist()[:found] == occurring.tolist()
            assert set(touched[found:]) == {-7}
            assert places.tolist() == [*expected, -7] and not marks.any()


def test_gather_columns_is_the_transposed_matrix_of_these_columns(kernels):
    rng = np.random.default_rng(24)
    for n, m in TWOS:
        w = Sheet(rng.normal(size=(m, n)), kernels.dtype)
        touched = np.flatnonzero(rng.random(n) < 0.4).astype(np.int32)
        out = Sheet(np.zeros((len(touched), m)), kernels.dtype, fill=CANARY)
        kernels.gather_columns(out(), out.stride, w(), w.stride, touched, len(touched), m)
        whole = -(-m // kernels.lanes) * kernels.lanes
        assert not out.wide[:, m:whole].any()
        out.assert_holds(w.matrix.T[touched], written=whole, case=(n, m))


class Transposed:
    """Sparse rows by column, as `sparse_transpose` writes them."""

    def __init__(self, kernels, rng, n, batch, index=None):
        source = batch if index is None else int(index.max(initial=-1)) + 1
        self.source = sparse_rows(rng, source, n, kernels.dtype)
        values, columns, begin, dense = self.source
        self.dense = dense[slice(batch) if index is None else index]
        n_values = np.diff(begin)[slice(batch) if index is None else index].sum()
        self.touched = np.full(min(n, n_values) + 1, -7, np.int32)
        self.starts = np.full(min(n, n_values) + 2, -7)
        self.rows = np.full(n_values + 1, -7, np.int32)
        self.values = np.full(n_values + 1, CANARY, kernels.dtype)
        self.places, self.marks = np.zeros(n, np.intp), np.zeros(-(-n // 64), np.uint64)
        self.n_touched = kernels.sparse_transpose(
            self.touched, self.starts, self.rows, self.values, self.places, self.marks,
            values, columns, begin, index, batch, n,
        )  # fmt: skip
        self.n_values = n_values

    def from_column(self, first):
        """The arguments of a kernel that begins in a column."""
        skipped = np.searchsorted(self.touched[: self.n_touched], first)
        return self.touched[skipped:], self.starts[skipped:], self.n_touched - skipped


def test_sparse_transpose_sorts_values_by_column_and_keeps_the_order_of_their_rows(kernels):
    rng = np.random.default_rng(20)
    for n, batch in [*TWOS, (17, 0), (64, 3)]:
        for index in (None, rng.integers(0, batch + 3, batch)):
            x = Transposed(kernels, rng, n, batch, index)
            values, columns, begin, _ = x.source
            order = range(batch) if index is None else index
            expected = sorted(
                (columns[k], row, position, values[k])
                for row, source in enumerate(order)
                for position, k in enumerate(range(begin[source], begin[source + 1]))
            )
            found = np.repeat(x.touched[: x.n_touched], np.diff(x.starts[: x.n_touched + 1]))
            assert found.tolist() == [column for column, *_ in expected]
            assert x.rows.tolist() == [row for _, row, *_ in expected] + [-7]
            assert x.values[: x.n_values].tolist() == [value for *_, value in expected]
            assert (x.values[x.n_values :] == CANARY).all()
            assert x.touched[x.n_touched :].tolist() == [-7] * (len(x.touched) - x.n_touched)
            assert not x.places.any() and not x.marks.any()


def test_sparse_gradient_is_transposed_rows_times_deltas(kernels):
    rng, turns = np.random.default_rng(21), itertools.cycle([1, 0, 0, 1])
    for n, m, batch in THREES + NO_ROWS:
        x = Transposed(kernels, rng, n, batch)
        delta, start = Sheet(integers(rng, batch, m), kernels.dtype), integers(rng, n, m)
        for first, n_columns in ((0, n), (n // 3, n // 2)):
            accumulate = next(turns)
            g = Sheet(start[first : first + n_columns], kernels.dtype, fill=CANARY)
            kernels.sparse_gradient(
                g(), g.stride, first, n_columns, *x.from_column(first), x.rows, x.values,
                delta(), delta.stride, m, accumulate,
            )  # fmt: skip
            expected = accumulate * start + x.dense.T @ delta.matrix
            case = n, m, batch, first, accumulate
            g.assert_holds(expected[first : first + n_columns], written=round_up(m), case=case)


def test_sparse_step_changes_the_columns_that_occur_and_no_other(kernels):
    rng = np.random.default_rng(22)
    for n, m, batch in THREES + NO_ROWS:
        x = Transposed(kernels, rng, n, batch)
        delta, w = (Sheet(integers(rng, size, m), kernels.dtype) for size in (batch, n))
        w.wide[...] = np.nan_to_num(w.wide)
        delta.wide[...] = np.nan_to_num(delta.wide)
        new = Sheet(np.full((n, m), CANARY), kernels.dtype, stride=w.stride, fill=CANARY)
        finite = kernels.sparse_step(
            new(), w(), w.stride, x.touched, x.starts, x.n_touched, x.rows, x.values,
            delta(), delta.stride, m, 0.5, 0.25,
        )  # fmt: skip
        expected = w.matrix - 0.5 * (0.25 * (x.dense.T @ delta.matrix))
        others = np.setdiff1d(np.arange(n), x.touched[: x.n_touched])
        expected[others] = CANARY
        assert finite == 1 and (new.wide[others] == CANARY).all()
        new.assert_holds(expected, written=round_up(m), case=(n, m, batch))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_sparse_step_reports_a_new_weight_that_is_not_finite(kernels, value):
    rng = np.random.default_rng(23)
    for m in (1, 15, 70, 200):
        for place in {0, m // 2, m - 1}:
            x = Transposed(kernels, rng, 30, 9)
            delta, w = (Sheet(np.ones((size, m)), kernels.dtype) for size in (9, 30))
            delta.wide[:, m:] = w.wide[:, m:] = 0
            w.matrix[x.touched[x.n_touched // 2], place] = value
            new = Sheet(np.zeros((30, m)), kernels.dtype)
            arguments = (
                new(), w(), w.stride, x.touched, x.starts, x.n_touched, x.rows, x.values,
                delta(), delta.stride, m, 0.5, 0.25,
            )  # fmt: skip
            assert kernels.sparse_step(*arguments) == 0, (m, place)
            w.matrix[...] = np.finfo(kernels.dtype).max / 2
            assert kernels.sparse_step(*arguments) == 1


# --- Element-wise passes --------------------------------------------------------------------------


def close_to(function, epsilon):
    """The normal distribution of gelu has an absolute error; its tail has a test of its own."""
    return dict(
        rtol=8 * epsilon if function == "gelu" else 4 * epsilon,
        atol=4 * epsilon if function == "gelu" else 0.0,
    )


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_bias_activation_is_the_function_of_the_sum_and_zero_in_the_padding(kernels, function):
    """With slopes of gelu and silu where they are wanted, and of no other function."""
    rng = np.random.default_rng(5)
    for i, (n_out, batch) in enumerate([*TWOS, (70, 0)]):
        stride = n_out if i % 3 == 0 else round_up(n_out) + 16
        bias = Sheet(rng.normal(size=stride), kernels.dtype) if i % 2 else None
        a, slope = (
            Sheet(2 * rng.normal(size=(batch, n_out)), kernels.dtype, stride=stride, fill=CANARY)
            for _ in range(2)
        )
        untouched = slope.matrix.copy()
        z = (a.matrix + (bias.matrix[:, :n_out] if bias else 0)).astype(float)
        wanted = bool(i % 4 < 3)
        kernels.bias_activation(
            a(),
            slope() if wanted else None,
            stride,
            bias and bias(),
            n_out,
            batch,
            FUNCTIONS[function],
        )
        case = n_out, batch, stride, wanted
        assert not a.wide[:, n_out:].any()
        a.assert_holds(
            reference.FUNCTIONS[function](z),
            **close_to(function, kernels.epsilon),
            written=stride,
            case=case,
        )
        if wanted and function in SLOPED:
            expected = reference.DERIVATIVES[function](z, None)
            close = 8 * kernels.epsilon
            slope.assert_holds(expected, rtol=close, atol=close, written=stride, case=case)
        else:
            slope.assert_holds(untouched, case=case)


@pytest.mark.parametrize("function, limits, ulp", [
    ("sigmoid", (0.0, 1.0), 4), ("tanh", (-1.0, 1.0), 4), ("relu", (0.0, np.inf), 0),
    ("identity", (-np.inf, np.inf), 0), ("leaky_relu", (-np.inf, np.inf), 1),
    ("elu", (-1.0, np.inf), 4), ("selu", (-1.7580993408473766, np.inf), 4),
    ("softplus", (0.0, np.inf), 4), ("gelu", (0.0, np.inf), 128), ("silu", (0.0, np.inf), 8),
])  # fmt: skip
def test_bias_activation_keeps_tails_and_huge_sums_and_nan(kernels, function, limits, ulp):
    z = np.concatenate([-np.geomspace(1e-6, 12, 200), np.geomspace(1e-6, 12, 200)])
    huge = np.array([-1e30, -1e4, 1e4, 1e30, np.nan])
    z = np.concatenate([z, huge]).astype(kernels.dtype)
    a = Sheet(z, kernels.dtype)
    slope = Sheet(np.zeros(z.size), kernels.dtype)
    kernels.bias_activation(a(), slope(), z.size, None, z.size, 1, FUNCTIONS[function])
    found, expected = a.matrix[0, :-5], reference.FUNCTIONS[function](z[:-5].astype(float))
    np.testing.assert_allclose(found, expected, rtol=ulp * kernels.epsilon)
    low, high = (
        limit if np.isfinite(limit) else reference.FUNCTIONS[function](z[-5:-1].astype(float))[i]
        for limit, i in zip(limits, (slice(0, 2), slice(2, 4)), strict=True)
    )
    np.testing.assert_allclose(a.matrix[0, -5:-3], low, rtol=kernels.epsilon)
    np.testing.assert_allclose(a.matrix[0, -3:-1], high, rtol=kernels.epsilon)
    assert np.isnan(a.matrix[0, -1])
    if function in SLOPED:
        np.testing.assert_array_equal(slope.matrix[0, -5:], [0, 0, 1, 1, np.nan])


NEARLY_ONE = 1 - 2**-53


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_dropout_multiplies_activations_and_slopes_by_the_mask(kernels, function):
    """Whole rows, padding included; the slopes of gelu and silu are there already."""
    rng = np.random.default_rng(14)
    keys = itertools.cycle([0, 1, 2**63 + 12345, 2**64 - 3])
    for i, (n, batch) in enumerate([*TWOS[::2], (70, 0)]):
        key, first_row, rate = next(keys), (0, 64, 10**6)[i % 3], (0.0, 0.1, 0.5, NEARLY_ONE)[i % 4]
        z = 2 * rng.normal(size=(batch, n))
        z[rng.uniform(size=z.shape) < 0.1] = 0
        a = Sheet(reference.FUNCTIONS[function](z), kernels.dtype, fill=CANARY)
        slope = Sheet(rng.normal(size=z.shape), kernels.dtype, fill=CANARY)
        a.wide[:, n:] = slope.wide[:, n:] = 0
        mask = reference.dropout_mask(key, first_row, batch, n, rate).astype(kernels.dtype)
        expected = a.matrix * mask
        if function in SLOPED:
            slopes = slope.matrix * mask
        else:
            slopes = reference.DERIVATIVES[function](None, a.matrix.astype(float)) * mask
        kernels.dropout(a(), slope(), a.stride, batch, FUNCTIONS[function], rate, key, first_row)
        case, close = (n, batch, key, first_row, rate), 8 * kernels.epsilon
        assert not a.wide[:, n:].any()
        a.assert_holds(expected, written=a.stride, case=case)
        slope.assert_holds(slopes, rtol=close, atol=close, written=slope.stride, case=case)


def test_dropout_draws_by_the_published_hashes(kernels):
    """SplitMix64 of key and row, Wellons' lowbias32 of that and the column, in whole numbers."""

    def split_mix(z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    def low_bias(x):
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        return x ^ x >> 16

    golden = 0x9E3779B97F4A7C15
    assert split_mix(golden) == 0xE220A8397B1DCDAF  # the first number of SplitMix64 from seed 0
    a, slope = (Sheet(np.ones((5, 64)), kernels.dtype, stride=64) for _ in range(2))
    kernels.dropout(a(), slope(), 64, 5, FUNCTIONS["identity"], 0.25, golden - 3, 1)
    row_keys = [split_mix(golden - 3 + row) % 2**32 for row in range(1, 6)]
    drawn = [[low_bias((key + j * 0x9E3779B9) % 2**32) for j in range(64)] for key in row_keys]
    kept = (np.array(drawn) >= 2**30) * np.array(4 / 3, kernels.dtype)
    assert 0 < np.count_nonzero(kept) < kept.size
    np.testing.assert_array_equal(a.matrix, kept)
    np.testing.assert_array_equal(slope.matrix, kept)


@pytest.mark.parametrize("function", [name for name in ACTIVATIONS if name not in SLOPED])
def test_activation_backward_multiplies_by_the_derivative(kernels, function):
    rng = np.random.default_rng(6)
    for n in [0, *SIZES, 5003]:
        z = rng.normal(size=n)
        z[: n // 8] = 0
        a = Sheet(reference.FUNCTIONS[function](z), kernels.dtype)
        delta = Sheet(rng.normal(size=n), kernels.dtype, fill=CANARY)
        before, outputs = delta.matrix.astype(float), a.matrix.astype(float)
        kernels.activation_backward(delta(), a(), None, n, FUNCTIONS[function])
        expected = before * reference.DERIVATIVES[function](None, outputs)
        delta.assert_holds(expected, rtol=4 * kernels.epsilon, atol=8 * kernels.epsilon, case=n)


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_activation_backward_with_slopes_does_not_look_at_the_activations(kernels, function):
    rng = np.random.default_rng(15)
    for n in [0, *SIZES]:
        slope = Sheet(integers(rng, n), kernels.dtype)
        delta = Sheet(rng.normal(size=n), kernels.dtype, fill=CANARY)
        expected = delta.matrix * slope.matrix
        kernels.activation_backward(delta(), None, slope(), n, FUNCTIONS[function])
        delta.assert_holds(expected, case=n)


def test_column_sums_are_sums_over_the_rows(kernels):
    rng = np.random.default_rng(7)
    for n, batch in [*TWOS, (70, 0)]:
        delta = Sheet(integers(rng, batch, n), kernels.dtype)
        start = integers(rng, n)
        for accumulate in (0, 1):
            found = Sheet(start, kernels.dtype, fill=CANARY)
            kernels.column_sums(found(), delta(), delta.stride, n, batch, accumulate)
            expected = accumulate * start + delta.matrix.sum(axis=0)
            found.assert_holds(expected, case=(n, batch, accumulate))


@pytest.mark.parametrize("function", OUTPUT_FUNCTIONS)
def test_output_activation_is_the_function_of_the_sum(kernels, function):
    rng = np.random.default_rng(8)
    for n_out, batch in [*TWOS, (70, 0)]:
        bias = Sheet(rng.normal(size=n_out), kernels.dtype)
        a = Sheet(2 * rng.normal(size=(n_out, batch)), kernels.dtype, fill=CANARY)
        z = (a.matrix + bias.matrix.T).astype(float)
        expected = reference.FUNCTIONS[function](z)
        kernels.output_activation(a(), a.stride, bias(), n_out, batch, FUNCTIONS[function], 0)
        cancelled = 16 * kernels.epsilon if function == "increasing" else 0.0
        a.assert_holds(
            expected, rtol=(16 + n_out) * kernels.epsilon, atol=cancelled, case=(n_out, batch)
        )


def test_output_activation_of_huge_sums_is_a_softmax_without_overflow(kernels):
    sums = np.array([[800.0, -800.0, 1e30], [801.0, -801.0, -1e30], [799.0, -800.0, 1e30]])
    a, bias = Sheet(sums, kernels.dtype), Sheet(np.zeros(3), kernels.dtype)
    kernels.output_activation(a(), a.stride, bias(), 3, 3, _core.FUNCTIONS["softmax"], 0)
    e = np.exp(-1)
    expected = np.array([[e, 1, 1], [1, e, 0], [e * e, 1, 1]]) / [1 + e + e * e, 2 + e, 2]
    np.testing.assert_allclose(a.matrix, expected, rtol=8 * kernels.epsilon)


@pytest.mark.parametrize(
    "output, loss",
    [
        ("sigmoid", "log_loss"),
        ("softmax", "cross_entropy"),
        ("identity", "squared_error"),
        ("exponential", "poisson"),
        ("increasing", "quantile"),
    ],
)
def test_outputs_of_training_and_prediction_have_the_same_bits(kernels, output, loss):
    rng, n_out = np.random.default_rng(11), 5
    bias = Sheet(rng.normal(size=n_out), kernels.dtype)
    levels = Sheet(np.linspace(0.1, 0.9, n_out), kernels.dtype)
    for batch in (1, 7, 64, 150):
        z = 3 * rng.normal(size=(n_out, batch))
        trained, predicted = (Sheet(z, kernels.dtype) for _ in range(2))
        y, delta = (Sheet(rng.uniform(size=z.shape), kernels.dtype) for _ in range(2))
        kernels.output_loss(
            trained(),
            delta(),
            read_struct("fm_totals")(),
            bias(),
            y(),
            None,
            levels(),
            trained.stride,
            n_out,
            batch,
            FUNCTIONS[output],
            LOSSES[loss],
        )
        kernels.output_activation(
            predicted(), predicted.stride, bias(), n_out, batch, FUNCTIONS[output], 0
        )
        np.testing.assert_array_equal(trained.matrix, predicted.matrix)


def loss_object(name, n_out):
    """The loss with numbers that are its own for every output."""
    levels = np.linspace(0.05, 0.9, n_out)
    return {"huber": Huber(0.3), "quantile": Quantile(tuple(levels))}.get(name, Loss(name))


def targets_for(rng, expected, loss, z):
    """Targets of all kinds, but none within a rounding error of a kink that is not hit exactly."""
    y = rng.uniform(0.05, 0.95, expected.shape)
    if loss in ("absolute_error", "huber", "quantile"):
        y = expected + rng.choice([-1, 1], expected.shape) * rng.uniform(0.01, 2, expected.shape)
    seldom = rng.uniform(size=expected.shape) < 0.1
    if loss in ("absolute_error", "quantile") and np.array_equal(expected, z):
        y[seldom] = z[seldom]
    elif loss not in ("gamma", "huber", "quantile"):
        y[seldom] = rng.integers(0, 2, expected.shape)[seldom]
    return y


def assert_totals(found, expected, before, close, case):
    """Sums of losses and errors, and exact ones of weights (multiples of 1/4) and n_correct."""
    found = np.array([getattr(found, name) for name in ("loss", "error", "weight", "n_correct")])
    np.testing.assert_allclose(
        (found - before)[:2], expected[:2], rtol=close, atol=close, err_msg=str(case)
    )
    np.testing.assert_array_equal((found - before)[2:], expected[2:], str(case))


@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
def test_output_loss_gives_activations_deltas_and_totals(kernels, output, loss):
    rng = np.random.default_rng(9)
    for n_out, batch in OUTPUT_SHAPES:
        chosen = loss_object(loss, n_out)
        twin = ReferenceEngine((1, n_out), (output,), chosen, kernels.dtype)
        numbers = chosen.parameters(n_out)
        parameters = None if numbers is None else Sheet(numbers, kernels.dtype)
        bias = Sheet(rng.uniform(-1, 1, n_out), kernels.dtype)
        a = Sheet(rng.uniform(-1, 1, (n_out, batch)), kernels.dtype, fill=CANARY)
        delta = Sheet(np.zeros((n_out, batch)), kernels.dtype, fill=CANARY)
        z = (a.matrix + bias.matrix.T).astype(float)
        expected = reference.FUNCTIONS[output](z)
        y = Sheet(targets_for(rng, expected, loss, z), kernels.dtype)
        weights = Sheet(rng.integers(0, 9, batch) / 4, kernels.dtype)
        w = weights if (n_out + batch) % 3 else None
        totals = read_struct("fm_totals")(1, 2, 3, 4)
        kernels.output_loss(
            a(),
            delta(),
            totals,
            bias(),
            y(),
            w and w(),
            parameters and parameters(),
            a.stride,
            n_out,
            batch,
            FUNCTIONS[output],
            LOSSES[loss],
        )

        case, close = (n_out, batch), (64 + 4 * n_out) * kernels.epsilon
        w, y = None if w is None else w.matrix[0].astype(float), y.matrix.astype(float)
        if (output, loss) == ("softmax", "log_loss"):  # it clips at the epsilon of its precision
            expected = expected.astype(kernels.dtype)
        assert_totals(totals, twin.totals(z, expected, y, w), (1, 2, 3, 4), close, case)
        deltas = reference.output_delta(expected, y, output, loss, twin.loss_parameters)
        delta.assert_holds(deltas * (1 if w is None else w), rtol=close, atol=close, case=case)
        a.assert_holds(expected, rtol=close, atol=close, case=case)


@pytest.mark.parametrize("output, loss", PAIRS, ids=PAIR_IDS)
def test_output_loss_of_nan_is_nan_wherever_it_is(kernels, output, loss):
    """Otherwise a divergence would go on unseen."""
    for n_out, batch in [(1, 1), (3, 17), (3, 130)]:
        for row, sample in {(0, 0), (n_out - 1, batch - 1), (n_out // 2, batch // 2)}:
            a = Sheet(np.zeros((n_out, batch)), kernels.dtype)
            a.matrix[row, sample] = np.nan
            delta, y = (Sheet(np.full((n_out, batch), 0.5), kernels.dtype) for _ in range(2))
            bias = Sheet(np.zeros(n_out), kernels.dtype)
            numbers = loss_object(loss, n_out).parameters(n_out)
            parameters = None if numbers is None else Sheet(numbers, kernels.dtype)
            totals = read_struct("fm_totals")()
            kernels.output_loss(
                a(),
                delta(),
                totals,
                bias(),
                y(),
                None,
                parameters and parameters(),
                a.stride,
                n_out,
                batch,
                FUNCTIONS[output],
                LOSSES[loss],
            )
            assert np.isnan(totals.loss), (n_out, batch, row, sample)
            others = np.delete(delta.matrix, sample, axis=1)
            assert np.isfinite(others).all()


def test_output_loss_of_finite_losses_has_a_finite_sum_and_infinity_passes(kernels):
    largest = float(np.finfo(kernels.dtype).max)
    for difference, good in [(np.sqrt(largest), True), (2 * np.sqrt(largest), False)]:
        a = Sheet(np.full((3, 200), difference), kernels.dtype)
        delta, y = (Sheet(np.zeros((3, 200)), kernels.dtype) for _ in range(2))
        bias, weights = Sheet(np.zeros(3), kernels.dtype), Sheet(np.full(200, 4), kernels.dtype)
        totals = read_struct("fm_totals")()
        kernels.output_loss(a(), delta(), totals, bias(), y(), weights(), None, a.stride, 3, 200,
                            FUNCTIONS["identity"], LOSSES["squared_error"])  # fmt: skip
        assert np.isfinite(totals.loss) == good
        assert totals.weight == 800


@pytest.mark.parametrize("function", OUTPUTS_OF_LOSS["own"])
def test_output_backward_takes_a_gradient_through_the_output_function(kernels, function):
    """With the error and the n_correct, but no loss: whoever made the gradient knows it."""
    rng = np.random.default_rng(16)
    for n_out, batch in OUTPUT_SHAPES:
        twin = ReferenceEngine((1, n_out), (function,), Loss("squared_error"), kernels.dtype)
        a = Sheet(reference.FUNCTIONS[function](rng.normal(size=(n_out, batch))), kernels.dtype)
        y = Sheet(rng.uniform(size=(n_out, batch)), kernels.dtype)
        delta = Sheet(rng.normal(size=(n_out, batch)), kernels.dtype, fill=CANARY)
        w = Sheet(rng.integers(0, 9, batch) / 4, kernels.dtype) if (n_out + batch) % 3 else None
        gradient, outputs = delta.matrix.astype(float), a.matrix.astype(float)
        totals = read_struct("fm_totals")(1, 2, 3, 4)
        kernels.output_backward(
            delta(), a(), totals, y(), w and w(), a.stride, n_out, batch, FUNCTIONS[function]
        )
        case, close = (n_out, batch), (16 + 4 * n_out) * kernels.epsilon
        w = None if w is None else w.matrix[0].astype(float)
        expected = twin.totals(outputs, outputs, y.matrix.astype(float), w)
        assert_totals(totals, (0.0, *expected[1:]), (1, 2, 3, 4), close, case)
        delta.assert_holds(
            reference.through_output(gradient, outputs, function), rtol=close, atol=close, case=case
        )
        np.testing.assert_array_equal(a.matrix, outputs)


# --- Update ---------------------------------------------------------------------------------------

OPTIMIZERS = {
    "FM_PLAIN": SGD(),
    "FM_ONE_STEP": SGD(0.7, "one_step"),
    "FM_CLASSICAL": SGD(0.7, "classical"),
    "FM_NESTEROV": SGD(0.7, "nesterov"),
    "FM_ADAM": AdamW(beta_1=0.8, beta_2=0.95, epsilon=0.01, weight_decay=0.3),
    "FM_RMSPROP": RMSprop(rho=0.9, epsilon=0.01, momentum=0.6),
}
RATE, STEP = 0.3, 3


def make_rule(kind, **numbers):
    """What the engine hands to the kernel for step number STEP."""
    rule = read_struct("fm_rule")(
        kind=read_enum("fm_kind")[kind],
        learning_rate=RATE,
        gradient_scale=1.0,
        root_scale=1.0,
        keep=1.0,
    )
    optimizer = OPTIMIZERS[kind]
    for name in ("momentum", "beta_1", "beta_2", "epsilon"):
        setattr(rule, name, getattr(optimizer, name, 0.0))
    if isinstance(optimizer, RMSprop):
        rule.beta_2 = optimizer.rho
    if isinstance(optimizer, Adam):
        rule.learning_rate /= 1 - optimizer.beta_1**STEP
        rule.root_scale = (1 - optimizer.beta_2**STEP) ** -0.5
        rule.keep = 1 - RATE * optimizer.weight_decay
    for name, number in numbers.items():
        setattr(rule, name, number)
    return rule


class Update:
    """Arrays of one call of the kernel."""

    def __init__(self, kernels, n_rows, n_cols, n_lanes=1, seed=0):
        rng = np.random.default_rng(seed)
        shape, dtype = (n_rows, n_cols), kernels.dtype
        self.kernels, self.shape, self.n_lanes = kernels, shape, n_lanes
        self.w = Sheet(rng.normal(size=shape), dtype)
        self.w.matrix[rng.uniform(size=shape) < 0.1] = 0  # sign(0) is 0
        self.new = Sheet(np.zeros(shape), dtype, fill=CANARY)
        self.states = [Sheet(rng.uniform(0.5, 1.5, shape), dtype, fill=CANARY) for _ in range(2)]
        self.lanes = Sheet(rng.normal(size=(n_lanes * n_rows, n_cols)), dtype)

    def gradient(self):
        lanes = self.lanes.matrix.astype(float)
        return lanes.reshape(self.n_lanes, *self.shape).sum(axis=0)

    def run(self, kind, penalized, rule):
        self.penalty = np.array([5.0])
        n_states = 0 if kind == "FM_PLAIN" else OPTIMIZERS[kind].n_states
        states = [s() if i < n_states else None for i, s in enumerate(self.states)]
        return self.kernels.update(
            self.new(),
            self.w(),
            *states,
            self.lanes(),
            self.shape[0] * self.w.stride,
            self.n_lanes,
            self.w.stride,
            *self.shape,
            rule,
            penalized,
            self.penalty,
        )


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_update_is_one_step_of_the_optimizer(kernels, kind):
    """With the ordered sum of the lanes, scaled, and with l1 and l2 but for biases."""
    assert set(OPTIMIZERS) == set(read_enum("fm_kind"))
    l1, l2, scale = 0.1, 0.2, 0.25
    for i, (n_cols, n_rows) in enumerate([*TWOS, (300, 2), (17, 0)]):
        if n_cols * n_rows > 9_000:  # 500 meets 17 at most
            continue
        penalized, n_lanes = i % 3 != 0, (1, 2, 3, 8)[i % 4]
        update = Update(kernels, n_rows, n_cols, n_lanes, seed=i)
        case = n_cols, n_rows, penalized, n_lanes
        rule = make_rule(kind, l1=l1, l2=l2, l1_cost=0.7, l2_cost=0.4, gradient_scale=scale)
        w = update.w.matrix.astype(float)
        states = np.array([s.matrix.astype(float) for s in update.states])
        assert update.run(kind, penalized, rule) == 1

        gradient = scale * update.gradient()
        cost = 5.0
        if penalized:
            gradient += l2 * w + l1 * np.sign(w)
            cost += 0.4 / 2 * (w**2).sum() + 0.7 * np.abs(w).sum()
        reference.apply_optimizer(OPTIMIZERS[kind], w, states, gradient, RATE, STEP)
        if kind == "FM_PLAIN":
            states[0] = update.states[0].matrix
        close = 16 * kernels.epsilon
        assert update.penalty[0] == pytest.approx(cost, rel=close), case
        update.new.assert_holds(w, rtol=close, atol=close, case=case)
        for found, expected in zip(update.states, states, strict=True):
            found.assert_holds(expected, rtol=close, atol=close, case=case)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_update_reports_a_new_weight_that_is_not_finite_wherever_it_is(kernels, kind, value):
    for n_cols in (1, 15, 17, 129, 300):
        for column in {0, n_cols // 2, n_cols - 1}:
            update = Update(kernels, 3, n_cols)
            update.lanes.matrix[1, column] = value
            assert update.run(kind, 1, make_rule(kind)) == 0, (n_cols, column)


def test_update_reports_a_penalty_that_is_not_finite_but_not_one_that_nobody_asked_for(kernels):
    for l1_cost, l2_cost, good in [(0.0, 0.0, 1), (0.0, 1e-30, 0), (1e-30, 0.0, 0)]:
        update = Update(kernels, 2, 31)
        update.w.matrix[...] = np.finfo(kernels.dtype).max / 16
        rule = make_rule("FM_PLAIN", l1_cost=l1_cost, l2_cost=l2_cost)
        assert update.run("FM_PLAIN", 1, rule) == good
        update = Update(kernels, 2, 31)
        update.w.matrix[...] = np.finfo(kernels.dtype).max / 16
        assert update.run("FM_PLAIN", 0, rule) == 1


def test_gradient_squares_are_those_of_the_gradient_of_an_update(kernels):
    l1, l2, scale = 0.1, 0.2, 0.25
    for i, (n_cols, n_rows) in enumerate([*TWOS, (300, 2), (17, 0)]):
        penalized, n_lanes = i % 3 != 0, (1, 2, 3, 8)[i % 4]
        if n_cols * n_rows > 9_000:
            continue
        update = Update(kernels, n_rows, n_cols, n_lanes, seed=i)
        rule = make_rule("FM_PLAIN", l1=l1, l2=l2, l1_cost=9.0, l2_cost=9.0, gradient_scale=scale)
        found = kernels.gradient_squares(
            update.w(),
            update.lanes(),
            n_rows * update.w.stride,
            n_lanes,
            update.w.stride,
            n_rows,
            n_cols,
            rule,
            penalized,
        )
        w, gradient = update.w.matrix.astype(float), scale * update.gradient()
        if penalized:
            gradient += l2 * w + l1 * np.sign(w)
        close = 16 * kernels.epsilon
        assert found == pytest.approx((gradient**2).sum(), rel=close, abs=close), (n_cols, n_rows)


def test_gradient_squares_overflow_later_than_the_working_precision(kernels):
    """A gradient that is finite in float32 has a finite length, so that it can be clipped."""
    update = Update(kernels, 2, 31)
    update.lanes.matrix[...] = 1e30
    found = kernels.gradient_squares(
        update.w(), update.lanes(), 0, 1, update.w.stride, 2, 31, make_rule("FM_PLAIN"), 0
    )
    assert found == pytest.approx(62e60, rel=1e-6)
    update.lanes.matrix[1, 30] = np.nan
    assert np.isnan(
        kernels.gradient_squares(
            update.w(), update.lanes(), 0, 1, update.w.stride, 2, 31, make_rule("FM_PLAIN"), 0
        )
    )


# --- Copies ---------------------------------------------------------------------------------------


def test_transpose_padded_repeats_the_last_row_at_most(kernels):
    for n_rows, n in [*TWOS, (0, 17)]:
        x = Sheet(np.arange(n_rows * n).reshape(n_rows, n), kernels.dtype)
        out = Sheet(np.zeros((n, n_rows)), kernels.dtype, fill=CANARY)
        kernels.transpose_padded(out(), out.stride, x(), x.stride, n_rows, n)
        beyond = out.wide[:, n_rows : round_up(n_rows)]
        assert ((beyond == CANARY) | (beyond == x.matrix[-1:].T)).all(), (n_rows, n)
        out.assert_holds(x.matrix.T, written=round_up(n_rows), case=(n_rows, n))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_all_finite_finds_one_number_anywhere(kernels, value):
    largest = np.finfo(kernels.dtype).max
    for n in (0, 1, 7, 15, 16, 17, 31, 64, 500):
        x = np.full(n + 1, -largest, kernels.dtype)[1:]  # misaligned; huge numbers are finite
        assert kernels.all_finite(x, n) == 1
        for place in {0, n // 2, n - 1} if n else ():
            x[...] = largest
            x[place] = value
            assert kernels.all_finite(x, n) == 0


def test_multiply_adds_halve_and_add_one_in_as_many_numbers_as_they_say(kernels):
    for n_rounds in (0, 1, 7):
        sums = np.full(193, CANARY, kernels.dtype)
        sums[:192] = np.arange(192) * 128
        start = sums.copy()
        width = kernels.multiply_adds(sums, n_rounds)
        assert 0 < width <= 192 and width % 12 == 0
        fixed = 2 + (start[:width] - 2) / 2**n_rounds  # of s = s / 2 + 1, whose rest is 2
        np.testing.assert_array_equal(sums[:width], fixed)
        np.testing.assert_array_equal(sums[width:], start[width:])


def test_gather_rows_copies_rows_beside_zeros(kernels):
    rng = np.random.default_rng(10)
    for n, batch in [*TWOS, (17, 0)]:
        x = Sheet(rng.normal(size=(batch + 3, n)), kernels.dtype, stride=n)
        for index, rows in two_indices(rng, batch + 3, batch):
            for stride in (n, round_up(n) + 16):
                out = Sheet(np.zeros((batch, n)), kernels.dtype, stride=stride, fill=CANARY)
                kernels.gather_rows(out(), stride, x(), index, batch, n)
                assert not out.wide[:, n:].any()
                out.assert_holds(x.matrix[rows], written=stride, case=(n, batch))


def test_scatter_rows_writes_sparse_rows_between_zeros(kernels):
    rng = np.random.default_rng(17)
    for n, batch in [*TWOS, (17, 0)]:
        values, columns, begin, dense = sparse_rows(rng, batch + 3, n, kernels.dtype)
        for index, rows in two_indices(rng, batch + 3, batch):
            for stride in (n, round_up(n) + 16):
                out = Sheet(np.zeros((batch, n)), kernels.dtype, stride=stride, fill=CANARY)
                kernels.scatter_rows(out(), stride, values, columns, begin, index, batch)
                assert not out.wide[:, n:].any()
                out.assert_holds(dense[rows], written=stride, case=(n, batch))


def test_scatter_rows_adds_values_of_the_same_place(kernels):
    values = np.array([1.0, 2.0, 4.0, 8.0], kernels.dtype)
    out = Sheet(np.zeros((2, 3)), kernels.dtype, stride=3, fill=CANARY)
    columns = np.array([1, 1, 0, 1], np.int32)
    kernels.scatter_rows(out(), 3, values, columns, np.array([0, 2, 4]), None, 2)
    out.assert_holds([[0, 3, 0], [4, 8, 0]], written=3)


def test_gather_transposed_copies_rows_to_columns(kernels):
    rng = np.random.default_rng(11)
    for n, batch in [*TWOS, (17, 0)]:
        x = Sheet(rng.normal(size=(batch + 3, n)), kernels.dtype, stride=n)
        for index, rows in two_indices(rng, batch + 3, batch):
            out = Sheet(np.zeros((n, batch)), kernels.dtype, fill=CANARY)
            kernels.gather_transposed(out(), out.stride, x(), index, batch, n)
            out.assert_holds(x.matrix[rows].T, case=(n, batch))


def test_scatter_transposed_copies_columns_to_rows_in_c_order(kernels):
    rng = np.random.default_rng(12)
    for n, batch in [*TWOS, (17, 0)]:
        a = Sheet(rng.normal(size=(n, batch)), kernels.dtype)
        out = Sheet(np.zeros((batch, n)), kernels.dtype, stride=n, fill=CANARY)
        kernels.scatter_transposed(out(), a(), a.stride, batch, n)
        out.assert_holds(a.matrix.T, case=(n, batch))


@pytest.mark.parametrize("name", APPLIED)
def test_apply_functions_work_in_place_and_write_nothing_else(kernels, name):
    rng = np.random.default_rng(13)
    for n in [0, *SIZES]:
        x = Sheet(rng.uniform(0.5 if name == "log" else -3, 3, n), kernels.dtype)
        expected = APPLIED[name](x.matrix.astype(float))
        out = Sheet(np.zeros(n), kernels.dtype, fill=CANARY)
        apply = getattr(kernels, f"apply_{name}")
        apply(out(), x(), n)
        apply(x(), x(), n)
        np.testing.assert_array_equal(x.matrix, out.matrix)
        out.assert_holds(expected, rtol=4 * kernels.epsilon, atol=kernels.epsilon / 4, case=n)
