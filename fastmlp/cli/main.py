"""The command ``fastmlp``: train, info, bench, threads, cnn, study and report.

Exit codes: 0, 1 for a training that diverged and for a check that failed, 2 for bad input, 130
after Ctrl-C, 141 when nobody reads the output any more, 143 of a training after SIGTERM. Errors are
one line on stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from fastmlp._checks import check_sizes
from fastmlp.cli.bench import add_bench_options, bench
from fastmlp.cli.cnn.options import add_cnn_options, cnn
from fastmlp.cli.options import INFO_BATCH_ROWS, UsageError, build_parser, thread_source
from fastmlp.cli.report import add_report_options, report
from fastmlp.cli.signals import Terminated, terminable
from fastmlp.cli.study import add_study_options, study
from fastmlp.cli.threads import add_threads_options, threads
from fastmlp.cli.train import train
from fastmlp.engine import environment
from fastmlp.engine.plan import (
    count_parameters,
    narrow_layers,
    plan_batch,
    training_flop,
    weight_blocks,
)

MORE = {
    "bench": ("time fastmlp against other libraries", add_bench_options),
    "threads": ("time epochs by number of threads", add_threads_options),
    "cnn": ("train a CNN in Keras and look into it (needs TensorFlow)", add_cnn_options),
    "study": ("repeat an experiment of the articles", add_study_options),
    "report": ("put all studies that were run on one page", add_report_options),
}
BAD_INPUT, INTERRUPTED, BROKEN_PIPE, TERMINATED = 2, 130, 141, 143


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
    try:
        options = build_parser(MORE).parse_args(argv)
        options.words = list(sys.argv[1:] if argv is None else argv)
        with warnings.catch_warnings(), terminable(options.command == "train"):
            warnings.showwarning = _show_warning
            code = COMMANDS[options.command](options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except Terminated:
        print("fastmlp: terminated", file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print("fastmlp: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (UsageError, ValueError, TypeError, OSError) as error:
        print(f"fastmlp: error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT


def info(options: argparse.Namespace) -> int:
    """Run ``fastmlp info``: print the facts of the environment and, if asked, a batch plan."""
    for name in ("batch", "dtype"):
        if options.shape is None and getattr(options, name) is not None:
            raise UsageError(f"--{name} says how a network's batch is cut, and needs --shape")
    facts = environment.collect(options.threads)
    rows = list(_environment_rows(facts))
    if options.shape is not None:
        rows += _plan_rows(options, facts["threads"]["count"])
    width = 2 + max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}{value}")
    for warning in facts["warnings"]:
        print(f"warning: {warning}")
    return 0


COMMANDS = {
    "train": train,
    "info": info,
    "bench": bench,
    "threads": threads,
    "cnn": cnn,
    "study": study,
    "report": report,
}


def _environment_rows(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of what `environment.collect` found."""
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
    """Names and values of the cut of one batch."""
    itemsize = np.dtype(options.dtype or "float32").itemsize
    sizes = check_sizes("--shape", options.shape, itemsize)
    plan = plan_batch(options.batch or INFO_BATCH_ROWS, sizes, itemsize, n_threads)
    n_parameters = count_parameters(sizes)
    yield "network", "-".join(map(str, sizes))
    yield "  parameters", f"{n_parameters:,} ({n_parameters * itemsize / 1e6:.2f} MB)"
    yield "batch", f"{plan.n_rows} rows"
    if plan.blocks:
        n_blocks = sum(1 for _ in weight_blocks(sizes, itemsize, plan.blocks))
        yield "  gradient", f"over the whole batch, in {n_blocks} blocks of the weights"
    else:
        yield "  gradient", f"in {plan.n_lanes} lanes of at most {plan.lane_rows} rows"
    yield "  chunks", f"at most {plan.chunk_rows} rows"
    for layer, narrow in enumerate(narrow_layers(sizes, itemsize), start=1):
        shape = f"{sizes[layer - 1]} x {sizes[layer]}"
        yield f"  layer {layer}", f"{shape}, {'own' if narrow else 'BLAS'} products"
    yield "  workers", f"{plan.n_workers} of {n_threads} threads"
    yield "  FLOP per step", f"{training_flop(sizes, plan.n_rows):,}"


def _or(value: Any, otherwise: str) -> str:
    return otherwise if value is None else str(value)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"fastmlp: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere, or it would complain about the pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
