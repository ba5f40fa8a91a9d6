"""``fastmlp cnn train``: load, train, show, sum up, write."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp import _cli_output
from fastmlp._cli_cnn import read_integer, read_number
from fastmlp._cli_cnn_data import EpochLines, load_data, pictures
from fastmlp._cli_options import UsageError
from fastmlp.exceptions import DivergenceError

if TYPE_CHECKING:
    from fastmlp.cnn.config import CNNConfig
    from fastmlp.cnn.images import ImageData
    from fastmlp.cnn.network import CNN
    from fastmlp.live import LivePlot

FINISHED, DIVERGED, INTERRUPTED = 0, 1, 130
ENDINGS = {FINISHED: "finished", DIVERGED: "diverged", INTERRUPTED: "interrupted"}
REFERENCE = 0.992
"""The articles' line in the accuracy plot."""


def run(options: argparse.Namespace) -> int:
    """Train and return the exit code; bad input raises."""
    folder = None if options.out is None else _cli_output.prepare_folder(options.out)
    config = _config(options)
    seed = read_integer("--seed", options.seed, minimum=0)
    stop_at = None if options.stop_at is None else read_number(
        "--stop-at", options.stop_at, maximum=1.0
    )  # fmt: skip
    data = load_data(options, seed=seed)
    n_classes = int(max(data.y_train.max(), data.y_test.max())) + 1
    config = replace(
        config, input_shape=data.image_shape,
        dense=(*config.dense[:-1], replace(config.dense[-1], nodes=n_classes)),
    )  # fmt: skip
    from fastmlp.cnn.network import CNN

    cnn = CNN(config, seed=seed, device=options.device, xla=options.xla)
    cnn.scaler = data.scaler
    print(_describe(cnn, data))
    start = time.perf_counter()
    code, live = _fit(cnn, data, options, folder, stop_at)
    seconds = time.perf_counter() - start
    test = cnn.evaluate(data.X_test, data.y_test) if cnn.history.n_epochs else None
    if test is not None:
        print(_summary(cnn, data, seconds, test.accuracy))
    if folder is not None:
        _write(folder, cnn, data, live, {"code": code, "seconds": seconds, "test": test})
    return code


def _config(options: argparse.Namespace) -> CNNConfig:
    """The article's settings with the options in their place."""
    from fastmlp.cnn.config import CNNConfig

    config = CNNConfig.article(options.article)
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


def _fit(
    cnn: CNN, data: ImageData, options: argparse.Namespace, folder: Path | None,
    stop_at: float | None,
) -> tuple[int, LivePlot]:  # fmt: skip
    """Train with lines and, for a folder, a picture that follows; an early end is told."""
    from fastmlp.cnn._recorder import BatchHook
    from fastmlp.live import LivePlot

    name, X, y = data.watched
    epochs, size = cnn.config.epochs, cnn.config.batch_size
    lines = EpochLines(epochs, -(-len(data.X_train) // size), name)
    live = LivePlot(
        out=None if folder is None else folder / "training.png", reference=REFERENCE,
        held_out=name,
    )  # fmt: skip
    callbacks: list[Any] = [BatchHook(cnn, lines.batch), lines.epoch, live]
    if stop_at is not None:
        callbacks.append(lambda cnn: cnn.metrics["test_accuracy"] >= stop_at)
    if options.tensorboard is not None:
        callbacks.append(_tensorboard(options.tensorboard))
    try:
        cnn.fit(data.X_train, data.y_train, test_data=(X, y), callbacks=callbacks)
    except KeyboardInterrupt:
        print(f"\nfastmlp: interrupted after {cnn.history.n_epochs} epochs", file=sys.stderr)
        return INTERRUPTED, live
    except DivergenceError as error:
        print(f"\nfastmlp: error: {error}", file=sys.stderr)
        return DIVERGED, live
    return FINISHED, live


def _tensorboard(folder: str) -> Any:
    """Keras' own callback."""
    from fastmlp.cnn._tensorflow import import_keras

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
    return "\n".join(
        [
            f"time      {trained:.2f} s of training, {seconds:.2f} s with evaluation and display, "
            f"{rate:,.0f} images/s",
            f"accuracy  {data.watched[0]} {measured[-1]:.4f}, best {measured.max():.4f} in epoch "
            f"{int(measured.argmax()) + 1}; test {test_accuracy:.4f} after the last epoch",
        ]
    )


def _write(folder: Path, cnn: CNN, data: ImageData, live: LivePlot, result: dict[str, Any]) -> None:
    """history.json, model.keras and the pictures."""
    from fastmlp.cnn._devices import report

    test = result["test"]
    record = {
        **cnn.history.to_dict(),
        "ended": ENDINGS[result["code"]],
        "n_epochs": cnn.history.n_epochs,
        "seed": cnn.seed,
        "data": {
            "name": data.name,
            "n_train": len(data.X_train),
            "n_validation": len(data.X_validation),
            "n_test": len(data.X_test),
            "measured_after_every_epoch": data.watched[0],
        },
        "settings": {**cnn.config.to_dict(), "n_parameters": cnn.config.n_parameters},
        "seconds": {"total": result["seconds"]},
        "test_set": None if test is None else {"accuracy": test.accuracy, "cost": test.cost},
        "environment": report(),
    }
    _cli_output.write_json(folder / "history.json", record)
    cnn.save(folder / "model.keras")
    names = ["history.json", "model.keras"]
    if live.n_drawn:
        names.append("training.png")
    print(f"written   {', '.join(names)} in {folder}")
    if cnn.history.n_epochs:
        _write_pictures(folder, cnn, data)


def _write_pictures(folder: Path, cnn: CNN, data: ImageData) -> None:
    try:
        with pictures(folder) as draw:
            for name, figure in figures_of_predictions(cnn, data.X_test, data.scaler, data.y_test):
                draw(name, figure)
    except ImportError as error:
        print(f"fastmlp: {error}")


def figures_of_predictions(cnn: CNN, X: Any, scaler: Any, y: Any) -> Iterator[tuple[str, Any]]:
    """Confusion matrix and misclassified images of standardised images `X`."""
    from fastmlp import plots
    from fastmlp.cnn.images import unscale_images

    outputs = cnn.predict(X)
    predicted = outputs.argmax(axis=1)
    labels = list(range(cnn.config.n_classes))
    yield "confusion_matrix", plots.plot_confusion_matrix(y, predicted, labels)
    pixels = unscale_images(scaler, X).reshape(len(X), -1)
    shape = cnn.config.input_shape[:2]
    yield (
        "misclassified",
        plots.plot_misclassified(pixels, y, predicted, outputs, image_shape=shape),
    )
