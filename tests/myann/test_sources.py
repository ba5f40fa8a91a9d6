"""A MyANN on sources: the numbers of the same rows in memory."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp import MyANN
from fastmlp import data as d

RNG = np.random.default_rng(0)
X = RNG.integers(0, 255, (200, 6), dtype=np.uint8)
Y = RNG.integers(0, 3, 200)
TRAIN, TEST = d.ArraySource(X[:150], Y[:150]), d.ArraySource(X[150:], Y[150:])


def my_ann(my_data_set, **changes):
    settings = {"n_size_mini_batch": 20, "n_epochs": 2, "random_state": 0, "b_verbose": False}
    return MyANN(my_data_set, 1, [0, 5, 0], 3, **settings | changes)


@pytest.mark.parametrize("scale", [True, "global", False])
def test_sources_have_the_numbers_of_arrays(scale):
    arrays = my_ann((X[:150], Y[:150], X[150:], Y[150:]), b_standardize=scale)
    sources = my_ann((TRAIN, TEST), b_standardize=scale)
    for name in ("costs", "train_accuracy", "test_accuracy", "learning_rates"):
        np.testing.assert_allclose(getattr(sources, name), getattr(arrays, name), rtol=1e-5)
    np.testing.assert_array_equal(sources.predict(X), arrays.predict(X))
    assert (sources.n_batches, sources.n_mini_batches) == (8, 8)


def test_test_rows_may_be_missing(capsys):
    ann = my_ann(TRAIN, b_verbose=True)
    assert np.isnan(ann.test_accuracy).all()
    printed = capsys.readouterr().out
    assert "Data: sources of 150 training and 0 test rows" in printed
    assert "accuracy on test set        not measured" in printed


@pytest.mark.parametrize("scale", [True, "global", False])
def test_sources_are_predicted_and_scored(scale):
    ann = my_ann((TRAIN, TEST), b_standardize=scale)
    for source in (TEST, d.ArraySource(X[150:]), d.ArraySource(X[150:].astype(float))):
        np.testing.assert_allclose(ann.predict_proba(source), ann.predict_proba(X[150:]), rtol=1e-5)
        np.testing.assert_array_equal(ann.predict(source), ann.predict(X[150:]))
    assert ann.score(TEST) == ann.score(X[150:], Y[150:])


def test_large_numbers_are_scaled_before_they_are_rounded():
    x = 1e9 + X.astype(float)
    ann = my_ann((x, Y, x, Y))
    np.testing.assert_allclose(ann.predict_proba(d.ArraySource(x)), ann.predict_proba(x), rtol=1e-5)


def test_a_model_file_has_everything_but_the_sources(tmp_path):
    ann = my_ann((TRAIN, TEST))
    fastmlp.save(ann, tmp_path / "model")
    loaded = fastmlp.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), ann.predict_proba(X))


@pytest.mark.parametrize("make, message", [
    (lambda: my_ann((TRAIN, TEST)).fit_full_cost(1), "fit_full_cost needs .* in memory; my_data"),
    (lambda: my_ann(TRAIN).look_into_mini_batch(), "look_into_mini_batch needs .* is a source"),
    (lambda: my_ann(TRAIN, legacy_split=True), "legacy_split must be False where my_data_set is a"),
    (lambda: my_ann(d.ArraySource(X, Y * 0)), "my_data_set must have at least two classes"),
    (lambda: my_ann((TRAIN, d.ArraySource(X[:, :3], Y))), "my_data_set must have the same feat"),
    (lambda: my_ann((TRAIN, d.ArraySource(X, Y + 1))), "expected one of the classes 0, 1, 2"),
    (lambda: my_ann(TRAIN).score(TEST, Y), "y must be None, because X is a source"),
    (lambda: my_ann(TRAIN).score(X), "y must be the labels; got None"),
    (lambda: my_ann(TRAIN).score(d.ArraySource(X)), "one label per row for a score; got 0 targets"),
    (lambda: my_ann(TRAIN).predict(d.ArraySource(X[:, :3])), "X must have 6 features"),
])  # fmt: skip
def test_wrong_data_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
