"""What the plan chooses from shapes changes the speed, and the numbers by rounding alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from cases import TOLERANCE, make_classes, relative_difference

from fastmlp import Network, Trainer
from fastmlp.engine import plan as _plan
from fastmlp.engine.products import resolve_products
from fastmlp.optimizers import SGD, Adam, RMSprop

WIDE, NONE = 2**60, 0
CHOICES = {
    "as planned": {},
    "panels": {"NARROW_MAX": NONE},
    "BLAS": {"products": "blas"},
    "narrow products": {"NARROW_MAX": WIDE, "NARROW_WEIGHT_BYTES": WIDE},
    "blocks": {"BLOCK_PARAMETER_BYTES": NONE},
    "blocks with panels": {"BLOCK_PARAMETER_BYTES": NONE, "NARROW_MAX": NONE},
    "blocks with BLAS": {"BLOCK_PARAMETER_BYTES": NONE, "products": "blas"},
    "blocks with narrow products": {
        "BLOCK_PARAMETER_BYTES": NONE,
        "NARROW_MAX": WIDE,
        "NARROW_WEIGHT_BYTES": WIDE,
    },
    "small blocks": {"BLOCK_PARAMETER_BYTES": NONE, "BLOCK_ROWS": 16, "BLOCK_COLUMNS": 16},
    "small blocks with panels": {
        "BLOCK_PARAMETER_BYTES": NONE,
        "BLOCK_ROWS": 16,
        "BLOCK_COLUMNS": 16,
        "NARROW_MAX": NONE,
    },
    "small blocks with BLAS": {
        "BLOCK_PARAMETER_BYTES": NONE,
        "BLOCK_ROWS": 16,
        "BLOCK_COLUMNS": 16,
        "products": "blas",
    },
    "blocks of small chunks": {
        "BLOCK_PARAMETER_BYTES": NONE,
        "NARROW_CHUNK_ROWS": 17,
        "MAX_CHUNK_ROWS": 19,
    },
    "one lane": {"BLOCK_ROWS_MAX": NONE, "MAX_LANES": 1},
    "eight lanes": {"BLOCK_ROWS_MAX": NONE, "MIN_LANE_ROWS": 1},
    "small chunks": {"BLOCK_ROWS_MAX": NONE, "NARROW_CHUNK_ROWS": 16, "MAX_CHUNK_ROWS": 16},
    "small chunks with panels": {
        "BLOCK_ROWS_MAX": NONE,
        "NARROW_CHUNK_ROWS": 16,
        "MAX_CHUNK_ROWS": 16,
        "NARROW_MAX": NONE,
    },
    "small chunks with BLAS": {
        "BLOCK_ROWS_MAX": NONE,
        "MAX_CHUNK_ROWS": 16,
        "products": "blas",
    },
    "small updates": {"BLOCK_ROWS_MAX": NONE, "UPDATE_ROWS": 16, "UPDATE_COLUMNS": 16},
    "rows copied": {"SHORT_ROW": WIDE},
    "rows left where they are": {"SHORT_ROW": NONE},
}
NETWORKS = [(20, 33, 17, 4), (300, 129, 40, 3), (31, 260, 272, 1), (1, 16, 2)]
N_ROWS, BATCH_SIZE = 211, 150


def force(monkeypatch, choice):
    for name, value in CHOICES[choice].items():
        if name == "products":
            monkeypatch.setenv("FASTMLP_PRODUCTS", value)
        else:
            monkeypatch.setattr(_plan, name, value)


def results(sizes, dtype, optimizer, engine="native", shuffle=True):
    """Weights, states, records, an evaluation and a prediction of a short training."""
    x, y = make_classes(N_ROWS, sizes[0], max(2, sizes[-1]), seed=1)
    y = y[:, : sizes[-1]]
    network = Network(sizes, activation="tanh", dtype=dtype, initializer="glorot", random_state=0)
    trainer = Trainer(
        network,
        engine=engine,
        optimizer=optimizer,
        learning_rate=0.002,
        l1=1e-3,
        l2=1e-2,
        batch_size=BATCH_SIZE,
        shuffle=shuffle,
        random_state=1,
        n_threads=2,
    )
    history = trainer.fit(x, y, n_epochs=3)
    measured = trainer.evaluate(x, y)
    return [
        network.parameters,
        *trainer.states,
        history["costs"],
        history["errors"],
        np.array([measured.loss, measured.error, measured.accuracy]),
        network.predict(x),
    ]


@cache
def reference_results(sizes, dtype, optimizer, shuffle=True):
    return results(sizes, dtype, optimizer, "numpy", shuffle)


@pytest.mark.parametrize("sizes", NETWORKS, ids=str)
@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_agrees_with_the_reference(choice, sizes, monkeypatch):
    force(monkeypatch, choice)
    cases = [
        ("float64", Adam(), True),
        ("float64", SGD(0.9), False),
        ("float64", RMSprop(momentum=0.5), False),
        ("float32", SGD(0.9), True),
    ]
    for dtype, optimizer, shuffle in cases:
        found = results(sizes, dtype, optimizer, shuffle=shuffle)
        expected = reference_results(sizes, dtype, optimizer, shuffle)
        for i, pair in enumerate(zip(found, expected, strict=True)):
            assert relative_difference(*pair) <= TOLERANCE[dtype], (dtype, optimizer, i)


@pytest.mark.parametrize("blocks", [False, True])
def test_lanes_and_blocks_can_be_forced_on_the_plan(blocks, monkeypatch):
    real, plans = _plan.plan_batch, []

    def forced(*args, **options):
        plans.append(real(*args, **options | {"blocks": blocks}))
        return plans[-1]

    monkeypatch.setattr(_plan, "plan_batch", forced)
    for sizes in NETWORKS:
        found = results(sizes, "float64", Adam())
        for pair in zip(found, reference_results(sizes, "float64", Adam()), strict=True):
            assert relative_difference(*pair) <= TOLERANCE["float64"]
    assert len(plans) >= len(NETWORKS)  # the engine asked here
    assert {plan.blocks for plan in plans} == {blocks}


def test_choices_above_are_different_plans(monkeypatch):
    """Otherwise the test of every choice would test the same one again and again."""
    sizes = (300, 129, 40, 3)

    def plan():
        return (
            resolve_products(),
            _plan.plan_batch(BATCH_SIZE, sizes, 8),
            _plan.narrow_layers(sizes, 8),
            tuple(
                _plan.weight_blocks(
                    _plan.plan_network(sizes, 8), _plan.plan_batch(BATCH_SIZE, sizes, 8).blocks
                )
            ),
            *(_plan.gathers_inputs(n, True, True) for n in (20, 300)),
        )

    plans = set()
    for choice in CHOICES:
        with monkeypatch.context() as context:
            force(context, choice)
            plans.add(plan())
    assert len(plans) == len(CHOICES)
