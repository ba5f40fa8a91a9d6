"""Many seeds: what networks say together, against small examples and what is drawn."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored

from fastmlp.studies import seeds
from fastmlp.studies.lab import packed


@pytest.fixture
def result():
    return stored("seeds")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_three_networks_on_two_rows():
    outputs = np.array(
        [
            [[0.9, 0.1], [0.6, 0.4]],
            [[0.8, 0.2], [0.55, 0.45]],
            [[0.7, 0.3], [0.0, 1.0]],
        ]
    )
    found = seeds.compare_predictions(outputs, np.array([0, 1]))
    # Two of three say 0 about the second row, the third is so sure that the average says 1.
    assert found["ensembles"]["sizes"] == [1, 2, 3]
    assert found["ensembles"]["averaged"][-1] == 1.0 and found["ensembles"]["voted"][-1] == 0.5
    assert found["n_right"].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(found["dissent"], [0, 2 / 3], rtol=1e-4)
    np.testing.assert_allclose(found["rivals"], [[1, 0], [2 / 3, 1 / 3]], rtol=1e-3)
    np.testing.assert_allclose(found["agreement"], [1, 2 / 3])


def test_accuracies_and_ensembles_are_drawn(result):
    left, right = seeds._draw_spread(result).axes
    values = [run["test_accuracy"] for run in result["runs"]]
    assert sum(patch.get_height() for patch in left.patches) == len(values) == 4
    np.testing.assert_allclose(lines(left)["mean"][0], np.mean(values))
    assert left.get_title(loc="left") == f"4 seeds, dashed: mean {np.mean(values):.4f}"
    ensembles = result["ensembles"]
    expected = [ensembles["sizes"], ensembles["averaged"]]
    np.testing.assert_allclose(lines(right)["outputs averaged"], expected)
    np.testing.assert_allclose(lines(right)["majority of votes"][1], ensembles["voted"])


def test_dissent_and_rivals_are_drawn_by_digit(result):
    left, right = seeds._draw_digits(result).axes[:2]
    heights = [patch.get_height() for patch in left.patches]
    np.testing.assert_allclose(heights, 100 * np.array(result["dissent"]))
    drawn = np.array(right.images[0].get_array())
    expected = 100 * np.array(result["rivals"])
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(drawn, expected)


def test_most_disputed_images_are_drawn_with_their_votes(result):
    figure = seeds._draw_images(result)
    images = result["images"]
    for i, axes in enumerate(figure.axes[: len(images["labels"])]):
        pixels = packed.unpack(images["pixels"])[i]
        np.testing.assert_array_equal(axes.images[0].get_array().ravel(), pixels)
        votes = images["votes"][i]
        assert sum(votes) == 4
        title = axes.get_title(loc="left")
        assert title.startswith(f"a {images['labels'][i]}: {max(votes)}×")


def test_table_tells_spread_and_ensemble(result):
    spread, digits = seeds.tables(result)
    values = [run["test_accuracy"] for run in result["runs"]]
    assert spread.rows[1][1:] == tuple(
        f"{f(values):.4f}" for f in (np.mean, np.std, np.min, np.max)
    )
    assert spread.rows[2][1] == f"{result['ensembles']['averaged'][-1]:.4f}"
    assert [row[0] for row in digits.rows] == [str(digit) for digit in range(10)]
