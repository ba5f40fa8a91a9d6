"""OptunaPruning: what is reported, when a run is pruned, and what remains."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from fastmlp import MLPRegressor, Network, Trainer
from fastmlp.callbacks import OptunaPruning

rng = np.random.default_rng(0)
X, Y = rng.random((30, 3)), rng.random(30)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Trial:
    """Prunes at a step."""

    def __init__(self, step=None):
        self.step, self.reported = step, {}

    def report(self, value, step):
        self.reported[step] = value

    def should_prune(self):
        return max(self.reported) == self.step


def fit(trial, monitor="val_loss", **parameters):
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=5, random_state=0, **parameters)
    model.set_callbacks(OptunaPruning(trial, monitor))
    return model.fit(X, Y, X_val=X, y_val=Y)


def test_every_epoch_is_reported():
    trial = Trial()
    model = fit(trial)
    assert trial.reported == dict(enumerate(model.history_["val_loss"]))


def test_a_pruned_trial_ends_the_run_and_leaves_the_estimator_unfitted():
    trial = Trial(step=2)
    with pytest.raises(optuna.TrialPruned, match="pruned after epoch 2: val_loss = "):
        fit(trial)
    assert list(trial.reported) == [0, 1, 2]


def test_a_trainer_reports_too():
    trial = Trial(step=1)
    trainer = Trainer(Network((3, 2, 1), output="identity", random_state=0), random_state=0)
    with pytest.raises(optuna.TrialPruned):
        trainer.fit(X, Y[:, None], n_epochs=9, callbacks=[OptunaPruning(trial, "cost")])
    assert trainer.epochs_done == 2


def test_a_number_that_is_missing_is_not_reported():
    trial, training = Trial(), SimpleNamespace(metrics={"val_loss": np.nan}, epochs_done=1)
    OptunaPruning(trial).after_epoch(training)
    assert trial.reported == {}


def test_a_copy_reports_to_the_same_trial():
    trial = Trial()
    callback = OptunaPruning(trial, "loss")
    assert copy.copy(callback).trial is copy.deepcopy(callback).trial is trial
    assert copy.deepcopy(callback).monitor == "loss" and callback.settings() is None


def test_what_is_no_trial_or_no_number_is_named():
    for other in (3, optuna.trial.Trial, None):
        with pytest.raises(TypeError, match="trial must be a trial of Optuna"):
            OptunaPruning(other)
    with pytest.raises(TypeError, match="monitor must be a string; got 3"):
        OptunaPruning(Trial(), 3)
    with pytest.raises(ValueError, match=r"monitor must be one of .*; got 'val_los'"):
        fit(Trial(), "val_los")
