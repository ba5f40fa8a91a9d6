"""Windows of shards: every row once, where the numbers say it is, whoever reads it."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from fastmlp import DataFormatError
from fastmlp import data as d
from fastmlp.data.reader import Format, WindowReader
from fastmlp.data.sharded import MASK_ROWS, N_SHARDS, ShardReader, shard_rows

FORMAT = Format(np.dtype("float64"), 2, 1, "squared_error", (-np.inf, np.inf))


class Table:
    """Rows that are their numbers, and note which of them are read."""

    def __init__(self, n_rows):
        self.x = np.column_stack([np.arange(n_rows), -np.arange(n_rows)])
        self.read = set()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, rows):
        self.read.update(self.x[rows, 0].tolist())
        return self.x[rows], self.x[rows, :1] / 2, self.x[rows, 0] + 1


def source_of(n_rows, block_rows=None):
    """In memory, so that single rows are taken, or read block by block."""
    table = Table(n_rows)
    if block_rows is None:
        return d.ArraySource(table.x, table.x[:, :1] / 2, table.x[:, 0] + 1)
    return d.SequenceSource(table, block_rows=block_rows)


def rows_at(reader, windows, batch_size):
    """The row at every own position of an epoch, and the number of its mask, from the lanes."""
    found = {}
    for window in windows:
        shards, order = window.shards, window.order
        numbers = window.rows.x[:, 0].astype(int)
        np.testing.assert_array_equal(window.rows.x[:, 1], -numbers)
        np.testing.assert_array_equal(window.rows.y[:, 0], numbers / 2)
        np.testing.assert_array_equal(window.rows.weights, numbers + 1)
        shards.check(len(numbers) if order is None else len(order))
        for batch, lanes in enumerate(shards.lanes):
            begin = window.begin + batch * batch_size
            end = begin + int(shards.batch_rows[batch])
            for own, (at, n, mask) in enumerate(lanes.tolist()):
                shard = reader.sums.first + own
                positions = [p for p in range(begin, end) if p % reader.n_shards == shard]
                assert len(positions) == n
                places = range(at, at + n) if order is None else order[at : at + n].tolist()
                for i, (position, place) in enumerate(zip(positions, places, strict=True)):
                    assert position not in found
                    found[position] = int(numbers[place]), mask + i
    return found


def readers_of(source, batch_size, window_rows, bounds):
    return [
        ShardReader(
            source, FORMAT, batch_size, window_rows,
            n_shards=bounds[-1], bounds=bounds, rank=rank,
        )
        for rank in range(len(bounds) - 1)
    ]  # fmt: skip


def epoch_of(readers, batch_size, seed, **part):
    """What all processes together read, by position."""
    found = {}
    for reader in readers:
        own = rows_at(reader, reader.windows(seed, **part), batch_size)
        assert not set(own) & set(found)
        found |= own
    return found


@st.composite
def cases(draw):
    n_rows = draw(st.integers(1, 70))
    n_shards = draw(st.integers(1, min(n_rows, 9)))
    inner = draw(st.sets(st.integers(1, n_shards), max_size=4))
    return {
        "n_rows": n_rows,
        "batch_size": draw(st.integers(1, 30)),
        "bounds": sorted({0, n_shards} | inner),
        "window_rows": draw(st.none() | st.integers(1, 80)),
        "block_rows": draw(st.none() | st.integers(1, 20)),
        "seed": draw(st.none() | st.integers(0, 2**64 - 1)),
    }


@settings(max_examples=200, derandomize=True, deadline=None)
@given(case=cases())
def test_every_row_is_at_one_position_which_its_shard_decides_whoever_reads_it(case):
    n_rows, batch_size, bounds = case["n_rows"], case["batch_size"], case["bounds"]
    source = source_of(n_rows, case["block_rows"])
    readers = readers_of(source, batch_size, case["window_rows"], bounds)
    found = epoch_of(readers, batch_size, case["seed"])
    n_shards = bounds[-1]
    parts = np.array_split(np.arange(n_rows), n_shards)
    assert sorted(found) == list(range(n_rows))
    assert sorted(row for row, _ in found.values()) == list(range(n_rows))
    for position, (row, mask) in found.items():
        shard, within = position % n_shards, position // n_shards
        assert row in parts[shard]
        assert mask == shard * MASK_ROWS + within
        if case["seed"] is None:
            assert row == parts[shard][within]
    alone = readers_of(source, batch_size, case["window_rows"], [0, n_shards])
    assert epoch_of(alone, batch_size, case["seed"]) == found


@settings(max_examples=100, derandomize=True, deadline=None)
@given(case=cases(), share=st.floats(0, 1))
def test_an_epoch_continues_in_the_middle_of_a_window(case, share):
    n_rows, batch_size, seed = case["n_rows"], case["batch_size"], case["seed"]
    source = source_of(n_rows, case["block_rows"])
    readers = readers_of(source, batch_size, case["window_rows"], case["bounds"])
    whole = epoch_of(readers, batch_size, seed)
    first = int(share * math.ceil(n_rows / batch_size)) * batch_size
    rest = epoch_of(readers, batch_size, seed, first=first)
    begin = min(first, n_rows) // readers[0].window_rows * readers[0].window_rows
    if readers[0].n_windows == 1:  # it is in memory
        begin = 0
    assert rest == {p: row for p, row in whole.items() if p >= begin}
    head = epoch_of(readers, batch_size, seed, end=first)
    assert {p: whole[p] for p in range(min(first, n_rows))}.items() <= head.items()


@pytest.mark.parametrize("block_rows", [None, 7])
def test_a_shard_is_shuffled_in_each_epoch_anew_and_not_as_its_neighbours(block_rows):
    reader = ShardReader(source_of(400, block_rows), FORMAT, 20, 80, n_shards=4)
    orders = []
    for seed in (1, 2):
        found = rows_at(reader, reader.windows(seed), 20)
        orders += [[found[p][0] - 100 * s for p in range(s, 400, 4)] for s in range(4)]
    assert len(set(map(tuple, orders))) == 8
    for order in orders:  # rows meet others than their neighbours in the source
        assert sorted(order) == list(range(100))
        assert np.mean(np.abs(np.diff(order)) == 1) < 0.3


def test_rows_of_a_window_come_from_few_blocks_of_each_shard():
    """A shard's part of a window is read from whole blocks, and a part of the last one."""
    reader = ShardReader(source_of(400, 25), FORMAT, 20, 160, n_shards=4)
    for window in reader.windows(3):
        blocks = np.unique(window.rows.x[:, 0] // 25)
        assert len(blocks) <= 4 * 3  # 40 rows of 25 each


@pytest.mark.parametrize("seed", [None, 5])
def test_only_rows_of_own_shards_are_read(seed):
    table = Table(103)
    source = d.SequenceSource(table, block_rows=10)
    table.read.clear()
    reader = ShardReader(source, FORMAT, 12, 36, n_shards=4, bounds=[0, 1, 3, 4], rank=1)
    assert len(list(reader.windows(seed))) == 3
    assert table.read == set(range(26, 78))


def test_buffers_are_as_large_as_the_own_part_of_a_window():
    reader = ShardReader(source_of(1000), FORMAT, 20, 200, n_shards=4, bounds=[0, 1, 4], rank=0)
    sizes = {len(window.rows.x) for window in reader.windows(1)}
    assert sizes == {50} and reader.window_rows == 200


def test_a_window_that_holds_all_rows_is_read_once():
    table = Table(40)
    source = d.SequenceSource(table, block_rows=10)
    reader = ShardReader(source, FORMAT, 8, n_shards=4, bounds=[0, 2, 4], rank=1)
    first = next(reader.windows(1))
    table.read.clear()
    second = next(reader.windows(2))
    assert first.rows.x is second.rows.x and not table.read
    assert first.order.tolist() != second.order.tolist()


@pytest.mark.parametrize(
    "given, rows", [(1, 60), (60, 60), (119, 60), (120, 120), (241, 240), (250, 250), (999, 250)]
)
def test_a_window_is_a_common_multiple_of_batch_and_shards(given, rows):
    reader = ShardReader(source_of(250), FORMAT, 20, given, n_shards=6)
    assert reader.window_rows == rows
    assert reader.settings == {"window_rows": rows, "n_shards": 6}
    assert reader.n_windows == math.ceil(250 / rows)


def test_there_are_eight_shards_by_default_as_in_the_documentation():
    assert ShardReader(source_of(20), FORMAT, 5).n_shards == N_SHARDS == 8
    assert "n_shards" in (ShardReader.__doc__ or "")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(n_shards=st.integers(1, 30), more=st.integers(0, 100))
def test_shards_have_the_rows_of_an_even_split(n_shards, more):
    parts = np.array_split(np.arange(n_shards + more), n_shards)
    spans = [shard_rows(n_shards + more, n_shards, shard) for shard in range(n_shards)]
    assert spans == [(part[0], part[-1] + 1) for part in parts]


@pytest.mark.parametrize(
    "source, n_shards, error, message",
    [
        (source_of(7), 8, ValueError, "n_shards must be at most the number of rows, 7; got 8"),
        (source_of(7), 0, ValueError, "n_shards must be .*1; got 0"),
        (source_of(7), True, TypeError, "n_shards must be an integer; got True"),
        (source_of(7), 2.0, TypeError, "n_shards must be an integer; got 2.0"),
        (
            d.ArraySource(csr_matrix(np.eye(7, 2)), np.ones(7)),
            2,
            ValueError,
            "n_shards is for dense rows; got a source of sparse ones",
        ),
    ],
    ids=["more than rows", "none", "bool", "float", "sparse"],
)
def test_shards_that_cannot_be_are_refused(source, n_shards, error, message):
    with pytest.raises(error, match=message):
        ShardReader(source, FORMAT, 4, n_shards=n_shards)


def test_as_many_shards_as_rows_have_one_each():
    reader = ShardReader(source_of(5), FORMAT, 2, n_shards=5)
    assert [shard_rows(5, 5, s) for s in range(5)] == [(s, s + 1) for s in range(5)]
    assert {p: row for p, (row, _) in rows_at(reader, reader.windows(3), 2).items()} == {
        p: p for p in range(5)
    }


def test_a_row_that_is_not_finite_is_named_by_its_place_in_the_source():
    x = np.ones((100, 2))
    x[61, 1] = np.nan
    source = d.ArraySource(x, np.ones(100))
    other, reader = (
        ShardReader(source, FORMAT, 10, 20, n_shards=2, bounds=[0, 1, 2], rank=rank)
        for rank in (0, 1)
    )
    assert len(list(other.windows(None))) == 5
    with pytest.raises(DataFormatError, match=r"row 61, column 1.*found NaN"):
        list(reader.windows(4))


def test_the_first_rows_are_those_of_the_source_on_every_process():
    reader = ShardReader(source_of(50), FORMAT, 5, n_shards=5, bounds=[0, 4, 5], rank=1)
    np.testing.assert_array_equal(reader.first_rows(9)[:, 0], np.arange(9))


def test_a_reader_without_shards_reads_all_rows_in_the_same_places():
    """With one shard the positions are those of an array, in the order of the source."""
    source = source_of(50)
    (window,) = WindowReader(source, FORMAT, 7).windows(None)
    reader = ShardReader(source, FORMAT, 7, n_shards=1)
    found = rows_at(reader, reader.windows(None), 7)
    assert [found[p][0] for p in range(50)] == window.rows.x[:, 0].tolist()


def test_the_thread_of_an_epoch_that_is_left_ends_with_it():
    windows = ShardReader(source_of(100, 10), FORMAT, 10, 20, n_shards=2).windows(1)
    next(windows)
    windows.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("fastmlp-reader") for name in names)


@pytest.mark.parametrize("window_rows", [24, 1000])
def test_weights_that_are_all_0_are_refused_where_all_shards_are_seen(window_rows):
    whole = ShardReader(WEIGHTLESS, FORMAT, 8, window_rows, n_shards=4)
    with pytest.raises(ValueError, match="must have a positive weight; all 96 are zero"):
        list(whole.windows(0))
    part = ShardReader(WEIGHTLESS, FORMAT, 8, window_rows, n_shards=4, bounds=[0, 2, 4], rank=1)
    assert list(part.windows(0))  # the other worker's rows may have weights


class Weightless(d.ArraySource):
    can_take = False

    def read(self, begin, end):
        return super().read(begin, end)._replace(weights=np.zeros(end - begin))


WEIGHTLESS = Weightless(Table(96).x, np.ones(96), np.ones(96))
