"""What several adapters need: starting weights, accuracy, a stopwatch for loops over batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from time import perf_counter
from typing import TypeVar

import numpy as np

from . import Job

T = TypeVar("T")
FIRST_LAYER_RANGE = 0.5
OTHER_LAYERS_RANGE = 1.0


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of `table` called `name`; ValueError says what is known otherwise."""
    if name not in table:
        raise ValueError(f"this adapter has no {what} {name!r}; it knows {', '.join(table)}")
    return table[name]


def initial_weights(job: Job) -> list[tuple[np.ndarray, np.ndarray]]:
    """Starting weights (n_in, n_out) and biases (n_out,) of every layer, float32.

    Uniform in ±0.5 for the first layer and ±1 for the others. All libraries start from the same
    numbers: three updates an epoch (batch 20000) leave differences between starts visible for
    longer than the benchmark lasts.
    """
    rng = np.random.default_rng(job.seed)
    layers = []
    for k, (n_in, n_out) in enumerate(pairwise(job.sizes)):
        bound = FIRST_LAYER_RANGE if k == 0 else OTHER_LAYERS_RANGE
        weights = rng.uniform(-bound, bound, (n_in + 1, n_out)).astype(np.float32)
        layers.append((weights[1:].copy(), weights[0].copy()))
    return layers


def share_correct(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest output is the label; outputs (m, n_out), labels (m,)."""
    return float(np.mean(np.argmax(outputs, axis=1) == labels))


def seconds_of_each(epoch: Callable[[], None], n: int) -> list[float]:
    """Call `epoch` n times and return the wall-clock seconds of each call."""
    seconds = []
    for _ in range(n):
        start = perf_counter()
        epoch()
        seconds.append(perf_counter() - start)
    return seconds
