"""How a mini-batch is cut into work: decided here, from shapes alone.

A batch of rows is dealt to *lanes*; each lane has a gradient buffer of its own and works through
its rows in *chunks*, one set of matrix products each. Threads take whole lanes, and the optimiser
adds the lanes in their order, so the numbers depend on this plan and never on the threads.
The plan is part of the numerical contract: change ``PLAN_VERSION`` with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

PLAN_VERSION = 1

MAX_LANES = 8
"""Most gradient buffers, hence most threads that can share a batch."""

MIN_LANE_ROWS = 60
"""From three lanes on, rows that make a lane's products worth a gradient buffer of its own."""

MIN_PAIR_ROWS = 16
"""Rows per lane from which a batch is dealt to two lanes at least."""

MAX_CHUNK_ROWS = 256
"""Rows of one set of BLAS products: one K block of OpenBLAS (320 or 448), activations in L2."""

NARROW_CHUNK_ROWS = 64
"""Rows of one set of products when the first layer is narrow: they stay in L2 for both passes."""

MAX_CHUNK_FLOP = 5_000_000_000
"""Work of one chunk (some 25 to 50 ms), because Ctrl-C is looked for between chunks."""

LANE_MEMORY = 64 << 20
"""All lanes together stay below twice the parameters plus this many bytes."""

ROW_MULTIPLE = 16
"""Chunks begin at multiples of the float32 AVX-512 width."""

NARROW_MAX = 128
"""Widest first hidden layer that the package's own products take (at most FM_NARROW_MAX)."""

MIN_WORKER_FLOP = 1_000_000
"""Work per thread and step (about 10 microseconds) that pays for waking it."""


@dataclass(frozen=True)
class BatchPlan:
    """The cut of one batch.

    Attributes
    ----------
    n_rows : int
        Rows of the batch.
    n_lanes : int
        Gradient buffers; lane ``i`` owns rows ``i * lane_rows`` up to the next lane.
    lane_rows, chunk_rows : int
        Rows of a lane (the last may have fewer) and most rows of one set of matrix products.
    n_workers : int
        Threads worth waking, at most one per lane. Does not influence the result.
    """

    n_rows: int
    n_lanes: int
    lane_rows: int
    chunk_rows: int
    n_workers: int


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def count_parameters(sizes: tuple[int, ...]) -> int:
    """Sum of ``(n_in + 1) * n_out`` over the layers: weights and biases."""
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))


def training_flop(sizes: tuple[int, ...], n_rows: int) -> int:
    """Floating-point operations of the matrix products of one training step.

    Forward, weight gradient, and input delta of every layer but the first: a multiplication and an
    addition per weight and row each.
    """
    weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    return 2 * n_rows * (3 * sum(weights) - weights[0])


def first_layer_is_narrow(sizes: tuple[int, ...]) -> bool:
    """Whether the first layer's products are the package's own instead of BLAS.

    They read the rows of the input without copying them, which pays while a row meets few outputs.
    """
    return len(sizes) > 2 and sizes[1] <= NARROW_MAX


def plan_batch(n_rows: int, sizes: tuple[int, ...], itemsize: int, n_threads: int = 1) -> BatchPlan:
    """Plan a batch of `n_rows` >= 1 rows for a network of layer widths `sizes`.

    `itemsize` is the size of a parameter in bytes; `n_threads` only limits ``n_workers``.
    """
    parameter_bytes = count_parameters(sizes) * itemsize
    affordable = 2 + LANE_MEMORY // parameter_bytes
    wanted = min(
        MAX_LANES, affordable, max(1, n_rows // MIN_LANE_ROWS, min(2, n_rows // MIN_PAIR_ROWS))
    )
    lane_rows = _ceil_div(_ceil_div(n_rows, wanted), ROW_MULTIPLE) * ROW_MULTIPLE
    n_lanes = _ceil_div(n_rows, lane_rows)
    most = NARROW_CHUNK_ROWS if first_layer_is_narrow(sizes) else MAX_CHUNK_ROWS
    most = min(most, max(ROW_MULTIPLE, MAX_CHUNK_FLOP // training_flop(sizes, 1)))
    n_chunks = _ceil_div(lane_rows, most)
    chunk_rows = _ceil_div(_ceil_div(lane_rows, n_chunks), ROW_MULTIPLE) * ROW_MULTIPLE
    busy = max(1, training_flop(sizes, n_rows) // MIN_WORKER_FLOP)
    return BatchPlan(n_rows, n_lanes, lane_rows, chunk_rows, min(n_threads, n_lanes, busy))
