"""``fastmlp train``: load, train, show the progress, summarise, write."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import fields, replace

from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.cli.data import DATA_HELP, load_data
from fastmlp.cli.display import choose_display
from fastmlp.cli.exit_codes import FAILED, FINISHED, INTERRUPTED, TERMINATED
from fastmlp.cli.options import (
    DEFAULT_SEED,
    add_dtype,
    add_threads,
    choice,
    integer,
    integers,
    interval,
    number,
)
from fastmlp.cli.output import prepare_folder, write_run
from fastmlp.cli.signals import Terminated, terminable
from fastmlp.cli.summary import (
    describe,
    describe_end,
    describe_resume,
    make_record,
    summarize,
)
from fastmlp.datasets import Dataset
from fastmlp.datasets.scaling import KINDS
from fastmlp.exceptions import DivergenceError, ResumeError
from fastmlp.losses import NATURAL_LOSS
from fastmlp.myann.myann import Callback, MyANN
from fastmlp.myann.parameters import ACTIVATION_FUNCTIONS, LOSS_FUNCTIONS, OUT_FUNCTIONS
from fastmlp.myann.recipes import PRESETS, Recipe, recipe_for
from fastmlp.training.trainer import ENGINES

ENDINGS = {
    FINISHED: "finished",
    FAILED: "diverged",
    INTERRUPTED: "interrupted",
    TERMINATED: "terminated",
}
CHECKPOINT_EVERY = "5min"
LOSS_NAMES = {name: label for label, name in LOSS_FUNCTIONS.items()}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp train``."""
    parser.description = (
        "Train a network. Settings that are not given come from the best known recipe for the "
        "data set. The test rows of the data set serve as validation data: they are evaluated "
        "after every epoch."
    )
    parser.add_argument("--data", metavar="NAME|PATH", help=DATA_HELP)
    _add_network(parser)
    _add_training(parser)
    add_threads(parser)
    add_dtype(parser, default="float32")
    parser.add_argument(
        "--out", metavar="DIR", help="write history.json and figures to this folder"
    )
    _add_checkpoints(parser)


def _add_network(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--hidden", metavar="70,30", type=integers("--hidden"), help="widths of the hidden layers")
    for name, what, allowed in (
        ("--activation", "activation function of the hidden layers", ACTIVATION_FUNCTIONS),
        ("--output", "activation function of the output layer", OUT_FUNCTIONS),
        ("--loss", "loss function; default: the one that suits --output", LOSS_FUNCTIONS),
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
    """Train and return the exit code; SIGTERM ends the run like Ctrl-C. Bad input raises."""
    with terminable():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    checkpoint = _checkpoint(options)
    folder = None if options.out is None else prepare_folder(options.out)
    data = load_data(options.data)
    recipe = merge(options, data.name)
    ann = build(data, recipe, options)
    print(describe(ann, data, recipe, options))
    if options.resume:
        print(describe_resume(options.checkpoint))
    start = time.perf_counter()
    code, n_epochs = _fit(ann, options, checkpoint)
    total_seconds = time.perf_counter() - start
    if ann.history.n_epochs:
        print(summarize(ann, total_seconds, n_epochs))
    if folder is not None:
        record = make_record(ann, data, recipe, options, total_seconds, ENDINGS[code])
        write_run(folder, ann, data, record)
    return code


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
        given["loss"] = LOSS_NAMES[NATURAL_LOSS[given["output"]]]
    return replace(recipe, **given)


def build(data: Dataset, recipe: Recipe, options: argparse.Namespace) -> MyANN:
    """Return an untrained MyANN for the data, as recipe and options describe it."""
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
        lambda2_reg=recipe.l2,
        lambda1_reg=recipe.l1,
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
    "lambda2_reg": "--l2",
    "lambda1_reg": "--l1",
    "learn_rate": "--learn-rate",
    "decrease_const": "--decay",
    "mom_rate": "--momentum",
    "random_state": "--seed",
    "dtype": "--dtype",
    "b_standardize": "--scale",
    "engine": "--engine",
    "number of epochs": "--epochs",
}
"""Names of the options that set MyANN's parameters."""


def _fit(ann: MyANN, options: argparse.Namespace, checkpoint: Checkpoint | None) -> tuple[int, int]:
    """Train with a display; report an early end on stderr.

    Returns the exit code and the number of epochs of this run, without those of the checkpoint.
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
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        print(f"fastmlp: {ENDINGS[code]} after {describe_end(ann)}", file=sys.stderr)
        if checkpoint is not None and checkpoint.last_path is not None:
            print(f"saved in {checkpoint.last_path}; resume with", file=sys.stderr)
            print(f"  {_resuming_command(options)}", file=sys.stderr)
        return code, n_epochs
    except DivergenceError as error:
        print(f"fastmlp: error: {error}", file=sys.stderr)
        return FAILED, n_epochs
    except ResumeError as error:
        raise ValueError(_in_options(error)) from error
    return FINISHED, n_epochs


def _resuming_command(options: argparse.Namespace) -> str:
    """Return the command line of this run, with --resume."""
    words = [word for word in options.words if word != "--resume"]
    return shlex.join(["fastmlp", *words, "--resume"])


def _in_options(error: ResumeError) -> str:
    """Return its sentence, with the options' names in place of the parameters'."""
    differences = {OPTIONS.get(name, name): values for name, values in error.differences.items()}
    return str(ResumeError(error.path, differences))
