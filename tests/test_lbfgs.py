"""A Trainer's cost and gradient over all rows, and L-BFGS on them."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_classes
from scipy.optimize import approx_fprime

from fastmlp import Network, Trainer
from fastmlp._lbfgs import minimize
from fastmlp.trainer import Rows


def problem(weighted, **parameters):
    """A float64 trainer and rows for it."""
    x, y = make_classes(40, 4, 3)
    weights = np.random.default_rng(0).uniform(0, 2, 40) if weighted else None
    network = Network((4, 5, 3), activation="tanh", output="softmax", dtype="float64",
                      random_state=0)  # fmt: skip
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
        value = trainer.objective(rows, other)
        trainer.network.parameters[...] = before
        return value

    trainer.objective(rows, gradient)
    numeric = approx_fprime(trainer.network.parameters.copy(), cost, 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_objective_is_the_cost_of_one_batch_of_all_rows(weighted):
    rules = dict(reduction="mean", penalty_scale="per_weight", l1=0.3, l2=0.2, learning_rate=0.0)
    trainer, rows = problem(weighted, **rules)
    cost = trainer.objective(rows, np.empty(trainer.network.n_parameters))
    history = trainer.fit(rows.x, rows.y, sample_weight=rows.weights)
    assert history["costs"][0, 0] == pytest.approx(cost)


def test_minimum_has_no_gradient_and_iterations_only_go_down():
    trainer, rows = problem(False, l2=0.5)
    costs = []
    result = minimize(trainer, rows, max_iter=500, max_fun=5000, gtol=1e-6,
                      callbacks=[lambda t: costs.append(t.metrics["cost"])])  # fmt: skip
    gradient = np.empty(trainer.network.n_parameters)
    cost = trainer.objective(rows, gradient)
    assert result.status == 0
    assert cost == pytest.approx(result.fun)
    assert np.abs(gradient).max() < 1e-3
    assert len(costs) == result.nit
    assert (np.diff(costs) <= 0).all()


def test_a_callback_can_end_the_search():
    trainer, rows = problem(False, l2=0.5)
    result = minimize(trainer, rows, max_iter=500, max_fun=5000, gtol=0.0,
                      callbacks=[lambda t: t.epochs_done == 3])  # fmt: skip
    assert (result.nit, result.status) == (3, 0)
