"""Mini-batches: planes of weight space, halves, statistics, and what is drawn of them."""

from __future__ import annotations

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored, tiny_config

from fastmlp import reference
from fastmlp.engine.rows import Rows
from fastmlp.network.network import Network
from fastmlp.studies.lab import landscape
from fastmlp.studies.lab.data import load_raw, load_scaled
from fastmlp.studies.mini_batches import figures, study
from fastmlp.training.trainer import Trainer


@pytest.fixture
def result():
    return stored("mini-batches")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_main_directions_are_those_of_the_singular_value_decomposition():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(12, 40)) * np.geomspace(1, 0.01, 40)
    directions, explained = landscape.main_directions(steps)
    centered = steps - steps.mean(axis=0)
    _, sizes, expected = np.linalg.svd(centered, full_matrices=False)
    np.testing.assert_allclose(np.abs((directions * expected[:2]).sum(axis=1)), 1, rtol=1e-9)
    np.testing.assert_allclose(explained, (sizes[:2] ** 2).sum() / (sizes**2).sum())


def test_costs_in_a_plane_are_those_of_the_moved_weights_which_come_back():
    rng = np.random.default_rng(0)
    rows = Rows(rng.normal(size=(6, 3)), np.eye(2)[rng.integers(2, size=6)])
    trainer = Trainer(Network((3, 4, 2), dtype="float64", random_state=0), l2=0.1, n_threads=1)
    parameters = trainer.network.parameters
    end = parameters.copy()
    directions = rng.normal(size=(2, len(end)))
    costs = landscape.costs_in_plane(trainer, rows, end, directions, [0.0, 0.5], [0.0, 1.0])
    np.testing.assert_array_equal(parameters, end)
    np.testing.assert_allclose(costs[0, 0], trainer.objective.evaluate(rows).loss / 6)
    parameters[...] = end + 0.5 * directions[0] + directions[1]
    np.testing.assert_allclose(costs[1, 1], trainer.objective.evaluate(rows).loss / 6)


@pytest.mark.parametrize("pixels", [2, -1])
def test_images_are_moved_with_black_behind_them(pixels):
    images = np.arange(1, 33, dtype=np.uint8).reshape(2, 16)
    moved = study._moved(images, pixels).reshape(2, 4, 4)
    expected = np.zeros_like(moved)
    square = images.reshape(2, 4, 4)
    if pixels > 0:
        expected[:, :, pixels:] = square[:, :, :-pixels]
    else:
        expected[:, :, :pixels] = square[:, :, -pixels:]
    np.testing.assert_array_equal(moved, expected)


def test_halves_share_all_rows_and_strokes_are_told_by_their_ink():
    config = tiny_config("mini-batches")
    raw = load_raw("digits", 200)
    for split in study.SPLITS:
        whole, (first, second) = study._halves(config, raw, split)
        assert len(first.x) == len(second.x) == 100
        both = np.sort(np.vstack([first.x, second.x]).sum(axis=1))
        np.testing.assert_allclose(both, np.sort(whole.X_train.sum(axis=1)), rtol=1e-4)
        if split == "strokes":
            assert first.x.mean(axis=1).max() <= second.x.mean(axis=1).min() + 1e-6


def test_a_batch_of_all_rows_points_where_all_rows_do():
    data = load_scaled("digits", "global", n_train=60)
    config = tiny_config("mini-batches")
    network = study._trainer(config, data).network
    found = study._moments(config, network, data, [10, 60], np.random.default_rng(0))
    np.testing.assert_allclose(found["cosine"][1], 1, atol=1e-3)
    assert found["deviation"][1] < 1e-3 < found["deviation"][0]
    assert found["cosine"][0][0] <= found["cosine"][0][1] <= found["cosine"][0][2] < 1


def test_directions_of_batches_are_those_of_their_loss_alone():
    """Where outputs are nearly right, the penalty would outweigh ten rows."""
    data = load_scaled("digits", "global", n_train=60)
    config = replace(tiny_config("mini-batches"), n_batches=1)
    network = study._trainer(config, data).network
    noise = np.random.default_rng(1).normal(0, 1e-3, data.Y_train.shape)
    targets = network.predict(data.X_train, n_threads=1) + noise
    data = replace(data, Y_train=targets.astype(np.float32))
    found = study._moments(config, network, data, [10], np.random.default_rng(0))
    chosen = np.random.default_rng(0).choice(60, 10, replace=False)
    batch, whole = (_gradient(network, data, rows) for rows in (chosen, np.arange(60)))
    cosine = batch @ whole / np.linalg.norm(batch) / np.linalg.norm(whole)
    np.testing.assert_allclose(found["cosine"][0], cosine, atol=0.01)


def _gradient(network, data, rows):
    """Of the reference in double precision, all layers in one vector."""
    weights = [w.astype(float) for w in network.weights]
    inputs = reference.input_layer(data.X_train.astype(float), rows)
    zs, activations = reference.forward(weights, inputs, network.functions)
    delta = activations[-1] - data.Y_train[rows].T
    gradients = reference.backward(weights, zs, activations, delta, network.functions)
    return np.concatenate([gradient.ravel() for gradient in gradients])


def test_both_ends_share_their_first_epochs(result):
    begin = result["config"]["batch_epochs"]
    courses = {tuple(item["train_cost"][:begin]) for item in result["ends"]}
    assert len(courses) == 1
    last = {item["train_cost"][-1] for item in result["ends"]}
    assert len(last) == len(result["ends"]) == 3


def test_sketch_has_the_minimum_of_the_sum_between_those_of_the_batches(result):
    height, flat = figures.draw_sketch(result).axes
    assert height.name == "3d" and len(height.collections) == 3
    drawn = lines(flat)
    low, high = result["config"]["sketch_centres"]
    np.testing.assert_allclose(drawn["minimum, first batch"].ravel(), [low, low / 2], atol=0.06)
    np.testing.assert_allclose(drawn["minimum, second batch"].ravel(), [high, high / 2], atol=0.06)
    np.testing.assert_allclose(drawn["minimum, sum"].ravel(), [0, 0], atol=1e-9)


def test_path_of_the_descent_is_drawn_over_the_contours(result):
    part = result["landscape"]
    height, _, flat = figures.draw_landscape(result).axes
    drawn = lines(flat)
    x, y, z = height.get_lines()[0].get_data_3d()
    np.testing.assert_allclose(np.transpose([x, y]), part["path"])
    j, i = np.searchsorted(part["x"], x[-1]), np.searchsorted(part["y"], y[-1])
    corners = np.array(part["full"])[i - 1 : i + 1, j - 1 : j + 1]
    assert corners.min() <= z[-1] <= corners.max()
    np.testing.assert_allclose(drawn["descent, step by step"].T, part["path"])
    assert part["path"][-1] == [0, 0]
    x, y = drawn["lowest, batch 1"].ravel()
    i, j = np.unravel_index(np.argmin(part["first"]), np.shape(part["first"]))
    np.testing.assert_allclose([x, y], [part["x"][j], part["y"][i]])


def test_statistics_are_drawn_over_the_size(result):
    part = result["statistics"]
    left, middle, right = figures.draw_statistics(result).axes
    later = part["moments"]["later"]
    cosines = [values[1] for values in later["cosine"]]
    np.testing.assert_allclose(lines(left)["trained"], [part["sizes"], cosines])
    relative = 100 * np.array(later["deviation"]) / later["cost"]
    np.testing.assert_allclose(lines(middle)["trained"][1], relative)
    (share,) = right.get_lines()
    np.testing.assert_allclose(share.get_ydata(), 100 * np.array(part["digit_share"])[:, 1])


def test_halves_are_drawn_with_distances_and_accuracies(result):
    left, right = figures.draw_halves(result).axes
    for item in result["halves"]:
        label = figures.HALF_NAMES[item["split"]]
        np.testing.assert_allclose(lines(left)[label][1], item["distance"])
    own = [item["accuracy"][0][0] for item in result["halves"]]
    np.testing.assert_allclose(lines(right)["own half"][1], own)


def test_ends_are_drawn_by_epoch(result):
    cost, accuracy = figures.draw_full_cost(result).axes
    for item in result["ends"]:
        rate = item["rate"]
        label = "mini-batches" if rate is None else f"full cost, rate × {rate:g}"
        np.testing.assert_allclose(lines(cost)[label][1], item["train_cost"])
        np.testing.assert_allclose(lines(accuracy)[label][1], item["test_accuracy"])


def test_tables_tell_every_part(result):
    sizes, halves, ends = study.tables(result)
    assert [row[0] for row in sizes.rows] == ["10", "50"]
    assert [row[0] for row in halves.rows] == list(study.SPLITS.values())
    assert [row[0] for row in ends.rows] == ["mini-batches", "full, rate × 1", "full, rate × 4"]
    assert ends.rows[0][2] == f"{result['ends'][0]['test_accuracy'][-1]:.4f}"
