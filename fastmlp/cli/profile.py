"""``fastmlp profile``: where the time of one training step goes, in NumPy and in the engine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmlp._terminal import text_table
from fastmlp._types import Array
from fastmlp.bench import engine_profile
from fastmlp.bench.engine_profile import LayerProfile, profile_engine, profile_layers
from fastmlp.bench.step_profile import ARTICLE_VARIANTS, Settings, Variant, profile_reference
from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.options import (
    UsageError,
    add_data,
    add_dtype,
    choices,
    integer,
    integers,
    layer_widths,
)
from fastmlp.cli.output import check_file
from fastmlp.cli.timed_network import BATCH_SIZE, load_network
from fastmlp.engine import environment
from fastmlp.engine.threads import MAX_THREADS, usable_processors
from fastmlp.files.json_file import write_json
from fastmlp.reference.propagation import BIAS_TREATMENTS, VERSIONS

REPETITIONS = 51

PUBLISHED = {
    "published, 1": (0.179, 0.810, 0.307, 0.162, 0.071, 0.254, 0.517, 0.359, 1.264, 1.126, 0.201),
    "published, 2": (0.181, 0.820, 0.313, 0.167, 0.075, 0.276, 0.900, 0.367, 1.684, 1.065, 0.196),
}
"""Milliseconds of ti, ta, tb, tc, ta-bp, tib-bp 2, 1, 0, tb-bp, td, tf that the article prints, two
samples of 784-70-30-10 at batch 500, before V1.6; ``td`` is from other steps than its parts."""


BELOW_NOISE = "~0"
"""What is shown for differences of times that are not positive."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp profile``."""
    parser.description = (
        "Time the parts of one training step: ti gathering the rows, ta forward propagation, "
        "tb cost, tc averaged error, td back propagation (in it ta-bp the output layer, tib-bp a "
        "layer, tb-bp all layers), tf update of the weights; for the versions of the NumPy "
        "reference, and for the compiled engine and its products by layer and number of threads."
    )
    add = parser.add_argument
    add_data(parser)
    add(
        "--shape",
        metavar="784,70,30,10",
        type=layer_widths("--shape"),
        help="layer widths, of random rows unless --data is given; default: hidden layers of 70 "
        "and 30 nodes",
    )
    add(
        "--batch-size",
        metavar="N",
        type=integer("--batch-size", 1),
        default=BATCH_SIZE,
        help=f"rows per mini-batch; default {BATCH_SIZE}",
    )
    add(
        "--threads",
        metavar="N,M",
        type=integers("--threads"),
        help="numbers of threads; default: 1 and the number of usable processors",
    )
    add(
        "--versions",
        metavar="A,B",
        type=choices("--versions", VERSIONS),
        default=VERSIONS,
        help=f"versions of back propagation in NumPy: {', '.join(VERSIONS)}; default all",
    )
    add(
        "--bias",
        metavar="A,B",
        type=choices("--bias", BIAS_TREATMENTS),
        help=f"treatments of the bias in NumPy: {', '.join(BIAS_TREATMENTS)}; default: that of "
        "each version in the articles",
    )
    add(
        "--repetitions",
        metavar="N",
        type=integer("--repetitions", 1),
        default=REPETITIONS,
        help=f"steps of which the medians are shown; default {REPETITIONS}",
    )
    add_dtype(parser, default="float32")
    add("--json", metavar="FILE", help="write all medians to this file")


def run(options: argparse.Namespace) -> int:
    """Measure and print the tables; bad input raises before any measurement."""
    if options.json is not None:
        check_file("--json", options.json)
    threads = _thread_counts(options.threads)
    rows = _random_rows(options) if options.shape and options.data is None else _data_rows(options)
    settings = Settings(options.batch_size)
    variants = _variants(options.versions, options.bias)
    sizes, x, y, n = rows.sizes, rows.x, rows.y, options.repetitions
    print(
        f"{rows.source}: network {'-'.join(map(str, sizes))}, batch size {settings.batch_size}, "
        f"{x.dtype.name}; milliseconds, medians of {n} steps\n",
        flush=True,
    )
    reference = [profile_reference(sizes, x, y, settings, variants, n, count) for count in threads]
    print(_reference_table(sizes, settings, variants, threads, reference), end="\n\n", flush=True)
    engine = profile_engine(sizes, x, y, settings, threads, n)
    engine_table = _engine_table(threads, engine)
    print(engine_table, end="\n\n", flush=True)
    layers = profile_layers(sizes, x.dtype, settings, threads, n)
    layer_table = _layer_table(layers)
    print(layer_table)
    if BELOW_NOISE in layer_table or BELOW_NOISE in engine_table:
        print(f"\n{BELOW_NOISE}: a difference of two medians that is lost in the noise of timing")
    if options.json is not None:
        content = {"data": rows.source, "sizes": sizes, "batch_size": settings.batch_size}
        content |= _record(variants, threads, reference, engine, layers)
        write_json(Path(options.json), content)
        print(f"\nwritten:  {options.json}")
    return FINISHED


class Rows(NamedTuple):
    """Rows that are trained on, x (n, n_in) and y (n, n_out), and the network's widths."""

    source: str
    sizes: tuple[int, ...]
    x: Array
    y: Array


def _random_rows(options: argparse.Namespace) -> Rows:
    """Return random rows, and labels as targets, for a network of any widths."""
    sizes, rng = options.shape, np.random.default_rng(0)
    n_rows = engine_profile.MAX_BATCHES * options.batch_size
    x = rng.random((n_rows, sizes[0]), np.float32).astype(options.dtype)
    y = np.zeros((n_rows, sizes[-1]), options.dtype)
    y[np.arange(n_rows), rng.integers(sizes[-1], size=n_rows)] = 1
    return Rows("random rows", sizes, x, y)


def _data_rows(options: argparse.Namespace) -> Rows:
    """Return the training rows of a data set, scaled, for a network that fits them."""
    dataset, data, sizes = load_network(
        options.data, "timing a step on", options.shape, options.dtype
    )
    n_rows = len(data.X_train)
    if options.batch_size > n_rows:
        raise UsageError(
            f"--batch-size must be at most the number of training rows, {n_rows}; "
            f"got {options.batch_size}"
        )
    return Rows(f"{dataset.name} ({dataset.source})", sizes, data.X_train, data.Y_train)


def _thread_counts(given: tuple[int, ...] | None) -> tuple[int, ...]:
    if given is None:
        given = (1, min(usable_processors(), MAX_THREADS))
    if not given or max(given) > MAX_THREADS:
        shown = ",".join(map(str, given))
        raise UsageError(f"--threads must be numbers from 1 to {MAX_THREADS}; got {shown}")
    return tuple(dict.fromkeys(given))


def _variants(versions: Sequence[Any], biases: Sequence[Any] | None) -> tuple[Variant, ...]:
    if biases is None:
        return tuple(variant for variant in ARTICLE_VARIANTS if variant.version in versions)
    return tuple(Variant(version, bias) for version, bias in product(versions, biases))


def _reference_table(
    sizes: Sequence[int],
    settings: Settings,
    variants: Sequence[Variant],
    threads: Sequence[int],
    found: Sequence[Sequence[dict[str, float]]],
) -> str:
    """Return a row per number of threads and variant; the published ones for their network."""
    layers = [f"tib-bp {n}" for n in reversed(range(len(sizes) - 1))]
    names = ("ti", "ta", "tb", "tc", "ta-bp", *layers, "tb-bp", "td", "tf", "step")
    rows = [
        (
            f"{variant.version}, {variant.bias.replace('_', ' ')}",
            str(n_threads),
            *(f"{times[name]:.3f}" for name in names),
        )
        for n_threads, of_threads in zip(threads, found, strict=True)
        for variant, times in zip(variants, of_threads, strict=True)
    ]
    if (tuple(sizes), settings.batch_size) == ((784, 70, 30, 10), 500):
        rows += [
            (name, "", *(f"{value:.3f}" for value in times), "")
            for name, times in PUBLISHED.items()
        ]
    return "\n".join(text_table(("NumPy reference", "threads", *names), rows))


def _engine_table(threads: Sequence[int], found: Sequence[dict[str, float]]) -> str:
    names = (*engine_profile.POINTS, "step")
    rows = [
        ("engine", str(n_threads), *(_shown(times[name], 3) for name in names))
        for n_threads, times in zip(threads, found, strict=True)
    ]
    return "\n".join(text_table(("fastmlp", "threads", *names), rows))


def _layer_table(layers: Sequence[LayerProfile]) -> str:
    columns = ("product", "kernels", "", "threads", "forward", "GFLOP/s", "gradient", "GFLOP/s")
    return "\n".join(text_table(columns, list(_layer_rows(layers)), left=(0, 1, 2)))


def _layer_rows(layers: Sequence[LayerProfile]) -> Iterator[tuple[str, ...]]:
    for layer in layers:
        cells = [
            cell
            for milliseconds in (layer.forward, layer.gradient)
            for cell in (_shown(milliseconds, 4), _speed(layer.flop, milliseconds))
        ]
        kernels = {"own": "fastmlp", "blas": "BLAS"}[layer.products]
        chosen = "chosen" if layer.chosen else ""
        yield (f"{layer.n_in} x {layer.n_out}", kernels, chosen, str(layer.n_threads), *cells)


def _shown(milliseconds: float, digits: int) -> str:
    """Return a time; where other programs interfere, differences of medians may be negative."""
    text = f"{milliseconds:.{digits}f}"
    return BELOW_NOISE if float(text) <= 0 else text


def _speed(flop: int, milliseconds: float) -> str:
    """Return GFLOP/s; a difference of medians that is not positive has none."""
    return f"{flop / milliseconds / 1e6:.1f}" if milliseconds > 0 else "-"


def _record(
    variants: Sequence[Variant],
    threads: Sequence[int],
    reference: Sequence[Sequence[dict[str, float]]],
    engine: Sequence[dict[str, float]],
    layers: Sequence[LayerProfile],
) -> dict[str, Any]:
    """Return everything that was measured, in milliseconds, and on which machine."""
    return {
        "reference": [
            {"threads": n, **asdict(variant), "milliseconds": times}
            for n, of_threads in zip(threads, reference, strict=True)
            for variant, times in zip(variants, of_threads, strict=True)
        ],
        "engine": [
            {"threads": n, "milliseconds": times} for n, times in zip(threads, engine, strict=True)
        ],
        "layers": [asdict(layer) for layer in layers],
        "environment": environment.collect(),
    }
