"""Run every contender in a separate process, in rounds, so that a drifting machine affects all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from fastmlp.bench.adapters.job import Job
from fastmlp.bench.contenders import Contender
from fastmlp.bench.jobs import MACHINE_JOB
from fastmlp.engine.environment import child_environment

WORKER = f"{__package__}.worker"
ASSUMED_SECONDS = 10.0
"""Assumed duration of a process whose contender has not run yet, if time is limited."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Settings of a benchmark run.

    mnist: npz file or folder of IDX files; None for random rows of the same shape.
    n_threads: processors given to each contender that does not fix its own number.
    target_seconds: timed work per process.  timeout_seconds: limit per process.
    as_found: leave variables that choose OpenBLAS's kernels as they are.
    budget_seconds: begin nothing that is expected to end later than this; None for no limit.
    """

    contenders: tuple[Contender, ...]
    jobs: tuple[Job, ...]
    mnist: Path | None
    rounds: int
    n_threads: int
    target_seconds: float
    timeout_seconds: float
    as_found: bool
    budget_seconds: float | None = None


def run(plan: Plan) -> list[Record]:
    """All rounds; one record per process, with "error" in place of numbers where one failed.

    With a budget, processes of the first round that no longer fit are left out, and later rounds
    are run whole or not at all.
    """
    records: list[Record] = []
    clock = _Clock(plan.budget_seconds)
    for index in range(plan.rounds):
        pairs = list(one_round(plan, index))
        if index > 0 and not clock.allows(pairs):
            print(f"no time left for round {index + 1} of {plan.rounds}", file=sys.stderr)
            break
        for contender, job in pairs:
            if index == 0 and not clock.allows([(contender, job)]):
                print(f"no time left for {contender.name}, {_name(job)}", file=sys.stderr)
                continue
            start = monotonic()
            record = run_one(plan, contender, job, index)
            record["process_seconds"] = monotonic() - start
            clock.note(contender, job, record["process_seconds"])
            records.append(record)
            print(_progress(record), file=sys.stderr, flush=True)
    return records


def left_out(plan: Plan, records: list[Record]) -> list[str]:
    """Describe the measurements that `run` omitted because they did not fit into the budget."""
    wanted = [(c.name, _name(job)) for c, job in one_round(plan, 0)]
    there = {(r["contender"], r["job"]["name"] if r["job"] else "machine") for r in records}
    missing = ", ".join(f"{name} in {job}" for name, job in wanted if (name, job) not in there)
    n_rounds = 1 + max((r["round"] for r in records), default=-1)
    budget = f"the budget of {plan.budget_seconds or 0:g} s was too small for"
    sentences = [f"{budget} {missing}"] if missing else []
    if n_rounds < plan.rounds:
        sentences.append(
            f"{budget} {plan.rounds} rounds: {n_rounds} were run; --budget allows more seconds"
        )
    return sentences


class _Clock:
    """Time budget: keeps the durations of processes, and predicts whether others fit."""

    def __init__(self, budget_seconds: float | None) -> None:
        self._end = None if budget_seconds is None else monotonic() + budget_seconds
        self._by_pair: dict[tuple[str, str], float] = {}
        self._by_contender: dict[str, float] = {}

    def note(self, contender: Contender, job: Job | None, seconds: float) -> None:
        """Record the duration of a process."""
        self._by_pair[contender.name, _name(job)] = seconds
        self._by_contender[contender.name] = seconds

    def allows(self, pairs: list[tuple[Contender, Job | None]]) -> bool:
        """Return whether processes fit, judging by earlier durations of the same contenders."""
        if self._end is None:
            return True
        expected = (
            self._by_pair.get((c.name, _name(job)), self._by_contender.get(c.name, ASSUMED_SECONDS))
            for c, job in pairs
        )
        return monotonic() + sum(expected) <= self._end


def one_round(plan: Plan, index: int) -> Iterator[tuple[Contender, Job | None]]:
    """Return every contender with each of its jobs; measurements of the machine have job None.

    The order of the contenders turns with the round.
    """
    yield from ((c, None) for c in plan.contenders if not c.kinds)
    for job in plan.jobs:
        able = [c for c in plan.contenders if c.does(job.kind)]
        for k in range(len(able)):
            yield able[(k + index) % len(able)], job


def run_one(plan: Plan, contender: Contender, job: Job | None, index: int) -> Record:
    """One process. Accuracies and outputs are checked in the first round only.

    Estimators have another seed in every round, and are always scored.
    """
    seeds = job is not None and job.kind == "estimator"
    asked = replace(job, seed=job.seed + index) if job and seeds else job or MACHINE_JOB
    n_threads = contender.n_threads or plan.n_threads
    request = {
        "contender": contender.name,
        "job": asdict(asked),
        "mnist": str(plan.mnist.resolve()) if plan.mnist else None,
        "n_threads": n_threads,
        "target_seconds": plan.target_seconds,
        "check": seeds or (job is not None and index == 0),
    }
    record = {
        "contender": contender.name,
        "job": asdict(job) if job else None,
        "round": index,
        "n_threads": n_threads,
    }
    environment = child_environment(n_threads, as_found=plan.as_found)
    return record | _call_worker(request, environment, plan.timeout_seconds)


def _call_worker(request: Record, environment: dict[str, str], timeout_seconds: float) -> Record:
    """Return the worker's result, or {"error": last line of its output}."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        # A process group of its own, so that its children can be ended with it.
        worker = subprocess.Popen(
            [sys.executable, "-m", WORKER, str(result)],
            cwd=Path(__file__).parents[2],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        try:
            _, said = worker.communicate(json.dumps(request), timeout_seconds)
        except subprocess.TimeoutExpired:
            return {"error": f"took longer than {timeout_seconds:g} s"}
        finally:
            _end(worker)
        if worker.returncode == 0 and result.exists():
            found: Record = json.loads(result.read_text())
            return found
        lines = said.strip().splitlines() or [f"exit status {worker.returncode}"]
        return {"error": lines[-1]}


def _end(worker: subprocess.Popen[str]) -> None:
    """Kill a worker that is still running, and its children; also after Ctrl-C."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    for pipe in (worker.stdin, worker.stdout, worker.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was not written yet
                pipe.close()


def _name(job: Job | None) -> str:
    return job.name if job else "machine"


def _progress(record: Record) -> str:
    """Return one line about a finished process."""
    name = record["job"]["name"] if record["job"] else "machine"
    seconds = record.get("median_seconds")
    outcome = record["error"] if seconds is None else f"{seconds:.3g} s"
    return f"round {record['round'] + 1}  {name:<15} {record['contender']:<18} {outcome}"
