"""Timing of the four kinds of jobs, in the worker."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from fastmlp._types import Array
from fastmlp.bench import machine
from fastmlp.bench.adapters.contract import Adapter, Ensembler, Fitter, Learner, Predictor
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.adapters.shared import expected_outputs

WARM_UP_EPOCHS = 2
MIN_TIMED_EPOCHS = 5
MAX_TIMED_EPOCHS = 1000
BLOCKS = 20
MIN_ONE_ROW_CALLS = 2000
MAX_CALLS_PER_BLOCK = 20_000
MAX_ENSEMBLES = 5
MAX_FITS = 20

Result = dict[str, Any]


def measure(adapter: Adapter, job: Job, x: Array, target_seconds: float, check: bool) -> Result:
    """Time a job of any kind for about target_seconds; x (n, n_in) is the input of predictions.

    The result has `seconds`, one number per epoch, block of calls or ensemble; their
    `median_seconds`; `busy_cores`, processor time over wall time; `accuracy` and `largest_error`,
    both None unless `check` is set and the kind has them.
    """
    if job.kind == "estimator" and isinstance(adapter, Fitter):
        return _fits(adapter, job, target_seconds, check)
    if job.kind == "train" and isinstance(adapter, Learner):
        return _train(adapter, job, target_seconds, check)
    if job.kind == "predict" and isinstance(adapter, Predictor):
        return _predict(adapter, job, x, target_seconds, check)
    if job.kind == "ensemble" and isinstance(adapter, Ensembler):
        return _ensemble(adapter, job, target_seconds, check)
    raise ValueError(f"{adapter.__module__.rpartition('.')[2]} cannot do jobs of kind {job.kind!r}")


def _train(adapter: Learner, job: Job, target_seconds: float, check: bool) -> Result:
    """Warm up, time enough epochs to fill target_seconds, and check the accuracy on the way.

    The accuracy is taken after exactly `job.check_epochs` epochs, warm-up included. If fewer are
    timed, the missing ones follow untimed. `unreported_seconds` is what the timed calls took
    beyond the epochs they reported, in total.
    """
    warm_up = adapter.train_epochs(WARM_UP_EPOCHS)
    n_timed = _epochs_to_fill(target_seconds, warm_up[-1])
    n_to_check = job.check_epochs - WARM_UP_EPOCHS
    n_first = min(n_timed, n_to_check)

    watch, seconds = _Watch(), []
    seconds += watch.time(lambda: _epochs(adapter, n_first))
    accuracy = None
    if check:
        if n_to_check > n_first:
            adapter.train_epochs(n_to_check - n_first)
        accuracy = adapter.accuracy()
    if n_timed > n_first:
        seconds += watch.time(lambda: _epochs(adapter, n_timed - n_first))
    return {
        "warm_up_seconds": warm_up,
        "unreported_seconds": watch.wall_seconds - sum(seconds),
        **_result(seconds, watch, accuracy=accuracy),
    }


def _epochs(adapter: Learner, n: int) -> list[float]:
    """Return the seconds of n more epochs, one number per epoch."""
    seconds = adapter.train_epochs(n)
    if len(seconds) != n:
        raise RuntimeError(f"train_epochs({n}) must report {n} epochs, got {len(seconds)}")
    return seconds


def _epochs_to_fill(seconds: float, epoch_seconds: float) -> int:
    """Number of timed epochs, within the limits above."""
    wanted = math.ceil(seconds / max(epoch_seconds, seconds / MAX_TIMED_EPOCHS))
    return max(MIN_TIMED_EPOCHS, wanted)


def _predict(adapter: Predictor, job: Job, x: Array, target_seconds: float, check: bool) -> Result:
    """Compare the outputs with plain NumPy's, then time calls in blocks.

    One call may take microseconds, so `seconds` has the mean of every block. The calls of one row
    add up to at least MIN_ONE_ROW_CALLS.
    """
    outputs = adapter.predict(x)
    error = float(np.abs(outputs - expected_outputs(job, x)).max()) if check else None
    n_calls = _calls_per_block(adapter, x, target_seconds)
    watch = _Watch()

    def block() -> float:
        start = perf_counter()
        for _ in range(n_calls):
            adapter.predict(x)
        return (perf_counter() - start) / n_calls

    seconds = watch.time(lambda: [block() for _ in range(BLOCKS)])
    return {"n_calls": n_calls * BLOCKS, **_result(seconds, watch, largest_error=error)}


def _calls_per_block(adapter: Predictor, x: Array, target_seconds: float) -> int:
    """Return the calls per block so that BLOCKS blocks fill target_seconds, after a warm-up."""
    n_calls, start = 0, perf_counter()
    while n_calls < 2 or perf_counter() - start < target_seconds / 10:
        adapter.predict(x)
        n_calls += 1
    call_seconds = (perf_counter() - start) / n_calls
    least = MIN_ONE_ROW_CALLS // BLOCKS if len(x) == 1 else 1
    wanted = math.ceil(target_seconds / BLOCKS / call_seconds)
    return min(max(wanted, least), MAX_CALLS_PER_BLOCK)


def _ensemble(adapter: Ensembler, job: Job, target_seconds: float, check: bool) -> Result:
    """Train all members repeatedly from scratch; the accuracy is the members' mean."""
    members = job.members()
    watch = _Watch()
    start = perf_counter()
    trained = adapter.train_ensemble(members)
    warm_up = perf_counter() - start
    accuracy = None
    if check:
        found = [a for a in (member.accuracy() for member in trained) if a is not None]
        accuracy = sum(found) / len(found) if found else None
    n = min(math.ceil(target_seconds / max(warm_up, 1e-9)), MAX_ENSEMBLES)

    def once() -> float:
        start = perf_counter()
        adapter.train_ensemble(members)
        return perf_counter() - start

    seconds = watch.time(lambda: [once() for _ in range(n)])
    return {"warm_up_seconds": [warm_up], **_result(seconds, watch, accuracy=accuracy)}


def _fits(adapter: Fitter, job: Job, target_seconds: float, check: bool) -> Result:
    """Fit the same estimator repeatedly, after a fit of one epoch that is not timed."""
    start = perf_counter()
    adapter.fit(1)
    warm_up = perf_counter() - start
    epochs: list[int] = []

    def once() -> list[float]:
        start = perf_counter()
        epochs.append(adapter.fit(job.check_epochs))
        return [perf_counter() - start]

    watch = _Watch()
    seconds = watch.time(once)
    for _ in range(min(math.ceil(target_seconds / seconds[0]), MAX_FITS) - 1):
        seconds += watch.time(once)
    return {
        "warm_up_seconds": [warm_up],
        "n_epochs": epochs[-1],
        **_result(seconds, watch, accuracy=adapter.accuracy() if check else None),
    }


def _result(seconds: list[float], watch: _Watch, **checks: float | None) -> Result:
    """Return the entries of the result that all kinds of jobs share."""
    return {
        "seconds": seconds,
        "median_seconds": median(seconds),
        "busy_cores": watch.busy_cores,
        "accuracy": None,
        "largest_error": None,
        **checks,
    }


class _Watch:
    """Adds up wall time and processor time of what is timed."""

    def __init__(self) -> None:
        self.wall_seconds = 0.0
        self.processor_seconds = 0.0

    @property
    def busy_cores(self) -> float:
        """Processor time over wall time."""
        return self.processor_seconds / self.wall_seconds

    def time(self, work: Callable[[], list[float]]) -> list[float]:
        """Call `work`, add its time, and return its result."""
        wall, processor = perf_counter(), machine.processor_seconds()
        result = work()
        self.processor_seconds += machine.processor_seconds() - processor
        self.wall_seconds += perf_counter() - wall
        return result
