"""Bounded targets of MLPRegressor: no prediction leaves the bounds, wherever they are."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, load, save
from fastmlp.estimators.bounds import bounded_output, read_bounds
from fastmlp.exceptions import ParameterError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
SHARE = 1 / (1 + np.exp(-3 * X[:, 0] + X[:, 1]))
FAR = 100 * RNG.normal(size=(200, 3))
FAST = {"random_state": 0, "max_iter": 60, "learning_rate_init": 0.01, "n_threads": 1, "tol": 0}
SCALES = [
    ((0, 1), SHARE), ((-3.0, 7.0), 10 * SHARE - 3), ((0.1, 0.7), 0.1 + 0.6 * SHARE),
    ((0, None), 1e3 * SHARE**2), ((5, None), 5 + 1e-3 * SHARE), ((None, -2), -2 - 50 * SHARE),
]  # fmt: skip


def model(bounds, **parameters):
    return MLPRegressor(**FAST | parameters, bounds=bounds)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("bounds", "y"), SCALES)
def test_predictions_are_learned_and_stay_within_the_bounds(bounds, y, dtype):
    fitted = model(bounds, dtype=dtype).fit(X, y)
    assert fitted.score(X, y) > 0.9
    low, high = (np.array(b).astype(dtype) for b in read_bounds(bounds))
    found = np.concatenate([fitted.predict(X), fitted.predict(FAR)])
    assert (found >= low).all() and (found <= high).all()
    plain = MLPRegressor(**FAST).fit(X, SHARE).predict(FAR)
    assert plain.min() < 0 and plain.max() > 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("bounds", "y"), SCALES[::3])
def test_files_pickles_and_onnx_predict_the_same(bounds, y, tmp_path):
    fitted = model(bounds).fit(X, np.stack([y, y[::-1]], axis=1))
    save(fitted, tmp_path / "m.safetensors")
    for again in (load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(again.predict(FAR), fitted.predict(FAR))
        assert tuple(again.bounds) == bounds
    runtime = pytest.importorskip("onnxruntime")
    fastmlp.export_onnx(fitted, tmp_path / "m.onnx")
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    (found,) = session.run(["predictions"], {"X": X})
    np.testing.assert_allclose(found, fitted.predict(X), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_files_keep_a_highest_value_too(tmp_path):
    fitted = model((None, 0)).fit(X, -SHARE)
    save(fitted, tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert clone(again).bounds == again.bounds


def test_targets_at_the_bounds_are_learned():
    y = (X[:, 0] > 0).astype(float)
    fitted = model((0, 1), max_iter=300).fit(X, y)
    assert fitted.score(X, y) > 0.9
    both = MLPClassifier(random_state=0, max_iter=300, learning_rate_init=0.01).fit(X, y)
    assert np.mean((fitted.predict(X) > 0.5) == both.predict(X)) > 0.95


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_constant_targets_at_the_only_bound_are_predicted():
    found = model((0, None), max_iter=300).fit(X, np.zeros(300)).predict(X)
    assert (found >= 0).all() and found.max() < 0.05


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_count_in_the_scale():
    y, weights = np.where(np.arange(300) < 150, 1.0, 9.0), (np.arange(300) < 150).astype(float)
    assert model((0, None)).fit(X, y, sample_weight=weights).target_scale_.tolist() == [1.0]


def test_validation_rows_must_be_within_the_bounds_too():
    with pytest.raises(ValueError, match=r"y_val must be at most 1, as bounds=\(0, 1\) has it"):
        model((0, 1)).fit(X, SHARE, X_val=X, y_val=2 * SHARE)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_same_network_goes_on_only_with_the_same_bounds():
    fitted = model((0, 1), warm_start=True).fit(X, SHARE)
    before = fitted.loss_
    assert fitted.fit(X, SHARE).loss_ < before
    for bounds in (None, (0, 2), (0, None), (-1, 1)):
        with pytest.raises(
            ValueError, match=r"bounds must be as they were|output function .* must be"
        ):
            fitted.set_params(bounds=bounds).fit(X, SHARE)
    plain = MLPRegressor(**FAST).partial_fit(X, SHARE)
    with pytest.raises(ValueError, match="bounds must be as they were; got"):
        plain.set_params(bounds=(0, 1)).partial_fit(X, SHARE)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bounds": 3}, "bounds must be a sequence of two numbers"),
        ({"bounds": (0, 1, 2)}, "bounds must be a pair"),
        ({"bounds": (1, 0)}, "bounds must increase"),
        ({"bounds": (None, None)}, "bounds must be None, or a pair with a number"),
        ({"bounds": (np.inf, None)}, r"bounds\[0\] must be"),
        ({"bounds": (0, 1), "loss": "huber"}, "bounds must be None with loss='huber'; the loss"),
        ({"bounds": (0, None), "loss": "poisson"}, "bounds must be None with loss='poisson'"),
        ({"bounds": (0, 1), "scale_target": True}, "bounds must be None with scale_target=True"),
    ],
)
def test_what_does_not_go_with_bounds_is_named(parameters, message):
    with pytest.raises(ParameterError, match=message):
        MLPRegressor(**FAST | parameters).fit(X, SHARE)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [((0.5, None), r"y must be at least 0.5, as bounds=\(0.5, None\) has it; got values from 9."),
     ((None, 0.5), r"y must be at most 0.5, as bounds=\(None, 0.5\) has it")],
)  # fmt: skip
def test_targets_outside_the_bounds_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        model(bounds).fit(X, SHARE)


def test_other_libraries_get_no_bounded_regressor():
    fitted = model((0, 1), max_iter=300, tol=1e-3).fit(X, SHARE)
    with pytest.raises(ValueError, match="with bounds can be exported to ONNX only"):
        fitted.to_sklearn()


def test_the_output_function_is_named():
    assert [bounded_output(b)[0] for b in ((0, 1), (0, None), (None, 1))] == [
        "sigmoid", "exponential", "exponential",
    ]  # fmt: skip
    fitted = model((0, 1), max_iter=300, tol=1e-3).fit(X, SHARE)
    assert fitted.out_activation_ == "logistic"
