"""Landscapes: permuted networks are the same functions, and matching finds them again."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored

from fastmlp import Network
from fastmlp.studies.landscapes import figures, matching, study


@pytest.fixture
def result():
    return stored("landscapes")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make(seed=0):
    return Network((7, 6, 5, 4, 3), activation="relu", output="softmax", random_state=seed)


def shuffled(network, seed=1):
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n) for n in network.sizes[1:-1]]
    return orders, matching.permute(network.weights, orders)


def distance(a, b):
    return sum(float(((x - y) ** 2).sum()) for x, y in zip(a, b, strict=True))


def test_permuted_nodes_change_no_output():
    network, X = make(), np.random.default_rng(0).normal(size=(20, 7))
    before = network.predict(X)
    orders, weights = shuffled(network)
    hidden = network.transform(X, layer=2)
    network.set_weights(weights)
    np.testing.assert_allclose(network.predict(X), before, rtol=1e-5)
    np.testing.assert_allclose(network.transform(X, layer=2), hidden[:, orders[1]], rtol=1e-5)


def test_matching_finds_a_permutation_again():
    network = make()
    target = [w.copy() for w in network.weights]
    _, weights = shuffled(network)
    found = matching.match(weights, target, np.random.default_rng(0))
    for a, b in zip(matching.permute(weights, found), target, strict=True):
        np.testing.assert_array_equal(a, b)


def test_matching_brings_other_networks_nearer():
    a, b = make(0).weights, make(1).weights
    orders = matching.match(b, a, np.random.default_rng(0))
    near = distance(matching.permute(b, orders), a)
    assert near < distance(b, a)
    rng = np.random.default_rng(0)
    for _ in range(30):  # a local minimum: no exchange of two nodes is nearer
        other = [order.copy() for order in orders]
        layer = rng.integers(3)
        i, j = rng.choice(len(other[layer]), 2, replace=False)
        other[layer][[i, j]] = other[layer][[j, i]]
        assert distance(matching.permute(b, other), a) >= near - 1e-5


def test_directions_are_as_long_as_the_weights_of_every_node():
    network = make()
    parts = network.views(matching.normalized_direction(network.weights, np.random.default_rng(0)))
    for w, d in zip(network.weights, parts, strict=True):
        np.testing.assert_allclose(
            np.linalg.norm(d[:, 1:], axis=1), np.linalg.norm(w[:, 1:], axis=1), rtol=1e-5
        )
        assert not d[:, 0].any()


def test_barrier_is_the_rise_over_the_straight_line():
    assert matching.barrier(np.array([1.0, 5.0, 3.0])) == 3.0
    assert matching.barrier(np.array([2.0, 1.0, 2.0])) == 0.0


def test_ends_of_a_line_are_the_networks_whatever_the_order_of_nodes(result):
    for pair in result["pairs"]:
        for when in ("before", "after"):
            accuracy = pair[when]["test_accuracy"]
            np.testing.assert_allclose(
                [accuracy[0], accuracy[-1]], pair["test_accuracy"], atol=1e-3
            )


def test_lines_of_cost_and_accuracy_are_drawn(result):
    left, right = figures.draw_lines(result).axes
    for axis, name in ((left, "test_cost"), (right, "test_accuracy")):
        for when, label in (("before", "as trained"), ("after", "matched")):
            runs = [pair[when][name] for pair in result["pairs"] if pair["width"] == 12]
            drawn = lines(axis)[f"12 nodes, {label}"]
            np.testing.assert_allclose(drawn, [np.linspace(0, 1, 5), np.mean(runs, axis=0)])


def test_barriers_are_drawn_by_width(result):
    (axis,) = figures.draw_barriers(result).axes
    for when, label in (("before", "as trained"), ("after", "nodes matched")):
        expected = [
            np.mean([matching.barrier(np.array(p[when]["test_cost"])) for p in result["pairs"]
                     if p["width"] == width])
            for width in (6, 12)
        ]  # fmt: skip
        np.testing.assert_allclose(lines(axis)[label], [[6, 12], expected])


def test_planes_have_the_end_in_the_middle_and_one_scale(result):
    figure = figures.draw_planes(result)
    titles = [axis.get_title(loc="left") for axis in figure.axes[:2]]
    accuracies = [plane["test_accuracy"] for plane in result["planes"]]
    assert titles == [f"sigmoid, 8: {accuracies[0]:.3f}", f"relu, 4 × 6: {accuracies[1]:.3f}"]
    np.testing.assert_allclose(figures._levels(0.3, 12), [0.2, 0.5, 1, 2, 5, 10, 20])


def test_cost_around_the_middle_is_averaged_on_circles():
    costs = np.full((5, 5), 9.0)
    costs[2, 2] = 1.0
    costs[[1, 3, 2, 2], [2, 2, 1, 3]] = 4.0
    middle, half, rim = study._around(costs)
    assert middle == 1 and 4 <= half < 6.6 and rim == 9
