"""TabularClassifier: learns from tables as they are, and says what it did."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from table_data import QUICK, mixed

from fastmlp.callbacks import EpochCallback
from fastmlp.tables import TabularClassifier, base
from fastmlp.tables.jobs import make_job

TABLE, NUMBERS = mixed()
LABELS = np.where(np.median(NUMBERS) < NUMBERS, "high", "low")


def quick(**parameters):
    return TabularClassifier(**QUICK | parameters)


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(TABLE, LABELS)


def test_scikit_learns_checks_pass():
    rules = {"n_members": 2, "n_threads": 1, "network": {"max_epochs": 40}}
    check_estimator(TabularClassifier(**rules), on_skip=None)


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_real_tables_are_classified_as_well_as_by_a_linear_model(load):
    x, y = load(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, random_state=0, stratify=y)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
    ours = TabularClassifier(random_state=0, n_threads=1).fit(x, y)
    assert ours.score(x_test, y_test) > linear.score(x_test, y_test) - 0.03
    losses = [log_loss(y_test, model.predict_proba(x_test)) for model in (ours, linear)]
    assert losses[0] < losses[1] + 0.05


def test_mixed_tables_are_learned(fitted):
    assert fitted.oof_score_ > 0.75
    assert fitted.classes_.tolist() == ["high", "low"]
    assert fitted.score(TABLE, LABELS) > 0.85


def test_probabilities_sum_to_one_and_their_largest_is_the_prediction(fitted):
    probabilities = fitted.predict_proba(TABLE)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    expected = fitted.classes_[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(fitted.predict(TABLE), expected)


def test_held_out_rows_are_predicted_by_the_member_that_did_not_see_them():
    x, y = load_iris(return_X_y=True)
    model = quick(validation=[(np.arange(100, 150), np.arange(100))], n_members=1).fit(x, y)
    member = model.members_[0]
    inputs = model._inputs(model.encoder_, member, model.encoder_.read(x[:100]))
    np.testing.assert_allclose(
        model.oof_prediction_[:100], model._finish(member.network.predict(inputs)), rtol=1e-6
    )
    assert np.isnan(model.oof_prediction_[100:]).all()
    assert model.oof_score_ == np.mean(model.oof_prediction_[:100].argmax(axis=1) == y[:100])


def test_labels_that_are_noise_are_not_predicted_on_held_out_rows():
    """Neither statistics of categories nor early stopping may leak the rows' own labels."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": rng.integers(0, 800, 2000).astype(str), "x": rng.normal(size=2000)})
    model = quick(n_members=5).fit(table, rng.integers(0, 2, 2000))
    assert 0.45 < model.oof_score_ < 0.54
    with_classes = model.oof_prediction_[:, 1]
    assert with_classes.std() < 0.15


def test_a_members_means_tell_training_rows_nothing_about_themselves(monkeypatch):
    jobs = []

    def spy(*arguments, **keywords):
        jobs.append(make_job(*arguments, **keywords))
        return jobs[-1]

    monkeypatch.setattr(base, "make_job", spy)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": rng.integers(0, 800, 2000).astype(str)})
    quick(network={"max_epochs": 1}).fit(table, rng.integers(0, 2, 2000))
    for job in jobs:
        inputs, y = job.rows.x[job.row_index, -1], job.rows.y[job.row_index, 0]
        assert abs(np.corrcoef(inputs, y)[0, 1]) < 0.08
        held_out, y = job.held_out.x[:, -1], job.held_out.y[:, 0]
        assert abs(np.corrcoef(held_out, y)[0, 1]) < 0.15


def test_many_categories_are_learned():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4000, 20000)
    y = (codes % 2) ^ (rng.random(20000) < 0.1)
    table = pd.DataFrame({"id": codes.astype(str)})
    model = quick(n_members=1, network={"max_epochs": 3}).fit(table, y)
    assert model.oof_score_ > 0.8


def test_new_categories_and_missing_values_are_predicted(fitted):
    new = TABLE.head(3).assign(town="Mars", age=np.nan, street="999")
    assert np.isfinite(fitted.predict_proba(new)).all()


def test_the_number_of_threads_changes_no_bit():
    one, two = (quick(n_threads=n, n_members=3).fit(TABLE, LABELS) for n in (1, 2))
    np.testing.assert_array_equal(one.predict_proba(TABLE), two.predict_proba(TABLE))
    np.testing.assert_array_equal(one.oof_prediction_, two.oof_prediction_)


def test_the_seed_decides():
    first, same, other = (quick(random_state=s).fit(TABLE, LABELS) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.predict_proba(TABLE), same.predict_proba(TABLE))
    assert (first.predict_proba(TABLE) != other.predict_proba(TABLE)).any()


def test_pickles_and_copies_predict_the_same(fitted):
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.predict_proba(TABLE), fitted.predict_proba(TABLE))
        assert other.oof_score_ == fitted.oof_score_


def test_other_libraries_frames_give_the_same(fitted):
    expected = fitted.predict_proba(TABLE)
    np.testing.assert_array_equal(fitted.predict_proba(pl.from_pandas(TABLE)), expected)


def test_searches_and_cross_validation_work():
    search = GridSearchCV(quick(n_members=1), {"size": [8, "16x8"]}, cv=2).fit(TABLE, LABELS)
    assert search.best_params_["size"] in (8, "16x8")
    assert clone(quick()).get_params() == quick().get_params()
    assert len(cross_val_score(quick(n_members=1), TABLE, LABELS, cv=2)) == 2


def test_groups_and_weights_are_routed():
    groups, weights = np.arange(len(TABLE)) // 30, np.ones(len(TABLE))
    with sklearn.config_context(enable_metadata_routing=True):
        model = quick(n_members=1).set_fit_request(groups=True, sample_weight=True)
        model.set_score_request(sample_weight=True)
        params = {"groups": groups, "sample_weight": weights}
        scores = cross_validate(model, TABLE, LABELS, cv=GroupKFold(2), params=params)
    assert len(scores["test_score"]) == 2


@pytest.mark.filterwarnings("ignore::fastmlp.exceptions.LinearModelWarning")
def test_soft_labels_are_learned_as_probabilities():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2))
    p = 1 / (1 + np.exp(-2 * x[:, 0]))
    soft = np.column_stack([1 - p, p])
    model = quick(network={"max_epochs": 40}).fit(x, soft)
    assert model.classes_.tolist() == [0, 1]
    assert np.abs(model.predict_proba(x) - soft).mean() < 0.03
    frame = pd.DataFrame(soft, columns=["no", "yes"])
    assert quick().fit(x, frame).predict(x[:1])[0] in ("no", "yes")


@pytest.mark.parametrize(
    ("soft", "message"),
    [([[0.5, 0.6]], "each row with sum 1"), ([[1.5, -0.5]], "probabilities"),
     ([[np.nan, 1.0]], "finite")],
)  # fmt: skip
def test_soft_labels_that_are_no_probabilities_are_refused(soft, message):
    with pytest.raises(ValueError, match=message) as raised:
        quick().fit(np.ones((30, 1)), np.array(soft * 30))
    assert str(raised.value).startswith("y")


def test_class_weights_move_predictions_towards_a_class():
    rare = np.where(np.quantile(NUMBERS, 0.9) < NUMBERS, "high", "low")
    plain, balanced, heavy = (
        quick(class_weight=w).fit(TABLE, rare) for w in (None, "balanced", {"high": 20})
    )
    share = [np.mean(model.predict(TABLE) == "high") for model in (plain, balanced, heavy)]
    assert share[0] < share[1] and share[0] < share[2]


def test_rows_of_weight_zero_are_left_out():
    weights = (np.arange(len(TABLE)) % 2).astype(float)
    labels = LABELS.copy()
    labels[::2] = "unused"
    weighted = quick().fit(TABLE, labels, sample_weight=weights)
    fewer = quick().fit(TABLE[1::2], labels[1::2])
    assert weighted.classes_.tolist() == ["high", "low"]
    np.testing.assert_array_equal(weighted.predict_proba(TABLE), fewer.predict_proba(TABLE))
    assert np.isnan(weighted.oof_prediction_[::2]).all()


def test_a_given_validation_set_stops_all_members():
    model = quick().fit(TABLE[:200], LABELS[:200], X_val=TABLE[200:], y_val=LABELS[200:])
    assert [member.n_rows for member in model.members_] == [200, 200]
    assert [member.n_held_out for member in model.members_] == [100, 100]
    assert model.oof_prediction_ is None and model.oof_score_ is None


def test_splits_by_time_leave_the_first_rows_without_prediction():
    model = quick(validation=TimeSeriesSplit(2)).fit(TABLE, LABELS)
    assert np.isnan(model.oof_prediction_[:100]).all()
    assert not np.isnan(model.oof_prediction_[100:]).any()


def test_groups_are_held_out_together():
    groups = np.arange(len(TABLE)) // 30
    seen = []

    class Spy(TabularClassifier):
        def _splits(self, *arguments, **keywords):
            seen.extend(super()._splits(*arguments, **keywords))
            return seen

        __init__ = TabularClassifier.__init__

    Spy(**QUICK).fit(TABLE, LABELS, groups=groups)
    assert all(not set(groups[a]) & set(groups[b]) for a, b in seen)


def test_few_rows_are_all_learned():
    x, y = np.arange(8.0)[:, np.newaxis], [0, 0, 0, 0, 1, 1, 1, 1]
    model = TabularClassifier(random_state=0).fit(x, y)
    assert model.predict(x).tolist() == y
    assert model.oof_prediction_ is None


def test_a_single_class_is_predicted():
    model = quick().fit(TABLE, ["a"] * len(TABLE))
    assert model.predict_proba(TABLE).tolist() == [[1.0]] * len(TABLE)


def test_the_time_limit_ends_the_fit_with_what_there_is():
    model = quick(n_members=50, time_limit=1e-9).fit(TABLE, LABELS)
    assert len(model.members_) == 1
    assert len(model.members_[0].history["loss"]) == 1
    assert model.score(TABLE, LABELS) > 0


def test_callbacks_are_called_after_every_epoch_of_every_member():
    calls = []

    class Count(EpochCallback):
        def after_epoch(self, training):
            calls.append(training.epochs_done)

    quick(callbacks=[Count()], network={"max_epochs": 3}).fit(TABLE, LABELS)
    assert calls == [1, 2, 3, 1, 2, 3]


def test_presets_are_numbers_of_members():
    for preset, n_members in {"fast": 1, "default": 5, "best": 10}.items():
        model = TabularClassifier(preset=preset, network={"max_epochs": 1}, n_threads=1)
        assert len(model.fit(TABLE, LABELS).members_) == n_members


def test_every_other_member_reads_bins():
    model = quick(n_members=4).fit(TABLE, LABELS)
    sizes = [member.network.sizes[0] for member in model.members_]
    assert sizes[0] == sizes[2] < sizes[1] == sizes[3]


def test_importances_find_the_columns_that_matter(fitted):
    importances = dict(zip(TABLE, fitted.feature_importances_, strict=True))
    assert importances["constant"] == 0
    assert min(importances["town"], importances["size"]) > 0.05
    assert max(abs(importances[name]) for name in ("flag", "count", "when")) < 0.05


def test_the_summary_names_columns_and_members(fitted):
    text = str(fitted.summary())
    for part in (
        "2 members, accuracy 0.", "street     categorical", "60 categories", "mean of y",
        "dropped: constant", "missing values filled and marked", "place among 3", "phases of year",
    ):  # fmt: skip
        assert part in text
    assert text.splitlines()[-1].startswith("2 ")


def test_figures_show_curves_and_importances(fitted):
    curves = fitted.plot_history()
    assert len(curves.axes[0].lines) == 6  # two curves and a point for each member
    bars = fitted.plot_importances(n_columns=3)
    labels = [label.get_text() for label in bars.axes[0].get_yticklabels()]
    assert set(labels) <= set(TABLE) and len(labels) == 3
    assert fitted.feature_importances_[list(TABLE).index(labels[0])] == max(
        fitted.feature_importances_
    )


def test_progress_is_printed_per_member(capsys):
    quick(verbose=True).fit(TABLE, LABELS)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:13] for line in lines] == ["member 1 of 2", "member 2 of 2"]


def test_a_failing_callback_ends_all_members():
    class Failing(EpochCallback):
        def after_epoch(self, training):
            raise RuntimeError("no more")

    model = quick(callbacks=[Failing()], n_threads=2)
    with pytest.raises(RuntimeError, match="no more"):
        model.fit(TABLE, LABELS)
    with pytest.raises(NotFittedError):
        model.predict(TABLE)
    assert vars(model) == {name: value for name, value in model.get_params().items()}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "slow"}, "preset must be one of 'fast', 'default', 'best'"),
        ({"n_members": 0}, "n_members"),
        ({"size": "wide"}, "size must"),
        ({"size": (0,)}, r"size\[0\]"),
        ({"encoding": "periodic"}, "encoding must be one of 'auto', 'plain', 'ple'"),
        ({"max_one_hot": 0}, "max_one_hot"),
        ({"network": ["relu"]}, "network must be a mapping"),
        ({"network": {"layers": 3}}, "network may have activation, dropout, .*got 'layers'"),
        ({"network": {"dropout": 1.0}}, r"network\['dropout'\]"),
        ({"network": {"activation": "step"}}, r"network\['activation'\] must be one of"),
        ({"network": {"max_epochs": 0}}, r"network\['max_epochs'\]"),
        ({"time_limit": -1}, "time_limit"),
        ({"n_threads": 0}, "n_threads"),
        ({"random_state": "x"}, "random_state"),
        ({"callbacks": [3]}, "callbacks"),
        ({"verbose": "loud"}, "verbose"),
        ({"class_weight": {"medium": 2}}, "class_weight has the label 'medium'"),
        ({"validation": 2.0}, "validation"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        quick(**parameters).fit(TABLE, LABELS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": None}, "requires y"),
        ({"y": LABELS[:-1]}, "300 rows and y has 299"),
        ({"y": NUMBERS}, "Unknown label type"),
        ({"sample_weight": [1.0]}, "sample_weight"),
        ({"sample_weight": -np.ones(300)}, "sample_weight must not be negative"),
        ({"groups": np.zeros(3)}, "300 rows and groups has 3"),
        ({"groups": np.zeros((300, 2))}, "groups must have shape"),
        ({"groups": np.zeros(300)}, "groups must be at least 2"),
        ({"X_val": TABLE}, "y_val is missing"),
        ({"y_val": LABELS}, "X_val is missing"),
        ({"X_val": TABLE, "y_val": ["other"] * 300}, "classes not in"),
        ({"X_val": TABLE, "y_val": np.full((300, 3), 1 / 3)}, "y_val must have 2 columns"),
        ({"X_val": TABLE[["age"]], "y_val": LABELS}, "X_val.*now missing"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises((ValueError, TypeError), match=r"(?s)" + message):
        quick().fit(**{"X": TABLE, "y": LABELS} | arguments)


def test_missing_columns_are_named_in_predictions(fitted):
    with pytest.raises(ValueError, match="now missing:\n- age"):
        fitted.predict(TABLE.drop(columns="age"))
