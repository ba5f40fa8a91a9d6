"""Options that the commands of ``fastmlp cnn`` share."""

from __future__ import annotations

import argparse

from fastmlp.cli.options import integer


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
    """Add the options that choose where TensorFlow computes, and with how much."""
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


def add_seed(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    """Add ``--seed``, the random seed of `what`."""
    parser.add_argument(
        "--seed",
        metavar="N",
        type=integer("--seed", 0),
        default=default,
        help=f"random seed of {what}; default {default}",
    )
