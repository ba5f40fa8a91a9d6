"""SuccessiveHalvingSearch and HyperbandSearch as scikit-learn's users meet them."""

from __future__ import annotations

import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from searches import SPACE, Grower, Voter, X, Y, results, search, weights
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fastmlp import MLPClassifier
from fastmlp.search import HyperbandSearch, SuccessiveHalvingSearch

STARTS = [0.1, 0.9, 0.3, 0.7, 0.5, 0.2, 0.8, 0.4, 0.6]


def grown(space, **parameters):
    return search(Grower(), space, **{"n_candidates": "all", **parameters}).fit(X, Y)


def test_the_better_third_of_a_rung_enters_the_next():
    found = grown({"start": STARTS})
    table = found.cv_results_
    starts = np.array([row["start"] for row in table["params"]])
    rungs = [starts[table["iter"] == rung].tolist() for rung in range(3)]
    assert rungs == [STARTS, [0.9, 0.7, 0.8], [0.9]]
    assert table["n_resources"].tolist() == [1] * 9 + [3] * 3 + [9]
    assert table["mean_test_score"].tolist() == [*STARTS, 0.9, 0.7, 0.8, 0.9]
    assert (found.n_candidates_, found.n_resources_) == ([[9, 3, 1]], [[1, 3, 9]])
    assert found.n_epochs_ == 2 * (9 * 1 + 3 * 2 + 1 * 6)


def test_each_configuration_continues_from_its_state():
    """The score of an epoch says how many there were; none is trained twice."""
    found = grown({"start": [0.0], "slope": [1.0, 2.0, 3.0]}, factor=2, max_epochs=4)
    assert found.cv_results_["mean_test_score"].tolist() == [2.0, 4.0, 6.0, 12.0]
    assert found.best_estimator_.epochs_ == found.best_n_epochs_ == 4


def test_a_tie_goes_to_the_first():
    found = grown({"start": [0.5] * 9})
    assert found.cv_results_["candidate"].tolist() == [*range(9), 0, 1, 2, 0]
    assert found.best_index_ == 12


def test_the_table_has_the_columns_of_scikit_learn():
    found = grown([{"start": [0.5, 0.25]}, {"slope": [True]}], max_epochs=1)
    table = found.cv_results_
    assert {len(column) for column in table.values()} == {3}
    assert table["param_start"].tolist() == [0.5, 0.25, None]
    assert table["param_slope"].tolist() == [None, None, True]
    assert table["rank_test_score"].tolist() == [2, 3, 1]
    assert {"mean_fit_time", "std_fit_time", "mean_score_time", "split1_test_score"} <= set(table)
    pd.DataFrame(table)


def test_scores_are_those_of_cross_validation():
    """The best configuration, trained from the beginning by scikit-learn's own loop."""
    splitter = KFold(3, shuffle=True, random_state=1)
    estimator = MLPClassifier(hidden_layer_sizes=(5,), random_state=3, n_threads=1)
    found = search(estimator, cv=splitter).fit(X, Y)

    class Epochs(MLPClassifier):
        def fit(self, X, y):
            for _ in range(9):
                self.partial_fit(X, y, classes=[0, 1])
            return self

    again = Epochs(**estimator.get_params()).set_params(**found.best_params_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = cross_val_score(again, X, Y, cv=splitter)
    row = found.best_index_
    assert [found.cv_results_[f"split{i}_test_score"][row] for i in range(3)] == expected.tolist()
    assert weights(found) == [w.tobytes() for w in again.fit(X, Y).coefs_]


def test_it_predicts_and_scores_with_the_best():
    found = search().fit(X, Y)
    np.testing.assert_array_equal(found.predict(X), found.best_estimator_.predict(X))
    np.testing.assert_array_equal(found.predict_proba(X), found.best_estimator_.predict_proba(X))
    assert found.score(X, Y) == found.best_estimator_.score(X, Y)
    assert found.classes_.tolist() == [0, 1] and found.n_features_in_ == 4
    assert is_classifier(found)


def test_a_fitted_search_survives_a_pickle_and_a_clone():
    found = search().fit(X, Y)
    again = pickle.loads(pickle.dumps(found))
    assert results(again) == results(found)
    np.testing.assert_array_equal(again.predict_proba(X), found.predict_proba(X))
    assert set(clone(found).get_params(deep=False)) == set(found.get_params(deep=False))
    assert not hasattr(clone(found), "cv_results_")
    with pytest.raises(NotFittedError):
        clone(found).predict(X)


def test_the_same_seed_gives_the_same_search_and_another_one_does_not():
    first, second, other = (search(random_state=seed).fit(X, Y) for seed in (0, 0, 1))
    assert results(first) == results(second) and weights(first) == weights(second)
    assert results(first)["params"] != results(other)["params"]
    for make in (np.random.RandomState, np.random.default_rng):
        one, two = (search(random_state=make(5)).fit(X, Y) for _ in range(2))
        assert results(one) == results(two)


def test_every_model_has_a_seed_of_its_own_unless_the_user_set_one():
    found = grown({"start": STARTS}).best_estimator_.random_state
    assert isinstance(found, int)
    assert (
        search(Grower(random_state=4), {"start": [1]}).fit(X, Y).best_estimator_.random_state == 4
    )
    assert search(Grower(), {"random_state": [6]}).fit(X, Y).best_estimator_.random_state == 6


def test_hyperband_runs_its_brackets_and_finds_the_best_of_all():
    found = HyperbandSearch(
        Grower(), {"start": np.linspace(0, 1, 101).tolist()}, max_epochs=9, cv=2, random_state=0
    ).fit(X, Y)
    assert found.n_candidates_ == [[9, 3, 1], [5, 1], [3]]
    assert found.n_resources_ == [[1, 3, 9], [3, 9], [9]]
    assert found.best_score_ == max(p["start"] for p in found.cv_results_["params"])
    assert found.cv_results_["bracket"].tolist() == [0] * 13 + [1] * 6 + [2] * 3
    columns = [found.cv_results_[name] for name in ("bracket", "iter", "candidate")]
    rows = list(zip(*columns, strict=True))
    assert sorted(rows) == rows


def test_hyperband_takes_a_grid_that_has_fewer_configurations():
    found = HyperbandSearch(Grower(), {"start": [0.1, 0.2]}, max_epochs=9, cv=2).fit(X, Y)
    assert found.n_candidates_ == [[2, 1, 1], [2, 1], [2]]
    assert found.best_params_ == {"start": 0.2}


def test_one_bad_configuration_is_not_the_end():
    space = [{"start": [0.5, 0.4, 0.3]}, {"start": [0.9], "fails_at": [2]}]
    with pytest.warns(FitFailedWarning, match=r"(?s)2 of 12 tasks.*start=0.9 fails at 2"):
        found = grown(space, factor=2, max_epochs=2, error_score=7.0)
    table = found.cv_results_
    assert table["mean_test_score"].tolist() == [0.5, 0.4, 0.3, 0.9, 0.5, 7.0]
    assert found.best_params_ == {"start": 0.5}


def test_a_failed_configuration_does_not_enter_the_next_rung():
    space = [{"start": [0.5, 0.4, 0.3]}, {"start": [0.9], "fails_at": [1]}]
    with pytest.warns(FitFailedWarning):
        found = grown(space, factor=2, max_epochs=2)
    assert found.cv_results_["candidate"].tolist() == [0, 1, 2, 3, 0, 1]
    assert math.isnan(found.cv_results_["mean_test_score"][3])
    assert found.cv_results_["rank_test_score"].tolist() == [1, 3, 5, 6, 1, 3]


@pytest.mark.parametrize("error_score", [math.nan, 0.95])
def test_a_failed_configuration_is_never_the_best(error_score):
    """One fails at once, the one that is promoted later."""
    space = [
        {"start": [0.9], "fails_at": [1]},
        {"start": [0.1]},
        {"start": [0.2], "fails_at": [2]},
    ]
    with pytest.warns(FitFailedWarning):
        found = grown(space, factor=3, max_epochs=3, error_score=error_score)
    assert found.cv_results_["candidate"].tolist() == [0, 1, 2, 2]
    assert (found.best_index_, found.best_score_, found.best_n_epochs_) == (2, 0.2, 1)


def test_if_all_fail_at_the_end_the_best_of_the_rung_before_is_the_best():
    space = [
        {"start": [0.8], "slope": [-0.1]},  # after an epoch it is better than the others after 3
        {"start": [0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5]},
        {"start": [0.6], "fails_at": [4]},
    ]
    with pytest.warns(FitFailedWarning):
        found = grown(space)
    assert (found.best_params_, found.best_n_epochs_) == ({"start": 0.6, "fails_at": 4}, 3)


def test_an_error_ends_the_search_if_it_is_wanted():
    with pytest.raises(FloatingPointError, match=r"start=0\.9 fails at 1"):
        grown({"start": [0.9], "fails_at": [1]}, error_score="raise")


def test_it_is_an_error_if_all_configurations_fail():
    with pytest.raises(
        ValueError,
        match=r"(?s)every configuration has failed.*fails at 1",
    ):
        grown({"start": STARTS, "fails_at": [1]})


def test_a_network_that_diverges_is_left_behind():
    space = {"learning_rate_init": [0.01, 1e300]}
    estimator = MLPClassifier(hidden_layer_sizes=(5,), solver="sgd", activation="identity")
    with pytest.warns(FitFailedWarning, match="diverged"):
        found = search(estimator, space, factor=2, n_candidates=2, max_epochs=4).fit(X, Y)
    assert found.best_params_ == {"learning_rate_init": 0.01}


def test_several_scores_are_measured_and_one_decides():
    scoring = {"right": "accuracy", "loss": "neg_log_loss"}
    found = search(scoring=scoring, refit="loss").fit(X, Y)
    last = found.cv_results_["mean_test_loss"][-1]
    assert found.best_score_ == last and found.multimetric_
    assert {"mean_test_right", "rank_test_loss", "split0_test_right"} <= set(found.cv_results_)
    assert found.score(X, Y) < 0  # the one that decides

    def both(estimator, X, y):
        return {"right": estimator.score(X, y), "loss": -estimator.loss_}

    found = search(scoring=both, refit="right").fit(X, Y)
    assert found.score(X, Y) == found.best_estimator_.score(X, Y)
    with pytest.raises(
        ValueError, match="refit must be the name of a score, one of 'right', 'loss'"
    ):
        search(scoring=both).fit(X, Y)


def test_a_scorer_of_the_user_is_used():
    found = search(scoring=make_scorer(accuracy_score)).fit(X, Y)
    assert results(found) == results(search(scoring="accuracy").fit(X, Y))


def reluctance(estimator, X, y):
    return -estimator.score(X, y)


@pytest.mark.parametrize("scoring, refit", [
    ("accuracy", "accuracy"), (None, "score"), (reluctance, "reluctance"), (reluctance, "score"),
])  # fmt: skip
def test_any_name_of_a_single_score_is_as_good_as_true(scoring, refit, capsys):
    found = search(scoring=scoring, refit=refit, verbose=1).fit(X, Y)
    expected = search(scoring=scoring).fit(X, Y)
    assert results(found) == results(expected) and found.best_index_ == expected.best_index_
    assert found.score(X, Y) == expected.score(X, Y) and not found.multimetric_
    assert "failed" not in capsys.readouterr().out


def test_refit_may_be_left_out_or_choose():
    found = search(refit=False).fit(X, Y)
    assert not hasattr(found, "best_estimator_") and found.best_params_
    found = grown({"start": STARTS}, refit=lambda table: 4)
    assert found.best_index_ == 4 and found.best_n_epochs_ == 1
    with pytest.raises(
        ValueError, match="refit must return a row of cv_results_, below 13; got 13"
    ):
        grown({"start": STARTS}, refit=lambda table: 13)
    with pytest.raises(
        TypeError, match="refit must return an integer, a row of cv_results_; got 'a'"
    ):
        grown({"start": STARTS}, refit=lambda table: "a")


def test_sample_weights_and_other_arguments_are_split_like_the_rows():
    weight = np.arange(60.0)
    found = search(Grower(), {"start": [1.0]}, cv=KFold(3)).fit(X, Y, sample_weight=weight)
    assert [seen[0] for seen in found.best_estimator_.seen_] == [60] * 9
    np.testing.assert_array_equal(found.best_estimator_.seen_[0][1], weight)

    class Weighed(Grower):
        def score(self, X, y):
            return float(np.sum(self.seen_[0][1]))

    found = search(Weighed(), {"start": [1.0]}, cv=KFold(3)).fit(
        X, Y, sample_weight=weight.tolist()
    )
    sums = [found.cv_results_[f"split{i}_test_score"][0] for i in range(3)]
    assert sums == [weight.sum() - part.sum() for part in weight.reshape(3, 20)]


def test_classes_are_passed_once_and_are_those_of_all_rows():
    found = search(Voter(), {}, n_candidates=1, max_epochs=3).fit(X, np.array(["b", "a"])[Y])
    given = found.best_estimator_.classes_given_
    assert given[0].tolist() == ["a", "b"] and given[1:] == [None, None]


def test_groups_reach_the_splitter():
    groups = np.arange(60) % 4
    found = search(cv=GroupKFold(4)).fit(X, Y, groups=groups)
    assert found.n_splits_ == 4


def test_other_estimators_and_tables_work():
    frame = pd.DataFrame(X, columns=list("abcd"))
    found = search(SGDClassifier(), {"alpha": [1e-4, 1e-2, 1.0]}).fit(frame, Y)
    assert found.feature_names_in_.tolist() == list("abcd")
    found = search(SGDClassifier(), {"alpha": [1e-4, 1e-2, 1.0]}).fit(csr_matrix(X), Y)
    assert found.best_score_ > 0.5


def test_a_pipeline_is_fitted_once_and_its_last_step_trained():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(5,)))
    space = {f"mlpclassifier__{name}": values for name, values in SPACE.items()}
    found = search(pipeline, space).fit(1000 * X + 5000, Y)
    scaler = found.best_estimator_[0]
    np.testing.assert_allclose(scaler.mean_, 1000 * X.mean(0) + 5000)
    plain = search().fit(StandardScaler().fit_transform(X), Y)
    assert found.best_estimator_[-1].n_iter_ == plain.best_estimator_.n_iter_
    assert found.score(1000 * X + 5000, Y) > 0.5


REFUSED = [
    ({"estimator": DecisionTreeClassifier()}, TypeError, "estimator must be an object with"),
    ({"estimator": MLPClassifier}, TypeError, "estimator must be an object with"),
    ({"estimator": make_pipeline(StandardScaler(), DecisionTreeClassifier())}, TypeError,
     "the last step of the Pipeline got DecisionTree"),
    ({"estimator": MLPClassifier(solver="lbfgs")}, TypeError, "estimator must be an object with"),
    ({"param_distributions": None}, TypeError, "param_distributions must be a mapping"),
    ({"param_distributions": []}, TypeError, "param_distributions must hold at least one mapping"),
    ({"param_distributions": {"alpha": 3}}, TypeError, "param_distributions: "),
    ({"param_distributions": {"alpa": [3]}}, ValueError, "'alpa'"),
    ({"n_candidates": 0}, ValueError, "n_candidates must be from 1 to 100000; got 0"),
    ({"n_candidates": "all", "param_distributions": {f"a{i}": range(9) for i in range(6)}},
     ValueError, "n_candidates must be from 1 to 100000; got 531441"),
    ({"n_candidates": "most"}, ValueError, "n_candidates must be an integer or 'all'; got 'most'"),
    ({"n_candidates": "all"}, ValueError, "n_candidates='all' needs lists in param_distributions"),
    ({"max_epochs": 0}, ValueError, "max_epochs must be at least 1; got 0"),
    ({"min_epochs": 0}, ValueError, "min_epochs must be at least 1; got 0"),
    ({"min_epochs": 10}, ValueError, "min_epochs must be at most max_epochs, 9; got 10"),
    ({"factor": 1}, ValueError, "factor must be at least 2; got 1"),
    ({"scoring": "good"}, ValueError, "scoring"),
    ({"scoring": 3}, TypeError, "scoring must be None, a name, a function"),
    ({"scoring": ["accuracy"]}, ValueError, "refit must be the name .* one of 'accuracy'"),
    ({"refit": 3}, TypeError, "refit must be True, False, the name of a score"),
    ({"refit": int}, TypeError, "refit must be True, False, the name of a score"),
    ({"cv": "five"}, ValueError, "cv must be None, a number of folds, a splitter"),
    ({"cv": 1}, ValueError, "cv: "),
    ({"cv": [(1, 2)]}, ValueError, "cv must yield pairs of indices"),
    ({"cv": [3]}, TypeError, "cv: "),
    ({"error_score": 10**400}, ValueError, "error_score must be 'raise' or a number; got 1000"),
    ({"cv": []}, ValueError, "cv must yield at least one split"),
    ({"error_score": "none"}, ValueError, "error_score must be 'raise' or a number; got 'none'"),
    ({"error_score": True}, ValueError, "error_score must be 'raise' or a number; got True"),
    ({"backend": "dask"}, ValueError, "backend must be one of 'threads', 'processes'; got 'dask'"),
    ({"backend": 3}, TypeError, "backend must be 'threads', 'processes', an executor"),
    ({"n_workers": 0}, ValueError, "n_workers must be from 1 to 1024; got 0"),
    ({"folder": 3}, TypeError, "folder must be a path"),
    ({"random_state": -1}, ValueError, "random_state must be at least 0; got -1"),
    ({"verbose": -1}, ValueError, "verbose must be at least 0; got -1"),
]  # fmt: skip


@pytest.mark.parametrize("given, error, message", REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_not_allowed_is_named_before_any_training(given, error, message, monkeypatch):
    monkeypatch.setattr("fastmlp.search.pools.Pool.submit", lambda *_: pytest.fail("has begun"))
    given = {"estimator": MLPClassifier(), "param_distributions": SPACE, "max_epochs": 9, **given}
    with pytest.raises(error, match=message):
        SuccessiveHalvingSearch(**given).fit(X, Y)


def test_a_score_that_is_no_number_is_named():
    with pytest.raises(ValueError, match="scoring must return a number, or a mapping"):
        search(scoring=lambda *_: "good", error_score="raise").fit(X, Y)


def test_a_wrong_name_brings_the_right_one():
    with pytest.raises(
        TypeError, match=r"keyword argument \'max_epoch\'. Did you mean \'max_epochs\'"
    ):
        SuccessiveHalvingSearch(MLPClassifier(), SPACE, max_epoch=3)


def test_hyperband_with_too_many_configurations_is_refused():
    with pytest.raises(ValueError, match="max_epochs=10000000 with min_epochs=1 and factor=2"):
        HyperbandSearch(MLPClassifier(), SPACE, max_epochs=10**7, factor=2).fit(X, Y)
