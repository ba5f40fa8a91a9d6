"""A search that was interrupted continues from its folder, and ends with the same result."""

from __future__ import annotations

import copy
import json
import os
from unittest import mock

import numpy as np
import pytest
from searches import SPACE, Grower, X, Y, results, search, weights
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, fbeta_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

import fastmlp
from fastmlp import MLPClassifier, ResumeError
from fastmlp.exceptions import DataFormatError, ModelFormatError
from fastmlp.files.lock import own_folder
from fastmlp.search import HyperbandSearch
from fastmlp.search.folder import SearchFolder
from fastmlp.search.pools import Pool
from fastmlp.search.tasks import Outcome, Unit


@pytest.fixture(autouse=True, scope="module")
def quick_disk():
    """Without synchronization, of which a search with small models makes many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed search, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return search(folder=folder).fit(X, Y), folder


class BeginsError(Exception):
    """A search has got as far as its first task."""


@pytest.fixture
def no_tasks(monkeypatch):
    def submit(self, task):
        raise BeginsError

    monkeypatch.setattr(Pool, "submit", submit)


def interrupt_after(monkeypatch, n_outcomes):
    """Interrupt a search when it has written so many outcomes."""
    write, seen = SearchFolder.outcome, []

    def outcome(self, result, one):
        write(self, result, one)
        seen.append(one.unit)
        if len(seen) == n_outcomes:
            raise KeyboardInterrupt

    monkeypatch.setattr(SearchFolder, "outcome", outcome)


def check(found, expected):
    assert results(found) == results(expected)
    assert weights(found) == weights(expected)


@pytest.mark.parametrize("n_outcomes", [1, 18, 20, 25])
def test_a_search_continues_where_it_was_interrupted(n_outcomes, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, n_outcomes)
        search(folder=tmp_path).fit(X, Y)
    tasks, submit = [], Pool.submit
    monkeypatch.setattr(Pool, "submit", lambda self, task: [tasks.append(task), submit(self, task)])
    check(search(folder=tmp_path, n_workers=1).fit(X, Y), whole[0])
    assert len(tasks) == 26 - n_outcomes  # 2 splits of 9, 3 and 1 configurations
    begins = {0: 0, 1: 1, 2: 3}
    assert all(task.begin == begins[task.unit.rung] for task in tasks)


def test_a_search_that_was_done_is_read(whole, monkeypatch):
    monkeypatch.setattr("fastmlp.search.pools.Pool.submit", lambda *_: pytest.fail("trains again"))
    check(search(folder=whole[1]).fit(X, Y), whole[0])


def test_models_that_are_no_longer_needed_are_removed(whole, tmp_path, monkeypatch):
    assert not list(whole[1].glob("*.safetensors"))
    interrupt_after(monkeypatch, 20)
    with pytest.raises(KeyboardInterrupt):
        search(folder=tmp_path).fit(X, Y)
    rungs = [path.name.split("-")[3] for path in tmp_path.glob("*.safetensors")]
    assert sorted(rungs) == ["0"] * 6 + ["1"] * 2  # three promoted, of which one is further


def test_the_model_of_a_folder_is_one_of_fastmlp(tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        search(folder=tmp_path).fit(X, Y)
    (path,) = tmp_path.glob("*.safetensors")
    assert isinstance(fastmlp.load(path), MLPClassifier)


def test_models_of_other_libraries_are_trained_again(tmp_path, monkeypatch):
    """There is no file of theirs that could be unpickled."""
    space = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]}
    expected = search(SGDClassifier(), space, n_candidates="all").fit(X, Y)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 13)
        search(SGDClassifier(), space, n_candidates="all", folder=tmp_path).fit(X, Y)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json"}
    found = search(SGDClassifier(), space, n_candidates="all", folder=tmp_path).fit(X, Y)
    check_scores = [results(one) for one in (found, expected)]
    assert check_scores[0] == check_scores[1]


def test_a_search_without_a_seed_continues_with_its_own(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 5)
        search(folder=tmp_path, random_state=None).fit(X, Y)
    seed = int(json.loads((tmp_path / "search.json").read_text())["random_state"])
    check(search(folder=tmp_path, random_state=None).fit(X, Y), search(random_state=seed).fit(X, Y))


def test_a_failure_that_lasts_is_one_again(tmp_path):
    space = [{"start": [0.5]}, {"start": [0.9], "fails_at": [1]}]
    given = {"n_candidates": "all", "factor": 2, "folder": tmp_path}
    for _ in range(2):
        with pytest.warns(FitFailedWarning, match="fails at 1"):
            found = search(Grower(), space, **given).fit(X, Y)
        assert np.isnan(found.cv_results_["mean_test_score"][1])
    with pytest.raises(FloatingPointError, match="fails at 1"):
        search(Grower(), space, error_score="raise", **given).fit(X, Y)


FAILS_FROM = {}
"""Epoch by `start` from which a configuration fails, for a reason that passes."""


class Unlucky(Grower):
    def partial_fit(self, X, y=None):
        super().partial_fit(X, y)
        if self.epochs_ >= FAILS_FROM.get(self.start, 99):
            raise OSError("no space left")
        return self


STARTS = [0.1, 0.5, 0.7, 0.9]


@pytest.mark.parametrize("fails_from", [dict.fromkeys(STARTS, 1), {0.9: 1}, {0.9: 2}])
def test_what_has_failed_runs_again(fails_from, tmp_path):
    def fit(**given):
        given |= {"n_candidates": "all", "factor": 2, "max_epochs": 4}
        return search(Unlucky(), {"start": STARTS}, **given).fit(X, Y)

    expected = fit()
    with mock.patch.dict(FAILS_FROM, fails_from):
        all_fail = pytest.raises(ValueError, match="every configuration has failed")
        one_fails = pytest.warns(FitFailedWarning, match="no space left")
        with all_fail if len(fails_from) == 4 else one_fails:
            fit(folder=tmp_path)
    assert results(fit(folder=tmp_path, error_score="raise")) == results(expected)


OTHERS = [
    (lambda: search(max_epochs=10), "rungs was"),
    (lambda: search(random_state=1), "random_state was '0', is now '1'"),
    (lambda: search(MLPClassifier(hidden_layer_sizes=(6,))), r"hidden_layer_sizes was \(5,\)"),
    (lambda: search(cv=KFold(2)), r"cv \(its splits\) was"),
    (lambda: search(scoring="neg_log_loss"), "scoring was None, is now 'neg_log_loss'"),
    (lambda: search(SGDClassifier(), {"alpha": [1]}), "estimator was 'MLPClassifier', is now 'SGD"),
]  # fmt: skip


@pytest.mark.parametrize("make, message", OTHERS, ids=[message for _, message in OTHERS])
def test_another_search_is_refused_with_what_differs(make, message, whole):
    with pytest.raises(ResumeError, match=message):
        make().set_params(folder=whole[1]).fit(X, Y)


def f_score(beta, **arguments):
    return make_scorer(fbeta_score, beta=beta, **arguments)


SCORERS = [
    (make_scorer(accuracy_score), f_score(2)),
    (f_score(2), f_score(3)),
    (f_score(2), f_score(2, greater_is_better=False)),
    (f_score(2), f_score(2, response_method="predict_proba")),
    ({"f": f_score(2)}, {"f": f_score(3)}),
]


@pytest.mark.parametrize("scoring, other", SCORERS, ids=lambda value: str(value)[12:60])
def test_scorers_of_scikit_learn_are_told_apart(scoring, other, tmp_path, no_tasks):
    refit = "f" if isinstance(scoring, dict) else True
    with pytest.raises(BeginsError):
        search(folder=tmp_path, scoring=scoring, refit=refit).fit(X, Y)
    with pytest.raises(BeginsError):
        search(folder=tmp_path, scoring=copy.deepcopy(scoring), refit=refit).fit(X, Y)
    with pytest.raises(ResumeError, match=r"scoring was .* with SHA-256"):
        search(folder=tmp_path, scoring=other, refit=refit).fit(X, Y)


def seeded_pca(seed):
    return PCA(1, random_state=np.random.RandomState(seed))


def nested(folds):
    return GridSearchCV(PCA(), {"n_components": [1]}, cv=folds)


CANDIDATES = {
    "other parameters": (PCA(1), PCA(3)),
    "another step": (make_pipeline(PCA(1)), make_pipeline(PCA(3))),
    "another generator": (seeded_pca(0), seeded_pca(1)),
    "other folds of a nested search": (nested(KFold(2)), nested(KFold(3))),
    "other folds in another order": (
        nested(KFold(3, shuffle=True, random_state=0)),
        nested(KFold(3, shuffle=True, random_state=1)),
    ),
}


@pytest.mark.parametrize("name", CANDIDATES)
def test_estimators_among_the_candidates_are_told_apart(name, tmp_path, no_tasks):
    def begin(step):
        pipeline = Pipeline([("s", PCA()), ("net", MLPClassifier())])
        search(pipeline, {"s": [step]}, n_candidates=1, folder=tmp_path).fit(X, Y)

    step, other = CANDIDATES[name]
    for same in (step, copy.deepcopy(step)):
        with pytest.raises(BeginsError):
            begin(same)
    with pytest.raises(ResumeError, match=r"param_distributions \(the configurations\) was"):
        begin(other)


def test_what_only_splits_strings_is_compared_by_class(tmp_path, no_tasks):
    """A tokenizer is no splitter of rows: its attributes may be state, such as a cache."""

    class Tokenizer:
        def __init__(self, seen):
            self.seen = seen

        def split(self, text):
            return text.split()

    for seen in ([], ["word"]):
        pipeline = Pipeline([("s", FunctionTransformer(kw_args={"by": Tokenizer(seen)}))])
        space = {"s__validate": [False]}
        pipeline.steps.append(("net", MLPClassifier()))
        with pytest.raises(BeginsError):
            search(pipeline, space, n_candidates=1, folder=tmp_path).fit(X, Y)


def test_estimators_in_an_estimator_are_told_apart_but_for_their_threads(tmp_path, no_tasks):
    def begin(step, n_threads):
        net = MLPClassifier(n_threads=n_threads)
        pipeline = Pipeline([("s", step), ("net", net)])
        search(pipeline, {"net__alpha": [0.1]}, n_candidates=1, folder=tmp_path).fit(X, Y)

    for n_threads in (1, 2):
        with pytest.raises(BeginsError):
            begin(seeded_pca(0), n_threads)
    with pytest.raises(ResumeError, match=r"estimator\.s__random_state was"):
        begin(seeded_pca(1), 1)


def test_other_rows_and_another_class_are_refused(whole):
    with pytest.raises(ResumeError, match=r"X was float64 \(60, 4\) with SHA-256"):
        search(folder=whole[1]).fit(X + 1, Y)
    with pytest.raises(ResumeError, match="sample_weight was None"):
        search(folder=whole[1]).fit(X, Y, sample_weight=np.ones(60))
    with pytest.raises(ResumeError, match="search was 'SuccessiveHalving"):
        HyperbandSearch(MLPClassifier(), SPACE, folder=whole[1], random_state=0).fit(X, Y)


def test_threads_and_display_may_differ(whole):
    estimator = MLPClassifier(hidden_layer_sizes=(5,), n_threads=2)
    check(search(estimator, folder=whole[1], verbose=True).fit(X, Y), whole[0])


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 20)
        search(folder=tmp_path).fit(X, Y)
    return tmp_path


def test_files_of_a_search_whose_description_is_gone_are_removed(interrupted, monkeypatch):
    (interrupted / "search.json").unlink()
    (interrupted / "bracket-notes.json").touch()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 1)
        search(folder=interrupted, scoring="neg_log_loss").fit(X, Y)
    names = {path.name.split(".")[0] for path in interrupted.glob("*split*")}
    assert len(names) == 1
    assert (interrupted / "bracket-notes.json").exists()


ONE_FILE = "bracket-0-rung-0-candidate-00003-split-1.json"


@pytest.mark.parametrize("name, text, message", [
    ("search.json", "{", "search.json: damaged: expected JSON"),
    (ONE_FILE, "[]", "00003-split-1.json: damaged"),
    (ONE_FILE, "{}", "damaged: .*: 'scores' is missing"),
    (ONE_FILE, '{"scores": {"score": "good"}}', "damaged"),
])  # fmt: skip
def test_a_damaged_file_is_named(name, text, message, interrupted):
    (interrupted / name).write_text(text)
    with pytest.raises(DataFormatError, match=message):
        search(folder=interrupted).fit(X, Y)


def test_a_damaged_seed_is_named(interrupted):
    (interrupted / "search.json").write_text('{"random_state": "none"}')
    with pytest.raises(
        DataFormatError, match=r"search\.json: damaged: 'random_state' is no number"
    ):
        search(folder=interrupted, random_state=None).fit(X, Y)


def test_a_damaged_model_is_named_and_can_be_removed(interrupted, whole):
    found = sorted(interrupted.glob("*rung-0*.safetensors"))
    for path in interrupted.glob("*rung-1*"):
        path.unlink()
    found[0].write_bytes(found[0].read_bytes()[:-1])
    with pytest.raises(ModelFormatError, match="without this file the model is trained again"):
        search(folder=interrupted).fit(X, Y)
    found[0].unlink()
    check(search(folder=interrupted).fit(X, Y), whole[0])


def test_two_searches_do_not_share_a_folder(tmp_path):
    lock = own_folder(tmp_path, "search")
    try:
        with pytest.raises(BlockingIOError, match="another run writes its search there"):
            search(folder=tmp_path).fit(X, Y)
    finally:
        lock.release()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch, whole):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastmlp.search.folder.save", full)
    with pytest.warns(UserWarning, match="the search continues, but cannot save.*No space"):
        check(search(folder=tmp_path).fit(X, Y), whole[0])


def test_a_score_that_is_not_finite_survives(tmp_path):
    folder, unit = SearchFolder(tmp_path), Unit(0, 0, 1, 2)
    folder.begin({})
    folder.outcome(None, Outcome(unit, {"a": -np.inf, "b": 0.1}, 1.0, 2.0))
    again = SearchFolder(tmp_path)
    again.begin({})
    assert again.stored[unit].scores == {"a": -np.inf, "b": 0.1}
    assert again.stored[unit].fit_seconds == 1.0
