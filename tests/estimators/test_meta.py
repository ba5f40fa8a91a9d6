"""The estimators inside scikit-learn's meta-estimators."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
import sklearn
from estimator_data import blobs, digits, regression
from sklearn import neural_network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

FAST = dict(hidden_layer_sizes=(16,), learning_rate_init=0.02, max_iter=50, random_state=0)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_pipeline_with_a_scaler():
    x, y = digits()
    scores = [
        make_pipeline(StandardScaler(), mlp(**FAST)).fit(x[:400], y[:400]).score(x[400:], y[400:])
        for mlp in (MLPClassifier, neural_network.MLPClassifier)
    ]
    assert scores[0] > scores[1] - 0.05


def test_pipeline_transforms_the_validation_set():
    x, y = blobs()
    with sklearn.config_context(enable_metadata_routing=True):
        mlp = MLPClassifier(**FAST).set_fit_request(X_val=True, y_val=True)
        model = make_pipeline(StandardScaler(), mlp, transform_input=["X_val"])
        model.fit(x[:150] * 50, y[:150], X_val=x[150:] * 50, y_val=y[150:])
    scaler = StandardScaler().fit(x[:150] * 50)
    direct = MLPClassifier(**FAST).fit(
        scaler.transform(x[:150] * 50),
        y[:150],
        X_val=scaler.transform(x[150:] * 50),
        y_val=y[150:],
    )
    np.testing.assert_allclose(mlp_of(model).history_["val_loss"], direct.history_["val_loss"])


def mlp_of(pipeline):
    return pipeline[-1]


def test_column_transformer_with_categories():
    x, y = blobs()
    table = np.column_stack([x[:, :5], np.array(["red", "green"], dtype=object)[y]])
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), [0, 1, 2, 3, 4]), ("color", OneHotEncoder(), [5])]
    )
    model = make_pipeline(columns, MLPClassifier(**FAST)).fit(table, y)
    assert model.score(table, y) > 0.95


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_over_layers_as_text(n_jobs):
    x, y = digits(300)
    grid = dict(hidden_layer_sizes=["16", "16x8"], solver=["adam", "lbfgs"])
    with joblib.parallel_config("threading"):
        search = GridSearchCV(MLPClassifier(**FAST), grid, cv=2, n_jobs=n_jobs).fit(x, y)
    assert search.best_score_ > 0.8
    best = MLPClassifier(**FAST).set_params(**search.best_params_).fit(x, y)
    np.testing.assert_array_equal(best.coefs_[0], search.best_estimator_.coefs_[0])


def test_results_are_the_same_for_every_backend_and_number_of_jobs():
    x, y = digits(300)
    scores = []
    for backend, n_jobs in (("sequential", 1), ("threading", 3), ("loky", 2)):
        with joblib.parallel_config(backend):
            scores.append(cross_val_score(MLPClassifier(**FAST), x, y, cv=3, n_jobs=n_jobs))
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_halving_search_over_epochs():
    x, y = blobs()
    search = HalvingGridSearchCV(
        MLPClassifier(**FAST),
        dict(alpha=[1e-4, 1e-2, 1.0]),
        resource="max_iter",
        max_resources=18,
        min_resources=6,
        cv=2,
        random_state=0,
    )
    search.fit(x, y)
    assert search.n_resources_ == [6, 18]


def test_stacking_voting_and_calibration():
    x, y = blobs()
    members = [("mlp", MLPClassifier(**FAST)), ("linear", LogisticRegression())]
    for model in (
        StackingClassifier(members, cv=3),
        VotingClassifier(members, voting="soft"),
        CalibratedClassifierCV(MLPClassifier(**FAST), cv=3),
        MultiOutputClassifier(MLPClassifier(**FAST)),
    ):
        target = np.stack([y, 1 - y], axis=1) if isinstance(model, MultiOutputClassifier) else y
        assert model.fit(x, target).score(x, target) > 0.7


def test_regressors_in_bags_and_behind_a_target_transformer():
    x, y = regression()
    bag = BaggingRegressor(MLPRegressor(**FAST), n_estimators=3, random_state=0).fit(x, y)
    transformed = TransformedTargetRegressor(MLPRegressor(**FAST), transformer=StandardScaler())
    assert bag.predict(x).shape == transformed.fit(x, 1000 * y).predict(x).shape == (200,)


def test_permutation_importance_finds_the_features_that_count():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = x[:, 1] > 0
    model = MLPClassifier(**FAST).fit(x, y)
    importance = permutation_importance(model, x, y, n_repeats=3, random_state=0)
    assert importance.importances_mean.argmax() == 1


def test_cross_validation_routes_weights_and_groups():
    x, y = blobs()
    weights, groups = np.where(y == 1, 3.0, 1.0), np.arange(200) // 20
    seen = []

    class Recording(MLPClassifier):
        def fit(self, X, y, sample_weight=None):
            seen.append(sample_weight)
            return super().fit(X, y, sample_weight=sample_weight)

    with sklearn.config_context(enable_metadata_routing=True):
        model = Recording(**FAST).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        cross_validate(
            model, x, y, cv=GroupKFold(2), params=dict(sample_weight=weights, groups=groups)
        )
    assert [len(w) for w in seen] == [100, 100]
    assert all(set(w) == {1.0, 3.0} for w in seen)


def test_progress_bar_of_a_pipeline_reaches_its_last_step(capsys):
    pytest.importorskip("rich")
    bar = pytest.importorskip("sklearn.callback").ProgressBar()
    x, y = blobs()
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST))
    model.set_callbacks(bar)
    model.fit(x, y)
    assert "MLPClassifier - fit" in capsys.readouterr().out


def test_names_of_features_are_remembered_and_compared():
    pd = pytest.importorskip("pandas")
    x, y = blobs()
    frame = pd.DataFrame(x, columns=list("abcdef"))
    model = MLPClassifier(**FAST, early_stopping=True, scoring="f1").fit(frame, y)
    assert list(model.feature_names_in_) == list("abcdef")
    np.testing.assert_array_equal(model.predict(frame[:3]), model.predict(frame)[:3])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("bacdef")])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(x[:1])
