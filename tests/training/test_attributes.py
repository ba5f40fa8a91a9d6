"""A Trainer's public attributes are checked when they are assigned, or cannot be replaced."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fastmlp import Network, Trainer
from fastmlp.training.attributes import CHECKED, FIXED

X, Y = np.eye(6), np.eye(6, 3)


def make_trainer(**settings):
    return Trainer(Network((6, 4, 3), random_state=0), random_state=0, **settings)


WRONG = {
    "learning_rate": (-1, ValueError, "learning_rate must be a finite number, at least 0; got -1"),
    "batch_size": (0, ValueError, "batch_size must be at least 1; got 0"),
    "steps_per_epoch": (2.5, TypeError, "steps_per_epoch must be an integer; got 2.5"),
    "dropout": (
        (), ValueError, "dropout must be one number or 1, one per hidden layer; got ()"),
    "max_grad_norm": (
        0, ValueError, "max_grad_norm must be a finite number, at least 1.17549e-38; got 0"),
    "shuffle": ("no", TypeError, "shuffle must be True or False; got 'no'"),
    "rng": ("x", TypeError, "rng must be an integer; got 'x'"),
    "horizon": (0, ValueError, "horizon must be at least 1; got 0"),
    "n_steps": (-1, ValueError, "n_steps must be at least 0; got -1"),
    "epochs_done": (None, TypeError, "epochs_done must be an integer; got None"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKED)
def test_a_wrong_value_is_refused_and_the_old_one_stays(name):
    value, kind, message = WRONG[name]
    trainer = make_trainer()
    before = getattr(trainer, name)
    with pytest.raises(kind) as error:
        setattr(trainer, name, value)
    assert str(error.value) == message
    assert getattr(trainer, name) is before


def test_what_a_run_reads_again_may_be_changed_between_runs():
    trainer, other = make_trainer(batch_size=6), make_trainer(batch_size=2, dropout=0.25)
    trainer.batch_size, trainer.dropout = 2, 0.25
    assert trainer.dropout == (0.25,)
    trainer.fit(X, Y, n_epochs=3)
    other.fit(X, Y, n_epochs=3)
    np.testing.assert_array_equal(trainer.network.parameters, other.network.parameters)


def test_all_other_public_attributes_cannot_be_replaced():
    trainer = make_trainer()
    replaced = {"history", "order", "last_epoch", "metrics"}
    public = {name for name in vars(trainer) if not name.startswith("_")}
    assert public == {*CHECKED, *FIXED, *replaced}
    for name in FIXED:
        with pytest.raises(AttributeError) as error:
            setattr(trainer, name, getattr(trainer, name))
        assert str(error.value) == f"{name} of a Trainer cannot be replaced; make a new Trainer"


def test_assigned_states_are_copied_and_must_fit():
    trainer = make_trainer(optimizer="adam")
    states = np.ones_like(trainer.states)
    trainer.states = states
    states[:] = 2
    assert (trainer.states == 1).all()
    for wrong in (states[:1], states.astype(np.float64), None):
        with pytest.raises(ValueError, match=r"states must be a float32 array \(2, 43\); got "):
            trainer.states = wrong
    assert (trainer.states == 1).all()


def test_weights_that_do_not_fit_are_refused():
    trainer = make_trainer()
    before = trainer.copy_weights()
    with pytest.raises(ValueError, match=r"weights must have shape \(43,\); got \(3,\)"):
        trainer.set_weights(np.zeros(3))
    with pytest.raises(TypeError, match="weights must be real numbers"):
        trainer.set_weights("abc")
    np.testing.assert_array_equal(trainer.copy_weights(), before)


@pytest.mark.parametrize("name", ["sizes", "dtype", "activations", "output", "initializer"])
def test_what_a_network_is_cannot_be_replaced(name):
    network = Network((6, 4, 3), random_state=0)
    with pytest.raises(AttributeError) as error:
        setattr(network, name, getattr(network, name))
    assert str(error.value) == f"{name} of a Network cannot be replaced; make a new Network"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_have_the_same_attributes_and_checks(copied):
    trainer = make_trainer(batch_size=2)
    trainer.fit(X, Y)
    other = copied(trainer)
    assert other.batch_size == 2 and other.network.sizes == (6, 4, 3)
    with pytest.raises(ValueError, match="batch_size"):
        other.batch_size = 0


def test_attributes_of_ones_own_are_free():
    trainer = make_trainer()
    trainer.note = trainer.network.note = "mine"
    trainer.note = trainer.network.note = "another"
