"""Options that the commands of ``fastmlp cnn`` share."""

from __future__ import annotations

import argparse

from fastmlp.cli.options import integer, number

XLA: dict[str, bool | str] = {"auto": "auto", "on": True, "off": False}


def add_data(parser: argparse.ArgumentParser, *, training: bool = False) -> None:
    """Add the options that choose the images."""
    add = parser.add_argument
    add(
        "--data",
        metavar="NAME|PATH",
        default="mnist",
        help="mnist, fashion or a path as in fastmlp train; default mnist",
    )
    if training:
        add(
            "--images",
            metavar="N",
            type=integer("--images", 1),
            help="use only the first N training images",
        )
    add(
        "--test-images",
        metavar="N",
        type=integer("--test-images", 1),
        help="use only the first N test images",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose where is computed, and with how much."""
    add = parser.add_argument
    add("--device", metavar="NAME", default="auto", help="auto, cpu, gpu or gpu:0; default auto")
    add(
        "--threads",
        metavar="N",
        type=integer("--threads", 1),
        help="threads within an operation; default: one per processor",
    )
    add(
        "--gpu-memory",
        metavar="MIB",
        type=integer("--gpu-memory", 1),
        help="use at most this much memory of a graphics card",
    )
    add(
        "--gpu-share",
        metavar="X",
        type=number("--gpu-share", maximum=1.0),
        help="use at most this share of a graphics card's memory; the articles have 0.35",
    )
    add(
        "--deterministic",
        action="store_true",
        help="the same bits in every run on the same device, at the price of speed",
    )


def add_xla(parser: argparse.ArgumentParser) -> None:
    """Add ``--xla``, alone or with one of the words of XLA."""
    parser.add_argument(
        "--xla",
        nargs="?",
        choices=sorted(XLA),
        const="on",
        default="auto",
        help="compile the training step with XLA: auto (as Keras decides; not for TensorFlow on a "
        "processor), on or off; default auto",
    )


def add_seed(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    """Add ``--seed``, the random seed of `what`."""
    parser.add_argument(
        "--seed",
        metavar="N",
        type=integer("--seed", 0),
        default=default,
        help=f"random seed of {what}; default {default}",
    )
