"""The command ``fastmlp``: a table of commands, and what they have in common.

A command is a module with two functions: ``add_options(parser)`` describes its options, and
``run(options)`` runs it and returns the exit code. The module is imported only when its command
is called.

Exit codes: 0; 1 if training diverged or a check failed; 2 for bad input; 130 after Ctrl-C; 141 if
the reader of the output has gone; 143 after SIGTERM, which ends a command as Ctrl-C does. Errors
are one line on stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from fastmlp._version import __version__
from fastmlp.cli.exit_codes import BAD_INPUT, BROKEN_PIPE, ENDINGS, Terminated, code_of
from fastmlp.cli.options import Command, Parser, UsageError, add_commands
from fastmlp.exceptions import EnvironmentVariableError

DESCRIPTION = "Fast, small, well-behaved dense neural networks on the CPU."

COMMANDS = {
    "train": Command("fastmlp.cli.train", "train a network and show its progress"),
    "predict": Command("fastmlp.cli.predict", "predict the rows of a file with a saved model"),
    "evaluate": Command("fastmlp.cli.evaluate", "evaluate a saved model on labelled rows"),
    "info": Command("fastmlp.cli.info", "show versions, processor, BLAS and threads"),
    "bench": Command("fastmlp.cli.bench", "compare the speed of fastmlp with other libraries"),
    "threads": Command("fastmlp.cli.threads", "time an epoch for each number of threads"),
    "profile": Command("fastmlp.cli.profile", "time the parts of one training step"),
    "cnn": Command(
        "fastmlp.cli.cnn.command", "train CNNs in Keras and look inside them (needs Keras)"
    ),
    "study": Command("fastmlp.cli.study", "repeat an experiment of the articles"),
    "report": Command(
        "fastmlp.cli.report", "collect the results of all studies on one page, or draw a run"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; None means ``sys.argv[1:]``.

    Raises
    ------
    SystemExit
        Only for ``--help`` and ``--version``, with code 0.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    try:
        options = build_parser().parse_args(words)
        options.words = words
        with _terminable(), warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = COMMANDS[options.command].load().run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt as interrupt:
        code = code_of(interrupt)
        print(f"fastmlp: {ENDINGS[code]}", file=sys.stderr)
        return code
    except (UsageError, ValueError, TypeError, OSError, EnvironmentVariableError) as error:
        print(f"fastmlp: error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT


def _open_closed_streams() -> None:
    """Give a command that was started without stdout or stderr (``>&-``) one that nobody reads."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def build_parser() -> Parser:
    """Return the parser of ``fastmlp``; the commands' own parsers are filled when they are used."""
    parser = Parser(prog="fastmlp", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    add_commands(parser, COMMANDS, "command")
    return parser


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` within this block; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"fastmlp: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _silence_stdout() -> None:
    """Send the interpreter's last flush to the null device; it would complain about the pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
