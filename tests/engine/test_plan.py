"""The batch plan covers every row once, fits into memory and does not know the threads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.engine.plan import (
    LANE_MEMORY,
    MAX_LANES,
    count_parameters,
    few_rows,
    gathers_inputs,
    narrow_layers,
    padded,
    plan_batch,
    plan_network,
    training_flop,
    weight_blocks,
)

widths = st.lists(st.integers(1, 3000), min_size=2, max_size=5).map(tuple)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(n_rows=st.integers(1, 200_000), sizes=widths, itemsize=st.sampled_from([4, 8]))
def test_lanes_and_chunks_cover_every_row_once(n_rows, sizes, itemsize):
    plan = plan_batch(n_rows, sizes, itemsize)
    assert (plan.n_lanes - 1) * plan.lane_rows < n_rows <= plan.n_lanes * plan.lane_rows
    assert 1 <= plan.n_lanes <= MAX_LANES
    assert 1 <= plan.chunk_rows <= max(plan.lane_rows, 16)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(sizes=widths, blocks=st.booleans())
def test_blocks_cover_every_weight_once_and_begin_at_whole_vectors(sizes, blocks):
    covered = [np.zeros((n_out, n_in), np.uint8) for n_in, n_out in pairwise(sizes)]
    for b in weight_blocks(plan_network(sizes, 4), blocks):
        covered[b.layer][b.row : b.row + b.n_rows, b.column : b.column + b.n_columns] += 1
        assert b.row % 16 == b.column % 16 == 0
    assert all((matrix == 1).all() for matrix in covered)


def test_products_are_the_packages_own_up_to_128_nodes_and_a_megabyte_of_weights():
    assert narrow_layers((784, 128, 129, 70), 4) == (True, False, True)
    assert narrow_layers((10_000, 64, 10), 4) == (False, True)
    assert narrow_layers((10_000, 64, 10), 8) == (False, True)
    assert narrow_layers((4096, 64, 10), 4) == (True, True)
    assert narrow_layers((4096, 64, 10), 8) == (False, True)


def test_gradients_of_wide_layers_come_in_blocks_unless_the_batch_is_huge():
    sizes = (784, 512, 256, 10)
    assert plan_batch(200, sizes, 4).blocks
    assert not plan_batch(5000, sizes, 4).blocks
    assert plan_batch(5000, sizes, 4, blocks=True).blocks
    assert not plan_batch(500, (784, 70, 30, 10), 4).blocks


def test_predictions_take_a_row_in_place_for_every_16_inputs_of_a_node_and_up_to_40_mflop():
    assert few_rows((784, 70, 30, 10)) == few_rows((625, 1000)) == 20
    assert few_rows((4, 8, 1)) == few_rows((20, 64, 64, 1)) == few_rows((79, 9)) == 4
    assert few_rows((80, 9)) == 5
    assert few_rows((32, 256, 256, 256, 256, 256, 256, 10)) == 13
    assert few_rows((1000, 1000)) == 20
    assert few_rows((1251, 1000)) == 15
    assert few_rows((20_000, 10_000)) == few_rows((1000, 20_000)) == 1


def test_rows_are_padded_to_vectors_and_never_a_power_of_two_apart():
    assert [padded(n) for n in (1, 16, 17, 70, 240, 784)] == [16, 16, 32, 80, 240, 784]
    assert [padded(n) for n in (256, 512, 1000, 1024)] == [272, 528, 1008, 1040]


def test_short_ragged_rows_and_shuffled_rows_for_blas_are_copied():
    assert gathers_inputs(20, narrow=True, shuffled=False)
    assert not gathers_inputs(784, narrow=True, shuffled=True)
    assert not gathers_inputs(785, narrow=True, shuffled=True)
    assert gathers_inputs(784, narrow=False, shuffled=True)
    assert not gathers_inputs(784, narrow=False, shuffled=False)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(n_rows=st.integers(1, 200_000), sizes=widths, n_threads=st.integers(1, 256))
def test_threads_change_only_the_number_of_workers(n_rows, sizes, n_threads):
    alone, together = plan_batch(n_rows, sizes, 4), plan_batch(n_rows, sizes, 4, n_threads)
    assert (alone.n_lanes, alone.lane_rows, alone.chunk_rows) == (
        together.n_lanes,
        together.lane_rows,
        together.chunk_rows,
    )
    assert 1 <= together.n_workers <= min(n_threads, 8 if together.blocks else together.n_lanes)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(n_rows=st.integers(1, 200_000), sizes=widths, itemsize=st.sampled_from([4, 8]))
def test_lane_memory_stays_below_twice_the_parameters_plus_64_mb(n_rows, sizes, itemsize):
    parameter_bytes = itemsize * count_parameters(sizes)
    lanes = plan_batch(n_rows, sizes, itemsize).n_lanes
    assert lanes * parameter_bytes <= 2 * parameter_bytes + LANE_MEMORY


def test_tiny_work_does_not_wake_the_team():
    assert plan_batch(50, (20, 10, 2), 4, n_threads=8).n_workers == 1
    assert plan_batch(1, (784, 70, 30, 10), 4, n_threads=8).n_workers == 1
    assert plan_batch(500, (784, 70, 30, 10), 4, n_threads=2).n_workers == 2


def test_chunks_of_very_wide_layers_stay_short_enough_for_ctrl_c():
    sizes = (8192, 8192, 8192, 10)
    plan = plan_batch(4096, sizes, 4)
    assert training_flop(sizes, plan.chunk_rows) <= 20e9
    assert plan.chunk_rows >= 16


def test_blocks_wake_no_more_threads_than_there_are_chunks_or_pieces_of_weights():
    cases = [
        ((784, 512, 10), 100, 5),
        ((784, 512, 10), 700, 7),
        ((4000, 100, 10), 100, 6),
        ((4000, 700, 10), 100, 8),
    ]
    for sizes, n_rows, n_pieces in cases:
        workers = [plan_batch(n_rows, sizes, 4, n, blocks=True).n_workers for n in range(1, 12)]
        assert workers == [min(n, n_pieces) for n in range(1, 12)]


def test_flop_of_the_reference_job_are_those_of_the_matrix_products():
    assert training_flop((784, 70, 30, 10), 500) == pytest.approx(117e6, rel=0.01)


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("sizes", [(20, 33, 4), (784, 70, 30, 10), (50_000, 32, 2), (300, 900, 1)])
def test_plan_of_a_network_is_what_single_questions_answer(sizes, itemsize):
    network = plan_network(sizes, itemsize)
    assert network.narrow == narrow_layers(sizes, itemsize)
    assert all(
        n <= stride <= n + 31 and stride % 16 == 0
        for n, stride in zip(sizes, network.strides, strict=True)
    )
    assert network.few_rows == few_rows(sizes)
    assert network.gathers == gathers_inputs(sizes[0], network.narrow[0], False)
    assert network.gathers_shuffled == gathers_inputs(sizes[0], network.narrow[0], True)
    weights = [np.ones((b, a)) for a, b in pairwise(sizes)]
    assert network.row_flop == 2 * sum(w.size for w in weights)  # a product and a sum per weight
    assert 1 <= network.sparse_chunk_rows <= network.chunk_rows


def test_large_batches_are_summed_in_lanes_unless_memory_allows_too_few():
    sizes = (784, 1024, 1024, 10)
    assert plan_batch(2048, sizes, 4).blocks
    assert not plan_batch(2049, sizes, 4).blocks
    assert plan_batch(2049, sizes, 4, n_threads=8).n_lanes == 8
    wide = (2048, 2048, 2048, 10)  # eight lanes would have 270 MB
    assert plan_batch(4096, wide, 4).blocks
    assert not plan_batch(4097, wide, 4).blocks
