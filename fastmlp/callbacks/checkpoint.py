"""Checkpoint: says where, how often and how many states of a training run are kept."""

from __future__ import annotations

import math
from pathlib import Path

from fastmlp._checks import check_integer, check_path, check_seconds, shown
from fastmlp._types import StrPath
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training


class Checkpoint(EpochCallback):
    """Keep the last states of a training run in files that it can be resumed from.

    Pass it among the callbacks of ``Trainer.fit`` or ``MyANN.fit``, or to `set_callbacks` of an
    estimator, and call `fit` with ``resume=folder`` to continue: the resumed run ends with the
    same weights and records as an uninterrupted one, bit for bit, for any number of threads, on
    the same type of processor (with ``products="blas"`` or L-BFGS: and the same BLAS).

    A file holds weights, the optimizer's states, the random generator's state, the epoch and the
    batch in it, history, best weights, learning rate and the state of the other callbacks. It is
    written next to its final place, synchronized with the disk and renamed; then the oldest files
    are deleted. A file is written when it is due, at the end, and when Ctrl-C (or SystemExit) ends
    the run, with the last finished batch.

    Parameters
    ----------
    folder : str, bytes or PathLike
        Created if it is missing; for one training run alone. A relative one is that of the working
        directory when `fit` begins.
    every : str or int
        A time such as "30s", "5min" or "1h", also within an epoch; or a number of epochs >= 1.
        Solver "lbfgs" counts iterations as epochs. Short times cost time: every file is
        synchronized with the disk.
    keep : int >= 1
        Number of files to keep.

    Attributes
    ----------
    folder, every, keep
        As given.
    every_seconds : float
        Seconds between two files; infinite where they go by epochs.
    every_epochs : int
        Epochs between two files; 0 where they go by time.
    last_path : Path or None
        The last file written for this object. (An estimator works with a copy of it.)

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.
    FileExistsError
        From `fit`, where the folder has the checkpoints of another run.
    BlockingIOError
        From `fit`, where another run is writing there, with its process.
    OSError
        From `fit`, where the folder cannot be written when it begins.

    Warns
    -----
    UserWarning
        From `fit`, where a checkpoint cannot be written later, once for every reason: the run
        continues, those before it are still there, and the next one that is due is tried again.

    Notes
    -----
    With solver "lbfgs" a file holds every gradient of the search, which a resumed search replays;
    beyond 512 MB of them no more files are written, with a warning.

    Custom callbacks are part of the file if they have the methods `state` and `restore`, see
    :class:`fastmlp.callbacks.EpochCallback`.

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

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(self, folder: StrPath, every: str | int = "5min", keep: int = 3) -> None:
        self.folder = Path(check_path("folder", folder))
        self.every = every
        self.every_seconds, self.every_epochs = math.inf, 0
        if isinstance(every, str):
            self.every_seconds = _seconds(every)
        else:
            self.every_epochs = check_integer("every", every, minimum=1)
        self.keep = check_integer("keep", keep, minimum=1)
        self.last_path: Path | None = None

    def before_training(self, training: Training) -> None:
        """Make sure that the run can be saved."""
        if not training.can_be_saved:
            raise TypeError(
                "a Checkpoint saves training runs of a Trainer, a MyANN or an estimator; got one "
                f"of a {type(training).__name__}"
            )

    def settings(self) -> None:
        """Return None: it has no influence on the run."""


def _seconds(every: str) -> float:
    """Return the seconds of a time; a number, which would be seconds elsewhere, is of epochs."""
    try:
        return check_seconds("every", every)
    except TypeError:
        raise TypeError(
            "every must be a number of epochs, or a time such as '90s', '5min' or '2h'; "
            f"got {shown(every)}"
        ) from None
