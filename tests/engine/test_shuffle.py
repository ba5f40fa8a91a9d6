"""The order of an epoch: a permutation, every one equally likely, the same for the same seed."""

import itertools

import numpy as np
import pytest
from scipy import stats

from fastmlp import Network, Trainer
from fastmlp.engine import _core


@pytest.mark.parametrize("n", [0, 1, 2, 3, 31, 32, 33, 34, 64, 65, 66, 1000, 100_003])
def test_every_row_comes_once(n):
    order = _core.permutation(n, 2**64 - 1)
    assert order.dtype == np.intp
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_the_seed_decides_the_order():
    np.testing.assert_array_equal(_core.permutation(500, 7), _core.permutation(500, 7))
    assert (_core.permutation(500, 7) != _core.permutation(500, 8)).mean() > 0.9


def test_the_order_is_that_of_fisher_and_yates_with_splitmix64():
    seed = 0x0123456789ABCDEF
    expected = list(range(77))
    for last in range(76, 0, -1):
        seed = (seed + 0x9E3779B97F4A7C15) % 2**64
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        z ^= z >> 31
        partner = z * (last + 1) >> 64
        expected[last], expected[partner] = expected[partner], expected[last]
    np.testing.assert_array_equal(_core.permutation(77, 0x0123456789ABCDEF), expected)


def test_all_orders_of_four_rows_are_equally_likely():
    generator = np.random.default_rng(0)
    seeds = generator.integers(2**64, size=24_000, dtype=np.uint64)
    counts = dict.fromkeys(itertools.permutations(range(4)), 0)
    for seed in seeds.tolist():
        counts[tuple(_core.permutation(4, seed).tolist())] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_every_row_reaches_every_place_of_a_long_order():
    # Neighboring seeds, as a user who numbers his runs would take.
    places = np.array([_core.permutation(100, seed) for seed in range(20_000)])
    for row in (0, 1, 50, 99):
        counts = np.bincount(np.nonzero(places == row)[1], minlength=100)
        assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_beyond_64_bits_is_refused(seed):
    with pytest.raises(OverflowError):
        _core.permutation(3, seed)


def test_one_batch_of_all_rows_is_not_mixed():
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = np.eye(2)[np.arange(40) % 2]
    for batch_size, mixed in [(39, True), (40, False), (100, False)]:
        trainer = Trainer(Network((3, 4, 2), random_state=0), batch_size=batch_size)
        trainer.fit(x, y, n_epochs=1)
        assert (trainer.order is not None) == mixed


def test_two_epochs_have_two_orders_and_the_generator_decides_them():
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = np.eye(2)[np.arange(40) % 2]

    def orders(seed):
        trainer = Trainer(Network((3, 4, 2), random_state=0), batch_size=8, random_state=seed)
        for _ in range(2):
            trainer.fit(x, y, n_epochs=1)
            yield trainer.order

    first, second = orders(1)
    assert (first != second).any()
    np.testing.assert_array_equal(list(orders(1)), [first, second])
