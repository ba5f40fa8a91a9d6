"""Every example runs without a warning, and what it prints is true."""

from __future__ import annotations

import importlib.util
import re
import runpy
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from fastmlp import datasets

matplotlib.use("Agg")

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGES_OF_THE_GALLERY = {
    "autoencoder": {r"network: (\d+)%": (0, 50), r"components: (\d+)%": (65, 75)},
    "average_of_networks": {r"mean of ten: ([\d.]+)\n": (0.08, 0.15)},
    "custom_loss": {r"mean demand: ([\d.]+)": (38, 45), r"custom loss: ([\d.]+)": (28, 35)},
    "resume_a_run": {r"cut off after (\d+)": (17, 17), r"last bit: (True)": None},
    "serve_predictions": {r"difference (\S+)\n": (0, 1e-5), r"estimator +([\d.]+)": (0, 1e5)},
    "sparse_text": {r"accuracy ([\d.]+);": (0.8, 1), r"topic alone: ([\d.]+)": (0, 0.5)},
    "windows_of_a_series": {
        r"as today: wrong by ([\d.]+)": (2.2, 2.3),
        r"network: wrong by ([\d.]+)": (1.9, 2.18),
    },
}
"""Scripts without arguments, and the numbers that they print: pattern, least and greatest."""

SECONDS_LONG = {"autoencoder", "average_of_networks", "sparse_text"}
"""Those that take seconds; `make docs` runs them too."""

SCRIPTS = (
    "categorical_columns",
    "mnist_pipeline",
    "optuna_pruning",
    "quantile_intervals",
    "search_sizes",
    "table_of_strikes",
)


def example(name):
    """A script of examples/ as a module."""
    path = EXAMPLES / f"{name}.py"
    if not path.exists():
        pytest.skip("no examples beside the tests")
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def number(pattern, text):
    """The first group of a pattern as a number."""
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])


def test_all_examples_are_tested():
    if not EXAMPLES.exists():
        pytest.skip("no examples beside the tests")
    expected = sorted([*SCRIPTS, *PAGES_OF_THE_GALLERY])
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == expected


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.soak] if name in SECONDS_LONG else [])
        for name in PAGES_OF_THE_GALLERY
    ],
)
def test_a_page_of_the_gallery_prints_and_draws_what_it_should(name, capsys):
    path = EXAMPLES / f"{name}.py"
    if not path.exists():
        pytest.skip("no examples beside the tests")
    plt.close("all")
    runpy.run_path(str(path))
    figures = [plt.figure(number) for number in plt.get_fignums()]
    assert figures and all(figure.get_axes() for figure in figures)
    plt.close("all")
    text = capsys.readouterr().out
    for pattern, limits in PAGES_OF_THE_GALLERY[name].items():
        if limits is None:
            assert re.search(pattern, text), text
        else:
            assert limits[0] <= number(pattern, text) <= limits[1], text


def test_optuna_prunes_and_finds(capsys):
    study = example("optuna_pruning").main(["--quick"])
    text = capsys.readouterr().out
    assert number(r"12 trials, (\d+) pruned", text) > 0
    assert number(r": (\d+) epochs of 96", text) < 90
    assert number(r"lowest validation loss: ([\d.]+)", text) == round(study.best_value, 4) < 0.5


def test_mnist_in_a_pipeline_recognizes_what_it_should(capsys, tmp_path):
    script = example("mnist_pipeline")
    script.main(["--quick", "--out", str(tmp_path)])
    text = capsys.readouterr().out
    if datasets.find("mnist"):
        assert "5000 images of mnist, 20 epochs" in text
        # Logistic regression on these 5,000 images is right in 90 of 100 cases.
        assert number(r"10000 test images: ([\d.]+)", text) > 0.92
    else:
        assert "MNIST is not on this computer" in text
    assert (tmp_path / "mnist_pipeline.png").stat().st_size > 10_000


def test_without_mnist_the_first_example_says_so_and_takes_digits(capsys, monkeypatch):
    script = example("mnist_pipeline")
    monkeypatch.setattr(datasets, "find", lambda name: None)
    script.main(["--quick"])
    text = capsys.readouterr().out
    assert text.startswith(
        "MNIST is not on this computer, so these are scikit-learn's 8 x 8 digits"
    )
    assert "1297 images of digits" in text
    assert number(r"500 test images: ([\d.]+)", text) > 0.9


def test_most_confused_digits_are_counted():
    most_confused = example("mnist_pipeline").most_confused
    true, taken = np.array([3, 3, 3, 4, 4, 9]), np.array([3, 5, 5, 9, 4, 9])
    digits = np.arange(10)  # each once, and right
    assert most_confused(np.r_[digits, true], np.r_[digits, taken]) == (3, 5, 2)


def test_categorical_columns_of_real_collisions(capsys):
    """As good as a linear model that is trained to the end; class weights move the predictions."""
    script = example("categorical_columns")
    script.main()
    text = capsys.readouterr().out
    assert text.startswith("6272 collisions before 1999 to train on, 941 of 1999 to stop by, 2787")
    numbers = r" +([\d.]+) +([\d.]+)% +([\d.]+)%"
    line, plain, balanced = (
        [float(x) for x in re.search(re.escape(name) + numbers, text).groups()]
        for name in ("logistic regression", "class_weight=None", "class_weight=balanced")
    )
    assert line[0] > 0.75
    assert min(plain[0], balanced[0]) > line[0] - 0.02
    assert plain[1] < 30 < 60 < balanced[1]
    assert plain[2] > balanced[2] > 15  # 10.4 % are right if all are alarmed


def test_collisions_are_read_as_they_are_in_the_file():
    strikes = example("categorical_columns").load()
    assert strikes.X.shape == (10_000, 9) and (strikes.y == "damage").sum() == 1061
    assert strikes.X[0].tolist() == [
        300.0,
        "01",
        "T-38A",
        "MILITARY",
        "Louisiana",
        "Climb",
        "Day",
        "Large",
        "Turkey vulture",
    ]
    assert np.isnan(strikes.X[:, 0].astype(float)).sum() == 2836
    assert (np.diff(strikes.year) >= 0).all() and strikes.year[[0, -1]].tolist() == [1990, 2002]


def test_intervals_hold_as_many_days_as_they_say(capsys, tmp_path):
    script = example("quantile_intervals")
    script.main(["--out", str(tmp_path)])
    text = capsys.readouterr().out
    for level, least_new in ((90, 80), (50, 38)):
        found = re.search(
            rf"of {level}%: holds ([\d.]+)% .* on; of 2015 ([\d.]+)%, and ([\d.]+)% after", text
        )
        trained, raw, new = map(float, found.groups())
        assert trained == pytest.approx(level, abs=2)
        assert least_new < raw < new < level + 5  # weather of one year deviates as a whole
    assert "crossing quantiles: 0\n" in text
    network, line = map(float, re.findall(r"([\d.]+) °C", text))
    assert network < 1.05 * line
    assert (tmp_path / "quantile_intervals.png").stat().st_size > 10_000


def test_the_year_is_a_circle_and_the_pinball_loss_that_of_its_definition():
    script = example("quantile_intervals")
    first, last = script.circle(np.array([[0.0, 1.0], [365.25, 1.0]]))
    np.testing.assert_allclose(first, last, atol=1e-12)
    y, q = np.array([1.0, 4.0]), np.full((2, 5), 2.0)
    by_hand = np.mean([[(1 - a) * 1.0, a * 2.0] for a in script.LEVELS])
    assert script.pinball(y, q) == pytest.approx(by_hand)


def test_temperatures_are_split_at_the_new_year():
    train, held_out, test = example("quantile_intervals").load()
    assert (train.X.shape, held_out.X.shape, test.X.shape) == ((1462, 2), (730, 2), (730, 2))
    assert (test.of(0).y[0], test.of(1).y[0]) == (4.4, 5.6)
    assert len(test.of(1).y) == 365 and set(test.X[:, 0]) == set(range(365))
    assert 365.0 in train.X[:, 0]  # 2012 had a day more


@pytest.mark.parametrize("name", ["mnist_pipeline", "quantile_intervals"])
def test_a_figure_without_matplotlib_is_refused_before_any_work(name, monkeypatch, capsys):
    script = example(name)
    monkeypatch.setattr(script, "find_spec", lambda package: None)
    monkeypatch.setattr(script, "load", lambda: pytest.fail("it began"))
    with pytest.raises(SystemExit):
        script.main(["--out", "pictures"])
    assert "--out needs matplotlib, which pip install 'fastmlp[plots]' brings" in (
        capsys.readouterr().err
    )


def test_search_over_sizes_gives_the_same_scores_on_one_thread_and_on_two(capsys):
    script = example("search_sizes")
    one, two = (script.main(["--quick", "--jobs", jobs]) for jobs in ("1", "2"))
    text = capsys.readouterr().out
    scores = one.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores, two.cv_results_["mean_test_score"])
    first_line = re.search(r"accuracy\n(\S+) +(\S+) +(\S+)", text).groups()
    assert first_line == (*map(str, one.best_params_.values()), f"{scores.max():.4f}")
    assert "30 fits in" in text


def test_examples_are_listed_with_their_data_and_figures():
    if not EXAMPLES.exists():
        pytest.skip("no examples beside the tests")
    text = (EXAMPLES / "README.md").read_text()
    for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("data/*"), *EXAMPLES.glob("*.png")]:
        assert str(path.relative_to(EXAMPLES)) in text


@pytest.mark.soak
def test_the_table_of_strikes_is_learned_better_than_by_boosting(capsys, tmp_path):
    script = example("table_of_strikes")
    script.main(["--out", str(tmp_path)])
    text = capsys.readouterr().out
    ours = number(r"TabularClassifier: AUC ([\d.]+)", text)
    student = number(r"learned from the ensemble: AUC ([\d.]+)", text)
    assert ours > number(r"gradient boosting: AUC ([\d.]+)", text)
    assert student > ours - 0.02
    assert number(r"one network: (\d+) µs", text) < number(r"boosting: (\d+) µs", text)
    assert "species" in text.splitlines()[-1]
    assert (tmp_path / "table_of_strikes.png").stat().st_size > 5_000
