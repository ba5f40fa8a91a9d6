"""One contender, one job, one process: reads a request on stdin, writes a result to a file.

    python worker.py RESULT.json < request.json

The request names the contender, the job, the data file, the number of threads, the seconds to be
timed and whether to measure the accuracy. Not meant to be called by hand; see headline.py.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import machine
from adapters import Adapter, Job
from contenders import CONTENDERS
from data import load_mnist

WARM_UP_EPOCHS = 2
MIN_TIMED_EPOCHS = 2
MAX_TIMED_EPOCHS = 1000


def measure(request: dict) -> dict:
    """Train as the request says; everything learned on the way, in seconds and bytes."""
    job = Job(**request["job"])
    data = load_mnist(Path(request["data"]), job.n_rows)
    adapter = CONTENDERS[request["contender"]].create(data, request["n_threads"])
    machine.reset_peak_memory()
    start_bytes = machine.resident_bytes()
    start = perf_counter()
    adapter.prepare(job)
    prepare_seconds = perf_counter() - start
    result = train(adapter, job, request["target_seconds"], request["check"])
    return {
        "prepare_seconds": prepare_seconds,
        **result,
        "training_peak_bytes": machine.peak_resident_bytes() - start_bytes,
        "start_bytes": start_bytes,
        "data_bytes": data.n_bytes,
        "versions": adapter.versions(),
        "blas": machine.blas_libraries(),
        "machine": machine.describe(),
    }


def train(adapter: Adapter, job: Job, target_seconds: float, check: bool) -> dict:
    """Warm up, time enough epochs to fill target_seconds, and check the accuracy on the way.

    The accuracy is taken after exactly `job.check_epochs` epochs, warm-up included. If fewer are
    timed, the missing ones follow untimed. `busy_cores` is processor time over wall time.
    `unreported_seconds` is what the timed calls took beyond the epochs they reported, in total.
    """
    warm_up = adapter.train_epochs(WARM_UP_EPOCHS)
    n_timed = _epochs_to_fill(target_seconds, warm_up[-1])
    n_to_check = job.check_epochs - WARM_UP_EPOCHS
    n_first = min(n_timed, n_to_check)

    watch = _Watch(adapter)
    watch.train_epochs(n_first)
    accuracy = None
    if check:
        if n_to_check > n_first:
            adapter.train_epochs(n_to_check - n_first)
        accuracy = adapter.accuracy()
    if n_timed > n_first:
        watch.train_epochs(n_timed - n_first)
    return {
        "warm_up_seconds": warm_up,
        "epoch_seconds": watch.epoch_seconds,
        "median_seconds": median(watch.epoch_seconds),
        "unreported_seconds": watch.wall_seconds - sum(watch.epoch_seconds),
        "busy_cores": watch.processor_seconds / watch.wall_seconds,
        "accuracy": accuracy,
    }


def _epochs_to_fill(seconds: float, epoch_seconds: float) -> int:
    """Number of timed epochs, within the limits above."""
    wanted = math.ceil(seconds / max(epoch_seconds, seconds / MAX_TIMED_EPOCHS))
    return max(MIN_TIMED_EPOCHS, wanted)


class _Watch:
    """Trains and adds up what the epochs took by their own account, by the wall, by processor."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self.epoch_seconds: list[float] = []
        self.wall_seconds = 0.0
        self.processor_seconds = 0.0

    def train_epochs(self, n: int) -> None:
        wall, processor = perf_counter(), process_time()
        seconds = self._adapter.train_epochs(n)
        self.wall_seconds += perf_counter() - wall
        self.processor_seconds += process_time() - processor
        if len(seconds) != n:
            raise RuntimeError(f"train_epochs({n}) must report {n} epochs, got {len(seconds)}")
        self.epoch_seconds += seconds


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(measure(json.load(sys.stdin))))
