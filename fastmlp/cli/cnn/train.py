"""``fastmlp cnn train``: train a CNN, show its progress, write record, model and figures."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp._checks import check_choice
from fastmlp.cli.cnn.data import EpochLines, confusion, draw_predictions, figures, load_data
from fastmlp.cli.cnn.options import XLA, add_data, add_device, add_seed, add_xla
from fastmlp.cli.exit_codes import ENDINGS, FAILED, FINISHED, code_of
from fastmlp.cli.options import UsageError, integer, number
from fastmlp.cli.output import prepare_folder, report_written
from fastmlp.exceptions import DivergenceError
from fastmlp.files.json_file import write_json

if TYPE_CHECKING:
    from fastmlp.callbacks.live_plot import LivePlot
    from fastmlp.cnn.config import CNNConfig
    from fastmlp.cnn.images import ImageData
    from fastmlp.cnn.network import CNN
    from fastmlp.training.history import Evaluation

DEFAULT_SEED = 42
REFERENCES = {"mnist": 0.992}
"""The articles' line in the accuracy plot."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp cnn train``."""
    parser.description = (
        "Train a CNN with the settings of an article; options replace single settings."
    )
    add = parser.add_argument
    add_data(parser, training=True)
    add(
        "--validation",
        metavar="N",
        type=integer("--validation", 0),
        default=0,
        help="evaluate the last N training images after every epoch instead of the test set; "
        "default 0",
    )
    add(
        "--legacy-split",
        action="store_true",
        help="mix training and test images as the articles do, with a scaler fitted on all",
    )
    add("--article", metavar="NAME", default="C2", help="settings: C2, C3a, C3b, C3c; default C2")
    add("--epochs", metavar="N", type=integer("--epochs", 1), help="number of epochs")
    add("--batch-size", metavar="N", type=integer("--batch-size", 1), help="images per mini-batch")
    add("--momentum", metavar="X", type=number("--momentum"), help="momentum coefficient")
    add("--optimizer", metavar="NAME", help="rmsprop, nadam, adamax, adam or sgd")
    add("--learn-rate", metavar="X", type=number("--learn-rate"), help="initial learning rate")
    add("--l2", metavar="X", type=number("--l2"), help="factor of sum w^2 over the dense kernels")
    add(
        "--stop-at",
        metavar="X",
        type=number("--stop-at", maximum=1.0),
        help="stop when this accuracy is reached on the evaluated images",
    )
    add(
        "--keep-best",
        action="store_true",
        help="restore the weights of the epoch with the best validation accuracy; needs "
        "--validation",
    )
    add(
        "--reference",
        metavar="X",
        type=number("--reference", maximum=1.0),
        help="dashed line in the figure of the accuracy; default 0.992 for mnist, else none",
    )
    add_seed(parser, DEFAULT_SEED, "weights and shuffling")
    add(
        "--precision",
        metavar="NAME",
        help="float32, bfloat16 or float16: what products are computed in; default float32",
    )
    add(
        "--steps-per-execution",
        metavar="N",
        type=integer("--steps-per-execution", 1),
        default=1,
        help="mini-batches that a graphics card gets at a time; default 1",
    )
    add_xla(parser)
    add("--tensorboard", metavar="DIR", help="write Keras' logs for TensorBoard")
    add("--out", metavar="DIR", help="write history.json, model.keras and figures here")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Train and return the exit code; bad input raises."""
    folder = None if options.out is None else prepare_folder(options.out)
    config = _config(options)
    seed, n_validation = options.seed, options.validation
    if options.keep_best and n_validation == 0:
        raise UsageError("--keep-best needs --validation N: test images must not choose the epoch")
    data = load_data(
        options, n_validation=n_validation, legacy_split=options.legacy_split, seed=seed
    )
    n_classes = int(max(data.y_train.max(), data.y_test.max())) + 1
    config = replace(
        config,
        input_shape=data.image_shape,
        dense=(*config.dense[:-1], replace(config.dense[-1], nodes=n_classes)),
    )
    from fastmlp.callbacks.live_plot import LivePlot
    from fastmlp.cnn.network import CNN

    cnn = CNN(
        config,
        seed=seed,
        device=options.device,
        xla=XLA[options.xla],
        steps_per_execution=options.steps_per_execution,
    )
    cnn.scaler = data.scaler
    print(_describe(cnn, data))
    drawn = folder is not None and find_spec("matplotlib") is not None
    live = LivePlot(
        out=folder / "training.png" if folder and drawn else None,
        validation_name=data.watched[0],
        reference=REFERENCES.get(data.name) if options.reference is None else options.reference,
    )
    start = time.perf_counter()
    code = _fit(cnn, data, [live, *_callbacks(options)])
    seconds = time.perf_counter() - start
    test = cnn.evaluate(data.X_test, data.y_test) if cnn.history.n_epochs else None
    if test is not None:
        print(_summary(cnn, data, seconds, test.accuracy))
    if folder is not None:
        _write(folder, cnn, data, live, ENDINGS[code], seconds, test)
    return code


def _config(options: argparse.Namespace) -> CNNConfig:
    """The article's settings with the options in their place."""
    from fastmlp.cnn.articles.configs import ARTICLE_NAMES
    from fastmlp.cnn.config import CNNConfig

    config = CNNConfig.article(check_choice("--article", options.article, ARTICLE_NAMES))
    given = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "momentum": options.momentum,
        "learning_rate": options.learn_rate,
        "l2": options.l2,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "l2" in changes:
        changes["regularizer"] = "l2" if changes["l2"] else None
    for name in ("optimizer", "precision"):
        if getattr(options, name) is not None:
            changes[name] = getattr(options, name)
    return replace(config, **changes)


def _callbacks(options: argparse.Namespace) -> list[Any]:
    """Return the callbacks that the options request."""
    from fastmlp.cnn.best_epoch import BestEpoch

    callbacks: list[Any] = []
    if options.stop_at is not None:
        callbacks.append(lambda cnn: cnn.metrics["val_accuracy"] >= options.stop_at)
    if options.keep_best:
        callbacks.append(BestEpoch())
    if options.tensorboard is not None:
        callbacks.append(_tensorboard(options.tensorboard))
    return callbacks


def _fit(cnn: CNN, data: ImageData, callbacks: list[Any]) -> int:
    """Train with a line per epoch; report an early end on stderr, and return the exit code."""
    from fastmlp.cnn.recorder import BatchHook

    name, X, y = data.watched
    epochs, size = cnn.config.epochs, cnn.config.batch_size
    lines = EpochLines(epochs, -(-len(data.X_train) // size), name)
    shown = [BatchHook(cnn, lines.batch), lines.epoch]
    try:
        cnn.fit(data.X_train, data.y_train, validation_data=(X, y), callbacks=[*shown, *callbacks])
    except KeyboardInterrupt as interrupt:
        code = code_of(interrupt)
        print(f"\nfastmlp: {ENDINGS[code]} after {cnn.history.n_epochs} epochs", file=sys.stderr)
        return code
    except DivergenceError as error:
        print(f"\nfastmlp: error: {error}", file=sys.stderr)
        return FAILED
    return FINISHED


def _tensorboard(folder: str) -> Any:
    """Keras' own callback, which needs TensorFlow, whatever else computes."""
    from fastmlp.cnn.backend import import_keras

    if find_spec("tensorboard") is None:
        raise UsageError('--tensorboard needs TensorBoard: pip install "fastmlp[tensorboard]"')
    if find_spec("tensorflow") is None:
        raise UsageError(
            "--tensorboard writes Keras' logs, which needs TensorFlow; in Python, the callback "
            "fastmlp.TensorBoardLog writes logs without it"
        )

    return import_keras().callbacks.TensorBoard(folder)


def _describe(cnn: CNN, data: ImageData) -> str:
    from fastmlp.cnn.backend import library
    from fastmlp.cnn.geometry import format_table

    config = cnn.config
    watched = f"{len(data.watched[1])} {data.watched[0]} images are evaluated after every epoch"
    return "\n".join(
        [
            f"{data.name} ({data.source}): {len(data.X_train)} training, "
            f"{len(data.X_validation)} validation and {len(data.X_test)} test images",
            format_table(config),
            f"{config.optimizer}, rate {config.learning_rate:g}, schedule {config.schedule}, "
            f"momentum {config.momentum:g}, l2 {config.l2:g}, batch size {config.batch_size}, seed "
            f"{cnn.seed}, {library().TITLE} on {cnn.device}; {watched}",
        ]
    )


def _summary(cnn: CNN, data: ImageData, seconds: float, test_accuracy: float) -> str:
    history = cnn.history
    trained = float(history["epoch_seconds"].sum())
    measured = history["val_accuracy"]
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
    folder: Path,
    cnn: CNN,
    data: ImageData,
    live: LivePlot,
    ended: str,
    seconds: float,
    test: Evaluation | None,
) -> None:
    """history.json, model.keras and the figures."""
    record = _record(cnn, data, ended, seconds)
    outputs = None if test is None else cnn.predict(data.X_test)
    if test is not None:
        counts = confusion(outputs, data.y_test)
        record["test_set"] = {"accuracy": test.accuracy, "cost": test.cost, "confusion": counts}
    write_json(folder / "history.json", record)
    cnn.save(folder / "model.keras")
    names = ["history.json", "model.keras"]
    if live.n_drawn:
        names.append("training.png")
    report_written(names, folder)
    if outputs is None:
        return
    try:
        with figures(folder) as draw:
            draw_predictions(draw, cnn, data.X_test, data.y_test, outputs, data.name)
    except ImportError as error:
        print(f"fastmlp: {error}")


def _record(cnn: CNN, data: ImageData, ended: str, seconds: float) -> dict[str, Any]:
    """Return the content of history.json, except for the results on the test set."""
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
