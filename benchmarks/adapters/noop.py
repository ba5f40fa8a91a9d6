"""A contender that does nothing: what the benchmark itself adds to every number."""

from __future__ import annotations

from . import Adapter, Job
from ._shared import seconds_of_each


class Contestant(Adapter):
    """Epochs without content."""

    def versions(self) -> dict[str, str]:
        return {}

    def prepare(self, job: Job) -> None:
        """Nothing to build."""

    def train_epochs(self, n: int) -> list[float]:
        return seconds_of_each(lambda: None, n)

    def accuracy(self) -> None:
        return None
