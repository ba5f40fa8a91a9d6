"""Populations: images of the same size, and what is drawn of who knows whom."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored

from fastmlp.studies import populations
from fastmlp.studies.populations import MIXED, Population


@pytest.fixture
def result():
    return stored("populations")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def page(rows, columns):
    """An image of MNIST's size, black in these rows and columns."""
    image = np.zeros((28, 28), np.uint8)
    image[rows, columns] = 255
    return image.reshape(1, 784)


def test_the_digits_box_fills_the_longer_side():
    square = populations.to_small(page(slice(4, 24), slice(4, 24))).reshape(8, 8)
    np.testing.assert_allclose(square, 1, rtol=1e-6)
    tall = populations.to_small(page(slice(4, 20), slice(10, 18))).reshape(8, 8)
    np.testing.assert_allclose(tall[:, 2:6], 1, rtol=1e-6)
    np.testing.assert_allclose(tall[:, [0, 1, 6, 7]], 0, atol=1e-6)


def test_small_pixels_are_means_of_what_they_cover():
    rng = np.random.default_rng(0)
    image = np.zeros((28, 28), np.uint8)
    image[4:20, 6:22] = rng.integers(31, 256, (16, 16))
    small = populations.to_small(image.reshape(1, 784)).reshape(8, 8)
    expected = image[4:20, 6:22].reshape(8, 2, 8, 2).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(small, expected, rtol=1e-5)


def test_shifted_images_lose_their_left_column():
    X = np.arange(128, dtype=np.float32).reshape(2, 64)
    y = np.array([0, 1])
    moved = populations.shift(Population(X, y, X[:1], y[:1])).X_train.reshape(2, 8, 8)
    np.testing.assert_array_equal(moved[:, :, :7], X.reshape(2, 8, 8)[:, :, 1:])
    assert not moved[:, :, 7].any()


def test_the_mixture_has_a_share_of_each_and_no_row_twice():
    y = np.arange(10)
    parts = {
        name: Population(np.full((10, 64), i, np.float32), y, None, None)
        for i, name in enumerate("ab")
    }
    X, labels = populations.training_rows(parts, MIXED)
    assert X[:, 0].tolist() == [0] * 5 + [1] * 5
    assert sorted(labels) == list(range(10))
    assert populations.training_rows(parts, "b")[0] is parts["b"].X_train


def test_digits_are_compared_with_shifted_ones_where_there_is_no_mnist(result):
    assert list(result["n_test"]) == ["digits", "digits, shifted"]
    assert list(result["cosines"]) == ["digits, other order", "digits, shifted"]


def test_matrix_shows_the_means_of_the_seeds(result):
    figure = populations._draw_matrix(result)
    shown = np.array(figure.axes[0].get_images()[0].get_array())
    expected = [
        [
            np.mean([r["accuracy"][test] for r in result["runs"]
                     if (r["train"], r["order"]) == (train, 0)])
            for test in result["n_test"]
        ]
        for train in (*result["n_test"], MIXED)
    ]  # fmt: skip
    np.testing.assert_allclose(shown, expected)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [f"{value:.3f}" for value in np.ravel(expected)]


def test_course_goes_from_one_population_to_the_other(result):
    (axis,) = populations._draw_turns(result).axes
    for name in result["n_test"]:
        course = np.mean([turn["course"][name] for turn in result["turns"]], axis=0)
        assert len(course) == 12
        np.testing.assert_allclose(lines(axis)[f"test: {name}"], [np.arange(1, 13), course])


def test_cosine_of_ways():
    runs = [
        {"train": "a", "seed": 0, "order": 0, "moved": [[1.0, 0.0], [1.0, 1.0]]},
        {"train": "a", "seed": 0, "order": 1, "moved": [[2.0, 0.0], [1.0, -1.0]]},
        {"train": "b", "seed": 0, "order": 0, "moved": [[-1.0, 0.0], [0.0, 1.0]]},
    ]
    found = populations._cosines(runs, ["a", "b"])
    assert found == {"a, other order": [[1.0, 0.0]], "b": [[-1.0, 0.70711]]}
