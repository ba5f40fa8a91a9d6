"""Shards: rows whose gradient is a sum of its own, and the tree in which these sums are added.

The gradient of a batch is a sum over its rows, and the last bits of a sum depend on its order. Here
the rows belong to a fixed number of shards; each shard's part of a batch is summed by itself, and
the sums are added in a binary tree that the number of shards decides alone:

    ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))

So a process may compute any shards, add up those subtrees of which it has all leaves, and exchange
the results with others: whoever adds, the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Node = tuple[int, int]
"""A subtree: its first shard and the one after its last."""

Additions = NDArray[np.intp]
"""Pairs of slots, (n, 2): the second one is added to the first, one pair after the other."""

Exchange = Callable[[NDArray[Any], NDArray[np.float64]], bool]
"""Is called once a batch with the slots (n_slots, n_padded) and the totals of all shards
(n_shards, 4), and replaces those of other processes in place. Returns whether the sum of all is in
slot 0 already; otherwise the engine makes the additions that are left."""


def _middle(node: Node) -> int:
    """Return where a node is divided: its left part is the largest power of two below its size."""
    begin, end = node
    return begin + (1 << (end - begin - 1).bit_length() - 1)


def subtrees_within(n_shards: int, begin: int, end: int) -> list[Node]:
    """Return the largest subtrees that have shards from `begin` to `end` (excluded) alone.

    They are sorted, and cover these shards once.
    """

    def within(node: Node) -> list[Node]:
        if node[0] >= end or node[1] <= begin:
            return []
        if begin <= node[0] and node[1] <= end:
            return [node]
        middle = _middle(node)
        return within((node[0], middle)) + within((middle, node[1]))

    return within((0, n_shards))


def additions_of(node: Node, slots: Mapping[Node, int]) -> tuple[list[tuple[int, int]], int]:
    """Return the additions that sum up a subtree, and the slot in which its sum then is.

    Parameters
    ----------
    node : (int, int)
    slots : mapping of nodes to int
        Where the sums of some of its subtrees are, which together have all of its shards.
    """
    if node in slots:
        return [], slots[node]
    middle = _middle(node)
    left, at_left = additions_of((node[0], middle), slots)
    right, at_right = additions_of((middle, node[1]), slots)
    # a + b is b + a to the last bit, so the sum may be in the lower slot of both.
    low, high = min(at_left, at_right), max(at_left, at_right)
    return [*left, *right, (low, high)], low


@dataclass(frozen=True)
class SumPlan:
    """What one process adds up, and which sums it gets from others.

    Attributes
    ----------
    n_shards : int
        Of all processes.
    first, n_own : int
        The shards of this process: `n_own` from `first` on. Their sums are in the first slots.
    own_slots : tuple of int
        The slots that hold the sums of this process's subtrees after `before`; others need them.
    slots_from : tuple of tuples of int
        For every other process, in their order, the slots of its subtrees.
    n_slots : int
    before, after : ndarray of shape (n, 2), intp
        Additions before and after the exchange; then the sum of all is in slot 0.
    """

    n_shards: int
    first: int
    n_own: int
    own_slots: tuple[int, ...]
    slots_from: tuple[tuple[int, ...], ...]
    n_slots: int
    before: Additions
    after: Additions


def plan_sum(bounds: list[int], rank: int) -> SumPlan:
    """Return what the process number `rank` adds up.

    Parameters
    ----------
    bounds : list of int
        Rising from 0 to the number of shards: process i has those from ``bounds[i]`` to
        ``bounds[i + 1]`` (excluded), at least one.
    rank : int
    """
    n_shards, first, end = bounds[-1], bounds[rank], bounds[rank + 1]
    leaves = {(shard, shard + 1): shard - first for shard in range(first, end)}
    before: list[tuple[int, int]] = []
    known: dict[Node, int] = {}
    for node in subtrees_within(n_shards, first, end):
        steps, known[node] = additions_of(node, leaves)
        before += steps
    own_slots = tuple(known.values())
    n_slots, slots_from = end - first, []
    for other in range(len(bounds) - 1):
        if other != rank:
            nodes = subtrees_within(n_shards, bounds[other], bounds[other + 1])
            slots_from.append(tuple(range(n_slots, n_slots + len(nodes))))
            known |= dict(zip(nodes, slots_from[-1], strict=True))
            n_slots += len(nodes)
    after, _ = additions_of((0, n_shards), known)
    return SumPlan(
        n_shards, first, end - first, own_slots, tuple(slots_from), n_slots,
        _as_additions(before), _as_additions(after),
    )  # fmt: skip


def _as_additions(pairs: list[tuple[int, int]]) -> Additions:
    return np.array(pairs, np.intp).reshape(-1, 2)


@dataclass(frozen=True)
class Shards:
    """The shards of a call of the engine: which rows they have, and how their sums are added.

    Attributes
    ----------
    sums : SumPlan
    lanes : ndarray of shape (n_batches, n_own, 3), intp
        Of every batch and own shard: position of its first row, number of rows, and number of the
        first row's dropout mask. A position counts the rows of the call in their order.
    batch_rows : ndarray of shape (n_batches,), intp
        Rows of every batch, of all shards.
    n_rows : int
        Rows of all shards together, for a penalty per sample.
    lane_rows : int
        Maximum rows of a shard in a batch, for any process.
    exchange : callable or None
        Gets the sums of other processes; None if all shards are own ones.
    """

    sums: SumPlan
    lanes: NDArray[np.intp]
    batch_rows: NDArray[np.intp]
    n_rows: int
    lane_rows: int
    exchange: Exchange | None = None

    def positions(self, batch: int) -> NDArray[np.intp]:
        """Return the positions of the own rows of a batch, counted from the first of the call."""
        lanes = [np.arange(begin, begin + n) for begin, n, _ in self.lanes[batch]]
        return np.concatenate(lanes).astype(np.intp)

    def check(self, n_rows: int) -> None:
        """Raise ValueError unless everything lies within a call's `n_rows` rows and the slots."""
        sums, lanes = self.sums, self.lanes
        if lanes.ndim != 3 or lanes.shape[1:] != (sums.n_own, 3) or sums.n_own < 1:
            raise ValueError(
                f"lanes must be of shape (n_batches, {sums.n_own}, 3); got {lanes.shape}"
            )
        begins, counts = lanes[:, :, 0], lanes[:, :, 1]
        if lanes.size and (
            lanes.min() < 0 or counts.max() > self.lane_rows or (begins > n_rows - counts).any()
        ):
            raise ValueError(
                f"lanes must lie within {n_rows} rows, with at most {self.lane_rows} rows each"
            )
        if not 0 <= sums.first <= sums.n_shards - sums.n_own:
            raise ValueError(
                f"first must be from 0 to {sums.n_shards - sums.n_own}; got {sums.first}"
            )
        slots = np.concatenate([sums.before, sums.after]).ravel()
        if sums.n_slots < sums.n_own or (
            slots.size and not 0 <= slots.min() <= slots.max() < sums.n_slots
        ):
            raise ValueError(f"additions must be between slots 0 to {sums.n_slots - 1}")
        if len(self.batch_rows) != len(lanes):
            raise ValueError(f"batch_rows must have {len(lanes)} numbers; got {self.batch_rows!r}")
        if self.n_rows < 1 or self.lane_rows < 1:
            raise ValueError(
                f"n_rows and lane_rows must be at least 1; got {self.n_rows}, {self.lane_rows}"
            )
