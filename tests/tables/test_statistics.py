"""Means of the target per category, against scikit-learn's TargetEncoder and a loop."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import TargetEncoder

from fastmlp.tables.features import smooth_clip
from fastmlp.tables.statistics import N_FOLDS, TargetStatistics, smoothed_means


def data(n=400, n_categories=20, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_categories, n)
    y = rng.normal(size=n_categories)[codes] + rng.normal(size=n)
    return codes, y[:, np.newaxis]


def smoothing(codes, y):
    """m as the docstring has it, by a loop over the categories."""
    groups = [y[codes == c, 0] for c in np.unique(codes)]
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (len(y) - len(groups))
    between = max(y.var() - within, 1e-3 * y.var())
    return min(max(within / between, 1.0), 1e3)


def test_means_are_those_of_scikit_learn_with_the_same_smoothing():
    codes, y = data()
    theirs = TargetEncoder(smooth=smoothing(codes, y), target_type="continuous")
    theirs.fit(codes[:, np.newaxis], y[:, 0])
    ours = smoothed_means(codes, 20, y, np.ones(len(y)))
    np.testing.assert_allclose(ours[:20, 0], theirs.encodings_[0])


def test_unknown_categories_have_the_mean_of_all():
    codes, y = data()
    assert smoothed_means(codes, 25, y, np.ones(len(y)))[20:, 0] == pytest.approx(y.mean())


def test_rows_get_the_means_of_the_other_folds():
    codes, y = data()
    fold = np.arange(len(y)) % N_FOLDS
    _, own = TargetStatistics.learn(codes[:, np.newaxis], [20], y, None, fold)
    raw = np.empty(len(y))
    for k in range(N_FOLDS):
        rest = fold != k
        raw[fold == k] = smoothed_means(codes[rest], 20, y[rest], np.ones(rest.sum()))[
            codes[fold == k], 0
        ]
    np.testing.assert_allclose(own[:, 0], smooth_clip((raw - raw.mean()) / raw.std()))


def test_a_rows_own_target_is_not_among_its_inputs():
    codes, y = data()
    fold = np.arange(len(y)) % N_FOLDS
    changed = y.copy()
    changed[7] += 100
    _, before = TargetStatistics.learn(codes[:, np.newaxis], [20], y, None, fold)
    _, after = TargetStatistics.learn(codes[:, np.newaxis], [20], changed, None, fold)
    same = fold == fold[7]  # up to scaling, which is common to all rows
    assert np.corrcoef(before[same, 0], after[same, 0])[0, 1] > 0.99
    others = ~same & (codes == codes[7])
    assert (after[others] > before[others]).all()


def test_weights_count_like_repetitions():
    codes, y = data(60, 5)
    weights = np.random.default_rng(1).integers(1, 4, 60)
    weighted = smoothed_means(codes, 5, y, weights.astype(float))
    copies = codes.repeat(weights), y.repeat(weights, axis=0)
    repeated = smoothed_means(copies[0], 5, copies[1], np.ones(weights.sum()))
    np.testing.assert_allclose(weighted, repeated)


def test_codes_are_encoded_by_the_table():
    statistics = TargetStatistics([np.array([[1.0], [2.0], [3.0]])])
    assert statistics.encode(np.array([[2], [0]])).tolist() == [[3.0], [1.0]]
    assert TargetStatistics([]).encode(np.zeros((4, 0), int)).shape == (4, 0)


def test_rows_without_another_fold_get_the_mean_of_all():
    """Means of their own category would be their own targets."""
    rng = np.random.default_rng(0)
    codes, y = np.arange(40)[:, np.newaxis] // 2, rng.normal(size=(40, 1))
    _, own = TargetStatistics.learn(codes, [20], y, None, np.zeros(40, int))
    assert np.ptp(own) < 1e-12


def test_rows_of_weight_zero_do_not_count_in_means():
    rng = np.random.default_rng(0)
    codes, y = rng.integers(0, 9, (60, 1)), rng.normal(size=(60, 1))
    weights, fold = (np.arange(60) % 3 > 0).astype(float), np.arange(60) % 5
    there = weights > 0
    weighted, own = TargetStatistics.learn(codes, [9], y, weights, fold)
    fewer, of_fewer = TargetStatistics.learn(codes[there], [9], y[there], None, fold[there])
    np.testing.assert_allclose(weighted.tables[0], fewer.tables[0], atol=1e-9)
    np.testing.assert_allclose(own[there], of_fewer, atol=1e-9)
