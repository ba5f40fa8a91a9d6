"""Temperatures: found where probabilities are too sure, left at 1 where they are right."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from fastmlp.tables.calibration import find_temperature, log_loss, tempered


def sample(n=4000, k=3, sharpness=1.0, seed=0):
    """Probabilities whose logarithms are `sharpness` times the right ones, and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k))
    right = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (right.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    sharp = np.exp(sharpness * logits)
    return sharp / sharp.sum(axis=1, keepdims=True), np.eye(k)[labels]


@pytest.mark.parametrize("sharpness", [0.5, 2.0])
def test_the_temperature_undoes_a_factor_of_the_logarithms(sharpness):
    probabilities, targets = sample(sharpness=sharpness)
    temperature = find_temperature(probabilities, targets, None)
    assert temperature == pytest.approx(sharpness, rel=0.1)
    right = sample()[0]
    np.testing.assert_allclose(tempered(probabilities, sharpness), right, rtol=1e-9)


def test_the_temperature_of_right_probabilities_changes_little():
    assert find_temperature(*sample(), None) == pytest.approx(1, abs=0.1)


def test_few_rows_have_temperature_one():
    probabilities, targets = sample(19, sharpness=5)
    assert find_temperature(probabilities, targets, None) == 1


def test_rows_of_weight_zero_do_not_count():
    probabilities, targets = sample(sharpness=2)
    weights = np.repeat([1.0, 0.0], 2000)
    changed = targets.copy()
    changed[2000:] = changed[2000:, ::-1]
    assert find_temperature(probabilities, changed, weights) == find_temperature(
        probabilities, targets, weights
    )


def test_the_log_loss_is_scikit_learns():
    probabilities, targets = sample()
    weights = np.random.default_rng(0).random(len(targets))
    expected = sklearn_log_loss(targets.argmax(axis=1), probabilities, sample_weight=weights)
    assert log_loss(probabilities, targets, weights) == pytest.approx(expected)
