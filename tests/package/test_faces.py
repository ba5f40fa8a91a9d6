"""The faces of the rooms: where public classes say they live, and that pickles find them there."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from saved_models import predictions

import fastmlp

FACES = sorted(
    module.name for module in pkgutil.iter_modules(fastmlp.__path__, "fastmlp.") if module.ispkg
)
GOLDEN = Path(__file__).parents[1] / "exchange" / "golden"


def public_classes(module):
    """Classes of this package that a module shows, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and not name.startswith("_")
        and value.__module__.startswith("fastmlp")
    }


@pytest.mark.parametrize("face", FACES)
def test_public_classes_of_a_face_carry_its_address(face):
    wrong = {
        name: cls.__module__
        for name, cls in public_classes(importlib.import_module(face)).items()
        if cls.__module__ != face
    }
    assert wrong == {}


def test_public_classes_of_the_package_are_found_where_they_say():
    classes = {name: getattr(fastmlp, name) for name in fastmlp.__all__}
    classes = {name: cls for name, cls in classes.items() if isinstance(cls, type)}
    assert {"Trainer", "MLPClassifier", "Checkpoint"} <= set(classes)
    for name, cls in classes.items():
        room = cls.__module__
        assert getattr(importlib.import_module(room), name) is cls
        assert room.count(".") == 1, f"{name} says that it lives in {room}"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.pickle")), ids=lambda path: path.stem)
def test_pickles_of_fitted_estimators_load(path):
    """They were written by this project's version in their name; the class's address must stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's version may differ
        model = pickle.loads(path.read_bytes())
    assert type(model).__name__ in {"MLPClassifier", "MLPRegressor"}
    assert type(model).__module__ == "fastmlp.estimators"
    assert model.n_features_in_ == model.coefs_[0].shape[0]
    with np.load(path.with_suffix(".npz")) as expected:
        found = predictions(model)
        assert set(found) == set(expected)
        for name, values in found.items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-6, atol=1e-7)
