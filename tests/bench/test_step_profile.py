"""The profile of a step: it does the step that it times, and its tables say what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastmlp import Network, reference
from fastmlp.bench import engine_profile, step_profile
from fastmlp.bench.step_profile import ARTICLE_VARIANTS, Settings, Variant
from fastmlp.cli import profile as profile_command
from fastmlp.cli.main import main
from fastmlp.losses import Loss
from fastmlp.optimizers import SGD
from fastmlp.reference.engine import ReferenceEngine

SIZES = (6, 5, 4, 3)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 6)), np.eye(3)[np.arange(60) % 3]
SETTINGS = Settings(batch_size=20, learning_rate=0.1, momentum=0.4, l2=0.3)
BACK_PROPAGATION = {"ta-bp", "tib-bp 2", "tib-bp 1", "tib-bp 0", "tb-bp"}


def trained_by_reference(rows, n_steps):
    """Weights after steps on the same rows, done by the reference engine."""
    network = Network(SIZES, dtype="float64", random_state=1)
    engine = ReferenceEngine(SIZES, network.functions, Loss("log_loss"), "float64")
    states = np.zeros((1, network.n_parameters))
    records = [np.empty(n_steps) for _ in range(4)]
    engine.train(
        network.parameters, states, X, Y, order=np.tile(rows, n_steps), sample_weights=None,
        batch_size=20, first_batch=0, last_batch=n_steps, optimizer=SGD(momentum=0.4),
        learning_rate=0.1, n_steps=0, l1=0.0, l2=0.3, l1_cost=0.0, mean_reduction=False,
        penalty_scale="per_batch", costs=records[0], penalties=records[1], errors=records[2],
        accuracies=records[3],
    )  # fmt: skip
    return network.parameters


@pytest.mark.parametrize("version", reference.VERSIONS)
@pytest.mark.parametrize("bias", reference.BIAS_TREATMENTS)
def test_a_timed_step_is_the_step_of_the_reference(version, bias):
    network = Network(SIZES, dtype="float64", random_state=1)
    memory, rows = np.zeros(network.n_parameters), RNG.permutation(60)[:20]
    for _ in range(3):
        found = step_profile.timed_step(
            network, memory, X, Y, rows, SETTINGS, Variant(version, bias)
        )
    np.testing.assert_allclose(network.parameters, trained_by_reference(rows, 3), rtol=1e-10)
    assert found.keys() == {*step_profile.POINTS} | BACK_PROPAGATION
    assert min(found.values()) > 0
    parts = [found[name] for name in BACK_PROPAGATION - {"tb-bp"}]
    assert found["ta-bp"] < found["td"] and sum(parts) <= found["td"]


@pytest.mark.parametrize("version, layers", [("V1.0", [2, 1, 0]), ("V1.5", [2, 1])])
def test_the_oldest_version_also_times_the_delta_of_the_input_layer(version, layers, monkeypatch):
    seen, layer_delta = [], reference.layer_delta

    def count(w, *arguments):
        seen.append(SIZES.index(w.shape[1] - 1))
        assert arguments[-2:] == (version, "row_added")
        return layer_delta(w, *arguments)

    monkeypatch.setattr(reference, "layer_delta", count)
    network = Network(SIZES, dtype="float64", random_state=1)
    memory = np.zeros(network.n_parameters)
    step_profile.timed_step(
        network, memory, X, Y, np.arange(20), SETTINGS, Variant(version, "row_added")
    )
    assert seen == layers


def test_medians_are_taken_over_the_steps_without_the_first(monkeypatch):
    counts = iter(range(1000))

    def timed_step(*_):
        return {point: 100.0 * next(counts) for point in step_profile.POINTS}

    monkeypatch.setattr(step_profile, "timed_step", timed_step)
    (found,) = step_profile.profile_reference(SIZES, X, Y, SETTINGS, ARTICLE_VARIANTS[:1], 3)
    # The second of three steps after the first has the numbers 12 to 17.
    assert found == dict.fromkeys(step_profile.POINTS) | {
        point: 1200.0 + 100 * i for i, point in enumerate(step_profile.POINTS)
    } | {"step": 100.0 * sum(range(12, 18))}


def test_points_of_the_engine_are_differences_of_its_calls(monkeypatch):
    calls = dict(predict=3.0, evaluate=5.0, gradient=9.0, train=10.0, train_shuffled=10.5)
    monkeypatch.setattr(engine_profile.EngineCalls, "times", lambda self: calls)
    found = engine_profile.profile_engine(SIZES, X, Y, SETTINGS, (1, 2), 3)
    points = {"ti": 0.5, "ta": 3.0, "tb+tc": 2.0, "td": 4.0, "tf": 1.0, "step": 10.5}
    assert found == [points, points]
    assert sum(points[name] for name in engine_profile.POINTS) == points["step"]


def test_calls_of_the_engine_do_what_their_names_say():
    calls = engine_profile.EngineCalls(SIZES, X, Y, SETTINGS, 1)
    start = calls.parameters.copy()
    assert (calls.n_batches, len(calls.x)) == (3, 60)
    engine = ReferenceEngine(SIZES, ("sigmoid",) * 3, Loss("log_loss"), "float64")
    assert set(calls.times()) == {"predict", "evaluate", "gradient", "train", "train_shuffled"}
    assert not np.array_equal(calls.parameters, start)  # by the steps of the last two
    calls.parameters[...] = start
    calls.predict()
    calls.gradient()
    outputs, gradient = np.empty_like(Y), np.empty_like(start)
    engine.predict(start, X, outputs)
    engine.gradient(start, X, Y, None, gradient)
    np.testing.assert_allclose(calls.outputs, outputs, rtol=1e-12)
    np.testing.assert_allclose(calls.gradient_out, gradient, rtol=1e-9, atol=1e-12)


def test_layers_are_profiled_with_both_kernels_in_networks_of_their_shape():
    found = engine_profile.profile_layers((20, 7, 3), np.dtype("float32"), SETTINGS, (1, 2), 2)
    assert [(layer.n_in, layer.n_out, layer.products, layer.n_threads) for layer in found] == [
        (*shape, products, n)
        for shape in ((20, 7), (7, 3))
        for products in ("own", "blas")
        for n in (1, 2)
    ]
    assert [layer.flop for layer in found] == [2 * 20 * 20 * 7] * 4 + [2 * 20 * 7 * 3] * 4
    assert [layer.chosen for layer in found] == [True, True, False, False] * 2
    assert all(layer.forward > 0 for layer in found)
    wide = engine_profile.profile_layers((300, 200), np.dtype("float32"), Settings(4), (1,), 1)
    assert [layer.chosen for layer in wide] == [True, False]


@pytest.mark.parametrize("products, narrow", [("own", True), ("blas", False)])
def test_the_engine_of_a_layer_has_the_kernels_that_are_named(products, narrow):
    x, y = np.ones((20, 30), np.float32), np.ones((20, 7), np.float32)
    calls = engine_profile.EngineCalls(
        (30, 7), x, y, SETTINGS, 1, ("identity",), "squared_error", products
    )
    assert calls.engine.network_plan.narrow == (narrow,)
    assert calls.engine.uses_blas == (not narrow)


def test_products_of_the_whole_process_are_those_of_the_profile(monkeypatch):
    monkeypatch.setenv("FASTMLP_PRODUCTS", "blas")
    calls = engine_profile.EngineCalls((6, 5, 4, 3), X, Y, SETTINGS, 1)
    assert calls.engine.network_plan.narrow == (False, False, False)
    found = engine_profile.profile_layers((6, 5), np.dtype("float32"), SETTINGS, (1,), 1)
    assert [(layer.products, layer.chosen) for layer in found] == [("own", False), ("blas", True)]


# --- The command ----------------------------------------------------------------------------------


def run(capsys, *words):
    code = main(["profile", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_command_prints_a_table_for_reference_engine_and_layers(capsys, tmp_path):
    path = tmp_path / "profile.json"
    code, out, err = run(
        capsys, "--data", "digits", "--shape", "64,9,10", "--batch-size", "50", "--threads", "1,2",
        "--versions", "V1.5,V1.6", "--repetitions", "2", "--json", str(path),
    )  # fmt: skip
    assert (code, err) == (0, "")
    title, _, header, *rows = out.splitlines()
    assert "network 64-9-10, batch size 50, float32; milliseconds, medians of 2 steps" in title
    assert header.split() == [
        "NumPy", "reference", "threads", "ti", "ta", "tb", "tc", "ta-bp", "tib-bp", "1", "tib-bp",
        "0", "tb-bp", "td", "tf", "step",
    ]  # fmt: skip
    assert [row.split()[:4] for row in rows[:4]] == [
        [f"{version},", *bias, threads]
        for threads in "12"
        for version, bias in (("V1.5", ["row", "added"]), ("V1.6", ["product", "sliced"]))
    ]
    assert rows[5].split() == ["fastmlp", "threads", "ti", "ta", "tb+tc", "td", "tf", "step"]
    assert [row.split()[:-4] for row in rows[10:18]] == [
        [*shape.split(), *kernels, n]
        for shape in ("64 x 9", "9 x 10")
        for kernels in (["fastmlp", "chosen"], ["BLAS"])
        for n in "12"
    ]
    record = json.loads(path.read_text())
    shown = [row.split()[4:] for row in rows[:4]]
    for values, entry in zip(shown, record["reference"], strict=True):
        times = [entry["milliseconds"][name] for name in header_names(header)]
        assert values == [f"{value:.3f}" for value in times]
    assert record["sizes"] == [64, 9, 10] and record["batch_size"] == 50
    assert [entry["threads"] for entry in record["engine"]] == [1, 2]
    assert len(record["layers"]) == 8 and "processor" in record["environment"]


def test_any_shape_is_profiled_on_random_rows(capsys):
    code, out, err = run(
        capsys, "--shape", "20,5,1", "--batch-size", "8", "--threads", "1", "--versions", "V1.6",
        "--bias", "weights_sliced,row_added", "--repetitions", "1", "--dtype", "float64",
    )  # fmt: skip
    assert (code, err) == (0, "")
    title, *rows = out.splitlines()
    assert title.startswith("random rows: network 20-5-1, batch size 8, float64; milliseconds")
    assert [row.split()[1:3] for row in rows[2:4]] == [["weights", "sliced"], ["row", "added"]]


def header_names(header):
    """The names of the columns after the first two; those of the layers have a space."""
    joined = header.replace("tib-bp ", "tib-bp_").split()[3:]
    return [name.replace("_", " ") for name in joined]


def test_published_times_stand_beside_those_of_their_network():
    layers = ("ti", "ta", "tb", "tc", "ta-bp", "tib-bp 2", "tib-bp 1", "tib-bp 0", "tb-bp", "td",
              "tf", "step")  # fmt: skip
    times = [[dict.fromkeys(layers, 1.0)]]
    table = profile_command._reference_table(
        (784, 70, 30, 10), Settings(500), ARTICLE_VARIANTS[:1], (1,), times
    )
    *_, first, _ = table.splitlines()
    assert first.split() == [
        "published,", "1", "0.179", "0.810", "0.307", "0.162", "0.071", "0.254", "0.517", "0.359",
        "1.264", "1.126", "0.201",
    ]  # fmt: skip
    other = profile_command._reference_table(
        (784, 70, 30, 10), Settings(400), ARTICLE_VARIANTS[:1], (1,), times
    )
    assert "published" not in other


def test_treatments_of_the_bias_are_combined_with_all_versions():
    assert profile_command._variants(["V1.0", "V1.6"], None) == (
        Variant("V1.0", "row_added"),
        Variant("V1.6", "product_sliced"),
    )
    assert profile_command._variants(["V1.0", "V1.6"], ["weights_sliced"]) == (
        Variant("V1.0", "weights_sliced"),
        Variant("V1.6", "weights_sliced"),
    )


def test_no_time_is_shown_as_negative():
    assert profile_command._shown(-0.002, 3) == profile_command._shown(0.0001, 3) == "~0"
    assert profile_command._shown(0.0512, 3) == "0.051"
    points = dict.fromkeys((*engine_profile.POINTS, "step"), -0.001) | {"step": 1.0}
    table = profile_command._engine_table((1,), (points,))
    assert "-" not in table and "~0" in table


def test_a_difference_that_is_not_positive_has_no_speed():
    assert profile_command._speed(2_000_000, 0.5) == "4.0"
    assert profile_command._speed(2_000_000, -0.01) == "-"


@pytest.mark.parametrize("words, message", [
    (["--threads", "0"], "--threads must be whole numbers of at least 1, separated by commas; "
                         "got '0'"),
    (["--threads", "1,300"], "--threads must be numbers from 1 to 256; got 1,300"),
    (["--threads", ""], "--threads must be numbers from 1 to 256; got"),
    (["--shape", "64,10,9"], "--shape must begin with 64 and end with 10 for digits; got 64,10,9"),
    (["--batch-size", "1298"], "--batch-size must be at most the number of training rows, 1297; "
                               "got 1298"),
    (["--versions", "V2"], "--versions must be one of 'V1.0', 'V1.5', 'V1.6'; got 'V2'"),
    (["--bias", "none"], "--bias must be one of 'row_added', 'weights_sliced', 'product_sliced'; "
                         "got 'none'"),
    (["--repetitions", "0"], "--repetitions must be at least 1; got 0"),
    (["--json", "no/such/file"], "--json must be a file in a writable folder; got no/such/file"),
])  # fmt: skip
def test_wrong_options_are_named_before_anything_is_measured(capsys, words, message):
    assert run(capsys, "--data", "digits", *words) == (2, "", f"fastmlp: error: {message}\n")
