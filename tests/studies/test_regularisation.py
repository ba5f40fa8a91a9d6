"""The study of the L2 penalty: what its tables and figures show is what its result holds."""

from __future__ import annotations

import json

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import DOCS, lines, stored

from fastmlp.studies import regularisation
from fastmlp.studies.lab.figures import finding_of


@pytest.fixture
def result():
    return stored("regularisation")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def ends(result, scale, lambda2, name):
    return [
        run[name][-1]
        for run in result["runs"]
        if (run["scale"], run["lambda2"]) == (scale, lambda2)
    ]


def as_published(result, test_accuracies):
    """The result with the article's five penalties, one seed each, and these test accuracies."""
    template = result["runs"][0]
    result["quick"], result["config"]["data"] = False, "mnist"
    result["config"]["lambdas"] = [0.01, 0.1, 0.2, 0.4, 0.8]
    result["config"]["other_scales"] = []
    result["runs"] = [
        template
        | {"lambda2": lambda2, "seed": seed, "test_accuracy": [accuracy + seed / 1000] * 12}
        for lambda2, accuracy in test_accuracies.items()
        for seed in (0, 1)
    ]
    return result


def test_accuracies_of_all_seeds_are_drawn_over_lambda(result):
    sweep, scales = regularisation.draw(result)["accuracy"].axes
    drawn = lines(sweep)
    lambdas = result["config"]["lambdas"]
    for part in ("train", "test"):
        values = [ends(result, "feature", x, f"{part}_accuracy") for x in lambdas]
        expected = [lambdas, np.mean(values, axis=1)]
        np.testing.assert_allclose(drawn[f"{part}, mean of seeds"], expected)
        expected = [np.repeat(lambdas, 2), np.ravel(values)]
        np.testing.assert_allclose(drawn[f"{part}, each seed"], expected)
    assert "published" not in drawn  # these are digits
    raw = [line for line in scales.get_lines() if line.get_xdata()[0] == 1]
    drawn_raw = [y for line in raw for y in line.get_ydata()]
    expected = [
        y for part in ("train", "test") for y in ends(result, "none", 0.2, f"{part}_accuracy")
    ]
    np.testing.assert_allclose(drawn_raw, expected)


def test_published_values_stand_beside_those_of_the_articles_experiment(result):
    accuracies = {0.01: 0.966, 0.1: 0.971, 0.2: 0.973, 0.4: 0.969, 0.8: 0.959}
    result = as_published(result, accuracies)
    figure = regularisation.draw(result)["accuracy"]
    published = [line for line in figure.axes[0].get_lines() if line.get_marker() == "D"]
    drawn = {tuple(point) for line in published for point in np.array(line.get_data()).T}
    assert (0.2, 0.9728) in drawn and (0.8, 0.9705) in drawn and len(drawn) == 10
    trained = result["runs"][0]["train_accuracy"][-1]
    assert finding_of(figure) == (
        "Best on the test set: λ2 = 0.2 with 0.9735 (published 0.9728); λ2 = 0.01 has 0.9665 there "
        f"and {trained:.4f} in training; λ2 = 0.8 has 0.9595 there and {trained:.4f} in training"
    )
    row = regularisation.tables(result)[0].rows[2]
    assert row[:5] == ("0.2", "0.9946", row[2], "0.9728", "0.9735 (0.9730 to 0.9740)")
    assert row[5] == "700"


@pytest.mark.parametrize(
    ("change", "holds"),
    [({}, True), ({0.1: 0.9739}, True), ({0.1: 0.9751}, False), ({0.8: 0.975}, False)],
    ids=["as published", "within the spread", "0.1 is best", "0.8 is best"],
)
def test_ordering_holds_up_to_the_spread_of_the_seeds(result, change, holds):
    accuracies = {0.01: 0.966, 0.1: 0.971, 0.2: 0.973, 0.4: 0.969, 0.8: 0.959} | change
    assert regularisation.ordering_holds(as_published(result, accuracies)) is holds


def test_published_full_run_has_the_ordering_and_the_accuracy_of_the_article():
    path = DOCS / "regularisation.json"
    if not path.exists():
        pytest.skip("no docs beside the tests")
    result = json.loads(path.read_text())
    assert regularisation.ordering_holds(result)
    assert max(regularisation.mean_test_accuracies(result).values()) >= 0.972
    lambdas = result["config"]["lambdas"]
    runs = {x: regularisation.runs_of(result, "feature", x) for x in lambdas}
    train = [regularisation.final(runs[x], "train_accuracy").mean() for x in lambdas]
    assert sorted(train, reverse=True) == train and lambdas == sorted(lambdas)
    for of_lambda in runs.values():
        share = np.mean([run["batch_share"] for run in of_lambda], axis=0)
        assert share[-1] > 0.5 > share[0] and (np.diff(share) > -0.001).all()


def test_ordering_of_other_penalties_is_not_judged(result):
    assert regularisation.ordering_holds(result) is None


def test_share_of_the_penalty_is_drawn_with_its_range_over_the_batches(result):
    (axes,) = regularisation.draw(result)["share"].axes
    runs = [run for run in result["runs"] if run["scale"] == "feature" and run["lambda2"] == 0.2]
    x, y = lines(axes)["λ2 = 0.2"]
    np.testing.assert_allclose(x, runs[0]["epochs"])
    np.testing.assert_allclose(y, 100 * np.mean([run["batch_share"] for run in runs], axis=0))
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    low = 100 * np.mean([run["batch_share_low"] for run in runs], axis=0)
    assert np.isclose(band.min(), low.min())


def test_course_of_both_accuracies_is_drawn(result):
    train, test = regularisation.draw(result)["course"].axes
    for axes, part in ((train, "train"), (test, "test")):
        runs = [
            run for run in result["runs"] if (run["scale"], run["lambda2"]) == ("feature", 0.01)
        ]
        _, y = lines(axes)["λ2 = 0.01"]
        np.testing.assert_allclose(y, np.mean([run[f"{part}_accuracy"] for run in runs], axis=0))


def test_convergence_is_where_the_training_accuracy_comes_to_rest():
    run = {"epochs": [1, 5, 9, 13], "train_accuracy": [0.5, 0.98, 0.9896, 0.99]}
    assert regularisation.converged_after(run) == 9
    assert regularisation.converged_after(run | {"train_accuracy": [0.99] * 4}) == 1


def test_runs_that_diverged_are_left_out_and_named_in_the_table(result):
    for run in result["runs"]:
        if run["scale"] == "none":
            run |= {"diverged": "training diverged", "epochs": [], "test_accuracy": []}
    for run in result["runs"]:
        if run["lambda2"] == 0.01:
            run["diverged"] = "training diverged"
    strengths, scales = regularisation.tables(result)
    assert scales.rows[-1] == ("raw pixels", *["diverged"] * 8)
    assert strengths.rows[0] == ("0.01", *["diverged"] * 8)
    figures = regularisation.draw(result)
    assert lines(figures["accuracy"].axes[0])["test, mean of seeds"][0].tolist() == [0.2]
