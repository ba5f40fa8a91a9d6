"""``fastmlp cnn train``: load, train, show, sum up, write."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp._checks import check_choice
from fastmlp.cli import output as _cli_output
from fastmlp.cli.cnn.data import EpochLines, confusion, draw_predictions, load_data, pictures
from fastmlp.cli.cnn.options import read_integer, read_number
from fastmlp.cli.options import UsageError
from fastmlp.exceptions import DivergenceError
from fastmlp.files.json_file import write_json

if TYPE_CHECKING:
    from fastmlp.callbacks.live_plot import LivePlot
    from fastmlp.cnn.config import CNNConfig
    from fastmlp.cnn.images import ImageData
    from fastmlp.cnn.network import CNN
    from fastmlp.training.history import Evaluation

FINISHED, DIVERGED, INTERRUPTED = 0, 1, 130
ENDINGS = {FINISHED: "finished", DIVERGED: "diverged", INTERRUPTED: "interrupted"}
REFERENCES = {"mnist": 0.992}
"""The articles' line in the accuracy plot."""


def run(options: argparse.Namespace) -> int:
    """Train and return the exit code; bad input raises."""
    folder = None if options.out is None else _cli_output.prepare_folder(options.out)
    config = _config(options)
    seed = read_integer("--seed", options.seed, minimum=0)
    stop_at = _share("--stop-at", options.stop_at)
    reference = _share("--reference", options.reference)
    n_validation = read_integer("--validation", options.validation, minimum=0)
    if options.keep_best and n_validation == 0:
        raise UsageError("--keep-best needs --validation N: test images must not choose the epoch")
    data = load_data(
        options, n_validation=n_validation, legacy_split=options.legacy_split, seed=seed
    )
    n_classes = int(max(data.y_train.max(), data.y_test.max())) + 1
    config = replace(
        config, input_shape=data.image_shape,
        dense=(*config.dense[:-1], replace(config.dense[-1], nodes=n_classes)),
    )  # fmt: skip
    from fastmlp.callbacks.live_plot import LivePlot
    from fastmlp.cnn.network import CNN

    cnn = CNN(config, seed=seed, device=options.device, xla=options.xla)
    cnn.scaler = data.scaler
    print(_describe(cnn, data))
    drawn = folder is not None and find_spec("matplotlib") is not None
    live = LivePlot(
        out=folder / "training.png" if folder and drawn else None, held_out=data.watched[0],
        reference=REFERENCES.get(data.name) if reference is None else reference,
    )  # fmt: skip
    start = time.perf_counter()
    code = _fit(cnn, data, [live, *_callbacks(options, stop_at)])
    seconds = time.perf_counter() - start
    test = cnn.evaluate(data.X_test, data.y_test) if cnn.history.n_epochs else None
    if test is not None:
        print(_summary(cnn, data, seconds, test.accuracy))
    if folder is not None:
        _write(folder, cnn, data, live, ENDINGS[code], seconds, test)
    return code


def _share(name: str, text: str | None) -> float | None:
    return None if text is None else read_number(name, text, maximum=1.0)


def _config(options: argparse.Namespace) -> CNNConfig:
    """The article's settings with the options in their place."""
    from fastmlp.cnn.articles.configs import ARTICLE_NAMES
    from fastmlp.cnn.config import CNNConfig

    config = CNNConfig.article(check_choice("--article", options.article, ARTICLE_NAMES))
    changes: dict[str, Any] = {}
    for field, name in (("epochs", "epochs"), ("batch_size", "batch-size")):
        if (text := getattr(options, field)) is not None:
            changes[field] = read_integer(f"--{name}", text, minimum=1)
    for field, option in (("momentum", "momentum"), ("learning_rate", "learn_rate"), ("l2", "l2")):
        if (text := getattr(options, option)) is not None:
            changes[field] = read_number(f"--{option.replace('_', '-')}", text)
    if "l2" in changes:
        changes["regularizer"] = "l2" if changes["l2"] else None
    if options.optimizer is not None:
        changes["optimizer"] = options.optimizer
    return replace(config, **changes)


def _callbacks(options: argparse.Namespace, stop_at: float | None) -> list[Any]:
    """What the options ask for between epochs."""
    from fastmlp.cnn.best_epoch import BestEpoch

    callbacks: list[Any] = []
    if stop_at is not None:
        callbacks.append(lambda cnn: cnn.metrics["test_accuracy"] >= stop_at)
    if options.keep_best:
        callbacks.append(BestEpoch())
    if options.tensorboard is not None:
        callbacks.append(_tensorboard(options.tensorboard))
    return callbacks


def _fit(cnn: CNN, data: ImageData, callbacks: list[Any]) -> int:
    """Train with a line per epoch; an early end is told, and is the exit code."""
    from fastmlp.cnn.recorder import BatchHook

    name, X, y = data.watched
    epochs, size = cnn.config.epochs, cnn.config.batch_size
    lines = EpochLines(epochs, -(-len(data.X_train) // size), name)
    shown = [BatchHook(cnn, lines.batch), lines.epoch]
    try:
        cnn.fit(data.X_train, data.y_train, test_data=(X, y), callbacks=[*shown, *callbacks])
    except KeyboardInterrupt:
        print(f"\nfastmlp: interrupted after {cnn.history.n_epochs} epochs", file=sys.stderr)
        return INTERRUPTED
    except DivergenceError as error:
        print(f"\nfastmlp: error: {error}", file=sys.stderr)
        return DIVERGED
    return FINISHED


def _tensorboard(folder: str) -> Any:
    """Keras' own callback."""
    from fastmlp.cnn.backend import import_keras

    if find_spec("tensorboard") is None:
        raise UsageError('--tensorboard needs TensorBoard: pip install "fastmlp[tensorboard]"')
    return import_keras().callbacks.TensorBoard(folder)


def _describe(cnn: CNN, data: ImageData) -> str:
    from fastmlp.cnn.geometry import format_table

    config = cnn.config
    watched = f"{len(data.watched[1])} {data.watched[0]} images are measured after every epoch"
    return "\n".join(
        [
            f"{data.name} ({data.source}): {len(data.X_train)} training, "
            f"{len(data.X_validation)} validation and {len(data.X_test)} test images",
            format_table(config),
            f"{config.optimizer}, rate {config.learning_rate:g}, schedule {config.schedule}, "
            f"momentum {config.momentum:g}, l2 {config.l2:g}, batch size {config.batch_size}, seed "
            f"{cnn.seed}, device {cnn.device}; {watched}",
        ]
    )


def _summary(cnn: CNN, data: ImageData, seconds: float, test_accuracy: float) -> str:
    history = cnn.history
    trained = float(history["epoch_seconds"].sum())
    measured = history["test_accuracy"]
    rate = len(data.X_train) * history.n_epochs / trained
    kept = "the last epoch" if cnn.epochs_done == history.n_epochs else f"epoch {cnn.epochs_done}"
    return "\n".join(
        [
            f"time      {trained:.2f} s of training, {seconds:.2f} s with evaluation and display, "
            f"{rate:,.0f} images/s",
            f"accuracy  {data.watched[0]} {measured[-1]:.4f}, best {measured.max():.4f} in epoch "
            f"{int(measured.argmax()) + 1}; test {test_accuracy:.4f} after {kept}",
        ]
    )


def _write(
    folder: Path, cnn: CNN, data: ImageData, live: LivePlot, ended: str, seconds: float,
    test: Evaluation | None,
) -> None:  # fmt: skip
    """history.json, model.keras and the pictures."""
    record = _record(cnn, data, ended, seconds)
    outputs = None if test is None else cnn.predict(data.X_test)
    if test is not None:
        counts = confusion(outputs, data.y_test)
        record["test_set"] = {
            "accuracy": test.accuracy, "cost": test.cost, "confusion": counts
        }  # fmt: skip
    write_json(folder / "history.json", record)
    cnn.save(folder / "model.keras")
    names = ["history.json", "model.keras"]
    if live.n_drawn:
        names.append("training.png")
    print(f"written   {', '.join(names)} in {folder}")
    if outputs is None:
        return
    try:
        with pictures(folder) as draw:
            draw_predictions(draw, cnn, data.X_test, data.y_test, outputs)
    except ImportError as error:
        print(f"fastmlp: {error}")


def _record(cnn: CNN, data: ImageData, ended: str, seconds: float) -> dict[str, Any]:
    """What history.json holds of a training; the test set apart."""
    from fastmlp.cnn.device import report

    return {
        **cnn.history.to_dict(),
        "ended": ended,
        "n_epochs": cnn.history.n_epochs,
        "kept_epoch": cnn.epochs_done,
        "seed": cnn.seed,
        "data": {
            "name": data.name,
            "n_train": len(data.X_train),
            "n_validation": len(data.X_validation),
            "n_test": len(data.X_test),
            "measured_after_every_epoch": data.watched[0],
        },
        "settings": {**cnn.config.to_dict(), "n_parameters": cnn.config.n_parameters},
        "seconds": {"total": seconds},
        "test_set": None,
        "environment": report(),
    }
