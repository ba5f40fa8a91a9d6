"""The names that every file of this room has, so that the others need not know which one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Order = Callable[[], NDArray[np.int64]]
"""Returns the numbers of all images in the order of the coming epoch."""

Gradient = Callable[[Images, NDArray[np.intp]], tuple[NDArray[np.float64], Images]]
"""Images (n, ...) and maps (n,) to mean activations (n,) and their gradients (n, ...)."""


class Library(Protocol):
    """A library that Keras runs on.

    Attributes
    ----------
    TITLE : str
        As it is written in texts.
    FOR_CARDS : str
        The command that installs it for graphics cards.
    TAKES_STEPS : bool
        Whether Keras can run several steps per execution on it.
    LEAST_CAPABILITY : (int, int)
        Compute capability that a card must have, as far as it is known.
    """

    TITLE: str
    FOR_CARDS: str
    TAKES_STEPS: bool
    LEAST_CAPABILITY: tuple[int, int]

    def version(self) -> str:
        """Version of the library."""

    def cards(self) -> list[str]:
        """Names of the graphics cards that it can use, in its order; "" where unknown."""

    def is_built_for_cards(self) -> bool:
        """Whether this build can use NVIDIA's cards at all."""

    def words_about_cards(self) -> str:
        """What the library itself says when it looks for cards; "" for nothing."""

    def placed(self, device: str) -> AbstractContextManager[Any]:
        """Compute and create on a device, "cpu:0" or "gpu:1", within this context."""

    def current_device(self) -> str:
        """The device on which it computes at this point: "cpu:0", "gpu:1"."""

    def threads(self) -> tuple[int, int]:
        """Threads within an operation, and operations at a time; 0 for its own choice."""

    def set_threads(self, within: int | None, between: int | None) -> None:
        """Set them; None leaves one as it is."""

    def set_growth(self, flag: bool) -> None:
        """Whether to take memory of cards as it is needed, not all at once."""

    def set_memory_limits(self, limits_mib: list[int], share: float | None) -> None:
        """Take at most this many MiB of each card, which is `share` of it where that was said."""

    def set_tf32(self, flag: bool | None) -> None:
        """Whether cards may round the factors of float32 products to 10 bits; None: its own way."""

    def set_deterministic(self, flag: bool) -> None:
        """Whether to use only algorithms that give the same bits in every run."""

    def log_placement(self, flag: bool) -> None:
        """Whether to print the device of every operation."""

    def to_numpy(self, tensor: Any) -> NDArray[Any]:
        """A tensor, or a variable of Keras, as a NumPy array."""

    def synchronize(self, model: Any) -> None:
        """Write what a running `fit` has computed into the variables of a model."""

    def feeding(
        self, model: Any, data: tuple[Images, Images], order: Order, batch_size: int, on_card: bool
    ) -> AbstractContextManager[Iterable[Any]]:
        """Batches of images and targets for ``model.fit`` within this context.

        Parameters
        ----------
        data : images (n, ...) and targets (n, ...)
        order : callable
            Called once in every epoch, when its first batch is taken.
        batch_size : int
            Images of a batch; the last one of an epoch may be shorter.
        on_card : bool
            Keep all data on the current device, and gather the batches there.
        """

    def gradient_function(self, model: Any, shape: tuple[int, int, int]) -> Gradient:
        """Mean activations of maps and their gradients, for a model from images to maps."""
