"""Predictions for sources: the bits of arrays, window by window, in bounded memory."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from fastmlp import DataFormatError, MLPClassifier, Network
from fastmlp import data as d

RNG = np.random.default_rng(0)
N = 777
X = RNG.standard_normal((N, 5)).astype(np.float32)
NETWORK = Network((5, 7, 3), output="softmax", random_state=0)
EXPECTED = NETWORK.predict(X)


class Rows:
    def __init__(self, x=X):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, rows):
        return self.x[rows]


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of at most 100 rows."""
    monkeypatch.setattr("fastmlp.data.predicting.WINDOW_BYTES", 4 * 5 * 100)


def parquet(folder, columns="abcde", x=X, **others):
    table = pa.table({name: x[:, i] for i, name in enumerate(columns)} | others)
    pq.write_table(table, folder / "rows.parquet", row_group_size=60)
    return folder / "rows.parquet"


@pytest.mark.parametrize("source", [
    d.ArraySource(X),
    d.ArraySource(X.astype(np.float64), np.arange(N)),
    d.SequenceSource(Rows(), block_rows=7),
    d.concatenate([d.ArraySource(X[:10]), d.ArraySource(X[10:])]),
], ids=["array", "float64", "sequence", "concatenation"])  # fmt: skip
def test_outputs_have_the_bits_of_an_array(source, small_windows):
    found = d.predict(NETWORK, source)
    assert found.tobytes() == EXPECTED.tobytes()
    assert d.predict(NETWORK, source, n_threads=2).tobytes() == EXPECTED.tobytes()


@pytest.mark.parametrize("n_rows", [1, 5, 20, 21, 100, 101, 119, 120, 121, 399, 405, N])
def test_no_row_is_multiplied_in_another_way_because_it_is_in_the_last_window(
    n_rows, small_windows
):
    found = d.predict(NETWORK, d.ArraySource(X[:n_rows]))
    assert found.tobytes() == NETWORK.predict(X[:n_rows]).tobytes()


def test_sparse_rows_are_predicted_sparse(small_windows):
    sparse = csr_matrix(np.where(X > 1, X, 0))
    found = d.predict(NETWORK, d.ArraySource(sparse))
    assert found.tobytes() == NETWORK.predict(sparse).tobytes()


def test_a_file_needs_no_targets(tmp_path, small_windows):
    path = parquet(tmp_path)
    source = d.ParquetSource(path)
    assert source.n_outputs == 0 and source.read(3, 9).y.shape == (6, 0)
    np.testing.assert_array_equal(d.predict(NETWORK, source), EXPECTED)
    np.testing.assert_array_equal(d.predict(NETWORK, d.ArrowSource(pq.read_table(path))), EXPECTED)
    scaled = d.scaled(source, d.fit_scaler(source))
    mean, deviation = X.astype(float).mean(0), X.astype(float).std(0)
    np.testing.assert_allclose(
        d.predict(NETWORK, scaled), NETWORK.predict((X - mean) / deviation), rtol=1e-4
    )


def test_outputs_can_be_written_into_a_memory_map(tmp_path, small_windows):
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (N, 3))
    assert d.predict(NETWORK, d.ArraySource(X), out=out) is out
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), EXPECTED)


def test_two_windows_are_in_memory_and_never_more(tmp_path):
    n_rows = 40_000
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (n_rows, 800))  # 128 MB
    network = Network((800, 2, 1), random_state=0)
    out = np.empty((n_rows, 1), np.float32)
    d.predict(network, d.ArraySource(x[:100]), out=out[:100])
    gc.collect()
    tracemalloc.start()
    d.predict(network, d.ArraySource(x), out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45e6
    assert threading.active_count() == 1 or "fastmlp-reader" not in {
        thread.name.split("_")[0] for thread in threading.enumerate()
    }


def test_what_is_wrong_with_rows_is_named_with_its_place(tmp_path, small_windows):
    x = X.copy()
    x[700, 2] = np.nan
    source = d.ParquetSource(parquet(tmp_path, x=x))
    with pytest.raises(DataFormatError, match=r"row group 11, row 40, column 'c': .* found NaN"):
        d.predict(NETWORK, source)

    class Short(Rows):
        def __getitem__(self, rows):
            return self.x[rows][: 3 if rows.start else None]

    with pytest.raises(DataFormatError, match=r"expected X of shape"):
        d.predict(NETWORK, d.SequenceSource(Short(), block_rows=100))

    class Targets(d.ArraySource):
        def read(self, begin, end):
            rows = super().read(begin, end)
            return rows._replace(y=rows.y[:-1])

    with pytest.raises(DataFormatError, match="expected 100 targets, found 99"):
        d.predict(NETWORK, Targets(X[:100], X[:100, 0]))


@pytest.mark.parametrize("make, error, message", [
    (lambda: d.predict(MLPClassifier(), d.ArraySource(X)), TypeError,
     "network must be a fastmlp.Network; got .*model.predict"),
    (lambda: d.predict(NETWORK, X), TypeError, "source must be a source of fastmlp.data"),
    (lambda: d.predict(NETWORK, d.ArraySource(X[:, :4])), ValueError,
     "source must have 5 features, as many as the network has inputs; got 4"),
    (lambda: d.predict(NETWORK, d.ArraySource(X), out=np.empty((N, 3))), ValueError,
     r"out must be a writeable C-ordered float32 array of \(777, 3\); got"),
    (lambda: d.predict(NETWORK, d.ArraySource(X), out=3), ValueError, "out must be a writeable"),
    (lambda: d.predict(NETWORK, d.ArraySource(X), n_threads=0), ValueError, "n_threads must be"),
    (lambda: d.ArraySource(X, sample_weight=X[:, 0]), ValueError, "sample_weight needs y: rows"),
    (lambda: d.ArrowSource(pa.table({"a": [1.0]}), sample_weight="a"), ValueError,
     "sample_weight needs target: rows without"),
    (lambda: NETWORK.predict(d.ArraySource(X)), TypeError,
     "X must be an array; got ArraySource, a source, which fastmlp.data.predict"),
])  # fmt: skip
def test_wrong_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
