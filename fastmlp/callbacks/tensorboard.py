"""TensorBoardLog: the numbers of a training for TensorBoard."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

from fastmlp.callbacks.base import EpochCallback


class TensorBoardLog(EpochCallback):
    """Write every number of ``trainer.metrics`` after every epoch, for ``tensorboard --logdir``.

    For a `Trainer`, a `MyANN`, an estimator or a `CNN`, which also takes Keras' own callback
    ``keras.callbacks.TensorBoard``. Needs the package tensorboard, but no TensorFlow.

    Parameters
    ----------
    folder : path
        One folder per run; TensorBoard shows those below a common one side by side.

    Raises
    ------
    ImportError
        If tensorboard is missing, with the command that installs it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def settings(self) -> None:
        """It has no part in the course of the training."""

    def before_training(self, trainer: Any) -> None:
        """Open a new file."""
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ImportError(
                'TensorBoardLog needs TensorBoard: pip install "fastmlp[tensorboard]"',
                name=error.name,
            ) from error
        self._writer = EventFileWriter(str(self.folder))

    def after_epoch(self, trainer: Any) -> None:
        """Write the epoch's numbers that were measured."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in trainer.metrics.items()
            if not math.isnan(value)
        ]
        summary = Summary(value=values)
        self._writer.add_event(
            Event(wall_time=time.time(), step=trainer.epochs_done, summary=summary)
        )

    def after_training(self, trainer: Any) -> None:
        """Close the file."""
        self._writer.close()
        self._writer = None
