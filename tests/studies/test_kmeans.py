"""KMeans as a classifier: names of clusters, and figures of what was measured."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored

from fastmlp.studies import kmeans
from fastmlp.studies.lab.packed import unpack


@pytest.fixture
def result():
    return stored("kmeans")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_classes_are_counted_per_cluster():
    counts = kmeans.count_classes(np.array([0, 0, 2, 0]), np.array([1, 1, 0, 2]), 3, 3)
    assert counts.tolist() == [[0, 2, 1], [0, 0, 0], [1, 0, 0]]


def test_clear_clusters_are_found_and_test_rows_belong_to_them():
    rng = np.random.default_rng(0)
    middles = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    y = rng.integers(0, 3, 300)
    X = middles[y] + rng.normal(0, 0.1, (300, 2))
    near, test = kmeans.nearest(X[:200], X[200:], 3, 0)
    for k in range(3):
        (cluster,) = set(near[y[:200] == k])
        assert set(test[y[200:] == k]) == {cluster}


def test_accuracy_is_drawn_over_the_number_of_clusters(result):
    (axis,) = kmeans._draw_accuracy(result).axes
    for scale, label in (("unit", "divided by white"), ("feature", "StandardScaler")):
        expected = [
            np.mean([r["test_accuracy"] for r in result["runs"]
                     if (r["scale"], r["clusters"]) == (scale, n)])
            for n in (5, 20)
        ]  # fmt: skip
        np.testing.assert_allclose(lines(axis)[label], [[5, 20], expected])


def test_centers_are_drawn_by_their_names(result):
    figure = kmeans._draw_centers(result)
    centers = result["centers"]
    titles = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(titles) == sorted(
        f"{n} ({p:.0%})" for n, p in zip(centers["names"], centers["purity"], strict=True)
    )
    assert [int(title[0]) for title in titles] == sorted(centers["names"])
    i = centers["names"].index(int(titles[0][0]))
    assert unpack(centers["pixels"])[i].shape == (64,)


def test_tables_have_every_scaling_and_digit(result):
    accuracy, digits = kmeans.tables(result)
    assert accuracy.columns[1:3] == ("divided by white", "StandardScaler")
    assert len(digits.rows) == 10
    called = np.mean([r["clusters_of"][3] for r in result["runs"]
                      if (r["scale"], r["clusters"]) == ("unit", 20)])  # fmt: skip
    assert digits.rows[3][3] == f"{called:.1f}"
