"""A cluster of processes on this machine, for all tests of the room."""

from __future__ import annotations

import pytest
from dask_jobs import local_cluster

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="session")
def client():
    """Client of a cluster of three workers, which tests leave as they found it."""
    with local_cluster(3) as cluster, distributed.Client(cluster) as found:
        yield found


@pytest.fixture
def use_workers(monkeypatch):
    """Function that has runs take so many workers at most."""
    from fastmlp.dask.crew import Workers

    every = Workers.wait_for_one

    def use(n):
        monkeypatch.setattr(Workers, "wait_for_one", lambda self, most: every(self, min(most, n)))

    return use
