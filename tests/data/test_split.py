"""Parts of a source, of every kind of source and nested, against rows that NumPy selects."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats
from scipy.sparse import csr_matrix
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import Checkpoint, DataFormatError, ResumeError
from fastmlp import data as d
from fastmlp.data.selection import STRATUM_ROWS, Sample, Spans
from fastmlp.engine import _core
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path
from fastmlp.training.checkpoints.keeper import Keeper

RNG = np.random.default_rng(0)
N, STRATUM = 150, 32
X = RNG.integers(0, 255, (N, 4), dtype=np.uint8)
LABELS = RNG.integers(0, 3, N)
WEIGHTS = RNG.random(N)


class Table:
    """Rows that are read in slices, which are noted."""

    def __init__(self, *columns):
        self.columns, self.read = columns, []

    def __len__(self):
        return len(self.columns[0])

    def __getitem__(self, rows):
        self.read.append((rows.start, rows.stop))
        parts = tuple(column[rows] for column in self.columns)
        return parts if len(parts) > 1 else parts[0]


@pytest.fixture(scope="module", autouse=True)
def small():
    """Strata, and what is read at once, of so few rows that the tests have many of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastmlp.data.selection.STRATUM_ROWS", STRATUM)
        patch.setattr("fastmlp.data.source.PIECE_BYTES", 8 * 5 * 9)
        yield


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Functions that make a source of each kind, with its rows as arrays."""
    folder = tmp_path_factory.mktemp("rows")
    columns = {f"x{i}": X[:, i] for i in range(4)}
    table = pa.table(columns | {"y": LABELS, "w": WEIGHTS})
    pq.write_table(table, folder / "rows.parquet", row_group_size=40)
    mapped = np.memmap(folder / "map", np.uint8, "w+", shape=X.shape)
    mapped[:] = X
    names = {"target": "y", "features": list(columns), "sample_weight": "w"}
    scaler = StandardScaler().fit(X)
    windows = sliding_window_view(X, 3, axis=0)[:-1].swapaxes(1, 2).reshape(N - 3, -1)
    weighted, plain = (X, LABELS, WEIGHTS), (X, LABELS, None)
    return {
        "array": (d.ArraySource(*weighted), *weighted),
        "map": (d.ArraySource(mapped, LABELS), *plain),
        "sparse": (d.ArraySource(csr_matrix(X), LABELS), *plain),
        "sequence": (d.SequenceSource(Table(*weighted), block_rows=11), *weighted),
        "parquet": (d.ParquetSource(folder / "rows.parquet", **names), *weighted),
        "table": (d.ArrowSource(table, **names), *weighted),
        "dataset": (d.ArrowSource(ds.dataset(folder / "rows.parquet"), **names), *weighted),
        "windows": (d.windows(X, 3, target=1), windows, X[3:, 1:2], None),
        "scaled": (d.scaled(d.ArraySource(*plain), scaler),
                   scaler.transform(X.astype(np.float32)), LABELS, None),
        "one hot": (d.one_hot(d.ArraySource(*plain)), X, np.eye(3)[LABELS], None),
        "window size": (d.with_window(d.ArraySource(*weighted), 40), *weighted),
    }  # fmt: skip


def held_out(n, fraction, seed):
    """Which of n rows are held out at random, as the documentation says."""
    n_held, mask = math.ceil(fraction * n), np.zeros(n, bool)
    for number, begin in enumerate(range(0, n, STRATUM)):
        end = min(begin + STRATUM, n)
        count = end * n_held // n - begin * n_held // n
        state = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)
        mask[begin + _core.permutation(end - begin, int(state[0]))[:count]] = True
    return mask


def split_arrays(mask, *arrays):
    """Rows to train on, and those held out."""
    return [[None if a is None else a[rows] for a in arrays] for rows in (~mask, mask)]


def same(rows, x, y, weights):
    found = rows.X.toarray() if hasattr(rows.X, "tocsr") else rows.X
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(rows.y, y)
    assert (rows.weights is None) == (weights is None)
    if weights is not None:
        np.testing.assert_array_equal(rows.weights, weights, strict=True)


def is_part(part, x, y, weights):
    """Whether everything that a source has is that of the arrays of its rows."""
    n = len(x)
    assert (len(part), part.n_features) == (n, x.shape[1])
    assert part.blocks[0] == 0 and part.blocks[-1] == n and (np.diff(part.blocks) > 0).all()
    same(part.read(0, n), x, y, weights)
    pieces = [part.read(*piece) for piece in part.pieces()]
    np.testing.assert_array_equal(np.concatenate([rows.y for rows in pieces]), y)
    begin, end = n // 3, max(n // 3 + 1, 2 * n // 3)
    cut = slice(begin, end)
    same(part.read(begin, end), x[cut], y[cut], None if weights is None else weights[cut])
    np.testing.assert_array_equal(part.read_targets(begin, end), y[cut])
    if part.can_take:
        rows = RNG.permutation(n)[: n // 2 + 1]
        same(part.take(rows), x[rows], y[rows], None if weights is None else weights[rows])


KINDS = ["array", "map", "sparse", "sequence", "parquet", "table", "dataset", "windows", "scaled",
         "one hot", "window size"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_every_kind_of_source_are_those_of_numpy(sources, kind):
    source, x, *others = sources[kind]
    n = len(x)
    cases = {
        "random": held_out(n, 0.3, 5),
        "last": np.arange(n) >= n - math.ceil(0.3 * n),
    }
    for how, mask in cases.items():
        parts = d.split(source, 0.3, how=how, random_state=5)
        for part, arrays in zip(parts, split_arrays(mask, x, *others), strict=True):
            is_part(part, *arrays)
            assert part.read(0, 1).X.dtype == source.read(0, 1).X.dtype
            again = pickle.loads(pickle.dumps(part))
            is_part(again, *arrays)
            assert again.fingerprint == part.fingerprint
            assert part.window_rows == source.window_rows and part.is_sparse == source.is_sparse
            assert part.feature_names == source.feature_names
        rows = np.flatnonzero(mask)
        assert parts[1].locate(2, "y", 0) == source.locate(int(rows[2]), "y", 0)


@pytest.mark.parametrize("kind", ["sequence", "parquet", "array"])
def test_whole_blocks_are_held_out(sources, kind):
    source, *arrays = sources[kind]
    n_blocks = len(source.blocks) - 1
    if n_blocks == 1:
        source, n_blocks = d.concatenate([source, source, source]), 3
        arrays = [np.concatenate([a, a, a]) for a in arrays]
    state = np.random.SeedSequence(4, spawn_key=(0,)).generate_state(1, np.uint64)
    chosen = _core.permutation(n_blocks, int(state[0]))[: math.ceil(0.3 * n_blocks)]
    mask = np.isin(np.repeat(np.arange(n_blocks), np.diff(source.blocks)), chosen)
    parts = d.split(source, 0.3, how="blocks", random_state=4)
    for part, expected in zip(parts, split_arrays(mask, *arrays), strict=True):
        is_part(part, *expected)


@st.composite
def nested(draw, depth=3):
    """What is made of sources: a tree of names."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from(["array", "map", "sequence", "parquet", "table"]))
    step = draw(st.sampled_from(["concatenate", "window", "scaled", "split", "split", "split"]))
    below = [draw(nested(depth - 1)) for _ in range(2 if step == "concatenate" else 1)]
    if step != "split":
        return step, below
    return (
        step,
        below,
        draw(st.sampled_from(["random", "last", "blocks"])),
        draw(st.floats(0.05, 0.6)),
        draw(st.integers(0, 2**70)),
        draw(st.integers(0, 1)),
    )


def made(tree, sources):
    """The source of a tree, and its rows as arrays."""
    if isinstance(tree, str):
        return sources[tree]
    step, below, *settings = tree
    source, x, y, weights = made(below[0], sources)
    if step == "concatenate":
        other, *rows = made(below[1], sources)
        if weights is not None or rows[2] is not None:
            weights = np.ones(len(x)) if weights is None else weights
            rows[2] = np.ones(len(rows[0])) if rows[2] is None else rows[2]
            weights = np.concatenate([weights, rows[2]])
        x, y = np.concatenate([x, rows[0]]), np.concatenate([y, rows[1]])
        return d.concatenate([source, other]), x, y, weights
    if step == "window":
        return d.with_window(source, 20), x, y, weights
    if step == "scaled":
        scaler = StandardScaler().fit(X)
        return d.scaled(source, scaler), scaler.transform(x.astype(np.float32)), y, weights
    how, fraction, seed, which = settings
    n, blocks = len(x), source.blocks
    n_units = len(blocks) - 1 if how == "blocks" else n
    if math.ceil(fraction * n_units) == n_units:
        return source, x, y, weights
    if how == "random":
        mask = held_out(n, fraction, seed)
    elif how == "last":
        mask = np.arange(n) >= n - math.ceil(fraction * n)
    else:
        state = np.random.SeedSequence(seed, spawn_key=(0,)).generate_state(1, np.uint64)
        chosen = _core.permutation(n_units, int(state[0]))[: math.ceil(fraction * n_units)]
        mask = np.isin(np.repeat(np.arange(n_units), np.diff(blocks)), chosen)
    part = d.split(source, fraction, how=how, random_state=seed)[which]
    return part, *split_arrays(mask, x, y, weights)[which]


def test_parts_of_what_is_made_of_sources_are_those_of_numpy(sources):
    @given(tree=nested())
    @settings(max_examples=150, derandomize=True, deadline=None)
    def check(tree):
        is_part(*made(tree, sources))

    check()


@given(n=st.integers(2, 200), fraction=st.floats(1e-9, 0.999), seed=st.integers(0, 2**80))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_every_row_is_in_one_part_and_every_stratum_has_its_share(n, fraction, seed):
    n_held = math.ceil(fraction * n)
    if n_held == n:
        with pytest.raises(ValueError, match="leaves nothing to train on"):
            d.split(d.ArraySource(np.zeros((n, 1)), np.arange(n)), fraction, random_state=seed)
        return
    parts = d.split(d.ArraySource(np.zeros((n, 1)), np.arange(n)), fraction, random_state=seed)
    train, held = (part.read(0, len(part)).y for part in parts)
    assert sorted([*train, *held]) == list(range(n)) and len(held) == n_held
    assert (np.diff(train) > 0).all() and (np.diff(held) > 0).all()
    counts = np.bincount(held // STRATUM, minlength=-(-n // STRATUM))
    sizes = np.bincount(np.arange(n) // STRATUM)
    assert (np.abs(counts - sizes * n_held / n) < 1).all()
    # scikit-learn holds out as many rows
    assert n_held == len(train_test_split(np.arange(n), test_size=fraction)[1])


def test_every_row_of_a_stratum_is_held_out_equally_often():
    source = d.ArraySource(np.zeros((2 * STRATUM, 1)), np.arange(2 * STRATUM))
    counts = np.zeros(2 * STRATUM)
    for seed in range(2000):
        _, held = d.split(source, 0.25, random_state=seed)
        counts[held.read(0, len(held)).y] += 1
    assert stats.chisquare(counts).pvalue > 0.001


def test_the_seed_decides_and_blocks_and_files_do_not(sources):
    def rows(kind, seed):
        held = d.split(sources[kind][0], random_state=seed)[1]
        return held.read(0, len(held)).X.tolist()

    assert rows("parquet", 1) == rows("sequence", 1) == rows("array", 1) != rows("array", 2)
    assert rows("array", 0) == d.split(sources["array"][0])[1].read(0, 15).X.tolist()
    assert rows("array", None) != rows("array", None)
    assert rows("array", np.random.default_rng(3)) == rows("array", np.random.default_rng(3))


def test_windows_over_a_series_are_held_out_at_its_end():
    series = np.arange(100.0)
    source = d.windows(series, 5, 3)
    shown = d.scaled(d.with_window(source, 10), StandardScaler().fit(np.zeros((2, 5))))
    for rows in (source, shown, d.concatenate([shown, source])):
        assert rows.is_series and d.split(rows)[0].is_series
        train, held = d.split(rows, 0.2)
        assert held.read(0, 1).X[0, 0] == rows.read(len(train), len(train) + 1).X[0, 0]
    train, held = d.split(source, 0.2, gap=2)
    assert (len(source), len(train), len(held)) == (93, 72, 19)
    assert train.read(71, 72).y.max() < held.read(0, 1).y.min()  # no target is in both
    random = d.split(source, 0.2, how="random")[1]
    assert len(random) == 19 and random.read(0, 1).X[0, 0] < 50


def test_a_fingerprint_says_which_rows_of_equal_ones_these_are():
    rows = d.ArraySource(np.zeros((100, 2)), np.zeros(100))
    ways = [{"random_state": 0}, {"random_state": 1}, {"how": "last"}]
    parts = [part for settings in ways for part in d.split(rows, 0.5, **settings)]
    assert len({part.fingerprint for part in parts}) == 6


# --- What is read


def table(block_rows=11, columns=(X, LABELS)):
    rows = Table(*columns)
    return rows, d.SequenceSource(rows, block_rows=block_rows)


def test_nothing_is_read_before_rows_are():
    rows, source = table()
    rows.read.clear()
    for how in ("random", "blocks", "last"):
        for part in d.split(source, 0.2, how=how):
            assert len(part.blocks) > 1 and part.locate(3)
    assert rows.read == []


@pytest.mark.parametrize("how", ["blocks", "last"])
def test_a_part_of_stretches_reads_no_other_rows(how):
    rows, source = table()
    for part in d.split(source, 0.2, how=how):
        rows.read.clear()
        list(map(lambda piece: part.read(*piece), part.pieces()))
        assert sum(end - begin for begin, end in rows.read) == len(part)


@pytest.mark.parametrize("fraction", [0.02, 0.3])
def test_rows_at_random_are_read_in_pieces_and_each_once(fraction):
    rows, source = table()
    for part in d.split(source, fraction):
        rows.read.clear()
        part.read(0, len(part))
        lengths = [end - begin for begin, end in rows.read]
        assert max(lengths) <= 2 * source.piece_rows < N and sum(lengths) <= N
        assert all(a[1] <= b[0] for a, b in zip(rows.read, rows.read[1:], strict=False))


def test_a_part_of_a_file_opens_a_row_group_once(tmp_path, monkeypatch):
    pq.write_table(pa.table({"a": np.arange(N), "y": LABELS}), tmp_path / "a", row_group_size=50)
    monkeypatch.setattr("fastmlp.data.batches.BATCH_ROWS", 8)
    source = d.ParquetSource(tmp_path / "a", "y")
    opened, real = [], d.ParquetSource._open

    def noted(self, block, names):
        opened.append(block)
        return real(self, block, names)

    monkeypatch.setattr(d.ParquetSource, "_open", noted)
    for part in d.split(source, 0.3):
        opened.clear()
        found = [part.read(*piece).X for piece in part.pieces()]
        assert opened == [0, 1, 2] and len(np.concatenate(found)) == len(part)


def test_rows_that_a_source_does_not_have_are_refused_not_shifted():
    class Longer(d.SequenceSource):
        def read(self, begin, end):
            return super().read(begin, min(end + 1, len(self)))

    source = Longer(Table(X, LABELS))
    with pytest.raises(DataFormatError, match=r"X, row \d+, and .* expected \d+ rows, found \[\d+"):
        d.split(source, 0.3)[0].read(0, 20)


# --- Training


def fitted(*rows, changes=None, n_epochs=2, **arguments):
    network = fastmlp.Network((4, 5, 3), output="softmax", dtype="float32", random_state=0)
    settings = {"optimizer": "adam", "reduction": "mean", "dropout": 0.2, "batch_size": 8}
    trainer = fastmlp.Trainer(network, **settings | (changes or {}), random_state=1)
    history = trainer.fit(*rows, n_epochs=n_epochs, **arguments)
    costs = np.asarray(history["costs"]).tolist()
    return trainer.network.parameters.tobytes(), costs, history.last("val_cost")


def test_a_trainer_has_the_bits_of_the_arrays(sources):
    mask = held_out(N, 0.2, 3)
    (x, labels), (x_val, labels_val) = split_arrays(mask, X.astype(np.float32), LABELS)
    expected = fitted(x, np.eye(3)[labels], validation_data=(x_val, np.eye(3)[labels_val]))
    for kind in ("map", "one hot"):
        rows = sources[kind][0]
        train, held = d.split(rows if kind == "one hot" else d.one_hot(rows), 0.2, random_state=3)
        found = fitted(train, validation_data=held)
        assert found[:2] == expected[:2]
        np.testing.assert_allclose(found[2], expected[2], rtol=1e-6)


@pytest.mark.parametrize("how", ["random", "blocks", "last"])
def test_shards_and_windows_of_a_part_are_those_of_its_rows(how):
    source = d.one_hot(table(block_rows=8)[1])
    train, _ = d.split(source, 0.2, how=how, random_state=3)
    part = train.read(0, len(train))

    class Same(d.SequenceSource):
        @property
        def blocks(self):
            return train.blocks

    again = Same(Table(part.X, part.y))
    for arguments in ({"window_rows": 24}, {"window_rows": 24, "n_shards": 4}):
        assert fitted(train, **arguments)[:2] == fitted(again, **arguments)[:2]


@pytest.mark.parametrize("kind", ["sequence", "array"])
def test_a_run_resumes_in_the_middle_of_a_window(tmp_path, monkeypatch, sources, kind):
    def run(**arguments):
        rows = pickle.loads(pickle.dumps(sources[kind][0]))
        train, held = d.split(d.one_hot(rows), 0.2, random_state=3)
        return fitted(train, validation_data=held, window_rows=32, **arguments)

    expected = run()
    monkeypatch.setattr(Keeper, "batches_to_go", lambda self, epoch: 1)
    assert run(callbacks=[Checkpoint(tmp_path, every="0.000001s", keep=99)]) == expected
    numbers = checkpoint_numbers(tmp_path)
    assert len(numbers) >= 30  # batches, four of them in a window
    for number in numbers[1::7]:
        assert run(resume=checkpoint_path(tmp_path, number)) == expected
    with pytest.raises(ResumeError, match="X was SplitSource"):
        train, _ = d.split(d.one_hot(sources[kind][0]), 0.2, random_state=4)
        fitted(train, window_rows=32, resume=tmp_path)


# --- Selections and wrong arguments


def test_strata_have_65536_rows_as_the_documentation_says():
    assert STRATUM_ROWS == 65_536 and "65,536" in d.split.__doc__


def test_rows_of_strata_of_that_size_can_be_taken(monkeypatch):
    monkeypatch.setattr("fastmlp.data.selection.STRATUM_ROWS", STRATUM_ROWS)
    n = 2 * STRATUM_ROWS + 1
    source = d.ArraySource(np.zeros((n, 1), np.uint8), np.arange(n))
    parts = d.split(source, 0.3)
    taken = [part.take(np.arange(len(part))).y for part in parts]
    np.testing.assert_array_equal(np.sort(np.concatenate(taken)), np.arange(n))
    for part, y in zip(parts, taken, strict=True):
        np.testing.assert_array_equal(part.take(np.array([7, 3])).y, y[[7, 3]])
        assert (np.diff(y) > 0).all()


def test_positions_in_stretches_are_counted():
    spans = Spans([(2, 5), (5, 6), (9, 12)])
    mask = np.isin(np.arange(15), [2, 3, 4, 5, 9, 10, 11])
    expected = np.append(0, np.cumsum(mask))
    np.testing.assert_array_equal(spans.count_before(np.arange(16)), expected)
    assert [spans.row(i) for i in range(7)] == np.flatnonzero(mask).tolist()
    assert [piece[:2] for piece in spans.pieces(1, 6, 100)] == [(3, 6), (9, 11)]


def test_positions_in_a_sample_are_counted():
    for is_held in (False, True):
        sample = Sample(N, 30, 8, is_held=is_held)
        mask = held_out(N, 0.2, 8) == is_held
        expected = np.append(0, np.cumsum(mask))
        np.testing.assert_array_equal(sample.count_before(np.arange(N + 1)), expected)
        assert [sample.row(i) for i in range(len(sample))] == np.flatnonzero(mask).tolist()


ROWS = d.ArraySource(X, LABELS)


@pytest.mark.parametrize("make, error, message", [
    (lambda: d.split(X), TypeError, "source must be a source of fastmlp.data"),
    (lambda: d.split(ROWS, 0), ValueError, "fraction must be above 0 and below 1; got 0"),
    (lambda: d.split(ROWS, 1.0), ValueError, "fraction must be a finite number.* below 1; got 1.0"),
    (lambda: d.split(ROWS, "0.1"), TypeError, "fraction must be a number; got '0.1'"),
    (lambda: d.split(ROWS, 0.995), ValueError,
     "fraction=0.995 of 150 rows leaves nothing to train on"),
    (lambda: d.split(ROWS, 0.5, how="blocks"), ValueError,
     r"fraction=0.5 of 1 block\(s\) leaves nothing to train on"),
    (lambda: d.split(ROWS, 0.5, how="last", gap=75), ValueError,
     "fraction=0.5 of 150 rows, after a gap of 75, leaves nothing to train on"),
    (lambda: d.split(ROWS, how="first"), ValueError,
     "how must be one of 'auto', 'random', 'blocks', 'last'; got 'first'"),
    (lambda: d.split(ROWS, gap=1), ValueError,
     "gap is for how='last', and must be 0 with how='random'; got 1"),
    (lambda: d.split(ROWS, how="last", gap=-1), ValueError, "gap must be at least 0; got -1"),
    (lambda: d.split(ROWS, random_state=-1), ValueError, "random_state must be at least 0; got -1"),
    (lambda: d.split(ROWS, random_state="a"), TypeError, "random_state must be an integer"),
])  # fmt: skip
def test_wrong_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_no_rows_can_be_read_as_from_the_source_itself():
    source = d.ArraySource(np.ones((10, 2)), np.arange(10.0))
    for part in (*d.split(source, 0.3), d.concatenate([source, source])):
        assert part.read(0, 0).X.shape == (0, 2)
        assert part.read_targets(0, 0).shape == (0,)
