"""Clusters before the network: inputs, and figures of what was measured."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored

from fastmlp.studies import clusters
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.figures import finding_of


@pytest.fixture
def result():
    return stored("clusters")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    return load_scaled("digits", "global", n_train=200)


def test_distances_and_nearest_centres_are_of_the_same_clusters(digits):
    distances, inertia = clusters.add_clusters(digits, "distances", 5, seed=0)
    nearest, same = clusters.add_clusters(digits, "nearest", 5, seed=0)
    assert distances.X_train.shape == nearest.X_train.shape == (200, 5)
    assert distances.X_test.dtype == np.float32 and distances.X_test.shape == (500, 5)
    assert inertia == same > 0
    np.testing.assert_allclose(distances.X_train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(distances.X_train.std(axis=0), 1, atol=1e-5)
    for column in nearest.X_train.T:
        assert len(np.unique(column)) == 2  # in the cluster or not
    assert (nearest.X_train > 0).sum() == 200  # every row is in one


def test_pixels_stand_beside_the_clusters(digits):
    found, _ = clusters.add_clusters(digits, "nearest+pixels", 5, seed=0)
    np.testing.assert_array_equal(found.X_test[:, 5:], digits.X_test)
    assert found.X_train.flags.c_contiguous
    plain, inertia = clusters.add_clusters(digits, "pixels", 0, seed=0)
    assert plain is digits and inertia is None


def test_accuracy_and_time_are_drawn_over_the_number_of_clusters(result):
    left, right = clusters._draw_accuracy(result).axes
    for coding in ("distances", "nearest+pixels"):
        runs = [
            [r for r in result["runs"] if (r["coding"], r["clusters"]) == (coding, n)]
            for n in (5, 10)
        ]
        label = coding.replace("+", " + ")
        expected = [np.mean([r["test_accuracy"][-1] for r in part]) for part in runs]
        np.testing.assert_allclose(lines(left)[label], [[5, 10], expected])
        expected = [np.mean([r["cluster_seconds"] + r["train_seconds"] for r in p]) for p in runs]
        np.testing.assert_allclose(lines(right)[label][1], expected)
    plain = [r["test_accuracy"][-1] for r in result["runs"] if r["coding"] == "pixels"]
    np.testing.assert_allclose(lines(left)["pixels alone"][1], np.mean(plain))


def test_course_of_the_most_clusters_is_drawn_beside_the_plain_one(result):
    (axes,) = clusters._draw_course(result).axes
    for label, coding, n in (("distances", "distances", 10), ("pixels alone", "pixels", 0)):
        runs = clusters.runs_of(result, coding, n)
        expected = np.mean([run["test_accuracy"] for run in runs], axis=0)
        np.testing.assert_allclose(lines(axes)[label][1], expected)


def test_course_names_the_epochs_that_every_input_needs(result):
    epochs = result["runs"][0]["epochs"]
    for run in result["runs"]:
        begin = {"pixels": 2, "distances": len(epochs)}.get(run["coding"], 1 + run["seed"])
        run["test_accuracy"] = [0.1] * begin + [0.9] * (len(epochs) - begin)
    mean = (epochs[1] + epochs[2]) / 2
    assert finding_of(clusters._draw_course(result)) == (
        f"Epochs until 0.895 of the test images are right: pixels alone {epochs[2]}, distances "
        f"never, nearest + pixels {mean:.0f}"
    )


def test_one_seed_gives_no_verdict(result):
    result["config"]["seeds"] = [0]
    result["runs"] = [run for run in result["runs"] if run["seed"] == 0]
    title = finding_of(clusters._draw_accuracy(result))
    assert title.replace("\n", " ").endswith(", one seed, no verdict")


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (0.3, "+30.00 percentage points, seeds differ by 0.10"),
        (0.0005, "+0.05 percentage points, seeds differ by 0.10"),
        (-0.3, "-30.00 percentage points, seeds differ by 0.10"),
    ],
)
def test_finding_sets_the_gain_beside_the_spread_of_the_seeds(gain, words, result):
    for run in result["runs"]:
        base = 0.6 if run["coding"] == "pixels" else 0.6 + gain
        run["test_accuracy"] = [base + 0.001 * run["seed"]] * len(run["epochs"])
    title = finding_of(clusters._draw_accuracy(result))
    assert title.startswith("Best of 4 ways with clusters") and title.endswith(words)


def test_epochs_to_reach_an_accuracy():
    run = {"epochs": [1, 4, 9], "test_accuracy": [0.5, 0.9, 0.85]}
    assert clusters.epochs_to_reach(run, 0.8) == 4
    assert clusters.epochs_to_reach(run, 0.95) is None
