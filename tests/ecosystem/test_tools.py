"""Other libraries that take an estimator: what they return is what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from fastmlp.callbacks import MLflowLog
from fastmlp.tables import PiecewiseLinearEncoder, TabularEncoder

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X).astype(np.float32)
SHORT = {
    "hidden_layer_sizes": "8",
    "learning_rate": "cosine",
    "learning_rate_init": 0.02,
    "n_iter_no_change": np.inf,
    "max_iter": 20,
    "random_state": 0,
}

rng = np.random.default_rng(0)
A = rng.normal(size=(900, 3)).astype(np.float32)
T = A[:, 0] + 0.3 * rng.normal(size=900)
TRAIN, HELD_OUT, NEW = slice(0, 300), slice(300, 600), slice(600, 900)

quiet = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",  # of these tools' own tools
    "ignore::FutureWarning",
    "ignore:.*Any type hint is inferred:UserWarning",
)


def classifier(**parameters):
    return MLPClassifier(**SHORT | parameters)


def regressor(**parameters):
    return MLPRegressor(**SHORT | parameters)


# --- Resampling


def test_oversampling_in_a_pipeline_finds_more_of_a_rare_class():
    imblearn = pytest.importorskip("imblearn", reason="imbalanced-learn is not installed")
    from imblearn.pipeline import make_pipeline as resampling_pipeline

    few = np.r_[0:50, 50:56, 100:150]
    plain = classifier(max_iter=60).fit(X[few], Y[few])
    smote = imblearn.over_sampling.SMOTE(k_neighbors=3, random_state=0)
    pipe = resampling_pipeline(smote, classifier(max_iter=60)).fit(X[few], Y[few])
    recalls = [recall_score(Y, model.predict(X), average=None)[1] for model in (plain, pipe)]
    assert recalls[1] > recalls[0] + 0.3


def test_balanced_bagging_draws_rows_for_our_networks():
    pytest.importorskip("imblearn", reason="imbalanced-learn is not installed")
    from imblearn.ensemble import BalancedBaggingClassifier

    bag = BalancedBaggingClassifier(classifier(max_iter=60), n_estimators=3, random_state=0)
    assert bag.fit(X, Y).score(X, Y) > 0.8


# --- Sets and intervals


def coverage(intervals):
    return np.mean((intervals[:, 0, 0] <= T[NEW]) & (T[NEW] <= intervals[:, 1, 0]))


def test_conformal_intervals_hold_for_as_many_rows_as_they_promise():
    mapie = pytest.importorskip("mapie.regression", reason="MAPIE is not installed")
    wrapped = mapie.SplitConformalRegressor(
        regressor().fit(A[TRAIN], T[TRAIN]), confidence_level=0.9, prefit=True
    )
    wrapped.conformalize(A[HELD_OUT], T[HELD_OUT])
    assert 0.85 < coverage(wrapped.predict_interval(A[NEW])[1]) < 0.95


def test_conformalized_quantiles_hold_too():
    mapie = pytest.importorskip("mapie.regression", reason="MAPIE is not installed")
    models = [
        regressor(loss="quantile", quantile=quantile).fit(A[TRAIN], T[TRAIN])
        for quantile in (0.05, 0.95, 0.5)
    ]
    wrapped = mapie.ConformalizedQuantileRegressor(models, confidence_level=0.9, prefit=True)
    wrapped.conformalize(A[HELD_OUT], T[HELD_OUT])
    assert 0.85 < coverage(wrapped.predict_interval(A[NEW])[1]) < 0.95


def test_conformal_sets_hold_the_class():
    mapie = pytest.importorskip("mapie.classification", reason="MAPIE is not installed")
    wrapped = mapie.SplitConformalClassifier(
        classifier().fit(X[::2], Y[::2]), confidence_level=0.9, prefit=True
    )
    wrapped.conformalize(X[1::4], Y[1::4])
    sets = wrapped.predict_set(X[3::4])[1][:, :, 0]
    assert sets[np.arange(len(sets)), Y[3::4]].mean() > 0.85


# --- Explanations


@quiet
@pytest.mark.soak
def test_shares_of_the_permutation_explainer_add_up_to_the_prediction():
    shap = pytest.importorskip("shap", reason="SHAP is not installed")
    model = classifier().fit(X, Y)
    explainer = shap.PermutationExplainer(model.predict_proba, X[::3], seed=0)
    shares = explainer(X[:3])
    total = shares.base_values + shares.values.sum(axis=1)
    np.testing.assert_allclose(total, model.predict_proba(X[:3]), atol=1e-5)


def test_inspection_finds_what_the_target_is_made_of():
    from sklearn.inspection import partial_dependence, permutation_importance

    model = regressor().fit(A, T)
    found = permutation_importance(model, A, T, n_repeats=2, random_state=0).importances_mean
    assert found.argmax() == 0
    curve = partial_dependence(model, A, [0], grid_resolution=5)["average"][0]
    assert (np.diff(curve) > 0).all()


# --- Files


KINDS = {
    "MLPClassifier": ("fastmlp.estimators.MLPClassifier", lambda: classifier().fit(X, Y)),
    "MLPRegressor": ("fastmlp.estimators.MLPRegressor", lambda: regressor().fit(A, T)),
    "early stopping": (
        "fastmlp.estimators.MLPClassifier",
        lambda: classifier(early_stopping=True).fit(X, Y),
    ),
    "TabularClassifier": (
        "fastmlp.tables.TabularClassifier",
        lambda: TabularClassifier(preset="fast", random_state=0).fit(X, Y),
    ),
    "TabularRegressor": (
        "fastmlp.tables.TabularRegressor",
        lambda: TabularRegressor(preset="fast", random_state=0, quantiles=[0.1, 0.9]).fit(A, T),
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_skops_needs_one_trusted_type(name):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    type_name, make = KINDS[name]
    model = make()
    pipe = make_pipeline(StandardScaler(), model) if name == "MLPClassifier" else model
    content = skops.dumps(pipe)
    assert skops.get_untrusted_types(data=content) == [type_name]
    again = skops.loads(content, trusted=[type_name])
    final = again[-1] if name == "MLPClassifier" else again
    rows = X if "Class" in type_name else A
    np.testing.assert_array_equal(final.predict(rows), model.predict(rows))
    assert again is not pipe


@pytest.mark.parametrize("make", [TabularEncoder, PiecewiseLinearEncoder])
def test_encoders_of_tables_need_one_trusted_type_too(make):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    encoder = make().fit(A)
    content = skops.dumps(encoder)
    name = f"fastmlp.tables.{make.__name__}"
    assert skops.get_untrusted_types(data=content) == [name]
    again = skops.loads(content, trusted=[name])
    np.testing.assert_array_equal(again.transform(A), encoder.transform(A))


def test_cloudpickle_takes_a_loss_that_was_made_in_a_notebook():
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    scale = 2.0

    def twice(y, t):
        return scale * ((y - t) ** 2).sum(axis=1) / 2, scale * (y - t)

    model = regressor(loss=twice).fit(A, T)
    again = cloudpickle.loads(cloudpickle.dumps(model))
    np.testing.assert_array_equal(again.predict(A), model.predict(A))


# --- Jobs


def test_scores_on_a_dask_cluster_are_those_of_one_thread():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    from joblib import parallel_config
    from sklearn.model_selection import cross_val_score

    expected = cross_val_score(classifier(n_threads=1), X, Y, cv=3)
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    )
    with cluster, distributed.Client(cluster), parallel_config("dask"):
        scores = cross_val_score(classifier(n_threads=1), X, Y, cv=3)
    np.testing.assert_array_equal(scores, expected)


# --- MLflow


@pytest.fixture
def tracking(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri("sqlite:///runs.db")
    return mlflow


@quiet
@pytest.mark.soak
def test_mlflow_has_every_epoch_under_the_names_of_the_history(tracking):
    model = classifier().set_callbacks(MLflowLog())
    with tracking.start_run() as run:
        model.fit(X, Y, X_val=X, y_val=Y)
    client = tracking.MlflowClient()
    for name in ("loss", "val_loss", "val_score", "learning_rate"):
        found = client.get_metric_history(run.info.run_id, name)
        assert {m.step: m.value for m in found} == pytest.approx(
            dict(enumerate(model.history_[name]))
        )


@quiet
@pytest.mark.soak
def test_mlflow_starts_a_run_where_there_is_none_and_ends_it(tracking):
    classifier().set_callbacks(MLflowLog()).fit(X, Y)
    assert tracking.active_run() is None
    assert tracking.last_active_run().info.status == "FINISHED"


@quiet
@pytest.mark.soak
def test_a_model_that_mlflow_has_logged_predicts_the_same(tracking):
    model = classifier().fit(X, Y)
    with tracking.start_run():
        info = tracking.sklearn.log_model(
            model,
            name="model",
            pip_requirements=["fastmlp"],
            skops_trusted_types=["fastmlp.estimators.MLPClassifier"],
        )
    again = tracking.sklearn.load_model(info.model_uri)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    served = tracking.pyfunc.load_model(info.model_uri)
    np.testing.assert_array_equal(served.predict(X), model.predict(X))
