"""What pickles of the estimators for tables hold."""

from __future__ import annotations

import copy
import pickle
import pickletools

import numpy as np
import pandas as pd
import pytest

from fastmlp import TabularClassifier, TabularRegressor
from fastmlp.tables import PiecewiseLinearEncoder, TabularEncoder
from fastmlp.tables.plain import from_plain, to_plain

rng = np.random.default_rng(0)
N = 150
FRAME = pd.DataFrame({
    "a": np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N)),
    "word": rng.choice([f"w{i}" for i in range(15)], N),
})  # fmt: skip
Y = np.where(FRAME["a"].fillna(0) > 0, "yes", "no")
T = FRAME["a"].fillna(0).to_numpy()
NUMBERS = rng.normal(size=(N, 2))

MODELS = {
    "TabularClassifier": lambda: TabularClassifier(n_members=2, random_state=0).fit(FRAME, Y),
    "TabularRegressor": lambda: TabularRegressor(
        n_members=2, quantiles=[0.1, 0.9], random_state=0
    ).fit(FRAME, T),
    "TabularEncoder": lambda: TabularEncoder().fit(FRAME, Y),
    "PiecewiseLinearEncoder": lambda: PiecewiseLinearEncoder().fit(NUMBERS),
}


def answers(model):
    """Everything that a model says of its rows."""
    if isinstance(model, PiecewiseLinearEncoder):
        return model.transform(NUMBERS)
    if isinstance(model, TabularEncoder):
        return model.transform(FRAME)
    return np.concatenate([np.ravel(model.networks()[0].parameters), model.feature_importances_])


@pytest.mark.parametrize("name", MODELS)
def test_a_pickle_names_one_class_of_the_package(name):
    content = pickle.dumps(MODELS[name](), 2)
    named = {text for code, text, _ in pickletools.genops(content) if code.name == "GLOBAL"}
    own = {text for text in named if text.startswith("fastmlp")}
    assert own == {f"fastmlp.tables {name}"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("name", MODELS)
def test_copies_say_the_same(name, copied):
    model = MODELS[name]()
    np.testing.assert_array_equal(answers(copied(model)), answers(model))


def test_what_was_one_object_is_one_again_and_no_array_of_the_original():
    model = MODELS["TabularClassifier"]()
    again = copy.deepcopy(model)
    assert again.members_[1].features is again.encoder_.features_
    assert not np.shares_memory(again.networks()[0].parameters, model.networks()[0].parameters)
    assert again.networks()[0].initializer == model.networks()[0].initializer


def test_values_that_are_no_parts_stay_as_they_are():
    value = {"a": [1, None, (2, "b")], "part": "Network"}
    assert to_plain(value) == value
    assert from_plain(value) == value


def test_pickles_of_objects_are_read_too():
    """Those of copies that were made before there were plain values."""
    model = MODELS["TabularRegressor"]()
    again = TabularRegressor()
    again.__setstate__(dict(vars(model)))
    np.testing.assert_array_equal(again.predict(FRAME), model.predict(FRAME))
