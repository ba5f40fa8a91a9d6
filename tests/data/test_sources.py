"""Sources of arrays, sequences and series, and what is made of them, against NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import csr_matrix, random_array
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fastmlp import DataFormatError
from fastmlp import data as d

RNG = np.random.default_rng(0)
X = RNG.integers(0, 255, (50, 4), dtype=np.uint8)
LABELS = RNG.integers(0, 3, 50)
WEIGHTS = RNG.random(50)


class Table:
    """Rows that are made when they are asked for."""

    def __init__(self, *columns):
        self.columns = columns

    def __len__(self):
        return len(self.columns[0])

    def __getitem__(self, rows):
        parts = tuple(column[rows] for column in self.columns)
        return parts if len(parts) > 1 else parts[0]


def memory_map(folder, array):
    mapped = np.memmap(folder / "rows", array.dtype, "w+", shape=array.shape)
    mapped[:] = array
    return mapped


def same(rows, x, y, weights=None):
    found = rows.X.toarray() if hasattr(rows.X, "tocsr") else rows.X
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(rows.y, y)
    assert (rows.weights is None) == (weights is None)
    if weights is not None:
        np.testing.assert_array_equal(rows.weights, weights)
    return True


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float16", "float32", "int64"])
def test_arrays_keep_their_type_and_are_not_copied(dtype):
    x = (X > 99).astype(dtype)
    source = d.ArraySource(x, LABELS, WEIGHTS)
    rows = source.read(10, 20)
    assert same(rows, x[10:20], LABELS[10:20], WEIGHTS[10:20])
    assert np.shares_memory(rows.X, x) and rows.X.dtype == dtype
    chosen = np.array([7, 3, 3])
    assert same(source.take(chosen), x[chosen], LABELS[chosen], WEIGHTS[chosen])
    assert (len(source), source.n_features, source.n_outputs) == (50, 4, 1)
    assert source.can_take and source.has_weights and not source.is_sparse


def test_images_are_flattened():
    images = X.reshape(50, 2, 2)
    assert same(d.ArraySource(images, LABELS).read(0, 50), X, LABELS)


def test_memory_maps_are_read_block_by_block(tmp_path):
    x = memory_map(tmp_path, np.zeros((5000, 100)))
    source = d.ArraySource(x, np.zeros(5000))
    assert not source.can_take
    assert np.diff(source.blocks).max() * 800 <= 2**20
    assert not d.ArraySource(x[10:, :3], np.zeros(4990)).can_take
    assert np.shares_memory(source.read(3, 9).X, x)


def test_sparse_matrices_are_read_as_csr():
    matrix = random_array((50, 9), density=0.2, random_state=1)
    source = d.ArraySource(matrix, LABELS)
    assert source.is_sparse and same(source.read(5, 9), matrix.toarray()[5:9], LABELS[5:9])


@pytest.mark.parametrize("sequence, parts", [
    (d.SequenceSource(Table(X), LABELS), (X, LABELS)),
    (d.SequenceSource(Table(X), LABELS, WEIGHTS), (X, LABELS, WEIGHTS)),
    (d.SequenceSource(Table(X, LABELS)), (X, LABELS)),
    (d.SequenceSource(Table(X, LABELS, WEIGHTS), block_rows=7), (X, LABELS, WEIGHTS)),
], ids=["X", "X, y, weights", "pairs", "triples"])  # fmt: skip
def test_objects_with_slices_are_sources(sequence, parts):
    assert same(sequence.read(13, 31), *(part[13:31] for part in parts))
    np.testing.assert_array_equal(sequence.read_targets(2, 5), LABELS[2:5])


def test_a_sequence_that_changes_its_form_is_refused_with_its_rows():
    class Changing(Table):
        def __getitem__(self, rows):
            x, y = super().__getitem__(rows)
            return (x[:, :3] if rows.start >= 20 else x), y

    with pytest.raises(DataFormatError, match=r"rows\[20:30\]: expected X of shape \(10, 4\)"):
        d.SequenceSource(Changing(X, LABELS)).read(20, 30)

    class Weighted(Table):
        def __getitem__(self, rows):
            return super().__getitem__(rows)[: 2 + (rows.start < 20)]

    with pytest.raises(DataFormatError, match=r"rows\[20:30\]: expected a sample weight per row"):
        d.SequenceSource(Weighted(X, LABELS, WEIGHTS)).read(20, 30)


@pytest.mark.parametrize("width, horizon", [(1, 1), (5, 1), (3, 4)])
@pytest.mark.parametrize("target", [None, 1])
def test_windows_are_those_of_numpy(width, horizon, target):
    source = d.windows(X, width, horizon, target=target)
    n = len(X) - width - horizon + 1
    x = sliding_window_view(X, width, axis=0)[:n].swapaxes(1, 2).reshape(n, -1)
    wanted = X if target is None else X[:, target : target + 1]
    y = sliding_window_view(wanted, horizon, axis=0)[width:].swapaxes(1, 2).reshape(n, -1)
    assert len(source) == n and (source.n_features, source.n_outputs) == (x.shape[1], y.shape[1])
    assert same(source.read(0, n), x, y) and same(source.read(4, 9), x[4:9], y[4:9])
    assert source.read(0, 3).X.dtype == np.uint8


def test_windows_say_where_in_the_series_a_number_is():
    source = d.windows(X, 5, 2, target=1)
    assert source.locate(10, "X", 4 * 3 + 2) == "series, row 13, column 2"
    assert source.locate(10, "y", 1) == "series, row 16"


def test_a_concatenation_reads_across_its_parts():
    parts = [
        d.ArraySource(X[:20], LABELS[:20]),
        d.ArraySource(X[20:23], LABELS[20:23], WEIGHTS[20:23]),
        d.SequenceSource(Table(X[23:]), LABELS[23:], block_rows=10),
    ]
    source = d.concatenate(parts)
    weights = np.ones(50)
    weights[20:23] = WEIGHTS[20:23]
    assert same(source.read(0, 50), X, LABELS, weights)
    assert same(source.read(19, 24), X[19:24], LABELS[19:24], weights[19:24])
    assert source.blocks.tolist() == [0, 20, 23, 33, 43, 50]
    np.testing.assert_array_equal(source.read_targets(18, 30), LABELS[18:30])
    assert source.locate(22, "X", 1) == "sources[1], X, row 2, column 1"


def test_a_concatenation_of_sparse_sources_is_sparse():
    matrix = csr_matrix(X)
    source = d.concatenate([d.ArraySource(matrix, LABELS), d.ArraySource(matrix, LABELS)])
    rows = np.r_[45:50, :5]
    assert source.is_sparse and same(source.read(45, 55), X[rows], LABELS[rows])


def test_one_hot_targets_of_different_classes_are_not_joined():
    one, other = (d.one_hot(d.ArraySource(X, LABELS % 2 + first)) for first in (0, 1))
    wrapped = d.scaled(d.concatenate([other]), d.fit_scaler(other))
    for source in (other, wrapped):
        with pytest.raises(
            ValueError, match=r"sources\[1\] must have the classes .*, \[0, 1\]; got \[1, 2\]"
        ):
            d.concatenate([one, source])
    by_hand = d.ArraySource(X, np.eye(2, dtype=np.uint8)[LABELS % 2])
    for source in (d.scaled(one, d.fit_scaler(one)), d.split(one, 0.2)[0], by_hand):
        assert len(d.concatenate([one, source])) == 50 + len(source)


def test_targets_in_a_column_join_those_without():
    source = d.concatenate([d.ArraySource(X, LABELS), d.ArraySource(X, LABELS[:, np.newaxis])])
    expected = np.r_[LABELS[45:], LABELS[:5]]
    np.testing.assert_array_equal(source.read(45, 55).y, expected)
    np.testing.assert_array_equal(source.read_targets(45, 55), expected)


def test_a_scaler_is_fitted_in_one_pass(monkeypatch):
    monkeypatch.setattr("fastmlp.data.source.PIECE_BYTES", 8 * 5 * 7)  # seven rows at once
    x = RNG.normal(5, 3, (50, 4)).astype(np.float32)
    source = d.ArraySource(x, LABELS)
    fitted, expected = d.fit_scaler(source), StandardScaler().fit(x.astype(float))
    np.testing.assert_allclose(fitted.mean_, expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(fitted.scale_, expected.scale_, rtol=1e-6)
    rows = d.scaled(source, fitted).read(5, 9)
    np.testing.assert_array_equal(rows.X, fitted.transform(x[5:9]))
    assert rows.X.dtype == np.float32


def test_a_scaler_weights_rows_and_can_be_another():
    weighted = d.fit_scaler(d.ArraySource(X, LABELS, WEIGHTS))
    np.testing.assert_allclose(weighted.mean_, np.average(X, axis=0, weights=WEIGHTS), rtol=1e-6)
    scaler = MinMaxScaler()
    source = d.ArraySource(X, LABELS)
    assert d.fit_scaler(source, scaler) is scaler
    expected = MinMaxScaler().fit(X).transform(X[[4, 2]].astype("float32"))
    assert same(d.scaled(source, scaler).take(np.array([4, 2])), expected, LABELS[[4, 2]])


@pytest.mark.parametrize("scaler", [None, StandardScaler()], ids=["", "given"])
def test_parts_without_weight_do_not_count_for_a_scaler(scaler):
    weights = np.where(np.arange(50) < 20, 0, WEIGHTS)
    source = d.SequenceSource(Table(X, LABELS, weights), block_rows=10)
    fitted, expected = (
        d.fit_scaler(source, scaler),
        StandardScaler().fit(X[20:], None, WEIGHTS[20:]),
    )
    np.testing.assert_allclose(fitted.mean_, expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(fitted.var_, expected.var_, rtol=1e-6)


def test_a_scaler_of_rows_without_weight_is_refused():
    class Weightless(d.ArraySource):
        def read(self, begin, end):
            rows = super().read(begin, end)
            return rows._replace(weights=np.zeros(end - begin))

    with pytest.raises(ValueError, match=r"source must have a row with a .*; all 50 are zero"):
        d.fit_scaler(Weightless(X, LABELS))


def test_a_scaler_may_return_frames():
    pytest.importorskip("pandas")
    scaler = StandardScaler().set_output(transform="pandas").fit(X)
    rows = d.scaled(d.ArraySource(X, LABELS), scaler).read(3, 9)
    assert type(rows.X) is np.ndarray
    np.testing.assert_allclose(rows.X, (X[3:9] - X.mean(axis=0)) / X.std(axis=0), rtol=1e-5)


def test_sparse_rows_are_scaled_without_a_mean():
    source = d.ArraySource(csr_matrix(X), LABELS)
    scaled = d.scaled(source, d.fit_scaler(source))
    np.testing.assert_allclose(scaled.read(0, 50).X.toarray(), X / X.std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("labels", [LABELS, LABELS > 1, LABELS.astype(float),
                                    np.array(["no", "yes", "why"])[LABELS]],
                         ids=["integers", "booleans", "floats", "strings"])  # fmt: skip
def test_labels_become_one_hot(labels):
    source = d.one_hot(d.ArraySource(X, labels))
    classes, codes = np.unique(labels, return_inverse=True)
    np.testing.assert_array_equal(source.classes, classes)
    one_hot = np.eye(len(classes))[codes]
    assert same(source.read(3, 44), X[3:44], one_hot[3:44])
    assert same(source.take(np.array([9, 1])), X[[9, 1]], one_hot[[9, 1]])
    np.testing.assert_array_equal(source.read_targets(3, 9), one_hot[3:9])
    assert source.n_outputs == len(classes)


def test_classes_can_be_given_and_others_are_refused_with_their_row():
    source = d.one_hot(d.ArraySource(X, LABELS), classes=[2, 0, 1, 7])
    assert source.classes.tolist() == [0, 1, 2, 7]
    row = int(np.flatnonzero(LABELS == 2)[0])
    with pytest.raises(DataFormatError, match=rf"y, row {row}, column 0: .* classes 0, 1, found 2"):
        d.one_hot(d.ArraySource(X, LABELS), classes=[0, 1]).read(0, 50)


def test_numbers_that_are_no_labels_are_refused_with_their_place():
    with pytest.raises(DataFormatError, match=r"y, row 0, column 0, and 49 rows after it: y must"):
        d.find_classes(d.ArraySource(X, LABELS + 0.5))


def test_what_cannot_be_scaled_is_refused_with_its_place():
    broken = X.astype(float)
    broken[7, 2] = np.nan
    with pytest.raises(DataFormatError, match="X, row 7, column 2: expected a finite number"):
        d.fit_scaler(d.ArraySource(broken, LABELS))
    with pytest.raises(DataFormatError, match="X, row 7, column 2: expected a finite number"):
        d.fit_scaler(d.ArraySource(csr_matrix(broken), LABELS))

    class Words:
        def __len__(self):
            return 3

        def __getitem__(self, rows):
            return np.ones((3, 2))[rows], np.ones(3)[rows]

        def transform(self, x):
            return x[:, :1]

    with pytest.raises(DataFormatError, match=r"scaler.transform must return .* \(3, 2\)"):
        d.scaled(d.SequenceSource(Words()), Words()).read(0, 3)


SOURCES = [
    d.ArraySource(X, LABELS, WEIGHTS),
    d.ArraySource(csr_matrix(X), LABELS),
    d.SequenceSource(Table(X, LABELS)),
    d.windows(X, 3, 2),
    d.concatenate([d.ArraySource(X, LABELS), d.SequenceSource(Table(X), LABELS)]),
    d.scaled(d.ArraySource(X, LABELS), StandardScaler().fit(X)),
    d.one_hot(d.ArraySource(X, LABELS)),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_copies_and_pickles_are_the_same_source(source):
    for copied in (copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
        assert copied.fingerprint == source.fingerprint
    assert "sha256:" in source.fingerprint
    assert source.blocks[0] == 0 and source.blocks[-1] == len(source)
    begins, ends = zip(*source.pieces(), strict=True)
    assert begins == (0, *ends[:-1]) and ends[-1] == len(source)


def test_a_fingerprint_notices_other_rows_types_and_lengths():
    changed = X.copy()
    changed[49, 0] ^= 1
    sources = [
        d.ArraySource(X, LABELS), d.ArraySource(X[:-1], LABELS[:-1]),
        d.ArraySource(changed, LABELS), d.ArraySource(X.astype("int16"), LABELS),
        d.ArraySource(X, LABELS, WEIGHTS),
        d.ArraySource(X, LABELS.astype(str)), d.ArraySource(X[:, :3], LABELS),
        d.windows(X, 3, 2), d.windows(X, 2, 3), d.one_hot(d.ArraySource(X, LABELS)),
    ]  # fmt: skip
    assert len({source.fingerprint for source in sources}) == len(sources)


def test_rows_of_a_source_without_single_rows_cannot_be_taken():
    with pytest.raises(NotImplementedError, match="WindowSource reads rows in their order"):
        d.windows(X, 3).take(np.array([1]))


NO_SOURCE = "must be a source of fastmlp.data, such as ArraySource"
ONE = d.ArraySource(X, LABELS)
TWO = d.ArraySource(X, np.stack([LABELS, LABELS], 1))


@pytest.mark.parametrize("make, error, message", [
    (lambda: d.ArraySource(X[:0], LABELS[:0]), ValueError, "X must have at least one row"),
    (lambda: d.ArraySource(X[0], LABELS), ValueError, "X must have 2 dimensions"),
    (lambda: d.ArraySource(X.astype(str), LABELS), TypeError, "X must be real numbers"),
    (lambda: d.ArraySource(csr_matrix(X.astype(complex)), LABELS), TypeError, "X must be real"),
    (lambda: d.ArraySource(X, LABELS[1:]), ValueError, "X and y must have the same number of rows"),
    (lambda: d.ArraySource(X, X[:, :, None]), ValueError, r"y must have shape \(rows,\) or"),
    (lambda: d.ArraySource(X, LABELS.astype("M8[s]")), TypeError, "y must be real numbers or"),
    (lambda: d.ArraySource(X, LABELS, WEIGHTS[1:]), ValueError, r"sample_weight must have shape"),
    (lambda: d.ArraySource(X, LABELS, 0 * WEIGHTS), ValueError, "must have a positive weight; all"),
    (lambda: d.SequenceSource(3), TypeError, "rows must be an object with __len__"),
    (lambda: d.SequenceSource("rows"), TypeError, "rows must be an object with __len__"),
    (lambda: d.SequenceSource(np.array(1)), TypeError, r"rows must have a length; got array\(1\)"),
    (lambda: d.SequenceSource([]), ValueError, "rows must have at least one row; got 0"),
    (lambda: d.SequenceSource(Table(X, LABELS, WEIGHTS, X)), TypeError,
     r"rows\[0:1\] must be X or a tuple \(X, y\) or .* got a tuple of length 4"),
    (lambda: d.SequenceSource(Table(X), sample_weight=WEIGHTS), ValueError, "sample_weight needs"),
    (lambda: d.SequenceSource(Table(X), LABELS, block_rows=0), ValueError, "block_rows must be"),
    (lambda: d.windows(X[:, :, None], 3), ValueError, r"series must have shape \(n,\) or"),
    (lambda: d.windows(X, 0), ValueError, "width must be at least 1"),
    (lambda: d.windows(X, 1, 0), ValueError, "horizon must be at least 1"),
    (lambda: d.windows(X, 49, 2), ValueError, r"series must have at least width \+ horizon = 51"),
    (lambda: d.windows(X, 3, target=4), ValueError, "target must be from 0 to 3; got 4"),
    (lambda: d.concatenate([]), ValueError, "sources must have at least one source"),
    (lambda: d.concatenate(3), TypeError, "sources must be a sequence of sources"),
    (lambda: d.concatenate([ONE, X]), TypeError, r"sources\[1\] must be a Source; got ndarray"),
    (lambda: d.concatenate([ONE, TWO]), ValueError, r"sources\[1\].n_outputs must be 1 .* got 2"),
    (lambda: d.fit_scaler(X), TypeError, f"source {NO_SOURCE}"),
    (lambda: d.fit_scaler(ONE, 3), TypeError, "scaler must have a method partial_fit"),
    (lambda: d.scaled(X, StandardScaler()), TypeError, f"source {NO_SOURCE}"),
    (lambda: d.scaled(ONE, StandardScaler), TypeError, "scaler must have a method transform"),
    (lambda: d.one_hot(X), TypeError, f"source {NO_SOURCE}"),
    (lambda: d.one_hot(TWO), ValueError, "source must have one target per row, its label; got 2"),
    (lambda: d.one_hot(ONE, [1, 1, 2]), ValueError, "classes must be different labels; got 1, 1"),
    (lambda: d.find_classes(TWO), ValueError, "source must have one target per row"),
])  # fmt: skip
def test_wrong_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_numbers_and_strings_are_no_labels_of_one_source():
    both = d.concatenate([d.ArraySource(X, [1] * len(X)), d.ArraySource(X, ["1"] * len(X))])
    with pytest.raises(
        DataFormatError, match=r"sources\[1\], y, row 0, .* numbers.* found strings"
    ):
        d.find_classes(both)


def test_names_of_features_pass_through_what_is_made_of_a_source():
    class Named(d.ArraySource):
        names = "abcd"

        @property
        def feature_names(self):
            return list(self.names)

    named, plain = Named(X, LABELS), d.ArraySource(X, LABELS)
    assert plain.feature_names is None
    for source in (
        d.scaled(named, d.fit_scaler(named)), d.one_hot(named), d.concatenate([plain, named])
    ):  # fmt: skip
        assert source.feature_names == ["a", "b", "c", "d"]

    class Turned(Named):
        names = "bacd"

    with pytest.raises(ValueError, match=r"sources\[1\] must have the features \['a', 'b'"):
        d.concatenate([named, Turned(X, LABELS)])
