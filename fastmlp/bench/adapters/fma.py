"""Rate of independent multiply-adds: the maximum that the processor can reach.

One "epoch" is as many operations as the product of `sgemm` has, 17.2 GFLOP, on sums that stay in
registers, each thread with its share. A product cannot be faster; this bound does not depend on how
good the BLAS is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fastmlp.bench.adapters.contract import Learner
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import SIDE, seconds_of_each
from fastmlp.engine import _core

PAIRS = SIDE**3
"""Multiplications, each with its addition."""


class Contestant(Learner):
    """Multiply-adds of float32 at the best SIMD level, on all threads; ignores the job."""

    def versions(self) -> dict[str, str]:
        """Return the version of NumPy, because something is computed."""
        return {"numpy": np.__version__}

    def prepare(self, job: Job) -> None:
        """Start the threads, and ask how many numbers a round has."""
        self._pool = ThreadPoolExecutor(self.n_threads)
        per_round = _core.multiply_adds(0)
        self._shares = [-(-PAIRS // (per_round * self.n_threads))] * self.n_threads

    def train_epochs(self, n: int) -> list[float]:
        """Seconds of n times so many operations."""
        return seconds_of_each(self._compute, n)

    def _compute(self) -> None:
        list(self._pool.map(_core.multiply_adds, self._shares))

    def accuracy(self) -> None:
        """Return None, because nothing is learned."""
        return None
