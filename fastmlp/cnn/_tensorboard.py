"""TensorBoardLog: the numbers of an MLP's training for TensorBoard."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from fastmlp.callbacks import EpochCallback


class TensorBoardLog(EpochCallback):
    """Write every number of ``trainer.metrics`` after every epoch, for ``tensorboard --logdir``.

    For MLPs; a CNN takes ``keras.callbacks.TensorBoard``. Needs TensorFlow.

    Parameters
    ----------
    folder : path
        One folder per run; TensorBoard shows those below a common one side by side.

    Raises
    ------
    ImportError
        If TensorFlow is missing, with the command that installs it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def before_training(self, trainer: Any) -> None:
        """Open a new file."""
        from fastmlp.cnn._tensorflow import import_tensorflow

        self._tf = import_tensorflow()
        self._writer = self._tf.summary.create_file_writer(str(self.folder))

    def after_epoch(self, trainer: Any) -> None:
        """Write the epoch's numbers that were measured."""
        with self._writer.as_default():
            for name, value in trainer.metrics.items():
                if not math.isnan(float(value)):
                    self._tf.summary.scalar(name, float(value), step=trainer.epochs_done)

    def after_training(self, trainer: Any) -> None:
        """Close the file."""
        self._writer.close()
        self._writer = None
