"""Batches for Keras' backends that take a PyDataset: JAX and PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from fastmlp.cnn.backends.protocol import Order


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of arrays, in an order that is asked for when the first batch of an epoch is.

    Parameters
    ----------
    data : (images, targets)
        Arrays of any library that can be indexed with numbers of rows.
    order : callable
        Returns the numbers of all rows, (n,).
    batch_size : int
    as_index : callable
        Turns a NumPy array of numbers into what indexes `data`.
    """

    def __init__(
        self, data: tuple[Any, Any], order: Order, batch_size: int, as_index: Callable[[Any], Any]
    ) -> None:
        super().__init__(workers=0)
        self._data, self._order, self._as_index = data, order, as_index
        self._size, self._rows = batch_size, order()

    def __len__(self) -> int:
        return -(-len(self._rows) // self._size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index == 0:
            self._rows = self._order()
        rows = self._as_index(self._rows[index * self._size : (index + 1) * self._size])
        x, y = self._data
        return x[rows], y[rows]


@contextmanager
def batches(
    data: tuple[Any, Any], order: Order, batch_size: int, as_index: Callable[[Any], Any]
) -> Iterator[Any]:
    """Yield `Batches`; nothing has to be tidied up."""
    yield Batches(data, order, batch_size, as_index)
