"""Every field of every kind of file, with values of every wrong type: refused, or as good as new.

The fields are those of the files themselves, so that a new one is tried too.
"""

from __future__ import annotations

import copy
import random
import warnings

import numpy as np
import pytest
from saved_models import EVERYTHING, MODELS, forge, taken_apart

import fastmlp
from fastmlp import Checkpoint, ModelFormatError, Network, Trainer
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.files.plain_values import encode
from fastmlp.training.checkpoints.document import read_checkpoint

SCALARS = (None, True, 0, -1, 3, 2**63, 10**30, 0.5, -1.0, 1e308, "", "a", "adam",
           {"float": "nan"}, {"float": "inf"})  # fmt: skip
CONTAINERS = ([], {}, [[]], [None], ["a"], [1.5], {"a": 1}, {"tuple": []}, {"tuple": [1, 2]},
              {"tuple": [[1], "a"]}, {"dict": []}, {"dict": [["a", 1]]},
              {"dict": [[1, {"array": ["float64", [0], []]}]]})  # fmt: skip
OBJECTS = (
    {"array": ["float64", [0], []]},
    {"array": ["float32", [3], [1, 2, 3]]},
    {"array": ["int64", [2, 2], [1, 2, 3, 4]]},
    {"array": ["object", [1], ["x"]]},
    {"objects": [[3], ["x", None, {"float": "nan"}]]},
    {"array": ["U1", [1], ["x"]]},
    {"array": ["bool", [2], [True, False]]},
    {"array": ["float64", [], [0.5]]},
    [{"array": ["int64", [2], [1, 2]]}],
    encode(np.random.default_rng(0)),
    encode(np.random.RandomState(0)),
)


def places(value, here=()):
    """Every place in a document, of lists the first three items; but the processor's name."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3])
    for name, item in inner:
        if name == "arithmetic":
            continue
        yield (*here, name)
        if isinstance(item, dict | list):
            yield from places(item, (*here, name))


def replaced(document, place, value):
    document = copy.deepcopy(document)
    at = document
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    return document


def values(rng, n):
    """Some of each type; all of them where n is large."""
    kinds = SCALARS, CONTAINERS, OBJECTS
    return [value for kind in kinds for value in rng.sample(kind, min(n, len(kind)))]


N_VALUES = [1, pytest.param(99, marks=pytest.mark.soak)]


@pytest.mark.parametrize("n", N_VALUES)
@pytest.mark.parametrize("kind", EVERYTHING)
def test_a_model_with_a_value_of_another_type_is_refused_or_can_be_saved(kind, n, tmp_path):
    path, rng = tmp_path / "model", random.Random(kind)
    fastmlp.save(EVERYTHING[kind](), path)
    document, arrays = taken_apart(path.read_bytes())
    n_tried = n_refused = 0
    here = [place for place in places(document) if kind in MODELS or place[0] == "pipeline"]
    for place in here:  # the rest of a Pipeline's document is that of its estimator
        for value in values(rng, n):
            path.write_bytes(forge(replaced(document, place, value), arrays))
            n_tried += 1
            try:
                model = fastmlp.load(path)
            except ModelFormatError:
                n_refused += 1
            else:
                fastmlp.save(model, path)
    assert 0.8 * n_tried < n_refused


@pytest.mark.parametrize("value", [*OBJECTS, [{"array": ["int64", [2], [1, 2]]}] * 3], ids=str)
def test_sizes_of_a_myann_that_are_arrays_are_refused(value, tmp_path):
    path = tmp_path / "model"
    fastmlp.save(MODELS["myann"](), path)
    document, arrays = taken_apart(path.read_bytes())
    place = ("parameters", "ay_nodes_layers")
    path.write_bytes(forge(replaced(document, place, value), arrays))
    with pytest.raises(ModelFormatError, match="'ay_nodes_layers'"):
        fastmlp.load(path)


@pytest.mark.parametrize("n", N_VALUES)
def test_a_checkpoint_with_a_value_of_another_type_is_refused_or_read(n, tmp_path):
    x, y = np.eye(4), np.eye(4)[:, :2]
    trainer = Trainer(Network((4, 3, 2), random_state=0), optimizer="adam", random_state=0)
    trainer.fit(x, y, n_epochs=2, callbacks=[EarlyStopping("loss"), Checkpoint(tmp_path, 1)])
    path, rng = tmp_path / "checkpoint-00000002.safetensors", random.Random(n)
    document, arrays = taken_apart(path.read_bytes())
    for place in places(document):
        for value in values(rng, n):
            path.write_bytes(forge(replaced(document, place, value), arrays))
            try:
                read_checkpoint(path)
            except ModelFormatError as error:
                assert str(path) in str(error)


@pytest.mark.parametrize("kind", EVERYTHING)
def test_an_array_of_another_type_or_shape_is_refused(kind, tmp_path):
    path = tmp_path / "model"
    fastmlp.save(EVERYTHING[kind](), path)
    document, arrays = taken_apart(path.read_bytes())
    for name, array in arrays.items():
        others = [
            array.astype(other)
            for other in ("float32", "float64", "int64", "uint8")
            if other != array.dtype.name
            and not (
                name.startswith(("scaler", "steps")) and other[:5] == "float"
            )  # either is right
        ]
        for other in [*others, array[..., np.newaxis], array.reshape(1, 1, 1, *array.shape)]:
            path.write_bytes(forge(document, arrays | {name: other}))
            with warnings.catch_warnings(), pytest.raises(ModelFormatError):
                warnings.simplefilter("ignore")  # casts of NaN
                fastmlp.load(path)
