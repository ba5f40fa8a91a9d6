"""Figures and tables of the studies of training show the numbers of a stored result."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, mean, select, stored

from fastmlp.studies import batch_size, first_run, learning_rate, softmax_vs_sigmoid
from fastmlp.studies.lab.figures import finding_of


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# --- first-run -----------------------------------------------------------------------------------


def test_first_run_draws_errors_and_accuracies_of_both_sets():
    result = stored("first-run")
    errors, accuracies = first_run.draw(result)["error"].axes
    for scale, label in (("none", "raw pixels"), ("feature", "StandardScaler")):
        runs = select(result, scale=scale)
        for part in ("train", "test"):
            x, y = lines(errors)[f"{label}, {part}"]
            np.testing.assert_allclose(x, runs[0]["epochs"])
            np.testing.assert_allclose(y, 100 * mean(runs, f"{part}_error"))
            _, y = lines(accuracies)[f"{label}, {part}"]
            np.testing.assert_allclose(y, mean(runs, f"{part}_accuracy"))


def test_first_run_draws_costs_per_image():
    result = stored("first-run")
    panels = first_run.draw(result)["cost"].axes
    for axes, scale in zip(panels, ("none", "unit", "feature"), strict=True):
        _, y = lines(axes)["test set"]
        np.testing.assert_allclose(y, mean(select(result, scale=scale), "test_cost") / 500)
        _, y = lines(axes)["train set"]
        np.testing.assert_allclose(y, mean(select(result, scale=scale), "train_cost") / 200)


def test_first_run_says_where_the_test_cost_turns_round():
    result = stored("first-run")
    for run in result["runs"]:
        run["test_cost"] = [5000.0, 3000.0, 2000.0, 1000.0, 500.0, 500.0]
        run["train_cost"] = [600.0, 500.0, 400.0, 300.0, 200.0, 100.0]
    for run in select(result, scale="feature"):
        run["train_cost"] = [600.0, 500.0, 400.0, 300.0, 200.0, 50.0]
    assert finding_of(first_run.draw(result)["cost"]) == (
        "After 6 epochs the test set's cost does not rise yet; it is 2.0 to 4.0 times that of the "
        "training set"
    )
    for run in select(result, scale="unit"):
        run["test_cost"] = [2500.0, 1500.0, 1000.0, 2000.0, 2500.0, 3000.0]
        run["train_cost"] = [600.0, 500.0, 400.0, 300.0, 200.0, 100.0]
    assert finding_of(first_run.draw(result)["cost"]) == (
        "With pixels / white the test set's cost is lowest after 3 epochs, and goes from 2.000 to "
        "6.000 while that of the training set goes from 2.000 to 0.500"
    )


def test_first_run_sets_the_published_error_beside_its_own():
    result = stored("first-run")
    assert first_run.tables(result)[0].rows[0][1] == ""
    result["quick"], result["config"]["data"] = False, "mnist"
    assert [row[1] for row in first_run.tables(result)[0].rows] == ["0.6 %"] * 3
    np.testing.assert_allclose(
        lines(first_run.draw(result)["error"].axes[0])["published: 0.6 %"][1], 0.6
    )


# --- learning-rate -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "value", "label"),
    [
        ("rate", 0.01, "0.01"),
        ("schedule", "cumulative", "cumulative (articles)"),
        ("initializer", "he", "He"),
        ("scale", "none", "raw pixels"),
    ],
)
def test_learning_rate_draws_both_accuracies_of_every_group(group, value, label):
    result = stored("learning-rate")
    train, test = learning_rate.draw(result)[group].axes
    runs = select(result, group=group, **{group: value})
    assert len(runs) == 2
    for axes, part in ((train, "train"), (test, "test")):
        drawn = {name.removesuffix(" (below)"): points for name, points in lines(axes).items()}
        x, y = drawn[label]
        np.testing.assert_allclose(x, runs[0]["epochs"])
        np.testing.assert_allclose(y, mean(runs, f"{part}_accuracy"))


def test_learning_rate_says_which_curve_lies_below_the_figure():
    result = stored("learning-rate")
    for rate, accuracy in ((1e-3, 0.1), (1e-2, 0.9)):
        for run in select(result, group="rate", rate=rate):
            run["train_accuracy"] = run["test_accuracy"] = [accuracy] * 5
    for axes in learning_rate.draw(result)["rate"].axes:
        assert set(lines(axes)) == {"0.001 (below)", "0.01"} and axes.get_ylim()[0] > 0.1


def test_learning_rate_changes_one_thing_at_a_time():
    config = learning_rate.configure("mnist", False)
    cases = learning_rate.cases_of(config)
    base = {"rate": 1e-3, "schedule": "constant", "initializer": "sqrt_nodes", "scale": "feature"}
    for case in cases:
        changed = {name for name, value in base.items() if case[name] != value}
        allowed = {case["group"], "rate"} if case["group"] == "schedule" else {case["group"]}
        assert changed <= allowed
    assert len(cases) == 2 * (5 + 6 + 5 + 6)


@pytest.mark.parametrize("schedule", ["cumulative", "power", "exponential"])
def test_decaying_rules_end_at_a_tenth(schedule):
    from fastmlp.schedules import SCHEDULES

    decay = learning_rate.decay_for(schedule, 100)
    assert SCHEDULES[schedule](1.0, decay, 99, 100) == pytest.approx(0.1, rel=0.05)
    assert learning_rate.decay_for("cosine", 100) == 0


def test_learning_rate_tells_how_long_it_takes_and_who_never_arrives():
    result = stored("learning-rate")
    for run in select(result, group="rate", rate=0.01):
        run["test_accuracy"] = [0.5, 0.96, 0.97, 0.94, 0.95]
    for run in select(result, group="scale", scale="none"):
        run["diverged"] = "training diverged"
    rows = {row[0]: row for table in learning_rate.tables(result) for row in table.rows}
    assert rows["0.01"][2:] == ("0.9500 (0.9500 to 0.9500)", "0.9700", "3", "2")
    assert rows["0.001"][-1] == "never"
    assert rows["raw pixels"] == ("raw pixels", *["diverged"] * 5)
    learning_rate.draw(result)


# --- batch-size ----------------------------------------------------------------------------------


@pytest.fixture
def timed():
    """Batches of 5, 50 and 200 take 4, 2 and 1 seconds an epoch, of which there are four."""
    result = stored("batch-size")
    for time, seconds in zip(result["times"], (4.0, 2.0, 1.0), strict=True):
        time["epoch_seconds"] = [seconds]
    return result


def test_batch_size_draws_seconds_per_epoch(timed):
    figure = batch_size.draw(timed)["time"]
    (line,) = lines(figure.axes[0]).values()
    np.testing.assert_allclose(line, [[5, 50, 200], [4, 2, 1]])
    assert finding_of(figure).startswith("Batches of 200 make the fastest epochs (1 s)")


def test_batch_size_compares_after_equal_epochs_and_after_equal_time(timed):
    epochs, seconds = batch_size.draw(timed)["accuracy"].axes
    for rule, label in batch_size.RULES.items():
        runs = {size: select(timed, batch_size=size, rule=rule) for size in (5, 50, 200)}
        expected = [mean(of_size, "test_accuracy")[-1] for of_size in runs.values()]
        np.testing.assert_allclose(lines(epochs)[label], [[5, 50, 200], expected])
        expected = [
            mean(of_size, "test_accuracy")[n_epochs - 1]
            for of_size, n_epochs in zip(runs.values(), (1, 2, 4), strict=True)
        ]
        np.testing.assert_allclose(lines(seconds)[label], [[5, 50, 200], expected])
    assert seconds.get_title(loc="left") == "After 4 s of training"


def test_batch_size_draws_the_course_by_epochs_and_by_time(timed):
    epochs, seconds = batch_size.draw(timed)["course"].axes
    expected = mean(select(timed, batch_size=50, rule="mean"), "test_accuracy")
    np.testing.assert_allclose(lines(epochs)["50"], [[1, 2, 3, 4], expected])
    by_time = seconds.get_lines()[1].get_data()
    np.testing.assert_allclose(by_time, [[2, 4, 6, 8], expected])


def test_batch_size_leaves_those_far_below_out_of_the_course(timed):
    for run in timed["runs"]:
        run["test_accuracy"] = [0.1 if run["batch_size"] == 5 else 0.9] * 4
    epochs, _ = batch_size.draw(timed)["course"].axes
    assert set(lines(epochs)) == {"50", "200"}


def test_batch_size_names_who_reaches_the_threshold_first(timed):
    course = {5: [0.96] * 4, 50: [0.5, 0.96, 0.96, 0.96], 200: [0.5, 0.5, 0.97, 0.97]}
    for run in timed["runs"]:
        run["test_accuracy"] = course[run["batch_size"]]
    text = finding_of(batch_size.draw(timed)["course"])
    assert text == (
        "0.95 on the test set takes batches of 5 the fewest epochs (1), and batches of 200 the "
        "least time (3 s)"
    )
    for run in select(timed, batch_size=200):
        run["test_accuracy"] = [0.5] * 4
    text = finding_of(batch_size.draw(timed)["course"])
    assert text == "Batches of 5 reach 0.95 on the test set first, in 1 epochs and 4 s"
    for run in timed["runs"]:
        run["test_accuracy"] = [0.1] * 4
    assert "No batch size reaches 0.95" in finding_of(batch_size.draw(timed)["course"])


def test_batch_size_leaves_out_who_diverged_or_finished_no_epoch(timed):
    timed["times"][0]["epoch_seconds"] = [40.0]
    for run in select(timed, batch_size=50, rule="image"):
        run["diverged"] = "training diverged"
    assert set(batch_size.after_equal_time(timed, "mean")) == {50, 200}
    rows = batch_size.tables(timed)[0].rows
    assert rows[0][5:] == ("–", "–") and rows[1][4] == "diverged" and rows[1][6] == "–"
    batch_size.draw(timed)


# --- softmax-vs-sigmoid --------------------------------------------------------------------------


def test_softmax_study_draws_test_accuracy_by_rate():
    result = stored("softmax-vs-sigmoid")
    sigmoid, relu = softmax_vs_sigmoid.draw(result)["rates"].axes
    for axes, activation in ((sigmoid, "sigmoid"), (relu, "relu")):
        for pair in softmax_vs_sigmoid.PAIRS:
            expected = [
                mean(select(result, pair=pair, activation=activation, rate=rate), "test_accuracy")[
                    -1
                ]
                for rate in (1e-3, 1e-2)
            ]
            np.testing.assert_allclose(lines(axes)[pair], [[1e-3, 1e-2], expected])


def test_softmax_study_leaves_collapsed_networks_off_the_figure():
    result = stored("softmax-vs-sigmoid")
    for run in result["runs"]:
        run["test_accuracy"][-1] = 0.95 if run["activation"] == "sigmoid" else 0.9
        if run["rate"] == 1e-2:
            run["test_accuracy"][-1] = 0.1
    for axes in softmax_vs_sigmoid.draw(result)["rates"].axes:
        np.testing.assert_allclose(axes.get_ylim(), [0.89, 0.96])


def test_softmax_study_chooses_the_rate_on_the_training_set():
    result = stored("softmax-vs-sigmoid")
    pair = "sigmoid, log loss"
    for rate, train, test in ((1e-3, 0.99, 0.5), (1e-2, 0.9, 0.98)):
        for run in select(result, pair=pair, activation="relu", rate=rate):
            run["train_accuracy"][-1], run["test_accuracy"][-1] = train, test
    assert softmax_vs_sigmoid.best_rate(result, pair, "relu") == 1e-3
    for run in select(result, pair=pair, activation="relu", rate=1e-3):
        run["diverged"] = "training diverged"
    assert softmax_vs_sigmoid.best_rate(result, pair, "relu") == 1e-2
    _, axes = softmax_vs_sigmoid.draw(result)["course"].axes
    expected = mean(select(result, pair=pair, activation="relu", rate=1e-2), "test_accuracy")
    np.testing.assert_allclose(lines(axes)[pair][1], expected)
    for run in select(result, pair=pair, activation="relu"):
        run["diverged"] = "training diverged"
    rows = {row[0]: row for row in softmax_vs_sigmoid.tables(result)[0].rows}
    assert rows[f"{pair}; relu"] == (f"{pair}; relu", *["diverged"] * 4)
