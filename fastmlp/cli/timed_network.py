"""The data and the network that ``fastmlp threads`` and ``fastmlp profile`` time."""

from __future__ import annotations

import numpy as np

from fastmlp.cli.options import UsageError, load_data
from fastmlp.datasets import Dataset
from fastmlp.datasets.labelled import LabelledData, prepare
from fastmlp.datasets.scaling import Scaler

HIDDEN = (70, 30)
BATCH_SIZE = 500


def load_network(
    name: str | None, purpose: str, shape: tuple[int, ...] | None, dtype: str
) -> tuple[Dataset, LabelledData, tuple[int, ...]]:
    """Load and scale a data set, and return it with the widths of a network that fits it.

    Parameters
    ----------
    name : str or None
        The value of ``--data``.
    purpose : str
        As in :func:`fastmlp.cli.options.load_data`.
    shape : tuple of int or None
        The value of ``--shape``; None means the articles' hidden layers.
    dtype : {"float32", "float64"}
        Of the scaled rows.

    Raises
    ------
    UsageError
        If the first and the last width are not those of the data.
    """
    dataset = load_data(name, purpose)
    data = prepare(
        (dataset.X_train, dataset.y_train, dataset.X_test, dataset.y_test),
        Scaler("global"),
        np.dtype(dtype),
    )
    n_in, n_out = data.X_train.shape[1], len(data.classes)
    sizes = (n_in, *HIDDEN, n_out) if shape is None else shape
    if (sizes[0], sizes[-1]) != (n_in, n_out):
        raise UsageError(
            f"--shape must begin with {n_in} and end with {n_out} for {dataset.name}; "
            f"got {','.join(map(str, sizes))}"
        )
    return dataset, data, sizes
