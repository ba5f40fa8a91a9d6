"""Options of the command line: parsers, readers of values, and options that commands share.

A reader turns the text after an option into its value, or raises `UsageError` with a sentence that
names the option, what was given and what is allowed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn, Protocol, cast

from fastmlp._checks import FLOAT_DTYPES, check_choice, check_integer, check_number, check_seconds
from fastmlp._names import nearest
from fastmlp.datasets import Dataset, load
from fastmlp.datasets.loading import default_name
from fastmlp.datasets.pinned import named_folder
from fastmlp.engine.threads import MAX_THREADS

DEFAULT_SEED = 42


class UsageError(Exception):
    """A wrong command line; unlike ValueError it passes through argparse unchanged."""


class CommandModule(Protocol):
    """Interface of the module of a command."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Describe the command's options."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Run the command and return its exit code; bad input raises."""
        ...


@dataclass(frozen=True)
class Command:
    """An entry in a table of commands.

    Attributes
    ----------
    module : str
        Full name of the command's module, see `CommandModule`.
    help : str
        What it does, in the list of all commands.
    """

    module: str
    help: str

    def load(self) -> CommandModule:
        """Import the module."""
        return cast(CommandModule, import_module(self.module))


class Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError`, and that adds a command's options when it is first used.

    Parameters
    ----------
    command : Command or None
        Whose options to add; None means none.
    **settings
        As for ``argparse.ArgumentParser``.
    """

    def __init__(self, command: Command | None = None, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        self._command = command
        self.commands: tuple[str, ...] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Import the command's module, then parse.

        Raises
        ------
        UsageError
            For a command or an option that does not exist, with the nearest one that does.
        """
        words = list(sys.argv[1:] if args is None else args)
        if self._command is not None:
            self._command.load().add_options(self)
            self._command = None
        if self.commands and words and not words[0].startswith("-"):
            _checked(check_choice, f"the command after {self.prog}", words[0], self.commands)
        namespace, unknown = super().parse_known_args(words, namespace)
        if unknown:
            raise UsageError(f"unrecognized arguments: {' '.join(unknown)}" + self._near(unknown))
        return namespace, []

    def _near(self, unknown: list[str]) -> str:
        """Return a question about the first unknown option, or where all options are listed."""
        word = next((word.split("=")[0] for word in unknown if word.startswith("-")), None)
        known = re.findall(r"--[\w-]+", self.format_usage())
        return nearest(word, known) or f"; {self.prog} --help lists what there is"

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and ending the process."""
        raise UsageError(message)


def add_commands(
    parser: argparse.ArgumentParser, commands: Mapping[str, Command], dest: str
) -> None:
    """Let `parser` accept one of `commands`; its name is stored as the attribute `dest`."""
    parsers = parser.add_subparsers(
        dest=dest, required=True, metavar="|".join(commands), parser_class=Parser
    )
    for name, command in commands.items():
        parsers.add_parser(name, help=command.help, command=command)
    if isinstance(parser, Parser):
        parser.commands = tuple(commands)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, the data set that `load_data` loads."""
    parser.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="mnist, fashion (downloaded if missing), digits, moons, an npz file or a folder of "
        "IDX files; default: mnist if it is available locally, else digits",
    )


def load_data(name: str | None, purpose: str) -> Dataset:
    """Load the data set that ``--data`` names; None means MNIST if it is available, else digits.

    Parameters
    ----------
    name : str or None
    purpose : str
        What is done with the digits where MNIST is missing, such as "training on".
    """
    if name is not None:
        return load(name)
    name = default_name()
    if name == "digits":
        known = "FASTMLP_DATA names a folder that contains it"
        if (folder := named_folder()) is not None:
            known = f"the folder in FASTMLP_DATA, {folder}, has no mnist.npz"
        print(
            f"MNIST is not available locally (--data mnist downloads it, {known}); {purpose} "
            "scikit-learn's small digits instead."
        )
    return load(name, download=False)


def add_threads(parser: argparse.ArgumentParser, what: str = "number of threads") -> None:
    """Add ``--threads``, which sets `what`."""
    parser.add_argument(
        "--threads",
        metavar="N",
        type=integer("--threads", 1, MAX_THREADS),
        help=f"{what}; default: OPENBLAS_NUM_THREADS, OMP_NUM_THREADS or, if neither is set, the "
        "number of usable processors",
    )


def add_dtype(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add ``--dtype``, the precision of a network."""
    parser.add_argument(
        "--dtype",
        metavar="NAME",
        type=choice("--dtype", FLOAT_DTYPES),
        default=default,
        help=f"precision: {', '.join(FLOAT_DTYPES)}; default {FLOAT_DTYPES[0]}",
    )


def integer(name: str, minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers from `minimum` to `maximum`."""
    return lambda text: int(
        _checked(check_integer, name, _convert(int, text), minimum=minimum, maximum=maximum)
    )


def number(name: str, maximum: float = float("inf")) -> Callable[[str], float]:
    """Return a reader of finite numbers from 0 to `maximum`."""
    return lambda text: float(_checked(check_number, name, _convert(float, text), maximum=maximum))


def positive(name: str) -> Callable[[str], float]:
    """Return a reader of finite numbers above 0."""

    def read(text: str) -> float:
        value = number(name)(text)
        if value == 0:
            raise UsageError(f"{name} must be above 0; got {text!r}")
        return value

    return read


def choice(name: str, allowed: Iterable[str]) -> Callable[[str], str]:
    """Return a reader of one of the `allowed` words."""
    return lambda text: str(_checked(check_choice, name, text, allowed))


def choices(name: str, allowed: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of comma-separated words out of `allowed`; each counts once."""
    read = choice(name, allowed)
    return lambda text: tuple(dict.fromkeys(map(read, text.split(","))))


def integers(name: str) -> Callable[[str], tuple[int, ...]]:
    """Return a reader of comma-separated whole numbers of at least 1; none in an empty text."""

    def read(text: str) -> tuple[int, ...]:
        try:
            values = tuple(int(part) for part in text.split(",")) if text.strip() else ()
        except ValueError:
            values = (0,)
        if any(value < 1 for value in values):
            raise UsageError(
                f"{name} must be whole numbers of at least 1, separated by commas; got {text!r}"
            )
        return values

    return read


def layer_widths(name: str) -> Callable[[str], tuple[int, ...]]:
    """Return a reader of the widths of all layers of a network, such as "784,70,30,10"."""

    def read(text: str) -> tuple[int, ...]:
        widths = integers(name)(text)
        if len(widths) < 2:
            raise UsageError(f"{name} needs an input and an output width; got {text!r}")
        return widths

    return read


def interval(name: str) -> Callable[[str], str | int]:
    """Return a reader of a time with its unit, or of a number of epochs."""

    def read(text: str) -> str | int:
        if text.isdecimal():
            return int(_checked(check_integer, name, int(text), minimum=1))
        _checked(check_seconds, name, text)
        return text

    return read


def thread_source(source: str) -> str:
    """Name what decided the number of threads in the command line's words."""
    return "--threads" if source == "n_threads" else source


def _convert(to: Callable[[str], Any], text: str) -> Any:
    """Return the number that a text holds; without one the text itself, for the error message."""
    try:
        return to(text)
    except ValueError:
        return text


def _checked(check: Callable[..., Any], *args: Any, **limits: Any) -> Any:
    try:
        return check(*args, **limits)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
