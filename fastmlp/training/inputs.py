"""Checks of the data that a Trainer is given: arrays, sparse matrices, sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from fastmlp._checks import (
    as_numeric_array,
    check_matrix,
    check_pair_of_arrays,
    check_same_length,
    check_sample_weight,
    check_targets,
)
from fastmlp._types import Array
from fastmlp.data.reader import Format, WindowReader
from fastmlp.data.sharded import ShardReader
from fastmlp.data.source import Source
from fastmlp.engine.rows import Inputs, Rows, check_inputs
from fastmlp.losses import LOSS_FACTS
from fastmlp.network.network import Network
from fastmlp.training.checkpoints.fingerprint import DATA_NAMES
from fastmlp.training.feeds import Feed

VALIDATION_NAMES = ("X_val", "Y_val", "sample_weight_val")
"""Names of the arrays of the validation data in error messages."""


@dataclass(frozen=True)
class DataCheck:
    """Checks data for a network and a loss function.

    Attributes
    ----------
    network : Network
    loss : str
        Name of the loss function.
    batch_size : int >= 1
    window_rows : int >= 1 or None
        Rows of a window of a source; None for the default of WindowReader.
    n_shards : int >= 1 or None
        Number of shards of a source to train on; None for a run without.
    local_steps : int >= 1 or None
        Steps of every shard by itself; None for steps of all together.
    """

    network: Network
    loss: str
    batch_size: int
    window_rows: int | None = None
    n_shards: int | None = None
    local_steps: int | None = None

    def training(self, X: Any, Y: Any, sample_weight: Any) -> Rows | WindowReader | Feed:
        """Return the rows to train on.

        Raises
        ------
        ValueError, TypeError
            Naming the argument.
        """
        if isinstance(X, Feed):
            return X
        if isinstance(X, Source):
            for name, value in {"Y": Y, "sample_weight": sample_weight}.items():
                if value is not None:
                    raise ValueError(f"{name} must be None, because X is a source, which has it")
            return self.reader("X", X, self.n_shards)
        for name in ("window_rows", "n_shards"):
            if getattr(self, name) is None:
                continue
            raise ValueError(
                f"{name} is for sources; for arrays, X must be a fastmlp.data.ArraySource(X, Y)"
            )
        x, y = self.arrays("X", X, "Y", Y)
        return Rows(x, y, check_sample_weight("sample_weight", sample_weight, x.dtype, len(x)))

    def validation(self, data: Any) -> Rows | WindowReader | None:
        """Return the rows of `validation_data`, a pair of arrays or a source; None for None."""
        if data is None:
            return None
        if isinstance(data, Source):
            return self.reader("validation_data", data)
        x, y = check_pair_of_arrays("validation_data", data)
        return Rows(*self.arrays("validation_data[0]", x, "validation_data[1]", y))

    def reader(self, name: str, source: Source, n_shards: int | None = None) -> WindowReader:
        """Return a reader of a source, whose rows are checked when they are read."""
        sizes, dtype = self.network.sizes, self.network.dtype
        wanted = Format(dtype, sizes[0], sizes[-1], self.loss, LOSS_FACTS[self.loss].targets)
        wanted.check(name, source)
        if n_shards is None:
            return WindowReader(source, wanted, self.batch_size, self.window_rows)
        return ShardReader(
            source,
            wanted,
            self.batch_size,
            self.window_rows,
            n_shards=n_shards,
            local_steps=self.local_steps,
        )

    def arrays(self, x_name: str, X: Any, y_name: str, Y: ArrayLike) -> tuple[Inputs, Array]:
        """Return inputs and targets as checked arrays of the network's dtype."""
        sizes, dtype = self.network.sizes, self.network.dtype
        x = check_inputs(x_name, X, dtype, n_columns=sizes[0])
        target = as_numeric_array(y_name, Y)
        if target.ndim == 1:
            raise ValueError(
                f"{y_name} must have 2 dimensions (rows, columns); got shape {target.shape}. "
                + _advice(y_name, sizes[-1])
            )
        y = check_matrix(y_name, target, dtype, n_columns=sizes[-1])
        check_same_length(x_name, len(x), y_name, len(y))
        check_targets(y_name, y, self.loss, LOSS_FACTS[self.loss].targets)
        return x, y


def without_weights(rows: Rows | WindowReader) -> Rows | WindowReader:
    """Return the rows as they are measured after an epoch."""
    if isinstance(rows, WindowReader):
        return rows.without_weights()
    return rows._replace(weights=None)


def described(
    rows: Rows | WindowReader | Feed | None, names: tuple[str, str, str] = DATA_NAMES
) -> dict[str, Any]:
    """Return the data that a checkpoint compares, by name; None for what is not there."""
    if isinstance(rows, Rows):
        return dict(zip(names, rows, strict=True))
    return dict.fromkeys(names) | {names[0]: None if rows is None else rows.source}


def _advice(name: str, n_outputs: int) -> str:
    """Say how one-dimensional targets become columns."""
    if n_outputs == 1:
        return f"The network has one output: pass np.reshape({name}, (-1, 1))"
    return (
        f"For labels 0 to {n_outputs - 1}, np.eye({n_outputs})[{name}] has one column per class "
        "(one-hot)"
    )
