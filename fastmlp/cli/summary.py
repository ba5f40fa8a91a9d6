"""What ``fastmlp train`` says about a run: before it, after it, and in history.json."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastmlp.cli.options import thread_source
from fastmlp.datasets import Dataset
from fastmlp.engine import environment
from fastmlp.engine.plan import plan_batch, training_flop
from fastmlp.myann.myann import MyANN
from fastmlp.myann.recipes import Recipe
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path


def describe(ann: MyANN, data: Dataset, recipe: Recipe, options: Namespace) -> str:
    """Return three lines about data, network and settings."""
    widths = "-".join(map(str, ann.network.sizes))
    return "\n".join(
        [
            f"{data.name} ({data.source}): {len(ann.X_train)} training and {len(ann.X_test)} "
            f"validation rows, {len(ann.classes_)} classes",
            f"network {widths}, {ann.network.n_parameters} parameters, {options.dtype}, "
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


def describe_end(ann: MyANN) -> str:
    """Return, for example, "2 finished epochs; accuracy: train 0.9312, validation 0.9290"."""
    n = ann.history.n_epochs
    text = f"{n} finished epoch{'' if n == 1 else 's'}"
    return f"{text}; accuracy: {_accuracies(ann)}" if n else text


def summarize(ann: MyANN, total_seconds: float, n_epochs: int) -> str:
    """Return four lines about time, speed, threads and accuracy.

    Parameters
    ----------
    ann : MyANN
        With at least one finished epoch.
    total_seconds : float
        Wall time of this run.
    n_epochs : int
        Epochs of this run, without those of the checkpoint that it resumed.
    """
    rates = _speed(ann)
    resumed = ann.history.n_epochs > n_epochs
    here = f"{n_epochs} of them in this run: " if resumed else ""
    threads = ann.trainer.threads
    return "\n".join(
        [
            f"time      {rates['training_seconds']:.3f} s of training in {ann.history.n_epochs} "
            f"epochs, {here}{total_seconds:.3f} s with evaluation and display",
            f"speed     {rates['rows_per_second']:,.0f} samples/s, "
            f"{rates['gflop_per_second']:.1f} GFLOP/s in matrix products",
            f"threads   {threads.n_threads} (from {thread_source(threads.source)}), "
            f"{_workers(ann)} used for a batch",
            f"accuracy  {_accuracies(ann)}",
        ]
    )


def make_record(
    ann: MyANN,
    data: Dataset,
    recipe: Recipe,
    options: Namespace,
    total_seconds: float,
    ended: str,
) -> dict[str, Any]:
    """Return the content of history.json: the History under its own names, and what led to it."""
    return {
        **ann.history.to_dict(),
        "ended": ended,
        "n_epochs": ann.history.n_epochs,
        "seed": options.seed,
        "data": {
            "name": data.name,
            "n_train": len(ann.X_train),
            "n_test": len(ann.X_test),
            "n_features": ann.X_train.shape[1],
            "classes": ann.classes_.tolist(),
        },
        "settings": {
            **_settings(recipe),
            "sizes": list(ann.network.sizes),
            "n_parameters": ann.network.n_parameters,
            "dtype": options.dtype,
            "engine": options.engine,
            "preset": options.preset,
        },
        "seconds": {"total": total_seconds},
        **({"speed": _speed(ann)} if ann.history.n_epochs else {}),
        "environment": environment.collect(options.threads),
    }


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of `recipe` under the names that history.json has always had."""
    old_names = {"l2": "lambda2", "l1": "lambda1"}
    return {old_names.get(name, name): value for name, value in asdict(recipe).items()}


def _accuracies(ann: MyANN) -> str:
    return f"train {ann.train_accuracy[-1]:.4f}, validation {ann.test_accuracy[-1]:.4f}"


def _speed(ann: MyANN) -> dict[str, float]:
    """Return seconds and rates of the finished epochs, evaluation not included."""
    seconds = float(ann.epoch_seconds.sum())
    rows = len(ann.X_train) * ann.history.n_epochs
    return {
        "training_seconds": seconds,
        "rows_per_second": rows / seconds,
        "gflop_per_second": training_flop(ann.network.sizes, rows) / seconds / 1e9,
    }


def _workers(ann: MyANN) -> int:
    """Return the number of threads that share a full mini-batch."""
    if ann.engine != "native":
        return 1
    batch = min(ann.n_size_mini_batch, len(ann.X_train))
    n_threads = ann.trainer.threads.n_threads
    return plan_batch(batch, ann.network.sizes, ann.dtype.itemsize, n_threads).n_workers
