"""``fastmlp train``: load, train, show the progress, summarize, write."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.cli.display import choose_display
from fastmlp.cli.exit_codes import BAD_INPUT, ENDINGS, FAILED, FINISHED, TERMINATED, code_of
from fastmlp.cli.models import write_model
from fastmlp.cli.options import (
    DEFAULT_SEED,
    add_data,
    add_dtype,
    add_threads,
    choice,
    integer,
    integers,
    interval,
    number,
)
from fastmlp.cli.output import (
    draw_into,
    prediction_figures,
    prepare_folder,
    report_written,
    run_figures,
)
from fastmlp.cli.run_data import (
    RunData,
    for_tables,
    is_in_files,
    load_arrays,
    prepare_arrays,
    prepare_files,
)
from fastmlp.cli.summary import (
    HISTORY_NAME,
    describe,
    describe_end,
    describe_resume,
    make_record,
    rows_of_sets,
    summarize,
)
from fastmlp.datasets.recipes import PRESETS, Recipe, recipe_for
from fastmlp.datasets.scaling import KINDS, Scaler
from fastmlp.engine.products import PRODUCTS
from fastmlp.exceptions import DataFormatError, DivergenceError, ResumeError
from fastmlp.exchange.saving import MODEL_NAME
from fastmlp.files.json_file import write_json
from fastmlp.losses import ACTIVATIONS, NATURAL_LOSS
from fastmlp.network.network import Network
from fastmlp.training.trainer import ENGINES, Trainer

OUTPUTS = ("sigmoid", "softmax", "identity")
"""Output functions that suit classes."""

LOSSES = ("log_loss", "cross_entropy", "squared_error")
CHECKPOINT_EVERY = "5min"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp train``."""
    parser.description = (
        "Train a network. Settings that are not given come from the best known recipe for the "
        "data set. The test rows of the data set serve as validation data: they are evaluated "
        "after every epoch. Parquet files are read in windows of 64 MiB: --data FILE.parquet "
        "--target COLUMN, with rows in other files for --validation, or a share of these rows for "
        "--validation-fraction."
    )
    add_data(parser)
    _add_files(parser)
    _add_network(parser)
    _add_training(parser)
    add_threads(parser)
    add_dtype(parser, default="float32")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help=f"write the model ({MODEL_NAME}, for fastmlp predict and evaluate), {HISTORY_NAME} "
        "and figures to this folder",
    )
    _add_checkpoints(parser)


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", metavar="COLUMN", help="name of the Parquet files' column with the labels")
    add(
        "--features",
        metavar="a,b,c",
        help="names of the Parquet files' columns to use as inputs; default: all others",
    )
    add(
        "--validation",
        metavar="PATH",
        help="Parquet file, or folder of such, with rows that are evaluated after every epoch",
    )
    add(
        "--validation-fraction",
        type=number("--validation-fraction", 1.0),
        metavar="X",
        help="hold out this share of the Parquet files' rows, chosen at random with --seed, and "
        "evaluate them after every epoch",
    )
    add(
        "--window-rows",
        type=integer("--window-rows", 1),
        metavar="N",
        help="rows of the Parquet files in memory and shuffled at once; default: 64 MiB of them",
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--hidden", metavar="70,30", type=integers("--hidden"), help="widths of the hidden layers")
    for name, what, allowed in (
        ("--activation", "activation function of the hidden layers", ACTIVATIONS),
        ("--output", "activation function of the output layer", OUTPUTS),
        ("--loss", "loss function; default: the one that suits --output", LOSSES),
        ("--scale", "how the inputs are scaled", KINDS),
        ("--preset", "settings to use instead of the recipe", PRESETS),
    ):
        help_text = f"{what}: {', '.join(allowed)}"
        add(name, metavar="NAME", type=choice(name, allowed), help=help_text)


def _add_training(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--batch-size", metavar="N", type=integer("--batch-size", 1), help="rows per mini-batch")
    add("--epochs", metavar="N", type=integer("--epochs", 1), help="number of passes over the data")
    for name, text in (
        ("--learn-rate", "initial learning rate"),
        ("--decay", "divide the learning rate by 1 + X e in epoch e = 1, 2, ..."),
        ("--l2", "strength of the L2 penalty"),
        ("--l1", "strength of the L1 penalty"),
    ):
        add(name, metavar="X", type=number(name), help=text)
    add("--momentum", metavar="X", type=number("--momentum", 1.0), help="momentum coefficient")
    add(
        "--seed",
        metavar="N",
        type=integer("--seed", 0),
        default=DEFAULT_SEED,
        help=f"random seed; default {DEFAULT_SEED}",
    )
    add(
        "--engine",
        metavar="NAME",
        type=choice("--engine", ENGINES),
        default="native",
        help=f"compiled code or the NumPy reference: {', '.join(ENGINES)}; default native",
    )
    add(
        "--products",
        metavar="NAME",
        type=choice("--products", PRODUCTS),
        default="auto",
        help="who computes the matrix products: BLAS (blas), the package's kernels (own), or the "
        "faster of them, today own (auto, the default)",
    )


def _add_checkpoints(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--checkpoint",
        metavar="DIR",
        help="save checkpoints to this folder, also after Ctrl-C and SIGTERM",
    )
    add(
        "--checkpoint-every",
        metavar="TIME|N",
        type=interval("--checkpoint-every"),
        help="time between checkpoints, such as 30s, 5min or 1h, or number of epochs; "
        f"default {CHECKPOINT_EVERY}",
    )
    add(
        "--resume",
        action="store_true",
        help="resume from the latest checkpoint, or start fresh if there is none",
    )


def run(options: argparse.Namespace) -> int:
    """Train and return the exit code. Bad input raises."""
    checkpoint = _checkpoint(options)
    folder = None if options.out is None else prepare_folder(options.out)
    data, recipe, scaler = _prepare(options)
    trainer = build(data, recipe, options)
    print(describe(data, trainer.network, recipe, options))
    if options.resume:
        print(describe_resume(options.checkpoint))
    start = time.perf_counter()
    code, n_epochs = _fit(trainer, data, recipe, options, checkpoint)
    total_seconds = time.perf_counter() - start
    if trainer.history.n_epochs:
        print(summarize(trainer, data.n_train, total_seconds, n_epochs))
    if folder is not None:
        record = make_record(data, trainer, recipe, options, total_seconds, ENDINGS[code])
        write_json(folder / HISTORY_NAME, record)
        written = [HISTORY_NAME]
        if trainer.history.n_epochs or trainer.n_steps:
            written.append(write_model(folder, data, trainer, scaler, recipe, options))
        if trainer.history.n_epochs and code != TERMINATED:  # SIGTERM does not wait for figures
            written += _draw(folder, data, trainer, record, code)
        report_written(written, folder)
        if not trainer.history.n_epochs:
            print(f"model     {_unfinished(trainer, code)}")
        if code == TERMINATED and trainer.history.n_epochs:
            print(f"figures   fastmlp report {shlex.quote(str(folder))} draws them")
    return code


def _prepare(options: argparse.Namespace) -> tuple[RunData, Recipe, Scaler]:
    """Return the data that the options name, the settings, and the scaler fitted to the data."""
    if is_in_files(options):
        recipe = for_tables(merge(options, options.data), options)
        scaler = Scaler(recipe.scale)
        return prepare_files(options, scaler), recipe, scaler
    dataset = load_arrays(options)
    recipe = merge(options, dataset.name)
    scaler = Scaler(recipe.scale)
    return prepare_arrays(dataset, scaler, options.dtype), recipe, scaler


def _unfinished(trainer: Trainer, code: int) -> str:
    """Return what the model of a run without a finished epoch is."""
    n = trainer.n_steps
    if n == 0:
        diverged = "training diverged in the first epoch"
        return f"none: {diverged if code == FAILED else 'no mini-batch was finished'}"
    return f"after {n} mini-batch{'' if n == 1 else 'es'} of the first epoch"


def _draw(
    folder: Path,
    data: RunData,
    trainer: Trainer,
    record: dict[str, Any],
    code: int,
) -> list[str]:
    """Write the figures of a run; those of predictions need arrays, and the weights of an epoch."""
    names = draw_into(folder, run_figures(trainer.history, rows_of_sets(record)))
    if names and code == FINISHED and data.arrays is not None:
        names += draw_into(folder, prediction_figures(*data.arrays, trainer))
    return names


def _checkpoint(options: argparse.Namespace) -> Checkpoint | None:
    """Return the callback that saves checkpoints, if they are wanted.

    Raises
    ------
    ValueError
        If an option about checkpoints is given without --checkpoint.
    OSError
        If the folder cannot be written to.
    """
    if options.checkpoint is None:
        given = {"--resume": options.resume, "--checkpoint-every": options.checkpoint_every}
        for name, value in given.items():
            if value:
                raise ValueError(f"{name} needs --checkpoint, the folder of the checkpoints")
        return None
    folder = prepare_folder(options.checkpoint, "--checkpoint")
    return Checkpoint(folder, every=options.checkpoint_every or CHECKPOINT_EVERY)


def merge(options: argparse.Namespace, data_set: str) -> Recipe:
    """Return the recipe of the data set or preset, with the given options in its place.

    An output function that is given without a loss brings the loss that suits it.
    """
    recipe = recipe_for(data_set, options.preset)
    given = {
        field.name: value
        for field in fields(Recipe)
        if (value := getattr(options, field.name, None)) is not None
    }
    if "output" in given and "loss" not in given:
        given["loss"] = NATURAL_LOSS[given["output"]]
    return replace(recipe, **given)


def build(data: RunData, recipe: Recipe, options: argparse.Namespace) -> Trainer:
    """Return the trainer of a new network for the data, as recipe and options describe it."""
    rng = np.random.default_rng(options.seed)
    network = Network(
        (data.n_features, *recipe.hidden, len(data.classes)),
        activation=recipe.activation,
        output=recipe.output,
        dtype=options.dtype,
        initializer=recipe.initializer,
        random_state=rng,
    )
    return Trainer(
        network,
        loss=recipe.loss,
        learning_rate=recipe.learn_rate,
        schedule="cumulative",
        decay=recipe.decay,
        momentum=recipe.momentum,
        l1=recipe.l1,
        l2=recipe.l2,
        batch_size=recipe.batch_size,
        n_threads=options.threads,
        engine=options.engine,
        products=options.products,
        random_state=rng,
    )


def _fit(
    trainer: Trainer,
    data: RunData,
    recipe: Recipe,
    options: argparse.Namespace,
    checkpoint: Checkpoint | None,
) -> tuple[int, int]:
    """Train with a display; report an early end on stderr.

    Returns the exit code and the number of epochs of this run, without those of the checkpoint.
    """
    display = choose_display(recipe.epochs)
    try:
        trainer.fit_as(
            "fastmlp train",
            _compared(recipe, options),
            data.X,
            data.Y,
            n_epochs=recipe.epochs,
            validation_data=data.validation,
            measure_train=data.arrays is not None,  # files would be read twice per epoch
            callbacks=[display] if checkpoint is None else [checkpoint, display],
            resume=options.checkpoint if options.resume else None,
        )
    except KeyboardInterrupt as interrupt:
        code = code_of(interrupt)
        print(f"fastmlp: {ENDINGS[code]} after {describe_end(trainer.history)}", file=sys.stderr)
        _report_saved(checkpoint, options)
        return code, display.n_shown
    except BrokenPipeError:  # an OSError, but not of the files
        raise
    except (DataFormatError, OSError) as error:
        if not trainer.n_steps:
            raise
        print(f"fastmlp: error: {error}", file=sys.stderr)
        _report_saved(checkpoint, options)
        return BAD_INPUT, display.n_shown
    except DivergenceError as error:
        print(f"fastmlp: error: {error}", file=sys.stderr)
        return FAILED, display.n_shown
    except ResumeError as error:
        raise ValueError(_in_options(error)) from error
    return FINISHED, display.n_shown


def _report_saved(checkpoint: Checkpoint | None, options: argparse.Namespace) -> None:
    """Say which command continues a run that ended early, if it was saved."""
    if checkpoint is not None and checkpoint.last_path is not None:
        print(f"saved in {checkpoint.last_path}; resume with", file=sys.stderr)
        print(f"  {_resuming_command(options)}", file=sys.stderr)


def _compared(recipe: Recipe, options: argparse.Namespace) -> dict[str, object]:
    """Return the settings that a resumed run must share, by the names of the options."""
    settings = asdict(recipe) | {
        "seed": options.seed,
        "dtype": options.dtype,
        "engine": options.engine,
        "products": options.products,
    }
    del settings["epochs"]  # a resumed run may have more
    return {f"--{name.replace('_', '-')}": value for name, value in settings.items()}


def _resuming_command(options: argparse.Namespace) -> str:
    """Return the command line of this run, with --resume."""
    words = [word for word in options.words if word != "--resume"]
    return shlex.join(["fastmlp", *words, "--resume"])


def _in_options(error: ResumeError) -> str:
    """Return its sentence, with the option's name for the number of epochs."""
    names = {"number of epochs": "--epochs"}
    differences = {names.get(name, name): values for name, values in error.differences.items()}
    return str(ResumeError(error.path, differences))
