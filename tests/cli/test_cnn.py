"""``fastmlp cnn``: whole runs on small images, and sentences for bad input."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from cnn_data import KERAS_SAVES_BY_COPY, bars, needs_keras

from fastmlp.cli.cnn.command import _quietly
from fastmlp.cli.main import main

pytestmark = KERAS_SAVES_BY_COPY


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A path to 160 + 60 images of 20 x 20 in Keras' layout."""
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    arrays = {}
    for part, n, seed in (("train", 160, 0), ("test", 60, 1)):
        images, labels = bars(n, 20, seed)
        arrays[f"x_{part}"] = np.clip(images[..., 0] * 60 + 60, 0, 255).astype(np.uint8)
        arrays[f"y_{part}"] = labels
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def run_folder(data, tmp_path_factory):
    """What one run of ``fastmlp cnn train`` left behind."""
    folder = tmp_path_factory.mktemp("run")
    code = main(["cnn", "train", "--data", data, "--article", "C3c", "--epochs", "2",
                 "--batch-size", "40", "--validation", "40", "--device", "cpu", "--seed", "3",
                 "--keep-best", "--reference", "0.5",
                 "--tensorboard", str(folder / "logs"), "--out", str(folder)])  # fmt: skip
    assert code == 0
    return folder


@needs_keras
def test_train_leaves_history_model_and_figures(run_folder):
    names = {path.name for path in run_folder.iterdir()}
    assert names == {
        "history.json",
        "model.keras",
        "training.png",
        "confusion_matrix.png",
        "misclassified.png",
        "logs",
    }
    assert {path.name for path in (run_folder / "logs").iterdir()} == {"train", "validation"}
    record = json.loads((run_folder / "history.json").read_text())
    assert (record["ended"], record["n_epochs"], record["seed"]) == ("finished", 2, 3)
    assert np.shape(record["costs"]) == (2, 3)
    assert record["data"]["measured_after_every_epoch"] == "validation"
    assert (record["data"]["n_train"], record["data"]["n_validation"]) == (120, 40)
    assert record["settings"]["l2"] == 0.001
    assert record["settings"]["n_parameters"] > 1000
    assert record["kept_epoch"] == np.argmax(record["val_accuracy"]) + 1
    accuracy = np.trace(record["test_set"]["confusion"]) / 60
    assert record["test_set"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert np.sum(record["test_set"]["confusion"]) == 60
    assert "variables" in record["environment"]


@needs_keras
@pytest.mark.parametrize(
    ("options", "code", "ended", "n_epochs"),
    [
        (["--stop-at", "0.01"], 0, "finished", 1),
        (["--batch-size", "80"], 130, "interrupted", 1),
        (["--optimizer", "sgd", "--learn-rate", "1e38"], 1, "diverged", 0),
    ],
)
def test_runs_that_end_early_say_so_and_leave_what_was_done(
    options, code, ended, n_epochs, data, tmp_path, monkeypatch, capsys
):
    def interrupt(lines, cnn):
        raise KeyboardInterrupt

    if ended == "interrupted":
        monkeypatch.setattr("fastmlp.cli.cnn.train.EpochLines.epoch", interrupt)
    assert main(["cnn", "train", "--data", data, *options, "--out", str(tmp_path)]) == code
    record = json.loads((tmp_path / "history.json").read_text())
    assert (record["ended"], record["n_epochs"]) == (ended, n_epochs)
    assert (tmp_path / "model.keras").exists()
    assert (tmp_path / "confusion_matrix.png").exists() == (n_epochs > 0)
    told = {0: "", 130: "interrupted after 1 epochs", 1: "training diverged in epoch 0"}[code]
    assert told in capsys.readouterr().err


@needs_keras
def test_evaluate_agrees_with_the_run(run_folder, data, capsys, tmp_path):
    code = main(
        [
            "cnn",
            "evaluate",
            str(run_folder / "model.keras"),
            "--data",
            data,
            "--device",
            "cpu",
            "--out",
            str(tmp_path),
        ]
    )
    assert code == 0
    record = json.loads((run_folder / "history.json").read_text())
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["accuracy"] == pytest.approx(record["test_set"]["accuracy"])
    assert found["confusion"] == record["test_set"]["confusion"]
    assert "60 test images, accuracy" in capsys.readouterr().out


@needs_keras
def test_show_draws_maps_classes_patterns_and_refinement(run_folder, data, capsys, tmp_path):
    code = main(["cnn", "show", str(run_folder / "model.keras"), "--data", data, "--label", "1",
                 "--starts", "20", "--images", "2", "--layer", "Conv2D_1", "--refine", "strongest",
                 "--match", str(run_folder / "model.keras"), "--device", "cpu",
                 "--out", str(tmp_path)])  # fmt: skip
    assert code == 0
    names = {path.stem for path in tmp_path.iterdir()}
    assert {
        "maps_Conv2D_1",
        "maps_Max_Pool_2",
        "maps_Conv2D_3",
        "filters_Conv2D_1",
        "classes_Dense_1",
        "patterns_Conv2D_1",
        "strongest_pattern_Conv2D_1",
        "refinement_Conv2D_1",
        "matching_Conv2D_1",
        "matching_Conv2D_3",
    } <= names
    printed = capsys.readouterr().out
    assert "Conv2D_1: patterns for" in printed
    matching = printed[printed.index("matching") :]
    row = next(line.split() for line in matching.splitlines() if line.startswith("Conv2D_1"))
    assert row[:3] == ["Conv2D_1", "32", "1.00"]  # a network is its own twin
    found = json.loads((tmp_path / "maps.json").read_text())
    assert [m["layer"] for m in found["matching"]] == ["Conv2D_1", "Conv2D_2", "Conv2D_3"]
    assert found["matching"][0]["median"] == pytest.approx(1.0)
    assert (found["label"], found["n_images"]) == (1, 2)
    assert found["layers"]["Max_Pool_1"]["maps"] == 32
    hunted = found["patterns"]
    assert len(hunted["found"]) + len(hunted["missed"]) == 32
    assert f"patterns for {len(hunted['found'])} of 32 maps" in printed
    assert (np.diff(found["refinement"]["answers"]) > 0).all()


@needs_keras
def test_compare_devices_prints_a_table_and_writes_it(data, capsys, tmp_path):
    code = main(["cnn", "compare-devices", "--data", data, "--batch-sizes", "50,160", "--epochs",
                 "1", "--out", str(tmp_path)])  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert "Keras, cpu:0" in printed
    assert "fastmlp" in printed
    content = json.loads((tmp_path / "devices.json").read_text())
    assert [t["batch_size"] for t in content["timings"]] == [50, 50, 160, 160]
    assert content["ratios"]["50"]["Keras, cpu:0"] == 1.0
    assert f"fastmlp {content['engine_threads']}" in printed
    assert (tmp_path / "devices.png").exists()


@needs_keras
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--article", "C9"], "--article must be one of 'C2'"),
        (["train", "--epochs", "0"], "--epochs must be at least 1; got 0"),
        (["train", "--momentum", "x"], "--momentum must be a number; got 'x'"),
        (["train", "--keep-best"], "--keep-best needs --validation N: test images must not"),
        (["train", "--reference", "2"], "--reference must be a finite number, 0 to 1; got 2.0"),
        (["train", "--stop-at", "2"], "--stop-at must be a finite number, 0 to 1; got 2.0"),
        (["train", "--optimizer", "lion"], "optimizer must be one of"),
        (["train", "--precision", "float8"], "precision must be one of 'float32', 'bfloat16'"),
        (["train", "--xla", "maybe"], "argument --xla: invalid choice: 'maybe'"),
        (
            ["train", "--steps-per-execution", "0"],
            "--steps-per-execution must be at least 1; got 0",
        ),
        (["train", "--gpu-share", "2"], "--gpu-share must be a finite number, 0 to 1; got 2.0"),
        (
            ["train", "--gpu-share", "0.3", "--gpu-memory", "9"],
            "memory_limit_mb and memory_share exclude each other",
        ),
        (["train", "--data", "moons"], "data must be square images"),
        (["train", "--data", "digits"], "use larger images"),
        (["train", "--device", "gpu:77", "--data", "DATA"], "needs 78 graphics"),
        (
            [
                "show",
                "MODEL",
                "--data",
                "DATA",
                "--label",
                "1",
                "--refine",
                "64",
                "--layer",
                "Conv2D_2",
            ],
            "map must be from 0 to 63; got 64",
        ),
        (["show", "MODEL", "--data", "DATA", "--match", "nothing.keras"], "found none"),
        (["show", "MODEL", "--data", "DATA", "--layer", "Conv2D_9"], "layer must be one of"),
        (["evaluate", "model.h5"], "can carry Python code"),
        (["evaluate", "nothing.keras"], "expected a .keras file, found none"),
        (
            ["compare-devices", "--batch-sizes", "a"],
            "--batch-sizes must be whole numbers of at least 1",
        ),
        (["compare-devices", "--batch-sizes", ""], "--batch-sizes needs at least one number"),
        (["paint"], "the command after fastmlp cnn must be one of 'train', 'evaluate', "),
        (["trian"], "got 'trian'. Did you mean 'train'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments, message, data, run_folder, capsys, tmp_path
):
    if arguments[0] == "show":
        arguments = [*arguments, "--out", str(tmp_path)]
    names = {"DATA": data, "MODEL": str(run_folder / "model.keras")}
    capsys.readouterr()
    code = main(["cnn", *(names.get(a, a) for a in arguments)])
    captured = capsys.readouterr()
    assert code == 2
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_missing_tensorflow_is_told_with_the_command_that_installs_it(monkeypatch, capsys):
    from fastmlp.cnn import backend

    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    assert main(["cnn", "train"]) == 2
    assert 'pip install "fastmlp[cnn]"' in capsys.readouterr().err


@needs_keras
def test_a_missing_matplotlib_costs_the_figures_only(monkeypatch, data, capsys, tmp_path):
    from fastmlp.cli.cnn import train as _cli_cnn_train
    from fastmlp.plots import style as _plot_style

    def missing():
        raise ImportError('figures need matplotlib: pip install "fastmlp[plots]"')

    monkeypatch.setattr(_cli_cnn_train, "find_spec", lambda name: None)
    monkeypatch.setattr(_plot_style, "import_pyplot", missing)
    options = ["--data", data, "--epochs", "1", "--out", str(tmp_path)]
    assert main(["cnn", "train", *options]) == 0
    assert 'figures need matplotlib: pip install "fastmlp[plots]"' in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"history.json", "model.keras"}


@needs_keras
def test_missing_tensorboard_is_told_before_the_training(monkeypatch, data, capsys, tmp_path):
    from fastmlp.cli.cnn import train as _cli_cnn_train

    monkeypatch.setattr(_cli_cnn_train, "find_spec", lambda name: None)
    logs = tmp_path / "logs"
    assert main(["cnn", "train", "--data", data, "--tensorboard", str(logs)]) == 2
    assert 'TensorBoard: pip install "fastmlp[tensorboard]"' in capsys.readouterr().err
    assert not logs.exists()


@pytest.mark.parametrize("has_card", [True, False])
def test_notes_of_loading_libraries_are_left_out_and_those_about_cards_without_a_card(
    has_card, capfd, monkeypatch
):
    monkeypatch.setattr("fastmlp.cnn.cards.card_in_machine", lambda: has_card)
    about_cards = (
        "E0000 00:00 cuda_platform.cc:51] failed call to cuInit: INTERNAL: unknown error (303)\n"
        "W0000 00:00 gpu_device.cc:2341] Cannot dlopen some GPU libraries.\n"
    )

    def load():
        os.write(2, f"I0000 00:00 port.cc:153] oneDNN\n{about_cards}E0000 out of disk\n".encode())

    _quietly(load)
    assert capfd.readouterr().err == f"{about_cards if has_card else ''}E0000 out of disk\n"
    with pytest.raises(ImportError):
        _quietly(lambda: __import__("no_such_module"))
    os.write(2, b"I0000 later\n")
    assert capfd.readouterr().err == "I0000 later\n"


@needs_keras
@pytest.mark.parametrize(("device", "n_lines"), [("auto", 1), ("cpu", 0)])
def test_a_card_that_is_not_used_is_told_with_the_reason(device, n_lines, monkeypatch, capsys):
    monkeypatch.setattr("fastmlp.cnn.cards.card_in_machine", lambda: True)
    monkeypatch.setattr("fastmlp.cnn.device.why_no_card", lambda: "libcudnn.so.9 is missing")
    code = main(["cnn", "evaluate", "nothing.keras", "--device", device])
    told = "fastmlp: the graphics card is not used: libcudnn.so.9 is missing\n"
    assert code == 2
    assert capsys.readouterr().err.count(told) == n_lines


@needs_keras
def test_options_of_the_device_reach_it(monkeypatch, data, capsys):
    settings, made = [], []
    monkeypatch.setattr("fastmlp.cnn.device.configure", lambda **given: settings.append(given))

    class Stop(Exception):
        pass

    def stop(config, **given):
        made.append((config.precision, given))
        raise Stop

    monkeypatch.setattr("fastmlp.cnn.network.CNN", stop)
    words = ["--gpu-share", "0.35", "--deterministic", "--precision", "bfloat16", "--xla",
             "--steps-per-execution", "20", "--threads", "2"]  # fmt: skip
    with pytest.raises(Stop):
        main(["cnn", "train", "--data", data, *words])
    assert settings == [
        {
            "intra_threads": 2,
            "memory_limit_mb": None,
            "memory_share": 0.35,
            "deterministic": True,
        }
    ]
    ((precision, given),) = made
    assert precision == "bfloat16"
    assert (given["xla"], given["steps_per_execution"]) == (True, 20)
    for words, expected in (([], "auto"), (["--xla", "off"], False), (["--xla", "on"], True)):
        with pytest.raises(Stop):
            main(["cnn", "train", "--data", data, *words])
        assert made[-1][1]["xla"] == expected
    assert settings[-1]["deterministic"] is None
