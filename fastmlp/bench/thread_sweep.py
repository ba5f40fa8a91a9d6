"""The thread-count sweep of the articles: epochs timed in one process per OPENBLAS_NUM_THREADS.

A BLAS library reads its number of threads when it is loaded, so every value gets a process of its
own, and every round goes through all values and engines once, starting with another one each time:
a machine that slows down in the meantime hurts all alike.

The NumPy reference uses as many threads as its BLAS; the compiled engine shares a mini-batch out
among threads of its own and has BLAS, if asked to use it, take one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_choice, check_integer
from fastmlp.bench.thread_worker import WARM_UP_EPOCHS
from fastmlp.engine.environment import child_environment
from fastmlp.engine.threads import MAX_THREADS

SWEPT = {
    "native": ("native", "auto"),
    "blas": ("native", "blas"),
    "own": ("native", "own"),
    "numpy": ("numpy", "auto"),
}
"""What can be timed, with the arguments `engine` and `products` of the Trainer."""

EVERY_COUNT_UP_TO = 8
"""Thread count above which counts are doubled: 8, 16, 32."""

CHILD = (
    "import sys; sys.path[:] = sys.argv[1:]; from fastmlp.bench.thread_worker import serve; serve()"
)
"""Code of a child process: it finds the same modules as its parent, in any folder."""


@dataclass(frozen=True)
class SweepPlan:
    """Settings of a thread sweep.

    Attributes
    ----------
    sizes : tuple of int
        Layer widths.
    batch_size : int
        Rows per mini-batch.
    thread_counts : tuple of int
        Values of OPENBLAS_NUM_THREADS; the first one must be 1, which speed-ups refer to.
    engines : tuple of str
        Of ``SWEPT``.
    n_epochs : int
        Timed epochs of each process, after two that are not.
    n_rounds : int
        Processes per engine and thread count.
    as_found : bool
        Keep variables that pin OpenBLAS to the kernels of another processor.
    """

    sizes: tuple[int, ...]
    batch_size: int
    thread_counts: tuple[int, ...]
    engines: tuple[str, ...] = ("native", "numpy")
    n_epochs: int = 10
    n_rounds: int = 3
    as_found: bool = False

    def __post_init__(self) -> None:
        for engine in self.engines:
            check_choice("engines", engine, tuple(SWEPT))
        for n_threads in self.thread_counts:
            check_integer("thread_counts", n_threads, minimum=1, maximum=MAX_THREADS)
        if self.thread_counts[:1] != (1,):
            raise ValueError(f"thread_counts must begin with 1; got {self.thread_counts}")
        for name in ("batch_size", "n_epochs", "n_rounds"):
            check_integer(name, getattr(self, name), minimum=1)


@dataclass(frozen=True)
class Run:
    """Result of one process.

    Attributes
    ----------
    engine : str
    n_threads : int
        Number of threads that the trainer read from the environment.
    round_number : int
        From 1.
    epoch_seconds : tuple of float
        Wall time of every timed epoch, shuffling included, evaluation not.
    blas : str
        Library, version and kernels that do the engine's products.
    simd : str
        Instruction set of the element-wise passes: fastmlp's level, or NumPy's.
    weights : str
        SHA-256 of the trained parameters, the first 16 digits.
    """

    engine: str
    n_threads: int
    round_number: int
    epoch_seconds: tuple[float, ...]
    blas: str
    simd: str
    weights: str


@dataclass(frozen=True)
class Point:
    """All rounds of one engine at one thread count.

    Attributes
    ----------
    engine : str
    n_threads : int
    n_epochs : int
        Timed epochs of all rounds together.
    seconds, q1_seconds, q3_seconds : float
        Median and quartiles of the seconds per epoch.
    speed_up : float
        Median with one thread over this median.
    efficiency : float
        Speed-up per thread; 1 would be perfect.
    """

    engine: str
    n_threads: int
    n_epochs: int
    seconds: float
    q1_seconds: float
    q3_seconds: float
    speed_up: float
    efficiency: float


def choose_thread_counts(maximum: int) -> tuple[int, ...]:
    """Every count up to 8, then doubled ones, and the maximum: 1 … 8, 16, 32, 48 for 48."""
    counts = list(range(1, min(maximum, EVERY_COUNT_UP_TO) + 1))
    while counts[-1] < maximum:
        counts.append(min(2 * counts[-1], maximum))
    return tuple(counts)


def run_sweep(
    plan: SweepPlan,
    X: NDArray[Any],
    Y: NDArray[Any],
    announce: Callable[[str, int, int], object] = lambda engine, n_threads, round_number: None,
) -> list[Run]:
    """Run every process of the plan, one after the other.

    Parameters
    ----------
    plan : SweepPlan
    X : array of shape (n, sizes[0]); Y : array of shape (n, sizes[-1])
        Scaled inputs and targets. They are written once into a temporary folder, as float32, which
        the processes read.
    announce : callable
        Called with engine, thread count and number of the round before each process.

    Returns
    -------
    list of Run
        In the order in which they ran.

    Raises
    ------
    ChildProcessError
        If a process failed, with the last line of what it said.
    OSError
        If the temporary folder cannot hold the data.
    """
    runs = []
    with tempfile.TemporaryDirectory(prefix="fastmlp-threads-") as folder:
        np.save(Path(folder, "X.npy"), np.asarray(X, np.float32))
        np.save(Path(folder, "Y.npy"), np.asarray(Y, np.float32))
        for round_number in range(1, plan.n_rounds + 1):
            for engine, n_threads in _one_round(plan, round_number):
                announce(engine, n_threads, round_number)
                runs.append(_run_child(plan, folder, engine, n_threads, round_number))
    return runs


def _one_round(plan: SweepPlan, round_number: int) -> Iterator[tuple[str, int]]:
    """Return every engine at every thread count, rotated by the number of the round."""
    pairs = [(engine, n) for n in plan.thread_counts for engine in plan.engines]
    start = (round_number - 1) % len(pairs)
    yield from pairs[start:] + pairs[:start]


def _run_child(plan: SweepPlan, folder: str, engine: str, n_threads: int, round_number: int) -> Run:
    """Run one process; if an exception occurs (also Ctrl-C), end the process first."""
    name, products = SWEPT[engine]
    request = {
        "folder": folder,
        "engine": name,
        "products": products,
        "sizes": plan.sizes,
        "batch_size": plan.batch_size,
        "n_epochs": plan.n_epochs,
    }
    with subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(n_threads, as_found=plan.as_found),
    ) as child:
        try:
            output, said = child.communicate(json.dumps(request))
        finally:  # subprocess.run would not wait for a process that Ctrl-C made it kill
            child.kill()
            child.wait()
    if child.returncode != 0:
        words = said.strip().splitlines() or [f"it ended with status {child.returncode}"]
        raise ChildProcessError(
            f"the process of engine {engine!r} with OPENBLAS_NUM_THREADS={n_threads} failed: "
            f"{words[-1]}"
        )
    answer = json.loads(output.splitlines()[-1])
    answer["epoch_seconds"] = tuple(answer["epoch_seconds"])
    return Run(engine=engine, round_number=round_number, **answer)


def summarize(runs: Iterable[Run]) -> list[Point]:
    """Medians, quartiles, speed-ups: engines in order of appearance, thread counts ascending.

    Raises
    ------
    ValueError
        If an engine was not measured with one thread.
    """
    seconds: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        of_engine = seconds.setdefault(run.engine, {})
        of_engine.setdefault(run.n_threads, []).extend(run.epoch_seconds)
    points = []
    for engine, by_count in seconds.items():
        if 1 not in by_count:
            raise ValueError(f"speed-ups need a run with one thread; engine {engine!r} has none")
        alone = median(by_count[1])
        points += [_point(engine, n, by_count[n], alone) for n in sorted(by_count)]
    return points


def _point(engine: str, n_threads: int, seconds: list[float], alone_seconds: float) -> Point:
    middle = median(seconds)
    q1, _, q3 = quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [middle] * 3
    speed_up = alone_seconds / middle
    return Point(engine, n_threads, len(seconds), middle, q1, q3, speed_up, speed_up / n_threads)


def same_weights(runs: Iterable[Run], engine: str) -> bool:
    """Return whether all processes of an engine ended with bit-for-bit identical weights."""
    return len({run.weights for run in runs if run.engine == engine}) <= 1


def as_json(plan: SweepPlan, runs: list[Run], points: list[Point]) -> dict[str, Any]:
    """Return the result for `json.dump`: lists "points" and "runs", with units in the names."""
    return {
        "settings": asdict(plan) | {"warm_up_epochs": WARM_UP_EPOCHS},
        "points": [asdict(point) for point in points],
        "runs": [asdict(run) for run in runs],
    }
