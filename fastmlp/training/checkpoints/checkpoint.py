"""Checkpoint: write a training down now and then, so that a crash or a kill loses little."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastmlp._checks import check_integer, check_seconds
from fastmlp.callbacks.base import EpochCallback
from fastmlp.files.model_file import Content
from fastmlp.training.checkpoints.folder import write_next, writing_into

if TYPE_CHECKING:
    from fastmlp.training.trainer import Trainer


class Checkpoint(EpochCallback):
    """Keep the last states of a training in files that it can be resumed from.

    Pass it among the callbacks of ``Trainer.fit`` or ``MyANN.fit``, or to `set_callbacks` of an
    estimator, and call `fit` with ``resume=folder`` to go on: the resumed training ends with the
    same weights and records as if nothing had happened, bit for bit, for any number of threads, on
    the same kind of processor with the same BLAS.

    A file holds weights, the optimizer's states, the random generator's state, the epoch and the
    batch in it, history, best weights, learning rate and what the other callbacks remember. It is
    written beside its place, synchronised with the disk and renamed; then the oldest ones go.
    One is written when it is due, at the end, and when Ctrl-C (or SystemExit) ends the training,
    with the last finished batch.

    Parameters
    ----------
    folder : str or PathLike
        Made if it is missing; for one training alone.
    every : str or int
        A time such as "30s", "5min" or "1h", also within an epoch; or a number of epochs >= 1.
        Solver "lbfgs" counts iterations for epochs. Short times cost time: every file is
        synchronised with the disk.
    keep : int >= 1
        Files that are kept.

    Attributes
    ----------
    folder, every, keep
        As given.
    last_path : Path or None
        The last file written by this object. (An estimator works with a copy of it.)

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.
    FileExistsError
        From `fit`, where the folder has the checkpoints of another training.
    BlockingIOError
        From `fit`, where another training is writing there.
    OSError
        From `fit`, where a checkpoint cannot be written; those before it are still there.

    Notes
    -----
    Of solver "lbfgs" a file holds every gradient of the search, from which a resumed search finds
    its way again; beyond 512 MB of them no more files are written, with a warning.

    What callbacks of your own remember is part of the file if they have the methods `state` and
    `restore`, see :class:`fastmlp.callbacks.EpochCallback`.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from fastmlp import Checkpoint, Network, Trainer
    >>> x, y = np.eye(4), np.eye(4)[:, :2]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trainer = Trainer(Network((4, 3, 2), random_state=0), random_state=0)
    ...     history = trainer.fit(x, y, n_epochs=5, callbacks=[Checkpoint(folder, every=2)])
    ...     other = Trainer(Network((4, 3, 2), random_state=1), random_state=1)
    ...     history = other.fit(x, y, n_epochs=9, resume=folder)
    >>> history.n_epochs
    9
    """

    def __init__(
        self, folder: str | os.PathLike[str], every: str | int = "5min", keep: int = 3
    ) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"folder must be a path; got {folder!r}")
        self.folder = Path(folder)
        self.every = every
        self.every_seconds, self.every_epochs = math.inf, 0
        if isinstance(every, str):
            self.every_seconds = check_seconds("every", every)
        else:
            self.every_epochs = check_integer("every", every, minimum=1)
        self.keep = check_integer("keep", keep, minimum=1)
        self.last_path: Path | None = None

    def before_training(self, trainer: Trainer) -> None:
        """Make sure that it is a training that can be saved."""
        from fastmlp.training.trainer import Trainer

        if not isinstance(trainer, Trainer):
            raise TypeError(
                "a Checkpoint saves trainings of a Trainer, a MyANN or an estimator; got one of a "
                f"{type(trainer).__name__}"
            )

    @contextmanager
    def opened(self, resumed_from: str | None) -> Iterator[None]:
        """Within this block the folder belongs to the training."""
        with writing_into(self.folder, resumed_from):
            self._last_time = time.monotonic()
            yield

    def seconds_left(self) -> float:
        """Until the next file is due by time; infinite where it goes by epochs."""
        return self._last_time + self.every_seconds - time.monotonic()

    def is_due(self, epochs_done: int) -> bool:
        """Whether a file is due after so many epochs."""
        if self.every_epochs:
            return epochs_done % self.every_epochs == 0
        return self.seconds_left() <= 0

    def write(self, content: Content) -> None:
        """Write the next file."""
        self.last_path = write_next(self.folder, content, self.keep)
        self._last_time = time.monotonic()

    def settings(self) -> None:
        """It has no part in the course of the training."""

    def after_epoch(self, trainer: Trainer) -> bool | None:
        """Nothing: the trainer asks `is_due` when all callbacks are done."""
        return None
