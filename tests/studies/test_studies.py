"""``fastmlp study``: what it runs, writes and says; and what every study has to fulfil."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import LIBRARIES
from processes import PATIENCE_SECONDS, wait_until
from study_tools import DOCS, TINY, shape_of, stored, tiny_config

import fastmlp
from fastmlp import cli
from fastmlp.exceptions import DataFormatError
from fastmlp.files.json_file import write_json
from fastmlp.plots.headline import TOP_INCHES
from fastmlp.studies import NAMES, find_study
from fastmlp.studies.lab import figures, results, training
from fastmlp.studies.lab.data import SCALES, load_raw, load_scaled
from fastmlp.studies.lab.figures import MOST_CHARACTERS, finding_of, title_of
from fastmlp.studies.lab.progress import Bar, choose_progress
from fastmlp.studies.lab.session import Session
from fastmlp.studies.lab.study import Table, mean_and_range


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def tiny(monkeypatch):
    """Every study in its tiny size, on digits."""
    monkeypatch.setattr("fastmlp.cli.study.default_name", lambda: "digits")
    for name in NAMES:
        study = find_study(name)
        module = sys.modules[f"fastmlp.studies.{name.replace('-', '_')}"]
        config = tiny_config(name)
        small = dataclasses.replace(study, configure=lambda data, quick, config=config: config)
        monkeypatch.setattr(module, "STUDY", small)


def run(capsys, *argv):
    """Exit code, stdout and stderr of a command."""
    code = cli.main(["study", *argv])
    return code, *capsys.readouterr()


# --- Every study ---------------------------------------------------------------------------------


def test_every_study_has_a_tiny_size_and_a_stored_result():
    assert set(TINY) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_configurations_are_frozen_and_plain(name):
    study = find_study(name)
    assert study.name == name and study.question.endswith("?")
    for data in ("mnist", "digits"):
        for quick in (False, True):
            config = study.configure(data, quick)
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(config, dataclasses.fields(config)[0].name, None)
            assert getattr(config, "data", data) == data
            assert json.loads(json.dumps(dataclasses.asdict(config)))


RUN_IN_THE_SOAK = ("cnn-outputs", "cnn-optimizers", "cnn-augmentation")
"""Keras needs seconds to build and compile a network; one study of CNNs is enough for the suite."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.soak) if n in RUN_IN_THE_SOAK else n for n in NAMES],
)
def test_study_runs_draws_and_tells_through_the_command(name, tiny, tmp_path, capsys, monkeypatch):
    if name.startswith("cnn-") and not LIBRARIES:
        pytest.skip("Keras or the library under it is missing")
    if name != "regularisation":  # one is enough to see the files themselves
        monkeypatch.setattr("fastmlp.studies.lab.figures.encode_image", lambda figure, kind: b"")
    code, out, _ = run(capsys, name, "--quick", "--threads", "2", "--out", str(tmp_path))
    assert code == 0
    result = results.read_result(tmp_path / f"{name}-quick.json", name)
    study = find_study(name)
    assert shape_of(result) == shape_of(stored(name))
    assert out.startswith(f"{name}: {study.question}\n")
    for table in study.tables(result):
        assert table.as_text() in out
    figures = study.draw(result)
    wanted = {f"{name}-quick-{figure}.{kind}" for figure in figures for kind in ("png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}-quick.json", *wanted}
    for figure in figures.values():
        assert finding_of(figure) and 0 < len(title_of(figure)) <= MOST_CHARACTERS
        shown = [axes for axes in figure.axes if axes.axison]
        assert all(a.get_title(loc="left") or a.get_xlabel() or a.get_ylabel() for a in shown)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.json")), ids=lambda path: path.stem)
def test_published_result_can_be_drawn_and_has_its_page(path):
    result = results.read_result(path, path.stem)
    assert not result["quick"]
    page = path.with_suffix(".md").read_text()
    for name in find_study(path.stem).draw(result):
        assert f"]({path.stem}-{name}.png)" in page
    for table in find_study(path.stem).tables(result):
        assert table.as_markdown() in page
    files = [path, *DOCS.glob(f"{path.stem}-*.png")]
    assert sum(file.stat().st_size for file in files) < 240_000


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_quick_study_needs_at_most_thirty_seconds_of_two_processors(name, tmp_path):
    """As it is, on MNIST where that is, else on digits; other programs' work does not count."""
    resource = pytest.importorskip("resource", reason="processor seconds are not told here")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "fastmlp", "study", name, "--quick", "--threads", "2"]
    done = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) <= 2 * 30


# --- The command ---------------------------------------------------------------------------------


def test_list_names_every_study_with_its_question(capsys):
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()] == list(NAMES)
    assert all(line.endswith("?") for line in out.splitlines())


def test_unknown_study_is_refused_with_the_nearest_or_the_list(capsys, tmp_path):
    names = ", ".join(NAMES)
    for word, help_text in (
        ("regularization", ". Did you mean 'regularisation'?"),
        ("qqq", f"; there are: {names}"),
    ):
        code, out, err = run(capsys, word, "--out", str(tmp_path / "new"))
        assert (code, out) == (2, "")
        assert err == f"fastmlp: error: unknown study {word!r}{help_text}\n"
    assert not (tmp_path / "new").exists()


def test_folder_that_cannot_be_written_is_refused_before_any_work(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.cli.study.default_name", lambda: pytest.fail("work was begun"))
    (tmp_path / "file").write_text("")
    code, out, err = run(capsys, "regularisation", "--out", str(tmp_path / "file"))
    assert (code, out) == (2, "")
    assert err.startswith(f"fastmlp: error: cannot write to --out {tmp_path / 'file'}: ")


def test_result_is_drawn_again_without_running(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.cli.study.default_name", lambda: pytest.fail("work was begun"))
    path = tmp_path / "regularisation-quick.json"
    path.write_text(json.dumps(stored("regularisation")))
    code, out, _ = run(capsys, "regularisation", "--quick", "--draw", "--out", str(tmp_path))
    assert code == 0 and "By strength of the penalty" in out
    assert (tmp_path / "regularisation-quick-accuracy.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (tmp_path / "regularisation-quick-accuracy.svg").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged: expected JSON, found: Expecting property name"),
        ("[]", "damaged: expected a JSON object, found list"),
        ('{"study": "regularisation"}', "no result of this study: expected format 1, found None"),
        ('{"format": 1}', "no result of this study: expected study 'regularisation', found None"),
        (
            '{"format": 1, "study": "regularisation"}',
            "damaged: no complete result of regularisation (KeyError('config'))",
        ),
    ],
)
def test_damaged_result_is_named(content, message, capsys, tmp_path):
    path = tmp_path / "regularisation.json"
    path.write_text(content)
    code, _, err = run(capsys, "regularisation", "--draw", "--out", str(tmp_path))
    assert code == 2
    assert err.startswith(f"fastmlp: error: {path}: {message}")


def test_missing_result_is_named_and_no_folder_made(capsys, tmp_path):
    path = tmp_path / "new" / "regularisation.json"
    code, _, err = run(capsys, "regularisation", "--draw", "--out", str(path.parent))
    assert code == 2 and not path.parent.exists()
    wanted = f"--draw needs the result {path}; run the study without --draw first"
    assert err == f"fastmlp: error: {wanted}\n"


def test_without_matplotlib_the_result_is_written_and_the_remedy_named(
    tiny, capsys, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    code, out, err = run(capsys, "regularisation", "--quick", "--out", str(tmp_path))
    assert code == 0 and 'fastmlp: figures need matplotlib: pip install "fastmlp[plots]"' in err
    assert [path.name for path in tmp_path.iterdir()] == ["regularisation-quick.json"]
    assert out.endswith(f"written   regularisation-quick.json in {tmp_path}\n")


def test_damaged_configuration_is_told(tiny, capsys, tmp_path, monkeypatch):
    def complain(config, session):
        session.complaints.append("that file is damaged")
        return stored("regularisation")

    monkeypatch.setattr("fastmlp.studies.lab.figures.encode_image", lambda figure, kind: b"")
    module = sys.modules["fastmlp.studies.regularisation"]
    monkeypatch.setattr(module, "STUDY", dataclasses.replace(module.STUDY, run=complain))
    code, _, err = run(capsys, "regularisation", "--quick", "--out", str(tmp_path))
    assert code == 0 and "fastmlp: that file is damaged\n" in err


SLOWER = """
import dataclasses, sys
from fastmlp import cli
from fastmlp.studies import regularisation
from fastmlp.cli import study as _study
_study.default_name = lambda: "digits"
config = regularisation.Config(
    "digits", n_train=500, n_epochs=40, seeds=(0, 1, 2), batch_size=10, learning_rate=0.01
)
regularisation.STUDY = dataclasses.replace(
    regularisation.STUDY, configure=lambda data, quick: config, draw=lambda result: {}
)
raise SystemExit(cli.main(sys.argv[1:]))
"""


def test_ctrl_c_keeps_finished_configurations_and_the_next_call_goes_on(tmp_path):
    command = [
        sys.executable,
        "-c",
        SLOWER,
        "study",
        "regularisation",
        "--quick",
        "--threads",
        "2",
        "--out",
        str(tmp_path),
    ]
    unfinished = tmp_path / "regularisation-quick.unfinished"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        wait_until(lambda: unfinished.exists() and list(unfinished.glob("*.json")))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=PATIENCE_SECONDS)
    kept = len(list(unfinished.glob("*.json")))
    assert child.returncode == 130
    s = "" if kept == 1 else "s"
    sentence = f"{kept} finished configuration{s} kept, the same command resumes from there"
    assert err.splitlines()[-1] == f"fastmlp: interrupted; {sentence}"
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = results.read_result(tmp_path / "regularisation-quick.json")
    assert result["seconds"]["resumed_configurations"] == kept
    assert not unfinished.exists()


# --- Files, tables, progress ---------------------------------------------------------------------


def test_numbers_are_rounded_to_significant_digits():
    assert results.rounded([[1.23456789, 2e-9]], 3) == [[1.23, 2e-9]]
    assert results.rounded(np.float32(0.1), 5) == 0.1


def test_result_of_another_study_is_refused(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"format": 1, "study": "moons"})
    assert results.read_result(path)["study"] == "moons"
    with pytest.raises(DataFormatError, match=r"x\.json: .* expected study 'threads', found 'moo"):
        results.read_result(path, "threads")


def test_tables_are_aligned_and_written_as_markdown():
    table = Table("Two numbers", ("name", "value"), (("one", "1"), ("hundred", "100")))
    assert table.as_text() == (
        "Two numbers\n  name      value\n  one           1\n  hundred     100"
    )
    assert table.as_markdown() == (
        "**Two numbers**\n\n| name | value |\n| --- | ---: |\n| one | 1 |\n| hundred | 100 |"
    )
    assert mean_and_range([0.5]) == "0.5000"
    assert mean_and_range(np.array([1.0, 2.0, 6.0]), 1) == "3.0 (1.0 to 6.0)"


def test_lines_tell_of_every_configuration():
    stream = io.StringIO()
    progress = choose_progress(stream)
    progress.begin(2, 20)
    progress.tick()
    progress.finish_case({"lambda2": 0.1, "seed": 3}, 1.25)
    progress.finish_case({"lambda2": 0.2, "seed": 3}, None)
    progress.end()
    assert stream.getvalue() == (
        "1/2  lambda2 0.1, seed 3: 1.2 s\n2/2  lambda2 0.2, seed 3: stored before\n"
    )


def test_bar_shows_finished_configurations_on_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    os.environ.setdefault("TERM", "xterm")
    progress = choose_progress(stream)
    assert isinstance(progress, Bar)
    progress.begin(2, 4)
    progress.tick(2)
    progress.finish_case({"seed": 3}, 1.0)
    progress._bar.refresh()
    progress.end()
    assert "1/2 configurations" in stream.getvalue() and "seed 3" in stream.getvalue()
    assert "50%" in stream.getvalue()


def test_a_figure_has_a_title_of_one_line_and_its_finding_below():
    with figures.import_pyplot().rc_context({"figure.constrained_layout.use": True}):
        figure = plt.figure(figsize=(5, 3))
    figures.headline(figure, "title", "finding " * 20)
    assert title_of(figure) == "title" and finding_of(figure) == ("finding " * 20).strip()
    figure.draw_without_rendering()
    texts = [figure._suptitle, *figure.texts[-1:]]
    boxes = [text.get_window_extent() for text in texts]
    # The finding is below the title's first line, and in the room that it and the layout make.
    assert boxes[1].y1 < boxes[0].y1
    assert boxes[1].y0 >= boxes[0].y0 - TOP_INCHES * figure.dpi
    assert boxes[1].x1 < figure.bbox.x1
    with pytest.raises(ValueError, match="title must have at most 60 characters"):
        figures.headline(figure, "x" * 61, "")


@pytest.mark.parametrize("n", [3, 8, 12])
def test_lines_of_ordered_values_have_colors_of_their_own(n):
    colors = [matplotlib.colors.to_hex(color) for color in figures.ordered_colors(n)]
    assert len(set(colors)) == n


def test_spread_is_a_mean_in_a_band_of_all_runs():
    _, axes = plt.subplots()
    figures.draw_spread(axes, [1, 2], [[0.0, 1.0], [2.0, 5.0]], label="x")
    np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), [1, 3])
    (band,) = axes.collections
    points = band.get_paths()[0].vertices
    assert {tuple(p) for p in points} == {(1, 0), (2, 1), (2, 5), (1, 2)}


def test_tiles_are_the_images_with_their_titles_and_rows():
    _, axes = plt.subplots()
    images = np.arange(12.0).reshape(3, 4)
    figures.draw_tiles(axes, images, 2, titles=["a", "b"], rows=["x", "y"], above=0.5)
    page = np.asarray(axes.get_images()[0].get_array())
    assert page.shape == (8, 6)
    np.testing.assert_array_equal(page[1:3, :2], images[0].reshape(2, 2))
    np.testing.assert_array_equal(page[1:3, 3:5], images[1].reshape(2, 2))
    np.testing.assert_array_equal(page[5:7, :2], images[2].reshape(2, 2))
    assert page.sum() == images.sum()
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]


# --- Data and training ---------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_scales_are_those_of_scikit_learn(scale):
    from sklearn.preprocessing import Normalizer, StandardScaler

    raw = load_raw("digits", 300)
    train, test = raw.X_train, raw.X_test
    if scale == "feature":
        scaler = StandardScaler().fit(train)
        expected = scaler.transform(train), scaler.transform(test)
    elif scale == "global":
        expected = tuple((X - train.mean()) / train.std() for X in (train, test))
    elif scale == "normalized_samples":
        expected = tuple(Normalizer().fit_transform(X) for X in (train, test))
    elif scale == "normalized_features":
        lengths = np.linalg.norm(train, axis=0)
        expected = (
            Normalizer().fit_transform(train.T).T,
            test / np.where(lengths == 0, 1, lengths),
        )
    else:
        expected = tuple(X / (16 if scale == "unit" else 1) for X in (train, test))
    data = load_scaled("digits", scale, 300)
    assert (len(data.X_train), len(data.X_test)) == (300, 500)
    for found, wanted in zip((data.X_train, data.X_test), expected, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="scale must be one of 'feature', 'global', 'unit'"):
        load_scaled("digits", "minmax")


def test_measurement_epochs_begin_early_and_end_with_the_last():
    assert training.measurement_epochs(3) == [1, 2, 3]
    epochs = training.measurement_epochs(800)
    assert epochs[0] == 1 and epochs[-1] == 800 and 40 <= len(epochs) <= 50
    assert max(np.diff(epochs)) <= 800 / 39 + 1


def test_training_measures_what_the_history_of_a_fit_has():
    data = load_scaled("digits", n_train=300)
    settings = {"l2": 0.1, "batch_size": 50, "learning_rate": 0.01}
    _, found = training.train(
        data, seed=3, n_epochs=6, hidden=(8,), epochs_to_measure=[2, 6], **settings
    )
    network = fastmlp.Network((64, 8, 10), random_state=3)
    trainer = fastmlp.Trainer(network, random_state=3, n_threads=1, **settings)
    history = trainer.fit(
        data.X_train,
        data.Y_train,
        n_epochs=6,
        measure_train=True,
        validation_data=(data.X_test, data.Y_test),
    )
    assert found["epochs"] == [2, 6] and found["diverged"] is None
    for what in ("accuracy", "cost"):
        for mine, its in (("train", "train"), ("test", "val")):
            measured = history[f"{its}_{what}"][[1, 5]]
            np.testing.assert_allclose(found[f"{mine}_{what}"], measured, rtol=1e-4)
    for mine, its in (
        ("batch_cost", "costs"),
        ("batch_error", "errors"),
        ("batch_share", "reg_share"),
    ):
        np.testing.assert_allclose(found[mine], history[its].mean(axis=1)[[1, 5]], rtol=1e-4)
    low, high = np.quantile(history["reg_share"][[1, 5]], [0.1, 0.9], axis=1)
    np.testing.assert_allclose(found["batch_share_low"], low, rtol=1e-4)
    np.testing.assert_allclose(found["batch_share_high"], high, rtol=1e-4)
    penalty = 0.05 * sum(float((w[:, 1:].astype(float) ** 2).sum()) for w in network.weights)
    share = penalty / history["train_cost"][-1]
    np.testing.assert_allclose(found["train_share"][-1], share, rtol=1e-4)
    np.testing.assert_allclose(found["learning_rate"], [0.01, 0.01])


def test_training_that_diverges_says_so_and_keeps_what_it_has():
    data = load_scaled("digits", "none", n_train=100)
    _, found = training.train(
        data,
        seed=0,
        n_epochs=3,
        hidden=(8,),
        activation="relu",
        output="identity",
        loss="squared_error",
        learning_rate=1e6,
        keep=("epochs", "train_cost"),
    )
    assert "training diverged in epoch" in found["diverged"]
    assert set(found) == {"epochs", "train_cost", "diverged"}
    assert len(found["train_cost"]) == len(found["epochs"]) < 3


def test_same_seed_gives_the_same_bits_for_any_number_at_once():
    runs = []
    for n_threads in (1, 3):
        study = find_study("regularisation")
        config = tiny_config("regularisation")
        runs.append(study.run(config, Session("regularisation", n_threads=n_threads))["runs"])
        for item in runs[-1]:
            del item["seconds"], item["training_seconds"]
    assert runs[0] == runs[1]
