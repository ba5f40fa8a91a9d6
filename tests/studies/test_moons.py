"""The moons: surfaces come back from the file, and the figures show them."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import stored

from fastmlp import datasets
from fastmlp.studies.lab import packed
from fastmlp.studies.lab.figures import finding_of
from fastmlp.studies.moons import figures, study


@pytest.fixture
def result():
    return stored("moons")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_packed_arrays_come_back_to_half_a_step():
    values = np.random.default_rng(0).uniform(-3, 3, (4, 5))
    stored_bytes = packed.pack(values, -2.0, 2.0)
    found = packed.unpack(stored_bytes)
    np.testing.assert_allclose(found, np.clip(values, -2, 2), atol=4 / 510 + 1e-12)
    assert found.min() == -2 and found.max() == 2


def test_damaged_packed_bytes_are_refused():
    stored_bytes = packed.pack(np.ones(3), 0.0, 1.0)
    with pytest.raises(ValueError, match="bytes are damaged: "):
        packed.unpack(stored_bytes | {"bytes": stored_bytes["bytes"][:-5]})
    with pytest.raises(ValueError, match="reshape"):
        packed.unpack(stored_bytes | {"shape": [4]})


def test_points_of_both_classes_are_drawn_in_the_plane_and_by_height(result):
    flat, height = figures.draw_points(result).axes
    data = datasets.load("moons")
    X, y = data.X_train[:100], data.y_train[:100]
    for label in (0, 1):
        drawn = np.array(flat.collections[label].get_offsets())
        np.testing.assert_allclose(drawn, X[y == label], atol=0.02)
        assert set(height.collections[label]._offsets3d[2]) == {label}


def test_demonstration_shows_an_ellipse_and_the_printed_saddle(result):
    config = result["config"]
    X, Y, Z = figures.demo(config["ellipse"])
    np.testing.assert_allclose(Z, 0.5 * X**2 + 4 * Y**2)
    X, Y, Z = figures.demo(config["saddle"])
    np.testing.assert_allclose(Z, -0.5 * X**2 + 4 * Y**2)
    assert (X.shape, Z.shape) == ((81, 81), (81, 81))
    figure = figures.draw_demo(result)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left").strip()]
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles[0] == "Ellipse: Z = 0.5 X² + 4 Y²" and "Saddle: Z = −0.5 X² + 4 Y²" in titles
    for axes in panels:
        if "Ellipse" in axes.get_title(loc="left"):  # closed, and longer in X than in Y
            inner = axes.collections[0].get_paths()[1].vertices
            assert np.ptp(inner[:, 0]) > 2 * np.ptp(inner[:, 1])
    saddle = panels[titles.index("Saddle: Z = −0.5 X² + 4 Y²")].collections[0]
    assert saddle.get_array().min() < 0 < saddle.get_array().max()


def test_decision_line_lies_where_the_surface_is_at_its_middle(result):
    run = next(run for run in result["runs"] if run["classifier"] == "MyANN")
    xx, yy = figures.mesh(result["extent"], 0.4)
    probability = packed.unpack(run["surface"])
    assert probability.shape == xx.shape
    figure = figures.draw_classifiers(result)
    axes = next(a for a in figure.axes if a.get_title(loc="left").startswith("MyANN"))
    line = next(c for c in axes.collections if type(c).__name__ == "QuadContourSet")
    points = line.get_paths()[0].vertices
    from scipy.interpolate import RegularGridInterpolator

    value = RegularGridInterpolator((yy[:, 0], xx[0]), probability)(points[:, ::-1])
    np.testing.assert_allclose(value, 0.5, atol=1e-6)


def test_surface_of_the_kernel_machine_is_that_of_scikit_learn():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    data = datasets.load("moons")
    X, y = data.X_train[:100], data.y_train[:100]
    result = stored("moons")
    run = next(run for run in result["runs"] if run["classifier"].startswith("SVC"))
    model = make_pipeline(StandardScaler(), SVC()).fit(X, y)
    assert run["test_accuracy"] == pytest.approx(model.score(data.X_test, data.y_test))
    xx, yy = figures.mesh(result["extent"], 0.4)
    expected = model.decision_function(np.c_[xx.ravel(), yy.ravel()]).reshape(xx.shape)
    np.testing.assert_allclose(packed.unpack(run["surface"]), expected.clip(-2, 2), atol=0.01)


def test_height_of_both_surfaces_is_drawn(result):
    figure = figures.draw_surface(result)
    panels = [axes for axes in figure.axes if axes.name == "3d"]
    assert [axes.get_title() for axes in panels] == [
        "SVC, RBF kernel: decision value",
        "MyANN: probability",
    ]
    kernel, network = (packed.unpack(run["surface"]) for run in result["runs"][-2:])
    sure = ((network < 0.05) | (network > 0.95)).mean()
    corners = [kernel[0, 0], kernel[0, -1], kernel[-1, 0], kernel[-1, -1]]
    assert finding_of(figure) == (
        f"MyANN's surface is a step: it is sure (beyond 95 %) on {sure:.0%} of the mesh; in the "
        f"corners, far from all points, the kernel's is between ±{np.abs(corners).max():.1f}"
    )


def test_epochs_are_drawn_with_their_accuracies(result):
    course = result["runs"][-1]["course"]
    assert [item["epoch"] for item in course] == [0, 3, 8]
    figure = figures.draw_epochs(result)
    titles = [axes.get_title(loc="left") for axes in figure.axes[:3]]
    assert titles == [f"Epoch {item['epoch']}: {item['test_accuracy']:.3f}" for item in course]
    assert f"in the end {course[-1]['test_accuracy']:.3f}" in finding_of(figure)


def test_table_has_what_the_articles_say(result):
    (table,) = study.tables(result)
    assert table.rows[0][:2] == ("LinearSVC, degree 2", "no reasonable surface")
    assert table.rows[0][3] == f"{result['runs'][0]['test_accuracy']:.4f}"
