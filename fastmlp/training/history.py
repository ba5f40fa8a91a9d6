"""History: what a training run recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PER_BATCH = ("costs", "errors", "reg_share")
PER_EPOCH = (
    "learning_rates",
    "batch_accuracy",
    "train_cost",
    "train_accuracy",
    "test_cost",
    "test_accuracy",
    "epoch_seconds",
)


class History(Mapping[str, NDArray[np.float64]]):
    """Finished epochs of a run, as a mapping of names to arrays.

    Per batch, shape (n_epochs, n_batches):

    - ``costs``: loss + penalty of each batch, before its update.
    - ``errors``: mean over outputs and rows of abs(y - a).
    - ``reg_share``: penalty / cost, a fraction.

    Per epoch, shape (n_epochs,):

    - ``learning_rates``: rate used in the epoch.
    - ``batch_accuracy``: fraction of rows classified correctly when their batch came up.
    - ``train_cost``, ``test_cost``: summed loss + penalty over the whole set, after the epoch.
    - ``train_accuracy``, ``test_accuracy``: fraction classified correctly, after the epoch.
    - ``epoch_seconds``: wall time of the epoch's training, evaluation not included.

    What was not measured is NaN.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {name: [] for name in PER_BATCH + PER_EPOCH}

    def append(self, **values: Any) -> None:
        """Add one epoch: an array (n_batches,) or a number for every name."""
        if set(values) != set(self._rows):
            raise TypeError(f"an epoch needs {sorted(self._rows)}; got {sorted(values)}")
        for name, value in values.items():
            self._rows[name].append(value)

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs."""
        return len(self._rows["learning_rates"])

    def first(self, name: str, n_epochs: int) -> NDArray[np.float64]:
        """The entries of a name in the first epochs."""
        rows = self._rows[name][:n_epochs]
        return np.array(rows, float) if rows or name in PER_EPOCH else np.empty((0, 0))

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[np.float64]]) -> History:
        """The history with these entries, an array for every name.

        Raises
        ------
        ValueError, KeyError
            Where a name is missing or a shape does not fit.
        """
        history = cls()
        n_epochs = len(columns["learning_rates"])
        n_batches = None
        for name in history:
            array = columns[name]
            if name in PER_BATCH and n_batches is None and array.ndim == 2:
                n_batches = array.shape[1]
            shape = (n_epochs, n_batches) if name in PER_BATCH else (n_epochs,)
            if array.shape != shape or array.dtype != np.float64:
                raise ValueError(f"{name!r} must be float64 of shape {shape}; got {array.shape}")
            history._rows[name] = list(array)
        return history

    def last(self, name: str) -> float:
        """Value of `name` in the last epoch; for per-batch names, of the last batch."""
        value = self._rows[name][-1]
        return float(value[-1]) if name in PER_BATCH else float(value)

    def last_mean(self, name: str) -> float:
        """Mean over the last epoch of a per-batch name; does not look at the other epochs."""
        return float(np.mean(self._rows[name][-1]))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.first(name, self.n_epochs)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"History({self.n_epochs} epochs: {', '.join(self._rows)})"

    def to_dict(self) -> dict[str, Any]:
        """Nested lists for JSON; what was not measured is None."""
        return {name: _without_nan(self[name].tolist()) for name in self}


def _without_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if value != value else value
