"""Files of the estimators for tables: what comes back is what went in, and damage is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from saved_models import forge, taken_apart
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold
from table_data import QUICK, mixed

import fastmlp
from fastmlp import ModelFormatError, TabularClassifier, TabularRegressor

TABLE, NUMBERS = mixed()
LABELS = np.digitize(NUMBERS, np.quantile(NUMBERS, [0.3, 0.6]))
SOFT = pd.DataFrame({"low": 1 - LABELS / 3, "high": LABELS / 3})

MODELS = {
    "classifier": lambda: TabularClassifier(**QUICK).fit(TABLE, LABELS),
    "two classes": lambda: TabularClassifier(**QUICK).fit(TABLE, LABELS > 0),
    "strings": lambda: TabularClassifier(**QUICK).fit(TABLE, LABELS.astype(str)),
    "regressor": lambda: TabularRegressor(**QUICK).fit(TABLE, NUMBERS),
    "targets": lambda: TabularRegressor(**QUICK).fit(TABLE, np.column_stack([NUMBERS] * 2)),
    "quantiles": lambda: TabularRegressor(quantiles=[0.1, 0.9], **QUICK).fit(TABLE, NUMBERS),
    "soft labels": lambda: TabularClassifier(**QUICK).fit(TABLE, SOFT),
    "weighted": lambda: TabularRegressor(bounds=(None, 99), **QUICK).fit(
        TABLE, NUMBERS, sample_weight=np.arange(len(NUMBERS)) % 4.0
    ),
    "array": lambda: TabularRegressor(**QUICK).fit(TABLE[["constant"]].to_numpy(), NUMBERS),
    "few": lambda: TabularClassifier(ordinal={"size": ["S", "M", "L"]}, **QUICK).fit(
        TABLE[:9], LABELS[:9]
    ),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def model():
    return MODELS["classifier"]()


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_estimator_is_the_saved_one(name, path):
    model = MODELS[name]()
    fastmlp.save(model, path)
    loaded = fastmlp.load(path)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    rows = TABLE[["constant"]].to_numpy() if name == "array" else TABLE
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
        np.testing.assert_array_equal(loaded.classes_, model.classes_)
    elif model._residuals is not None:
        np.testing.assert_array_equal(loaded.predict_interval(rows), model.predict_interval(rows))
    assert str(loaded.summary()) == str(model.summary())
    assert loaded.oof_score_ == model.oof_score_
    if model.oof_prediction_ is not None:
        np.testing.assert_array_equal(loaded.oof_prediction_, model.oof_prediction_)


def test_importances_are_in_the_file_once_they_have_been_computed(model, path):
    fastmlp.save(model, path)
    with pytest.raises(AttributeError, match="not in a loaded file"):
        fastmlp.load(path).feature_importances_  # noqa: B018
    expected = model.feature_importances_
    fastmlp.save(model, path)
    np.testing.assert_array_equal(fastmlp.load(path).feature_importances_, expected)


def test_a_loaded_estimator_can_be_fitted_again(model, path):
    fastmlp.save(model, path)
    again = fastmlp.load(path).fit(TABLE, LABELS)
    np.testing.assert_array_equal(again.predict_proba(TABLE), model.predict_proba(TABLE))


def test_columns_are_checked_after_loading(model, path):
    fastmlp.save(model, path)
    with pytest.raises(ValueError, match="now missing:\n- age"):
        fastmlp.load(path).predict(TABLE.drop(columns="age"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"callbacks": [print]}, "callbacks cannot be saved"),
     ({"validation": KFold(2)}, "validation=KFold")],
)  # fmt: skip
def test_what_cannot_be_saved_is_named(parameters, message, path):
    model = TabularRegressor(**QUICK | {"network": {"max_epochs": 1}}).fit(TABLE, NUMBERS)
    with pytest.raises(TypeError, match=message):
        fastmlp.save(model.set_params(**parameters), path)


def test_unfitted_estimators_are_not_saved(path):
    with pytest.raises(NotFittedError):
        fastmlp.save(TabularRegressor(), path)


def changed(document, *names, value):
    """The document with another value at this place."""
    *path, last = names
    inner = document
    for name in path:
        inner = inner[name]
    inner[last] = value
    return document


@pytest.mark.parametrize(
    ("names", "value", "message"),
    [
        (("columns", 0, "kind"), "colour", "'kind' must be numerical"),
        (("columns", 1, "categories"), ["a", "a"], "'categories' must be different"),
        (("columns",), [], "'columns' must be 8"),
        (("encoding",), "periodic", "encoding"),
        (("members",), [], "'members' must not be empty"),
        (("members", 0, "bins"), True, "the network must have"),
        (("members", 0, "best_epoch"), 99, "'history' must be numbers for every epoch"),
        (("members", 0, "history"), {"loss": [None]}, "'history' must be numbers"),
        (("temperature",), 0, "'temperature' must be more than 0"),
        (("classes",), {"array": ["int64", [2], [0, 1]]}, "members must have 1 'sigmoid' outputs"),
        (("parameters", "n_members"), -1, "n_members"),
        (("parameters", "surprise"), 1, "unknown names: 'surprise'"),
        (("surprise",), 1, "unknown names: 'surprise'"),
        (("feature_names",), {"tuple": []}, "feature_names"),
    ],
)
def test_contradictions_are_found(model, path, names, value, message):
    fastmlp.save(model, path)
    document, arrays = taken_apart(path.read_bytes())
    path.write_bytes(forge(changed(document, *names, value=value), arrays))
    with pytest.raises(ModelFormatError, match=message):
        fastmlp.load(path)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("numbers.kept", np.array([99], np.int64), "'numbers.kept' must have positions"),
        ("numbers.center", np.zeros(1), "'numbers.center' must be float64 of shape"),
        ("categories.0.indicator", np.full(5, 77, np.int64), "wrong positions"),
        ("members.0.statistics.0", np.zeros((3, 3)), "statistics.0"),
        ("oof_prediction", np.zeros((1, 1, 1)), "one or two axes"),
        ("surprise", np.zeros(1), "unknown arrays"),
        ("members.0.surprise", np.zeros(1), "unknown arrays"),
    ],
)
def test_arrays_that_do_not_fit_are_found(model, path, name, array, message):
    fastmlp.save(model, path)
    document, arrays = taken_apart(path.read_bytes())
    path.write_bytes(forge(document, arrays | {name: array}))
    with pytest.raises(ModelFormatError, match=message):
        fastmlp.load(path)


def test_quantiles_given_as_an_array_are_loaded(path):
    model = TabularRegressor(quantiles=np.array([0.1, 0.9]), **QUICK).fit(TABLE, NUMBERS)
    fastmlp.save(model, path)
    np.testing.assert_array_equal(fastmlp.load(path).predict(TABLE), model.predict(TABLE))
