"""The exchange of gradients in a step of a run on several workers.

Each worker has added up the subtrees of the sum that it has all leaves of (`engine/shards`). Either
it sends these to all others, which need one message; or, where there are many workers and
parameters, each worker adds up a part of the parameters for all: it gets that part of everybody's
subtrees, and sends back its sum, so that each sends and receives twice the parameters however many
there are. Both do the same additions with each number.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.dask.peers import Peers
from fastmlp.engine.shards import SumPlan, plan_sum

PARTED_BYTES, PARTED_WORKERS = 1 << 18, 3
"""From so many bytes of parameters and so many workers on, each worker adds up a part of them."""


class SumExchange:
    """Exchanges sums with the other workers; called once a step by the engine.

    Parameters
    ----------
    peers : Peers
    bounds : list of int
        Of the shards of all workers, as :func:`fastmlp.engine.shards.plan_sum` has them.
    rank : int
        Number of this worker.

    Attributes
    ----------
    seconds : float
        Time spent in calls so far, waiting for others included.
    """

    def __init__(self, peers: Peers, bounds: list[int], rank: int) -> None:
        self.peers, self.rank, self.bounds = peers, rank, bounds
        self.others = [other for other in range(len(bounds) - 1) if other != rank]
        self.plan: SumPlan = plan_sum(bounds, rank)
        self.seconds = 0.0

    def __call__(self, slots: NDArray[Any], totals: NDArray[np.float64]) -> bool:
        """Fill in the sums and totals of the others; return whether they are added up."""
        start = time.perf_counter()
        in_parts = len(self.others) + 1 >= PARTED_WORKERS and slots[0].nbytes >= PARTED_BYTES
        if in_parts:
            self._in_parts(slots, totals)
        else:
            self._whole(slots, totals)
        self.seconds += time.perf_counter() - start
        return in_parts

    def _whole(self, slots: NDArray[Any], totals: NDArray[np.float64]) -> None:
        """Get all subtrees, which the engine adds up."""
        self.peers.send(self.others, [slots[list(self.plan.own_slots)], self._own(totals).copy()])
        for other, places in zip(self.others, self.plan.slots_from, strict=True):
            frames = self._received(other)
            frames = _fill(slots, places, slice(None), frames)
            _fill_rows(totals[self.bounds[other] : self.bounds[other + 1]], frames)

    def _in_parts(self, slots: NDArray[Any], totals: NDArray[np.float64]) -> None:
        """Add up the own part of all subtrees, and get the other parts of the sum."""
        n_workers, width = len(self.bounds) - 1, slots.shape[1]
        cuts = [width * part // n_workers for part in range(n_workers + 1)]
        parts = [slice(begin, end) for begin, end in pairwise(cuts)]
        own = list(self.plan.own_slots)
        for other in self.others:
            sums = np.ascontiguousarray(slots[own, parts[other]])
            self.peers.send([other], [sums, self._own(totals).copy()])
        mine = parts[self.rank]
        for other, places in zip(self.others, self.plan.slots_from, strict=True):
            frames = _fill(slots, places, mine, self._received(other))
            _fill_rows(totals[self.bounds[other] : self.bounds[other + 1]], frames)
        for to, source in self.plan.after.tolist():
            slots[to, mine] += slots[source, mine]
        self.peers.send(self.others, [slots[0, mine].copy()])
        for other in self.others:
            _fill(slots, (0,), parts[other], self._received(other))

    def _own(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        return totals[self.plan.first : self.plan.first + self.plan.n_own]

    def _received(self, other: int) -> memoryview:
        """Return the next message of a worker as one buffer."""
        _, frames = self.peers.receive(other)
        return memoryview(frames[0] if len(frames) == 1 else b"".join(frames)).cast("B")


def _fill(
    slots: NDArray[Any], places: tuple[int, ...], part: slice, buffer: memoryview
) -> memoryview:
    """Copy the first numbers of a buffer into a part of some slots; return the rest."""
    at = 0
    for place in places:
        out = slots[place, part]
        out[...] = np.frombuffer(buffer, slots.dtype, len(out), at)
        at += out.nbytes
    return buffer[at:]


def _fill_rows(out: NDArray[np.float64], buffer: memoryview) -> None:
    """Copy the numbers of a buffer into rows."""
    out[...] = np.frombuffer(buffer, out.dtype).reshape(out.shape)
