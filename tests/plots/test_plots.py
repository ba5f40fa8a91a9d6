"""The figures show the numbers of the History they were given, and say what they found."""

from __future__ import annotations

import json
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastmlp import plots
from fastmlp.plots.headline import MOST_CHARACTERS, finding_of, headline, shortened, title_of
from fastmlp.training.history import PER_BATCH, PER_EPOCH, History

N_EPOCHS, N_BATCHES = 4, 5
HISTORY_PLOTS = [
    plots.plot_costs,
    plots.plot_errors,
    plots.plot_reg_share,
    plots.plot_accuracy,
    plots.plot_run,
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make_history(n_epochs=N_EPOCHS, n_batches=N_BATCHES, **fixed) -> History:
    """A history of falling costs; `fixed` names values that every epoch has."""
    rng = np.random.default_rng(0)
    history = History()
    for epoch in range(n_epochs):
        record = {name: rng.uniform(0.5, 1.0, n_batches) / (epoch + 1) for name in PER_BATCH}
        record["reg_share"] = record["reg_share"] / 2
        record |= {name: (epoch + 1) / (n_epochs + 1) for name in PER_EPOCH}
        record |= {"train_accuracy": 0.9 + 0.02 * epoch, "val_accuracy": 0.88 + 0.02 * epoch}
        history.append(**record | fixed)
    return history


def lines(axes: Axes) -> dict[str, np.ndarray]:
    """Label -> (2, n) points."""
    return {str(line.get_label()): np.array(line.get_data(), float) for line in axes.get_lines()}


def title(axes: Axes) -> str:
    return axes.get_title(loc="left")


@pytest.mark.parametrize(
    ("plot", "name", "factor"),
    [
        (plots.plot_costs, "costs", 1),
        (plots.plot_errors, "errors", 1),
        (plots.plot_reg_share, "reg_share", 100),
    ],
    ids=["costs", "errors", "reg_share"],
)
def test_every_batch_and_the_mean_of_every_epoch_are_drawn(plot, name, factor):
    history = make_history()
    drawn = lines(plot(history).axes[0])
    x, y = drawn["every mini-batch"]
    np.testing.assert_allclose(x, np.arange(N_EPOCHS * N_BATCHES) / N_BATCHES)
    np.testing.assert_allclose(y, factor * history[name].ravel())
    x, y = drawn["mean of the epoch"]
    np.testing.assert_allclose(x, [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(y, factor * history[name].mean(axis=1))


def test_costs_of_whole_sets_have_a_panel_of_their_own():
    history = make_history()
    batches, sets = plots.plot_costs(history).axes
    drawn = lines(sets)
    for kind, label in (("train", "training set"), ("val", "validation set")):
        np.testing.assert_allclose(drawn[label][0], [1, 2, 3, 4])
        np.testing.assert_allclose(drawn[label][1], history[f"{kind}_cost"])
    assert title(sets) == "Cost after 4 epochs: training set 0.8, validation set 0.8"
    assert sets.get_xlabel() == "epochs of training"
    assert batches.get_ylabel() == "cost of a mini-batch"


def test_costs_that_were_not_measured_are_left_out():
    assert len(plots.plot_costs(make_history(train_cost=np.nan, val_cost=np.nan)).axes) == 1
    (_, sets) = plots.plot_costs(make_history(train_cost=np.nan)).axes
    assert list(lines(sets)) == ["validation set"]


@pytest.mark.parametrize(
    ("costs", "scale"), [([100.0, 6.0], "linear"), ([100.0, 4.0], "log"), ([100.0, 0.0], "linear")]
)
def test_cost_axis_is_logarithmic_beyond_a_factor_of_20(costs, scale):
    figure = plots.plot_costs(make_history(costs=np.array(costs)))
    assert figure.axes[0].get_yscale() == scale


def test_accuracies_are_drawn_after_their_epoch_and_told_apart():
    history = make_history()
    (axes,) = plots.plot_accuracy(history).axes
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["training set"], [[1, 2, 3, 4], history["train_accuracy"]])
    np.testing.assert_allclose(drawn["validation set"], [[1, 2, 3, 4], history["val_accuracy"]])
    np.testing.assert_allclose(
        drawn["batches, during the epoch"], [[0.5, 1.5, 2.5, 3.5], history["batch_accuracy"]]
    )
    colors = {line.get_label(): line.get_color() for line in axes.get_lines()}
    assert colors["training set"] != colors["validation set"]
    widths = {line.get_label(): line.get_linewidth() for line in axes.get_lines()}
    assert widths["batches, during the epoch"] < widths["training set"]


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ((), "Accuracy: validation 0.940, training 0.960"),
        (("train_accuracy",), "Validation accuracy 0.940 after 4 epochs"),
        (("train_accuracy", "val_accuracy"), "Batch accuracy 0.800 after 4 epochs"),
        (
            ("train_accuracy", "val_accuracy", "batch_accuracy"),
            "Accuracy not measured in 4 epochs",
        ),
    ],
    ids=["all", "no-train", "batch-only", "none"],
)
def test_title_of_the_accuracy_holds_the_final_values(missing, sentence):
    figure = plots.plot_accuracy(make_history(**dict.fromkeys(missing, np.nan)))
    assert title(figure.axes[0]) == sentence


def test_accuracy_axis_shows_the_values_near_the_end():
    accuracy = np.array([0.1, 0.95, 0.97, 0.98, 0.985])
    history = History()
    for value in accuracy:
        history.append(
            **{name: np.array([1.0]) for name in PER_BATCH},
            **dict.fromkeys(PER_EPOCH, 1.0)
            | dict.fromkeys(("train_accuracy", "val_accuracy", "batch_accuracy"), value),
        )
    bottom, top = plots.plot_accuracy(history).axes[0].get_ylim()
    assert 0.8 < bottom < 0.95
    assert 0.985 < top <= 1.01


def test_overview_has_four_panels_and_a_second_axis_for_the_share():
    history = make_history()
    figure = plots.plot_run(history)
    cost, accuracy, error, rate, share = figure.axes
    assert figure.get_suptitle() == "4 epochs in 2 s of training: validation accuracy 0.940"
    np.testing.assert_allclose(lines(cost)["every mini-batch"][1], history["costs"].ravel())
    np.testing.assert_allclose(lines(accuracy)["validation set"][1], history["val_accuracy"])
    np.testing.assert_allclose(lines(error)["every mini-batch"][1], history["errors"].ravel())
    (rates,) = lines(rate).values()
    np.testing.assert_allclose(rates[1], [*history["learning_rates"], 0.8])
    (shares,) = lines(share).values()
    np.testing.assert_allclose(shares[1], 100 * history["reg_share"].mean(axis=1))


def test_overview_of_a_run_without_penalty_has_no_axis_for_the_share():
    figure = plots.plot_run(make_history(reg_share=np.zeros(N_BATCHES)), title="mine")
    assert len(figure.axes) == 4
    assert figure.get_suptitle() == "mine"
    assert title(figure.axes[3]) == "Learning rate 0.8"


@pytest.mark.parametrize("plot", HISTORY_PLOTS)
def test_one_epoch_of_one_batch_can_be_drawn(plot, tmp_path):
    figure = plot(make_history(1, 1))
    figure.savefig(tmp_path / "one.png")
    assert all(len(line.get_xdata()) <= 2 for axes in figure.axes for line in axes.get_lines())


@pytest.mark.parametrize("plot", HISTORY_PLOTS)
def test_what_went_through_json_gives_the_same_figure(plot):
    history = make_history(train_accuracy=np.nan)
    again = json.loads(json.dumps(history.to_dict(), allow_nan=False))
    for a, b in zip(plot(history).axes, plot(again).axes, strict=True):
        for x, y in zip(a.get_lines(), b.get_lines(), strict=True):
            np.testing.assert_array_equal(x.get_data(), y.get_data())


@pytest.mark.parametrize("plot", HISTORY_PLOTS)
def test_history_without_an_epoch_is_refused(plot):
    with pytest.raises(ValueError, match=r"^nothing to plot: no finished epoch$"):
        plot(History())


@pytest.mark.parametrize("plot", HISTORY_PLOTS)
def test_missing_matplotlib_is_named_with_its_remedy(plot, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[plots\]"'):
        plot(make_history())


def test_figures_have_the_size_asked_for_and_leave_the_style_alone():
    before = dict(matplotlib.rcParams)
    figure = plots.plot_errors(make_history(), figsize=(5, 3), legend_loc="lower left")
    assert tuple(figure.get_size_inches()) == (5, 3)
    assert dict(matplotlib.rcParams) == before


def make_predictions():
    """Five images of 2 x 3, of which rows 1, 3 and 4 are misclassified."""
    X = np.arange(30.0).reshape(5, 6)
    y_true = np.array([0, 1, 2, 1, 2])
    y_pred = np.array([0, 2, 2, 0, 1])
    outputs = np.full((5, 3), 0.05)
    outputs[range(5), y_pred] = [0.9, 0.6, 0.8, 0.95, 0.7]
    return X, y_true, y_pred, outputs


def shown(figure: Figure) -> dict[str, np.ndarray]:
    """Title -> pixels."""
    return {
        axes.get_title(): np.array(axes.get_images()[0].get_array(), float) for axes in figure.axes
    }


def test_misclassified_images_come_surest_first():
    X, *rest = make_predictions()
    figure = plots.plot_misclassified(X, *rest, image_shape=(2, 3))
    images = shown(figure)
    assert list(images) == ["1 → 0 (0.95)", "2 → 1 (0.70)", "1 → 2 (0.60)"]
    for row, pixels in zip((3, 4, 1), images.values(), strict=True):
        np.testing.assert_array_equal(pixels, X[row].reshape(2, 3))
    assert title_of(figure) == "3 of 5 images misclassified"
    assert "confidence first; over each: true → predicted (largest output)." in finding_of(figure)


def test_max_images_keeps_the_surest():
    figure = plots.plot_misclassified(*make_predictions(), image_shape=(2, 3), max_images=2)
    assert list(shown(figure)) == ["1 → 0 (0.95)", "2 → 1 (0.70)"]
    assert "The 2 with the highest confidence; over" in finding_of(figure)


def test_label_selects_the_critical_images_of_a_class_in_both_directions():
    figure = plots.plot_misclassified(*make_predictions(), image_shape=(2, 3), label=2)
    assert list(shown(figure)) == ["2 → 1 (0.70)", "1 → 2 (0.60)"]
    assert title_of(figure) == "2 of 5 images misclassified"
    assert finding_of(figure).startswith("From or into class 2.")


def test_figure_says_so_when_nothing_was_misclassified(tmp_path):
    X, y, _, outputs = make_predictions()
    figure = plots.plot_misclassified(X, y, y, outputs, image_shape=(2, 3))
    figure.savefig(tmp_path / "none.png")
    assert title_of(figure) == "None of 5 images misclassified"
    assert figure.axes == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (2, 2)}, r"image_shape .* got \(2, 2\) and X of shape \(5, 6\)"),
        ({"image_shape": (6,)}, r"image_shape .* got \(6,\) and X of shape \(5, 6\)"),
        ({"label": 7}, "label must be one of 0, 1, 2; got 7"),
        ({"max_images": 0}, "max_images must be at least 1; got 0"),
        ({"outputs": np.zeros((4, 3))}, "outputs and y_true must have the same number of rows"),
        ({"X": np.zeros((4, 6))}, "X and y_true must have the same number of rows"),
        ({"y_pred": np.zeros(3)}, "y_true and y_pred must have the same number of rows"),
        ({"y_true": np.zeros((5, 1))}, r"y_true must have 1 dimension; got shape \(5, 1\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_arguments_that_do_not_fit_are_named(change, message):
    names = ("X", "y_true", "y_pred", "outputs")
    arguments = dict(zip(names, make_predictions(), strict=True)) | {"image_shape": (2, 3)} | change
    with pytest.raises(ValueError, match=message):
        plots.plot_misclassified(**arguments)


def test_confusion_matrix_counts_true_rows_and_predicted_columns():
    _, y_true, y_pred, _ = make_predictions()
    figure = plots.plot_confusion_matrix(y_true, y_pred, [0, 1, 2])
    (axes,) = figure.axes
    expected = [[1, 0, 0], [1, 0, 1], [0, 1, 1]]
    np.testing.assert_array_equal(axes.get_images()[0].get_array(), expected)
    assert [int(text.get_text()) for text in axes.texts] == [1, 0, 0, 1, 0, 1, 0, 1, 1]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert title_of(figure) == "2 of 5 correct (0.400)"
    assert finding_of(figure) == "Most frequent confusion: 1 predicted as 0, once."
    own = plots.plot_confusion_matrix(y_true, y_pred, [0, 1, 2], title="Mine")
    assert (title(own.axes[0]), title_of(own), finding_of(own)) == ("Mine", "", "")


@pytest.mark.parametrize("figsize", [(10, 9), (12, 6), (6, 5), (16, 12)])
def test_titles_and_captions_lie_over_each_other_within_the_figure(figsize):
    _, y_true, y_pred, _ = make_predictions()
    names = ["a coat", "a shirt or a blouse of many colors", "boots"]
    figure = plots.plot_confusion_matrix(y_true, y_pred, [0, 1, 2], names=names, figsize=figsize)
    figure.draw_without_rendering()
    (caption,) = figure.texts[1:] if figure.texts[0] is figure._suptitle else figure.texts[:1]
    below = caption.get_window_extent()
    first_line = title_of(figure)
    assert len(first_line) <= MOST_CHARACTERS and "\n" not in first_line
    assert below.x1 < figure.bbox.x1 and below.y0 > figure.axes[0].bbox.y1


def test_a_title_that_holds_a_long_name_is_cut_and_one_of_ours_refused():
    assert shortened("x" * 60) == "x" * 60
    assert shortened("x" * 61) == "x" * 59 + "…"
    with pytest.raises(ValueError, match="title must have at most 60 characters"):
        headline(plt.figure(layout="constrained"), "x" * 61, "")


def test_confusion_matrix_without_errors_names_none():
    figure = plots.plot_confusion_matrix([0, 1, 1], [0, 1, 1], [0, 1])
    assert (title_of(figure), finding_of(figure)) == ("3 of 3 correct (1.000)", "")


def test_confusion_matrix_of_many_classes_is_drawn_without_numbers():
    labels = np.arange(30)
    assert list(plots.plot_confusion_matrix(labels, labels, labels).axes[0].texts) == []


def test_confusion_matrix_needs_all_labels_and_some_predictions():
    with pytest.raises(ValueError, match=r"labels must hold all classes .*; 5 is not"):
        plots.plot_confusion_matrix([0, 5], [0, 0], [0, 1])
    with pytest.raises(ValueError, match="nothing to plot: no predictions"):
        plots.plot_confusion_matrix([], [], [0, 1])


def test_a_confusion_matrix_has_the_names_of_its_classes():
    figure = plots.plot_confusion_matrix([0, 1, 1], [0, 0, 1], [0, 1], names=["shirt", "coat"])
    (axis,) = figure.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["shirt", "coat"]
    assert "Most frequent confusion: coat predicted as shirt, once" in finding_of(axis.figure)
    plt.close(figure)
    for wrong in (["shirt"], [1, 2], "ab"):
        with pytest.raises((TypeError, ValueError), match="names must be"):
            plots.plot_confusion_matrix([0, 1], [0, 1], [0, 1], names=wrong)
