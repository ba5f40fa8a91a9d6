"""TabularRegressor: numbers of any scale, bounds, quantiles and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_pinball_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import check_estimator
from table_data import QUICK, mixed

from fastmlp.tables import TabularRegressor

TABLE, NUMBERS = mixed()


def quick(**parameters):
    return TabularRegressor(**QUICK | parameters)


def test_scikit_learns_checks_pass():
    rules = {"n_members": 2, "n_threads": 1, "network": {"max_epochs": 40}}
    check_estimator(TabularRegressor(**rules), on_skip=None)


def test_a_real_table_is_predicted_as_well_as_by_a_linear_model():
    x, y = load_diabetes(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, random_state=0)
    linear = RidgeCV(np.logspace(-3, 3, 13)).fit(x, y)
    ours = TabularRegressor(random_state=0).fit(x, y)
    assert ours.score(x_test, y_test) > linear.score(x_test, y_test) - 0.05


@pytest.fixture(scope="module")
def fitted():
    return quick(network={"max_epochs": 60}).fit(TABLE, NUMBERS)


def test_mixed_tables_are_learned(fitted):
    assert fitted.oof_score_ > 0.7
    seen = ~np.isnan(fitted.oof_prediction_)
    assert fitted.oof_score_ == pytest.approx(r2_score(NUMBERS[seen], fitted.oof_prediction_[seen]))


@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0), (1e9, 1e12), (-1, 3), (1e200, 0)])
def test_the_scale_of_y_does_not_matter(factor, shift):
    plain = quick().fit(TABLE, NUMBERS)
    scaled = quick().fit(TABLE, factor * NUMBERS + shift)
    z = (scaled.predict(TABLE) - shift) / abs(factor)
    if factor > 0:
        np.testing.assert_allclose(z, plain.predict(TABLE), rtol=1e-3, atol=1e-3)
    assert scaled.oof_score_ == pytest.approx(plain.oof_score_, abs=0.1)


def test_predictions_stay_within_the_range_of_y(fitted):
    extreme = TABLE.assign(age=1e6)
    found = fitted.predict(extreme)
    assert NUMBERS.min() <= found.min() and found.max() <= NUMBERS.max()


def test_bounds_replace_the_range_of_y():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, size=(200, 1))
    y = 10 * x[:, 0]
    far = np.array([[3.0], [-3.0]])
    rules = QUICK | {"network": {"max_epochs": 60}}
    inside = TabularRegressor(**rules).fit(x, y).predict(far)
    assert inside.tolist() == [y.max(), y.min()]
    half = TabularRegressor(bounds=(0, None), **rules).fit(x, y).predict(far)
    assert half[0] > y.max() and half[1] == 0
    both = TabularRegressor(bounds=(-1, 11), **rules).fit(x, y).predict(far)
    assert -1 <= both[1] < y.min() and y.max() < both[0] <= 11


def test_several_targets_are_predicted_together():
    y = np.column_stack([NUMBERS, 1e6 * NUMBERS[::-1]])
    model = quick().fit(TABLE, y)
    assert model.predict(TABLE).shape == model.oof_prediction_.shape == y.shape
    with pytest.raises(ValueError, match="one target"):
        model.predict_interval(TABLE)


LEVELS = [0.1, 0.5, 0.9]


@pytest.fixture(scope="module")
def noisy():
    """x, and y whose spread grows with x."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, size=(2000, 1))
    return x, 1e3 * (x[:, 0] + x[:, 0] * rng.normal(size=2000))


@pytest.fixture(scope="module")
def quantiles(noisy):
    rules = {"n_members": 5, "network": {"max_epochs": 30}, "random_state": 0}
    return TabularRegressor(quantiles=LEVELS, **rules).fit(*noisy)


def test_quantiles_never_cross_and_have_their_share_below(quantiles, noisy):
    x, y = noisy
    found = quantiles.predict(x)
    assert found.shape == (2000, 3)
    assert (np.diff(found, axis=1) >= 0).all()
    below = (y[:, np.newaxis] <= found).mean(axis=0)
    np.testing.assert_allclose(below, LEVELS, atol=0.04)


def test_the_score_of_quantiles_compares_with_constants(quantiles, noisy):
    x, y = noisy
    found = quantiles.predict(x)
    expected = np.mean([
        1 - mean_pinball_loss(y, found[:, i], alpha=level)
        / mean_pinball_loss(y, np.full(2000, np.quantile(y, level)), alpha=level)
        for i, level in enumerate(LEVELS)
    ])  # fmt: skip
    assert quantiles.score(x, y) == pytest.approx(expected, abs=1e-3)
    assert quantiles.oof_score_ == pytest.approx(expected, abs=0.05)


@pytest.mark.filterwarnings("ignore::fastmlp.exceptions.LinearModelWarning")
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_intervals_cover_as_much_as_they_promise(quantiles, noisy, coverage):
    plain = TabularRegressor(random_state=0, network={"max_epochs": 15}).fit(*noisy)
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, size=(4000, 1))
    y = 1e3 * (x[:, 0] + x[:, 0] * rng.normal(size=4000))
    for model in (plain, quantiles):
        low, high = model.predict_interval(x, coverage).T
        assert (low <= high).all()
        assert np.mean((low <= y) & (y <= high)) == pytest.approx(coverage, abs=0.04)
    # Only quantiles know that y varies more for large x.
    assert np.corrcoef(high - low, x[:, 0])[0, 1] > 0.8


def test_a_single_quantile_is_a_column():
    model = quick(quantiles=[0.9]).fit(TABLE, NUMBERS)
    assert model.predict(TABLE).shape == (len(TABLE),)
    assert np.mean(model.predict(TABLE) >= NUMBERS) > 0.6


def test_constant_targets_are_predicted():
    model = quick().fit(TABLE, np.full(len(TABLE), 7.0))
    assert model.predict(TABLE).tolist() == [7.0] * len(TABLE)


def test_weights_move_predictions():
    x = np.zeros((60, 1))
    x[:, 0] = np.arange(60) % 30
    y = np.repeat([0.0, 1.0], 30)
    heavy = quick(network={"max_epochs": 60}).fit(x, y, sample_weight=1.0 + 99 * y)
    assert heavy.predict(x).mean() > 0.8


def test_importances_are_the_rise_of_the_squared_error(fitted):
    importances = dict(zip(TABLE, fitted.feature_importances_, strict=True))
    assert sorted(importances, key=importances.get)[-3:] == ["street", "age", "size"] or (
        importances["size"] > 0.1
    )
    assert importances["constant"] == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bounds": (0, 1)}, r"y must be at most 1, as bounds=\(0, 1\) has it"),
        ({"bounds": (1, 0)}, "bounds must increase"),
        ({"bounds": 3}, "bounds must be a sequence of two numbers"),
        ({"bounds": (0, 1, 2)}, "bounds must be a pair"),
        ({"bounds": ("a", None)}, r"bounds\[0\] must be a number"),
        ({"quantiles": [0.9, 0.1]}, "quantiles must be increasing"),
        ({"quantiles": []}, "quantiles must be increasing"),
        ({"quantiles": [1.5]}, r"quantiles\[0\]"),
        ({"quantiles": 0.5}, "quantiles must be a sequence of levels"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        quick(**parameters).fit(TABLE, NUMBERS)


def test_quantiles_need_one_target():
    with pytest.raises(ValueError, match="quantiles need one target"):
        quick(quantiles=LEVELS).fit(TABLE, np.column_stack([NUMBERS, NUMBERS]))


@pytest.mark.parametrize("coverage", [0, 1, -1, "most"])
def test_a_wrong_coverage_is_named(fitted, coverage):
    with pytest.raises((ValueError, TypeError), match="coverage"):
        fitted.predict_interval(TABLE, coverage)


def test_intervals_need_held_out_rows():
    model = quick().fit(TABLE[:200], NUMBERS[:200], X_val=TABLE[200:], y_val=NUMBERS[200:])
    with pytest.raises(ValueError, match="held-out rows"):
        model.predict_interval(TABLE)
    with pytest.raises(AttributeError, match="held-out rows"):
        model.feature_importances_  # noqa: B018
