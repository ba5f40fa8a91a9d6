"""Runs every contender in its own process, in rounds, so that a drifting machine hurts all."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters import Job
from contenders import Contender
from machine import child_environment

WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Plan:
    """What to run.

    n_threads: processors given to each contender that does not fix its own number.
    target_seconds: timed training per process.  timeout_seconds: limit per process.
    as_found: leave variables that choose OpenBLAS's kernels as they are.
    """

    contenders: tuple[Contender, ...]
    jobs: tuple[Job, ...]
    data: Path
    rounds: int
    n_threads: int
    target_seconds: float
    timeout_seconds: float
    as_found: bool


def run(plan: Plan) -> list[dict]:
    """All rounds; one record per process, with "error" in place of numbers where one failed."""
    records = []
    for index in range(plan.rounds):
        for contender, job in _one_round(plan, index):
            record = run_one(plan, contender, job, index)
            records.append(record)
            print(_progress(record), file=sys.stderr, flush=True)
    return records


def _one_round(plan: Plan, index: int) -> Iterator[tuple[Contender, Job]]:
    """Every contender once per job, machine measurements once; the order turns with the round."""
    yield from ((c, plan.jobs[0]) for c in plan.contenders if not c.trains)
    training = [c for c in plan.contenders if c.trains]
    for job in plan.jobs:
        for k in range(len(training)):
            yield training[(k + index) % len(training)], job


def run_one(plan: Plan, contender: Contender, job: Job, index: int) -> dict:
    """One process. The accuracy is measured in the first round only."""
    n_threads = contender.n_threads or plan.n_threads
    request = {
        "contender": contender.name,
        "job": asdict(job),
        "data": str(plan.data),
        "n_threads": n_threads,
        "target_seconds": plan.target_seconds,
        "check": contender.trains and index == 0,
    }
    record = {
        "contender": contender.name,
        "job": asdict(job) if contender.trains else None,
        "round": index,
        "n_threads": n_threads,
    }
    environment = child_environment(n_threads, plan.as_found)
    return record | _call_worker(request, environment, plan.timeout_seconds)


def _call_worker(request: dict, environment: dict[str, str], timeout_seconds: float) -> dict:
    """The worker's result, or {"error": last line of what it said}."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        try:
            done = subprocess.run(
                [sys.executable, str(WORKER), str(result)],
                input=json.dumps(request),
                env=environment,
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"took longer than {timeout_seconds:g} s"}
        if done.returncode == 0 and result.exists():
            return json.loads(result.read_text())
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"error": lines[-1]}


def _progress(record: dict) -> str:
    """One line about a finished process."""
    job = record["job"]
    where = f"batch {job['batch_size']:>5}" if job else "machine    "
    outcome = record.get("error") or f"{record['median_seconds']:.4f} s"
    return f"round {record['round'] + 1}  {where}  {record['contender']:<18} {outcome}"
