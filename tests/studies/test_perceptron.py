"""The single neuron: its surface, its descent, and what the figures show of them."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored

from fastmlp.studies import perceptron
from fastmlp.studies.lab.figures import finding_of
from fastmlp.studies.lab.session import Session


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_perceptron_gradient_is_that_of_its_cost():
    samples = perceptron.scaled_samples("feature")
    weights = np.array([[0.3, -0.7], [1.5, 0.2]])
    step = 1e-6 * np.eye(2)
    numeric = [
        (perceptron.cost(weights + h, samples) - perceptron.cost(weights - h, samples)) / 2e-6
        for h in step
    ]
    np.testing.assert_allclose(
        perceptron.gradient(weights, samples), np.transpose(numeric), rtol=1e-6
    )


@pytest.mark.parametrize("way", ["none", "feature", "normalized_features", "normalized_samples"])
def test_perceptron_knows_the_lowest_point_of_its_surface(way):
    samples = perceptron.scaled_samples(way)
    lowest, weights = perceptron.lowest_cost(samples)
    assert perceptron.cost(weights, samples) == pytest.approx(lowest)
    around = weights * np.random.default_rng(0).normal(1, 0.05, (500, 2))
    assert (perceptron.cost(around, samples) >= lowest - 1e-9).all()


def test_perceptron_draws_surface_minimum_and_paths():
    result = stored("perceptron")
    figures = perceptron.draw(result)
    ways = perceptron.ways_of(result)
    for axes, name in zip(figures["paths"].axes, ("none", "feature"), strict=False):
        drawn = [line.get_data() for line in axes.get_lines()]
        for i, path in enumerate(np.array(ways[name]["paths"])):
            np.testing.assert_allclose(drawn[2 * i], path.T)
        np.testing.assert_allclose(np.ravel(drawn[-1]), ways[name]["best_weights"])
    assert [axes.name for axes in figures["surface"].axes[:2]] == ["3d", "3d"]
    for way in result["ways"]:
        way["arrived"] = [0.25 if way["way"] == "none" else 1.0] * 3
    title = finding_of(perceptron.draw(result)["paths"])
    assert title.endswith("on raw inputs 25% of the starts reach the minimum, on scaled ones all")
    result["ways"][-1]["arrived"] = [0.5] * 3
    title = finding_of(perceptron.draw(result)["paths"])
    assert title.endswith(", on scaled ones at least 50%")


def test_perceptron_draws_samples_on_the_sigmoid():
    result = stored("perceptron")
    plane, _, axes = perceptron.draw(result)["saturation"].axes
    drawn = {tuple(point) for line in plane.get_lines() for point in np.transpose(line.get_data())}
    assert drawn == set(zip(perceptron.K1, perceptron.K2, strict=True))
    way = perceptron.ways_of(result)["feature"]
    starts = np.array(way["paths"])[:, 0]
    z = (starts @ np.array(way["samples"]).T)[:, ::2].ravel()  # every other target is 0.3
    drawn = lines(axes)["samples with target 0.3"]
    np.testing.assert_allclose(np.sort(drawn[0]), np.sort(z))
    np.testing.assert_allclose(drawn[1], 1 / (1 + np.exp(-drawn[0])))


def test_perceptron_draws_arrivals_by_rate_and_costs_by_step():
    result = stored("perceptron")
    rates, costs = perceptron.draw(result)["descent"].axes
    way = result["ways"][2]
    np.testing.assert_allclose(
        rates.get_lines()[2].get_data(),
        [result["config"]["rates"], 100 * np.array(way["arrived"])],
    )
    np.testing.assert_allclose(
        costs.get_lines()[2].get_data(),
        [np.array(way["steps"]) + 1, np.median(way["path_costs"], axis=0)],
    )


def test_perceptron_learns_from_scaled_inputs_and_not_from_raw_ones():
    config = perceptron.Config(n_starts=10, n_steps=300, rates=(1e-5, 1.0))
    result = perceptron.run(config, Session("perceptron"))
    arrived = {way["way"]: way["arrived"] for way in result["ways"]}
    assert max(arrived["none"]) == 0
    assert arrived["feature"][1] == arrived["normalized_samples"][1] == 1
    assert arrived["small weights"][0] == 1
