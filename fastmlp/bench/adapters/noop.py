"""Contender that does nothing, to measure the overhead of the benchmark itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastmlp._types import Array
from fastmlp.bench.adapters.contract import Ensembler, Trained
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import seconds_of_each


class Contestant(Ensembler):
    """Epochs without content."""

    def versions(self) -> dict[str, str]:
        """Return None, because there is no library."""
        return {}

    def prepare(self, job: Job) -> None:
        """Allocate what `predict` hands out."""
        self._outputs = np.zeros((job.n_rows if job.kind == "predict" else 0, job.sizes[-1]))

    def train_epochs(self, n: int) -> list[float]:
        """Seconds of n empty calls."""
        return seconds_of_each(lambda: None, n)

    def accuracy(self) -> None:
        """Return None, because nothing is learned."""
        return None

    def predict(self, x: Array) -> Array:
        """Return zeros, in the same array at every call."""
        return self._outputs

    def train_ensemble(self, members: Sequence[Job]) -> Sequence[Trained]:
        """No training; one entry per job."""
        return [self] * len(members)
