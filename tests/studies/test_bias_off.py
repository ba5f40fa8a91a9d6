"""Networks without bias: the step is the Trainer's, and biases that are off stay 0."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored, tiny_config

from fastmlp import Network, Trainer
from fastmlp.studies import bias_off
from fastmlp.studies.lab.data import load_scaled


@pytest.fixture
def result():
    return stored("bias-off")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return load_scaled("digits", "unit", 200)


def one_step(data, off):
    """Weights before and after a step on all rows, with the penalty of the digits' recipe."""
    network = Network((64, 8, 10), random_state=0)
    before = [w.copy() for w in network.weights]
    bias_off._step(network, network.weights, data, np.arange(200), 0.01, 0.1, off)
    return before, network


def test_a_step_with_all_biases_is_that_of_the_trainer(data):
    before, network = one_step(data, ())
    other = Network((64, 8, 10), random_state=0)
    trainer = Trainer(other, learning_rate=0.01, l2=0.1, batch_size=200, schedule="constant")
    trainer.fit(data.X_train, data.Y_train, n_epochs=1)
    np.testing.assert_allclose(network.parameters, other.parameters, rtol=1e-4, atol=1e-5)
    assert all((a[:, 0] != b[:, 0]).any() for a, b in zip(before, network.weights, strict=True))


def test_biases_that_are_off_do_not_move_and_the_rest_does(data):
    before, network = one_step(data, (1,))
    np.testing.assert_array_equal(network.weights[1][:, 0], before[1][:, 0])
    _, other = one_step(data, ())
    np.testing.assert_array_equal(network.weights[0], other.weights[0])
    np.testing.assert_array_equal(network.weights[1][:, 1:], other.weights[1][:, 1:])


def test_training_without_bias_ends_without_bias(data):
    config = replace(tiny_config("bias-off"), n_epochs=2)
    ticks = []
    found = bias_off.train(
        data, config, activation="relu", rate=0.01, off=(0, 1), seed=0, tick=lambda: ticks.append(1)
    )
    assert found["sizes"] == [0, 0] and len(ticks) == len(found["test_accuracy"]) == 2


def test_places_are_none_each_layer_and_all():
    assert bias_off.places(2) == {
        "with bias": (), "none into layer 1": (0,), "none into layer 2": (1,), "no bias": (0, 1),
    }  # fmt: skip


def test_accuracy_is_drawn_by_place_and_course_with_and_without(result):
    (axis,) = bias_off._draw_accuracy(result).axes
    bars = dict(zip(("global", "unit"), axis.containers, strict=True))
    for scale, bar in bars.items():
        expected = [
            np.mean([r["test_accuracy"][-1] for r in result["runs"]
                     if (r["scale"], r["bias"]) == (scale, bias)])
            for bias in bias_off.places(2)
        ]  # fmt: skip
        np.testing.assert_allclose(bar[0].get_ydata(), expected)
    left, _ = bias_off._draw_course(result).axes
    runs = [r["test_accuracy"] for r in result["runs"]
            if (r["scale"], r["bias"]) == ("global", "no bias")]  # fmt: skip
    np.testing.assert_allclose(lines(left)["sigmoid, no bias"][1], np.mean(runs, axis=0))


def test_table_has_the_size_of_the_biases(result):
    _, sizes = bias_off.tables(result)
    found = np.mean([r["sizes"][1] for r in result["runs"]
                     if (r["scale"], r["bias"]) == ("unit", "with bias")])  # fmt: skip
    assert sizes.rows[1] == ("into layer 2", sizes.rows[1][1], f"{found:.3f}")


def test_finding_sets_the_change_beside_the_spread_of_the_seeds(result):
    for run in result["runs"]:
        base = (
            0.9 if run["bias"] == "with bias" else 0.9 + (0.01 if run["scale"] == "unit" else -0.02)
        )
        run["test_accuracy"][-1] = base + 0.001 * run["seed"]
    assert bias_off._finding(result) == (
        "Without any bias the test accuracy changes by -2.00 (sigmoid, inputs mean 0, deviation 1) "
        "to +1.00 percentage points, where seeds differ by up to 0.10"
    )
    result["config"]["seeds"] = [0]
    assert bias_off._finding(result).endswith("percentage points; one seed, no verdict")
