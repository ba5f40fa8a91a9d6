"""Helpers for several adapters: initial weights, accuracy, timing, threads for ensembles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from fastmlp._types import Array
from fastmlp.bench.adapters.job import Job

S = TypeVar("S")
T = TypeVar("T")
SIDE = 2048
"""Of the square matrices with which the machine is measured."""

SIGMOID_RANGES = (0.5, 1.0)
"""Bounds of the starting weights of a sigmoid network: first layer, other layers."""


def choose(table: Mapping[S, T], name: S, what: str) -> T:
    """Return the entry `name` of `table`; otherwise raise ValueError with the known names."""
    if name not in table:
        known = ", ".join(map(str, table))
        raise ValueError(f"this adapter has no {what} {name!r}; it knows {known}")
    return table[name]


def initial_weights(job: Job) -> list[tuple[Array, Array]]:
    """Starting weights (n_in, n_out) and biases (n_out,) of every layer, in the job's dtype.

    Uniform: for sigmoid in ±0.5 in the first layer and ±1 in the others, for relu in ±sqrt(6 /
    n_in), biases included; rounded to float32, whatever the dtype. All libraries start from the
    same numbers: three updates an epoch (batch 20000) leave differences between starts visible for
    longer than the benchmark lasts.
    """
    rng = np.random.default_rng(job.seed)
    layers = []
    for k, (n_in, n_out) in enumerate(pairwise(job.sizes)):
        bound = SIGMOID_RANGES[min(k, 1)] if job.hidden == "sigmoid" else np.sqrt(6 / n_in)
        weights = rng.uniform(-bound, bound, (n_in + 1, n_out)).astype(np.float32)
        layers.append((weights[1:].astype(job.dtype), weights[0].astype(job.dtype)))
    return layers


def expected_outputs(job: Job, x: Array) -> Array:
    """Return the correct outputs of the untrained network, (n, n_out), computed in float64."""
    functions = {
        "sigmoid": expit,
        "relu": lambda z: np.maximum(z, 0),
        "softmax": lambda z: softmax(z, axis=1),
    }
    names = [job.hidden] * (len(job.sizes) - 2) + [job.output]
    a = x.astype(np.float64)
    for name, (weights, bias) in zip(names, initial_weights(job), strict=True):
        a = functions[name](a @ weights + bias)
    return a


def share_correct(outputs: Array, labels: NDArray[Any]) -> float:
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


def on_threads(train: Callable[[Job], T], members: Sequence[Job], n_threads: int) -> list[T]:
    """`train` of every job, on n_threads Python threads, in the order of the jobs."""
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(train, members))
