"""Weighted quantiles and moments against NumPy's of repeated values."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp.tables.weighted import weighted_moments, weighted_quantiles

LEVELS = np.array([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_those_of_repeated_values(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=17), rng.integers(1, 5, 17)
    expected = np.quantile(values.repeat(weights), LEVELS, method="inverted_cdf")
    for scale in (1.0, 0.01):
        found = weighted_quantiles(values, scale * weights, LEVELS)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_without_weights_quantiles_are_numpys(n):
    values = np.random.default_rng(n).normal(size=n)
    expected = np.quantile(values, LEVELS, method="inverted_cdf")
    np.testing.assert_array_equal(weighted_quantiles(values, None, LEVELS), expected)


def test_moments_are_those_of_repeated_values():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(17, 3)), rng.integers(1, 5, 17)
    mean, deviation = weighted_moments(values, weights.astype(float))
    repeated = values.repeat(weights, axis=0)
    np.testing.assert_allclose(mean, repeated.mean(axis=0))
    np.testing.assert_allclose(deviation, repeated.std(axis=0))


def test_moments_of_huge_values_do_not_overflow():
    mean, deviation = weighted_moments(np.array([[1e300], [3e300]]), None)
    np.testing.assert_allclose([mean[0], deviation[0]], [2e300, 1e300])


def test_the_deviation_of_equal_values_is_one():
    mean, deviation = weighted_moments(np.full((5, 1), 7.0), None)
    assert mean == pytest.approx(7) and deviation == pytest.approx(1)
