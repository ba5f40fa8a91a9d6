"""Scaled targets, and quantiles that are calibrated: against scikit-learn's and by counting."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from estimator_data import regression
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import d2_pinball_score, make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import MLPRegressor
from fastmlp.exceptions import ParameterError

FAST = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
LEVELS = (0.05, 0.5, 0.95)
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


def far(n_targets=1):
    x, y = regression()
    y = 2000 + 500 * y
    return (x, y) if n_targets == 1 else (x, np.stack([y, -3 * y], axis=1))


def fitted(**parameters):
    x, y = far()
    return MLPRegressor(**FAST | parameters, scale_target=True).fit(x, y)


# --- Scaled targets


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_it_does_what_a_transformed_target_regressor_does(n_targets, loss):
    x, y = far(n_targets)
    ours = MLPRegressor(loss, **FAST, scale_target=True).fit(x, y)
    theirs = TransformedTargetRegressor(MLPRegressor(loss, **FAST), transformer=StandardScaler())
    np.testing.assert_allclose(ours.predict(x), theirs.fit(x, y).predict(x), rtol=1e-10)
    assert ours.loss_ == pytest.approx(theirs.regressor_.loss_)
    np.testing.assert_allclose(ours.target_mean_, y.mean(axis=0).reshape(-1))
    np.testing.assert_allclose(ours.target_scale_, y.std(axis=0).reshape(-1))


def test_the_defaults_learn_the_diabetes_data_with_it():
    x, y = load_diabetes(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    model = MLPRegressor(random_state=0, scale_target=True).fit(x[:300], y[:300])
    assert model.score(x[300:], y[300:]) > 0.35


def test_weights_count_like_copies_of_rows():
    x, y = far()
    counts = np.arange(len(x)) % 3
    weighted = MLPRegressor(**FAST, scale_target=True).fit(x, y, sample_weight=counts)
    repeated = np.repeat(y, counts)
    assert weighted.target_mean_ == pytest.approx([repeated.mean()])
    assert weighted.target_scale_ == pytest.approx([repeated.std()])


def test_a_constant_target_is_predicted():
    x, _ = far()
    model = MLPRegressor(solver="lbfgs", random_state=0, scale_target=True)
    model.fit(x, np.full(len(x), 1000.1))  # whose deviation is 2e-13 after rounding
    assert model.target_scale_ == [1.0]
    np.testing.assert_allclose(model.predict(x), 1000.1, atol=0.1)


def test_validation_rows_and_scorers_are_in_the_units_of_y():
    x, y = far()
    model = MLPRegressor(**FAST, scale_target=True, scoring=["neg_mean_absolute_error", "r2"])
    model.fit(x, y, X_val=x, y_val=y)
    error = np.abs(y - model.predict(x)).mean()
    assert model.history_["val_neg_mean_absolute_error"][-1] == pytest.approx(-error)
    assert model.history_["val_r2"][-1] == pytest.approx(model.score(x, y))
    plain = MLPRegressor(**FAST, scale_target=True).fit(x, y, X_val=x, y_val=y)
    assert plain.validation_scores_[-1] == pytest.approx(plain.score(x, y))


def test_partial_fit_and_warm_starts_keep_the_first_scale():
    x, y = far()
    model = MLPRegressor(**FAST, scale_target=True).partial_fit(x[:50], y[:50])
    first = model.target_mean_.copy()
    model.partial_fit(x, y)
    np.testing.assert_array_equal(model.target_mean_, first)
    assert first == pytest.approx([y[:50].mean()])
    model.set_params(warm_start=True).fit(x, y)
    np.testing.assert_array_equal(model.target_mean_, first)
    with pytest.raises(ValueError, match="scale_target must be True, as it was; got False"):
        model.set_params(scale_target=False).fit(x, y)
    model.set_params(warm_start=False).fit(x / 10, y / 1e4)
    assert not hasattr(model, "target_mean_")


def test_a_fit_that_fails_keeps_the_old_scale():
    model, (x, y) = fitted(), far()
    before, predicted = model.target_mean_.copy(), model.predict(x)
    with pytest.raises(ValueError, match="X_val"):
        model.fit(x, y / 7, X_val=x, y_val=None, sample_weight_val=1.0)
    np.testing.assert_array_equal(model.target_mean_, before)
    np.testing.assert_array_equal(model.predict(x), predicted)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_positive_losses_refuse_scaled_targets(loss):
    x, y = far()
    with pytest.raises(ParameterError, match=f"scale_target must be False with loss='{loss}'"):
        MLPRegressor(loss, **FAST, scale_target=True).fit(x, np.abs(y))
    with pytest.raises(ParameterError, match="scale_target must be True or False; got 'yes'"):
        MLPRegressor(**FAST, scale_target="yes").fit(x, y)


def test_validation_targets_have_as_many_columns_as_the_targets():
    x, y = far(2)
    for scale_target in (False, True):
        model = MLPRegressor(**FAST, scale_target=scale_target)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match=r"^y_val must have"):
                model.fit(x, y, X_val=x, y_val=y[:, :1])
        with pytest.raises(ValueError, match=r"^y_val must have as many columns as y, 1; got 2"):
            model.fit(x, y[:, 0] / 1e4, X_val=x, y_val=y)


def test_a_fit_that_does_not_converge_names_it_for_targets_that_take_many_epochs():
    x, y = regression()
    y = (y - y.mean()) / y.std()
    for target, named in ((50 * y + 100, True), (y, False)):
        with pytest.warns(ConvergenceWarning) as record:
            MLPRegressor(**FAST).fit(x, target)
        assert ("scale_target=True" in str(record[0].message)) is named


# --- Files and other libraries


@pytest.mark.parametrize("parameters", [{}, {"loss": "quantile", "quantile": LEVELS}])
def test_files_pickles_and_clones_keep_the_scale_and_the_shifts(parameters, tmp_path):
    x, y = far()
    model = fitted(**parameters)
    if parameters:
        model.calibrate(x, y)
    fastmlp.save(model, tmp_path / "m")
    for again in (fastmlp.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
        assert again.scale_target is True
        again.partial_fit(x, y)
    copied = clone(model)
    assert copied.scale_target is True and not hasattr(copied, "target_mean_")


def test_a_forged_scale_is_refused(tmp_path):
    from fastmlp.exceptions import ModelFormatError

    model = fitted()
    model.target_scale_ = -model.target_scale_
    fastmlp.save(model, tmp_path / "m")
    with pytest.raises(ModelFormatError, match="'target_scale_' must be above 0"):
        fastmlp.load(tmp_path / "m")
    model.target_scale_ = np.ones(3)
    fastmlp.save(model, tmp_path / "m")
    with pytest.raises(ModelFormatError, match=r"'target_scale_' must be float64 of shape \(1,\)"):
        fastmlp.load(tmp_path / "m")


def test_scikit_learns_estimator_predicts_the_same():
    x, y = far()
    for model in (fitted(), MLPRegressor(**FAST, scale_target=True).fit(*far(2))):
        np.testing.assert_allclose(model.to_sklearn().predict(x), model.predict(x), rtol=1e-9)
    model = fitted(loss="quantile", quantile=LEVELS)
    with pytest.raises(ValueError, match="several quantiles can be exported to ONNX only"):
        model.to_sklearn()
    with pytest.raises(ValueError, match="quantile_shifts_ can be exported to ONNX only"):
        model.calibrate(x, y).to_sklearn()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_onnx_predicts_the_same(dtype, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    x, y = far()
    x = x.astype(dtype)
    models = [
        MLPRegressor(**FAST, scale_target=True).fit(x, y),
        MLPRegressor(**FAST, scale_target=True).fit(x, np.stack([y, -y], axis=1)),
        MLPRegressor("quantile", quantile=LEVELS, **FAST, scale_target=True).fit(x, y),
        MLPRegressor("quantile", quantile=0.9, **FAST).fit(x, y / 5000).calibrate(x, y / 5000),
    ]
    crossing = MLPRegressor("quantile", quantile=LEVELS, **FAST, scale_target=True).fit(x, y)
    crossing.quantile_shifts_ = np.array([500.0, -700.0, -100.0])
    for model in (*models, crossing):
        fastmlp.export_onnx(model, tmp_path / "m.onnx")
        session = runtime.InferenceSession(tmp_path / "m.onnx")
        (found,) = session.run(["predictions"], {"X": x})
        np.testing.assert_allclose(found, model.predict(x), rtol=1e-5, atol=1e-6)
    assert (np.diff(crossing.predict(x)) >= 0).all()


# --- Quantiles


def test_quantiles_of_scaled_targets_can_be_scored_and_searched():
    x, y = far()
    model = MLPRegressor("quantile", quantile=LEVELS, **FAST, scale_target=True)
    pipeline = make_pipeline(StandardScaler(), model)
    scores = cross_val_score(pipeline, x, y, cv=3)
    assert np.isfinite(scores).all()
    search = GridSearchCV(pipeline, {"mlpregressor__quantile": [(0.25, 0.75), LEVELS]}, cv=2)
    assert np.isfinite(search.fit(x, y).best_score_)
    model.fit(x, y)
    predicted = model.predict(x)
    expected = [d2_pinball_score(y, predicted[:, i], alpha=q) for i, q in enumerate(LEVELS)]
    assert model.score(x, y) == pytest.approx(np.mean(expected))


def test_a_scorer_that_wants_one_prediction_per_row_is_named_with_what_works():
    x, y = far()
    model = MLPRegressor("quantile", quantile=LEVELS, **FAST, scale_target=True)
    for validation in ({"early_stopping": True}, {}):
        model.set_params(**validation, scoring="r2")
        with pytest.raises(ValueError, match=r"^scoring: 'r2' compares one .*scoring=None is"):
            model.fit(x, y, **({} if validation else {"X_val": x, "y_val": y}))
    model.set_params(scoring=lambda m, a, b: r2_score(b, m.predict(a)[:, 1])).fit(x, y)
    assert np.isfinite(model.validation_scores_).all()
    median = make_scorer(lambda b, p: r2_score(b, p[:, 1]))  # as the docstring says
    assert np.isfinite(cross_val_score(model, x, y, scoring=median, cv=2)).all()

    def fails(*_):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine"):  # of a scorer for one column
        MLPRegressor(**FAST, scoring=fails).fit(x, y / 1000, X_val=x, y_val=y / 1000)


def noisy(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 4))
    return x, 100 * x[:, 0] + 50 * (1 + x[:, 1]) * rng.standard_normal(n) + 1000


def coverage(model, x, y):
    predicted = model.predict(x)
    return np.mean((predicted[:, 0] <= y) & (y <= predicted[:, -1]))


def test_calibrated_intervals_cover_what_they_promise():
    x, y = noisy(150, 0)
    parameters = {"hidden_layer_sizes": (64,), "max_iter": 400, "learning_rate_init": 0.01}
    model = MLPRegressor(
        "quantile", quantile=LEVELS, **parameters, random_state=0, scale_target=True
    ).fit(x, y)
    new = noisy(5000, 1)
    assert coverage(model, *new) < 0.8
    assert model.calibrate(*noisy(400, 2)) is model
    assert 0.87 < coverage(model, *new) < 0.94
    assert (np.diff(model.predict(new[0])) >= 0).all()


def test_the_shifts_are_order_statistics_of_held_out_residuals():
    x, y = far()
    model = fitted(loss="quantile", quantile=LEVELS)
    before = model.predict(x)
    model.calibrate(x[:99], y[:99])
    residuals = np.sort(y[:99, np.newaxis] - before[:99], axis=0)
    # (99 + 1) times a level is the position, counted from 1.
    np.testing.assert_allclose(
        model.quantile_shifts_, [residuals[4, 0], residuals[49, 1], residuals[94, 2]]
    )
    np.testing.assert_allclose(model.predict(x), before + model.quantile_shifts_)
    again = model.quantile_shifts_
    model.calibrate(x[:99], y[:99])
    np.testing.assert_array_equal(model.quantile_shifts_, again)
    model.partial_fit(x, y)
    assert not hasattr(model, "quantile_shifts_")


def test_calibration_that_is_impossible_says_why():
    x, y = far()
    model = fitted(loss="quantile", quantile=LEVELS)
    model.calibrate(x[:19], y[:19])
    shifts = model.quantile_shifts_
    with pytest.raises(ValueError, match=r"X must have at least 19 rows.*got 18"):
        model.calibrate(x[:18], y[:18])
    np.testing.assert_array_equal(model.quantile_shifts_, shifts)
    with pytest.raises(ValueError, match="X has 20 rows and y has 19"):
        model.calibrate(x[:20], y[:19])
    with pytest.raises(ValueError, match='calibrate needs loss="quantile" and one target'):
        fitted().calibrate(x, y)
    with pytest.raises(NotFittedError):
        MLPRegressor("quantile").calibrate(x, y)
