"""One contender, one job, one process: reads a request on stdin, writes a result to a file.

    python -m fastmlp.bench.worker RESULT.json < request.json

The request names the contender, the job, where MNIST is (or null), the number of threads, the
seconds to be timed and whether to check the results. Not meant to be called by hand; see runner.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from fastmlp.bench import machine, timing
from fastmlp.bench.adapters.job import Job
from fastmlp.bench.contenders import CONTENDERS
from fastmlp.bench.data import load
from fastmlp.engine.environment import loaded_libraries


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Run the requested job; return all measurements, in seconds and bytes."""
    job = Job(**request["job"] | {"sizes": tuple(request["job"]["sizes"])})
    data = load(job, Path(request["mnist"]) if request["mnist"] else None)
    adapter = CONTENDERS[request["contender"]].create(data, request["n_threads"], job.kind)
    machine.reset_peak_memory()
    start_bytes = machine.resident_bytes()
    start = perf_counter()
    adapter.prepare(job)
    prepare_seconds = perf_counter() - start
    result = timing.measure(adapter, job, data.x_test, request["target_seconds"], request["check"])
    return {
        "prepare_seconds": prepare_seconds,
        **result,
        "training_peak_bytes": machine.peak_resident_bytes() - start_bytes,
        "start_bytes": start_bytes,
        "data_bytes": data.n_bytes,
        "data_source": data.source,
        "versions": adapter.versions(),
        "blas": loaded_libraries(),
        "machine": machine.describe(),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(measure(json.load(sys.stdin))))
