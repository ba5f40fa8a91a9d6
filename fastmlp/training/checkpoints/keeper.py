"""The keeper of a run: writes its checkpoints when they are due, and restores a saved run."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.exceptions import DataFormatError, ModelFormatError
from fastmlp.files.model_file import Content, check_content
from fastmlp.files.plain_values import encode
from fastmlp.training.checkpoints.comparison import Comparison, Partner, Remembering
from fastmlp.training.checkpoints.document import (
    Progress,
    SavedTraining,
    Snapshot,
    all_settings,
    describe_training,
)
from fastmlp.training.checkpoints.fingerprint import Fingerprint
from fastmlp.training.checkpoints.folder import write_next, writing_into
from fastmlp.training.epoch import Epoch
from fastmlp.training.protocol import NetworkTraining

SHORTEST_WAIT_SECONDS = 0.05
"""Shortest time between two looks at the clock within an epoch."""

FASTEST_GROWTH = 2
"""Batches until the next look at the clock, as a multiple of those that are done, as long as their
speed is hardly known."""

WRITE_ERRORS = (OSError, ValueError, TypeError, MemoryError)
"""Errors while a file is written, after which the run continues."""

CONTINUES = "a checkpoint could not be written, and the run continues"

RESTORE_ERRORS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
"""What `restore` of a callback may raise for a state that is none."""


class Writer:
    """Writes the files of one Checkpoint.

    A file that cannot be written is a warning, once for every cause: the run continues, and the
    next file that is due is tried again.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        # A callback may change the working directory while the run lasts.
        self.folder = Path(os.path.abspath(checkpoint.folder))
        self._last_time = time.monotonic()
        self._known_causes: set[object] = set()

    @contextmanager
    def opened(self, resumed_from: str | None) -> Iterator[None]:
        """Own the folder within this block."""
        with writing_into(self.folder, resumed_from):
            self._last_time = time.monotonic()
            yield

    def seconds_left(self) -> float:
        """Return the time until the next file is due; infinite if files are due by epochs."""
        return self._last_time + self.checkpoint.every_seconds - time.monotonic()

    def is_due(self, epochs_done: int) -> bool:
        """Return whether a file is due after so many epochs."""
        if self.checkpoint.every_epochs:
            return epochs_done % self.checkpoint.every_epochs == 0
        return self.seconds_left() <= 0

    def write(self, describe: Callable[[], Content], failure: str = CONTINUES) -> None:
        """Write the next file, or warn.

        Parameters
        ----------
        describe : callable
            Returns what it is to hold.
        failure : str
            Opens the warning.
        """
        checkpoint = self.checkpoint
        try:
            path = write_next(self.folder, describe(), checkpoint.keep)
        except WRITE_ERRORS as error:
            self._warn(error, failure)
        else:
            given = checkpoint.folder
            is_given = Path(os.path.abspath(given)) == self.folder
            checkpoint.last_path = given / path.name if is_given else path
        self._last_time = time.monotonic()

    def _warn(self, error: Exception, failure: str) -> None:
        what = error.errno if isinstance(error, OSError) else str(error)
        cause = failure, type(error), what
        if cause in self._known_causes:
            return
        self._known_causes.add(cause)
        last = self.checkpoint.last_path
        warnings.warn(
            f"{failure}: {error}; "
            + (f"the last checkpoint is {str(last)!r}" if last else "there is none"),
            stacklevel=2,
        )


class Keeper:
    """Saves a run and restores it.

    Parameters
    ----------
    training : NetworkTraining
    partners : sequence of callbacks, and of the run's recorder
        All of them, in the order in which a file has them; the Checkpoints among them are served.
    fingerprint : Fingerprint
    saved : SavedTraining or None
        The checkpoint to continue from.
    solver : {"epochs", "lbfgs"}
    n_epochs : int
        Number of epochs after which the run is over.
    n_batches : int
        Batches of an epoch; for solver "epochs".

    Attributes
    ----------
    was_ended : bool
        Whether the run had been ended for good when it was saved.

    Raises
    ------
    ResumeError
        Where `saved` is of another run.
    ModelFormatError
        Where `saved` contradicts itself.
    """

    def __init__(
        self,
        training: NetworkTraining,
        partners: Sequence[Remembering],
        fingerprint: Fingerprint,
        saved: SavedTraining | None = None,
        *,
        solver: str,
        n_epochs: int,
        n_batches: int = 0,
    ) -> None:
        self.training, self.fingerprint, self.saved = training, fingerprint, saved
        self.solver = solver
        self.was_ended = False
        self._writers = [Writer(each) for each in partners if isinstance(each, Checkpoint)]
        self._behind: list[Writer] = []
        self._partners: list[Partner] = [
            (each, type(each).__name__, each.settings())
            for each in partners
            if each.settings() is not None or type(each).state is not EpochCallback.state
        ]
        self._snapshot: Snapshot | None = None
        encode(training.rng)  # says so if it cannot be saved
        fingerprint.read_sources()
        self._settings = all_settings(training, fingerprint, n_epochs)
        self._settings["learning_rate"] = training.learning_rate
        if saved is None:
            return
        if saved.learning_rate == training.learning_rate:
            # A callback changed it in the course of the run.
            self._settings["learning_rate"] = saved.settings.get("learning_rate")
        comparison = Comparison(
            training, fingerprint, self._partners, self._settings, solver=solver, n_epochs=n_epochs
        )
        comparison.refuse_another_run(saved)
        comparison.refuse_wrong_shapes(saved, n_batches)

    def restore(self) -> Progress | None:
        """Restore trainer and callbacks; return the progress of what is under way, or None."""
        saved, trainer = self.saved, self.training
        if saved is None:
            self.take_snapshot(ended=False)
            if self._snapshot is not None:
                check_content(self._content())
            return None
        for call, name, values in self._saved_states(saved):
            try:
                call.restore(trainer, values)
            except RESTORE_ERRORS as error:
                raise ModelFormatError(
                    f"{saved.path!r}: the state of {name} cannot be restored: {error!r}"
                ) from error
        trainer.rng.bit_generator.state = saved.generator.bit_generator.state
        trainer.network.parameters[...] = saved.network.parameters
        if saved.states is not None:
            trainer.states[...] = saved.states
        trainer.n_steps, trainer.epochs_done = saved.n_steps, saved.epochs_done
        trainer.learning_rate, trainer.metrics = saved.learning_rate, saved.metrics
        self.was_ended = saved.ended
        self.take_snapshot(saved.progress, under_way=saved.under_way, ended=saved.ended)
        self._behind.clear()
        return saved.progress

    def _saved_states(
        self, saved: SavedTraining
    ) -> Iterator[tuple[Remembering, str, Mapping[str, Any]]]:
        """Yield every partner that the file has too, with its state; optional ones by name."""
        rest = list(saved.callbacks)
        for call, name, settings in self._partners:
            for i, (other, theirs, state) in enumerate(rest):
                if other == name and (theirs is None) == (settings is None):
                    del rest[i]
                    yield call, name, state
                    break

    # --- Writing

    @contextmanager
    def folders(self) -> Iterator[None]:
        """Own the folders of the checkpoints within this block."""
        with ExitStack() as folders:
            for writer in self._writers:
                folders.enter_context(writer.opened(self.saved.path if self.saved else None))
            yield

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Save the last snapshot where Ctrl-C, SystemExit or rows that cannot be read end this."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, DataFormatError, OSError):
            self._write_last()
            raise

    def take_snapshot(
        self, progress: Progress | None = None, *, under_way: bool = False, ended: bool
    ) -> None:
        """Note where the run is: nothing is half done here."""
        if not self._writers:
            return
        training = self.training
        self._snapshot = Snapshot(
            epochs_done=training.epochs_done,
            n_steps=training.n_steps,
            learning_rate=training.learning_rate,
            generator=training.rng.bit_generator.state,
            metrics=dict(training.metrics),
            under_way=under_way,
            progress=progress,
            callbacks=[(name, settings, each.state()) for each, name, settings in self._partners],
            ended=ended,
        )
        self._behind = self._writers.copy()

    @property
    def is_saving(self) -> bool:
        """Whether there are checkpoints to be written."""
        return bool(self._writers)

    def stop_saving(self) -> None:
        """Write no more files."""
        self._writers.clear()
        self._behind.clear()
        self._snapshot = None

    @property
    def seconds_left(self) -> float:
        """Time until the next file is due; infinite where none is due by time."""
        return min((writer.seconds_left() for writer in self._writers), default=np.inf)

    def batches_to_go(self, epoch: Epoch) -> int:
        """Return the batches until the next look at the clock; all where no file is due by time."""
        left, seconds = epoch.n_batches - epoch.n_done, self.seconds_left
        if seconds == np.inf:
            return left
        done, spent = epoch.n_done, epoch.seconds
        most = FASTEST_GROWTH * done
        last = self.training.last_epoch
        if last is not None:
            done, spent = done + len(last.costs), spent + last.seconds
            most = left
        if done == 0:
            return 1
        # Half the time only, because the next batches may be slower.
        wait = max(seconds / 2, SHORTEST_WAIT_SECONDS)
        return max(1, min(left, most, int(min(done / max(spent, 1e-9) * wait, left))))

    def write_if_due(self) -> None:
        """Write the files that are due within an epoch."""
        for writer in self._writers:
            if writer.seconds_left() <= 0:
                self._write(writer)

    def write_after_epoch(self) -> None:
        """Write the files that are due after an epoch and its callbacks."""
        for writer in self._writers:
            if writer.is_due(self.training.epochs_done):
                self._write(writer)

    def finish(self) -> None:
        """Write what has not been written at the end."""
        for writer in self._behind.copy():
            self._write(writer)

    def _write(self, writer: Writer, failure: str = CONTINUES) -> None:
        writer.write(self._content, failure)
        if writer in self._behind:
            self._behind.remove(writer)

    def _content(self) -> Content:
        assert self._snapshot is not None
        return describe_training(
            self.training, self.fingerprint, self._snapshot, self.solver, self._settings
        )

    def _write_last(self) -> None:
        """Before an interruption is passed on."""
        if self._snapshot is None:
            return
        for writer in self._writers:
            self._write(writer, "the interrupted run could not be saved")
