"""LivePlot: for MLP and CNN, in notebooks and to files, and never in a plain terminal."""

from __future__ import annotations

import os
import sys
import types

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from cnn_data import bars, needs_keras, small_cnn

import fastmlp
from fastmlp import Checkpoint, LivePlot, MyANN, Network, TensorBoardLog, Trainer
from fastmlp.callbacks import live_plot as live
from fastmlp.datasets.loading import load


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


class Page:
    """What stands in for a notebook's output: figures that were shown, and updates of them."""

    def __init__(self):
        self.shown, self.updated = [], []

    def display(self, figure, display_id):
        self.shown.append(figure)
        return types.SimpleNamespace(update=self.updated.append)


@pytest.fixture
def notebook(monkeypatch):
    """IPython with a kernel, whose page is returned."""
    page = Page()
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = page.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return page


def train_mlp(n_epochs=4, **options):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 5)), np.eye(3)[rng.integers(0, 3, 60)]
    trainer = Trainer(
        Network((5, 4, 3), output="softmax", random_state=0),
        reduction="mean",
        batch_size=20,
        random_state=0,
    )
    return trainer.fit(X, Y, n_epochs=n_epochs, validation_data=(X[:20], Y[:20]), **options)


def test_in_a_plain_terminal_nothing_is_drawn_but_the_numbers_are_there():
    open_before = plt.get_fignums()  # by other tests in this process
    plot = LivePlot()
    history = train_mlp(callbacks=[plot])
    assert plot.n_drawn == 0
    assert plt.get_fignums() == open_before
    assert plot.progress.val_accuracy == history["val_accuracy"].tolist()
    assert plot.progress.rate == history["learning_rates"].tolist()


def test_a_file_is_written_with_the_last_epoch_and_the_figure_closed(tmp_path):
    plot = LivePlot(out=tmp_path / "live.png", seconds_between=3600)
    train_mlp(callbacks=[plot])
    assert plot.n_drawn == 2  # the first epoch, and at the end the last one
    assert [path.name for path in tmp_path.iterdir()] == ["live.png"]
    assert (tmp_path / "live.png").stat().st_size > 5000
    assert plt.get_fignums() == []


def test_what_keeps_the_figure_from_being_drawn_is_told_before_the_training(tmp_path, monkeypatch):
    seen = []
    plot = LivePlot(out=tmp_path / "nowhere" / "live.png")
    with pytest.raises(FileNotFoundError, match="out must lie in a folder that exists; got"):
        train_mlp(callbacks=[seen.append, plot])
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[plots\]"'):
        train_mlp(callbacks=[seen.append, LivePlot(out=tmp_path / "live.png")])
    assert seen == []


def test_inline_figure_is_shown_once_and_updated_in_its_place(notebook):
    plot = LivePlot(seconds_between=0)
    train_mlp(callbacks=[plot])
    assert len(notebook.shown) == 1
    assert notebook.updated == [notebook.shown[0]] * 3
    assert plt.get_fignums() == []


def test_figure_of_a_canvas_that_stays_is_drawn_again_and_left_open(notebook, monkeypatch):
    monkeypatch.setattr(plt, "get_backend", lambda: "module://ipympl.backend_nbagg")
    shown, drawn = [], []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.show", lambda self: shown.append(plt.isinteractive())
    )
    monkeypatch.setattr(
        "matplotlib.backend_bases.FigureCanvasBase.draw_idle", lambda self: drawn.append(self)
    )
    with matplotlib.rc_context({"interactive": True}):
        train_mlp(callbacks=[LivePlot(seconds_between=0)])
        assert plt.isinteractive()
    assert shown == [False]  # ipympl would show an interactive figure once more, by itself
    assert len(drawn) >= 4
    assert notebook.shown == []
    assert len(plt.get_fignums()) == 1


def test_drawings_are_limited_in_time(notebook, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    plot = LivePlot(seconds_between=0.5)

    def tick(trainer):
        now[0] += 0.2

    train_mlp(n_epochs=10, callbacks=[tick, plot])
    assert plot.n_drawn == 4  # epochs 1, 4, 7 and 10, which needs no second drawing at the end
    assert plot._epochs_drawn == 10


def test_panels_show_the_numbers_a_reference_line_and_sentences(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(LivePlot, "_write", lambda self, path: figures.append(self._figure))
    plot = LivePlot(out=tmp_path / "live.png", reference=0.9, validation_name="validation")
    history = train_mlp(callbacks=[plot])
    accuracy, cost, rate = figures[-1].axes
    lines = {line.get_label(): line for line in accuracy.get_lines()}
    assert list(lines) == ["training", "validation", "reference 0.9"]
    np.testing.assert_allclose(lines["validation"].get_ydata(), history["val_accuracy"])
    np.testing.assert_allclose(lines["training"].get_ydata(), history["batch_accuracy"])
    assert lines["training"].get_linestyle() != lines["validation"].get_linestyle()
    assert "Epoch 4: validation accuracy" in accuracy.get_title(loc="left")
    assert cost.get_title(loc="left").startswith("Cost, validation: ")
    assert rate.get_title(loc="left") == "Learning rate 0.001"
    for axis in (accuracy, cost, rate):
        assert all(float(tick).is_integer() for tick in axis.get_xticks())  # whole epochs


def test_a_resumed_training_goes_on_with_its_curves(tmp_path):
    def resumed(n_epochs, *calls):
        return train_mlp(n_epochs, callbacks=[*calls, Checkpoint(tmp_path, 1)], resume=tmp_path)

    resumed(2, LivePlot())
    plot = LivePlot(out=tmp_path.parent / "live.png")
    history = resumed(4, plot)
    assert plot.progress.val_accuracy == history["val_accuracy"].tolist()
    assert plot.progress.n_epochs == 4
    assert resumed(5).n_epochs == 5  # and without the plot


def test_my_ann_and_estimators_take_it_too(tmp_path):
    digits = load("digits")
    data = (digits.X_train[:200], digits.y_train[:200], digits.X_test[:50], digits.y_test[:50])
    plot = LivePlot(out=tmp_path / "ann.png", seconds_between=3600)
    ann = MyANN(
        data,
        ay_nodes_layers=[0, 9, 0],
        n_epochs=9,
        learn_rate=0.01,
        random_state=0,
        callbacks=[plot, lambda ann: ann.history.n_epochs == 3],
    )
    assert plot.progress.val_accuracy == ann.test_accuracy.tolist()
    assert plot.progress.n_epochs == plot._epochs_drawn == 3  # the last one is drawn too
    plot = LivePlot(out=tmp_path / "mlp.png")
    mlp = fastmlp.MLPClassifier(
        (5,), max_iter=300, early_stopping=True, random_state=0, n_iter_no_change=3
    )
    mlp.set_callbacks(plot).fit(digits.X_train / 16, digits.y_train)
    assert (tmp_path / "mlp.png").exists()


@needs_keras
def test_a_cnn_takes_it_too(tmp_path):
    X, y = bars(40)
    plot = LivePlot(out=tmp_path / "cnn.png", validation_name="validation")
    history = small_cnn().fit(X, y, epochs=2, validation_data=(X, y), callbacks=[plot])
    assert (tmp_path / "cnn.png").exists()
    np.testing.assert_allclose(plot.progress.val_accuracy, history["val_accuracy"])
    np.testing.assert_allclose(plot.progress.train_accuracy, history["batch_accuracy"])
    np.testing.assert_allclose(plot.progress.rate, history["learning_rates"])


def logged(folder):
    """Numbers in the one event file of a folder: {name: {epoch: value}}."""
    loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader",
        reason='tensorboard is missing: pip install "fastmlp[tensorboard]"',
    )
    (file,) = folder.iterdir()
    found = {}
    for event in loader.RawEventFileLoader(str(file)).Load():
        event = loader.event_pb2.Event.FromString(event)
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_tensorboard_logs_hold_the_numbers_of_a_trainer(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    history = train_mlp(callbacks=[TensorBoardLog(tmp_path / "run")])
    found = logged(tmp_path / "run")
    assert list(found["val_accuracy"]) == [1, 2, 3, 4]
    np.testing.assert_allclose(list(found["val_accuracy"].values()), history["val_accuracy"])
    assert found["learning_rate"][1] == pytest.approx(history["learning_rates"][0])
    assert "train_accuracy" not in found  # not measured


def test_my_ann_and_estimators_write_tensorboard_logs_too(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is missing")
    digits = load("digits")
    data = (digits.X_train[:200], digits.y_train[:200], digits.X_test[:50], digits.y_test[:50])
    ann = MyANN(
        data,
        ay_nodes_layers=[0, 9, 0],
        n_epochs=2,
        learn_rate=0.01,
        random_state=0,
        callbacks=[TensorBoardLog(tmp_path / "ann")],
    )
    assert logged(tmp_path / "ann")["val_accuracy"][2] == pytest.approx(ann.test_accuracy[-1])
    mlp = fastmlp.MLPClassifier((5,), max_iter=300, early_stopping=True, n_iter_no_change=3)
    mlp.set_callbacks(TensorBoardLog(tmp_path / "mlp")).fit(digits.X_train / 16, digits.y_train)
    scores = logged(tmp_path / "mlp")["val_score"]
    np.testing.assert_allclose(list(scores.values()), mlp.validation_scores_, rtol=1e-6)


def test_missing_tensorboard_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(ImportError, match=r'pip install "fastmlp\[tensorboard\]"'):
        train_mlp(callbacks=[TensorBoardLog(tmp_path)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": 2}, "reference must be a finite number, 0 to 1"),
        ({"seconds_between": -1}, "seconds_between must be a finite number, at least 0"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        LivePlot(**options)


def test_what_is_no_regular_file_is_not_replaced_by_a_figure(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="cannot replace a device, pipe or socket by a file"):
        train_mlp(1, callbacks=[LivePlot(out=tmp_path / "fifo")])
    assert os.listdir(tmp_path) == ["fifo"]
