"""The command line's options: how they are parsed, checked and merged with a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, NoReturn

from fastmlp._checks import FLOAT_DTYPES, check_choice, check_integer, check_number, check_seconds
from fastmlp._version import __version__
from fastmlp.datasets.scaling import KINDS
from fastmlp.engine.threads import MAX_THREADS
from fastmlp.losses import NATURAL_LOSS
from fastmlp.myann.parameters import ACTIVATION_FUNCTIONS, LOSS_FUNCTIONS, OUT_FUNCTIONS
from fastmlp.myann.recipes import PRESETS, Recipe, recipe_for
from fastmlp.training.trainer import ENGINES

DEFAULT_SEED = 42
INFO_BATCH_ROWS = 500
LOSS_NAMES = {name: label for label, name in LOSS_FUNCTIONS.items()}


class UsageError(Exception):
    """A wrong command line; unlike ValueError it passes through argparse unchanged."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and ending the process."""
        raise UsageError(message)


AddOptions = Callable[[argparse.ArgumentParser], None]


DESCRIPTION = "fast, small, well-behaved dense neural networks on the CPU"


def build_parser(more: Mapping[str, tuple[str, AddOptions]]) -> argparse.ArgumentParser:
    """The parser of ``fastmlp``: train, info, and `more`, a help text and an adder by name."""
    parser = _Parser(prog="fastmlp", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    metavar = "|".join(["train", "info", *more])
    commands = parser.add_subparsers(dest="command", required=True, metavar=metavar)
    _add_train(
        commands.add_parser(
            "train", help="train a network and show how it goes", allow_abbrev=False
        )
    )
    _add_info(
        commands.add_parser(
            "info", help="show versions, processor, BLAS and threads", allow_abbrev=False
        )
    )
    for name, (text, add_options) in more.items():
        add_options(commands.add_parser(name, help=text, allow_abbrev=False))
    return parser


def merge(options: argparse.Namespace, data_set: str) -> Recipe:
    """The recipe of the data set or preset, with the options that were given in its place.

    An output function that is given without a loss brings the loss that belongs to it.
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


def thread_source(source: str) -> str:
    """What decided the number of threads, in the command line's words."""
    return "--threads" if source == "n_threads" else source


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train a network. What is not given comes from the best recipe known for the data set."
    )
    add = parser.add_argument
    add(
        "--data",
        metavar="NAME|PATH",
        help="mnist, fashion (downloaded when missing), digits, "
        "moons, an npz file, or a folder of IDX files; default: mnist if it is here, else digits",
    )
    add("--hidden", metavar="70,30", type=_widths("--hidden"), help="widths of the hidden layers")
    add("--batch-size", metavar="N", type=_integer("--batch-size", 1), help="rows per mini-batch")
    add("--epochs", metavar="N", type=_integer("--epochs", 1), help="passes over the data")
    add("--learn-rate", metavar="X", type=_number("--learn-rate"), help="first learning rate")
    add("--decay", metavar="X", type=_number("--decay"), help="epoch e divides the rate by 1 + X e")
    add("--lambda2", metavar="X", type=_number("--lambda2"), help="strength of the L2 penalty")
    add("--lambda1", metavar="X", type=_number("--lambda1"), help="strength of the L1 penalty")
    add(
        "--momentum",
        metavar="X",
        type=_number("--momentum", 1.0),
        help="share of the last step that is repeated",
    )
    for name, allowed in (
        ("--activation", ACTIVATION_FUNCTIONS), ("--output", OUT_FUNCTIONS),
        ("--loss", LOSS_FUNCTIONS), ("--scale", KINDS), ("--preset", PRESETS),
    ):  # fmt: skip
        add(name, metavar="NAME", type=_choice(name, allowed), help=", ".join(allowed))
    _add_machine_options(parser)
    add(
        "--seed",
        metavar="N",
        type=_integer("--seed", 0),
        default=DEFAULT_SEED,
        help=f"of weights and shuffling; default {DEFAULT_SEED}",
    )
    add(
        "--engine",
        metavar="NAME",
        type=_choice("--engine", ENGINES),
        default="native",
        help=", ".join(ENGINES),
    )
    add("--out", metavar="DIR", help="write history.json and pictures into this folder")
    add(
        "--checkpoint",
        metavar="DIR",
        help="keep the last states of the training in this folder, also after Ctrl-C and SIGTERM",
    )
    add(
        "--checkpoint-every",
        metavar="TIME|N",
        type=_every("--checkpoint-every"),
        help="a time such as 30s, 5min or 1h, or a number of epochs; default 5min",
    )
    add(
        "--resume",
        action="store_true",
        help="go on from the newest state in --checkpoint, from the beginning where there is none",
    )


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.description = "Show what decides the speed: versions, processor, BLAS, threads."
    parser.add_argument(
        "--shape", metavar="784,70,30,10", type=_widths("--shape", 2),
        help="also show how a network of these widths cuts a mini-batch into work",
    )  # fmt: skip
    parser.add_argument(
        "--batch", metavar="N", type=_integer("--batch", 1),
        help=f"rows of that mini-batch; default {INFO_BATCH_ROWS}",
    )  # fmt: skip
    _add_machine_options(parser)
    parser.set_defaults(dtype=None)


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", metavar="N", type=_integer("--threads", 1, MAX_THREADS),
        help="default: OPENBLAS_NUM_THREADS, OMP_NUM_THREADS or the usable processors",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", metavar="NAME", type=_choice("--dtype", FLOAT_DTYPES), default="float32",
        help=", ".join(FLOAT_DTYPES),
    )  # fmt: skip


def _integer(name: str, minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    return lambda text: _checked(
        check_integer, name, _read(int, text), minimum=minimum, maximum=maximum
    )


def _number(name: str, maximum: float = float("inf")) -> Callable[[str], float]:
    return lambda text: _checked(check_number, name, _read(float, text), maximum=maximum)


def _choice(name: str, allowed: Iterable[str]) -> Callable[[str], str]:
    return lambda text: _checked(check_choice, name, text, allowed)


def _widths(name: str, n_least: int = 0) -> Callable[[str], tuple[int, ...]]:
    """A reader of comma-separated widths, at least `n_least`; an empty text means none."""

    def read(text: str) -> tuple[int, ...]:
        try:
            widths = tuple(int(part) for part in text.split(",")) if text.strip() else ()
        except ValueError:
            widths = (0,)
        if any(width < 1 for width in widths):
            raise UsageError(
                f"{name} must be whole numbers of at least 1, separated by commas; got {text!r}"
            )
        if len(widths) < n_least:
            raise UsageError(f"{name} needs an input and an output width; got {text!r}")
        return widths

    return read


def _every(name: str) -> Callable[[str], str | int]:
    """A reader of a time with its unit, or of a number of epochs."""

    def read(text: str) -> str | int:
        if text.isdecimal():
            return int(_checked(check_integer, name, int(text), minimum=1))
        _checked(check_seconds, name, text)
        return text

    return read


def _read(kind: Callable[[str], Any], text: str) -> Any:
    """The number a text holds; the text itself if it holds none, for the check to name it."""
    try:
        return kind(text)
    except ValueError:
        return text


def _checked(check: Callable[..., Any], *args: Any, **limits: Any) -> Any:
    try:
        return check(*args, **limits)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
