"""``fastmlp cnn``: its four commands, their options, and what they have in common."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module

from fastmlp.cli.options import DEFAULT_SEED, UsageError

COMMANDS = {
    "train": "train a CNN, show how it goes, write pictures and the model",
    "evaluate": "measure a trained CNN on a data set",
    "show": "draw what a trained CNN sees: maps, filters, patterns",
    "compare-devices": "time a dense network on every device and on fastmlp's engine",
}
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2"}
"""Set where the user has not: no log lines of TensorFlow between ours."""

START_NOTES = ("I0000", "WARNING: All log messages before absl")
"""How lines begin that TensorFlow's libraries write while they are loaded, whatever is set."""


def add_cnn_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands below ``fastmlp cnn`` to its parser."""
    parser.description = 'CNNs in Keras; needs TensorFlow: pip install "fastmlp[cnn]".'
    commands = parser.add_subparsers(dest="cnn_command", required=True, metavar="|".join(COMMANDS))
    adders = {
        "train": _add_train,
        "evaluate": _add_evaluate,
        "show": _add_show,
        "compare-devices": _add_compare,
    }
    for name, text in COMMANDS.items():
        adders[name](commands.add_parser(name, help=text, description=text, allow_abbrev=False))


def cnn(options: argparse.Namespace) -> int:
    """Run one of the commands and return its exit code.

    Raises
    ------
    UsageError
        If TensorFlow is missing, with the command that installs it.
    """
    for name, value in QUIET_TENSORFLOW.items():
        os.environ.setdefault(name, value)
    module = import_module(f"fastmlp.cli.cnn.{options.cnn_command.partition('-')[0]}")
    run: Callable[[argparse.Namespace], int] = module.run
    try:
        from fastmlp.cnn import backend, device

        _load_quietly(backend.import_tensorflow)
        if options.threads is not None or options.gpu_memory is not None:
            device.configure(
                intra_threads=_integer("--threads", options.threads),
                memory_limit_mb=_integer("--gpu-memory", options.gpu_memory),
            )
        return run(options)
    except ImportError as error:
        raise UsageError(str(error)) from error


def _load_quietly(load: Callable[[], object]) -> None:
    """Import TensorFlow; what its libraries then note about themselves is left out of stderr."""
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


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command: where to compute."""
    add = parser.add_argument
    add("--device", metavar="NAME", default="auto", help="auto (default), cpu, gpu, gpu:0")
    add("--threads", metavar="N", help="threads within an operation; default: one per processor")
    add("--gpu-memory", metavar="MIB", help="take at most this much of a graphics card's memory")


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_data(parser, training=True)
    add("--validation", metavar="N", default="0", help="measure the last N training images after "
        "every epoch, not the test set; default 0")  # fmt: skip
    add("--legacy-split", action="store_true", help="mix training and test images as the "
        "articles do, scaler fitted on all")  # fmt: skip
    add("--article", metavar="NAME", default="C2", help="settings: C2 (default), C3a, C3b, C3c")
    add("--epochs", metavar="N", help="default: that of the settings")
    add("--batch-size", metavar="N", help="default: that of the settings")
    add("--momentum", metavar="X", help="default: that of the settings")
    add("--optimizer", metavar="NAME", help="rmsprop, nadam, adamax, adam, sgd")
    add("--learn-rate", metavar="X", help="first learning rate")
    add("--l2", metavar="X", help="factor of sum w^2 over the dense kernels")
    add("--stop-at", metavar="X", help="end when this accuracy is reached on the measured set")
    add("--keep-best", action="store_true", help="end with the weights of the epoch that was best "
        "on the validation images; needs --validation")  # fmt: skip
    add("--reference", metavar="X", help="dashed line in the picture of the accuracy; default "
        "0.992 for mnist, else none")  # fmt: skip
    add("--seed", metavar="N", default=str(DEFAULT_SEED), help=f"default {DEFAULT_SEED}")
    add("--xla", action="store_true", help="compile the training step with XLA")
    add("--tensorboard", metavar="DIR", help="write Keras' logs for TensorBoard")
    add("--out", metavar="DIR", help="write history.json, model.keras and pictures here")
    add_device_options(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a .keras file that fastmlp wrote")
    _add_data(parser)
    parser.add_argument("--out", metavar="DIR", help="write evaluation.json and pictures here")
    add_device_options(parser)


def _add_show(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .keras file that fastmlp wrote")
    _add_data(parser)
    add("--out", metavar="DIR", required=True, help="write maps.json and the pictures here")
    add("--layer", metavar="NAME", help="convolution to look at; default: the last one")
    add("--label", metavar="N", default="4", help="class whose images are shown; default 4")
    add("--images", metavar="N", default="3", help="images side by side; default 3")
    add("--starts", metavar="N", default="400", help="random images of the hunt; default 400")
    add("--carve", metavar="MAP", help="also carve the pattern of this map, or of the 'strongest', "
        "into the first image")  # fmt: skip
    add("--match", metavar="MODEL", help="also match the maps with those of another training")
    add("--seed", metavar="N", default="0", help="of the hunt; default 0")
    add_device_options(parser)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_data(parser, training=True)
    add("--batch-sizes", metavar="A,B", default="500,3000,30000", help="default 500,3000,30000")
    add("--epochs", metavar="N", default="5", help="timed epochs of every run; default 5")
    add("--seed", metavar="N", default="0", help="of the weights; default 0")
    add("--xla", action="store_true", help="compile Keras' training step with XLA")
    add("--out", metavar="DIR", help="write devices.json and a picture here")
    add_device_options(parser)


def _add_data(parser: argparse.ArgumentParser, *, training: bool = False) -> None:
    """Options of every command: which images."""
    add = parser.add_argument
    add("--data", metavar="NAME|PATH", default="mnist", help="mnist (default), fashion, a path")
    if training:
        add("--images", metavar="N", help="use only the first N training images")
    add("--test-images", metavar="N", help="use only the first N test images")


def _integer(name: str, text: str | None) -> int | None:
    return None if text is None else read_integer(name, text, minimum=1)


def read_integer(name: str, text: str, *, minimum: int) -> int:
    """A whole number from the command line.

    Raises
    ------
    UsageError
        For other texts and numbers below `minimum`.
    """
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if number < minimum:
        raise UsageError(f"{name} must be a whole number, at least {minimum}; got {text!r}")
    return number


def read_number(name: str, text: str, *, maximum: float = float("inf")) -> float:
    """A number from 0 to `maximum` from the command line; UsageError for other texts."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= maximum or number == float("inf"):
        bound = "at least 0" if maximum == float("inf") else f"from 0 to {maximum:g}"
        raise UsageError(f"{name} must be a number, {bound}; got {text!r}")
    return number
