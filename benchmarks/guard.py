"""A guard against slowdowns that does not depend on absolute time.

    python benchmarks/guard.py            compare with benchmarks/guard.json
    python benchmarks/guard.py --record   write what is measured now into it

With valgrind it counts the instructions of a training step, single-threaded, with AVX2 kernels:
the same number on every run and nearly every machine, about a minute. Without valgrind it takes
the time of a step over that of the NumPy reference, in one process, in turns.

What it does not show: threads, caches and memory, AVX-512 kernels, and everything around the steps.

Exit status: 0 nothing slower, 1 a job is slower or not measured any more, 2 no comparison is
possible.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NoReturn

import numpy as np

import fastmlp
from fastmlp.engine import _core
from fastmlp.engine.blas import find_blas
from fastmlp.engine.environment import child_environment, processor_name

FINE, SLOWER, NO_COMPARISON = 0, 1, 2
RECORD = Path(__file__).with_name("guard.json")
TOLERANCE = {"instructions": 0.03, "ratio": 0.25}
"""Fraction above the recorded number that is still no slowdown."""

UNITS = {"instructions": "instructions per step", "ratio": "of the NumPy reference's time"}
FORMATS = {"instructions": ",.0f", "ratio": ".3f"}

ROUNDS = 15
"""Turns of both engines in the ratio's process; the median counts."""

COUNTED = {"OPENBLAS_CORETYPE": "Haswell", "FASTMLP_SIMD": "avx2", "PYTHONHASHSEED": "0"}
"""Fixes the kernels of the counted process: valgrind knows AVX2 but not AVX-512."""

MARK = "getppid"
"""A function of libc, here a bookmark: callgrind writes its counters down before every call."""


@dataclass(frozen=True)
class Job:
    """What to train, in float32, with the loss that belongs to sigmoid outputs.

    n_steps: batches of the shorter of two counted trainings; the longer one has twice as many.
    """

    sizes: tuple[int, ...]
    activation: str
    batch_size: int
    n_steps: int
    optimizer: str = "sgd"

    @property
    def name(self) -> str:
        """For example "784-70-30-10 sigmoid, batch 500"."""
        rule = "" if self.optimizer == "sgd" else f" {self.optimizer}"
        return f"{'-'.join(map(str, self.sizes))} {self.activation}{rule}, batch {self.batch_size}"


JOBS = (
    Job((784, 70, 30, 10), "sigmoid", batch_size=500, n_steps=2),
    Job((784, 70, 30, 10), "sigmoid", batch_size=32, n_steps=16),
    Job((20, 64, 64, 3), "relu", batch_size=256, n_steps=8),
    Job((784, 100, 10), "relu", batch_size=200, n_steps=3, optimizer="adam"),
    Job((784, 512, 10), "relu", batch_size=128, n_steps=1),
)


class GuardError(Exception):
    """No comparison is possible; the message is a sentence for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, then record or compare."""
    try:
        options = _options(arguments)
        if options.child:
            return _child(options.child)
        methods = [options.method] if options.method else available_methods()
        if options.record:
            return _record({method: measure(method) for method in methods})
        recorded = _read_record(methods[0])
        measured = measure(methods[0])
        check_same_conditions(recorded["with"], measured["with"])
    except GuardError as error:
        print(f"guard.py: error: {error}", file=sys.stderr)
        return NO_COMPARISON
    return _judge(methods[0], recorded["jobs"], measured["jobs"])


def available_methods() -> list[str]:
    """Ways to measure on this computer, the better one first."""
    return [*(["instructions"] if shutil.which("valgrind") else []), "ratio"]


def measure(method: str) -> dict:
    """{"with": versions and kernels, "jobs": a number by name}, from a process of its own."""
    return count_instructions() if method == "instructions" else measure_ratios()


def check_same_conditions(recorded: Mapping[str, str], measured: Mapping[str, str]) -> None:
    """Another compiler or BLAS changes the numbers without any fault of the code."""
    for name in {**recorded, **measured}:
        if recorded.get(name) != measured.get(name):
            raise GuardError(
                f"{RECORD.name} was recorded with {name} {recorded.get(name)}, here it is "
                f"{measured.get(name)}: go back to the code to compare with, --record it here, "
                "and come again"
            )


def compare(
    method: str, recorded: Mapping[str, float], measured: Mapping[str, float]
) -> tuple[list[str], list[str]]:
    """Sentences about jobs that are slower or gone, and about those that should be recorded anew.

    recorded, measured: instructions per step, or ratios to the reference, by job.
    """
    bad = [
        f"gone: {name} has a recorded number and is not measured; --record forgets it"
        for name in recorded
        if name not in measured
    ]
    stale = []
    for name, now in measured.items():
        if name not in recorded:
            stale.append(f"{name} has no recorded number")
            continue
        change = now / recorded[name] - 1
        sentence = (
            f"{name} takes {now:{FORMATS[method]}} {UNITS[method]}, "
            f"{abs(change):.1%} {'more' if change > 0 else 'less'} than recorded"
        )
        if change > TOLERANCE[method]:
            bad.append(f"slower: {sentence}; {TOLERANCE[method]:.0%} are tolerated")
        elif change < -TOLERANCE[method]:
            stale.append(f"{sentence}: --record keeps it so")
    return bad, stale


def _judge(method: str, recorded: Mapping[str, float], measured: Mapping[str, float]) -> int:
    names = dict.fromkeys((*recorded, *measured))
    width = max(map(len, names))
    for name in names:
        before, now = (
            format(numbers[name], FORMATS[method]) if name in numbers else "-"
            for numbers in (recorded, measured)
        )
        print(f"{name:<{width}}{before:>14}{now:>14} {UNITS[method]}")
    bad, stale = compare(method, recorded, measured)
    for sentence in stale:
        print(f"note: {sentence}")
    for sentence in bad:
        print(f"guard.py: {sentence}", file=sys.stderr)
    return SLOWER if bad else FINE


def count_instructions() -> dict:
    """Instructions per training step of every job, from one process under callgrind.

    The process marks the beginning and the end of two trainings of each job, of n and of 2n steps;
    the difference has nothing in it but n steps.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "-q",
            "--tool=callgrind",
            f"--dump-before={MARK}",
            f"--callgrind-out-file={folder}/counts",
        ]
        answer = _call_child("instructions", COUNTED, command)
        counts = read_counts(Path(folder))
    if len(counts) != len(answer["marks"]):
        raise GuardError(f"callgrind wrote {len(counts)} counts for {len(answer['marks'])} marks")
    return {"with": answer["with"], "jobs": per_step(answer["marks"], counts)}


def measure_ratios() -> dict:
    """Time of a step over the NumPy reference's, one thread each, by job."""
    return _call_child("ratio", {})


def read_counts(folder: Path) -> list[int]:
    """Instructions before each mark, since the mark before it, in the order of the marks.

    callgrind writes counts.1, counts.2, …, and in the end counts, with what follows the last mark.
    """
    files = sorted(folder.glob("counts.*"), key=lambda path: int(path.suffix[1:]))
    texts = [path.read_text() for path in files]
    return [
        int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])
        for text in texts
        if f"Trigger: --dump-before={MARK}" in text
    ]


def per_step(marks: Sequence[Sequence], counts: Sequence[int]) -> dict[str, float]:
    """Instructions per step by job.

    marks: what lies before each mark: (job, number of steps), or ("", 0) for what is not counted.
    counts: instructions before each mark.
    """
    totals: dict[str, dict[int, int]] = {}
    for (job, n_steps), count in zip(marks, counts, strict=True):
        if job:
            totals.setdefault(job, {})[n_steps] = count
    numbers = {}
    for job, by_steps in totals.items():
        few, many = sorted(by_steps)
        numbers[job] = round((by_steps[many] - by_steps[few]) / (many - few))
    return numbers


def _call_child(method: str, settings: Mapping[str, str], command: Sequence[str] = ()) -> dict:
    """What this file answers in a process of its own, on one thread, with these variables set.

    OpenBLAS chooses its kernels itself unless the settings choose them.
    """
    done = subprocess.run(
        [*command, sys.executable, str(Path(__file__)), "--child", method],
        env=child_environment(1, as_found=False) | settings,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise GuardError(f"the measuring process failed: {said[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _child(method: str) -> int:
    """The child's side."""
    print(json.dumps(_marked_training() if method == "instructions" else time_ratios()))
    return FINE


def _marked_training() -> dict:
    """Train every job for n and for 2n steps between marks; tell what lies before each mark."""
    marks: list[tuple[str, int]] = []

    def mark(job: str, n_steps: int) -> None:
        os.getppid()
        marks.append((job, n_steps))

    for job in JOBS:
        train = prepare(job, "native")
        train(1)  # buffers are allocated and first used
        for n_steps in (job.n_steps, 2 * job.n_steps):
            mark("", 0)
            train(n_steps)
            mark(job.name, n_steps)
    return {"with": conditions("instructions"), "marks": marks}


def prepare(job: Job, engine: str) -> Callable[[int], float]:
    """A function that trains a network for a number of steps and returns the seconds of all.

    Each call is one epoch over the first rows of the same data: what it does besides the steps
    does not depend on their number.
    """
    rng = np.random.default_rng(0)
    n_rows = 2 * job.n_steps * job.batch_size
    x = rng.normal(size=(n_rows, job.sizes[0])).astype(np.float32)
    y = np.eye(job.sizes[-1], dtype=np.float32)[rng.integers(0, job.sizes[-1], n_rows)]
    trainer = fastmlp.Trainer(
        fastmlp.Network(job.sizes, activation=job.activation, random_state=0),
        learning_rate=0.01 / job.batch_size,
        batch_size=job.batch_size,
        optimizer=job.optimizer,
        shuffle=False,
        n_threads=1,
        engine=engine,
    )

    def train(n_steps: int) -> float:
        trainer.steps_per_epoch = n_steps
        return float(trainer.fit(x, y)["epoch_seconds"][0])

    return train


def time_ratios() -> dict:
    """Time of a step over the NumPy reference's, by job: medians of engines that take turns."""
    numbers = {}
    for job in JOBS:
        engines = [prepare(job, engine) for engine in ("native", "numpy")]
        ratios = []
        for _ in range(1 + ROUNDS):
            native, reference = (train(2 * job.n_steps) for train in engines)
            ratios.append(native / reference)
        numbers[job.name] = round(median(ratios[1:]), 4)
    return {"with": conditions("ratio"), "jobs": numbers}


def conditions(method: str) -> dict[str, str]:
    """What changes the numbers without any fault of the code."""
    blas = [library.info() for library in find_blas()][:1]
    found = {
        "BLAS": " ".join(f"{facts['internal_api']} {facts['version']}" for facts in blas),
        "BLAS kernels": " ".join(str(facts.get("architecture")) for facts in blas),
        "SIMD level": _core.selected_level(),
        "compiler": _compiler(),
    }
    if method == "ratio":
        found |= {"processor": processor_name(), "NumPy": np.__version__}
    return found


def _compiler() -> str:
    """What the compiled module says about its compiler."""
    module = Path(_core.__file__).read_bytes()
    found = re.search(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+", module)
    return found[0].decode() if found else "unknown"


def _read_record(method: str) -> dict:
    """The recorded part of one method."""
    try:
        content = json.loads(RECORD.read_text())
    except OSError as error:
        raise GuardError(
            f"cannot read {RECORD.name}: {error.strerror}; --record makes it"
        ) from error
    except ValueError as error:
        raise GuardError(f"{RECORD.name} is not a JSON file: {error}") from error
    if method not in content:
        raise GuardError(f"{RECORD.name} has no numbers for method {method!r}; --record makes them")
    return content[method]


def _record(measured: dict[str, dict]) -> int:
    """Replace the whole file: numbers of a method that was not measured are older code's."""
    RECORD.write_text(json.dumps(measured, indent=1) + "\n")
    for method, content in measured.items():
        for name, number in content["jobs"].items():
            print(f"recorded: {name}: {number:{FORMATS[method]}} {UNITS[method]}")
    return FINE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and ending the process."""
        raise GuardError(message)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = _Parser(prog="guard.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--record", action="store_true", help="write guard.json anew")
    parser.add_argument(
        "--method", choices=TOLERANCE, help="default: instructions if valgrind is installed"
    )
    parser.add_argument("--child", choices=TOLERANCE, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
