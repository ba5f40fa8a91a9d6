"""MLflowLog, with a stand-in for MLflow; tests/ecosystem logs to MLflow itself."""

from __future__ import annotations

import copy
import sys
from collections import namedtuple
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from fastmlp import DivergenceError, MLPRegressor, Network, Trainer
from fastmlp.callbacks import MLflowLog, mlflow_log

rng = np.random.default_rng(0)
X, Y = rng.random((30, 3)), rng.random(30)
Metric = namedtuple("Metric", "key value timestamp step")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Tracking(ModuleType):
    """What MLflowLog uses of MLflow, and what it was told."""

    def __init__(self):
        super().__init__("mlflow")
        self.entities = SimpleNamespace(Metric=Metric)
        self.exceptions = SimpleNamespace(MlflowException=type("MlflowException", (Exception,), {}))
        self.MlflowClient = lambda: self
        self.run, self.requests, self.ends, self.failures = None, [], [], 0

    def _run(self, run_id):
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def active_run(self):
        return self.run

    def start_run(self):
        self.run = self._run("started")
        return self.run

    def end_run(self, status):
        self.ends.append(status)
        self.run = None

    def log_batch(self, run_id, metrics):
        if self.failures:
            self.failures -= 1
            raise self.exceptions.MlflowException("no space left")
        self.requests.append((run_id, list(metrics)))

    def logged(self):
        """The values of every name by step."""
        values = {}
        for _, metrics in self.requests:
            for metric in metrics:
                values.setdefault(metric.key, {})[metric.step] = metric.value
        return values


@pytest.fixture
def tracking(monkeypatch):
    module = Tracking()
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", module.entities)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", module.exceptions)
    return module


def fit(callback, **parameters):
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=5, random_state=0, **parameters)
    return model.set_callbacks(callback).fit(X, Y, X_val=X, y_val=Y)


def test_all_numbers_of_all_epochs_have_their_names_and_steps_from_0(tracking):
    model = fit(MLflowLog("mine"))
    assert {run_id for run_id, _ in tracking.requests} == {"mine"}
    logged = tracking.logged()
    for name in ("loss", "val_loss", "learning_rate"):
        assert logged[name] == pytest.approx(dict(enumerate(model.history_[name])))
    assert not tracking.ends


def test_fast_epochs_are_sent_in_one_request(tracking):
    fit(MLflowLog("mine"))
    assert len(tracking.requests) == 1


def test_no_request_is_larger_than_mlflow_allows(tracking, monkeypatch):
    monkeypatch.setattr(mlflow_log, "MAX_PENDING", 7)
    fit(MLflowLog("mine"))
    assert max(len(metrics) for _, metrics in tracking.requests) == 7
    assert len(tracking.logged()["loss"]) == 5


def test_the_active_run_is_taken_and_left_open(tracking):
    tracking.run = tracking._run("active")
    fit(MLflowLog())
    assert tracking.requests[0][0] == "active"
    assert not tracking.ends


def test_without_an_active_run_one_is_started_and_ended_for_every_fit(tracking):
    callback = MLflowLog()
    fit(callback)
    fit(callback)
    assert [run_id for run_id, _ in tracking.requests] == ["started", "started"]
    assert tracking.ends == ["FINISHED", "FINISHED"]


def test_a_run_that_fails_ends_as_failed_and_keeps_its_epochs(tracking):
    trainer = Trainer(
        Network((3, 4, 1), activation="relu", output="identity", random_state=0),
        learning_rate=10.0,
    )
    with pytest.raises(DivergenceError):
        trainer.fit(100 * X, 100 * Y[:, None], n_epochs=9, callbacks=[MLflowLog()])
    assert tracking.ends == ["FAILED"]
    assert len(tracking.logged().get("learning_rate", {})) == trainer.history.n_epochs


def test_an_error_that_is_being_handled_around_a_fit_is_not_the_fit_s(tracking):
    try:
        raise LookupError
    except LookupError:
        fit(MLflowLog())
    assert tracking.ends == ["FINISHED"]


def test_numbers_that_cannot_be_stored_are_a_warning_and_are_sent_again(tracking, monkeypatch):
    monkeypatch.setattr(mlflow_log, "PERIOD", 0.0)
    tracking.failures = 2
    with pytest.warns(UserWarning, match="MLflow cannot store the numbers of a run: no space left"):
        fit(MLflowLog("mine"))
    assert list(tracking.logged()["loss"]) == list(range(5))


def test_a_copy_logs_to_the_same_run():
    assert copy.deepcopy(MLflowLog("mine")).run_id == "mine"


def test_a_run_is_a_string():
    with pytest.raises(TypeError, match="run_id must be a string; got 3"):
        MLflowLog(3)


def test_without_mlflow_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match="MLflowLog needs MLflow: pip install mlflow-skinny"):
        fit(MLflowLog())
