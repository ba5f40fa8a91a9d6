"""Data of a MyANN that are sources, read window by window."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.data.labelled import LabelledSources, prepare_sources
from fastmlp.data.source import Source
from fastmlp.datasets.labelled import LabelledData, without_rows
from fastmlp.datasets.scaling import Scaler

Sources = Source | tuple[Source, Source]
"""Training rows, or training and test rows."""


def are_sources(my_data_set: Any) -> bool:
    """Return whether it is a source or a pair of sources."""
    parts = my_data_set if isinstance(my_data_set, tuple) else (my_data_set,)
    return len(parts) in (1, 2) and all(isinstance(part, Source) for part in parts)


def prepare_data(my_data_set: Any, scaler: Scaler) -> LabelledSources:
    """Find the classes, and fit `scaler` in place, as :func:`prepare_sources`."""
    parts = my_data_set if isinstance(my_data_set, tuple) else (my_data_set,)
    test = parts[1] if len(parts) == 2 else None
    return prepare_sources(parts[0], test, scaler, argument="my_data_set")


def without_sources(data: LabelledSources, dtype: np.dtype[Any]) -> LabelledData:
    """Return shapes and classes of the data, which are not in memory."""
    n_test = 0 if data.test is None else len(data.test)
    where = f"sources of {len(data.train)} training and {n_test} test rows"
    return without_rows(data.train.n_features, data.classes, dtype, where)
