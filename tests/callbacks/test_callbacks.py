"""Callbacks of a Trainer: order of the hooks, early stopping, learning rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import make_classes, name_of

from fastmlp import DivergenceError, Network, Trainer
from fastmlp.callbacks import stopping
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.plateau import Plateau
from fastmlp.callbacks.scheduler import LearningRateScheduler
from fastmlp.callbacks.stopping import EarlyStopping, TargetReached, TimeBudget, direction
from fastmlp.engine.rows import Rows
from fastmlp.training.lbfgs import minimize


def learner(**parameters):
    network = Network((5, 8, 2), random_state=0)
    return Trainer(network, learning_rate=0.002, batch_size=50, random_state=0, **parameters)


class Recorder(EpochCallback):
    """Writes down which hook was called."""

    def __init__(self, log, stop_at=None):
        self.log, self.stop_at = log, stop_at

    def before_training(self, trainer):
        self.log.append("before training")

    def before_epoch(self, trainer):
        self.log.append(f"before {trainer.epochs_done}")

    def after_epoch(self, trainer):
        self.log.append(f"after {trainer.epochs_done}")
        return trainer.epochs_done == self.stop_at

    def after_training(self, trainer):
        self.log.append("after training")


def test_hooks_are_called_around_training_and_epochs():
    log = []
    learner().fit(*make_classes(100, 5, 2), n_epochs=5, callbacks=[Recorder(log, stop_at=2)])
    epochs = ["before 0", "after 1", "before 1", "after 2"]
    assert log == ["before training", *epochs, "after training"]


def test_training_that_diverges_is_ended_too():
    log = []
    trainer = Trainer(Network((5, 2), output="identity"), learning_rate=1e300, random_state=0)
    with pytest.raises(DivergenceError):
        trainer.fit(*make_classes(100, 5, 2), n_epochs=5, callbacks=[Recorder(log)])
    assert log[-1] == "after training"


def test_metrics_describe_the_last_epoch():
    x, y = make_classes(130, 5, 2)
    trainer = learner(l2=0.5)
    history = trainer.fit(x, y, n_epochs=2, validation_data=(x, y))
    metrics, rows = trainer.metrics, np.array([50, 50, 30])
    assert metrics["cost"] == pytest.approx(history["costs"][-1] @ rows / 130)
    share = history["reg_share"][-1] * history["costs"][-1]
    assert metrics["cost"] - metrics["loss"] == pytest.approx(share @ rows / 130)
    assert metrics["val_cost"] == history["val_cost"][-1]
    assert metrics["error"] == pytest.approx(history["errors"][-1] @ rows / 130)
    assert metrics["learning_rate"] == 0.002
    assert metrics["seconds"] == history["epoch_seconds"][-1]


@pytest.mark.parametrize(("monitor", "better"), [("val_cost", min), ("val_accuracy", max)])
def test_early_stopping_goes_back_to_the_best_epoch(monitor, better):
    x, y = make_classes(60, 5, 2)
    x_test, y_test = make_classes(60, 5, 2, seed=1)
    trainer = learner(optimizer="adam", reduction="mean")
    trainer.learning_rate = 0.1
    stopping = EarlyStopping(monitor, patience=5)
    history = trainer.fit(
        x, y, n_epochs=200, validation_data=(x_test, y_test), callbacks=[stopping]
    )
    best = better(history[monitor])
    assert history.n_epochs < 200
    assert history[monitor][stopping.best_epoch] == stopping.best_value == best
    result = trainer.evaluate(x_test, y_test)
    assert getattr(result, monitor.removeprefix("val_")) == pytest.approx(best)


def test_early_stopping_can_leave_the_last_weights():
    x, y = make_classes(60, 5, 2)
    trainer = learner()
    stopping = EarlyStopping("cost", patience=0, tol=1e9, restore_best=False)
    history = trainer.fit(x, y, n_epochs=9, callbacks=[stopping])
    assert history.n_epochs == 2
    twin = learner()
    twin.fit(x, y, n_epochs=2)
    np.testing.assert_array_equal(trainer.network.parameters, twin.network.parameters)


def test_early_stopping_forgets_the_training_before():
    x, y = make_classes(60, 5, 2)
    stopping, trainer = EarlyStopping("cost", patience=0, tol=1e9), learner()
    for _ in range(2):
        assert trainer.fit(x, y, n_epochs=9, callbacks=[stopping]).n_epochs == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(patience=-1), ValueError, "patience must be at least 0"),
        (dict(tol=-1.0), ValueError, "tol must be a finite number"),
        (dict(mode="up"), ValueError, "mode must be one of 'auto', 'min', 'max'"),
        (dict(restore_best=1), TypeError, "restore_best must be True or False"),
    ],
)
def test_arguments_of_early_stopping_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        EarlyStopping(**arguments)


def test_a_name_that_is_not_measured_is_refused():
    with pytest.raises(ValueError, match=r"monitor must be one of 'cost', 'loss'.*'val_loss'"):
        learner().fit(*make_classes(60, 5, 2), callbacks=[EarlyStopping("val_loss")])


@pytest.mark.parametrize(
    "callback", [EarlyStopping("val_cost"), TargetReached(0.9, monitor="train_accuracy")],
    ids=["no validation data", "not on the training data"],
)  # fmt: skip
def test_a_set_that_is_not_measured_has_no_numbers_to_stop_by(callback):
    trainer = Trainer(Network((5, 3, 2), random_state=0), random_state=0)
    with pytest.raises(ValueError, match=f"monitor must be one of .*; got '{callback.monitor}'"):
        trainer.fit(*make_classes(60, 5, 2), n_epochs=3, callbacks=[callback])
    assert trainer.epochs_done == 1


@pytest.mark.parametrize("monitor, sign", [("error", -1), ("val_accuracy", 1)])
def test_a_target_ends_the_training_after_the_first_epoch_that_reaches_it(monitor, sign):
    x, y = make_classes(200, 5, 2)
    data = dict(n_epochs=30, validation_data=(x, y))
    whole = learner()
    numbers = []
    whole.fit(x, y, callbacks=[lambda t: numbers.append(sign * t.metrics[monitor])], **data)
    target = sorted(numbers)[20]
    first = next(i for i, number in enumerate(numbers) if number >= target)
    trainer = learner()
    stop = TargetReached(sign * target, monitor=monitor)
    assert trainer.fit(x, y, callbacks=[stop], **data).n_epochs == first + 1 < 30


def test_a_budget_of_time_ends_the_training_after_the_epoch_in_which_it_is_used_up(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])

    def tick(trainer):
        now[0] += 30

    history = learner().fit(
        *make_classes(100, 5, 2), n_epochs=99, callbacks=[tick, TimeBudget("2min")]
    )
    assert history.n_epochs == 4
    budget = TimeBudget(90)
    budget.before_training(None)
    budget.restore(None, {"seconds": 50})
    now[0] += 39
    assert not budget.after_epoch(None)
    now[0] += 1
    assert budget.after_epoch(None) and budget.state() == {"seconds": 90}


@pytest.mark.parametrize("make, error, message", [
    (lambda: TargetReached("low"), TypeError, "target must be a number; got 'low'"),
    (lambda: TargetReached(np.nan), ValueError, "target must be a finite number"),
    (lambda: TargetReached(1, mode="up"), ValueError, "mode must be one of 'auto', 'min', 'max'"),
    (lambda: TimeBudget(0), ValueError, "budget must be finite and more than 0 seconds; got 0"),
    (lambda: TimeBudget(None), TypeError, "budget must be seconds or a string such as '90s'"),
], ids=name_of)  # fmt: skip
def test_arguments_of_stop_rules_are_checked(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_target_of_a_name_that_is_not_measured_is_refused():
    with pytest.raises(
        ValueError, match=r"monitor must be one of 'cost', 'loss', 'error', .*'hit'"
    ):
        learner().fit(*make_classes(100, 5, 2), callbacks=[TargetReached(1, monitor="hit")])


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"plateau": (1.0, -1), "best_parameters": None, "best_epoch": 0, "best_value": 1.0},
        {"plateau": "over", "best_parameters": None, "best_epoch": 0, "best_value": 1.0},
        {"plateau": (1.0, 1), "best_parameters": np.zeros(3), "best_epoch": 0, "best_value": 1.0},
        {"plateau": (1.0, 1), "best_parameters": [1.0], "best_epoch": 0, "best_value": 1.0},
    ],
)
def test_early_stopping_takes_no_state_that_is_none(state):
    stop, trainer = EarlyStopping(), learner()
    stop.before_training(trainer)
    with pytest.raises((ValueError, KeyError)):
        stop.restore(trainer, state)


def test_learning_rate_scheduler_sets_the_rate_of_the_coming_epoch():
    trainer = learner(schedule="power", decay=1.0)
    scheduler = LearningRateScheduler(lambda epoch, rate: 0.1 * (epoch + 1))
    history = trainer.fit(*make_classes(60, 5, 2), n_epochs=3, callbacks=[scheduler])
    np.testing.assert_allclose(history["learning_rates"], [0.1, 0.2 / 2, 0.3 / 3])
    with pytest.raises(ValueError, match=r"rate\(epoch, learning_rate\) must be a finite number"):
        trainer.fit(
            *make_classes(60, 5, 2), callbacks=[LearningRateScheduler(lambda epoch, rate: -1.0)]
        )
    with pytest.raises(TypeError, match="rate must be callable"):
        LearningRateScheduler(0.1)


def test_losses_and_costs_are_to_fall_and_the_rest_to_rise():
    assert [direction(name) for name in ("val_loss", "val_cost", "val_score")] == [-1, -1, 1]
    assert [direction("val_score", mode) for mode in ("min", "max")] == [-1, 1]
    names = ("error", "neg_log_loss", "val_neg_mean_squared_error")
    assert [direction(name) for name in names] == [-1, 1, 1]


def test_plateau_counts_what_is_less_than_tol_better_than_the_best():
    plateau = Plateau(tol=0.1, patience=2)
    values = [1.0, 1.05, 1.2, 1.21, 1.22, math.nan, 1.0, 1.0, 1.0]
    seen = [(plateau.update(v), plateau.count, plateau.is_over) for v in values]
    assert [count for _, count, _ in seen] == [0, 1, 0, 1, 2, 0, 1, 2, 3]
    assert [best for best, _, _ in seen] == [True, True, True, True, True, *[False] * 4]
    assert [over for _, _, over in seen] == [False] * 8 + [True]


class Failing(Recorder):
    """Raises in one hook, after writing it down."""

    def __init__(self, log, hook):
        super().__init__(log)
        self.hook = hook

    def before_training(self, trainer):
        self._fail("before_training")

    def before_epoch(self, trainer):
        self._fail("before_epoch")

    def after_training(self, trainer):
        self._fail("after_training")

    def _fail(self, hook):
        self.log.append(f"failing {hook}")
        if hook == self.hook:
            raise RuntimeError(f"no {hook}")


def run_with_trainer(callbacks):
    learner().fit(*make_classes(60, 5, 2), callbacks=callbacks)


def run_with_lbfgs(callbacks):
    x, y = make_classes(60, 5, 2)
    network = Network((5, 2), dtype="float64", random_state=0)
    minimize(Trainer(network), Rows(x, y), max_iter=5, max_fun=50, gtol=0, callbacks=callbacks)


@pytest.mark.parametrize("run", [run_with_trainer, run_with_lbfgs])
def test_one_failing_end_of_training_keeps_no_other_from_its_own(run):
    log = []
    with pytest.raises(RuntimeError, match="no after_training"):
        run([Recorder(log), Failing(log, "after_training"), Recorder(log)])
    assert log[-3:] == ["after training", "failing after_training", "after training"]


@pytest.mark.parametrize("run", [run_with_trainer, run_with_lbfgs])
def test_training_ends_for_all_that_began_it_when_an_epoch_cannot_begin(run):
    log = []
    with pytest.raises(RuntimeError, match="no before_epoch"):
        run([Recorder(log), Failing(log, "before_epoch"), Recorder(log)])
    assert log[-3:] == ["after training", "failing after_training", "after training"]


@pytest.mark.parametrize("run", [run_with_trainer, run_with_lbfgs])
def test_training_ends_for_those_alone_that_began_it(run):
    log = []
    with pytest.raises(RuntimeError, match="no before_training"):
        run([Recorder(log), Failing(log, "before_training"), Recorder(log)])
    assert log == ["before training", "failing before_training", "after training"]


def test_early_stopping_restores_the_best_weights_beside_a_callback_that_fails():
    x, y = make_classes(60, 5, 2)
    trainer, best = learner(), []
    watch = EarlyStopping("cost", patience=2, mode="max")
    with pytest.raises(RuntimeError, match="no after_training"):
        trainer.fit(
            x,
            y,
            n_epochs=9,
            callbacks=[
                lambda t: best.append(np.copy(t.network.parameters)),
                Failing([], "after_training"),
                watch,
            ],
        )
    assert watch.best_epoch < len(best) - 1
    np.testing.assert_array_equal(trainer.network.parameters, best[watch.best_epoch])
