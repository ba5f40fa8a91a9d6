"""The numbers on docs/cnn.md are those of the results beside it, and its Python runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, needs_keras
from sklearn.exceptions import ConvergenceWarning

from fastmlp import cnn

PAGE = Path(__file__).parents[2] / "docs" / "cnn.md"
RESULTS = PAGE.parent / "cnn"
BATCHES_PER_EPOCH, LAST_BATCH = 938, 32


@pytest.fixture(scope="module")
def page():
    """The text of the page, every white space a single blank."""
    if not PAGE.exists():
        pytest.skip("no docs beside the tests")
    return " ".join(PAGE.read_text().split())


def result(name):
    return json.loads((RESULTS / name).read_text())


@pytest.mark.parametrize(
    "name",
    ["history", "second-history", "c3b-history", "c3b-validation-history", "fashion-history"],
)
def test_the_table_of_runs_has_the_numbers_of_the_histories(page, name):
    run = result(f"{name}.json")
    measured = np.array(run["val_accuracy"])
    assert run["n_epochs"] == len(measured) == len(run["epoch_seconds"])
    row = (
        f"| [{run['seed']}](cnn/{name}.json) | {run['n_epochs']} "
        f"| {run['data']['measured_after_every_epoch']} | {measured[-1]:.4f} "
        f"| {measured.max():.4f} in {measured.argmax() + 1} "
        f"| {run['test_set']['accuracy']:.4f} | {sum(run['epoch_seconds']):.0f} s |"
    )
    assert row in page


def test_the_runs_are_those_that_were_promised():
    c2, c3b = result("history.json"), result("c3b-validation-history.json")
    assert c2["settings"]["n_parameters"] == 96_844
    assert c2["n_epochs"] == 5
    assert c2["test_set"]["accuracy"] >= 0.985
    assert c3b["settings"]["n_parameters"] == 250_994
    assert (c3b["settings"]["l2"], c3b["settings"]["momentum"]) == (0.0008, 0.5)
    assert (c3b["data"]["n_train"], c3b["data"]["n_validation"]) == (55_000, 5_000)
    assert c3b["kept_epoch"] == np.argmax(c3b["val_accuracy"]) + 1
    assert max(c3b["val_accuracy"]) >= 0.993


def test_what_is_said_of_the_run_with_validation_images_is_what_it_recorded(page):
    run = result("c3b-validation-history.json")
    best, first = run["kept_epoch"], int(np.argmax(np.array(run["val_accuracy"]) >= 0.993)) + 1
    assert f"Of these {max(run['val_accuracy']):.4f} were right after epoch {best}, " in page
    assert f"0.993 was passed in epoch {first}; the weights of epoch {best} are right on " in page
    assert f"**{run['test_set']['accuracy']:.4f}** of the test images" in page


@needs_keras
@KERAS_SAVES_BY_COPY
def test_the_python_on_the_page_runs(mnist, tmp_path, monkeypatch, capsys):
    if not PAGE.exists():
        pytest.skip("no docs beside the tests")
    small = cnn.load_images("mnist", n_train=200, n_test=60)
    monkeypatch.setattr(cnn, "load_images", lambda name: small)
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(first, "cnn.md", "exec"), names := {})
    assert names["history"].n_epochs == 5
    second = second.replace("docs/cnn/model.keras", "model.keras")
    with pytest.warns(ConvergenceWarning):
        exec(compile(second, "cnn.md", "exec"), {})
    difference, accuracy = map(float, capsys.readouterr().out.split())
    assert difference < 1e-5
    assert accuracy > 0.3


def test_losses_and_accuracies_of_the_training_set_are_those_of_the_history(page):
    run = result("history.json")
    sizes = np.full(BATCHES_PER_EPOCH, 64)
    sizes[-1] = LAST_BATCH
    losses = np.array(run["costs"]) @ sizes / 60_000
    texts = [f"{a:.4f}/{b:.4f}" for a, b in zip(losses, run["batch_accuracy"], strict=True)]
    assert f"{texts[0]} to {texts[-1]} here" in page


def test_versions_are_those_of_the_runs(page):
    for name in ("history.json", "c3b-validation-history.json", "devices.json"):
        environment = result(name)["environment"]
        for library in ("tensorflow", "keras"):
            version = ".".join(environment[library].split(".")[:2])
            assert f"{library} {version}" in page.lower()


def test_what_is_said_of_maps_and_patterns_is_what_was_found(page):
    found = result("maps.json")
    last = found["layers"]["Conv2D_3"]
    assert f"{last['answer_to_none']} of {last['maps']} are silent" in page
    patterns = found["patterns"]
    n_found, n_maps = len(patterns["found"]), last["maps"]
    assert f"({patterns['n_starts']} random starts, two climbers per map, seed 0)" in page
    assert f"finds patterns for {n_found} of the {n_maps} maps" in page
    assert n_found + len(patterns["missed"]) == n_maps
    (missed,) = patterns["missed"]
    assert f"map {missed} was moved by no start image" in page
    best = max(patterns["found"], key=lambda pattern: pattern["last"])
    assert f"from {best['first']:.2f} to {best['last']:.2f} in {best['steps']} steps" in page
    answers = found["refinement"]["answers"]
    assert f"from {answers[0]:.2f} to {answers[-1]:.2f} in {len(answers) - 1} rounds" in page
    nodes = found["classes"]
    assert f"({nodes['clear_nodes']} of {nodes['nodes']} answer more than twice as much" in page


def test_the_table_of_matched_maps_is_that_of_the_study(page):
    for row in result("maps.json")["matching"]:
        assert (
            f"| {row['layer']} | {row['pairs']} | {row['median']:.2f} | {row['by_chance']:.2f} "
            f"| {row['above_0.9']} |"
        ) in page
        assert f"to {row['images']} test images" in page


def test_confusions_of_clothes_are_those_that_were_counted(page):
    counts = np.array(result("fashion-evaluation.json")["confusion"])
    assert counts.sum() == 10_000
    assert np.trace(counts) == round(
        10_000 * result("fashion-history.json")["test_set"]["accuracy"]
    )
    assert f"for them {counts[0, 6]} times, and they for T-shirts {counts[6, 0]} times" in page


def test_the_table_of_devices_has_the_measured_times_and_ratios(page):
    found = result("devices.json")
    for timing in found["timings"]:
        seconds = sum(timing["epoch_seconds"])
        rate = timing["images"] * len(timing["epoch_seconds"]) / seconds
        ratio = found["ratios"][str(timing["batch_size"])][timing["contender"]]
        row = f"| {timing['batch_size']:,} | {timing['contender']} | {seconds:.2f} s | {rate:,.0f} "
        assert row + f"| {ratio:.2f} | {timing['accuracy']:.4f} |" in page
    assert not any("gpu" in device for device in found["environment"]["devices"])


def test_everything_that_is_linked_exists_and_every_result_is_linked(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page)
    for target in targets:
        if not target.startswith("http"):
            assert (PAGE.parent / target).exists(), target
    linked = {Path(target).name for target in targets}
    results = {path.name for path in RESULTS.iterdir() if path.suffix in (".json", ".png")}
    assert results <= linked
