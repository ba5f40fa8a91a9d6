"""A Trainer's cost and gradient over all rows, and L-BFGS on them."""

from __future__ import annotations

import numpy as np
import pytest
from cases import make_classes
from scipy.optimize import approx_fprime

from fastmlp import Network, Trainer
from fastmlp.engine.rows import Rows
from fastmlp.training.lbfgs import minimize


def problem(weighted, **parameters):
    """A float64 trainer and rows for it."""
    x, y = make_classes(40, 4, 3)
    weights = np.random.default_rng(0).uniform(0, 2, 40) if weighted else None
    network = Network(
        (4, 5, 3), activation="tanh", output="softmax", dtype="float64", random_state=0
    )
    return Trainer(network, **parameters), Rows(x, y, weights)


@pytest.mark.parametrize("engine", ["native", "numpy"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "rules",
    [
        dict(),
        dict(l1=0.3, l2=0.2),
        dict(reduction="mean", l2=0.2),
        dict(reduction="mean", penalty_scale="per_weight", l1=0.3, l2=0.2),
    ],
    ids=str,
)
def test_gradient_of_the_objective_is_that_of_finite_differences(rules, weighted, engine):
    trainer, rows = problem(weighted, engine=engine, **rules)
    gradient, other = np.empty((2, trainer.network.n_parameters))

    def cost(parameters):
        before = trainer.network.parameters.copy()
        trainer.network.parameters[...] = parameters
        value = trainer.objective.gradient(rows, other)
        trainer.network.parameters[...] = before
        return value

    trainer.objective.gradient(rows, gradient)
    numeric = approx_fprime(trainer.network.parameters.copy(), cost, 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_objective_is_the_cost_of_one_batch_of_all_rows(weighted):
    rules = dict(reduction="mean", penalty_scale="per_weight", l1=0.3, l2=0.2, learning_rate=0.0)
    trainer, rows = problem(weighted, **rules)
    cost = trainer.objective.gradient(rows, np.empty(trainer.network.n_parameters))
    history = trainer.fit(rows.x, rows.y, sample_weight=rows.weights)
    assert history["costs"][0, 0] == pytest.approx(cost)


def test_minimum_has_no_gradient_and_iterations_only_go_down():
    trainer, rows = problem(False, l2=0.5)
    costs = []
    result = minimize(
        trainer,
        rows,
        max_iter=500,
        max_fun=5000,
        gtol=1e-6,
        callbacks=[lambda t: costs.append(t.metrics["cost"])],
    )
    gradient = np.empty(trainer.network.n_parameters)
    cost = trainer.objective.gradient(rows, gradient)
    assert result.status == 0
    assert cost == pytest.approx(result.fun)
    assert np.abs(gradient).max() < 1e-3
    assert len(costs) == result.nit
    assert (np.diff(costs) <= 0).all()


def test_a_callback_can_end_the_search():
    trainer, rows = problem(False, l2=0.5)
    result = minimize(
        trainer,
        rows,
        max_iter=500,
        max_fun=5000,
        gtol=0.0,
        callbacks=[lambda t: t.epochs_done == 3],
    )
    assert (result.nit, result.status) == (3, 0)


class Failure(Exception):
    """What a test raises in the middle of a search."""


@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt])
def test_an_exception_in_the_search_leaves_the_last_iterate(error, monkeypatch):
    trainer, rows = problem(False, l2=0.5)
    iterates, points = [trainer.network.parameters.copy()], []
    objective = trainer.objective.gradient

    def cost(rows, gradient):
        points.append(trainer.network.parameters.copy())
        # Wherever the search tries a point that is no iterate yet.
        if len(iterates) > 3:
            raise error
        return objective(rows, gradient)

    monkeypatch.setattr(trainer.objective, "gradient", cost)
    with pytest.raises(error):
        minimize(
            trainer,
            rows,
            max_iter=500,
            max_fun=5000,
            gtol=0.0,
            callbacks=[lambda t: iterates.append(t.network.parameters.copy())],
        )
    assert not np.array_equal(points[-1], iterates[-1])
    np.testing.assert_array_equal(trainer.network.parameters, iterates[-1])


def test_an_exception_at_the_first_point_leaves_the_starting_weights(monkeypatch):
    trainer, rows = problem(False)
    start = trainer.network.parameters.copy()
    objective, calls = trainer.objective.gradient, []

    def cost(rows, gradient):
        calls.append(1)
        if len(calls) == 2:
            raise Failure
        return objective(rows, gradient)

    monkeypatch.setattr(trainer.objective, "gradient", cost)
    with pytest.raises(Failure):
        minimize(trainer, rows, max_iter=500, max_fun=5000, gtol=0.0)
    np.testing.assert_array_equal(trainer.network.parameters, start)


def test_a_callback_that_fails_leaves_the_iterate_it_was_shown():
    trainer, rows = problem(False, l2=0.5)
    shown = []

    def fail(trainer):
        shown.append(trainer.network.parameters.copy())
        if len(shown) == 2:
            raise Failure

    with pytest.raises(Failure):
        minimize(trainer, rows, max_iter=500, max_fun=5000, gtol=0.0, callbacks=[fail])
    np.testing.assert_array_equal(trainer.network.parameters, shown[-1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_start_whose_cost_is_not_finite_is_refused(dtype):
    network = Network((4, 3), output="identity", dtype=dtype, random_state=0)
    start = network.parameters.copy()
    x = make_classes(40, 4, 3)[0].astype(dtype)
    y = np.full((40, 3), np.finfo(dtype).max, dtype)
    with pytest.raises(
        ValueError, match=r"cost at the starting point must be finite.* got a cost of inf"
    ):
        minimize(Trainer(network), Rows(x, y), max_iter=5, max_fun=50, gtol=0.0)
    np.testing.assert_array_equal(network.parameters, start)


class Unsaved(np.random.PCG64):
    """A generator of bits that no checkpoint can hold."""


def test_a_search_without_checkpoints_asks_nothing_of_them(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("a keeper was made")

    monkeypatch.setattr("fastmlp.training.checkpoints.keeper.Keeper", refuse)
    trainer, rows = problem(False)
    trainer.rng = np.random.Generator(Unsaved(0))
    before = trainer.network.parameters.copy()
    minimize(trainer, rows, max_iter=3, max_fun=30, gtol=0.0)
    assert not np.array_equal(trainer.network.parameters, before)
