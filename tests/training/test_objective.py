"""The objective of a training run: its penalty and what it adds, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import Network, Trainer, reference
from fastmlp.engine.rows import Rows

STRENGTHS = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)]


def trainer_of(dtype, **settings):
    return Trainer(Network((4, 3, 2), dtype=dtype, random_state=0), n_threads=1, **settings)


def some_rows(dtype):
    rng = np.random.default_rng(1)
    return Rows(rng.normal(size=(7, 4)).astype(dtype), rng.uniform(size=(7, 2)).astype(dtype), None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("l1, l2", STRENGTHS)
def test_the_penalty_is_that_of_the_reference(dtype, l1, l2):
    trainer = trainer_of(dtype, l1=l1, l2=l2)
    assert trainer.objective.penalty() == reference.penalty(trainer.network.weights, l1, l2)


def test_the_articles_report_half_of_the_l1_penalty():
    trainer = trainer_of("float64", l1=0.4, l2=0.5, legacy_l1_cost=True)
    assert trainer.objective.penalty() == reference.penalty(trainer.network.weights, 0.2, 0.5)


@pytest.mark.parametrize("l1, l2", STRENGTHS)
@pytest.mark.parametrize("scale, share", [("per_batch", 1.0), ("per_weight", 1 / 7)])
def test_the_gradient_of_the_penalty_is_that_of_the_reference(l1, l2, scale, share):
    rows = some_rows("float64")
    gradients = []
    for strengths in ({"l1": l1, "l2": l2}, {}):
        trainer = trainer_of("float64", penalty_scale=scale, **strengths)
        out = np.empty(trainer.network.n_parameters)
        trainer.objective.gradient(rows, out)
        gradients.append(trainer.network.views(out))
    for w, with_penalty, alone in zip(trainer.network.weights, *gradients, strict=True):
        expected = alone + share * reference.penalty_gradient(w, l1, l2)
        np.testing.assert_allclose(with_penalty, expected, rtol=1e-14)
        np.testing.assert_array_equal(with_penalty[:, 0], alone[:, 0])


def test_a_penalty_that_overflows_is_infinite_without_a_warning():
    trainer = trainer_of("float32", l2=1.0)
    trainer.network.parameters[...] = 1e30
    assert trainer.objective.penalty() == np.inf
