"""Ctrl-C and SIGTERM: at once, with finite weights, and nothing that has been recorded is lost."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import sanitize
from cases import make_classes
from processes import PATIENCE_SECONDS

import fastmlp
from fastmlp import Checkpoint, MyANN, Network, Trainer, cli
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.cli.display import PlainDisplay
from fastmlp.training.checkpoints.folder import checkpoint_numbers, read_newest
from fastmlp.training.history import PER_BATCH

FOREVER = 10**7


def pressed_after(seconds, fit):
    """Call `fit`, with Ctrl-C after a time; seconds from the key to the exception."""
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(seconds, press)
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()  # not before: this thread may have to wait for its turn
            fit()
        return time.monotonic() - pressed[0]
    finally:
        timer.join()


def assert_whole(history):
    """All columns of a history have the same epochs."""
    lengths = {len(history[name]) for name in history}
    assert len(lengths) == 1 or not any(history[name].size for name in PER_BATCH)


class OfTrainer:
    """A small network, a wide one, or one with many rows."""

    def __init__(self, sizes=(8, 20, 3), n_rows=2000, batch_size=50):
        self.x, y = make_classes(n_rows, sizes[0], 3)
        self.x, self.y = self.x.astype("float32"), y.astype("float32")
        self.trainer = Trainer(
            Network(sizes, random_state=0),
            batch_size=batch_size,
            learning_rate=1e-4,
            random_state=0,
        )

    def fit(self, n_epochs=FOREVER):
        test = self.x[:500], self.y[:500]
        self.trainer.fit(
            self.x,
            self.y,
            n_epochs=n_epochs,
            validation_data=test,
            callbacks=[EarlyStopping("cost", patience=FOREVER)],
        )

    def check(self):
        assert np.isfinite(self.trainer.network.parameters).all()
        assert_whole(self.trainer.history)


class OfMyANN:
    def __init__(self):
        self.ann = MyANN(
            "digits", 1, [0, 20, 0], n_epochs=FOREVER, b_train_on_init=False, b_verbose=False
        )

    def fit(self, n_epochs=FOREVER):
        self.ann.fit(n_epochs)

    def check(self):
        assert np.isfinite(self.ann.network.parameters).all()
        assert_whole(self.ann.history)


class OfEstimator:
    def __init__(self, n_rows=3000, **options):
        self.x, y = make_classes(n_rows, 8, 3)
        self.labels = y.argmax(axis=1)
        self.model = fastmlp.MLPClassifier(
            (40,), n_iter_no_change=FOREVER, tol=0.0, max_iter=FOREVER, **options
        )

    def fit(self, n_epochs=FOREVER):
        self.model.set_params(max_iter=n_epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few epochs do not converge
            self.model.fit(self.x, self.labels)

    def check(self):
        if not hasattr(self.model, "coefs_"):
            return  # pressed before there was anything
        assert all(np.isfinite(w).all() for w in (*self.model.coefs_, *self.model.intercepts_))
        assert self.model.predict(self.x[:5]).shape == (5,)
        columns = self.model.history_.values()
        assert {len(column) for column in columns} <= {self.model.n_iter_, self.model.n_iter_ + 1}


KINDS = {
    "small": OfTrainer,
    "wide": lambda: OfTrainer((200, 600, 600, 3), 3000, 300),
    "one batch": lambda: OfTrainer((50, 100, 3), 60_000, 60_000),
    "myann": OfMyANN,
    "adam": lambda: OfEstimator(early_stopping=True),
    # With 3000 rows the search would be at its end after half a second.
    "lbfgs": lambda: OfEstimator(60_000, solver="lbfgs", max_fun=FOREVER),
}


def press_at_random(kind, times):
    run = KINDS[kind]()
    run.fit(1)  # imports and buffers
    delays = []
    for seconds in times:
        delays.append(pressed_after(seconds, run.fit))
        run.check()
    run.fit(1)  # and the next one works
    run.check()
    return delays


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_at_random_times_leaves_what_can_be_used(kind):
    times = np.random.default_rng(len(kind)).uniform(0, 0.25, 4)
    assert max(press_at_random(kind, times)) < 20  # by far, or it was the end of the training


@pytest.mark.soak
def test_ctrl_c_is_noticed_within_200_ms():
    rng = np.random.default_rng(0)
    delays = [d for kind in KINDS for d in press_at_random(kind, rng.uniform(0, 0.6, 17))]
    print(f"p50 {np.median(delays):.3f} s, p99 {np.quantile(delays, 0.99):.3f} s")
    assert len(delays) >= 100 and np.quantile(delays, 0.99) <= 0.2


@pytest.mark.parametrize("batch_size", [32, 500])
def test_all_looks_for_ctrl_c_together_take_less_than_half_a_percent_of_an_epoch(batch_size):
    rng = np.random.default_rng(0)
    x, y = rng.random((10_000, 784), np.float32), np.eye(10)[rng.integers(10, size=10_000)]
    trainer = Trainer(
        Network((784, 70, 30, 10), random_state=0),
        batch_size=batch_size,
        learning_rate=1e-4,
        n_threads=1,
    )
    engine = trainer.objective.engine
    look = min(engine.time_looks(10_000) for _ in range(5)) / 10_000
    epoch = trainer.fit(x, y, n_epochs=3)["epoch_seconds"].min()
    plan = engine.plan(batch_size)
    n_looks = len(x) / plan.chunk_rows + len(x) / batch_size
    assert look > 1e-9 and n_looks * look <= 0.005 * epoch


EPOCHS = """
import sys, time
import numpy as np
from fastmlp import Network, Trainer
rng = np.random.default_rng(0)
x, y = rng.random((20_000, 784), np.float32), np.eye(10, dtype=np.float32)[np.arange(20_000) % 10]
network = Network((784, 70, 30, 10), random_state=0)
trainer = Trainer(network, learning_rate=1e-4, random_state=0, n_threads=1)
for _ in sys.stdin:
    begin = time.process_time()
    trainer.fit(x, y, n_epochs=2)
    print(time.process_time() - begin, flush=True)
"""


@pytest.mark.soak
def test_looking_for_ctrl_c_costs_half_a_percent_of_an_epoch_at_most(tmp_path, monkeypatch):
    """The extension against one that does not look, in turns."""
    if not (Path(__file__).parents[2] / "src").exists():
        pytest.skip("no source tree beside the tests")
    monkeypatch.setattr(sanitize, "BUILD", tmp_path)
    monkeypatch.setattr(sanitize, "ROOT", copy_of_sources(tmp_path / "tree"))
    looking = sanitize.package("build", "").rename(tmp_path / "looking")
    stop_looking(tmp_path / "tree")
    both = [started_epochs(each) for each in (looking, sanitize.package("build", ""))]
    try:
        turns = [[seconds_of_epochs(process) for process in both] for _ in range(60)]
    finally:
        for process in both:
            process.communicate()
    with_looks, without = np.array(turns[5:]).T
    ratios = np.median(with_looks / without), with_looks.min() / without.min()
    print(f"with looks over without: {ratios[0]:.4f} in the median, {ratios[1]:.4f} of minima")
    assert min(ratios) <= 1.005


def copy_of_sources(tree):
    for name in ("src", "fastmlp"):
        shutil.copytree(sanitize.ROOT / name, tree / name)
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy(sanitize.ROOT / name, tree)
    return tree


def stop_looking(tree):
    """Let the engine in these sources see no signals."""
    path = tree / "fastmlp" / "engine" / "_training.pxi"
    begin = "    if worker == 0:\n        now = seconds()\n"
    assert path.read_text().count(begin) == 1
    path.write_text(path.read_text().replace(begin, begin.replace("worker == 0", "False")))


def started_epochs(package):
    environment = os.environ | {"PYTHONPATH": str(package)}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", EPOCHS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def seconds_of_epochs(process):
    print(file=process.stdin, flush=True)
    return float(process.stdout.readline())


# --- The command line

TRAIN = [sys.executable, "-m", "fastmlp", "train", "--data", "digits", "--epochs", "12"]


def started(*options):
    """A training of the command line that has finished an epoch."""
    process = subprocess.Popen(
        [*TRAIN[:-1], "1000000", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "1/1000000" in line:
            return process
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize(
    "number, code, word",
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_the_command_line_saves_where_it_is_and_says_how_to_go_on(number, code, word, tmp_path):
    folder = tmp_path / "states"
    with started("--checkpoint", str(folder), "--seed", "7") as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, err
    first, second, third = err.splitlines()
    assert re.fullmatch(rf"fastmlp: {word} after \d+ finished epochs?; accuracy: train .*", first)
    assert second == f"saved in {folder / 'checkpoint-00000001.safetensors'}; resume with"
    command = ["fastmlp", *TRAIN[3:-1], "1000000", "--checkpoint", str(folder), "--seed", "7"]
    assert third == "  " + shlex.join([*command, "--resume"])
    saved = read_newest(folder)
    # The signal may come while the first epoch is still told to the callbacks.
    assert saved.least_epochs > 0 and saved.generator is not None


@pytest.fixture
def in_process(capsys):
    def run(*argv):
        code = cli.main([*TRAIN[3:], *argv])
        return code, *capsys.readouterr()

    return run


def weights_of_last(folder):
    return read_newest(folder).network.parameters


def test_a_killed_command_goes_on_and_ends_with_the_same_weights(tmp_path, in_process):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with started("--checkpoint", str(killed), "--checkpoint-every", "0.02s") as process:
        while not checkpoint_numbers(killed) or read_newest(killed).epochs_done < 1:
            time.sleep(0.01)
        process.kill()
    least = max(12, read_newest(killed).least_epochs)
    length = ["--epochs", str(least)]
    code, out, _ = in_process("--checkpoint", str(killed), "--resume", *length)
    assert code == 0 and "\nresume    " in out and "checkpoint-0000" in out
    assert f"{least}/{least}" in out
    assert in_process("--checkpoint", str(whole), *length)[0] == 0
    np.testing.assert_array_equal(weights_of_last(killed), weights_of_last(whole))


def test_sigterm_without_checkpoints_ends_with_143_and_writes_what_was_finished(
    tmp_path, in_process, monkeypatch
):
    update, before = PlainDisplay.update, signal.getsignal(signal.SIGTERM)

    def terminated(self, history):
        update(self, history)
        if history.n_epochs == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(PlainDisplay, "update", terminated)
    monkeypatch.setattr("fastmlp.cli.output.write_figures", lambda *_: [])
    code, _, err = in_process("--out", str(tmp_path))
    assert code == 143
    assert err.startswith("fastmlp: terminated after 2 finished epochs; ") and "saved" not in err
    assert '"ended":"terminated"' in (tmp_path / "history.json").read_text().replace(" ", "")
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_before_the_training_ends_with_143(in_process, monkeypatch):
    def load(_):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("fastmlp.cli.options.load", load)
    assert in_process() == (143, "", "fastmlp: terminated\n")


def test_the_command_line_refuses_in_its_own_words(tmp_path, in_process):
    folder = str(tmp_path / "states")
    code, out, _ = in_process("--checkpoint", folder, "--resume", "--epochs", "2")
    assert code == 0 and f"resume    no checkpoint in {folder}; starting fresh" in out
    code, _, err = in_process("--checkpoint", folder)
    assert code == 2 and "already contains checkpoints" in err and "--resume" in err
    code, _, err = in_process("--checkpoint", folder, "--resume", "--l2", "3", "--seed", "1")
    assert code == 2 and "--l2 was 0.01, is now 3.0; --seed was 42" in err
    code, _, err = in_process("--checkpoint", folder, "--resume", "--epochs", "1")
    assert code == 2 and "--epochs was at least 2, is now 1" in err


def test_the_time_of_a_resumed_run_is_told_beside_that_of_the_whole_training(tmp_path, in_process):
    folder = str(tmp_path / "states")
    _, out, _ = in_process("--checkpoint", folder, "--epochs", "2")
    assert re.search(r"s of training in 2 epochs, [\d.]+ s with evaluation and display\n", out)
    _, out, _ = in_process("--checkpoint", folder, "--resume", "--epochs", "3")
    assert re.search(r"in 3 epochs, 1 of them in this run: [\d.]+ s with evaluation and", out)


@pytest.mark.parametrize("argv, message", [
    (["--resume"], "--resume needs --checkpoint, the folder of the checkpoints"),
    (["--checkpoint-every", "5"], "--checkpoint-every needs --checkpoint"),
    (["--checkpoint", "x", "--checkpoint-every", "soon"], "--checkpoint-every must be seconds or"),
    (["--checkpoint", "x", "--checkpoint-every", "0"], "--checkpoint-every must be at least 1"),
    (["--checkpoint", "/dev/null/x"], "cannot write to --checkpoint /dev/null/x"),
])  # fmt: skip
def test_wrong_options_of_checkpoints_are_one_line(argv, message, in_process):
    code, _, err = in_process(*argv)
    assert code == 2 and err.count("\n") == 1 and message in err


def test_a_damaged_state_is_a_warning_of_one_line(tmp_path, in_process):
    folder = tmp_path / "states"
    in_process("--checkpoint", str(folder), "--checkpoint-every", "6")
    newest = sorted(folder.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    result = subprocess.run(
        [*TRAIN, "--checkpoint", str(folder), "--resume"], capture_output=True, text=True
    )
    assert result.returncode == 0
    assert result.stderr.startswith("fastmlp: warning: a checkpoint cannot be read: ")
    assert result.stderr.count("\n") == 1


def test_a_checkpoint_of_an_estimator_saves_where_ctrl_c_came(tmp_path):
    class Press(EpochCallback):
        """Ctrl-C some time after the third epoch, wherever that is."""

        def after_epoch(self, trainer):
            if trainer.epochs_done == 3:
                threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()

    run = OfEstimator(random_state=0)
    run.model.set_callbacks(Checkpoint(tmp_path), Press())
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    run.check()
    saved = read_newest(tmp_path)
    assert saved.least_epochs >= 3 and saved.owner == "MLPClassifier"
