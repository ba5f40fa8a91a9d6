"""PiecewiseLinearEncoder against scikit-learn's bins and a loop over the definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import check_estimator

from fastmlp.tables import PiecewiseLinearEncoder


def test_scikit_learns_checks_pass():
    check_estimator(PiecewiseLinearEncoder(), on_skip=None)


def test_every_bin_follows_its_definition():
    x = np.random.default_rng(0).normal(size=(197, 2))
    encoder = PiecewiseLinearEncoder(n_bins=5).fit(x)
    new = np.random.default_rng(1).normal(size=(50, 2))
    expected = []
    for column, values in zip(x.T, new.T, strict=True):
        edges = np.quantile(column, np.linspace(0, 1, 6), method="inverted_cdf")
        for low, high in pairwise(edges):
            expected.append(np.clip((values - low) / (high - low), 0, 1))
    np.testing.assert_allclose(encoder.transform(new), np.transpose(expected))


def test_a_linear_model_on_top_is_piecewise_linear():
    x = np.linspace(-3, 3, 400)[:, np.newaxis]
    y = np.sin(2 * x[:, 0])
    plain = LinearRegression().fit(x, y).score(x, y)
    encoded = PiecewiseLinearEncoder().fit_transform(x)
    assert plain < 0.2
    assert LinearRegression().fit(encoded, y).score(encoded, y) > 0.98


def test_columns_with_few_values_have_few_bins():
    x = np.column_stack([np.arange(60) % 3, np.arange(60) % 2, np.full(60, 5)])
    encoder = PiecewiseLinearEncoder().fit(x)
    names = encoder.get_feature_names_out()
    assert names.tolist() == ["x0_bin0", "x0_bin1", "x1_bin0", "x2_bin0"]
    found = encoder.transform([[1, 1, 5], [2, 0, 5]])
    np.testing.assert_array_equal(found, [[1, 0, 1, 0], [1, 1, 0, 0]])


def test_names_are_those_of_the_frame():
    frame = pd.DataFrame({"a": np.arange(10.0), "b": np.arange(10.0)})
    encoder = PiecewiseLinearEncoder(n_bins=2).fit(frame)
    assert encoder.get_feature_names_out().tolist() == ["a_bin0", "a_bin1", "b_bin0", "b_bin1"]


def test_missing_numbers_stay_missing_and_count_for_nothing():
    x = np.random.default_rng(0).normal(size=(50, 1))
    gaps = np.vstack([x, [[np.nan]]])
    encoder = PiecewiseLinearEncoder().fit(gaps)
    np.testing.assert_array_equal(
        encoder.transform(x), PiecewiseLinearEncoder().fit(x).transform(x)
    )
    assert np.isnan(encoder.transform([[np.nan]])).all()


@pytest.mark.parametrize("n_bins", [1, 0, 2.5, "16"])
def test_a_wrong_number_of_bins_is_named(n_bins):
    with pytest.raises((ValueError, TypeError), match="n_bins"):
        PiecewiseLinearEncoder(n_bins=n_bins).fit(np.ones((3, 1)))


def test_text_is_named_with_its_column():
    with pytest.raises(ValueError, match="town"):
        PiecewiseLinearEncoder().fit(pd.DataFrame({"town": ["a", "b"]}))


def test_unfitted_encoders_say_so():
    with pytest.raises(NotFittedError):
        PiecewiseLinearEncoder().transform(np.ones((3, 1)))


def test_numbers_that_differ_by_rounding_alone_have_no_bin_between_them():
    x = np.repeat([0.1, 0.3, 0.7], 40) * (1 + 1e-13 * (np.arange(120) % 7))
    encoder = PiecewiseLinearEncoder().fit(x[:, np.newaxis])
    assert encoder.n_features_out_ == 2
