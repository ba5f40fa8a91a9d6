"""Autoencoders: codes and decoded images fit together, and the figures show them."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import stored

from fastmlp.studies.autoencoder import coding, figures, study
from fastmlp.studies.lab.packed import unpack


@pytest.fixture
def result():
    return stored("autoencoder")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((50, 16)).astype(np.float32)


def train(images, noise=0.0, n_epochs=30):
    ticks = []
    network = coding.make_network(16, (12,), 2, seed=0)
    coding.train(
        network, images, n_epochs=n_epochs, batch_size=10, learning_rate=0.01, seed=0,
        noise=noise, tick=ticks.append,
    )  # fmt: skip
    assert len(ticks) == n_epochs
    return network


def test_decoded_codes_are_the_predictions(images):
    network = coding.make_network(16, (12, 5), 3, seed=0)
    assert network.sizes == (16, 12, 5, 3, 5, 12, 16)
    assert network.activations == ("relu", "relu", "identity", "relu", "relu")
    codes = network.transform(images, layer=3)
    np.testing.assert_allclose(coding.decode(network, codes), network.predict(images), rtol=1e-5)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_training_brings_the_images_back(images, noise):
    before = coding.make_network(16, (12,), 2, seed=0).predict(images)
    after = train(images, noise).predict(images)
    assert coding.squared_errors(images, after).mean() < 0.9 * (
        coding.squared_errors(images, before).mean()
    )


def test_noise_is_drawn_anew_and_cut():
    images = np.full((200, 64), 0.5, np.float32)
    rng = np.random.default_rng(0)
    first, second = (coding.add_noise(images, 0.1, rng) for _ in range(2))
    assert first.std() == pytest.approx(0.1, rel=0.05) and (first != second).any()
    wild = coding.add_noise(images, 5.0, rng)
    assert wild.min() == 0 and wild.max() == 1 and (images == 0.5).all()


def test_principal_components_restore_a_plane_exactly():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(60, 2)) @ rng.normal(size=(2, 9)) + 3).astype(np.float32)
    codes, test_codes, restored = coding.principal_components(rows[:40], rows[40:], 2)
    assert (codes.shape, test_codes.shape) == ((40, 2), (20, 2))
    np.testing.assert_allclose(restored, rows[40:], atol=1e-4)


def test_neighbours_and_medians_are_those_of_their_definitions():
    codes = np.r_[np.zeros((20, 2)), np.ones((20, 2))]
    y = np.repeat([3, 5], 20)
    test = np.array([[0.1, 0], [0.9, 1], [0.2, 0]])
    assert coding.neighbor_accuracy(codes, y, test, [3, 5, 5]) == pytest.approx(2 / 3)
    image = np.zeros((1, 25), np.float32)
    image[0, 12] = 1  # a single point is noise
    assert not coding.median_filtered(image, 5).any()


def test_area_is_the_share_of_pairs_in_order():
    errors = np.array([1.0, 2.0, 3.0, 4.0])
    assert study.area_under_curve(errors, np.array([False, True, False, True])) == 0.75


def test_worst_images_are_those_with_the_largest_errors():
    images = np.zeros((20, 4), np.float32)
    errors = np.arange(20.0)
    found = study._worst(images, images, errors, np.arange(20))["worst"]
    assert found["labels"].tolist() == list(range(19, 9, -1))


def test_plane_has_the_ranks_of_the_codes(images):
    network = train(images, n_epochs=2)
    found = study._plane(network, images)
    codes = network.transform(images, layer=2)
    ranks = unpack(found["ranks"])
    np.testing.assert_array_equal(ranks[:, 0].argsort(), codes[:, 0].argsort())
    x = np.quantile(codes[:, 0], [0.5 / 9, 8.5 / 9])
    y = np.quantile(codes[:, 1], [0.5 / 9, 8.5 / 9])
    corners = coding.decode(network, np.array([[x[0], y[1]], [x[1], y[0]]]))
    tiles = unpack(found["tiles"])[[0, -1]]
    np.testing.assert_allclose(tiles, corners, atol=0.5 / 15 + 0.01)


def test_points_and_tiles_are_drawn(result):
    left, right = figures.draw_plane(result).axes
    n = sum(len(collection.get_offsets()) for collection in left.collections)
    assert n == len(result["labels"]) and right.get_images()[0].get_array().shape == (72, 72)


def names_of_rows(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_rows_of_images_have_their_names(result):
    names = ["original", "2, PCA", "2 numbers", "4, PCA", "4 numbers"]
    assert names_of_rows(figures.draw_restored(result)) == names
    outliers = figures.draw_outliers(result)
    assert names_of_rows(outliers) == ["test image", "given back"]
    run = result["runs"][1]
    first = f"{run['worst']['labels'][0]} ({run['worst']['errors'][0] / run['error']:.1f}×)"
    assert outliers.axes[0].texts[0].get_text() == first
    noisy = next(r for r in result["runs"] if r["noisy"])
    found = names_of_rows(figures.draw_noise(result))
    assert found[2:] == [f"network ({noisy['errors']['network']:.3f})", "clean"]


def test_tables_have_the_numbers_of_the_runs(result):
    widths, noise, left_out = study.tables(result)
    assert [row[0] for row in widths.rows] == ["2", "4"]
    assert widths.rows[1][2] == f"{result['linear'][1]['error']:.4f}"
    assert noise.rows[0] == ("noisy", f"{result['runs'][2]['errors']['noisy']:.4f}")
    assert left_out.rows == (("7", f"{result['runs'][3]['area']:.3f}"),)
