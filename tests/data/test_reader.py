"""The reader of windows: two buffers, one thread ahead, checked rows."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from fastmlp import DataFormatError
from fastmlp import data as d
from fastmlp.data.reader import Format, WindowReader

RNG = np.random.default_rng(0)
X = RNG.integers(0, 9, (100, 3)).astype(np.int16)
Y = RNG.random(100)
FORMAT = Format(np.dtype("float32"), 3, 1, "log_loss", (0.0, 1.0))


class Table:
    """Rows that note when, and in which thread, they are read."""

    def __init__(self):
        self.reads = []

    def __len__(self):
        return len(X)

    def __getitem__(self, rows):
        self.reads.append((rows.start, threading.current_thread().name))
        return X[rows], Y[rows]


def reader(source=None, window_rows=20, **changes):
    return WindowReader(source or d.SequenceSource(Table(), block_rows=10), FORMAT, 10, window_rows)


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastmlp-reader")]


@pytest.mark.parametrize("given, rows", [(20, 20), (29, 20), (3, 10), (1000, 100), (None, 100)])
def test_a_window_is_a_multiple_of_the_batch(given, rows):
    assert reader(window_rows=given).window_rows == rows


def test_windows_are_the_rows_in_the_type_of_the_network():
    parts = [(w.rows.x.copy(), w.rows.y.copy()) for w in reader().windows(None)]
    x, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert x.dtype == y.dtype == np.float32 and y.shape == (100, 1)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y[:, 0], Y.astype(np.float32))


def test_the_next_window_is_read_by_a_thread_while_one_is_in_use():
    table = Table()
    windows = reader(d.SequenceSource(table, block_rows=10)).windows(None)
    table.reads.clear()
    next(windows)
    for _ in range(1000):
        if any(begin >= 30 for begin, _ in table.reads):
            break
        threading.Event().wait(0.01)
    assert [begin for begin, _ in table.reads] == [0, 10, 20, 30]  # a window ahead, not two
    assert all(name.startswith("fastmlp-reader") for _, name in table.reads)
    windows.close()
    assert readers() == []


def test_there_are_two_buffers_which_take_turns():
    windows = list(reader().windows(None))
    assert [np.shares_memory(windows[0].rows.x, w.rows.x) for w in windows] == [1, 0, 1, 0, 1]


def test_a_single_window_is_read_once():
    table = Table()
    one = reader(d.SequenceSource(table), 100)
    table.reads.clear()
    first, second = next(one.windows(1)), next(one.windows(2))
    assert first.rows.x is second.rows.x and len(table.reads) == 1
    assert first.order.tolist() != second.order.tolist() and readers() == []


def test_windows_before_the_first_and_after_the_end_are_left_out():
    begins = [window.begin for window in reader().windows(5, first=45, end=61)]
    assert begins == [40, 60]
    assert list(reader().windows(5, first=100)) == []  # an epoch whose batches are all done


@pytest.mark.parametrize("sparse", [False, True])
def test_single_rows_come_in_the_order_of_an_array(sparse):
    x = csr_matrix(X) if sparse else X
    source = d.ArraySource(x, Y, Y)
    whole = next(WindowReader(source, FORMAT, 10, 100).windows(9))
    for window in WindowReader(source, FORMAT, 10, 30).windows(9):
        rows = whole.order[window.begin : window.begin + window.n_rows]
        assert window.order is None
        np.testing.assert_array_equal(window.rows.x[:], X[rows])
        np.testing.assert_array_equal(window.rows.weights, Y.astype(np.float32)[rows])


def test_the_first_rows_are_no_part_of_a_buffer():
    head = reader().first_rows(7)
    np.testing.assert_array_equal(head, X[:7])


def test_an_error_of_the_thread_arrives_and_the_thread_ends():
    class Broken(Table):
        def __getitem__(self, rows):
            if rows.start >= 60:
                raise OSError("the disk is gone")
            return super().__getitem__(rows)

    windows = reader(d.SequenceSource(Broken(), block_rows=10)).windows(None)
    assert [next(windows).begin for _ in range(3)] == [0, 20, 40]
    with pytest.raises(OSError, match="the disk is gone"):
        next(windows)
    assert readers() == []


class Own(d.Source):
    """A user's source, which returns what it is told to."""

    n_features, n_outputs, blocks, has_weights = 3, 1, np.array([0, 50, 100]), True

    def __init__(self, change=lambda rows: rows, **attributes):
        self.change = change
        vars(self).update(attributes)

    def __len__(self):
        return 100

    def read(self, begin, end):
        return self.change(d.SourceRows(X[begin:end], Y[begin:end], Y[begin:end]))


def error(_):
    raise KeyError("table 7")


@pytest.mark.parametrize("change, message", [
    (lambda rows: rows._replace(X=rows.X[:1]), r"X of shape \(\d+, 3\), found \(1, 3\)"),
    (lambda rows: rows._replace(X=rows.X[:, :1]), r"X of shape \(\d+, 3\), found \(\d+, 1\)"),
    (lambda rows: rows._replace(y=rows.y[:1]), r"y of shape \(\d+, 1\), found \(1,\)"),
    (lambda rows: rows._replace(weights=rows.weights[:1]), r"weights .* found \(1,\)"),
    (lambda rows: rows._replace(weights=None), r"weights of shape \(\d+,\), found None"),
    (lambda rows: rows._replace(X=rows.X.tolist()), "cannot be read: AttributeError.*'list'"),
    (lambda rows: tuple(rows), "cannot be read: AttributeError.*'tuple'"),
    (error, r"X, row \d+, and \d+ other row\(s\) cannot be read: KeyError\('table 7'\)"),
], ids=["row", "column", "target", "weight", "weights", "list", "tuple", "error"])  # fmt: skip
def test_rows_of_another_shape_are_refused_not_repeated(change, message):
    with pytest.raises(DataFormatError, match=message):
        list(reader(Own(change)).windows(3))


@pytest.mark.parametrize("blocks", [[0, 50], [1, 100], [0, 60, 50, 100], []], ids=str)
def test_blocks_must_have_all_rows(blocks):
    with pytest.raises(ValueError, match=r"Own.blocks must rise from 0 to .*, 100; got array\(\["):
        reader(Own(blocks=np.array(blocks)))


def changed(row, column, value, dtype=float):
    x = X.astype(dtype)
    x[row, column] = value
    return x


WRONG_Y, WRONG_WEIGHT = Y.copy(), Y.copy()
WRONG_Y[33], WRONG_WEIGHT[71] = 1.5, -1


@pytest.mark.parametrize("source, message", [
    (d.ArraySource(changed(41, 2, np.nan), Y), "X, row 41, column 2: .* float32 .*, found NaN"),
    (d.ArraySource(changed(41, 2, 1e300), Y), "X, row 41, column 2: .* float32 .* infinity"),
    (d.ArraySource(csr_matrix(changed(41, 2, np.inf)), Y), "X, row 41, column 2: .* found inf"),
    (d.ArraySource(X, WRONG_Y), r"y, row 33, column 0 must lie in \[0, 1\] for loss 'log_loss'"),
    (d.ArraySource(X, Y, WRONG_WEIGHT), "sample_weight, row 71: expected a weight >= 0"),
    (d.ArraySource(X, Y.astype(str)), r"y, row \d+, column 0: expected real numbers, found <U"),
], ids=["nan", "overflow", "sparse", "target", "weight", "text"])  # fmt: skip
@pytest.mark.parametrize("seed", [None, 3])
def test_numbers_that_cannot_be_trained_on_are_named(source, message, seed):
    with pytest.raises(DataFormatError, match=message):
        list(reader(source).windows(seed))


def test_sources_of_other_widths_are_refused_by_name():
    with pytest.raises(ValueError, match=r"X must have 3 features, as many as .* got 2"):
        FORMAT.check("X", d.ArraySource(X[:, :2], Y))
    with pytest.raises(ValueError, match=r"X must have 1 target\(s\) per row, .* got 2$"):
        FORMAT.check("X", d.ArraySource(X, X[:, :2]))
    wide = Format(np.dtype("float32"), 3, 4, "cross_entropy", (0.0, 1.0))
    with pytest.raises(ValueError, match=r"X must have 4 target\(s\) .* got 1: fastmlp.data.one_h"):
        wide.check("X", d.ArraySource(X, Y))
    with pytest.raises(ValueError, match="window_rows must be at least 1; got 0"):
        reader(window_rows=0)


class Weighted(Table):
    """Rows with weights."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def __getitem__(self, rows):
        return *super().__getitem__(rows), self.weights[rows]


def weighted(weights):
    return d.SequenceSource(Weighted(weights), block_rows=10)


def test_a_source_says_how_large_its_windows_are():
    source = d.SequenceSource(Table(), block_rows=10)
    assert d.with_window(source, 33).window_rows == 33 and source.window_rows is None
    scaled = d.scaled(d.with_window(source, 33), d.fit_scaler(source))
    assert reader(scaled, None).window_rows == 30
    assert reader(scaled, 20).window_rows == 20
    assert d.with_window(source, 33).fingerprint != d.with_window(source, 34).fingerprint
    with pytest.raises(ValueError, match="window_rows must be at least 1; got 0"):
        d.with_window(source, 0)
    with pytest.raises(TypeError, match=r"source must be a source of fastmlp\.data"):
        d.with_window(X, 3)


@pytest.mark.parametrize("window_rows", [20, 1000])
@pytest.mark.parametrize("seed", [None, 3])
def test_an_epoch_without_weights_is_refused_with_its_last_window(window_rows, seed):
    zeros, some = np.zeros(100), np.zeros(100)
    seen = []
    with pytest.raises(ValueError, match="must have a positive weight; all 100 are zero"):
        for window in reader(weighted(zeros), window_rows).windows(seed):
            seen.append(window.begin)
    assert seen == list(range(0, 100, window_rows))[:-1]
    some[-1] = 1
    assert list(reader(weighted(some), window_rows).windows(seed))


def test_what_is_left_of_an_epoch_may_have_no_weights():
    assert len(list(reader(weighted(np.zeros(100)), 20).windows(None, first=20))) == 4
