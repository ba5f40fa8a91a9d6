"""``fastmlp train``: load, train, show, sum up, write."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastmlp import datasets
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.cli import output as _cli_output
from fastmlp.cli.display import choose_display
from fastmlp.cli.options import merge, thread_source
from fastmlp.cli.signals import Terminated
from fastmlp.datasets.arrays import Dataset
from fastmlp.engine import environment as _environment
from fastmlp.engine.plan import plan_batch, training_flop
from fastmlp.exceptions import DivergenceError, ResumeError
from fastmlp.files.json_file import write_json
from fastmlp.myann.myann import Callback, MyANN
from fastmlp.myann.recipes import Recipe
from fastmlp.training.checkpoints.folder import checkpoint_numbers, checkpoint_path

FINISHED, DIVERGED, INTERRUPTED, TERMINATED = 0, 1, 130, 143
"""Exit codes of a run that began."""

ENDINGS = {
    FINISHED: "finished",
    DIVERGED: "diverged",
    INTERRUPTED: "interrupted",
    TERMINATED: "terminated",
}
CHECKPOINT_EVERY = "5min"


def train(options: argparse.Namespace) -> int:
    """Run ``fastmlp train`` and return its exit code; bad input raises."""
    checkpoint = _checkpoint(options)
    folder = None if options.out is None else _cli_output.prepare_folder(options.out)
    data = _load(options.data)
    recipe = merge(options, data.name)
    ann = build(data, recipe, options)
    print(_describe(ann, data, recipe, options))
    if options.resume:
        print(_describe_resume(options.checkpoint))
    start = time.perf_counter()
    code, n_epochs = _fit(ann, options, checkpoint)
    total_seconds = time.perf_counter() - start
    if ann.history.n_epochs:
        print(_summary(ann, total_seconds, n_epochs))
    if folder is not None:
        _write(folder, ann, data, _record(ann, data, recipe, options, total_seconds, code))
    return code


def _checkpoint(options: argparse.Namespace) -> Checkpoint | None:
    """The callback that saves the training, if it shall be saved.

    Raises
    ------
    ValueError
        Where an option about it stands alone.
    OSError
        Where the folder cannot be written into.
    """
    if options.checkpoint is None:
        for name, given in (("--resume", options.resume),
                            ("--checkpoint-every", options.checkpoint_every)):  # fmt: skip
            if given:
                raise ValueError(f"{name} needs --checkpoint, the folder of the states")
        return None
    folder = _cli_output.prepare_folder(options.checkpoint, "--checkpoint")
    return Checkpoint(folder, every=options.checkpoint_every or CHECKPOINT_EVERY)


def build(data: Dataset, recipe: Recipe, options: argparse.Namespace) -> MyANN:
    """An untrained MyANN for the data, as recipe and options describe it."""
    return MyANN(
        (data.X_train, data.y_train, data.X_test, data.y_test),
        len(recipe.hidden),
        [0, *recipe.hidden, 0],
        n_nodes_layer_out=0,
        my_activation_function=recipe.activation,
        my_out_function=recipe.output,
        my_loss_function=recipe.loss,
        n_size_mini_batch=recipe.batch_size,
        n_epochs=recipe.epochs,
        lambda2_reg=recipe.lambda2,
        lambda1_reg=recipe.lambda1,
        learn_rate=recipe.learn_rate,
        decrease_const=recipe.decay,
        mom_rate=recipe.momentum,
        random_state=options.seed,
        n_threads=options.threads,
        dtype=options.dtype,
        b_standardize=False if recipe.scale == "none" else recipe.scale,
        engine=options.engine,
        my_initializer=recipe.initializer,
        b_train_on_init=False,
    )


OPTIONS = {
    "ay_nodes_layers": "--hidden",
    "my_activation_function": "--activation",
    "my_out_function": "--output",
    "my_loss_function": "--loss",
    "n_size_mini_batch": "--batch-size",
    "lambda2_reg": "--lambda2",
    "lambda1_reg": "--lambda1",
    "learn_rate": "--learn-rate",
    "decrease_const": "--decay",
    "mom_rate": "--momentum",
    "random_state": "--seed",
    "dtype": "--dtype",
    "b_standardize": "--scale",
    "engine": "--engine",
    "number of epochs": "--epochs",
}
"""Options by the parameters of MyANN that they give."""


def _load(name: str | None) -> Dataset:
    """The data set of this name; without one MNIST if it is here, else the digits."""
    if name is not None:
        return datasets.load(name)
    if datasets.find("mnist") is not None:
        return datasets.load("mnist", download=False)
    print(
        "MNIST is not on this computer (--data mnist downloads it, FASTMLP_DATA names a folder "
        "that holds it); training on scikit-learn's small digits."
    )
    return datasets.load("digits")


def _fit(ann: MyANN, options: argparse.Namespace, checkpoint: Checkpoint | None) -> tuple[int, int]:
    """Train with a display; an early end is told on stderr.

    Returns the exit code, and the number of epochs without those that a resumed training had.
    """
    callbacks: list[Callback] = [] if checkpoint is None else [checkpoint]
    n_epochs = 0

    def show(ann: MyANN) -> None:
        nonlocal n_epochs
        n_epochs += 1
        display.update(ann.history)

    try:
        with choose_display(ann.n_epochs) as display:
            callbacks.append(show)
            ann.fit(callbacks=callbacks, resume=options.checkpoint if options.resume else None)
    except KeyboardInterrupt as error:
        terminated = isinstance(error, Terminated)
        code = TERMINATED if terminated else INTERRUPTED
        print(f"fastmlp: {ENDINGS[code]} after {_finished(ann)}", file=sys.stderr)
        if checkpoint is not None and checkpoint.last_path is not None:
            print(f"saved in {checkpoint.last_path}; go on with", file=sys.stderr)
            print(f"  {_command_to_go_on(options)}", file=sys.stderr)
        return code, n_epochs
    except DivergenceError as error:
        print(f"fastmlp: error: {error}", file=sys.stderr)
        return DIVERGED, n_epochs
    except ResumeError as error:
        raise ValueError(_in_options(error)) from error
    return FINISHED, n_epochs


def _command_to_go_on(options: argparse.Namespace) -> str:
    """The command line of this run, with --resume."""
    words = [word for word in options.words if word != "--resume"]
    return shlex.join(["fastmlp", *words, "--resume"])


def _in_options(error: ResumeError) -> str:
    """Its sentence, with the options' names in place of the parameters'."""
    differences = {OPTIONS.get(name, name): values for name, values in error.differences.items()}
    return str(ResumeError(error.path, differences))


def _finished(ann: MyANN) -> str:
    """For example "2 finished epochs; train accuracy 0.9312, test accuracy 0.9290"."""
    n = ann.history.n_epochs
    text = f"{n} finished epoch{'' if n == 1 else 's'}"
    if n:
        text += (
            f"; train accuracy {ann.train_accuracy[-1]:.4f}, "
            f"test accuracy {ann.test_accuracy[-1]:.4f}"
        )
    return text


def _describe(ann: MyANN, data: Dataset, recipe: Recipe, options: argparse.Namespace) -> str:
    widths = "-".join(map(str, ann.network.sizes))
    return "\n".join(
        [
            f"{data.name} ({data.source}): {len(ann.X_train)} training and {len(ann.X_test)} "
            f"test rows, {len(ann.classes_)} classes",
            f"network {widths}, {ann.network.n_parameters} parameters, {options.dtype}, "
            f"{recipe.activation}/{recipe.output}, {recipe.loss}, scaling {recipe.scale}",
            f"batch size {recipe.batch_size}, learning rate {recipe.learn_rate:g}, decay "
            f"{recipe.decay:g}, lambda2 {recipe.lambda2:g}, lambda1 {recipe.lambda1:g}, "
            f"momentum {recipe.momentum:g}, seed {options.seed}",
        ]
    )


def _describe_resume(folder: str) -> str:
    numbers = checkpoint_numbers(Path(folder))
    if not numbers:
        return f"resume    nothing is saved in {folder}: from the beginning"
    return f"resume    {checkpoint_path(Path(folder), numbers[-1])}"


def _speed(ann: MyANN) -> dict[str, float]:
    """Seconds and rates of the finished epochs, evaluation not included."""
    seconds = float(ann.epoch_seconds.sum())
    rows = len(ann.X_train) * ann.history.n_epochs
    return {
        "training_seconds": seconds,
        "rows_per_second": rows / seconds,
        "gflop_per_second": training_flop(ann.network.sizes, rows) / seconds / 1e9,
    }


def _summary(ann: MyANN, total_seconds: float, n_epochs: int) -> str:
    speed = _speed(ann)
    resumed = ann.history.n_epochs > n_epochs
    here = f"{n_epochs} of them in this run: " if resumed else ""
    threads = ann.trainer.threads
    batch = min(ann.n_size_mini_batch, len(ann.X_train))
    plan = plan_batch(batch, ann.network.sizes, ann.dtype.itemsize, threads.n_threads)
    n_workers = plan.n_workers if ann.engine == "native" else 1
    return "\n".join(
        [
            f"time      {speed['training_seconds']:.3f} s of training in {ann.history.n_epochs} "
            f"epochs, {here}{total_seconds:.3f} s with evaluation and display",
            f"speed     {speed['rows_per_second']:,.0f} samples/s, "
            f"{speed['gflop_per_second']:.1f} GFLOP/s in matrix products",
            f"threads   {threads.n_threads} (from {thread_source(threads.source)}), "
            f"{n_workers} at work on a batch",
            f"accuracy  train {ann.train_accuracy[-1]:.4f}, test {ann.test_accuracy[-1]:.4f}",
        ]
    )


def _record(
    ann: MyANN,
    data: Dataset,
    recipe: Recipe,
    options: argparse.Namespace,
    total_seconds: float,
    code: int,
) -> dict[str, Any]:
    """The content of history.json: the History under its own names, and what led to it."""
    return {
        **ann.history.to_dict(),
        "ended": ENDINGS[code],
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
            **asdict(recipe),
            "sizes": list(ann.network.sizes),
            "n_parameters": ann.network.n_parameters,
            "dtype": options.dtype,
            "engine": options.engine,
            "preset": options.preset,
        },
        "seconds": {"total": total_seconds},
        **({"speed": _speed(ann)} if ann.history.n_epochs else {}),
        "environment": _environment.collect(options.threads),
    }


def _write(folder: Path, ann: MyANN, data: Dataset, record: dict[str, Any]) -> None:
    write_json(folder / "history.json", record)
    written = ["history.json"]
    if ann.history.n_epochs:
        try:
            written += [path.name for path in _cli_output.write_pictures(folder, ann, data)]
        except ImportError as error:
            print(f"fastmlp: {error}")
    print(f"written   {', '.join(written)} in {folder}")
