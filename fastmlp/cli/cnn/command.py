"""``fastmlp cnn``: its four commands, and the start of TensorFlow for all of them."""

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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the commands below ``fastmlp cnn``."""
    parser.description = 'CNNs in Keras; TensorFlow is needed: pip install "fastmlp[cnn]".'
    add_commands(parser, COMMANDS, "cnn_command")


def run(options: argparse.Namespace) -> int:
    """Run one of the commands and return its exit code.

    Raises
    ------
    UsageError
        If TensorFlow is missing, with the command that installs it.
    """
    for name, value in QUIET_TENSORFLOW.items():
        os.environ.setdefault(name, value)
    try:
        from fastmlp.cnn import backend, device

        _load_quietly(backend.import_tensorflow)
        if options.threads is not None or options.gpu_memory is not None:
            device.configure(intra_threads=options.threads, memory_limit_mb=options.gpu_memory)
        return COMMANDS[options.cnn_command].load().run(options)
    except ImportError as error:
        raise UsageError(str(error)) from error


def _load_quietly(load: Callable[[], object]) -> None:
    """Import TensorFlow; drop the notes that its libraries write to stderr while they load."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            load()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            lines = kept.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.writelines(line for line in lines if not line.startswith(START_NOTES))
