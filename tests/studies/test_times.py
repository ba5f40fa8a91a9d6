"""Figures and tables of the studies of time show the numbers of a stored result."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from study_tools import lines, run_tiny, select, stored

from fastmlp import reference
from fastmlp.studies import bias_variants, performance, products, threads
from fastmlp.studies.lab.figures import finding_of


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# --- bias-variants -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forward():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((5, 8), (4, 6), (3, 5))]
    zs, activations = reference.forward(
        weights, reference.input_layer(rng.normal(size=(11, 7)), slice(None)), ["sigmoid"] * 3
    )
    delta = activations[-1] - rng.uniform(size=(3, 11))
    return bias_variants.Forward(weights, zs, activations, delta)


@pytest.mark.parametrize("version", reference.VERSIONS)
@pytest.mark.parametrize("bias", reference.BIAS_TREATMENTS)
def test_timed_back_propagation_gives_the_gradients_of_the_reference(forward, version, bias):
    found, milliseconds = bias_variants.timed_backward(forward, version, bias, 0.3)
    expected = reference.backward(*forward, ["sigmoid"] * 3)
    for gradient, wanted, w in zip(found, expected, forward.weights, strict=True):
        penalty = 0.3 * w
        penalty[:, 0] = 0
        np.testing.assert_allclose(gradient, wanted + penalty, rtol=1e-12)
    assert milliseconds.shape == (3, 6) and (milliseconds[:, 4:] > 0).all()
    assert (milliseconds[0, :4] > 0).all() == (version == "V1.0")


def test_bias_variants_stacks_the_parts_of_every_layer():
    result = stored("bias-variants")
    figure = bias_variants.draw(result)["parts"]
    for axes, batch in zip(figure.axes, result["batches"], strict=True):
        heights = np.reshape([bar.get_height() for bar in axes.patches], (6, 5))
        for i, variant in enumerate(bias_variants.SHOWN):
            layers = bias_variants.variant_of(batch, *variant)["layers"]
            np.testing.assert_allclose(heights[:, i], np.sum(layers, axis=0))


def test_bias_variants_draws_medians_and_quartiles_of_the_whole():
    result = stored("bias-variants")
    axes = bias_variants.draw(result)["variants"].axes[1]
    batch = result["batches"][1]
    for container, bias in zip(axes.containers, reference.BIAS_TREATMENTS, strict=True):
        found = [bias_variants.variant_of(batch, v, bias) for v in reference.VERSIONS]
        np.testing.assert_allclose(container[0].get_ydata(), [v["total"] for v in found])
        segments = container[2][0].get_segments()
        ends = [[v["q1"], v["q3"]] for v in found]
        np.testing.assert_allclose([[y for _, y in segment] for segment in segments], ends)


def test_bias_variants_sets_published_times_beside_its_own():
    result = stored("bias-variants")
    assert not any("published" in row[0] for row in bias_variants.tables(result)[1].rows)
    result["batches"][0]["batch"] = 500
    table = bias_variants.tables(result)[1]
    assert table.rows[0] == (
        "layer 2, published",
        "0.117 – 0.293",
        "0.350 – 1.103",
        "0.029 – 0.185",
        "0.009 – 0.104",
        "0.036 – 0.102",
        "0.024 – 0.025",
    )
    assert table.rows[12][:5] == ("layer 0, published", "–", "–", "–", "–")
    first, *others = table.rows[13:]
    assert first[0] == "layer 0, V1.0 row added" and "–" not in first
    assert [row[1:5] for row in others] == [("–",) * 4] * 4
    axes = bias_variants.draw(result)["parts"].axes[0]
    published = [bars[0].get_height() for bars in axes.containers]
    derivatives = np.mean([0.353, 0.350, 1.103]) + np.mean([0.781, 0.785, 0.672])
    np.testing.assert_allclose(published[1], derivatives)


def test_bias_variants_says_whether_a_treatment_is_faster_than_chance():
    result = stored("bias-variants")
    for batch in result["batches"]:
        for variant in batch["variants"]:
            slow = variant["bias"] == "row_added"
            variant |= {"total": 3.0 if slow else 2.0, "q1": 1.9, "q3": 3.1}
    for variant in result["batches"][1]["variants"]:
        variant |= {"q1": variant["total"] - 0.1, "q3": variant["total"] + 0.1}
    title = finding_of(bias_variants.draw(result)["variants"])
    assert title == (
        "In V1.6, at batch 50 the treatments take the same time, as far as can be measured; at "
        "batch 200 “row added” takes 50 % longer than “weights sliced”"
    )


def test_unknown_variant_is_no_part_of_a_result():
    with pytest.raises(KeyError, match="V2, none"):
        bias_variants.variant_of(stored("bias-variants")["batches"][0], "V2", "none")


# --- performance ---------------------------------------------------------------------------------


@pytest.fixture
def measured():
    """As the article's experiment, NumPy 5 seconds, this engine 2, in the best of two rounds."""
    result = stored("performance")
    result["quick"] = False
    result["config"] |= {
        "data": "mnist",
        "n_epochs": 35,
        "n_rounds": 2,
        "batch_sizes": [500, 20_000],
        "rates": [1e-3, 1e-4],
    }
    names = {50: 500, 200: 20_000}
    rates = {1e-2: 1e-3, 1e-3: 1e-4}
    for run in result["runs"]:
        run |= {"batch": names[run["batch"]], "rate": rates[run["rate"]]}
        run["total_seconds"] = {"numpy": 5.0, "native": 2.0}[run["engine"]]
    slow = [run | {"round": 2, "total_seconds": 9.0} for run in result["runs"]]
    keras = [
        run
        | {
            "engine": "keras",
            "threads": 2,
            "total_seconds": 7.0,
            "end": None,
            "mean_errors": [],
            "batch_accuracies": [],
        }
        for run in result["runs"]
        if run["engine"] == "numpy"
    ]
    result["runs"] += slow + keras
    return result


def test_performance_draws_the_best_round_beside_the_article(measured):
    figure = performance.draw(measured)["time"]
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    seconds = dict(zip(names, [bar.get_width() for bar in left.patches], strict=True))
    assert seconds["article, Step III"] == 7.52573 and seconds["article, Step II"] == 9.6
    assert seconds["NumPy reference, 1 thread"] == 5.0 and seconds["fastmlp, 1 thread"] == 2.0
    assert seconds["Keras, 2 threads"] == 7.0
    assert right.patches[1].get_width() == 6.71698
    assert finding_of(figure) == (
        "35 epochs take the engine 2.00 s at batch 500 (2.5 times NumPy's speed) and 2.00 s at "
        "batch 20000 (2.5 times NumPy's speed)"
    )


def test_performance_draws_accuracy_per_epoch_for_both_rates(measured):
    errors, accuracies = performance.draw(measured)["accuracy"].axes
    run = select(measured, engine="native", batch=500, rate=1e-3)[0]
    x, y = lines(errors)["batch 500, rate 0.001"]
    np.testing.assert_allclose(x, np.arange(4) + 0.5)
    np.testing.assert_allclose(y, 1 - np.array(run["mean_errors"]))
    assert lines(errors)["published: 0.99272"][1] == 0.99272 and len(errors.get_lines()) == 4 + 2
    drawn = accuracies.get_lines()
    np.testing.assert_allclose(drawn[0].get_ydata(), run["batch_accuracies"])
    assert len(drawn) == 4


def test_performance_tables_have_the_published_ends(measured):
    times, _, ends = performance.tables(measured)
    assert times.rows[0][:2] == ("article, before Step I", "47.00")
    assert times.rows[5][:2] == ("fastmlp, 1 thread", "2.000 (to 9.000)")
    assert ends.rows[0] == (
        "batch 500, rate 0.001, published",
        "0.00099940518",
        "65.44",
        "12.30%",
        "0.00758",
        "0.99272",
        "",
        "",
    )
    assert len(ends.rows) == 4 + 2


def test_performance_of_other_data_stands_alone():
    result = stored("performance")
    assert performance.published_seconds(result, 500) == {}
    assert not any(
        "article" in row[0] for table in performance.tables(result) for row in table.rows
    )


def test_performance_runs_every_engine_and_thread_count_in_every_round():
    config = performance.Config(n_rounds=2)
    cases = performance.cases_of(config)
    assert len({tuple(case.items()) for case in cases}) == len(cases) == 2 * 2 * 5 + 2
    last = {"engine": "native", "threads": 2, "batch": 20_000, "rate": 1e-3, "round": 1}
    assert cases[-1] == last


def test_performance_asks_the_benchmark_for_keras(monkeypatch):
    from fastmlp.bench import runner

    asked = []

    def run_one(plan, contender, job, index):
        asked.append((contender.name, job.batch_size, job.learning_rate, plan.n_threads))
        return {"median_seconds": 0.5, "accuracy": 0.9, "versions": {"keras": "3"}}

    monkeypatch.setattr(runner, "run_one", run_one)
    case = {"batch": 500, "rate": 1e-3, "threads": 2}
    found = performance._time_keras(case, performance.Config(n_epochs=7))
    assert asked == [("keras", 500, 1e-3, 2)]
    assert (found["total_seconds"], found["test_accuracy"]) == (3.5, 0.9)
    monkeypatch.setattr(runner, "run_one", lambda *arguments: {"error": "no memory"})
    with pytest.raises(ChildProcessError, match=r"^Keras failed: no memory$"):
        performance._time_keras(case, performance.Config())


# --- threads -------------------------------------------------------------------------------------


def test_threads_draws_the_points_of_every_sweep():
    result = stored("threads")
    (sweep,) = result["sweeps"]
    two = {"n_threads": 2, "speed_up": 1.6, "efficiency": 0.8}
    faster = ("seconds", "q1_seconds", "q3_seconds")
    more = [point | two | {name: point[name] / 1.6 for name in faster} for point in sweep["points"]]
    sweep["points"] += more
    figure = threads.draw(result)["batch-50"]
    finding = (
        "Batch 50: fastmlp is fastest with 2 (1.60 times one thread), NumPy with 2 (1.60 times)"
    )
    assert finding_of(figure) == finding
    points = [point for point in sweep["points"] if point["engine"] == "native"]
    drawn = np.array(figure.axes[0].containers[0][0].get_ydata(), float)
    np.testing.assert_allclose(drawn, [point["seconds"] for point in points])
    np.testing.assert_allclose(lines(figure.axes[1])["fastmlp"], [[1, 2], [1, 1.6]])
    rows = threads.tables(result)[0].rows
    names = [f"{threads.NAMES[point['engine']]}, 1" for point in sweep["points"][:2]]
    assert [row[0] for row in rows[:2]] == names
    assert "the same bits everywhere" in threads.tables(result)[0].title
    sweep["same_bits"] = False
    assert "DIFFERENT BITS" in threads.tables(result)[0].title


# --- products ------------------------------------------------------------------------------------


def ratios(*pairs):
    """Runs of widths with times of BLAS over those of own products."""
    return [
        {"width": width, "median_seconds": {"blas": ratio, "own": 1.0}} for width, ratio in pairs
    ]


def test_the_crossover_lies_between_the_widths_where_the_faster_one_changes():
    assert products.crossover(ratios((32, 2.0), (128, 0.5))) == pytest.approx(64)
    assert products.crossover(ratios((32, 2.0), (64, 0.9), (128, 1.1), (256, 0.9))) == (
        pytest.approx(128 * 2**0.475, rel=0.01)
    )
    assert products.crossover(ratios((32, 2.0), (128, 1.5))) is None
    assert products.crossover(ratios((32, 0.9), (128, 0.5))) == 0


def test_products_are_timed_in_turns_and_drawn_as_ratios():
    result = run_tiny("products")
    narrow, wide = result["runs"]
    assert [narrow["panels"], wide["panels"]] == [[False] * 3, [True, True, False]]
    for each in result["runs"]:
        assert {name: len(times) for name, times in each["epoch_seconds"].items()} == {
            "blas": 2,
            "own": 2,
        }
        assert each["median_seconds"]["own"] == pytest.approx(
            np.median(each["epoch_seconds"]["own"])
        )
    narrow["median_seconds"], wide["median_seconds"] = (
        {"blas": 3.0, "own": 2.0},
        {"blas": 1.0, "own": 2.0},
    )
    (axes,) = products.draw(result)["ratio"].axes
    np.testing.assert_allclose(lines(axes)["batch 50"], [[16, 144], [1.5, 0.5]])
    assert finding_of(axes.figure) == (
        "Up to 16 nodes (dashed) BLAS takes 1.50 to 1.50 times as long, beyond 0.50 to 0.50"
    )
    (table,) = products.tables(result)
    assert table.columns == ("", "w = 16", "w = 144", "crossover")
    assert table.rows == (("batch 50, 1 thread", "1.50", "0.50", "36"),)
