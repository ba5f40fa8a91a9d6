"""Shuffled mini-batches whose order a seed decides, whatever else the process draws at random."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from fastmlp.cnn.arrays import Images


class ShuffledBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Mini-batches in a new order every epoch.

    Parameters
    ----------
    images, labels : ndarray of shape (n, ...), float32
        Not copied.
    batch_size : int >= 1
        The last batch of an epoch may be smaller.
    seed : sequence of int
        Of the orders.
    """

    def __init__(self, images: Images, labels: Images, batch_size: int, seed: Any) -> None:
        super().__init__()
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, batch: int) -> tuple[Images, Images]:
        rows = self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
        return self.images[rows], self.labels[rows]

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self._order = self._rng.permutation(len(self.images))
