"""fit_many: the model of every group is that of a single fit; saved, loaded, predicted with."""

from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_matrix, csc_array, csr_matrix, dia_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor, ModelFormatError
from fastmlp.files.model_file import Content, read_model_file, write_model_file
from fastmlp.search import GroupModels, fit_many
from fastmlp.search.many import fitting

rng = np.random.default_rng(0)
GROUPS = rng.permutation(np.repeat(["north", "south", "east"], [20, 15, 10]))
X = rng.normal(size=(45, 3))
Y = X[:, 0] + rng.normal(size=45)
LABELS = np.array(["low", "mid", "high"])[np.digitize(Y, [-0.5, 0.5])]
WEIGHTS = rng.random(45)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def regressor(**parameters):
    return MLPRegressor(**{"hidden_layer_sizes": (4,), "max_iter": 15, **parameters})


def many(estimator=None, y=Y, **parameters):
    given = {"backend": "threads", "n_workers": 2, "random_state": 0, **parameters}
    return fit_many(estimator or regressor(), X, y, GROUPS, **given)


def same_weights(one, other):
    pairs = zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


@pytest.mark.parametrize("estimator, y", [
    (regressor(), Y), (regressor(dtype="float32", scale_target=True), Y),
    (regressor(solver="lbfgs"), np.column_stack([Y, -Y])),
    (MLPClassifier(hidden_layer_sizes=(4,), max_iter=15, shuffle=False), LABELS),
], ids=["regressor", "float32", "two targets", "classifier"])  # fmt: skip
def test_every_model_is_that_of_a_single_fit(estimator, y):
    models = many(estimator, y)
    for label in models:
        rows = label == GROUPS
        model, single = models[label], clone(models[label]).fit(X[rows], y[rows])
        assert same_weights(model, single)
        assert (model.n_iter_, model.loss_, model.t_) == (single.n_iter_, single.loss_, single.t_)
        np.testing.assert_array_equal(model.predict(X), single.predict(X))


def test_seeds_come_from_the_random_state_and_the_position():
    seeds = [model.random_state for model in many().values()]
    assert seeds == [model.random_state for model in many().values()]
    assert len(set(seeds)) == 3
    assert seeds != [model.random_state for model in many(random_state=1).values()]
    assert {m.random_state for m in many(regressor(random_state=7)).values()} == {7}


def test_backends_give_the_same_models():
    expected = many(n_workers=1)
    with ThreadPoolExecutor(3) as executor:
        for found in (many(backend=executor, n_workers=None), many(n_workers=3)):
            assert all(same_weights(found[label], expected[label]) for label in expected)


def test_processes_give_the_same_models_and_their_warnings():
    expected = many()
    with pytest.warns(ConvergenceWarning, match=r"converged yet.* \(3 times in 3 groups\)$"):
        found = many(backend="processes", n_workers=1)
    assert all(same_weights(found[label], expected[label]) for label in expected)


def test_warnings_of_all_fits_are_one():
    with pytest.warns(ConvergenceWarning) as caught:
        many()
    assert len(caught) == 1 and str(caught[0].message).endswith("(3 times in 3 groups)")


def test_chunks_do_not_change_the_models(monkeypatch):
    expected = many()
    monkeypatch.setattr(fitting, "MOST_CHUNKS", 1)
    found = many()
    assert all(same_weights(found[label], expected[label]) for label in expected)


def test_the_mapping_has_the_groups():
    models = many()
    assert list(models) == models.labels.tolist() == ["east", "north", "south"]
    assert models.n_rows.tolist() == [10, 20, 15] and len(models) == 3
    assert "north" in models and "west" not in models and [] not in models
    assert repr(models) == "GroupModels(3 groups)"
    with pytest.raises(KeyError, match="west"):
        models["west"]
    assert models["north"] is not models["north"]


def test_rows_are_predicted_by_the_model_of_their_group():
    models = many()
    expected = np.empty(45)
    for label in models:
        expected[label == GROUPS] = models[label].predict(X[label == GROUPS])
    np.testing.assert_array_equal(models.predict(X, GROUPS), expected)
    np.testing.assert_allclose(models.predict(X[:4], GROUPS[:4].tolist()), expected[:4])
    two = many(y=np.column_stack([Y, -Y]))
    assert two.predict(X, GROUPS).shape == (45, 2)


def test_classes_may_differ_between_groups():
    y = np.where(GROUPS == "east", "only east", LABELS)
    y[np.flatnonzero(GROUPS == "east")[0]] = "other"
    models = many(MLPClassifier(hidden_layer_sizes=(4,), max_iter=300), y)
    assert models["east"].classes_.tolist() == ["only east", "other"]
    assert models["north"].classes_.tolist() == ["high", "low", "mid"]
    found = models.predict(X, GROUPS)
    assert set(found[GROUPS == "east"]) <= {"only east", "other"}


def test_the_cache_of_predictions_is_bounded(monkeypatch):
    monkeypatch.setattr("fastmlp.search.many.models.CACHED_MODELS", 2)
    models = many()
    first = models.predict(X, GROUPS)
    assert len(models._cache) == 2
    np.testing.assert_array_equal(models.predict(X, GROUPS), first)


@pytest.mark.parametrize("table", ["frame", "sparse", "list"])
def test_tables_of_other_types_are_split(table):
    given = {"frame": pd.DataFrame(X, columns=list("abc")), "sparse": csr_matrix(X),
             "list": X.tolist()}[table]  # fmt: skip
    targets = {"frame": pd.Series(Y), "list": Y.tolist()}.get(table, Y)
    models = fit_many(
        regressor(), given, targets, pd.Series(GROUPS), backend="threads", random_state=0
    )
    expected = many()
    for label in models:
        np.testing.assert_allclose(models[label].coefs_[0], expected[label].coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(models.predict(given, GROUPS), expected.predict(X, GROUPS))
    if table == "frame":
        assert models["north"].feature_names_in_.tolist() == list("abc")


@pytest.mark.parametrize("sparse", [coo_matrix, dia_array, csc_array])
def test_sparse_matrices_of_every_format_are_split(sparse):
    given = {"backend": "threads", "random_state": 0}
    models = fit_many(regressor(), sparse(X), Y, GROUPS, **given)
    expected = fit_many(regressor(), csr_matrix(X), Y, GROUPS, **given)
    assert all(same_weights(models[label], expected[label]) for label in expected)
    found = models.predict(sparse(X), GROUPS)
    np.testing.assert_array_equal(found, expected.predict(csr_matrix(X), GROUPS))


def test_weights_and_other_arguments_are_split_like_the_rows():
    models = many(sample_weight=WEIGHTS)
    rows = GROUPS == "north"
    single = clone(models["north"]).fit(X[rows], Y[rows], sample_weight=WEIGHTS[rows])
    assert same_weights(models["north"], single)


def test_pipelines_are_fitted_and_saved(tmp_path):
    models = many(make_pipeline(StandardScaler(), regressor()))
    models.save(tmp_path / "models.safetensors")
    again = GroupModels.load(tmp_path / "models.safetensors")
    np.testing.assert_array_equal(again.predict(X, GROUPS), models.predict(X, GROUPS))
    np.testing.assert_allclose(again["east"][0].mean_, X[GROUPS == "east"].mean(0))


def test_other_estimators_are_kept_but_not_saved(tmp_path):
    models = many(LinearRegression())
    rows = GROUPS == "south"
    expected = LinearRegression().fit(X[rows], Y[rows]).predict(X[rows])
    np.testing.assert_allclose(models.predict(X, GROUPS)[rows], expected)
    with pytest.raises(TypeError, match="the model of group 'east' is a LinearRegression"):
        models.save(tmp_path / "models.safetensors")


def test_one_bad_group_is_not_the_end():
    y = Y.copy()
    y[GROUPS == "south"] = np.nan
    with pytest.warns(FitFailedWarning, match=r"(?s)fits of 1 of 3 groups.*group .*south"):
        models = many(y=y)
    assert list(models) == ["east", "north"] and len(models) == 2
    assert repr(models) == "GroupModels(3 groups, 1 failed)"
    assert re.search("NaN", models.failures["south"])
    with pytest.raises(KeyError):
        models["south"]
    with pytest.raises(ValueError, match=r"groups must be labels .*; no model for 'south'"):
        models.predict(X, GROUPS)
    with pytest.raises(ValueError, match="NaN"):
        many(y=y, on_error="raise")
    with pytest.raises(ValueError, match=r"(?s)estimator: the fits of all groups have failed.*NaN"):
        many(y=np.full(45, np.nan))


def test_progress_is_a_line_for_every_tenth(capsys):
    many(verbose=True)
    assert capsys.readouterr().out == "1 of 3 groups\n2 of 3 groups\n3 of 3 groups\n"


REFUSED = [
    ({"estimator": MLPRegressor}, TypeError, "estimator must be an object with fit"),
    ({"estimator": 3}, TypeError, "estimator must be an object with fit; got 3"),
    ({"X": 3}, TypeError, "X must have rows; got 3"),
    ({"y": None}, TypeError, "y must have rows; got None"),
    ({"y": Y[:3]}, ValueError, "y must have as many rows as X, 45; got 3"),
    ({"sample_weight": WEIGHTS[:15]}, ValueError,
     "sample_weight and X must have the same number of rows; got 15 and 45"),
    ({"sample_weight": 2.0}, TypeError, "sample_weight must have rows; got 2.0"),
    ({"groups": None}, ValueError, r"groups must have shape \(rows,\)"),
    ({"groups": GROUPS[:3]}, ValueError, "groups and X must have the same number of rows"),
    ({"groups": Y}, TypeError, "groups must be integers or strings; got dtype float64"),
    ({"groups": [None, "a"] * 22 + ["b"]}, TypeError, "groups must be integers or strings"),
    ({"backend": "gpu"}, ValueError, "backend must be one of"),
    ({"n_workers": 0}, ValueError, "n_workers must be"),
    ({"random_state": "seed"}, TypeError, "random_state must be an integer"),
    ({"on_error": "ignore"}, ValueError, "on_error must be one of 'warn', 'raise'; got 'ignore'"),
    ({"verbose": 3}, TypeError, "verbose must be True or False; got 3"),
]  # fmt: skip


@pytest.mark.parametrize("given, error, message", REFUSED, ids=lambda value: str(value)[:30])
def test_what_is_not_allowed_is_named_before_any_training(given, error, message, monkeypatch):
    monkeypatch.setattr("fastmlp.search.pools.Pool.submit", lambda *_: pytest.fail("has begun"))
    arguments = {"estimator": regressor(), "X": X, "y": Y, "groups": GROUPS, **given}
    with pytest.raises(error, match=message):
        fit_many(**arguments)


def test_predict_names_what_is_wrong():
    models = many()
    with pytest.raises(TypeError, match="X must have rows; got 3"):
        models.predict(3, GROUPS)
    with pytest.raises(ValueError, match="no model for 'a', 'b', 'c', 'd', 'e', \\.\\.\\."):
        models.predict(X[:6], list("abcdef"))
    models._cache[0] = many(y=np.column_stack([Y, Y]))["east"]
    with pytest.raises(ValueError, match="different numbers of outputs"):
        models.predict(X, GROUPS)


# --- The file


@pytest.fixture
def saved(tmp_path):
    y = Y.copy()
    y[GROUPS == "south"] = np.nan
    with pytest.warns(FitFailedWarning):
        models = many(y=y)
    models.save(tmp_path / "models.safetensors")
    return models, tmp_path / "models.safetensors"


def test_loaded_models_are_the_saved_ones(saved):
    models, path = saved
    again = GroupModels.load(path)
    assert list(again) == list(models) and again.failures == models.failures
    assert again.n_rows.tolist() == models.n_rows.tolist()
    assert all(same_weights(again[label], models[label]) for label in models)
    assert again["north"].get_params() == models["north"].get_params()
    assert again["north"].n_iter_ == 15


def test_integer_labels_and_pickles_survive(tmp_path):
    numbers = np.unique(GROUPS, return_inverse=True)[1] * 10
    models = fit_many(regressor(), X, Y, numbers, backend="threads", random_state=0)
    models.save(tmp_path / "models")
    for again in (GroupModels.load(tmp_path / "models"), pickle.loads(pickle.dumps(models))):
        assert list(again) == [0, 10, 20]
        np.testing.assert_array_equal(again.predict(X, numbers), models.predict(X, numbers))


def test_a_model_takes_few_bytes(tmp_path):
    """The document of a single model has 1,600 bytes, its curves 6,400."""
    sizes = []
    for n_groups in (10, 110):
        groups = np.repeat(np.arange(n_groups), 4)
        x = rng.normal(size=(len(groups), 3))
        models = fit_many(regressor(), x, x[:, 0], groups, backend="threads", random_state=0)
        models.save(tmp_path / "models")
        sizes.append((tmp_path / "models").stat().st_size)
    assert (sizes[1] - sizes[0]) / 100 < 500


def test_a_file_of_another_kind_and_a_damaged_one_are_named(saved):
    _, path = saved
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-1] + b"x", b""):
        path.write_bytes(damaged)
        with pytest.raises(ModelFormatError, match=re.escape(repr(str(path)))):
            GroupModels.load(path)
    with pytest.raises(FileNotFoundError):
        GroupModels.load(path.with_name("none"))


def shorter(name):
    def change(document, arrays):
        arrays[name] = arrays[name][:-1]

    return change


def other(name, value):
    def change(document, arrays):
        document[name] = value

    return change


def replaced(name, array):
    def change(document, arrays):
        arrays[name] = np.asarray(array)

    return change


FORGED = [
    (other("n_models", 2), "codes|must be"),
    (other("failures", [["x", 1]]), "'failures' must be positions with texts"),
    (other("columns", ["a"]), "must have 0 numbers"),
    (other("failures", [[7, "x"]]), "'failures' must be positions with texts"),
    (other("failures", []), "no model"),
    (shorter("labels"), "'labels'"),
    (shorter("n_rows"), "n_rows"),
    (replaced("column.0.codes", np.zeros(2, np.int64)), "the codes of"),
    (replaced("column.0.codes", np.full(3, 9)), "the codes of .* do not fit its values"),
    (replaced("column.0.codes", np.full(3, -2)), "the codes of .* do not fit its values"),
    (replaced("column.0.texts", np.zeros(2)), "texts must be bytes"),
    (replaced("column.0.texts", np.array([255], np.uint8)), "texts are not UTF-8"),
    (replaced("column.0.texts", np.frombuffer(b"{", np.uint8)), "is not JSON"),
    (
        replaced("column.0.texts", np.frombuffer(b'"MLPClasisfier"', np.uint8)),
        "'kind' must be one of Network, .*; got 'MLPClasisfier'",
    ),
    (shorter("values.layers.0.weight/float64"), "must have 24 numbers"),
    (replaced("values.more/float64", np.zeros(3)), "must have 0 numbers"),
    (lambda document, arrays: arrays.pop("values.layers.0.weight/float64"), "is missing"),
    (replaced("labels", np.frombuffer(b"[1, 2, 3]", np.uint8)), "'labels' must be integers"),
    (replaced("labels", np.frombuffer(b"{", np.uint8)), "'labels'"),
    (replaced("labels", np.frombuffer(b'{"array":["int64",[3],[1,1,2]]}', np.uint8)),
     "'labels' must be 3 different ones"),
]  # fmt: skip


@pytest.mark.parametrize("change, message", FORGED, ids=range(len(FORGED)))
def test_a_forged_file_is_refused(change, message, saved):
    _, path = saved
    content = read_model_file(path, ("GroupModels",))
    document, arrays = copy.deepcopy(content.document), dict(content.arrays)
    change(document, arrays)
    write_model_file(path, Content("GroupModels", document, arrays))
    with pytest.raises(ModelFormatError, match=message):
        models = GroupModels.load(path)
        for label in models:
            models[label]
