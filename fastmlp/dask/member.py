"""A worker's part of a run: its shards and a trainer of its own, and the tasks that use them.

A `Member` is the result of a task, and stays on its worker as long as the client keeps the future:
Dask frees it when the run is over, or the client has gone.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.dask.collection import Part, with_parts
from fastmlp.dask.exchange import SumExchange
from fastmlp.dask.peers import PeerLostError, Peers
from fastmlp.data.reader import Format
from fastmlp.data.sharded import ShardReader
from fastmlp.data.source import Source
from fastmlp.engine import _core
from fastmlp.engine.environment import arithmetic
from fastmlp.engine.plan import PLAN_VERSION
from fastmlp.training.batches import train_batches
from fastmlp.training.epoch import N_MEASURES, Epoch
from fastmlp.training.local_steps import LocalSteps


@dataclass(frozen=True)
class Orders:
    """What all workers of a run are told.

    Attributes
    ----------
    trainer : Trainer
    source : Source
        The rows. One of a collection gets the partitions that the worker needs.
    format : Format
    window_rows : int
    local_steps : int or None
        Steps of every shard by itself between two averages.
    bounds : list of int
        Of the shards of the workers.
    token : str
        Secret of the run.
    patience : float
        Seconds of silence after which a worker is taken for dead.
    n_threads : int or None
        Threads of every worker; None for as many as Dask has given it.
    """

    trainer: Any
    source: Source
    format: Format
    window_rows: int
    local_steps: int | None
    bounds: list[int]
    token: str
    patience: float
    n_threads: int | None


@dataclass
class Piece:
    """Some batches of an epoch, as workers are told.

    Attributes
    ----------
    epoch : Epoch
        Without room for `measures`, which may be large.
    n_batches : int
        Of the epoch.
    end : int
        Batch before which to stop.
    version : int
        Number of the weights to begin with; a worker that has others needs them sent.
    """

    epoch: Epoch
    n_batches: int
    end: int
    version: int


@dataclass
class Report:
    """What a worker returns of a piece.

    Attributes
    ----------
    n_done, n_steps : int
        Batches of the epoch that are done, and those of this piece.
    diverged : bool
        Whether the cost of the next batch, or its weights, are not finite.
    digest : str
        Of weights and states: equal on all workers.
    seconds, exchange_seconds : float
        Of the piece, and of these for the exchange of sums.
    measures : ndarray of shape (4, n_steps) or None
        Of these batches; None from all workers but the first, as what follows.
    parameters, states : ndarray or None
    """

    n_done: int
    n_steps: int
    diverged: bool
    digest: str
    seconds: float
    exchange_seconds: float
    measures: NDArray[np.float64] | None = None
    parameters: Array | None = None
    states: Array | None = None


@dataclass(frozen=True)
class Lost:
    """What a worker returns instead, if it has lost another one; an error would be logged."""

    rank: int
    reason: str


@dataclass(frozen=True)
class Facts:
    """What must be equal on all workers, or their bits would differ, and a worker's address."""

    address: str
    arithmetic: str
    plan_version: int


@dataclass
class Member:
    """A worker's part of a run; see the module."""

    trainer: Any
    rank: int
    peers: Peers
    reader: ShardReader
    exchange: SumExchange
    address: str
    local: LocalSteps | None = None
    version: int = -1

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a worker's part of a run stays on its worker")

    def __del__(self) -> None:
        self.peers.close()


def enlist(orders: Orders, rank: int, numbers: Sequence[int], *parts: Part) -> Member:
    """Return the part of the worker on which this task runs.

    Parameters
    ----------
    orders : Orders
    rank : int
        Its number.
    numbers : sequence of int
        Of the partitions of a collection that it gets.
    *parts : Part
        These partitions.
    """
    from distributed import get_worker

    worker = get_worker()
    secure = worker.security
    peers = Peers(
        rank,
        orders.token,
        orders.patience,
        worker.loop.asyncio_loop,
        {
            "listen": secure.get_listen_args("worker"),
            "connect": secure.get_connection_args("worker"),
        },
    )
    exchange = SumExchange(peers, orders.bounds, rank)
    # Its own: workers may be threads of one process, and what comes in messages is read-only.
    trainer = copy.deepcopy(orders.trainer)
    reader = ShardReader(
        with_parts(orders.source, dict(zip(numbers, parts, strict=True))),
        orders.format,
        trainer.batch_size,
        orders.window_rows,
        n_shards=orders.bounds[-1],
        bounds=orders.bounds,
        rank=rank,
        exchange=exchange if exchange.others else None,
        local_steps=orders.local_steps,
    )
    engine, n_threads = trainer.objective.engine, orders.n_threads or worker.state.nthreads
    trainer.objective.engine = _core.Engine(
        engine.sizes,
        engine.functions,
        engine.loss,
        engine.dtype,
        n_threads,
        None,
        engine.network_plan.products,
    )
    address = peers.open(_without_port(worker.address)) if exchange.others else ""
    local = None
    if orders.local_steps is not None:
        local = LocalSteps(trainer, orders.local_steps, reader.sums, reader.exchange, n_threads)
    return Member(trainer, rank, peers, reader, exchange, address, local)


def _without_port(address: str) -> str:
    """Return the address of a worker with another port, which the system chooses."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:0"


def facts_of(member: Member) -> Facts:
    """Return what the client must know of a worker.

    Processors of one SIMD level compute the same bits with the package's own products and
    functions, so their names may differ; BLAS counts where it was asked for. What this leaves out
    is noticed by the digests of reports.
    """
    found = arithmetic()
    facts = {name: found["versions"][name] for name in ("fastmlp", "NumPy")}
    facts |= {"system": found["system"], "SIMD level": found["simd"]}
    if member.trainer.objective.engine.uses_blas:
        facts["BLAS"] = found["blas"]
    return Facts(member.address, str(facts), PLAN_VERSION)


def meet(member: Member, addresses: Sequence[str]) -> Lost | None:
    """Connect a worker with all others."""
    try:
        if member.exchange.others:
            _leave_slot()
            member.peers.meet(addresses)
    except PeerLostError as error:
        return Lost(error.rank, error.reason)
    return None


def _leave_slot() -> None:
    """Let the worker begin other tasks: two runs whose workers wait for each other never end."""
    from distributed import secede

    secede()


def train(member: Member, piece: Piece, weights: tuple[Array, Array] | None) -> Report | Lost:
    """Train on some batches of an epoch.

    Parameters
    ----------
    member : Member
    piece : Piece
    weights : (parameters, states) or None
        What to begin with; None for what the worker has.

    Returns
    -------
    Report or Lost
        With Lost the weights of this worker are of no use.
    """
    if member.exchange.others:
        _leave_slot()
    trainer, epoch = member.trainer, copy.deepcopy(piece.epoch)
    epoch.measures = np.zeros((N_MEASURES, piece.n_batches))
    if weights is not None:
        trainer.network.parameters[...], trainer.states[...] = weights
        member.version = piece.version
    if member.version != piece.version:  # its task ran twice, or on another process
        return Lost(member.rank, f"it has other weights than number {piece.version}")
    member.version = -1  # until all batches are done
    start, before = time.perf_counter(), member.exchange.seconds
    n_before = epoch.n_done
    try:
        is_finite = _train(member, epoch, piece.end)
    except PeerLostError as error:
        return Lost(error.rank, error.reason)
    except BaseException:
        member.peers.close()  # nobody waits for this one
        raise
    member.version = piece.version + 1
    states = trainer.states
    digest = hashlib.blake2b(trainer.network.parameters.tobytes(), digest_size=16)
    digest.update(states.tobytes())
    report = Report(
        n_done=epoch.n_done,
        n_steps=epoch.n_done - n_before,
        diverged=not is_finite,
        digest=digest.hexdigest(),
        seconds=time.perf_counter() - start,
        exchange_seconds=member.exchange.seconds - before,
    )
    if member.rank == 0:
        report.measures = epoch.measures[:, n_before : epoch.n_done]
        report.parameters, report.states = trainer.network.parameters.copy(), states.copy()
    return report


def _train(member: Member, epoch: Epoch, end: int) -> bool:
    """Train on the batches of an epoch until `end`; return whether all of it was finite."""
    trainer = member.trainer
    size = trainer.batch_size
    first, last = epoch.n_done * size, min(end * size, len(member.reader))
    with (
        trainer.objective.blas_guard(),
        closing(cast(Any, member.reader.windows(epoch.order_seed, first, last))) as windows,
    ):
        for window in windows:
            n_batches = -(-(window.begin + window.n_rows) // size)
            last_batch, n_rows = min(end, n_batches), len(member.reader)
            if member.local is not None:
                is_finite = member.local.train(window, epoch, last_batch, n_rows)
            else:
                is_finite = train_batches(trainer, window, epoch, last_batch, n_rows)
            if not is_finite:
                return False
    return True
