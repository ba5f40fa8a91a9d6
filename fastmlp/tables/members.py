"""Training of the members of an ensemble, side by side on threads."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training
from fastmlp.callbacks.stopping import EarlyStopping
from fastmlp.engine.rows import Rows
from fastmlp.losses import Loss
from fastmlp.network.network import Network
from fastmlp.optimizers import AdamW
from fastmlp.tables.features import Features
from fastmlp.tables.plain import is_part
from fastmlp.tables.settings import MemberSettings
from fastmlp.tables.statistics import TargetStatistics
from fastmlp.training.history import HistoryRecorder
from fastmlp.training.trainer import Trainer


@is_part
@dataclass
class Member:
    """One network of an ensemble, with what it alone has learned.

    Attributes
    ----------
    network : Network
    features : Features
        What its inputs are, besides the statistics: those of the encoder, with or without bins.
    statistics : TargetStatistics
        Of the rows that it was trained on.
    history : dict of str to list of float
        ``loss`` and, with held-out rows, ``val_loss`` after every epoch.
    best_epoch : int or None
        Epoch whose weights it has, counted from 0; None for the last one.
    n_rows, n_held_out : int
        Rows it was trained on, and stopped by.
    """

    __module__ = "fastmlp.tables"  # its address in pickles, which survives moves of this file

    network: Network
    features: Features
    statistics: TargetStatistics
    history: dict[str, list[float]]
    best_epoch: int | None
    n_rows: int
    n_held_out: int


@dataclass
class Job:
    """What a member is trained from.

    Attributes
    ----------
    rows : Rows
        Inputs, targets and weights of the table's rows.
    row_index : ndarray of shape (n_training,), intp
        Those to train on.
    held_out : Rows or None
        Those to stop by.
    features : Features
    statistics : TargetStatistics
        What the inputs are.
    seeds : (int, int)
        Of the initial weights, and of shuffling and dropout.
    """

    rows: Rows
    row_index: NDArray[np.intp]
    held_out: Rows | None
    features: Features
    statistics: TargetStatistics
    seeds: tuple[int, int]


@dataclass
class Team:
    """How members are trained; the same for all of them.

    Attributes
    ----------
    settings : MemberSettings
    output : str
        Output function of the networks.
    loss : Loss
    dtype : str
    n_threads : int
    deadline : float or None
        Time of `time.monotonic` at which training ends; the first member has an epoch at least.
    callbacks : sequence of EpochCallback
        Copied for every member.
    report : callable
        Called with number and Member when one is done, in any thread.
    beside : callable
        Called with number and Job then, if there is time left.
    """

    settings: MemberSettings
    output: str
    loss: Loss
    dtype: str
    n_threads: int
    deadline: float | None = None
    callbacks: Sequence[EpochCallback] = ()
    report: Callable[[int, Member], None] = lambda number, member: None
    beside: Callable[[int, Job], None] = lambda number, job: None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def train(self, make_jobs: Sequence[Callable[[], Job]]) -> list[Member | None]:
        """Return the members of some jobs; None for those that the deadline has left no time.

        Parameters
        ----------
        make_jobs : sequence of callables
            Each makes a job, in the thread that trains it.

        Raises
        ------
        DivergenceError, KeyboardInterrupt
            As in `Trainer.fit`; the other members have ended then.
        """
        n_workers = min(self.n_threads, len(make_jobs))
        n_threads = 1 if n_workers > 1 else self.n_threads
        if n_workers == 1:
            return [self._train(i, make, n_threads) for i, make in enumerate(make_jobs)]
        with ThreadPoolExecutor(n_workers, "fastmlp-member") as pool:
            futures: list[Future[Member | None]] = [
                pool.submit(self._train, i, make, 1) for i, make in enumerate(make_jobs)
            ]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                return [future.result() for future in futures]
            except BaseException:
                self.cancelled.set()
                for future in futures:
                    future.cancel()
                raise

    def _train(self, number: int, make_job: Callable[[], Job], n_threads: int) -> Member | None:
        if self.cancelled.is_set() or (self._is_late() and number > 0):
            return None
        job = make_job()
        network, trainer = self._trainer(job, n_threads)
        curves = _Curves(self.cancelled, self.deadline)
        stop = EarlyStopping("val_cost", patience=self.settings.patience)
        trainer.train(
            job.rows,
            row_index=job.row_index,
            n_epochs=self.settings.max_epochs,
            callbacks=[
                *map(copy.copy, self.callbacks),
                *([] if job.held_out is None else [stop]),
                curves,
            ],
            recorder=HistoryRecorder(trainer.objective.evaluate, None, job.held_out),
        )
        held_out = 0 if job.held_out is None else len(job.held_out.x)
        member = Member(
            network,
            job.features,
            job.statistics,
            curves.history,
            stop.best_epoch,
            len(job.row_index),
            held_out,
        )
        self.report(number, member)
        if not (self._is_late() or self.cancelled.is_set()):
            self.beside(number, job)
        return member

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _trainer(self, job: Job, n_threads: int) -> tuple[Network, Trainer]:
        settings = self.settings
        network = Network(
            (job.rows.x.shape[1], *settings.hidden, job.rows.y.shape[1]),
            activation=settings.activation,
            output=self.output,
            dtype=self.dtype,
            initializer=settings.initializer,
            random_state=job.seeds[0],
        )
        trainer = Trainer(
            network,
            loss=self.loss,
            learning_rate=settings.learning_rate,
            schedule=settings.schedule,
            optimizer=AdamW(weight_decay=settings.weight_decay),
            reduction="mean",
            batch_size=settings.batch_size or max(len(job.row_index), 1),
            dropout=settings.dropout if settings.hidden else 0.0,
            n_threads=n_threads,
            random_state=job.seeds[1],
        )
        return network, trainer


class _Curves(EpochCallback):
    """Keeps the losses of every epoch, and ends a run whose time is over."""

    def __init__(self, cancelled: threading.Event, deadline: float | None) -> None:
        self.cancelled, self.deadline = cancelled, deadline
        self.history: dict[str, list[float]] = {}

    def after_epoch(self, training: Training) -> bool | None:
        for name, metric in {"loss": "loss", "val_loss": "val_cost"}.items():
            value = training.metrics.get(metric, np.nan)  # NaN: no validation rows
            if np.isfinite(value):
                self.history.setdefault(name, []).append(float(value))
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or self.cancelled.is_set()


def mean_outputs(members: Sequence[Member], inputs: Callable[[Member], Array]) -> Array:
    """Return the mean of the members' outputs, (n, n_outputs), in float64.

    Parameters
    ----------
    members : sequence of Member
    inputs : callable
        ``inputs(member)`` returns the inputs of its network, (n, n_inputs).
    """
    total: Any = 0.0
    for member in members:
        outputs = member.network.predict(inputs(member))
        total = np.add(total, outputs, dtype=np.float64)
    mean: Array = total / len(members)
    return mean
