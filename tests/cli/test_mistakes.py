"""What newcomers type on the command line, and the line that they get: it names what helps."""

from __future__ import annotations

import csv
import json
import os
import signal

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

import fastmlp
import fastmlp.cli.evaluate  # before a test replaces what it imports
from fastmlp import MLPClassifier, cli
from fastmlp.training.loop import Loop

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
MODELS = "MODEL must be a file written by fastmlp.save, or the folder of fastmlp train --out; "


def run(capsys, *argv):
    code = cli.main([str(word) for word in argv])
    return code, *capsys.readouterr()


def error(capsys, *argv):
    """Return the one line that bad input brings."""
    code, out, err = run(capsys, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr("fastmlp.cli.output.write_figures", lambda *_: [])


# --- Words that are nearly right


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["tran"], "train"),
        (["infoo"], "info"),
        (["cnn", "sho"], "show"),
        (["study", "seed"], "seeds"),
        (["train", "--dta", "digits"], "--data"),
        (["train", "--lr", "1"], "--learn-rate"),
        (["train", "--learning-rate=1"], "--learn-rate"),
        (["train", "--batch_size", "5"], "--batch-size"),
        (["predict", "m", "--data", "d", "--output"], "--outputs"),
        (["bench", "--thread", "1"], "--threads"),
        (["train", "--activation", "none"], "identity"),
        (["train", "--data", "mnst"], "mnist"),
    ],
    ids=" ".join,
)
def test_a_wrong_word_brings_the_nearest_one(argv, meant, capsys):
    assert error(capsys, *argv).rstrip().endswith(f". Did you mean {meant!r}?")


def test_a_word_that_is_near_none_brings_all(capsys):
    err = error(capsys, "qqq")
    assert "the command after fastmlp must be one of 'train', 'predict', " in err
    assert "Did you mean" not in err
    assert "--qqq; fastmlp info --help lists what there is" in error(capsys, "info", "--qqq")


def test_a_version_and_help_still_come_first(capsys):
    for argv in (["--version"], ["--help"], ["train", "--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == 0
    assert "usage: fastmlp train" in capsys.readouterr().out


# --- Files that are no models, or are not there


@pytest.fixture
def checkpoints(capsys, tmp_path, no_figures):
    """A folder of checkpoints, beside a folder of the same run."""
    words = ("--checkpoint", tmp_path / "saved", "--checkpoint-every", 1, "--out", tmp_path / "out")
    assert run(capsys, "train", "--data", "moons", "--epochs", 2, *words)[0] == 0
    return tmp_path / "saved"


def test_a_checkpoint_in_the_place_of_a_model_brings_the_command(checkpoints, capsys):
    for name in (checkpoints, sorted(checkpoints.iterdir())[0]):
        for command in ("predict", "evaluate"):
            err = error(capsys, command, name, "--data", "moons")
            assert f"{MODELS}{name} holds checkpoints of a run, and no model. " in err
            assert f"fastmlp train --checkpoint {checkpoints} --resume --out DIR" in err


def test_that_command_writes_the_model(checkpoints, capsys, tmp_path):
    words = ("train", "--data", "moons", "--epochs", 2, "--checkpoint", checkpoints, "--resume")
    assert run(capsys, *words, "--out", tmp_path / "again")[0] == 0
    first, again = (fastmlp.load(tmp_path / n / "model.safetensors") for n in ("out", "again"))
    np.testing.assert_array_equal(again.network.parameters, first.network.parameters)


def test_a_model_that_is_not_there_is_named(capsys, tmp_path):
    for command in ("predict", "evaluate"):
        missing = tmp_path / "none"
        err = error(capsys, command, missing, "--data", "moons")
        assert err == f"fastmlp: error: {MODELS}{missing} does not exist\n"
        err = error(capsys, command, tmp_path, "--data", "moons")
        assert err == f"fastmlp: error: {MODELS}the folder {tmp_path} has no model.safetensors\n"


def test_the_folder_of_a_run_leads_to_its_model(checkpoints):
    folder = checkpoints.parent / "out"
    with pytest.raises(IsADirectoryError) as caught:
        fastmlp.load(folder)
    assert str(caught.value) == (
        f"{str(folder)!r} is a folder; its model is {str(folder / 'model.safetensors')!r}"
    )


def test_a_checkpoint_that_is_loaded_is_no_unknown_kind(checkpoints):
    path = sorted(checkpoints.iterdir())[0]
    with pytest.raises(fastmlp.exceptions.ModelFormatError) as caught:
        fastmlp.load(path)
    text = str(caught.value)
    assert text.startswith(f"{str(path)!r}: a checkpoint holds a run") and "kind" not in text


@pytest.mark.parametrize("end", [".csv", ".npy", ".npz"])
def test_rows_that_are_not_there_are_named(end, checkpoints, capsys, tmp_path):
    model = checkpoints.parent / "out"
    for command in ("predict", "evaluate"):
        err = error(capsys, command, model, "--data", tmp_path / f"no{end}")
        assert f"--data must name an existing file or a data set; {tmp_path}/no{end} does" in err
    (tmp_path / f"folder{end}").mkdir()
    assert "is a folder" in error(capsys, "predict", model, "--data", tmp_path / f"folder{end}")


# --- Tables


@pytest.fixture
def table(tmp_path):
    """A model of labels 0.0 and 1.0, and the csv file that it was trained on."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(float)
    fastmlp.save(MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y), tmp_path / "m")
    with open(tmp_path / "rows.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "wanted"], *np.column_stack([X, y]).tolist()])
    return tmp_path


def test_classes_that_are_whole_numbers_are_printed_as_such(table, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "fastmlp.plots.plot_confusion_matrix", lambda *args, **_: drawn.append(args)
    )
    monkeypatch.setattr("fastmlp.cli.evaluate.write_figures", lambda _, figures: list(figures)[:0])
    rows = ("--data", table / "rows.csv", "--target", "wanted")
    code, out, _ = run(capsys, "evaluate", table / "m", *rows, "--out", table)
    assert code == 0 and "  class 0: " in out and "0.0:" not in out and "(1.0" not in out
    assert list(json.loads((table / "evaluation.json").read_text())["classes"]) == ["0", "1"]
    assert [array.dtype.kind for array in drawn[0]] == ["i", "i", "i"]
    code, out, _ = run(capsys, "predict", table / "m", *rows, "--outputs")
    header, *lines = out.splitlines()
    assert header == "label,output_0,output_1"
    assert {line.split(",")[0] for line in lines} <= {"0", "1"}


def test_labels_that_are_not_whole_stay_as_they_are(capsys, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = np.where(X[:, 0] > 0, 0.5, 1.0).astype(str)
    fastmlp.save(MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y), tmp_path / "m")
    np.save(tmp_path / "x.npy", X)
    _, out, _ = run(capsys, "predict", tmp_path / "m", "--data", tmp_path / "x.npy")
    assert set(out.split()) <= {"label", "0.5", "1.0"}


def test_a_table_with_one_column_too_many_brings_the_target(table, capsys):
    err = error(capsys, "predict", table / "m", "--data", table / "rows.csv")
    assert "rows.csv has 4 columns, one more than the model has inputs; --target COLUMN" in err
    assert "--target must name a column" in error(
        capsys, "evaluate", table / "m", "--data", table / "rows.csv"
    )


# --- The end of a run


@pytest.mark.skipif(os.name != "posix", reason="signals of a POSIX system")
@pytest.mark.parametrize("n_batches", [0, 1, 5])
def test_sigterm_in_the_first_epoch_leaves_the_model_that_there_is(
    n_batches, capsys, tmp_path, monkeypatch
):
    step = Loop._step

    def killed(self, epoch, last_batch):
        if n_batches:
            step(self, epoch, n_batches)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Loop, "_step", killed)
    code, out, _ = run(capsys, "train", "--data", "digits", "--epochs", 2, "--out", tmp_path)
    monkeypatch.undo()
    record = json.loads((tmp_path / "history.json").read_text())
    assert (code, record["n_epochs"], record["ended"]) == (143, 0, "terminated")
    if n_batches == 0:
        assert out.endswith("model     none: no mini-batch was finished\n")
        assert not (tmp_path / "model.safetensors").exists()
        return
    plural = "" if n_batches == 1 else "es"
    assert out.endswith(f"model     after {n_batches} mini-batch{plural} of the first epoch\n")
    assert run(capsys, "evaluate", tmp_path, "--data", "digits")[0] == 0
    assert "no finished epoch" in error(capsys, "report", tmp_path)


def test_a_run_that_diverges_at_once_says_why_there_is_no_model(capsys, tmp_path):
    words = ("--epochs", 2, "--learn-rate", "1e30", "--scale", "none", "--out", tmp_path)
    code, out, _ = run(capsys, "train", "--data", "digits", *words)
    assert code == 1 and out.endswith("model     none: training diverged in the first epoch\n")


def test_a_report_names_the_command_that_draws_the_confusion_matrix(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmlp.cli.output.write_figures", lambda *_: ["run.png"])
    run(capsys, "train", "--data", "moons", "--epochs", 1, "--out", tmp_path)
    command = f"fastmlp evaluate {tmp_path} --data moons --out {tmp_path}"
    _, out, _ = run(capsys, "report", tmp_path)
    assert out.endswith(f"confusion {command} draws the matrix\n")
    monkeypatch.undo()
    assert run(capsys, *command.split()[1:])[0] == 0
    assert (tmp_path / "confusion_matrix.png").is_file()
    assert "confusion " not in run(capsys, "report", tmp_path)[1]
    (tmp_path / "confusion_matrix.png").unlink()
    path = tmp_path / "history.json"
    record = json.loads(path.read_text())
    for data in ({"name": "table.npz"}, None):
        path.write_text(json.dumps(record | {"data": data}))
        assert "--data PATH --out" in run(capsys, "report", tmp_path)[1]
    (tmp_path / "model.safetensors").unlink()
    assert f"no matrix: {tmp_path} has no model" in run(capsys, "report", tmp_path)[1]


# --- Width


def test_lines_of_a_pipe_are_as_wide_as_columns_says(capsys, monkeypatch):
    words = ("train", "--data", "moons", "--epochs", 1)
    monkeypatch.setenv("COLUMNS", "50")
    narrow = run(capsys, *words)[1]
    assert "train acc. val. acc." in narrow and "seconds      rate" not in narrow
    assert max(map(len, narrow[narrow.index("    epoch") :].splitlines()[:2])) <= 50
    for value in ("", "x", "0", "-3"):
        monkeypatch.setenv("COLUMNS", value)
        assert "seconds      rate" in run(capsys, *words)[1]
