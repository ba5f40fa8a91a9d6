"""The order of rows in windows: every row once, by blocks, from one seed."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.data.shuffle import WindowOrder
from fastmlp.data.source import even_blocks
from fastmlp.engine import _core

BLOCKS = np.array([0, 7, 8, 20, 33, 40, 55])


def rows_of(order, window):
    """Numbers of a window's rows in the order of training."""
    spans = order.spans(window, order.read_order())
    read = np.concatenate([np.arange(begin, end) for begin, end in spans])
    within = order.order_within(window)
    return read if within is None else read[within]


def epoch(order):
    return np.concatenate([rows_of(order, window) for window in range(order.n_windows)])


@pytest.mark.parametrize("window_rows", [1, 4, 10, 54, 55])
@pytest.mark.parametrize("seed", [None, 0, 2**64 - 1])
def test_every_row_comes_once(window_rows, seed):
    order = WindowOrder(BLOCKS, window_rows, seed)
    rows = epoch(order)
    assert sorted(rows) == list(range(55))
    assert order.n_windows == -(-55 // window_rows)
    if seed is None:
        assert rows.tolist() == list(range(55))


def test_one_window_has_the_order_of_an_array():
    order = WindowOrder(BLOCKS, 55, 12345)
    np.testing.assert_array_equal(epoch(order), _core.permutation(55, 12345))


def test_a_window_reads_whole_blocks_but_its_first_and_last():
    order = WindowOrder(BLOCKS, 10, 3)
    inner = [span for window in range(6) for span in order.spans(window, order.read_order())]
    begins, ends = set(BLOCKS.tolist()), set(BLOCKS.tolist())
    cuts = [span for span in inner if span[0] not in begins or span[1] not in ends]
    assert len(cuts) <= 2 * 5  # a window's end cuts one block in two


def test_blocks_and_rows_change_places_with_the_seed():
    orders = {tuple(epoch(WindowOrder(BLOCKS, 10, seed))) for seed in range(20)}
    assert len(orders) == 20
    firsts = {WindowOrder(BLOCKS, 10, seed).read_order()[0][0] for seed in range(40)}
    assert firsts == set(range(6))


def test_windows_of_one_epoch_are_shuffled_in_different_ways():
    order = WindowOrder(even_blocks(100, 10), 20, 1)
    within = {tuple(order.order_within(window)) for window in range(5)}
    assert len(within) == 5


def test_sorted_rows_are_spread_over_the_windows():
    """Blocks of one label each, as files that are sorted by time or label have them."""
    labels = np.repeat(np.arange(10), 1000)
    order = WindowOrder(even_blocks(10_000, 50), 2000, 0)
    for window in range(5):
        shares = np.bincount(labels[rows_of(order, window)], minlength=10) / 2000
        assert shares.max() < 0.3
