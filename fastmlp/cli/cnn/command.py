"""``fastmlp cnn``: its four commands, and the start of Keras for all of them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable

from fastmlp.cli.options import Command, UsageError, add_commands

COMMANDS = {
    "train": Command(
        "fastmlp.cli.cnn.train", "train a CNN, show its progress, write figures and the model"
    ),
    "evaluate": Command("fastmlp.cli.cnn.evaluate", "evaluate a trained CNN on test images"),
    "show": Command(
        "fastmlp.cli.cnn.show", "draw what a trained CNN sees: maps, filters, patterns"
    ),
    "compare-devices": Command(
        "fastmlp.cli.cnn.compare",
        "time a dense network in Keras on every device and in fastmlp",
    ),
}
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2"}
"""Set unless the user has set them: TensorFlow's log lines would mix with ours."""

START_NOTES = ("I0000", "WARNING: All log messages before absl")
"""How lines begin that TensorFlow's libraries write while they are loaded, whatever is set."""

CARD_NOTES = ("cuda", "cuinit", "gpu")
"""Words of lines that say nothing on a machine without a graphics card, and sound like errors."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the commands below ``fastmlp cnn``."""
    parser.description = (
        'CNNs in Keras, which needs TensorFlow, JAX or PyTorch: pip install "fastmlp[cnn]". '
        "KERAS_BACKEND chooses between them."
    )
    add_commands(parser, COMMANDS, "cnn_command")


def run(options: argparse.Namespace) -> int:
    """Run one of the commands and return its exit code.

    Raises
    ------
    UsageError
        If Keras or the library under it is missing, with the command that installs it.
    """
    for name, value in QUIET_TENSORFLOW.items():
        os.environ.setdefault(name, value)
    try:
        _quietly(lambda: _start(options))
        return COMMANDS[options.cnn_command].load().run(options)
    except ImportError as error:
        raise UsageError(str(error)) from error


def _start(options: argparse.Namespace) -> None:
    """Load the library under Keras, set it up, and say why a graphics card is not used."""
    from fastmlp.cnn.backend import library
    from fastmlp.cnn.cards import card_in_machine
    from fastmlp.cnn.device import configure, why_no_card

    library()
    configure(
        intra_threads=options.threads,
        memory_limit_mb=options.gpu_memory,
        memory_share=options.gpu_share,
        deterministic=options.deterministic or None,
    )
    if options.device == "auto" and card_in_machine() and (reason := why_no_card()):
        print(f"fastmlp: the graphics card is not used: {reason}", file=sys.stderr)


def _quietly(call: Callable[[], object]) -> None:
    """Call; drop the notes on stderr of libraries that are loaded and look for cards.

    On a machine with a graphics card everything that is said about cards is shown.
    """
    from fastmlp.cnn.cards import card_in_machine

    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            call()
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            lines = kept.read().decode(errors="replace").splitlines(keepends=True)
            words = () if card_in_machine() else CARD_NOTES
            sys.stderr.writelines(line for line in lines if not _is_note(line, words))


def _is_note(line: str, words: tuple[str, ...]) -> bool:
    return line.startswith(START_NOTES) or any(word in line.lower() for word in words)
