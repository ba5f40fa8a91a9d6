"""Interface of a CNN for the other modules, which therefore do not import network.py."""

from __future__ import annotations

from typing import Any, Protocol

from fastmlp.callbacks.protocol import Training
from fastmlp.training.history import History


class KerasTraining(Training, Protocol):
    """A training run of a Keras model.

    Attributes
    ----------
    model : keras.Model
        Compiled, its optimizer built.
    history : History
        A Recorder appends every finished epoch.
    """

    model: Any

    @property
    def history(self) -> History:
        """The finished epochs."""
        ...
