"""TensorBoardLog: the numbers of a run for TensorBoard."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from fastmlp._checks import check_path
from fastmlp._types import StrPath
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.protocol import Training


class TensorBoardLog(EpochCallback):
    """Write every number of ``training.metrics`` after every epoch, for ``tensorboard --logdir``.

    For a `Trainer`, a `MyANN`, an estimator or a `CNN`, which also takes Keras' own callback
    ``keras.callbacks.TensorBoard``. Needs the package tensorboard, but no TensorFlow.

    Parameters
    ----------
    folder : str, bytes or PathLike
        One folder per run; TensorBoard compares those in a common folder.

    Raises
    ------
    ImportError
        If tensorboard is missing, with the command that installs it.
    """

    __module__ = "fastmlp.callbacks"  # the public address, so that pickles survive moves

    def __init__(self, folder: StrPath) -> None:
        self.folder = Path(check_path("folder", folder))
        self._writer: Any = None

    def settings(self) -> None:
        """Return None: it has no influence on the run."""

    def before_training(self, training: Training) -> None:
        """Open a new file."""
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ImportError(
                'TensorBoardLog needs TensorBoard: pip install "fastmlp[tensorboard]"',
                name=error.name,
            ) from error
        self.folder.mkdir(parents=True, exist_ok=True)  # with an error that names it
        self._writer = EventFileWriter(str(self.folder))

    def after_epoch(self, training: Training) -> None:
        """Write the epoch's numbers that were measured."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in training.metrics.items()
            if not math.isnan(value)
        ]
        summary = Summary(value=values)
        self._writer.add_event(
            Event(wall_time=time.time(), step=training.epochs_done, summary=summary)
        )

    def after_training(self, training: Training) -> None:
        """Close the file."""
        self._writer.close()
        self._writer = None
