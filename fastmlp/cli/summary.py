"""Output of ``fastmlp train``: before a run, after it, and in history.json."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.cli.options import thread_source
from fastmlp.cli.run_data import RunData
from fastmlp.datasets.recipes import Recipe
from fastmlp.engine import environment
from fastmlp.engine.plan import plan_batch, plan_network, training_flop
from fastmlp.network.network import Network
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path
from fastmlp.training.history import History
from fastmlp.training.trainer import Trainer

HISTORY_NAME = "history.json"


def describe(data: RunData, network: Network, recipe: Recipe, options: Namespace) -> str:
    """Return three lines about data, network and settings."""
    widths = "-".join(map(str, network.sizes))
    return "\n".join(
        [
            f"{data.name} ({data.origin}): {data.n_train} training and "
            f"{data.n_validation} validation rows, {network.sizes[-1]} classes",
            f"network {widths}, {network.n_parameters} parameters, {options.dtype}, "
            f"{recipe.activation}/{recipe.output}, {recipe.loss}, scaling {recipe.scale}",
            f"batch size {recipe.batch_size}, learning rate {recipe.learn_rate:g}, decay "
            f"{recipe.decay:g}, l2 {recipe.l2:g}, l1 {recipe.l1:g}, "
            f"momentum {recipe.momentum:g}, seed {options.seed}",
        ]
    )


def describe_resume(folder: str) -> str:
    """Return a line about the checkpoint that a resumed run starts from."""
    numbers = checkpoint_numbers(Path(folder))
    if not numbers:
        return f"resume    no checkpoint in {folder}; starting fresh"
    return f"resume    {checkpoint_path(Path(folder), numbers[-1])}"


def describe_end(history: History) -> str:
    """Return, for example, "2 finished epochs; accuracy: train 0.9312, validation 0.9290"."""
    n = history.n_epochs
    text = f"{n} finished epoch{'' if n == 1 else 's'}"
    return f"{text}; accuracy: {_accuracies(history)}" if n else text


def summarize(trainer: Trainer, n_rows: int, total_seconds: float, n_epochs: int) -> str:
    """Return four lines about time, speed, threads and accuracy.

    Parameters
    ----------
    trainer : Trainer
        With at least one finished epoch.
    n_rows : int
        Number of training rows.
    total_seconds : float
        Wall time of this run.
    n_epochs : int
        Epochs of this run, without those of the checkpoint that it resumed.
    """
    history, threads = trainer.history, trainer.threads
    rates = _speed(trainer, n_rows)
    here = f"{n_epochs} of them in this run: " if history.n_epochs > n_epochs else ""
    return "\n".join(
        [
            f"time      {rates['training_seconds']:.3f} s of training in {history.n_epochs} "
            f"epochs, {here}{total_seconds:.3f} s with evaluation and display",
            f"speed     {rates['rows_per_second']:,.0f} samples/s, "
            f"{rates['gflop_per_second']:.1f} GFLOP/s in matrix products",
            f"threads   {threads.n_threads} (from {thread_source(threads.source)}), "
            f"{_workers(trainer, n_rows)} used for a batch",
            f"accuracy  {_accuracies(history)}{_best(history)}",
        ]
    )


def make_record(
    data: RunData,
    trainer: Trainer,
    recipe: Recipe,
    options: Namespace,
    total_seconds: float,
    ended: str,
) -> dict[str, Any]:
    """Return the content of history.json: the History under its own names, and what led to it."""
    history, network = trainer.history, trainer.network
    return {
        **history.to_dict(),
        "ended": ended,
        "n_epochs": history.n_epochs,
        "seed": options.seed,
        "data": {
            "name": data.name,
            "n_train": data.n_train,
            "n_test": data.n_validation,
            "n_features": data.n_features,
            "classes": data.classes.tolist(),
        },
        "settings": {
            **_settings(recipe),
            "sizes": list(network.sizes),
            "n_parameters": network.n_parameters,
            "dtype": options.dtype,
            "engine": options.engine,
            "products": trainer.products,
            "preset": options.preset,
        },
        "seconds": {"total": total_seconds},
        **({"speed": _speed(trainer, data.n_train)} if history.n_epochs else {}),
        "environment": environment.collect(options.threads),
    }


def rows_of_sets(record: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the numbers of rows of a record's sets by the prefix of their names; None without."""
    data = record.get("data")
    if not isinstance(data, Mapping) or not {"n_train", "n_test"} <= set(data):
        return None
    # Without validation rows nothing was measured, and what is divided is NaN.
    return {"train": data["n_train"], "val": max(1, data["n_test"])}


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of `recipe` under the names that history.json has always had."""
    old_names = {"l2": "lambda2", "l1": "lambda1"}
    return {old_names.get(name, name): value for name, value in asdict(recipe).items()}


def _accuracies(history: History) -> str:
    """Return the last accuracies; without the training rows' that of their batches."""
    train, validation = history.last("train_accuracy"), history.last("val_accuracy")
    text = f"train {train:.4f}"
    if np.isnan(train):
        text = f"batches of the last epoch {history.last('batch_accuracy'):.4f}"
    return text if np.isnan(validation) else f"{text}, validation {validation:.4f}"


def _best(history: History) -> str:
    """Return the best epoch in brackets, if a later one was worse; epochs count from 1."""
    accuracies = history["val_accuracy"]
    if np.isnan(accuracies).any() or accuracies.max() <= accuracies[-1]:
        return ""
    return f" (best {accuracies.max():.4f} in epoch {int(accuracies.argmax()) + 1})"


def _speed(trainer: Trainer, n_rows: int) -> dict[str, float]:
    """Return seconds and rates of the finished epochs, evaluation not included."""
    history = trainer.history
    seconds = float(history["epoch_seconds"].sum())
    rows = n_rows * history.n_epochs
    return {
        "training_seconds": seconds,
        "rows_per_second": rows / seconds,
        "gflop_per_second": training_flop(trainer.network.sizes, rows) / seconds / 1e9,
    }


def _workers(trainer: Trainer, n_rows: int) -> int:
    """Return the number of threads that share a full mini-batch."""
    if trainer.engine_name != "native":
        return 1
    network, n_threads = trainer.network, trainer.threads.n_threads
    batch = min(trainer.batch_size, n_rows)
    itemsize = network.dtype.itemsize
    plan = plan_network(network.sizes, itemsize, trainer.products)
    return plan_batch(batch, network.sizes, itemsize, n_threads, network=plan).n_workers
