"""How a mini-batch is cut into work: decided here, from shapes alone.

A batch of rows goes through the network in *chunks*, one set of matrix products each. Its gradient
is summed in one of two ways:

- **lanes**, for networks of few parameters: the rows are dealt to lanes with a gradient buffer
  each; a thread takes a lane and works through its chunks; the optimizer adds the lanes in order;
- **blocks**, for wide layers and small batches: the activations and deltas of the whole batch are
  kept, and a thread takes a block of a weight matrix, computes its gradient over all rows in one
  product and updates it while it is in the cache. Nothing is summed afterwards.

Either way the numbers depend on this plan and never on the threads. The plan is part of the
numerical contract: change ``PLAN_VERSION`` with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

PLAN_VERSION = 3

MAX_LANES = 8
"""Most gradient buffers, hence most threads that can share a batch."""

MIN_LANE_ROWS = 60
"""From three lanes on, rows that make a lane's products worth a gradient buffer of its own."""

MIN_PAIR_ROWS = 16
"""Rows per lane from which a batch is dealt to two lanes at least."""

LANE_MEMORY = 64 << 20
"""All lanes together stay below twice the parameters plus this many bytes."""

BLOCK_PARAMETER_BYTES = 1 << 20
"""Size of the parameters from which lanes no longer fit a core's cache, and blocks are better."""

BLOCK_ROWS_MAX = 4096
"""Most rows of a batch whose activations are kept for blocks; larger batches use lanes."""

BLOCK_TRAFFIC = 2
"""Blocks are also better where the numbers in the lanes are this many times those in the layers of
a batch: threads exchange the latter, with lanes the former."""

BLOCK_CHUNK_ROWS, NARROW_BLOCK_CHUNK_ROWS = 100, 16
"""Fewest rows of a chunk when blocks are used: BLAS copies the weights anew for each; the package's
own products do not."""

BLOCK_ROWS, BLOCK_COLUMNS = 128, 800
"""Largest block of a weight matrix: its gradient and weights stay in L2."""

NARROW_BLOCK_COLUMNS = 208
"""The same where all layers are narrow: blocks enough for a handful of threads."""

UPDATE_ROWS, UPDATE_COLUMNS = 16, 256
"""Largest piece of a weight matrix that is updated at once when lanes are used."""

MAX_CHUNK_ROWS = 256
"""Rows of one set of BLAS products: one K block of OpenBLAS (320 or 448), activations in L2."""

NARROW_CHUNK_ROWS = 64
"""Rows of one set of products when the first layer is narrow: they stay in L2 for both passes."""

SPARSE_CHUNK_BYTES = 4 << 20
"""Most bytes of dense inputs in a chunk of a prediction from sparse rows, but 16 rows at least."""

MAX_CHUNK_FLOP = 5_000_000_000
"""Work of one chunk (some 25 to 50 ms), because Ctrl-C is looked for between chunks."""

PADDING = 16
"""Rows of matrices in the engine begin at multiples of the float32 AVX-512 width."""

NARROW_MAX = 128
"""Widest layer that the package's own products take."""

NARROW_WEIGHT_BYTES = 1 << 20
"""Largest weight matrix that they take: it is read once per handful of rows, from L2."""

SHORT_ROW = 256
"""Longest row of inputs that is copied to be padded."""

FEW_ROWS = 8
"""Up to this number of rows a prediction multiplies row by row, without copying the weights; one
row alone where the weights do not fit the second-level cache."""

MIN_WORKER_FLOP = 500_000
"""Work per thread and step (about 5 microseconds) that pays for a thread, which is spinning for the
next step while a training runs."""

MIN_PREDICTION_FLOP = 20_000_000
"""The same for a prediction (about 200 microseconds), whose threads have to be woken from sleep."""


@dataclass(frozen=True)
class NetworkPlan:
    """What the shapes of a network decide for every batch; made once, with its engine.

    Attributes
    ----------
    narrow : tuple of bool
        For every layer, whether its products are the package's own instead of BLAS.
    strides : tuple of int
        Columns reserved for the nodes of every layer, the input included.
    gathers, gathers_shuffled : bool
        Whether training copies the rows of a chunk side by side, in their order and shuffled.
    few_rows : int
        Most rows that a prediction takes one by one.
    chunk_rows, sparse_chunk_rows : int
        Most rows of one set of products of a prediction, of a dense and of a sparse matrix.
    row_flop, worker_flop : int
        Floating-point operations of a prediction per row, and those that pay for a thread.
    """

    narrow: tuple[bool, ...]
    strides: tuple[int, ...]
    gathers: bool
    gathers_shuffled: bool
    few_rows: int
    chunk_rows: int
    sparse_chunk_rows: int
    row_flop: int
    worker_flop: int


@dataclass(frozen=True)
class BatchPlan:
    """The cut of one batch.

    Attributes
    ----------
    n_rows : int
        Rows of the batch.
    blocks : bool
        Whether the gradient is computed block by block; with lanes otherwise.
    n_lanes : int
        Gradient buffers; lane ``i`` owns rows ``i * lane_rows`` up to the next lane. With blocks
        there is one lane for the whole batch, without a buffer.
    lane_rows, chunk_rows : int
        Rows of a lane (the last may have fewer) and most rows of one set of matrix products.
    n_workers : int
        Threads worth waking. Does not influence the result.
    """

    n_rows: int
    blocks: bool
    n_lanes: int
    lane_rows: int
    chunk_rows: int
    n_workers: int


@dataclass(frozen=True)
class Block:
    """Rows ``row … row + n_rows`` and columns ``column … column + n_columns`` of W of a layer."""

    layer: int
    row: int
    n_rows: int
    column: int
    n_columns: int


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _round_up(n: int, multiple: int) -> int:
    return _ceil_div(n, multiple) * multiple


def padded(n: int) -> int:
    """Columns reserved for `n`: a multiple of 16, an odd one for wide matrices.

    Rows whose distance is a multiple of a large power of two would share few sets of the caches.
    """
    columns = _round_up(n, PADDING)
    return columns + PADDING if columns >= 256 and columns % (2 * PADDING) == 0 else columns


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


def narrow_layers(sizes: tuple[int, ...], itemsize: int) -> tuple[bool, ...]:
    """For every layer, whether its products are the package's own instead of BLAS.

    They read inputs and weights without copying them, which pays while a row meets few outputs.
    """
    return tuple(
        n_out <= NARROW_MAX and n_in * _round_up(n_out, PADDING) * itemsize <= NARROW_WEIGHT_BYTES
        for n_in, n_out in pairwise(sizes)
    )


def few_rows(sizes: tuple[int, ...], itemsize: int) -> int:
    """Most rows that a prediction takes one by one."""
    return FEW_ROWS if count_parameters(sizes) * itemsize < BLOCK_PARAMETER_BYTES else 1


def gathers_inputs(n_features: int, narrow: bool, shuffled: bool) -> bool:
    """Whether the rows of a chunk are copied side by side before the first layer's products.

    BLAS wants shuffled rows so. The package's own products read rows where they lie, but short ones
    that do not fill whole vectors are cheaper copied beside zeros.
    """
    ragged = n_features % PADDING != 0
    return ragged and n_features <= SHORT_ROW if narrow else shuffled


def chunk_rows_most(sizes: tuple[int, ...], itemsize: int) -> int:
    """Most rows of one set of matrix products."""
    most = NARROW_CHUNK_ROWS if narrow_layers(sizes, itemsize)[0] else MAX_CHUNK_ROWS
    return min(most, max(PADDING, MAX_CHUNK_FLOP // training_flop(sizes, 1)))


def plan_network(sizes: tuple[int, ...], itemsize: int) -> NetworkPlan:
    """Return what the layer widths `sizes` and the size of a parameter in bytes decide."""
    narrow, strides = narrow_layers(sizes, itemsize), tuple(map(padded, sizes))
    chunk_rows = chunk_rows_most(sizes, itemsize)
    return NetworkPlan(
        narrow=narrow,
        strides=strides,
        gathers=gathers_inputs(sizes[0], narrow[0], shuffled=False),
        gathers_shuffled=gathers_inputs(sizes[0], narrow[0], shuffled=True),
        few_rows=few_rows(sizes, itemsize),
        chunk_rows=chunk_rows,
        sparse_chunk_rows=min(
            chunk_rows, max(PADDING, SPARSE_CHUNK_BYTES // (strides[0] * itemsize))
        ),
        row_flop=2 * sum(n_in * n_out for n_in, n_out in pairwise(sizes)),
        worker_flop=MIN_PREDICTION_FLOP,
    )


def plan_batch(
    n_rows: int,
    sizes: tuple[int, ...],
    itemsize: int,
    n_threads: int = 1,
    *,
    blocks: bool | None = None,
) -> BatchPlan:
    """Plan a batch of `n_rows` >= 1 rows for a network of layer widths `sizes`.

    `itemsize` is the size of a parameter in bytes; `n_threads` only limits ``n_workers``; `blocks`
    forces the way in which gradients are summed.
    """
    plan = _plan_lanes(n_rows, sizes, itemsize, n_threads)
    if blocks or (blocks is None and _prefers_blocks(plan, sizes, itemsize)):
        return _plan_blocks(n_rows, sizes, itemsize, n_threads)
    return plan


def _prefers_blocks(plan: BatchPlan, sizes: tuple[int, ...], itemsize: int) -> bool:
    """Whether the gradient of a batch is better computed block by block than in these lanes."""
    n_parameters = count_parameters(sizes)
    many = n_parameters * itemsize >= BLOCK_PARAMETER_BYTES
    moved = plan.n_lanes * n_parameters >= BLOCK_TRAFFIC * plan.n_rows * sum(sizes)
    return plan.n_rows <= BLOCK_ROWS_MAX and (many or moved)


def _busy_workers(sizes: tuple[int, ...], n_rows: int) -> int:
    return max(1, training_flop(sizes, n_rows) // MIN_WORKER_FLOP)


def _plan_lanes(n_rows: int, sizes: tuple[int, ...], itemsize: int, n_threads: int) -> BatchPlan:
    affordable = 2 + LANE_MEMORY // (count_parameters(sizes) * itemsize)
    wanted = min(
        MAX_LANES, affordable, max(1, n_rows // MIN_LANE_ROWS, min(2, n_rows // MIN_PAIR_ROWS))
    )
    lane_rows = _round_up(_ceil_div(n_rows, wanted), PADDING)
    n_lanes = _ceil_div(n_rows, lane_rows)
    n_chunks = _ceil_div(lane_rows, chunk_rows_most(sizes, itemsize))
    chunk_rows = _round_up(_ceil_div(lane_rows, n_chunks), PADDING)
    n_workers = min(n_threads, n_lanes, _busy_workers(sizes, n_rows))
    return BatchPlan(n_rows, False, n_lanes, lane_rows, chunk_rows, n_workers)


def _plan_blocks(n_rows: int, sizes: tuple[int, ...], itemsize: int, n_threads: int) -> BatchPlan:
    fewest = NARROW_BLOCK_CHUNK_ROWS if all(narrow_layers(sizes, itemsize)) else BLOCK_CHUNK_ROWS
    most = chunk_rows_most(sizes, itemsize)
    n_chunks = max(_ceil_div(n_rows, most), min(MAX_LANES, n_rows // fewest), 1)
    chunk_rows = _ceil_div(n_rows, n_chunks)
    n_blocks = sum(1 for _ in weight_blocks(sizes, itemsize, True))
    n_pieces = max(_ceil_div(n_rows, chunk_rows), n_blocks)
    n_workers = min(n_threads, MAX_LANES, n_pieces, _busy_workers(sizes, n_rows))
    return BatchPlan(n_rows, True, 1, n_rows, chunk_rows, n_workers)


def weight_blocks(sizes: tuple[int, ...], itemsize: int, blocks: bool) -> Iterator[Block]:
    """The pieces in which the weight matrices are updated; together they cover each once."""
    most_rows = BLOCK_ROWS if blocks else UPDATE_ROWS
    most_columns = BLOCK_COLUMNS if blocks else UPDATE_COLUMNS
    if blocks and all(narrow_layers(sizes, itemsize)):
        most_columns = NARROW_BLOCK_COLUMNS
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        rows = _round_up(_ceil_div(n_out, _ceil_div(n_out, most_rows)), PADDING)
        columns = _round_up(_ceil_div(n_in, _ceil_div(n_in, most_columns)), PADDING)
        for row in range(0, n_out, rows):
            for column in range(0, n_in, columns):
                yield Block(layer, row, min(rows, n_out - row), column, min(columns, n_in - column))
