"""The loop of a training run: for every epoch, for every batch: step, record, notify.

Checkpoints take part through a `Keeper`; a run without them has a `NothingKept`, and enters no
file of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.callbacks.base import EpochCallback, around_training, is_true
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.data.reader import Window
from fastmlp.engine.rows import Inputs
from fastmlp.exceptions import DivergenceError
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.epoch import Epoch
from fastmlp.training.feeds import Feed
from fastmlp.training.history import HistoryRecorder
from fastmlp.training.protocol import NetworkTraining

if TYPE_CHECKING:  # a run without checkpoints does not even load them
    from fastmlp.training.checkpoints.document import SavedTraining
    from fastmlp.training.checkpoints.keeper import Keeper

CHECKED_ROWS = 256
"""Number of rows whose outputs are checked after the last update of a run, at most."""

OUTPUTS_OVERFLOW = (
    "with the weights of the last update, outputs of the rows of X are no longer finite. Scale the "
    "input (to [0, 1], or to mean 0 and variance 1) or lower the learning rate"
)


class Listeners:
    """The callbacks of a run, and whether one of them has ended it.

    Attributes
    ----------
    ended : bool
        Whether a callback has ended the run.
    ended_for_good : bool
        Whether it is over, also for a `resume`.
    """

    def __init__(self, training: NetworkTraining, callbacks: Sequence[EpochCallback]) -> None:
        self.training, self.callbacks = training, callbacks
        self.ended = self.ended_for_good = False

    def around(self) -> AbstractContextManager[None]:
        """Call `before_training` of all, and at the end `after_training`."""
        return around_training(self.callbacks, self.training) if self.callbacks else nullcontext()

    def notify_epoch_begin(self) -> None:
        """Call `before_epoch` of all."""
        for callback in self.callbacks:
            callback.before_epoch(self.training)

    def notify_epoch_end(self) -> None:
        """Call `after_epoch` of all; each of them may end the run."""
        enders = [call for call in self.callbacks if is_true(call.after_epoch(self.training))]
        self.ended = bool(enders)
        self.ended_for_good = any(callback.ends_for_good for callback in enders)


class NothingKept:
    """The keeper of a run that is not saved."""

    was_ended = is_saving = False
    saved = None
    seconds_left = np.inf

    def folders(self) -> AbstractContextManager[None]:
        """Own no folder."""
        return nullcontext()

    def interruptible(self) -> AbstractContextManager[None]:
        """Save nothing."""
        return nullcontext()

    def restore(self) -> None:
        """Restore nothing."""

    def take_snapshot(self, epoch: Any = None, *, under_way: bool = False, ended: bool) -> None:
        """Note nothing."""

    def batches_to_go(self, epoch: Epoch) -> int:
        """Return all batches that are left."""
        return epoch.n_batches - epoch.n_done

    def write_if_due(self) -> None:
        """Write nothing."""

    def write_after_epoch(self) -> None:
        """Write nothing."""

    def stop_saving(self) -> None:
        """Nothing is saved."""

    def finish(self) -> None:
        """Write nothing."""


def keeper_of(
    training: NetworkTraining,
    callbacks: Sequence[EpochCallback],
    recorder: HistoryRecorder | None,
    fingerprint: Fingerprint,
    saved: SavedTraining | None,
    *,
    solver: str,
    n_epochs: int,
    n_batches: int = 0,
) -> Keeper | NothingKept:
    """Return what saves a run: nothing, without a Checkpoint and a file to continue from.

    The arguments are those of :class:`fastmlp.training.checkpoints.keeper.Keeper`.
    """
    if saved is None and not any(isinstance(call, Checkpoint) for call in callbacks):
        return NothingKept()
    from fastmlp.training.checkpoints.keeper import Keeper

    return Keeper(
        training,
        callbacks if recorder is None else [recorder, *callbacks],
        fingerprint,
        saved,
        solver=solver,
        n_epochs=n_epochs,
        n_batches=n_batches,
    )


class Loop:
    """Epochs of mini-batch gradient descent on rows that have been checked.

    Parameters
    ----------
    training : NetworkTraining
        The Trainer; its network, states and records are changed.
    feed : Feed
        The rows to train on.
    listeners : Listeners
    recorder : HistoryRecorder or None
    keeper : Keeper or NothingKept

    Attributes
    ----------
    window : Window
        The rows of `feed` that are trained on now.
    """

    window: Window

    def __init__(
        self,
        training: NetworkTraining,
        feed: Feed,
        listeners: Listeners,
        recorder: HistoryRecorder | None,
        keeper: Keeper | NothingKept,
    ) -> None:
        self.training, self.feed = training, feed
        self.listeners, self.recorder, self.keeper = listeners, recorder, keeper
        self._batches_of_fit = {
            "batch_size": training.batch_size,
            "steps_per_epoch": training.steps_per_epoch,
        }

    def run(self, last_epoch: int) -> None:
        """Train until `last_epoch` epochs are done, or a callback ends the run."""
        n_before = self.training.epochs_done
        with self._surroundings():
            epoch = self._restore()
            while not self.listeners.ended and self.training.epochs_done < last_epoch:
                epoch = epoch or self._begin_epoch()
                self._train(epoch)
                self._record(epoch)
                self._notify()
                epoch = None
            self.keeper.finish()
        if self.training.epochs_done > n_before:
            check_outputs(self.training, self.feed.first_rows(CHECKED_ROWS))

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        if self.recorder is not None:
            self.recorder.begin(self.training)
        with (
            self.training.objective.blas_guard(),
            self.listeners.around(),
            self.keeper.interruptible(),
        ):
            yield

    def _restore(self) -> Epoch | None:
        epoch = self.keeper.restore()
        self.listeners.ended = self.listeners.ended_for_good = self.keeper.was_ended
        return epoch if isinstance(epoch, Epoch) else None

    def _begin_epoch(self) -> Epoch:
        self.listeners.notify_epoch_begin()
        self._check_batches()
        epoch = self.training.draw_epoch(self.feed.n_rows)
        self.keeper.take_snapshot(epoch, under_way=True, ended=False)
        return epoch

    def _check_batches(self) -> None:
        """Raise ValueError if a callback has changed the batches of the fit.

        History and windows of a source are made for one size and number of batches.
        """
        for name, before in self._batches_of_fit.items():
            value = getattr(self.training, name)
            if value != before:
                raise ValueError(
                    f"{name} cannot change during a fit, from {before} to {value}; set it between "
                    "two fits: Trainer.fit(..., reset=False) continues a run"
                )

    def _train(self, epoch: Epoch) -> None:
        """Train on what is left of an epoch."""
        start, before = time.perf_counter(), epoch.seconds
        windows = self.feed.windows(epoch, self.training.batch_size)
        with closing(windows):  # a reader's thread ends with the epoch, however that ends
            for self.window in windows:
                is_whole = self.window.n_rows == self.feed.n_rows
                is_array = is_whole and self.window.shards is None
                self.training.order = self.window.order if is_array else None
                for last_batch in self._batches(epoch):
                    self._step(epoch, last_batch)
                    epoch.seconds = before + time.perf_counter() - start
                    self.keeper.write_if_due()
        epoch.seconds = before + time.perf_counter() - start

    def _batches(self, epoch: Epoch) -> Iterator[int]:
        """Yield the batch before which to stop next, until all batches of the window are done.

        All of them at once, unless a file may be due in between.
        """
        n_batches = -(-(self.window.begin + self.window.n_rows) // self.training.batch_size)
        end = min(n_batches, epoch.n_batches)
        while epoch.n_done < end:
            yield min(epoch.n_done + self.keeper.batches_to_go(epoch), end)

    def _step(self, epoch: Epoch, last_batch: int) -> None:
        """Update the weights by every batch of the window until `last_batch` of the epoch."""
        if not self.feed.train(self.training, self.window, epoch, last_batch):
            raise self._divergence(epoch)

    def _divergence(self, epoch: Epoch) -> DivergenceError:
        training, batch = self.training, epoch.n_done
        number = training.epochs_done
        training.reset_optimizer()  # its states may be infinite
        return DivergenceError(
            epoch=number,
            batch=batch,
            learning_rate=epoch.learning_rate,
            cause=self.feed.fault_of_loss(training, self.window, batch),
        )

    def _record(self, epoch: Epoch) -> None:
        """Count a finished epoch, and write down what it was like."""
        training = self.training
        training.note_steps(epoch)
        training.note_epoch(epoch.record(training.batch_size, self.feed.n_rows))
        if self.recorder is not None:
            self.recorder.record(training)

    def _notify(self) -> None:
        """Notify callbacks and checkpoints of the end of an epoch."""
        self.listeners.notify_epoch_end()
        self.keeper.take_snapshot(ended=self.listeners.ended_for_good)
        self.keeper.write_after_epoch()


def check_outputs(training: NetworkTraining, x: Inputs) -> None:
    """Check what only the step after the last one would notice: huge weights, infinite outputs.

    The weights are those that the run leaves, a callback's best ones included.

    Parameters
    ----------
    training : NetworkTraining
    x : ndarray of shape (n, n_features) or SparseRows
        The first rows.

    Raises
    ------
    DivergenceError
    """
    epoch = training.last_epoch
    if epoch is None or not training.objective.overflows(x):
        return
    number = training.epochs_done - 1
    training.reset_optimizer()  # its states may be infinite
    raise DivergenceError(
        epoch=number,
        batch=len(epoch.costs) - 1,
        learning_rate=epoch.learning_rate,
        cause=OUTPUTS_OVERFLOW,
    )
