"""Scaler against scikit-learn in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from fastmlp.datasets.scaling import BLOCK_BYTES, Scaler


@pytest.fixture
def pixels():
    """More than two blocks of images, with a constant column."""
    n_rows = 2 * BLOCK_BYTES // (8 * 100) + 17
    pixels = np.random.default_rng(0).integers(0, 256, (n_rows, 100), dtype=np.uint8)
    pixels[:, 3] = 7
    return pixels


def test_feature_scaling_equals_scikit_learn_in_one_piece(pixels):
    expected = StandardScaler().fit_transform(pixels.astype(float))
    found = Scaler("feature").fit(pixels).transform(pixels, np.dtype("float64"))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_global_scaling_uses_one_mean_and_one_deviation(pixels):
    x = pixels.astype(float)
    found = Scaler("global").fit(pixels).transform(pixels, np.dtype("float32"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (x - x.mean()) / x.std(), atol=1e-5)


def test_no_scaling_only_converts(pixels):
    found = Scaler("none").fit(pixels).transform(pixels, np.dtype("float32"))
    np.testing.assert_array_equal(found, pixels.astype(np.float32))


@pytest.mark.parametrize("kind", ["feature", "global", "none"])
def test_scaling_can_be_undone(pixels, kind):
    scaler = Scaler(kind).fit(pixels)
    scaled = scaler.transform(pixels, np.dtype("float64"))
    np.testing.assert_allclose(scaler.inverse_transform(scaled), pixels, atol=1e-9)


def test_scaler_that_was_not_fitted_says_so():
    with pytest.raises(ValueError, match="this Scaler has not been fitted"):
        Scaler("feature").transform(np.ones((2, 2)), np.dtype("float64"))


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of 'feature', 'global', 'none'"):
        Scaler("minmax")


@pytest.mark.parametrize("kind", ["feature", "global"])
def test_a_scaler_restored_from_its_state_scales_to_the_same_bits(pixels, kind):
    scaler = Scaler(kind).fit(pixels)
    again = Scaler.restored(kind, **scaler.state())
    dtype = np.dtype("float64")
    np.testing.assert_array_equal(again.transform(pixels, dtype), scaler.transform(pixels, dtype))
    assert again.kind == kind and again.state()["n_rows"] == scaler.state()["n_rows"]


def test_a_scaler_that_was_not_fitted_has_no_state():
    assert Scaler("none").fit(np.ones((2, 2))).state() == Scaler("feature").state() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.array([0.0, np.nan])}, "the scaler's mean must be finite, one number per fe"),
        ({"var": np.ones(3)}, "the scaler's var must be finite, one number per feature"),
        ({"scale": np.ones((2, 1))}, "the scaler's scale must be finite, one number per feature"),
        ({"scale": np.array([1.0, 0.0])}, "the scaler's scale must be positive"),
        ({"kind": "minmax"}, "kind must be one of 'feature', 'global', 'none'"),
    ],
)
def test_a_bad_state_is_refused(change, message):
    state = {"kind": "feature", "mean": np.zeros(2), "var": np.ones(2), "scale": np.ones(2)}
    with pytest.raises(ValueError, match=message):
        Scaler.restored(**(state | {"n_rows": 5} | change))
