"""``fastmlp info``: what decides the speed here, and how a mini-batch is split."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastmlp._checks import check_sizes
from fastmlp.cli.exit_codes import FINISHED
from fastmlp.cli.options import (
    UsageError,
    add_dtype,
    add_threads,
    choice,
    integer,
    layer_widths,
    thread_source,
)
from fastmlp.engine import environment
from fastmlp.engine.plan import (
    most_values_share,
    plan_batch,
    plan_network,
    product_kernels,
    training_flop,
    weight_blocks,
)
from fastmlp.engine.products import PRODUCTS, resolve_products
from fastmlp.network.summary import Summary, format_bytes

DEFAULT_BATCH_SIZE = 500


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``fastmlp info``."""
    parser.description = "Show what decides the speed: versions, processor, BLAS and threads."
    parser.add_argument(
        "--shape",
        metavar="784,70,30,10",
        type=layer_widths("--shape"),
        help="also show how a mini-batch is split for a network with these layer widths",
    )
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=integer("--batch-size", 1),
        help=f"rows of that mini-batch; default {DEFAULT_BATCH_SIZE}",
    )
    parser.add_argument(
        "--products",
        metavar="NAME",
        type=choice("--products", PRODUCTS),
        help=f"who computes the matrix products: {', '.join(PRODUCTS)}; default auto",
    )
    add_threads(parser)
    add_dtype(parser, default=None)


def run(options: argparse.Namespace) -> int:
    """Print the facts of the environment and, with --shape, the plan of a mini-batch."""
    for name in ("batch_size", "dtype", "products"):
        if options.shape is None and getattr(options, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} describes the mini-batch of a network, "
                "and needs --shape"
            )
    facts = environment.collect(options.threads)
    rows = list(_environment_rows(facts))
    if options.shape is not None:
        rows += _plan_rows(options, facts["threads"]["count"])
    width = 2 + max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}{value}")
    for warning in facts["warnings"]:
        print(f"warning: {warning}")
    return FINISHED


def _environment_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values of what `environment.collect` found."""
    yield from facts["versions"].items()
    yield "processor", f"{facts['processor']}, {facts['system']}"
    counts = facts["processors"]
    yield "processors", f"{counts['online']} online, {counts['usable']} usable"
    yield "  affinity mask", _or(counts["affinity"], "not known")
    yield "  control group", _or(counts["control_group"], "no limit")
    yield "SIMD level", f"{facts['simd']['selected']} (best: {facts['simd']['best']})"
    blas = facts["blas"]
    yield "BLAS", _or(blas and f"{blas['library']} {_or(blas['version'], '')}", "not found")
    if blas:
        yield "  kernels", _or(blas["kernels"], "not known")
    threads = facts["threads"]
    yield "threads", f"{threads['count']} (from {thread_source(threads['source'])})"
    for name, value in facts["variables"].items():
        yield f"  {name}", "set" if value is True else _or(value, "not set")


def _plan_rows(options: argparse.Namespace, n_threads: int) -> Iterator[tuple[str, str]]:
    """Yield names and values of the plan of one mini-batch."""
    dtype = np.dtype(options.dtype or "float32")
    itemsize = dtype.itemsize
    sizes = check_sizes("--shape", options.shape, itemsize)
    network = plan_network(sizes, itemsize, resolve_products(options.products or "auto"))
    batch_size = options.batch_size or DEFAULT_BATCH_SIZE
    plan = plan_batch(batch_size, sizes, itemsize, n_threads, network=network)
    summary = Summary.of(sizes, dtype)
    yield "network", "-".join(map(str, sizes))
    yield "  parameters", f"{summary.n_parameters:,} ({format_bytes(summary.n_bytes)})"
    yield "  prediction", f"{summary.flop:,} FLOP per row"
    yield "batch", f"{plan.n_rows} rows"
    if plan.blocks:
        n_blocks = len(weight_blocks(network, plan.blocks))
        yield "  gradient", f"over the whole batch, in {n_blocks} blocks of the weights"
    else:
        yield "  gradient", f"in {plan.n_lanes} lanes of at most {plan.lane_rows} rows"
    yield "  chunks", f"at most {plan.chunk_rows} rows"
    for layer, kernels in enumerate(product_kernels(network, batch_size), start=1):
        yield f"  layer {layer}", f"{sizes[layer - 1]} x {sizes[layer]}, products by {kernels}"
    if network.products == "blas":
        yield "  sparse rows", "written out dense, chunk by chunk"
    else:
        share = 100 * most_values_share(network)
        yield "  sparse rows", f"layer 1 by values alone where at most {share:.0f} % are not 0"
    yield "  workers", f"{plan.n_workers} of {n_threads} threads"
    yield "  FLOP per step", f"{training_flop(sizes, plan.n_rows):,}"


def _or(value: Any, otherwise: str) -> str:
    return otherwise if value is None else str(value)
