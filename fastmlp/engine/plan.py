"""Plan of how a mini-batch is split into work, based on shapes alone.

A batch of rows passes through the network in *chunks*, with one set of matrix products each. Its
gradient is summed in one of two ways:

- **lanes**, for networks with few parameters: the rows are distributed over lanes, each with its
  own gradient buffer; a thread processes the chunks of a lane, and the optimizer adds the lanes in
  order;
- **blocks**, for wide layers and small batches: the activations and deltas of the whole batch are
  kept, and a thread takes a block of a weight matrix, computes its gradient over all rows in one
  product and updates it while it is in the cache. Nothing is summed afterwards.

The rows of a sharded run lie in lanes of their own (``shards.py``), however few they are.

The first layer of sparse rows is multiplied with their values alone, unless they fill too much of
the matrix, or BLAS is to compute all products: its weights then lie transposed, the deltas of the
whole batch are kept, and a thread takes a block of input columns.

Either way the results depend on this plan, never on the threads. The plan is part of the numerical
contract: whenever it changes, increase ``PLAN_VERSION``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

PLAN_VERSION = 6

MOST_ROWS = 2**62
"""Largest batch size: all rows of any data set, and sums of two stay below 2^63."""

MAX_LANES = 8
"""Maximum number of gradient buffers, and hence of threads that can share a batch."""

MIN_LANE_ROWS = 60
"""Minimum number of rows per lane if there are three or more lanes: fewer rows do not pay for a
separate gradient buffer."""

MIN_PAIR_ROWS = 16
"""Minimum number of rows per lane for splitting a batch into two lanes."""

LANE_MEMORY = 64 << 20
"""Memory limit of all lanes together: twice the parameters plus this many bytes."""

BLOCK_PARAMETER_BYTES = 1 << 20
"""Parameter size above which lanes no longer fit into a core's cache, so that blocks are better."""

BLOCK_ROWS_MAX = 2048
"""Maximum number of rows whose activations are kept for blocks; larger batches use lanes, whose
chunks stay in L2 from the inputs to the gradient."""

WIDE_BLOCK_ROWS_MAX = 4096
"""The same where memory allows fewer lanes than :data:`MAX_LANES`, and lanes would leave threads
without work."""

BLOCK_TRAFFIC = 2
"""Blocks are also better if the lanes hold this many times more numbers than the layers of a batch:
with blocks, threads exchange the layers; with lanes, the lanes."""

BLOCK_CHUNK_ROWS, NARROW_BLOCK_CHUNK_ROWS = 100, 16
"""Minimum rows of a chunk when blocks are used: the products of wide layers copy the weights for
every chunk; those of narrow layers do not."""

BLOCK_ROWS, BLOCK_COLUMNS = 128, 800
"""Maximum size of a block of a weight matrix, so that its gradient and weights stay in L2."""

NARROW_BLOCK_COLUMNS = 208
"""Maximum columns of a block if all layers are narrow, which gives a few threads enough blocks."""

UPDATE_ROWS, UPDATE_COLUMNS = 16, 256
"""Maximum size of the piece of a weight matrix that is updated at once when lanes are used."""

OWN_ROWS = 32
"""Maximum rows for which the kernels of narrow layers compute deltas and gradients of wide ones,
too: so few rows do not pay for copies of operands."""

MAX_CHUNK_ROWS = 256
"""Maximum rows of one set of products of wide layers: with the activations in L2, and within one K
block of OpenBLAS (320 or 448)."""

NARROW_CHUNK_ROWS = 64
"""Maximum rows of a chunk if the first layer is narrow: they stay in L2 for both passes."""

SPARSE_CHUNK_BYTES = 4 << 20
"""Maximum bytes of dense inputs per chunk when predicting sparse rows (at least 16 rows)."""

SPARSE_COST = 4
"""Time of a multiplication with one value of a sparse row, in multiplications of a dense row."""

MOST_COMPACT_VALUES = 4
"""Maximum values per column of a prediction that looks for the columns that occur."""

MOST_COMPACT_COLUMNS = 0.5
"""Maximum share of these columns for which their weights alone are transposed."""

SPARSE_BLOCK_NUMBERS = 1 << 16
"""Weights of the input columns that a thread takes at once for the gradient of sparse rows."""

GRADIENT_ROWS = 4096
"""Maximum rows whose layers are kept at once for the gradient of all sparse rows."""

MOST_SPARSE_ROWS = 2**31 - 1
"""Maximum rows of a sparse matrix that is multiplied by its values: their numbers are int32."""

MAX_CHUNK_FLOP = 5_000_000_000
"""Maximum work of one chunk (about 25 to 50 ms), because Ctrl-C is checked between chunks."""

PADDING = 16
"""Alignment of matrix rows in the engine, in elements: the float32 width of AVX-512."""

NARROW_MAX = 128
"""Maximum layer width for the package's own matrix kernels."""

PANEL_BATCH_ROWS, PANEL_WEIGHTS = 16, 8192
"""Maximum batch size, and minimum number of weights, with which a narrow layer is trained like a
wide one: so few rows do not pay for transposed weights, which every update would have to keep."""

NARROW_WEIGHT_BYTES = 1 << 20
"""Maximum weight matrix for these kernels: it is read from L2 once for every few rows."""

SHORT_ROW = 256
"""Maximum length of input rows that are copied in order to pad them."""

FEWEST_ROWS, FEW_ROWS, FEW_ROWS_INPUTS = 4, 20, 16
"""Maximum number of rows whose outputs a prediction sums over vectors of inputs: one for every 16
inputs of an average node, at least 4 and at most 20. More rows fill vectors themselves; few inputs
are not worth the sum over a vector that every output costs."""

FEATURE_ROWS, MOST_FEATURE_CHUNKS, FEATURE_NODES = 64, 3, 64
"""Rows that lie feature-major in a prediction, and are multiplied with the weights where they lie:
all rows, in chunks of so many, with 32 registers or layers of at most 64 nodes. Otherwise more than
three such chunks per thread are worth panels of the weights, which have the same bits."""

FEWEST_FEATURE_ROWS = 8
"""Minimum number of rows, up to `FEATURE_ROWS`, that training and evaluation transpose for this."""

PANEL_ROWS = 256
"""Maximum rows of a chunk of a prediction with panels: filling these costs as much as some five
rows."""

FEW_ROWS_FLOP = 40_000_000
"""Maximum work of such a prediction (about a millisecond), which one thread does; a single row may
take more."""

MIN_WORKER_FLOP = 500_000
"""Minimum work per thread and step (about 5 microseconds) that makes a thread worthwhile in
training, where the threads spin between steps."""

MIN_PREDICTION_FLOP = 20_000_000
"""The same for a prediction (about 200 microseconds), whose threads must be woken from sleep."""


@dataclass(frozen=True)
class NetworkPlan:
    """The part of a plan that depends only on the network's shape; made once per engine.

    Attributes
    ----------
    sizes : tuple of int
        Widths of all layers, including the input.
    products : str
        Who computes the products, see :mod:`fastmlp.engine.products`.
    parameter_bytes : int
        Memory of all weights and biases.
    narrow : tuple of bool
        For every layer, whether the kernels of narrow layers compute all its products, unless
        :func:`trains_narrowly` says otherwise. Those of wide layers are computed with panels of
        their right operand (deltas and gradients from more than `OWN_ROWS` rows on), or by BLAS if
        that is asked for.
    strides : tuple of int
        Columns reserved for the nodes of every layer, including the input.
    gathers, gathers_shuffled : bool
        Whether training copies the rows of a chunk into contiguous memory, without and with
        shuffling.
    few_rows : int
        Maximum number of rows whose outputs a prediction sums over vectors of inputs.
    panel_rows : int
        Maximum rows of a chunk when predicting from a dense matrix with panels of the weights.
    chunk_rows, sparse_chunk_rows : int
        Maximum rows of a chunk when evaluating a dense matrix, or predicting from it with BLAS, and
        of sparse rows that are written out dense.
    value_chunk_rows : int
        Maximum rows of a chunk of sparse rows that are multiplied by their values.
    row_flop, worker_flop : int
        Floating-point operations of a prediction per row, and per thread to make it worthwhile.
    training_row_flop : int
        Floating-point operations of a training step per row.
    """

    sizes: tuple[int, ...]
    products: str
    parameter_bytes: int
    narrow: tuple[bool, ...]
    strides: tuple[int, ...]
    gathers: bool
    gathers_shuffled: bool
    few_rows: int
    panel_rows: int
    chunk_rows: int
    sparse_chunk_rows: int
    value_chunk_rows: int
    row_flop: int
    worker_flop: int
    training_row_flop: int

    def workers(self, n_rows: int) -> int:
        """Return the number of threads that have enough work in a training step of `n_rows`."""
        return max(1, n_rows * self.training_row_flop // MIN_WORKER_FLOP)


@dataclass(frozen=True)
class BatchPlan:
    """The part of a plan that depends on the batch size.

    Attributes
    ----------
    n_rows : int
        Rows of the batch.
    blocks : bool
        Whether the gradient is computed in blocks instead of lanes.
    n_lanes : int
        Number of gradient buffers; lane ``i`` starts at row ``i * lane_rows``. With blocks, there
        is one lane for the whole batch, without a buffer.
    lane_rows, chunk_rows : int
        Rows of a lane (the last may have fewer) and maximum rows of a chunk.
    n_workers : int
        Number of threads worth using. It does not influence the result.
    """

    n_rows: int
    blocks: bool
    n_lanes: int
    lane_rows: int
    chunk_rows: int
    n_workers: int


@dataclass(frozen=True)
class Block:
    """A block of a layer's weight matrix, from (row, column), with n_rows and n_columns."""

    layer: int
    row: int
    n_rows: int
    column: int
    n_columns: int


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _even_share(n: int, n_parts: int) -> int:
    """Return the rows or columns of each of `n_parts` parts but the last: a multiple of 16."""
    return _round_up(-(-n // n_parts), PADDING)


def padded(n: int) -> int:
    """Return the columns reserved for `n`: a multiple of 16, an odd multiple for wide matrices.

    Rows at a distance that is a multiple of a large power of two would compete for few cache sets.
    """
    columns = _round_up(n, PADDING)
    return columns + PADDING if columns >= 256 and columns % (2 * PADDING) == 0 else columns


def count_parameters(sizes: tuple[int, ...]) -> int:
    """Return the number of weights and biases: ``(n_in + 1) * n_out``, summed over the layers."""
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))


def training_flop(sizes: tuple[int, ...], n_rows: int) -> int:
    """Return the floating-point operations of the matrix products in one training step.

    There are up to three products per layer (forward, weight gradient, and the input delta except
    in the first layer), each with a multiplication and an addition per weight and row.
    """
    weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    return 2 * n_rows * (3 * sum(weights) - weights[0])


def narrow_layers(
    sizes: tuple[int, ...], itemsize: int, products: str = "auto"
) -> tuple[bool, ...]:
    """Return, for every layer, whether the kernels of narrow layers compute its products.

    These kernels read inputs and weights without copying them, which pays off for few outputs;
    `products` "blas" means no layer.
    """
    return tuple(
        products != "blas"
        and n_out <= NARROW_MAX
        and n_in * _round_up(n_out, PADDING) * itemsize <= NARROW_WEIGHT_BYTES
        for n_in, n_out in pairwise(sizes)
    )


def trains_narrowly(network: NetworkPlan, batch_size: int) -> tuple[bool, ...]:
    """Return, for every layer, whether the kernels of narrow layers compute its forward products in
    training with batches of so many rows.
    """
    return tuple(
        narrow and (batch_size > PANEL_BATCH_ROWS or n_in * n_out < PANEL_WEIGHTS)
        for narrow, (n_in, n_out) in zip(network.narrow, pairwise(network.sizes), strict=True)
    )


def product_kernels(network: NetworkPlan, batch_size: int) -> tuple[str, ...]:
    """Return, for every layer, who computes the products of a batch of dense rows, in words."""
    wide = "BLAS gemm" if network.products == "blas" else "own kernels, weights in panels"
    return tuple("own kernels" if each else wide for each in trains_narrowly(network, batch_size))


def few_rows(sizes: tuple[int, ...]) -> int:
    """Return the maximum number of rows that a prediction multiplies with the weights in place."""
    row_flop = 2 * sum(n_in * n_out for n_in, n_out in pairwise(sizes))
    average_inputs = row_flop // (2 * sum(sizes[1:]))
    fitting = min(max(average_inputs // FEW_ROWS_INPUTS, FEWEST_ROWS), FEW_ROWS)
    return max(1, min(fitting, FEW_ROWS_FLOP // row_flop))


def gathers_inputs(n_features: int, narrow: bool, shuffled: bool) -> bool:
    """Return whether the rows of a chunk are copied together before the first layer's products.

    The products of wide layers require this for shuffled rows. Those of narrow layers read rows in
    place, but short rows that do not fill whole vectors are cheaper to copy and pad with zeros.
    """
    ragged = n_features % PADDING != 0
    return ragged and n_features <= SHORT_ROW if narrow else shuffled


def plan_network(sizes: tuple[int, ...], itemsize: int, products: str = "auto") -> NetworkPlan:
    """Return the plan of a network with layer widths `sizes` and `itemsize` bytes per parameter.

    `products` is one of :data:`fastmlp.engine.products.PRODUCTS`.
    """
    narrow, strides = narrow_layers(sizes, itemsize, products), tuple(map(padded, sizes))
    training_row_flop = training_flop(sizes, 1)
    upper_flop = training_flop(sizes[1:], 1) if len(sizes) > 2 else 0
    value_flop = upper_flop + training_flop(sizes[:2], 1) // SPARSE_COST
    chunk_rows = min(
        NARROW_CHUNK_ROWS if narrow[0] else MAX_CHUNK_ROWS,
        max(PADDING, MAX_CHUNK_FLOP // training_row_flop),
    )
    return NetworkPlan(
        sizes=sizes,
        products=products,
        parameter_bytes=count_parameters(sizes) * itemsize,
        narrow=narrow,
        strides=strides,
        gathers=gathers_inputs(sizes[0], narrow[0], shuffled=False),
        gathers_shuffled=gathers_inputs(sizes[0], narrow[0], shuffled=True),
        few_rows=1 if products == "blas" else few_rows(sizes),
        panel_rows=min(PANEL_ROWS, max(PADDING, MAX_CHUNK_FLOP // training_row_flop)),
        chunk_rows=chunk_rows,
        sparse_chunk_rows=min(
            chunk_rows, max(PADDING, SPARSE_CHUNK_BYTES // (strides[0] * itemsize))
        ),
        value_chunk_rows=min(
            NARROW_CHUNK_ROWS if all(narrow[1:]) else MAX_CHUNK_ROWS,
            max(PADDING, MAX_CHUNK_FLOP // max(1, value_flop)),
        ),
        row_flop=2 * sum(n_in * n_out for n_in, n_out in pairwise(sizes)),
        worker_flop=MIN_PREDICTION_FLOP,
        training_row_flop=training_row_flop,
    )


def plan_batch(
    n_rows: int,
    sizes: tuple[int, ...],
    itemsize: int,
    n_threads: int = 1,
    *,
    blocks: bool | None = None,
    network: NetworkPlan | None = None,
) -> BatchPlan:
    """Plan a batch of `n_rows` >= 1 rows for a network with layer widths `sizes`.

    `itemsize` is the size of a parameter in bytes; `n_threads` only limits ``n_workers``; `blocks`
    forces gradients to be summed in blocks (True) or lanes (False); `network` is the network's plan
    if there is one already.
    """
    network = network or plan_network(sizes, itemsize)
    plan = _plan_lanes(n_rows, network, n_threads)
    if blocks or (blocks is None and _prefers_blocks(plan, network, itemsize)):
        return _plan_blocks(n_rows, network, n_threads)
    return plan


def _prefers_blocks(plan: BatchPlan, network: NetworkPlan, itemsize: int) -> bool:
    """Return whether blocks are better than these lanes for the gradient of a batch."""
    many = network.parameter_bytes >= BLOCK_PARAMETER_BYTES
    in_lanes = plan.n_lanes * network.parameter_bytes
    in_layers = plan.n_rows * sum(network.sizes) * itemsize
    has_all_lanes = _affordable_lanes(network) >= MAX_LANES
    most_rows = BLOCK_ROWS_MAX if has_all_lanes else WIDE_BLOCK_ROWS_MAX
    return plan.n_rows <= most_rows and (many or in_lanes >= BLOCK_TRAFFIC * in_layers)


def _affordable_lanes(network: NetworkPlan) -> int:
    return 2 + LANE_MEMORY // network.parameter_bytes


def _plan_lanes(n_rows: int, network: NetworkPlan, n_threads: int) -> BatchPlan:
    wanted = min(
        MAX_LANES,
        _affordable_lanes(network),
        max(1, n_rows // MIN_LANE_ROWS, min(2, n_rows // MIN_PAIR_ROWS)),
    )
    lane_rows = _even_share(n_rows, wanted)
    n_chunks = -(-lane_rows // network.chunk_rows)
    n_lanes = -(-n_rows // lane_rows)
    n_workers = min(n_threads, n_lanes, network.workers(n_rows))
    return BatchPlan(n_rows, False, n_lanes, lane_rows, _even_share(lane_rows, n_chunks), n_workers)


def _plan_blocks(n_rows: int, network: NetworkPlan, n_threads: int) -> BatchPlan:
    fewest = NARROW_BLOCK_CHUNK_ROWS if all(network.narrow) else BLOCK_CHUNK_ROWS
    n_chunks = max(-(-n_rows // network.chunk_rows), min(MAX_LANES, n_rows // fewest), 1)
    chunk_rows = -(-n_rows // n_chunks)
    n_blocks = len(weight_blocks(network, True))
    n_pieces = max(-(-n_rows // chunk_rows), n_blocks)
    n_workers = min(n_threads, MAX_LANES, n_pieces, network.workers(n_rows))
    return BatchPlan(n_rows, True, 1, n_rows, chunk_rows, n_workers)


def plan_shards(network: NetworkPlan, lane_rows: int, n_lanes: int, n_threads: int) -> BatchPlan:
    """Plan a batch whose rows lie in shards: each is a lane of at most `lane_rows` rows.

    The chunks depend on `lane_rows` alone, so that it does not matter how many of the shards,
    `n_lanes`, are those of this call. The lanes are added up before the update, which reads one.
    """
    n_chunks = -(-lane_rows // network.chunk_rows)
    n_workers = min(n_threads, n_lanes, network.workers(n_lanes * lane_rows))
    return BatchPlan(n_lanes, False, 1, lane_rows, _even_share(lane_rows, n_chunks), n_workers)


def multiplies_values(network: NetworkPlan, n_rows: int, n_values: int) -> bool:
    """Return whether a sparse matrix with `n_values` values is multiplied by these alone.

    Otherwise its rows are written out dense, chunk by chunk, as for ``products="blas"``.
    """
    can = network.products != "blas" and n_rows <= MOST_SPARSE_ROWS
    return can and n_values <= most_values_share(network) * n_rows * network.sizes[0]


def most_values_share(network: NetworkPlan) -> float:
    """Return the share of a sparse matrix that values may fill to be multiplied alone.

    A value costs as much as :data:`SPARSE_COST` numbers of a dense row, with whole vectors of
    outputs.
    """
    return network.sizes[1] / (SPARSE_COST * network.strides[1])


def compacts_columns(network: NetworkPlan, n_values: int) -> bool:
    """Return whether a prediction from `n_values` values looks for the columns that occur.

    If these are few, it transposes their weights alone; of text, most words are rare.
    """
    return n_values <= MOST_COMPACT_VALUES * network.sizes[0]


def value_flop(network: NetworkPlan, n_rows: int, n_values: int) -> int:
    """Return the floating-point operations of predicting `n_rows` with `n_values` values."""
    n_in, n_out = network.sizes[:2]
    upper = network.row_flop - 2 * n_in * n_out
    return n_rows * upper + 2 * SPARSE_COST * n_values * network.strides[1]


def plan_sparse_batch(
    n_rows: int, network: NetworkPlan, n_threads: int, values_per_row: float
) -> BatchPlan:
    """Plan a batch of `n_rows` sparse rows that are multiplied by their values.

    `n_threads` and `values_per_row`, the mean of the whole matrix, only limit ``n_workers``.
    """
    fewest = NARROW_BLOCK_CHUNK_ROWS if all(network.narrow[1:]) else BLOCK_CHUNK_ROWS
    n_chunks = max(-(-n_rows // network.value_chunk_rows), min(MAX_LANES, n_rows // fewest), 1)
    chunk_rows = -(-n_rows // n_chunks)
    n_pieces = max(1 + -(-n_rows // chunk_rows), len(weight_blocks(network, True, sparse=True)))
    flop = 3 * value_flop(network, n_rows, int(n_rows * values_per_row))
    flop += network.sizes[0] * network.strides[1]  # the update
    n_workers = min(n_threads, MAX_LANES, n_pieces, max(1, flop // MIN_WORKER_FLOP))
    return BatchPlan(n_rows, True, 1, n_rows, chunk_rows, n_workers)


def weight_blocks(network: NetworkPlan, blocks: bool, *, sparse: bool = False) -> list[Block]:
    """Return the pieces in which weight matrices are updated; they cover every matrix once.

    With `sparse` the first layer's matrix is the transposed one, (n_in, n_out).
    """
    most_rows = BLOCK_ROWS if blocks else UPDATE_ROWS
    most_columns = BLOCK_COLUMNS if blocks else UPDATE_COLUMNS
    if blocks and all(network.narrow[sparse:]):
        most_columns = NARROW_BLOCK_COLUMNS
    pieces = []
    for layer, (n_in, n_out) in enumerate(pairwise(network.sizes)):
        if sparse and layer == 0:
            share = _even_share(n_in, -(-n_in * network.strides[1] // SPARSE_BLOCK_NUMBERS))
            pieces += [
                Block(layer, row, min(share, n_in - row), 0, n_out) for row in range(0, n_in, share)
            ]
            continue
        rows = _even_share(n_out, -(-n_out // most_rows))
        columns = _even_share(n_in, -(-n_in // most_columns))
        pieces += [
            Block(layer, row, min(rows, n_out - row), column, min(columns, n_in - column))
            for row in range(0, n_out, rows)
            for column in range(0, n_in, columns)
        ]
    return pieces
