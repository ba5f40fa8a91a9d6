"""Shards: the tree in which sums are added, whoever adds them, and what the engine refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from fastmlp.engine import _core
from fastmlp.engine.rows import SparseRows
from fastmlp.engine.shards import Shards, plan_sum, subtrees_within
from fastmlp.losses import check_loss
from fastmlp.optimizers import SGD

examples = settings(max_examples=200, derandomize=True, deadline=None)


@st.composite
def bounds_of_processes(draw, most=20):
    """From 0 to the number of shards, at least one for each process."""
    n_shards = draw(st.integers(1, most))
    inner = draw(st.sets(st.integers(1, n_shards), max_size=n_shards))
    return sorted({0, n_shards} | inner)


def tree_sum(values):
    """The sum of rows by recursion: the left part is the largest power of two that leaves some."""
    if len(values) == 1:
        return values[0]
    left = max(2**k for k in range(10) if 2**k < len(values))
    return tree_sum(values[:left]) + tree_sum(values[left:])


def nodes_of(begin, end):
    """All nodes of the tree of these shards, each with its parent."""
    size = end - begin
    if size == 1:
        return {(begin, end): None}
    middle = begin + max(2**k for k in range(10) if 2**k < size)
    found = {(begin, end): None}
    for part in ((begin, middle), (middle, end)):
        below = nodes_of(*part)
        below[part] = begin, end
        found |= below
    return found


def add(slots, additions):
    for to, source in additions:
        slots[to] += slots[source]


def sums_of_processes(bounds, leaves):
    """What is in slot 0 of every process in the end."""
    plans = [plan_sum(bounds, rank) for rank in range(len(bounds) - 1)]
    slots = [np.full((plan.n_slots, leaves.shape[1]), np.nan, np.float32) for plan in plans]
    for plan, own in zip(plans, slots, strict=True):
        own[: plan.n_own] = leaves[plan.first : plan.first + plan.n_own]
        add(own, plan.before)
    sent = [own[list(plan.own_slots)].copy() for plan, own in zip(plans, slots, strict=True)]
    for rank, (plan, own) in enumerate(zip(plans, slots, strict=True)):
        for places, sums in zip(plan.slots_from, sent[:rank] + sent[rank + 1 :], strict=True):
            own[list(places)] = sums
        add(own, plan.after)
    return [own[0] for own in slots]


@examples
@given(bounds=bounds_of_processes(), seed=st.integers(0, 99))
def test_the_sum_has_the_bits_of_the_tree_in_every_process(bounds, seed):
    leaves = np.random.default_rng(seed).normal(size=(bounds[-1], 5)).astype(np.float32)
    leaves *= 10.0 ** np.arange(-2, 3, dtype=np.float32)
    for total in sums_of_processes(bounds, leaves):
        np.testing.assert_array_equal(total, tree_sum(leaves))


def test_the_bits_of_a_sum_depend_on_its_tree():
    """Or the test above would show nothing."""
    leaves = np.random.default_rng(0).normal(size=(8, 50)).astype(np.float32)
    assert (tree_sum(leaves) != leaves.sum(axis=0)).any()
    assert (tree_sum(leaves) != np.add.reduce(leaves[::-1])).any()


@examples
@given(n_shards=st.integers(1, 20), ends=st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_subtrees_are_the_largest_of_the_tree_and_cover_their_shards_once(n_shards, ends):
    begin, end = sorted(min(number, n_shards) for number in ends)
    subtrees = subtrees_within(n_shards, begin, end)
    assert [shard for node in subtrees for shard in range(*node)] == list(range(begin, end))
    parents = nodes_of(0, n_shards)
    for node in subtrees:
        parent = parents[node]
        assert parent is None or parent[0] < begin or parent[1] > end


@examples
@given(bounds=bounds_of_processes())
def test_every_slot_has_one_use(bounds):
    n_shards = bounds[-1]
    for rank, (begin, end) in enumerate(pairwise(bounds)):
        plan = plan_sum(bounds, rank)
        assert (plan.n_shards, plan.first, plan.n_own) == (n_shards, begin, end - begin)
        others = [slot for slots in plan.slots_from for slot in slots]
        assert others == list(range(plan.n_own, plan.n_slots))
        assert set(plan.own_slots) <= set(range(plan.n_own))
        counts = [len(plan_sum(bounds, other).own_slots) for other in range(len(bounds) - 1)]
        assert list(map(len, plan.slots_from)) == counts[:rank] + counts[rank + 1 :]
        assert plan.before.dtype == plan.after.dtype == np.intp
        assert len(plan.before) + len(plan.after) == plan.n_slots - 1
        assert plan.before.size == 0 or plan.before.max() < plan.n_own


@pytest.mark.parametrize("n_processes", [1, 2, 4, 8])
def test_a_power_of_two_of_equal_processes_sends_one_sum_each(n_processes):
    bounds = [8 * rank // n_processes for rank in range(n_processes + 1)]
    assert [len(plan_sum(bounds, rank).own_slots) for rank in range(n_processes)] == [
        1
    ] * n_processes


# --- The engine

SIZES, N = (5, 4, 3), 20
N_PARAMETERS = 6 * 4 + 5 * 3
SUMS = plan_sum([0, 1, 3], 1)  # two of three shards, on the second of two processes
LANES = np.array([[[0, 3, 0], [6, 2, 100]], [[3, 3, 3], [8, 1, 102]]])


def nothing_from_others(slots, totals):
    """The other process has no rows."""
    slots[2], totals[0] = 0, 0
    return False


SHARDS = Shards(SUMS, LANES, np.array([8, 6]), 14, 3, exchange=nothing_from_others)


def make_engine(n_threads=2):
    return _core.Engine(
        SIZES, ("tanh", "sigmoid"), check_loss("squared_error"), "float32", n_threads
    )


def training_call(**changed):
    """Arguments of a call with shards that works, some of them changed."""
    rng = np.random.default_rng(0)
    records = {name: np.zeros(2) for name in ("costs", "penalties", "errors", "accuracies")}
    keywords = dict(
        parameters=rng.random(N_PARAMETERS, dtype=np.float32),
        states=np.zeros((1, N_PARAMETERS), np.float32),
        x=rng.random((N, 5), dtype=np.float32), targets=rng.random((N, 3), dtype=np.float32),
        order=None, sample_weights=None, batch_size=8, first_batch=0, last_batch=2,
        optimizer=SGD(momentum=0.0), learning_rate=0.1, n_steps=0, l1=0.0, l2=0.0, l1_cost=0.0,
        mean_reduction=False, penalty_scale="per_batch", progress=np.zeros(1, np.intp),
        shards=SHARDS, **records,
    ) | changed  # fmt: skip
    return [keywords.pop(name) for name in ("parameters", "states", "x", "targets")], keywords


def lanes(place, value):
    changed = LANES.copy()
    changed[place] = value
    return replace(SHARDS, lanes=changed)


def sums(**changes):
    return replace(SHARDS, sums=replace(SUMS, **changes))


def pairs(*values):
    return np.array(values, np.intp).reshape(-1, 2)


SHAPE = r"lanes must be of shape \(n_batches, 2, 3\); got "
WITHIN = "lanes must lie within 20 rows, with at most 3 rows each"
SLOTS = "additions must be between slots 0 to 2"
HUGE = np.iinfo(np.intp).max
WRONG = {
    "a shard too few": (replace(SHARDS, lanes=LANES[:, :1]), SHAPE + r"\(2, 1, 3\)"),
    "no number of the mask": (replace(SHARDS, lanes=LANES[:, :, :2]), SHAPE + r"\(2, 2, 2\)"),
    "one batch alone": (replace(SHARDS, lanes=LANES[0]), SHAPE + r"\(2, 3\)"),
    "no own shard": (
        replace(SHARDS, sums=replace(SUMS, n_own=0), lanes=LANES[:, :0]),
        r"lanes must be of shape \(n_batches, 0, 3\)",
    ),
    "a negative row": (lanes((1, 0, 0), -1), WITHIN),
    "a negative number of rows": (lanes((1, 0, 1), -1), WITHIN),
    "a negative mask": (lanes((1, 0, 2), -1), WITHIN),
    "a row too far": (lanes((1, 1, 0), N), WITHIN),
    "a row so far that the end is negative": (lanes((1, 1, 0), HUGE), WITHIN),
    "too many rows": (lanes((1, 1, 1), 4), WITHIN),
    "a negative first shard": (sums(first=-1), "first must be from 0 to 1; got -1"),
    "a first shard too far": (sums(first=2), "first must be from 0 to 1; got 2"),
    "an addition to a negative slot": (sums(before=pairs(-1, 0)), SLOTS),
    "an addition from a slot too far": (sums(after=pairs(0, 3)), SLOTS),
    "too few slots": (
        sums(n_slots=1, before=pairs(), after=pairs()),
        "additions must be between slots 0 to 0",
    ),
    "a batch too few": (
        replace(SHARDS, batch_rows=np.array([8])),
        r"batch_rows must have 2 numbers; got array\(\[8\]\)",
    ),
    "no rows": (replace(SHARDS, n_rows=0), "n_rows and lane_rows must be at least 1; got 0, 3"),
    "empty lanes": (
        replace(SHARDS, lanes=LANES[:, :, :] * [1, 0, 1], lane_rows=0),
        "n_rows and lane_rows must be at least 1; got 14, 0",
    ),
    "lanes of another type": (
        replace(SHARDS, lanes=LANES.astype(np.int32)),
        "lanes must hold 12 aligned numbers of type 'l'; got int32",
    ),
    "lanes in another order": (
        replace(SHARDS, lanes=np.asfortranarray(LANES)),
        "lanes must be a C-ordered array",
    ),
    "batch_rows of another type": (
        replace(SHARDS, batch_rows=np.array([8.0, 6.0])),
        "batch_rows must hold 2 aligned numbers of type 'l'; got float64",
    ),
    "before of another type": (
        sums(before=SUMS.before.astype(np.int32), after=pairs(0, 1)),
        "before must hold",
    ),
    "after with three numbers": (
        sums(after=np.zeros((1, 3), np.intp), before=np.zeros((0, 3), np.intp)),
        "after must hold 2 aligned numbers",
    ),
}


def test_the_unchanged_call_trains():
    arrays, keywords = training_call()
    before = arrays[0].copy()
    assert make_engine().train(*arrays, **keywords)[:2] == (_core.DONE, 2)
    assert (arrays[0] != before).all()


@pytest.mark.parametrize("what", WRONG)
def test_shards_that_do_not_fit_are_refused_before_anything_is_changed(what):
    shards, message = WRONG[what]
    engine = make_engine()
    arrays, keywords = training_call(shards=shards)
    before = arrays[0].copy()
    with pytest.raises(ValueError, match=message):
        engine.train(*arrays, **keywords)
    np.testing.assert_array_equal(arrays[0], before)
    arrays, keywords = training_call()  # and the engine is free again
    assert engine.train(*arrays, **keywords)[0] == _core.DONE


@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(last_batch=3), "last_batch must be from 0 to 2; got 3"),
        (dict(first_batch=3), "first_batch must be from 0 to 2; got 3"),
        (
            dict(x=SparseRows.from_matrix(csr_matrix(np.eye(N, 5)), np.dtype("f4"))),
            "x must be dense for shards; got SparseRows",
        ),
    ],
    ids=["last_batch", "first_batch", "sparse"],
)
def test_batches_and_rows_must_be_those_of_the_shards(changed, message):
    arrays, keywords = training_call(**changed)
    with pytest.raises(ValueError, match=message):
        make_engine().train(*arrays, **keywords)


def gradients_by_hand(parameters, x, y):
    """Gradient and totals of some rows, as the engine's other call has them, in float64."""
    engine = _core.Engine(SIZES, ("tanh", "sigmoid"), check_loss("squared_error"), "float64", 1)
    out = np.zeros(N_PARAMETERS)
    return out, engine.gradient(
        parameters.astype(float), x.astype(float), y.astype(float), None, out
    )


@pytest.mark.parametrize("adds", [False, True])
def test_a_step_takes_own_lanes_and_what_the_exchange_puts_into_slots(adds):
    """Its other shard gets three times the sum of the own ones."""
    calls = []

    def exchange(slots, totals):
        calls.append((slots.copy(), totals.copy()))
        slots[2], totals[0] = 3 * (slots[0] + slots[1]), 3 * totals[1:].sum(axis=0)
        if adds:
            for to, source in SUMS.after:
                slots[to] += slots[source]
        return adds

    arrays, keywords = training_call(last_batch=1, shards=replace(SHARDS, exchange=exchange))
    parameters, _, x, y = arrays
    before = parameters.copy()
    make_engine().train(*arrays, **keywords)
    own = [0, 1, 2, 6, 7]  # of the first batch
    gradient, (loss, *_) = gradients_by_hand(before, x[own], y[own])
    np.testing.assert_allclose(before - parameters, 0.1 * 4 * gradient, rtol=2e-5, atol=1e-6)
    assert keywords["costs"][0] == pytest.approx(4 * loss, rel=1e-6)
    ((slots, totals),) = calls
    assert slots.shape[0] == SUMS.n_slots and slots.dtype == np.float32
    assert totals.shape == (3, 4)
    assert totals[1:, 0].sum() == pytest.approx(loss, rel=1e-6)
    np.testing.assert_array_equal(totals[1:, 2], [3, 2])  # weights: rows of both lanes


def test_a_shard_without_rows_in_a_batch_adds_zero():
    arrays, keywords = training_call(shards=replace(SHARDS, lanes=LANES * [1, 0, 1]))
    before = arrays[0].copy()
    assert make_engine().train(*arrays, **keywords)[0] == _core.DONE
    np.testing.assert_array_equal(arrays[0], before)
    np.testing.assert_array_equal(keywords["costs"], 0)


class LostError(Exception):
    pass


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("error", [LostError, KeyboardInterrupt, SystemExit])
def test_an_exchange_that_raises_ends_the_call_after_the_last_finished_batch(error, n_threads):
    arrays, keywords = training_call(last_batch=1)
    make_engine().train(*arrays, **keywords)
    after_one, n_calls = arrays[0], []

    def exchange(slots, totals):
        n_calls.append(1)
        if len(n_calls) == 2:
            slots[...] = 7
            raise error("gone")
        return nothing_from_others(slots, totals)

    arrays, keywords = training_call(shards=replace(SHARDS, exchange=exchange))
    engine = make_engine(n_threads)
    status, n_done, interruption = engine.train(*arrays, **keywords)
    assert (status, n_done) == (_core.INTERRUPTED, 1) and keywords["progress"][0] == 1
    assert isinstance(interruption, error) and interruption.args == ("gone",)
    np.testing.assert_array_equal(arrays[0], after_one)
    assert len(n_calls) == 2
    arrays, keywords = training_call()  # of what was in the slots nothing is left
    assert engine.train(*arrays, **keywords)[:2] == (_core.DONE, 2)
    expected, keywords = training_call()
    make_engine().train(*expected, **keywords)
    np.testing.assert_array_equal(arrays[0], expected[0])


def test_an_exchange_whose_answer_is_no_truth_value_is_an_error_too():
    answer = np.array([1, 2])
    shards = replace(SHARDS, exchange=lambda slots, totals: answer)
    arrays, keywords = training_call(shards=shards)
    status, n_done, interruption = make_engine().train(*arrays, **keywords)
    assert (status, n_done) == (_core.INTERRUPTED, 0)
    assert isinstance(interruption, ValueError) and "ambiguous" in str(interruption)


def test_an_infinite_total_of_another_process_is_divergence_here_too():
    def exchange(slots, totals):
        slots[2], totals[0] = 0, np.inf
        return False

    arrays, keywords = training_call(shards=replace(SHARDS, exchange=exchange))
    before = arrays[0].copy()
    assert make_engine().train(*arrays, **keywords)[:2] == (_core.DIVERGED, 0)
    np.testing.assert_array_equal(arrays[0], before)


def test_positions_are_those_of_own_rows_in_a_batch():
    assert SHARDS.positions(1).tolist() == [3, 4, 5, 8] and SHARDS.positions(1).dtype == np.intp
