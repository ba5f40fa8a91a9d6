"""The command line: what it prints and writes, its exit codes, and its sentences about errors."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from processes import PATIENCE_SECONDS

import fastmlp
from fastmlp import cli, plots
from fastmlp.cli import display as _cli_display
from fastmlp.cli.display import (
    COLUMNS,
    PlainDisplay,
    RichDisplay,
    choose_display,
    fitting_columns,
)
from fastmlp.engine import plan
from fastmlp.training.history import PER_BATCH, PER_EPOCH, History

DIGITS = ["train", "--data", "digits"]
FIGURES = {
    f"{name}.png"
    for name in ("run", "costs", "errors", "reg_share", "accuracy", "confusion_matrix")
}
PRINTING = [
    pytest.param(["info"], id="info", marks=pytest.mark.soak),
    pytest.param([*DIGITS, "--epochs", "2"], id="train"),
]
"""A command that prints once, and one that prints again and again."""
IN_NEED_OF_MNIST = pytest.mark.skipif(
    not os.environ.get("FASTMLP_DATA")
    or not (Path(os.environ["FASTMLP_DATA"]) / "mnist.npz").is_file(),
    reason="FASTMLP_DATA names no folder with mnist.npz",
)


@pytest.fixture
def no_mnist(monkeypatch, tmp_path):
    """A computer without any copy of MNIST."""
    monkeypatch.delenv("FASTMLP_DATA", raising=False)
    for name in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))


@pytest.fixture
def no_figures(monkeypatch):
    """Figures are drawn where they are looked at: eight take two seconds."""
    monkeypatch.setattr("fastmlp.cli.output.write_figures", lambda *_: [])


def run(capsys, *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = cli.main(list(argv))
    return code, *capsys.readouterr()


def interrupt_after(monkeypatch, n_epochs: int) -> None:
    """Ctrl-C in the callback of epoch `n_epochs`."""
    update = PlainDisplay.update

    def pressed(self, history):
        update(self, history)
        if history.n_epochs == n_epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(PlainDisplay, "update", pressed)


def test_training_prints_one_line_per_epoch_and_a_summary(capsys):
    code, out, err = run(capsys, *DIGITS, "--epochs", "3")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].startswith(
        "digits (embedded in scikit-learn): 1297 training and 500 validation rows"
    )
    assert lines[1].startswith("network 64-70-30-10, 6990 parameters, float32, sigmoid/sigmoid")
    assert lines[3].split()[:6] == ["epoch", "seconds", "rate", "cost", "reg.", "error"]
    assert [line.split()[0] for line in lines[4:7]] == ["1/3", "2/3", "3/3"]
    assert [line.split()[0] for line in lines[7:]] == ["time", "speed", "threads", "accuracy"]
    assert "samples/s" in lines[8] and "GFLOP/s" in lines[8]


def test_same_seed_gives_the_same_numbers_and_another_seed_others(capsys):
    def accuracy(*more: str) -> str:
        return run(capsys, *DIGITS, "--epochs", "8", *more)[1].splitlines()[-1]

    assert accuracy() == accuracy() == accuracy("--seed", "42")
    assert accuracy() != accuracy("--seed", "43")


def test_options_take_the_place_of_the_recipe(capsys, tmp_path, no_figures):
    options = {
        "--hidden": "5,4,3",
        "--batch-size": "100",
        "--epochs": "2",
        "--learn-rate": "0.01",
        "--decay": "0.1",
        "--l2": "0.2",
        "--l1": "0.3",
        "--momentum": "0.4",
        "--activation": "tanh",
        "--output": "softmax",
        "--scale": "none",
        "--threads": "1",
        "--seed": "7",
        "--dtype": "float64",
        "--engine": "numpy",
    }
    argv = [text for pair in options.items() for text in pair]
    code, out, _ = run(capsys, *DIGITS, *argv, "--out", str(tmp_path))
    assert code == 0
    assert "threads   1 (from --threads), 1 used for a batch" in out
    record = json.loads((tmp_path / "history.json").read_text())
    assert record["seed"] == 7
    assert record["settings"] == {
        "hidden": [5, 4, 3], "batch_size": 100, "epochs": 2, "learn_rate": 0.01, "decay": 0.1,
        "lambda2": 0.2, "lambda1": 0.3, "momentum": 0.4, "scale": "none",
        "initializer": "sqrt_nodes", "activation": "tanh", "output": "softmax",
        "loss": "cross_entropy", "sizes": [64, 5, 4, 3, 10], "n_parameters": 404,
        "dtype": "float64", "engine": "numpy", "products": "auto", "preset": None,
    }  # fmt: skip
    np.testing.assert_allclose(record["learning_rates"], [0.01, 0.01 / 1.1])
    assert np.shape(record["costs"]) == (2, 13)


def test_training_gives_the_numbers_of_the_articles_class_with_the_same_settings(
    capsys, tmp_path, no_figures
):
    run(capsys, *DIGITS, "--epochs", "2", "--output", "softmax", "--out", str(tmp_path))
    record = json.loads((tmp_path / "history.json").read_text())
    ann = fastmlp.MyANN(
        "digits",
        2,
        [0, 70, 30, 0],
        my_out_function="softmax",
        my_loss_function="CrossEntropy",
        n_size_mini_batch=50,
        n_epochs=2,
        learn_rate=0.04,
        decrease_const=5e-4,
        lambda2_reg=0.01,
        mom_rate=5e-5,
        random_state=42,
        b_standardize="global",
        my_initializer="sqrt_nodes",
    )
    for name in ("costs", "errors", "train_accuracy", "val_accuracy"):
        np.testing.assert_array_equal(record[name], ann.history[name])


def test_preset_article_takes_the_place_of_the_recipe_and_options_that_of_the_preset(capsys):
    _, out, _ = run(
        capsys, *DIGITS, "--preset", "article", "--epochs", "1", "--momentum", "0", "--hidden", ""
    )
    assert "network 64-10, 650 parameters" in out and "scaling feature" in out
    assert "batch size 500, learning rate 0.001, decay 1e-05, l2 0.2, l1 0, " in out
    assert "momentum 0, seed 42" in out


def test_number_of_classes_comes_from_the_data(capsys, tmp_path):
    code, out, _ = run(capsys, "train", "--data", "moons", "--epochs", "2", "--out", str(tmp_path))
    assert code == 0
    assert "2 classes" in out and "network 2-10-2" in out
    assert {path.name for path in tmp_path.iterdir()} == FIGURES | {
        "history.json",
        "model.safetensors",
    }


def test_files_of_a_run_tell_everything_about_it(capsys, tmp_path):
    folder = tmp_path / "new" / "out"
    code, out, _ = run(capsys, *DIGITS, "--epochs", "3", "--out", str(folder))
    assert code == 0
    assert {path.name for path in folder.iterdir()} == FIGURES | {
        "history.json",
        "model.safetensors",
        "misclassified.png",
    }
    assert f"in {folder}" in out.splitlines()[-1]
    for figure in folder.glob("*.png"):
        assert figure.read_bytes().startswith(b"\x89PNG")
    text = (folder / "history.json").read_text()
    record = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(PER_BATCH) | set(PER_EPOCH) <= set(record)
    assert {"settings", "environment", "seed", "seconds", "speed", "data"} <= set(record)
    assert record["ended"] == "finished" and record["n_epochs"] == 3
    assert record["data"]["classes"] == list(range(10))
    assert record["environment"]["versions"]["fastmlp"] == fastmlp.__version__
    assert f"validation {record['val_accuracy'][-1]:.4f}" in out
    plots.plot_run(record).clear()
    matplotlib.pyplot.close("all")


def test_without_matplotlib_the_history_is_written_and_one_line_says_why_no_more(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    code, out, err = run(capsys, *DIGITS, "--epochs", "1", "--out", str(tmp_path))
    assert (code, err) == (0, "")
    assert 'fastmlp: figures need matplotlib: pip install "fastmlp[plots]"\n' in out
    assert {path.name for path in tmp_path.iterdir()} == {"history.json", "model.safetensors"}


def test_without_data_and_mnist_the_digits_are_taken_and_one_line_says_so(capsys, no_mnist):
    code, out, _ = run(capsys, "train", "--epochs", "1")
    assert code == 0
    first, second = out.splitlines()[:2]
    assert first == (
        "MNIST is not available locally (--data mnist downloads it, FASTMLP_DATA names a folder "
        "that contains it); training on scikit-learn's small digits instead."
    )
    assert second.startswith("digits (")


def test_without_data_mnist_is_taken_where_it_is_found(capsys, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    wanted = fastmlp.datasets.Dataset(
        rng.normal(size=(20, 4)),
        np.arange(20) % 2,
        rng.normal(size=(6, 4)),
        np.arange(6) % 2,
        "mnist",
        "here",
    )
    monkeypatch.setattr("fastmlp.datasets.loading.find", lambda name: tmp_path)
    monkeypatch.setattr("fastmlp.cli.options.load", lambda name, download: wanted)
    code, out, _ = run(capsys, "train", "--epochs", "1")
    assert code == 0
    assert out.splitlines()[0] == "mnist (here): 20 training and 6 validation rows, 2 classes"
    assert "learning rate 0.003" in out


def test_path_of_an_npz_file_is_trained_with_the_recipe_of_mnist(capsys, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    y = np.arange(30) % 3
    np.savez(path, x_train=rng.normal(size=(30, 5)), y_train=y, x_test=np.eye(3, 5), y_test=y[:3])
    code, out, _ = run(capsys, "train", "--data", str(path), "--epochs", "1")
    assert code == 0
    assert "network 5-70-30-3" in out and "batch size 500" in out


WIDTHS = "must be whole numbers of at least 1, separated by commas"
NEEDS_SHAPE = "describes the mini-batch of a network, and needs --shape"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            [],
            "the following arguments are required: "
            "train|predict|evaluate|info|bench|threads|profile|cnn|study|report",
        ),
        (["train", "--epochs", "0"], "--epochs must be at least 1; got 0"),
        (["train", "--epochs", "x"], "--epochs must be an integer; got 'x'"),
        (["train", "--decay", "nan"], "--decay must be a finite number, at least 0; got nan"),
        (["train", "--momentum", "2"], "--momentum must be a finite number, 0 to 1; got 2.0"),
        (["train", "--hidden", "70,-3"], f"--hidden {WIDTHS}; got '70,-3'"),
        (["train", "--threads", "0"], "--threads must be from 1 to 256; got 0"),
        (["train", "--seed", "-1"], "--seed must be at least 0; got -1"),
        (["train", "--engine", "x"], "--engine must be one of 'native', 'numpy'; got 'x'"),
        (["train", "--preset", "x"], "--preset must be one of 'article'; got 'x'"),
        (
            ["train", "--unknown"],
            "unrecognized arguments: --unknown; fastmlp train --help lists what there is",
        ),
        (
            ["train", "--epoch", "1"],
            "unrecognized arguments: --epoch 1. Did you mean '--epochs'?",
        ),
        (
            ["train", "--data", "no.npz"],
            "no.npz: expected an npz file or a folder of IDX files, found none",
        ),
        ([*DIGITS, "--output", "identity", "--loss", "log_loss"], None),
        (["info", "--shape", "784"], "--shape needs an input and an output width; got '784'"),
        (["info", "--shape", "a,b"], f"--shape {WIDTHS}; got 'a,b'"),
        (["info", "--shape", "784,,10"], f"--shape {WIDTHS}; got '784,,10'"),
        (["info", "--batch-size", "5"], f"--batch-size {NEEDS_SHAPE}"),
        (["info", "--dtype", "float64"], f"--dtype {NEEDS_SHAPE}"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(capsys, argv, message):
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("fastmlp: error: ") and err.count("\n") == 1
    if message is not None:
        assert err == f"fastmlp: error: {message}\n"


def test_folder_that_cannot_be_written_is_refused_before_training(capsys, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        code, out, err = run(capsys, *DIGITS, "--out", str(folder))
        assert (code, out) == (2, "")
        assert err.startswith(f"fastmlp: error: cannot write to --out {folder}: ")


def test_divergence_is_exit_code_1_and_what_was_finished_is_written(capsys, tmp_path):
    argv = (*DIGITS, "--learn-rate", "1e30", "--scale", "none", "--out", str(tmp_path))
    code, _, err = run(capsys, *argv)
    assert code == 1
    assert err.startswith("fastmlp: error: training diverged in epoch 0, batch ")
    assert err.count("\n") == 1
    record = json.loads((tmp_path / "history.json").read_text())
    assert record["ended"] == "diverged" and record["n_epochs"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["history.json"]


def test_ctrl_c_tells_and_writes_what_was_finished(capsys, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 2)
    code, out, err = run(capsys, *DIGITS, "--out", str(tmp_path))
    record = json.loads((tmp_path / "history.json").read_text())
    assert code == 130
    assert err == (
        "fastmlp: interrupted after 2 finished epochs; "
        f"accuracy: train {record['train_accuracy'][1]:.4f}, "
        f"validation {record['val_accuracy'][1]:.4f}\n"
    )
    assert record["ended"] == "interrupted" and np.shape(record["costs"])[0] == 2
    assert (tmp_path / "run.png").exists()
    assert "2 epochs" in out


@pytest.mark.skipif(os.name != "posix", reason="signals of a POSIX system")
def test_sigterm_ends_every_command_like_ctrl_c(capsys, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)

    def load(name):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("fastmlp.cli.options.load", load)
    assert run(capsys, "threads", "--data", "digits") == (143, "", "fastmlp: terminated\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_runs_in_another_thread_too(capsys):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cli.main, ["info"]).result() == 0


def test_timing_without_data_and_mnist_says_what_the_digits_are_for(capsys, no_mnist, monkeypatch):
    monkeypatch.setattr("fastmlp.cli.timed_network.prepare", lambda *_: sys.exit("enough"))
    with pytest.raises(SystemExit, match="enough"):
        cli.main(["threads"])
    assert "; timing epochs on scikit-learn's small digits instead." in capsys.readouterr().out


def test_ctrl_c_before_training_is_quiet(capsys, monkeypatch):
    def pressed(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.cli.options.load", pressed)
    assert run(capsys, *DIGITS) == (130, "", "fastmlp: interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes of a POSIX system")
@pytest.mark.parametrize("argv", PRINTING)
def test_closed_pipe_is_quiet(argv):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "fastmlp", *argv]
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SECONDS
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
@pytest.mark.parametrize("argv", PRINTING)
def test_a_command_without_output_runs(argv):
    script = 'exec "$0" -m fastmlp "$@" >&-'
    command = ["sh", "-c", script, sys.executable, *argv]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")


def test_info_shows_who_computes_the_products(capsys, monkeypatch):
    def layers(*options):
        code, out, err = run(capsys, "info", "--shape", "20,300,10", *options)
        assert (code, err) == (0, "")
        found = [
            line.split("products by ")[1] for line in out.splitlines() if "products by" in line
        ]
        return found

    monkeypatch.delenv("FASTMLP_PRODUCTS", raising=False)
    own = ["own kernels, weights in panels", "own kernels"]
    assert layers() == layers("--products", "own") == own
    monkeypatch.setattr(plan, "PANEL_WEIGHTS", 3000)
    assert layers("--batch-size", "17") == own
    assert layers("--batch-size", "16") == own[:1] * 2
    monkeypatch.setenv("FASTMLP_PRODUCTS", "blas")
    assert layers() == ["BLAS gemm"] * 2


def test_module_is_the_same_command():
    command = [sys.executable, "-m", "fastmlp", "info"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split() == ["fastmlp", fastmlp.__version__]


def test_version_and_help_end_with_code_0(capsys):
    for argv in (["--version"], ["--help"], ["train", "--help"], ["info", "--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"fastmlp {fastmlp.__version__}\n")


def test_info_shows_the_plan_of_a_batch(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    code, out, err = run(capsys, "info", "--shape", "784,70,30,10", "--batch-size", "500")
    shown = dict(line.split(maxsplit=1) for line in map(str.strip, out.splitlines()) if line)
    assert (code, err) == (0, "")
    assert shown["parameters"] == "57,390 (224.2 KiB)"
    assert shown["gradient"] == "in 8 lanes of at most 64 rows"
    assert shown["layer"].split(maxsplit=1) == ["3", "30 x 10, products by own kernels"]
    assert shown["chunks"] == "at most 64 rows"
    assert shown["workers"] == "3 of 3 threads"
    assert shown["prediction"] == "114,560 FLOP per row"
    assert shown["FLOP"] == "per step         116,960,000"
    assert shown["threads"] == "3 (from OMP_NUM_THREADS)"
    assert shown["OMP_NUM_THREADS"] == "3"
    assert shown["OPENBLAS_CORETYPE"] == "not set"
    assert shown["warning:"] == (
        "OPENBLAS_L2_SIZE=512 overrides OpenBLAS's detection of this processor "
        "and can halve its speed"
    )


def test_info_tells_of_a_variable_that_holds_no_number_of_threads(capsys, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "abc")
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert "3 (from OMP_NUM_THREADS)" in out
    assert "warning: OPENBLAS_NUM_THREADS=abc is ignored: not a positive number of threads" in (
        out.splitlines()
    )


def make_history(n_epochs: int) -> History:
    history = History()
    for _ in range(n_epochs):
        history.append(
            **{name: np.array([0.25, 0.75]) for name in PER_BATCH}, **dict.fromkeys(PER_EPOCH, 0.5)
        )
    return history


def test_row_of_an_epoch_holds_means_over_its_batches():
    row = _cli_display.EpochRow.of(make_history(2), 7)
    assert astuple(row) == ("2/7", "0.5000", "0.5", "0.5", "50.0%", "0.50000", "0.5000", "0.5000")


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (None, COLUMNS),
        (80, COLUMNS),
        (71, [name for name in COLUMNS if name != "reg."]),
        (40, ["epoch", "cost", "train acc.", "val. acc."]),
        (20, ["epoch", "val. acc."]),
        (3, ["epoch"]),
    ],
)
def test_a_narrow_terminal_shows_the_columns_that_fit_whole(width, columns):
    assert [COLUMNS[i] for i in fitting_columns(width)] == list(columns)


@pytest.mark.parametrize("width", [40, 50, 80])
def test_no_line_of_the_live_table_is_cut_and_the_best_epoch_stays(width):
    rich_console = pytest.importorskip("rich.console")
    stream = io.StringIO()
    console = rich_console.Console(file=stream, force_terminal=True, width=width, color_system=None)
    display = RichDisplay(1200, console)
    display.before_training(None)
    for n in range(1, 31):
        history = make_history(n - 1)
        row = {name: np.array([0.25, 0.75]) for name in PER_BATCH} | dict.fromkeys(PER_EPOCH, 0.5)
        history.append(**row | {"val_accuracy": 0.875 if n == 3 else 0.5})
        display.after_epoch(SimpleNamespace(history=history))
    display.after_training(None)
    last_frame = stream.getvalue().rsplit("epochs ", 1)[1]
    assert "…" not in last_frame and "30/1200" in last_frame
    assert "best val. acc. 0.8750 in epoch 3\n" in last_frame.replace("\r", "")
    assert all(len(line) <= width for line in last_frame.splitlines())


def test_live_table_shows_bar_and_last_epochs():
    rich_console = pytest.importorskip("rich.console")
    stream = io.StringIO()
    console = rich_console.Console(file=stream, force_terminal=True, width=100, color_system=None)
    display = RichDisplay(12, console)
    display.before_training(None)
    for n_epochs in range(1, 13):
        display.update(make_history(n_epochs))
    display.after_training(None)
    last_frame = stream.getvalue().rsplit("epochs ", 1)[1]
    assert "12/12" in last_frame and "3/12" in last_frame
    assert " 2/12" not in last_frame
    assert "train acc." in last_frame and "50.0%" in last_frame


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_display_is_live_only_on_a_terminal_with_rich(monkeypatch):
    pytest.importorskip("rich")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(choose_display(1, Terminal()), RichDisplay)
    assert isinstance(choose_display(1, io.StringIO()), PlainDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_display(1, Terminal()), PlainDisplay)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(choose_display(1, Terminal()), PlainDisplay)


def test_training_on_a_terminal_ends_with_the_same_summary(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main([*DIGITS, "--epochs", "2"]) == 0
    assert "2/2" in terminal.getvalue()
    assert terminal.getvalue().splitlines()[-1].startswith("accuracy  train ")


def accuracy_of(capsys, tmp_path, *argv: str) -> float:
    assert run(capsys, "train", *argv, "--out", str(tmp_path))[0] == 0
    return json.loads((tmp_path / "history.json").read_text())["val_accuracy"][-1]


@pytest.mark.parametrize(("data", "least"), [("digits", 0.965), ("moons", 0.95)])
def test_recipe_of_embedded_data_reaches_its_accuracy(capsys, tmp_path, no_figures, data, least):
    assert accuracy_of(capsys, tmp_path, "--data", data) >= least


@IN_NEED_OF_MNIST
@pytest.mark.parametrize(
    ("epochs", "least"), [(["--epochs", "4"], 0.94), pytest.param([], 0.97, marks=pytest.mark.soak)]
)
def test_recipe_of_mnist_reaches_its_accuracy(capsys, tmp_path, no_figures, epochs, least):
    assert accuracy_of(capsys, tmp_path, "--data", "mnist", *epochs) >= least
