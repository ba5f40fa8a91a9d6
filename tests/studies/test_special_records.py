"""Special records: what counts as hard, what is removed, and what the figures show."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, mean, select, stored, tiny_config

from fastmlp import Network, Trainer
from fastmlp.studies import special_records
from fastmlp.studies.lab.data import load_scaled
from fastmlp.studies.lab.packed import unpack
from fastmlp.studies.lab.training import recipe_settings


@pytest.fixture
def result():
    return stored("special-records")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_forgotten_images_are_those_that_were_right_before():
    config = tiny_config("special-records")
    data = load_scaled("digits", "global", config.n_train)
    found = special_records._watch(data, config, 3, lambda: None)
    network = Network((64, 8, 10), random_state=3)
    trainer = Trainer(network, n_threads=1, random_state=3, **recipe_settings("digits"))
    right = []

    def look(trainer):
        said = network.predict(data.X_train).argmax(axis=1)
        right.append(said == data.Y_train.argmax(axis=1))

    trainer.fit(data.X_train, data.Y_train, n_epochs=config.n_epochs, callbacks=[look])
    forgotten = [sum(a and not b for a, b in pairwise(i)) for i in zip(*right, strict=True)]
    np.testing.assert_array_equal(np.rint(unpack(found["forgotten"])), forgotten)
    np.testing.assert_array_equal(np.rint(unpack(found["wrong"])), (~np.array(right)).sum(axis=0))
    np.testing.assert_array_equal(
        np.rint(unpack(found["said"])), network.predict(data.X_train).argmax(axis=1)
    )


def test_hardest_is_what_is_wrong_longest_and_among_equals_what_is_forgotten():
    wrong = np.array([[3, 0, 2, 2], [1, 0, 2, 2]])
    forgotten = np.array([[0, 0, 1, 2], [0, 0, 0, 0]])
    assert special_records.rank(forgotten, wrong).tolist() == [3, 2, 0, 1]


def test_every_share_of_the_order_has_the_same_share_of_every_class():
    rng = np.random.default_rng(0)
    codes = np.sort(rng.integers(0, 3, 300))
    order = special_records.by_class(np.argsort(codes, kind="stable"), codes)
    assert sorted(order) == list(range(300))
    counts = np.bincount(codes)
    for n in (30, 150):
        np.testing.assert_allclose(np.bincount(codes[order[:n]]), counts * n / 300, atol=1)
    ranks = np.arange(300)[::-1]
    within = [i for i in special_records.by_class(ranks, codes) if codes[i] == 1]
    assert within == sorted(within, reverse=True)  # the order in a class stays


def test_removed_are_the_first_the_last_or_as_many_random_rows():
    order = np.array([4, 2, 0, 1, 3])
    assert special_records.kept_rows(order, "hardest", 0.4).tolist() == [0, 1, 3]
    assert special_records.kept_rows(order, "easiest", 0.4).tolist() == [0, 2, 4]
    assert len(special_records.kept_rows(order, "random", 0.4)) == 3
    assert special_records.kept_rows(order, "random", 0.0).tolist() == [0, 1, 2, 3, 4]


def test_seeds_share_the_hardest_images_that_they_share():
    wrong = np.zeros((2, 200), int)
    wrong[0, [3, 5]] = wrong[1, [5, 7]] = 9
    assert special_records._in_common(wrong) == 0.5
    assert special_records._in_common(wrong[:1]) is None


def test_accuracy_is_drawn_over_what_was_removed(result):
    (axis,) = special_records._draw_removed(result).axes
    drawn = lines(axis)
    for which, label in (("hardest", "without hardest"), ("random", "without random ones")):
        expected = [
            np.mean(mean(select(result, which=which, removed=share), "test_accuracy"))
            for share in (0.05, 0.3)
        ]
        np.testing.assert_allclose(drawn[label], [[5, 30], expected])
    full = np.mean(mean(select(result, removed=0.0), "test_accuracy"))
    np.testing.assert_allclose(drawn["with all images"][1], full)


def test_tables_have_the_share_and_number_of_removed_images(result):
    removed, images = special_records.tables(result)
    assert [row[0] for row in removed.rows] == ["none", "5.0% (10)", "30.0% (60)"]
    assert images.rows[0][1] == f"{result['never_forgotten']:.1%}"


def test_hardest_images_say_what_the_networks_take_them_for(result):
    figure = special_records._draw_images(result)
    images = result["images"]
    said = zip(images["labels"], images["said"], strict=True)
    wanted = [f"{a}, said {b}" if a != b else str(a) for a, b in said]
    assert [text.get_text() for text in figure.axes[0].texts] == wanted
