"""The estimators for Dask collections: the local ones with the bits of shards, lazily applied."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score

import fastmlp
from fastmlp import Checkpoint, MLPClassifier, MLPRegressor
from fastmlp import data as d
from fastmlp.callbacks import EpochCallback
from fastmlp.estimators.classifier import MLPClassifier as LocalClassifier
from fastmlp.exceptions import ClusterError, DataFormatError

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

from dask_jobs import LABELS, WEIGHTS, N, X  # noqa: E402

from fastmlp.dask import DaskMLPClassifier, DaskMLPRegressor  # noqa: E402
from fastmlp.dask.collection import CollectionSource  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TARGET = (X[:, 0] - 2 * X[:, 1]).astype(np.float64)
TWO = np.column_stack([TARGET, X[:, 2]])
NAMES = list("uvwxyz")
FRAME = pd.DataFrame(X, columns=NAMES)
SETTINGS = {"hidden_layer_sizes": (7,), "max_iter": 3, "random_state": 0, "batch_size": 50,
            "n_iter_no_change": 99}  # fmt: skip


def pieces(a, size=90):
    return [dask.delayed(np.array)(a[i : i + size]) for i in range(0, len(a), size)]


def chunked(a, size=90):
    return da.from_array(a, chunks=(size, *a.shape[1:]))


KINDS = {
    "array": (chunked(X), chunked),
    "frame": (dd.from_pandas(FRAME, npartitions=4),
              lambda y: dd.from_pandas(pd.Series(y), npartitions=4)),
    "delayed": (pieces(X), pieces),
}  # fmt: skip


def computed(lazy):
    if isinstance(lazy, list):
        return np.concatenate(dask.compute(*lazy))
    return np.asarray(lazy.compute())


def classifier(client, **changes):
    return DaskMLPClassifier(client=client, **SETTINGS | changes)


def regressor(client, **changes):
    return DaskMLPRegressor(client=client, **SETTINGS | changes)


@pytest.fixture(scope="module")
def fitted(client):
    """A classifier of each kind of collection, which tests do not change."""
    return {
        kind: classifier(client).fit(x, collect(LABELS)) for kind, (x, collect) in KINDS.items()
    }


# --- Fit


def in_order_of_shards(n_shards=8):
    parts = [part.tolist() for part in np.array_split(np.arange(N), n_shards)]
    return [parts[p % n_shards][p // n_shards] for p in range(N)]


def test_a_classifier_is_that_of_an_array_in_the_order_of_its_shards(client):
    rows = in_order_of_shards()
    changes = {"shuffle": False, "dtype": "float64", "alpha": 0.1}
    expected = MLPClassifier(**SETTINGS | changes).fit(X[rows], LABELS[rows])
    found = classifier(client, **changes).fit(chunked(X), chunked(LABELS))
    for a, b in zip(found.coefs_ + found.intercepts_, expected.coefs_ + expected.intercepts_,
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-10)
    assert found.classes_.tolist() == list("abcd") and found.n_features_in_ == 6


@pytest.mark.parametrize("y", [TARGET, TWO], ids=["one target", "two"])
def test_a_regressor_is_that_of_an_array_in_the_order_of_its_shards(client, y):
    rows = in_order_of_shards()
    changes = {"shuffle": False, "dtype": "float64"}
    expected = MLPRegressor(**SETTINGS | changes).fit(X[rows], y[rows])
    found = regressor(client, **changes).fit(chunked(X), chunked(y))
    np.testing.assert_allclose(found.coefs_[0], expected.coefs_[0], rtol=1e-9, atol=1e-11)
    assert found.predict(chunked(X)).shape == y.shape
    np.testing.assert_allclose(computed(found.predict(chunked(X))), expected.predict(X), rtol=1e-8)


def test_each_kind_of_collection_has_the_same_bits(fitted):
    for name in ("frame", "delayed"):
        for a, b in zip(fitted["array"].coefs_, fitted[name].coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
    assert list(fitted["frame"].feature_names_in_) == NAMES
    assert not hasattr(fitted["array"], "feature_names_in_")


def test_the_number_of_workers_does_not_change_a_bit(client, use_workers, fitted):
    use_workers(1)
    alone = classifier(client).fit(chunked(X), chunked(LABELS))
    for a, b in zip(alone.coefs_, fitted["array"].coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_source_is_read_by_every_worker(client, fitted):
    found = classifier(client).fit(d.ArraySource(X, LABELS))
    np.testing.assert_array_equal(found.coefs_[0], fitted["array"].coefs_[0])


def test_sample_weights_count(client, fitted):
    weighted = classifier(client).fit(chunked(X), chunked(LABELS), chunked(WEIGHTS))
    assert not np.array_equal(weighted.coefs_[0], fitted["array"].coefs_[0])
    again = classifier(client).fit(d.ArraySource(X, LABELS, WEIGHTS))
    np.testing.assert_array_equal(weighted.coefs_[0], again.coefs_[0])


@pytest.mark.parametrize("collect", [np.asarray, chunked, pieces], ids=["array", "dask", "delayed"])
def test_validation_data_are_measured_on_the_client(client, collect):
    model = classifier(client, early_stopping=True, max_iter=4).fit(
        chunked(X), chunked(LABELS), X_val=collect(X[:100]), y_val=collect(LABELS[:100]),
        sample_weight_val=collect(WEIGHTS[:100]),
    )  # fmt: skip
    assert len(model.validation_scores_) == model.n_iter_ == 4
    best = model.to_local().score(X[:100], LABELS[:100], WEIGHTS[:100])
    assert max(model.validation_scores_) == pytest.approx(best)


def test_callbacks_run_on_the_client_and_a_checkpoint_is_continued(client, fitted, tmp_path):
    X_rows, collect = KINDS["array"]
    epochs = []

    class Note(EpochCallback):
        def settings(self):
            """Return None: it has no influence on the run."""

        def after_epoch(self, training):
            epochs.append(training.epochs_done)

    short = DaskMLPClassifier(**SETTINGS | {"max_iter": 2}, client=client)
    short.set_callbacks(Note(), Checkpoint(tmp_path)).fit(X_rows, collect(LABELS))
    assert epochs == [1, 2]
    resumed = DaskMLPClassifier(**SETTINGS, client=client).set_callbacks(Checkpoint(tmp_path))
    resumed.fit(X_rows, collect(LABELS), resume=tmp_path)
    whole = DaskMLPClassifier(**SETTINGS, client=client).fit(X_rows, collect(LABELS))
    assert resumed.n_iter_ == 3
    assert all(map(np.array_equal, resumed.coefs_, whole.coefs_))


def test_a_cluster_that_is_lost_is_an_error_that_names_the_checkpoint(
    client, monkeypatch, tmp_path
):
    def lost(*_):
        raise ClusterError("the scheduler is lost")

    monkeypatch.setattr("fastmlp.dask.feed.Crew", lost)
    model = DaskMLPClassifier(**SETTINGS, client=client)
    with pytest.raises(ClusterError, match=r"^the scheduler is lost$"):
        model.fit(chunked(X), chunked(LABELS))
    model.set_callbacks(Checkpoint(tmp_path))
    with pytest.raises(ClusterError) as caught:
        model.fit(chunked(X), chunked(LABELS))
    assert str(caught.value) == f"the scheduler is lost; continue with resume='{tmp_path}'"


@pytest.mark.parametrize("n_threads", [None, 2])
def test_the_threads_of_the_workers_are_those_of_the_parameter(client, monkeypatch, n_threads):
    orders = []

    def noted(workers, orders_for, n_shards):
        orders.append(orders_for([0, n_shards], "token"))
        raise ClusterError("noted")

    monkeypatch.setattr("fastmlp.dask.feed.Crew", noted)
    model = DaskMLPClassifier(**SETTINGS, client=client, n_threads=n_threads)
    with pytest.raises(ClusterError, match="noted"):
        model.fit(chunked(X), chunked(LABELS))
    assert orders[0].n_threads == n_threads


def test_a_warm_start_continues_and_a_cold_one_begins_again(client, fitted):
    model = classifier(client, warm_start=True, max_iter=1)
    for _ in range(2):
        model.fit(chunked(X), chunked(LABELS))
    warm = model.coefs_[0].copy()
    local = MLPClassifier(**SETTINGS | {"warm_start": True, "max_iter": 1})
    first = classifier(client, max_iter=1).fit(chunked(X), chunked(LABELS)).coefs_[0]
    assert not np.array_equal(warm, first) and local.warm_start
    model.set_params(warm_start=False)
    model.fit(chunked(X), chunked(LABELS))
    np.testing.assert_array_equal(model.coefs_[0], first)


def test_parameters_are_set_and_checked_as_those_of_the_local_one(client):
    model = classifier(client)
    assert model.set_params(alpha=0.5, n_shards=3, patience=9.0) is model
    assert model.get_params()["alpha"] == 0.5 and model.get_params()["n_shards"] == 3
    assert "client" not in model.get_params()
    local = set(MLPClassifier().get_params())
    assert set(model.get_params()) == local | {"n_shards", "patience"}
    with pytest.raises(ValueError, match="Invalid parameter 'alhpa'"):
        model.set_params(alhpa=1)
    model.fit(chunked(X), chunked(LABELS))
    assert model.to_local().alpha == 0.5


def test_the_current_client_is_taken(client, fitted):
    with client.as_current():
        model = DaskMLPClassifier(**SETTINGS).fit(chunked(X), chunked(LABELS))
    assert model.client is None
    np.testing.assert_array_equal(model.coefs_[0], fitted["array"].coefs_[0])


def test_more_shards_than_rows_are_as_many_as_rows(client):
    model = classifier(client, n_shards=50, batch_size=5).fit(chunked(X[:9]), chunked(LABELS[:9]))
    assert np.isfinite(model.coefs_[0]).all()


def test_labels_come_to_the_client_without_the_rows(client, monkeypatch):
    read = CollectionSource.read
    n_rows = []

    def noted(self, begin, end):
        n_rows.append(end - begin)
        return read(self, begin, end)

    monkeypatch.setattr(CollectionSource, "read", noted)
    classifier(client, max_iter=1).fit(chunked(X), chunked(LABELS))
    assert max(n_rows, default=0) <= 256


def test_a_fit_that_fails_leaves_the_estimator_as_it_was(client, fitted):
    model = copy.deepcopy(fitted["array"])
    model.client = client
    before = model.coefs_[0].copy()
    model.set_params(alpha=-1)
    with pytest.raises(ValueError, match="alpha"):
        model.fit(chunked(X), chunked(LABELS))
    np.testing.assert_array_equal(model.coefs_[0], before)


# --- Predictions


METHODS = ["predict", "predict_proba", "predict_log_proba"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_lazy_and_those_of_the_local_estimator(fitted, kind, method):
    model, x = fitted[kind], KINDS[kind][0]
    lazy = getattr(model, method)(x)
    kinds = {"array": da.Array, "delayed": list}
    if kind == "frame":
        assert hasattr(lazy, "npartitions")
    else:
        assert isinstance(lazy, kinds[kind])
    local = getattr(model.to_local(), method)(FRAME if kind == "frame" else X)
    found = computed(lazy)
    np.testing.assert_array_equal(found, local)
    if kind == "array":
        assert lazy.dtype == local.dtype and lazy.shape == local.shape
    if kind == "frame" and method == "predict_proba":
        assert list(lazy.columns) == list("abcd")
        assert lazy.compute().index.tolist() == list(range(N))


def test_arrays_are_predicted_at_once(fitted):
    model = fitted["array"]
    np.testing.assert_array_equal(model.predict(X), model.to_local().predict(X))
    assert isinstance(model.predict(X), np.ndarray)


def test_empty_partitions_have_no_predictions(fitted):
    parts = [dask.delayed(np.array)(a) for a in (X[:0], X[:5], X[5:5])]
    found = dask.compute(*fitted["array"].predict_proba(parts))
    assert [part.shape for part in found] == [(0, 4), (5, 4), (0, 4)]


def test_columns_in_chunks_are_put_together(fitted):
    cut = da.from_array(X, chunks=(90, 2))
    found = fitted["array"].predict_proba(cut).compute()
    np.testing.assert_array_equal(found, fitted["array"].to_local().predict_proba(X))


def test_two_targets_are_two_columns_of_a_frame(client):
    model = regressor(client).fit(KINDS["frame"][0], dd.from_pandas(pd.DataFrame(TWO), 4))
    lazy = model.predict(KINDS["frame"][0])
    assert list(lazy.columns) == [0, 1]
    np.testing.assert_array_equal(lazy.compute(), model.to_local().predict(FRAME))


# --- Scores


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("kind", KINDS)
def test_accuracy_is_that_of_scikit_learn(fitted, kind, weights):
    model, (x, collect) = fitted[kind], KINDS[kind]
    lazy_weights = None if weights is None else collect(weights)
    found = model.score(x, collect(LABELS), lazy_weights)
    predicted = model.to_local().predict(FRAME if kind == "frame" else X)
    assert found == pytest.approx(accuracy_score(LABELS, predicted, sample_weight=weights))
    assert found == pytest.approx(model.score(FRAME if kind == "frame" else X, LABELS, weights))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("y", [TARGET, TWO, np.ones(N), TARGET + 1e7],
                         ids=["one", "two", "constant", "far from 0"])  # fmt: skip
def test_r2_is_that_of_scikit_learn(client, y, weights):
    model = regressor(client, scale_target=bool(y.mean() > 10)).fit(chunked(X), chunked(y))
    lazy_weights = None if weights is None else chunked(weights)
    found = model.score(chunked(X), chunked(y), lazy_weights)
    predicted = model.to_local().predict(X)
    assert found == pytest.approx(r2_score(y, predicted, sample_weight=weights), rel=1e-6)


def test_labels_in_a_column_are_scored_as_those_without(fitted):
    model = fitted["array"]
    expected = model.score(X, LABELS)
    assert model.score(chunked(X), chunked(LABELS[:, np.newaxis])) == pytest.approx(expected)


def test_labels_that_cannot_be_compared_are_refused_by_name(fitted):
    with pytest.raises(ValueError, match="y: Mix of label input types"):
        fitted["array"].score(chunked(X), chunked(np.arange(N) % 3))


def test_targets_that_are_not_finite_have_no_score(client):
    model = regressor(client).fit(chunked(X), chunked(TARGET))
    with pytest.raises(ValueError, match="y contains NaN"):
        model.score(chunked(X), chunked(np.where(np.arange(N) == 3, np.nan, TARGET)))


@pytest.mark.parametrize("levels", [0.9, (0.1, 0.9)], ids=["one", "two"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
def test_quantiles_have_the_score_of_the_local_estimator(client, levels, weights):
    model = regressor(client, loss="quantile", quantile=levels).fit(chunked(X), chunked(TARGET))
    lazy_weights = None if weights is None else chunked(weights)
    found = model.score(chunked(X), chunked(TARGET), lazy_weights)
    assert found == pytest.approx(model.score(X, TARGET, weights), rel=1e-6)


# --- Frames with columns of several types


def test_booleans_and_nullable_integers_are_numbers_beside_others(client):
    frame = FRAME.assign(y=FRAME["y"] > 0, x=pd.array(np.arange(N), dtype="Int64"))
    labels = dd.from_pandas(pd.Series(LABELS), npartitions=4)
    plain = frame.astype(float)
    outputs = [
        classifier(client)
        .fit(dd.from_pandas(given, npartitions=4), labels)
        .to_local()
        .predict_proba(plain)
        for given in (frame, plain)
    ]
    np.testing.assert_array_equal(*outputs)


def test_text_in_a_frame_is_named_with_its_column(client):
    frame = dd.from_pandas(FRAME.assign(w=["a"] * N), npartitions=4)
    with pytest.raises(DataFormatError, match=r"X, partition ., column 'w': expected numbers"):
        classifier(client).fit(frame, dd.from_pandas(pd.Series(LABELS), npartitions=4))


def test_weights_that_are_all_0_are_refused_before_training(client):
    with pytest.raises(ValueError, match=f"sample_weight must have a .*; all {N} are zero"):
        classifier(client).fit(chunked(X), chunked(LABELS), chunked(np.zeros(N)))


# --- Without the cluster


def test_files_pickles_and_copies_hold_no_client(client, fitted, tmp_path):
    model = fitted["array"]
    expected = model.to_local().predict_proba(X)
    again = pickle.loads(pickle.dumps(model))
    assert again.client is None and model.client is client
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    np.testing.assert_array_equal(again.predict_proba(chunked(X)).compute(), expected)
    model.save(tmp_path / "model.safetensors")
    local = fastmlp.load(tmp_path / "model.safetensors")
    assert type(local) is LocalClassifier
    np.testing.assert_array_equal(local.predict_proba(X), expected)
    back = DaskMLPClassifier.from_local(local, client=client)
    np.testing.assert_array_equal(back.predict_proba(X), expected)
    assert back.get_params()["hidden_layer_sizes"] == (7,) and back.client is client


def test_a_clone_has_the_parameters_alone(fitted):
    found = clone(fitted["array"].set_params(n_shards=8))
    assert found.client is None and found.get_params() == fitted["array"].get_params()
    with pytest.raises(NotFittedError):
        found.predict(X)


def test_the_local_estimator_is_a_copy(fitted):
    model = fitted["array"]
    local = model.to_local()
    local.coefs_[0][...] = 0
    assert model.coefs_[0].any() and type(local) is LocalClassifier


def test_they_say_what_they_are(client):
    assert is_classifier(classifier(client)) and is_regressor(regressor(client))
    assert repr(DaskMLPClassifier((30,), alpha=0.5, n_shards=4)) == (
        "DaskMLPClassifier(alpha=0.5, hidden_layer_sizes=(30,), n_shards=4)"
    )


def test_an_unfitted_local_one_makes_an_unfitted_one():
    found = DaskMLPRegressor.from_local(MLPRegressor(alpha=0.5))
    assert found.alpha == 0.5 and not found.__sklearn_is_fitted__()


# --- Errors


WRONG = {
    "arrays": ({}, (X, LABELS), TypeError,
               "(?s)X must be a Dask array.*; got .* For arrays, use MLPClassifier"),
    "an array of labels": ({}, (chunked(X), LABELS), TypeError,
                           "y must be a Dask array.*, because X is one; got"),
    "no labels": ({}, (chunked(X),), TypeError, "y must be a Dask array"),
    "a source with labels": ({}, (d.ArraySource(X, LABELS), chunked(LABELS)), ValueError,
                             "y must be None, because X is a source"),
    "shards": ({"n_shards": 0}, (chunked(X), chunked(LABELS)), ValueError,
               "n_shards must be .*1; got 0"),
    "patience": ({"patience": 0}, (chunked(X), chunked(LABELS)), ValueError,
                 "patience must be .*0.1; got 0"),
    "a client": ({"client": "tcp://127.0.0.1:1"}, (chunked(X), chunked(LABELS)), TypeError,
                 "client must be a distributed.Client; got 'tcp"),
    "lbfgs": ({"solver": "lbfgs"}, (chunked(X), chunked(LABELS)), ValueError, "solver='lbfgs'"),
    "balanced": ({"class_weight": "balanced"}, (chunked(X), chunked(LABELS)), ValueError,
                 "class_weight='balanced'"),
    "early stopping": ({"early_stopping": True}, (chunked(X), chunked(LABELS)), ValueError,
                       "early_stopping.*X_val"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_and_parameters_are_named(client, what):
    changes, data, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        classifier(**{"client": client} | changes).fit(*data)


def test_without_any_client_the_error_says_so(monkeypatch):
    def nothing():
        raise ValueError("No global client found")

    monkeypatch.setattr("distributed.get_client", nothing)
    with pytest.raises(ValueError, match="because there is no current one; got None"):
        DaskMLPClassifier().fit(chunked(X), chunked(LABELS))


@pytest.mark.parametrize("method", [*METHODS, "to_local", "save", "score"])
def test_an_estimator_that_is_not_fitted_says_so(method, tmp_path):
    arguments = {"to_local": (), "save": (tmp_path / "x",), "score": (X, LABELS)}
    with pytest.raises(NotFittedError, match="DaskMLPClassifier"):
        getattr(DaskMLPClassifier(), method)(*arguments.get(method, (X,)))


@pytest.mark.parametrize("name", ["coefs_", "_hidden_", "unknown"])
def test_attributes_that_do_not_exist_are_named(name):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(DaskMLPClassifier(), name)


@pytest.mark.parametrize("given", [MLPRegressor(), DaskMLPClassifier(), None])
def test_only_the_local_class_is_taken_over(given):
    with pytest.raises(TypeError, match="local must be a MLPClassifier; got"):
        DaskMLPClassifier.from_local(given)
