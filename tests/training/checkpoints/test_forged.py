"""Checkpoints with a right checksum and wrong values: refused as documented, or resumed.

The fuzzer changes bytes, and most of what it makes is no JSON. Here whole values of honest
checkpoints of every owner are replaced, removed and exchanged.
"""

from __future__ import annotations

import copy
import random
import warnings

import numpy as np
import pytest
from saved_models import forge, taken_apart

from fastmlp import (
    Checkpoint,
    DivergenceError,
    LivePlot,
    MLPClassifier,
    MLPRegressor,
    ModelFormatError,
    MyANN,
    Network,
    ResumeError,
    Trainer,
)
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.stopping import EarlyStopping, TimeBudget

X = np.random.default_rng(0).normal(size=(40, 3))
LABELS = (X[:, 0] > 0).astype(int)
TARGETS = np.eye(2)[LABELS]


def trainer(calls, resume):
    t = Trainer(Network((3, 2), random_state=0), optimizer="adam", batch_size=10, random_state=0)
    calls = [EarlyStopping("loss"), LivePlot(), *calls]
    t.fit(X, TARGETS, n_epochs=4, callbacks=calls, resume=resume, validation_data=(X, TARGETS))


def myann(calls, resume):
    MyANN(
        (X[:30], LABELS[:30], X[30:], LABELS[30:]),
        1,
        [0, 2, 0],
        n_nodes_layer_out=0,
        n_epochs=4,
        n_size_mini_batch=10,
        random_state=0,
        callbacks=[TimeBudget("1h"), *calls],
        resume=resume,
    )


def estimator(cls, **options):
    def fit(calls, resume):
        seed = np.random.RandomState(0) if "early_stopping" in options else 0
        model = cls(hidden_layer_sizes=(2,), max_iter=4, random_state=seed, **options)
        if calls:
            model.set_callbacks(*calls)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # four epochs do not converge
            model.fit(X, LABELS, resume=resume)

    return fit


OWNERS = {
    "trainer": trainer,
    "myann": myann,
    "adam": estimator(MLPClassifier, early_stopping=True, batch_size=10),
    "sgd": estimator(MLPClassifier, solver="sgd", learning_rate="adaptive", batch_size=10),
    "lbfgs": estimator(MLPRegressor, solver="lbfgs"),
}


class Stop(EpochCallback):
    """Ctrl-C in the second epoch's callbacks, which is a position within an epoch."""

    def settings(self):
        return None

    def after_epoch(self, trainer):
        if trainer.epochs_done == 2:
            raise KeyboardInterrupt


def honest(fit, folder):
    """Document and arrays after an epoch, and within one."""
    with pytest.raises(KeyboardInterrupt):
        fit([Checkpoint(folder, every=1), Stop()], None)
    return [taken_apart(path.read_bytes()) for path in sorted(folder.iterdir())]


VALUES = (
    None, True, 0, 1, -1, 3, 2**31, 2**63 - 1, 2**63, 10**30, 0.5, -1.0, 1e308, "", "a", "-1",
    "1e5", "Trainer", "lbfgs", [], {}, [[]], {"a": 1}, {"float": "nan"}, {"float": "inf"},
    {"tuple": []}, {"tuple": [1, 2]}, {"dict": [["a", 1]]}, {"array": ["float64", [0], []]},
    {"array": ["float32", [3], [1, 2, 3]]}, {"array": ["object", [1], ["x"]]},
)  # fmt: skip


def places(value, here=()):
    """Every place in a document, as names and positions that lead there."""
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value[:6])
    for name, item in inner:
        if isinstance(item, dict | list):
            yield from places(item, (*here, name))
        else:
            yield (*here, name)


def at(document, place):
    for name in place:
        document = document[name]
    return document


def change_value(document, rng):
    *above, name = rng.choice([place for place in places(document) if place])
    parent, way = at(document, above), rng.random()
    if way < 0.15:
        del parent[name]
    elif way < 0.25 and isinstance(parent, dict):
        parent[f"{name}x"] = rng.choice(VALUES)
    elif way < 0.35:
        parent[name] = copy.deepcopy(at(document, rng.choice(list(places(document)))))
    else:
        parent[name] = copy.deepcopy(rng.choice(VALUES))


def change_array(arrays, rng):
    name = rng.choice(sorted(arrays))
    array, flat = arrays[name], arrays[name].reshape(-1).copy()
    way = rng.randrange(5)
    if way == 0:
        del arrays[name]
    elif way == 1:
        arrays[name] = flat[: rng.randrange(flat.size + 1)]
    elif way == 2:
        arrays[name] = np.zeros(array.shape, rng.choice(("float32", "float64", "int64")))
    elif way == 3:
        arrays[name] = np.zeros(rng.choice(((0,), (1, 1), (2, 3, 4), (), (0, 5))), array.dtype)
    elif flat.size:
        numbers = (0, 1, 2**31) if flat.dtype.kind in "iu" else (0, -1, 1e38, np.nan, np.inf)
        flat[rng.randrange(flat.size)] = rng.choice(numbers)
        arrays[name] = flat.reshape(array.shape)


def forgery(document, arrays, rng):
    document, arrays = copy.deepcopy(document), dict(arrays)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if arrays and rng.random() < 0.3:
            change_array(arrays, rng)
        else:
            change_value(document, rng)
    return forge(document, arrays)


def try_forgeries(fit, folder, n):
    """How many of n forgeries are refused; everything undocumented is raised."""
    checkpoints, rng, n_refused = honest(fit, folder / "honest"), random.Random(n), 0
    path = folder / "forged"
    for _ in range(n):
        path.write_bytes(forgery(*rng.choice(checkpoints), rng))
        try:
            fit([], path)
        except (ModelFormatError, ResumeError, DivergenceError):
            n_refused += 1
        except ValueError as error:
            # An honest search may hear of costs that are not finite too, and end by one.
            assert type(error) is ValueError and "lbfgs diverged after" in str(error)
    return n_refused


@pytest.mark.filterwarnings("ignore:the checkpoint .* was written in a different environment")
@pytest.mark.parametrize("n", [60, pytest.param(3000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("owner", OWNERS)
def test_a_forged_checkpoint_is_refused_as_documented_or_resumed(owner, n, tmp_path):
    assert n / 2 < try_forgeries(OWNERS[owner], tmp_path, n) < n
