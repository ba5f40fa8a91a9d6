"""Decision surfaces: the lines and colors are those of the classifier's own answers."""

from __future__ import annotations

import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fastmlp import plots
from fastmlp.plots import mesh
from fastmlp.plots.style import CATEGORIES

BOTH = [plots.decision_surface, plots.decision_surface_3d]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def two(iris):
    """Two classes on two features, and a model whose boundary is a known straight line."""
    X, y = iris
    X, y = X[50:, 2:], y[50:]
    return X, y, LogisticRegression().fit(X, y)


class Halves:
    """Class b from x = 0.5 on, sure of both, whatever the other features are."""

    classes_ = np.array(["a", "b"])

    def predict_proba(self, X):
        second = (np.asarray(X)[:, 0] > 0.5).astype(float)
        return np.column_stack([1 - second, second])


def contour_points(axis):
    return np.concatenate(
        [path.vertices for lines in axis.collections if lines.get_paths() and
         type(lines).__name__ == "QuadContourSet" for path in lines.get_paths()]
    )  # fmt: skip


@pytest.mark.parametrize("response", ["predict_proba", "decision_function"])
def test_boundary_of_a_linear_classifier_is_its_straight_line(two, response):
    X, y, model = two
    (axis,) = plots.decision_surface(model, X, y, response=response, resolution=50).axes
    values = model.decision_function(contour_points(axis))
    np.testing.assert_allclose(values, 0, atol=0.02)


def test_colors_are_those_of_the_winners_and_fade_to_the_boundary(two):
    X, _, model = two
    (axis,) = plots.decision_surface(model, X, resolution=21).axes
    (image,) = axis.get_images()
    colors = np.asarray(image.get_array())
    x, y = (np.linspace(*limits, 21) for limits in (axis.get_xlim(), axis.get_ylim()))
    xx, yy = np.meshgrid(x, y)
    p = model.predict_proba(np.c_[xx.ravel(), yy.ravel()])[:, 1].reshape(xx.shape)
    full = np.array([to_rgb(CATEGORIES[code][0]) for code in (0, 1)])[(p > 0.5).astype(int)]
    expected = 1 - 0.5 * np.abs(2 * p - 1)[..., None] * (1 - full)
    np.testing.assert_allclose(colors, expected, atol=1e-6)


def test_every_class_has_its_boundaries(iris):
    X, y = iris
    model = SVC().fit(X[:, 2:], y)
    (axis,) = plots.decision_surface(model, X[:, 2:], y, resolution=120).axes
    points = contour_points(axis)
    step = 2e-3 * np.ptp(X[:, 2:], axis=0)
    around = [model.predict(points + step * move) for move in ([8, 0], [-8, 0], [0, 8], [0, -8])]
    changes = (np.array(around) != around[0]).any(axis=0)
    assert changes.mean() > 0.95
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["0", "1", "2"]


def test_points_are_drawn_by_class_and_those_on_the_wrong_side_have_a_dark_edge(two):
    X, y, model = two
    (axis,) = plots.decision_surface(model, X, y, resolution=20).axes
    wrong = model.predict(X) != y
    assert axis.get_title(loc="left") == (
        f"{(~wrong).sum()} of 100 points classified correctly ({(~wrong).mean():.3f})"
    )
    drawn = {
        (i // 2, bool(i % 2)): np.array(scatter.get_offsets())
        for i, scatter in enumerate(axis.collections[1:])
    }
    for code, is_wrong in drawn:
        np.testing.assert_array_equal(
            drawn[code, is_wrong], X[(y == code + 1) & (wrong == is_wrong)]
        )
    edges = [tuple(scatter.get_edgecolors()[0][:3]) for scatter in axis.collections[1:3]]
    assert edges == [(1.0, 1.0, 1.0), to_rgb("#333333")]


def test_the_other_features_are_at_their_medians_or_where_they_are_wanted(iris):
    X, _ = iris
    samples = mesh.take_samples(X, (3, 1))
    assert samples.names == ("feature 3", "feature 1")
    rows = samples.at(np.array([1.0, 2.0]), np.array([5.0, 6.0]), None)
    median = np.median(X, axis=0)
    np.testing.assert_allclose(rows, [[median[0], 5, median[2], 1], [median[0], 6, median[2], 2]])
    rows = samples.at(np.array([1.0]), np.array([5.0]), {2: 7.5})
    np.testing.assert_allclose(rows, [[median[0], 5, 7.5, 1]])
    rows = samples.at(np.array([1.0]), np.array([5.0]), [9, 9, 9, 9])
    np.testing.assert_allclose(rows, [[9, 5, 9, 1]])


def test_a_data_frame_is_passed_on_as_one(iris):
    X, y = load_iris(return_X_y=True, as_frame=True)
    X["kind"] = np.where(np.arange(150) % 3 == 0, "rare", "usual")
    samples = mesh.take_samples(X, ("petal length (cm)", 0))
    rows = samples.at(np.array([1.0, 2.0]), np.array([5.0, 6.0]), {"petal width (cm)": 0.5})
    assert isinstance(rows, pd.DataFrame) and list(rows.columns) == list(X.columns)
    assert rows["kind"].tolist() == ["usual", "usual"]
    assert rows["petal length (cm)"].tolist() == [1.0, 2.0]
    assert rows["sepal length (cm)"].tolist() == [5.0, 6.0]
    assert rows["petal width (cm)"].tolist() == [0.5, 0.5]
    assert rows["sepal width (cm)"].tolist() == [3.0, 3.0]
    model = LogisticRegression(max_iter=500).fit(X.drop(columns="kind"), y)
    figure = plots.decision_surface(model, X.drop(columns="kind"), y, features=(2, 3), resolution=9)
    assert figure.axes[0].get_xlabel() == "petal length (cm)"


def test_missing_values_of_a_column_are_not_its_middle():
    X = pd.DataFrame(
        {
            "p": [0.0, 1.0, 2.0],
            "q": [0.0, 1.0, 3.0],
            "number": [np.nan, 4.0, 6.0],
            "word": ["a", np.nan, np.nan],
            "none": [None, None, None],
        }
    )
    rows = mesh.take_samples(X, ("p", "q")).at(np.zeros(2), np.ones(2), None)
    assert rows["number"].tolist() == [5.0, 5.0] and rows["word"].tolist() == ["a", "a"]
    assert rows["none"].tolist() == [None, None]


def test_axes_of_the_user_are_drawn_into(two):
    X, y, model = two
    figure, (left, right) = plt.subplots(1, 2)
    found = plots.decision_surface(model, X, y, ax=right, title="Mine", resolution=9)
    assert found is figure and len(figure.axes) == 2 and not left.get_images()
    assert right.get_title(loc="left") + right.get_title() == "Mine"


@pytest.fixture
def drawn(monkeypatch):
    """What was given to plot_surface: x, y, z (n, n)."""
    from mpl_toolkits.mplot3d.axes3d import Axes3D

    given = []
    draw = Axes3D.plot_surface

    def record(self, *arrays, **style):
        given[:] = arrays
        return draw(self, *arrays, **style)

    monkeypatch.setattr(Axes3D, "plot_surface", record)
    return given


def test_height_is_the_probability_of_the_second_class(two, drawn):
    X, _, model = two
    (axis,) = plots.decision_surface_3d(model, X, resolution=40).axes
    x, y, z = drawn
    expected = model.predict_proba(np.c_[x.ravel(), y.ravel()])[:, 1].reshape(40, 40)
    np.testing.assert_allclose(z, expected, atol=0.02)
    assert axis.get_zlabel() == "probability of 2"
    (axis,) = plots.decision_surface_3d(model, X, resolution=9, label=1).axes
    assert axis.get_zlabel() == "probability of 1"
    assert drawn[2][0, 0] > 0.9 > 0.1 > drawn[2][-1, -1]


def test_height_of_many_classes_is_the_highest_response(iris, drawn):
    X, y = iris
    model = DecisionTreeClassifier(max_depth=2).fit(X[:, 2:], y)
    (axis,) = plots.decision_surface_3d(model, X[:, 2:], y, resolution=12).axes
    assert axis.get_zlabel() == "highest probability"
    x, y, z = (values[1:-1, 1:-1].ravel() for values in drawn)
    found = model.predict_proba(np.c_[x, y]).max(axis=1)
    assert z.min() > 0.9 and np.median(np.abs(z - found)) < 0.02


def test_a_jump_is_drawn_as_a_slope_of_a_few_squares(drawn):
    """On a diagonal, squares of a jump would be a comb: some flat, some vertical."""

    class Diagonal(Halves):
        def predict_proba(self, X):
            return super().predict_proba(np.asarray(X).mean(axis=1, keepdims=True))

    plots.decision_surface_3d(Diagonal(), np.eye(2), resolution=30, margin=0.0)
    z = drawn[2]
    flank = np.array([z[29 - i, i] for i in range(2, 28)])
    assert np.ptp(flank) < 0.02 and 0.3 < flank.mean() < 0.7
    assert np.abs(np.diff(z, axis=0)).max() < 0.5


@pytest.mark.parametrize("plot", BOTH)
def test_a_single_winner_has_no_boundary_and_constant_features_have_a_range(plot):
    X = np.array([[0.9, 5.0], [0.8, 5.0]])
    (axis,) = plot(Halves(), X, ["b", "b"], resolution=5).axes
    assert not [c for c in axis.collections if type(c).__name__.startswith("QuadContour")]
    low, high = axis.get_ylim()
    assert low < 5 < high


WRONG = [
    ({"classifier": None}, TypeError, "classifier must be a fitted classifier with predict_proba"),
    ({"X": np.ones(3)}, ValueError, r"X must have 2 dimensions .*; got shape \(3,\)"),
    ({"X": np.ones((0, 2))}, ValueError, "X must have at least one row"),
    ({"X": np.full((2, 2), np.nan)}, ValueError, "X must hold finite float64 numbers"),
    ({"X": np.full((2, 2), 1e200)}, ValueError, r"X must be below 1e\+150"),
    ({"y": [0]}, ValueError, "X and y must have the same number of rows"),
    ({"y": [[0, 1]]}, ValueError, "y must have 1 dimension"),
    ({"y": ["a", "c"]}, ValueError, r"y must hold classes of the classifier.*found 'c'"),
    ({"features": (0,)}, ValueError, r"features must be two of the features; got \(0,\)"),
    ({"features": (1, 1)}, ValueError, r"features must be two different features"),
    ({"features": (0, 2)}, ValueError, r"features must be indices from 0 to 1; got \(0, 2\)"),
    ({"features": 3}, TypeError, "features must be a sequence of two features"),
    ({"values": [1.0]}, ValueError, r"values must be 2 numbers.*got shape \(1,\)"),
    ({"values": {5: 1.0}}, ValueError, "values must be for features of X; 5 is none"),
    ({"values": {0: [1, 2]}}, ValueError, r"values must be one number per feature; got \[1, 2\]"),
    ({"values": {0: np.inf}}, ValueError, "values must hold finite"),
    ({"response": "predict"}, ValueError, "response must be one of 'auto', 'predict_proba'"),
    ({"response": "decision_function"}, TypeError, "classifier must be .* with decision_function"),
    ({"resolution": 1}, ValueError, "resolution must be from 2 to"),
    ({"margin": -1}, ValueError, "margin must be a finite number"),
    ({"title": 3}, TypeError, "title must be a str"),
    ({"ax": 3}, TypeError, "ax must be axes of matplotlib"),
]  # fmt: skip


@pytest.mark.parametrize("plot", BOTH)
@pytest.mark.parametrize(("change", "error", "message"), WRONG)
def test_arguments_that_do_not_fit_are_named(plot, change, error, message):
    given = {"classifier": Halves(), "X": np.eye(2), "y": ["a", "b"], "resolution": 5} | change
    with pytest.raises(error, match=message):
        plot(**given)


def test_arguments_of_the_view_in_three_dimensions_are_named():
    def draw(**change):
        plots.decision_surface_3d(Halves(), np.eye(2), resolution=3, **change)

    with pytest.raises(ValueError, match="label must be one of a, b; got 'c'"):
        draw(label="c")
    with pytest.raises(TypeError, match="view must be two angles in degrees; got 3"):
        draw(view=3)
    with pytest.raises(ValueError, match=r"view\[1\] must be a finite number"):
        draw(view=(0, 1e9))
    with pytest.raises(TypeError, match='ax must be axes of matplotlib with projection="3d"'):
        draw(ax=plt.subplots()[1])


def test_mappings_of_a_data_frame_are_by_name():
    X = pd.DataFrame({"p": [0.0, 1.0], "q": [0.0, 1.0], "r": [3, 4]})
    with pytest.raises(TypeError, match="values must be a mapping from columns of X"):
        plots.decision_surface(Halves(), X, values=[1, 2, 3], resolution=3)
    with pytest.raises(TypeError, match=r"X\['s'\] must be real numbers; got an array of dtype"):
        plots.decision_surface(Halves(), X.assign(s=["u", "v"]), features=("p", "s"), resolution=3)
    with pytest.raises(ValueError, match=r"features must be indices from 0 to 2 or names"):
        plots.decision_surface(Halves(), X, features=("p", "z"), resolution=3)


class Broken(Halves):
    def __init__(self, answer, classes=("a", "b")):
        self.answer, self.classes_ = answer, classes

    def predict_proba(self, X):
        return self.answer(len(X))


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (Broken(lambda n: [np.ones((n, 2))] * 2), "one response per class; .* gave a list"),
        (Broken(lambda n: np.ones((n, 3))), r"gave shape \(9, 3\) for 9 rows and 2 classes"),
        (Broken(lambda n: np.full((n, 2), np.nan)), "finite responses; predict_proba gave NaN"),
        (Broken(lambda n: np.ones((n, 2)), None), "classifier must have classes_ of a single"),
        (Broken(lambda n: np.ones((n, 2)), [1, 2]), "classifier must have classes_ of a single"),
    ],
)
def test_classifiers_without_one_response_per_class_are_refused(classifier, message):
    with pytest.raises(ValueError, match=message):
        plots.decision_surface(classifier, np.eye(2), resolution=3)


@pytest.mark.parametrize("plot", BOTH)
def test_missing_matplotlib_is_named_with_its_remedy(plot, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[plots\]"'):
        plot(Halves(), np.eye(2), resolution=3)
