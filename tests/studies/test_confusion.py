"""Confusion matrix, critical images and weights: what is drawn is what was found."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, stored

from fastmlp.studies import confusion
from fastmlp.studies.lab import packed
from fastmlp.studies.lab.figures import finding_of


@pytest.fixture
def result():
    return stored("confusion")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_counts_are_those_of_a_small_example():
    predicted, true = np.array([0, 1, 1, 0, 1]), np.array([0, 0, 1, 1, 1])
    found = confusion.count(predicted, true, 3)
    np.testing.assert_array_equal(found["matrix"], [[1, 1, 0], [1, 2, 0], [0, 0, 0]])
    assert found["precision"] == [0.5, 0.66667, 0.0]
    assert found["recall"] == [0.5, 0.66667, 0.0]


def test_critical_rows_are_both_kinds_of_error_the_surest_first():
    outputs = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.95, 0.05]])
    true = np.array([1, 1, 0, 1, 0])
    np.testing.assert_array_equal(confusion.critical_rows(outputs, true, 1), [0, 1, 2])
    np.testing.assert_array_equal(confusion.critical_rows(outputs, true, 0), [2, 0, 1])


def test_matrix_is_drawn_with_its_numbers(result):
    figure = confusion._draw_matrix(result)
    (axes,) = figure.axes
    matrix = np.array(result["matrix"])
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix)
    assert [int(text.get_text()) for text in axes.texts] == matrix.ravel().tolist()
    assert finding_of(figure).startswith(f"{np.trace(matrix)} of {matrix.sum()} images are")


def test_precision_and_recall_are_drawn_per_digit(result):
    (axes,) = confusion._draw_precision_recall(result).axes
    matrix = np.array(result["matrix"])
    drawn = lines(axes)
    expected = np.diag(matrix) / matrix.sum(axis=1)
    np.testing.assert_allclose(drawn["recall"][1], expected, rtol=1e-4)
    called = matrix.sum(axis=0)
    expected = np.divide(np.diag(matrix), called, out=np.zeros(10), where=called > 0)
    np.testing.assert_allclose(drawn["precision"][1], expected, rtol=1e-4)


def test_critical_images_are_drawn_beside_all_outputs(result):
    figure = confusion._draw_critical(result)
    critical = result["critical"]
    images, bars = figure.axes[0::2], figure.axes[1::2]
    pixels = packed.unpack(critical["pixels"])
    for i, (image, bar) in enumerate(zip(images, bars, strict=True)):
        np.testing.assert_array_equal(image.images[0].get_array().ravel(), pixels[i])
        assert image.get_title(loc="left") == f"true: {critical['labels'][i]}"
        np.testing.assert_allclose([b.get_width() for b in bar.patches], critical["outputs"][i])
        said = np.argmax(critical["outputs"][i])
        assert said != critical["labels"][i] and 4 in (said, critical["labels"][i])


def test_weights_of_the_heeded_nodes_are_drawn_as_images(result):
    figure = confusion._draw_weights(result)
    values = packed.unpack(result["weights"]["values"])
    for axes, weights, node in zip(figure.axes, values, result["weights"]["nodes"], strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array().ravel(), weights)
        assert axes.get_title(loc="left") == f"node {node}"


def test_strongest_nodes_are_those_the_next_layer_heeds():
    first, second = np.arange(12.0).reshape(3, 4) / 11, np.array([[9, 0.1, 5, 1], [9, 0, 5, 1]])
    found = confusion._strongest_nodes([first, second], 2)
    assert found["nodes"].tolist() == [1, 2]
    np.testing.assert_allclose(packed.unpack(found["values"]), first[[1, 2], 1:], atol=0.01)


def test_table_counts_false_negatives_and_positives(result):
    matrix = np.array(result["matrix"])
    for digit, row in enumerate(confusion.tables(result)[0].rows):
        right = matrix[digit, digit]
        assert row[1] == str(matrix[digit].sum())
        assert row[4:6] == (
            str(matrix[digit].sum() - right),
            str(matrix[:, digit].sum() - right),
        )
