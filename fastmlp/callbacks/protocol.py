"""Interface of a training run for callbacks, whether of a Trainer or of a CNN in Keras."""

from __future__ import annotations

from typing import Any, Protocol


class RecordedEpochs(Protocol):
    """The part of a History that callbacks read."""

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs."""
        ...

    def last(self, name: str) -> float:
        """Value of `name` in the last epoch; for per-batch names, of the last batch."""
        ...

    def last_mean(self, name: str) -> float:
        """Mean over the last epoch of a per-batch name."""
        ...


class Training(Protocol):
    """A training run between two of its epochs.

    Attributes
    ----------
    metrics : dict of str to float
        Numbers of the last epoch by name. Callbacks may add to it; those after them see it.
    learning_rate : float
        Rate of the next epoch, before a schedule is applied; may be set.
    epochs_done : int
        Finished epochs.
    history : RecordedEpochs
        What has been recorded of them.
    can_be_saved : bool
        Whether a :class:`fastmlp.Checkpoint` can save and resume the run.
    """

    metrics: dict[str, float]
    learning_rate: float
    epochs_done: int

    @property
    def history(self) -> RecordedEpochs:
        """What has been recorded of the finished epochs."""
        ...

    @property
    def can_be_saved(self) -> bool:
        """Whether a Checkpoint can save and resume the run."""
        ...

    def copy_weights(self) -> Any:
        """Return a copy of all weights, to be given to `set_weights` later.

        Of a Trainer an ndarray of shape (n_parameters,) in the layout of ``network.parameters``.
        """
        ...

    def set_weights(self, weights: Any) -> None:
        """Go back to the weights that `copy_weights` returned."""
        ...


# The public address; within the class it would be a member of the protocol.
Training.__module__ = "fastmlp.callbacks"
