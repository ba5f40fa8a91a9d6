"""Rows on a cluster, as the loop of a Trainer sees them: an epoch is trained by the workers.

History, callbacks, validation and checkpoints stay on the client, in the Trainer's own loop. After
every piece of an epoch the client has weights and optimizer states, so that a run continues from
there with whoever is left, and has the bits of one that nothing has happened to: the shards decide
the arithmetic, not who computes them.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastmlp._types import Array
from fastmlp.dask.collection import collection_in
from fastmlp.dask.crew import Crew, Workers, WorkersLostError
from fastmlp.dask.member import Orders, Piece, Report
from fastmlp.data.reader import Format
from fastmlp.data.sharded import ShardReader
from fastmlp.data.source import Source
from fastmlp.engine.rows import Inputs
from fastmlp.exceptions import ClusterError
from fastmlp.training.epoch import N_MEASURES, Epoch
from fastmlp.training.feeds import Feed

PIECE_SECONDS = 10.0
"""About how long the workers train before the client gets the weights."""

FIRST_PIECE_BATCHES = 64
"""Batches of the first piece, when it is not known how long one takes."""

MOST_LOSSES = 20
"""Times that workers may be lost in one piece of an epoch."""


class ClusterFeed(Feed):
    """Rows that the workers of a cluster train on.

    Parameters
    ----------
    client : distributed.Client
    source : Source
        A collection, or what every worker and the client can read.
    format : Format
    batch_size : int >= 1
    n_shards : int >= 1
    window_rows : int or None
        By default all rows of a collection, and of others as :class:`fastmlp.data` has it.
    patience : float
    n_threads : int or None
        Of every worker.
    local_steps : int or None
        Steps of every shard by itself between two averages.
    piece_seconds : float

    Attributes
    ----------
    n_workers : int
        Number of workers that trained last.
    reports : list of Report
        Of all pieces, from the first worker.
    """

    def __init__(
        self,
        client: Any,
        source: Source,
        format: Format,
        batch_size: int,
        *,
        n_shards: int,
        window_rows: int | None,
        patience: float,
        n_threads: int | None,
        local_steps: int | None = None,
        piece_seconds: float = PIECE_SECONDS,
    ) -> None:
        if window_rows is None and collection_in(source) is not None:
            window_rows = len(source)  # they are in memory anyhow
        self.reader = ShardReader(
            source, format, batch_size, window_rows, n_shards=n_shards, local_steps=local_steps
        )
        self.source, self.n_rows = source, len(source)
        self.settings = self.reader.settings
        self.patience, self.n_threads, self.piece_seconds = patience, n_threads, piece_seconds
        self.workers = Workers(client, patience)
        self.crew: Crew | None = None
        self.version = 0
        self.seconds_per_batch: float | None = None
        self.reports: list[Report] = []
        self._known: tuple[Array, Array] | None = None
        self.n_workers = 0

    # --- What the loop asks for

    def windows(self, epoch: Epoch, batch_size: int) -> Generator[Any]:
        """Yield all rows at once: the workers have windows of their own."""
        yield SimpleNamespace(n_rows=self.n_rows, begin=0, order=None, shards=None)

    def first_rows(self, n: int) -> Inputs:
        """Return the inputs of the first rows, at most n."""
        return self.reader.first_rows(n)

    def fault_of_loss(self, training: Any, window: Any, batch: int) -> str:
        """Return "": the rows are on the workers."""
        return ""

    def train(self, training: Any, window: Any, epoch: Epoch, last_batch: int) -> bool:
        """Let the workers train until `last_batch`, piece by piece."""
        while epoch.n_done < last_batch:
            report = self._piece(training, epoch, self._end(epoch, last_batch))
            self._take_over(training, epoch, report)
            if report.diverged:
                return False
        return True

    def close(self) -> None:
        """Let the workers go."""
        if self.crew is not None:
            self.crew.close()
        self.crew = None

    # --- Pieces

    def _end(self, epoch: Epoch, last_batch: int) -> int:
        """Return the batch at which the next piece ends: of a source in windows, at one's end."""
        n_batches = FIRST_PIECE_BATCHES
        if self.seconds_per_batch is not None:
            n_batches = max(1, int(self.piece_seconds / max(self.seconds_per_batch, 1e-9)))
        end = epoch.n_done + n_batches
        if self.reader.n_windows > 1:
            batches_of_window = self.reader.window_rows // self.reader.batch_size
            end = -(-end // batches_of_window) * batches_of_window
        return min(end, last_batch)

    def _piece(self, training: Any, epoch: Epoch, end: int) -> Report:
        """Return the report of the first worker on a piece, whoever is lost meanwhile."""
        for _ in range(MOST_LOSSES):
            try:
                if self.crew is None:
                    self.crew = Crew(self.workers, self._orders_for(training), self.reader.n_shards)
                    self._known, self.n_workers = None, len(self.crew.addresses)
                reports = self.crew.train(self._told(epoch, end), self._weights_to_send(training))
            except WorkersLostError as error:
                self.close()
                self.workers.forget(error.addresses)
                last = str(error)  # not the error, which has the crew in its frames
                continue
            except ClusterError:
                raise
            except Exception:
                self.workers.alive()  # or the cause is that the scheduler is lost
                raise
            if len({report.digest for report in reports}) > 1:
                raise ClusterError(
                    "the workers have computed different bits from the same rows; their processors "
                    "or libraries must differ"
                )
            first: Report = reports[0]
            longest = max(reports, key=lambda report: report.seconds)
            first.exchange_seconds = min(report.exchange_seconds for report in reports)
            self.seconds_per_batch = longest.seconds / max(1, first.n_steps)
            self.reports.append(first)
            return first
        raise ClusterError(f"workers were lost {MOST_LOSSES} times in a row; the last time: {last}")

    def _told(self, epoch: Epoch, end: int) -> Piece:
        told = copy.copy(epoch)
        told.measures, told.progress = np.empty((N_MEASURES, 0)), epoch.progress.copy()
        return Piece(told, epoch.n_batches, end, self.version)

    def _weights_to_send(self, training: Any) -> tuple[Array, Array] | None:
        """Return weights and states, unless the workers have them: callbacks may change them."""
        weights = training.network.parameters, training.states
        if self._known is not None and all(map(np.array_equal, self._known, weights)):
            return None
        return weights[0].copy(), weights[1].copy()

    def _take_over(self, training: Any, epoch: Epoch, report: Report) -> None:
        """Write down what the workers have done."""
        done = slice(epoch.n_done, report.n_done)
        assert report.measures is not None
        assert report.parameters is not None
        assert report.states is not None
        epoch.measures[:, done] = report.measures
        training.network.parameters[...] = report.parameters
        training.states[...] = report.states
        epoch.progress[0] = report.n_done
        training.note_steps(epoch)
        self.version += 1
        self._known = report.parameters, report.states

    def _orders_for(self, training: Any) -> Any:
        """Return a function that makes the orders for a crew."""

        def orders_for(bounds: list[int], token: str) -> Orders:
            return Orders(
                trainer=training,
                source=self.reader.source,
                format=self.reader.format,
                window_rows=self.reader.window_rows,
                local_steps=self.reader.local_steps,
                bounds=bounds,
                token=token,
                patience=self.patience,
                n_threads=self.n_threads,
            )

        return orders_for
