"""Rate of a large square matrix product: the maximum that the machine's BLAS can reach.

One "epoch" is C = A·B with 2048 x 2048 float32 matrices, 17.2 GFLOP, through SciPy's BLAS. The
matrices are in Fortran order, so nothing is copied, and C is overwritten.
"""

from __future__ import annotations

import numpy as np
import scipy
from scipy.linalg.blas import sgemm

from fastmlp.bench.adapters.contract import Learner
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import SIDE, seconds_of_each


class Contestant(Learner):
    """Square sgemm with all threads; only the seed of the job is used."""

    def versions(self) -> dict[str, str]:
        """Return the version of SciPy, which provides the BLAS."""
        return {"scipy": scipy.__version__, "numpy": np.__version__}

    def prepare(self, job: Job) -> None:
        """Draw A and B, allocate C."""
        rng = np.random.default_rng(job.seed)
        self._a, self._b = (
            np.asfortranarray(rng.uniform(-1, 1, (SIDE, SIDE)), dtype=np.float32) for _ in range(2)
        )
        self._c = np.zeros_like(self._a)

    def train_epochs(self, n: int) -> list[float]:
        """Seconds of n products."""
        return seconds_of_each(self._multiply, n)

    def _multiply(self) -> None:
        sgemm(1.0, self._a, self._b, c=self._c, overwrite_c=True)

    def accuracy(self) -> None:
        """Return None, because nothing is learned."""
        return None
