"""What the engine's promises cost: threads, determinism, looking for Ctrl-C, memory, import.

    FASTMLP_DATA=folder python benchmarks/engine_costs.py

Trains 784-70-30-10 on MNIST with plain SGD, all variants of a comparison in turn, and prints ratios
of medians. Run it on an otherwise idle machine: a second thread without a processor of its own is
worth nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from unittest import mock

ROUNDS = 9
BATCH_SIZES = (32, 500, 20_000)
KERNEL_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

MEMORY_PROGRAM = """
import fastmlp
from fastmlp.datasets import load
from fastmlp import Network, Trainer
import numpy as np

def megabytes(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024

data = load("mnist")
x = data.X_train.reshape(len(data.X_train), -1).astype("float32")
y = np.eye(10, dtype="float32")[data.y_train]
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")  # the peak begins anew (Linux)
before = megabytes("VmRSS")
Trainer(Network((784, 70, 30, 10), random_state=0), batch_size=500, random_state=0).fit(x, y)
print(megabytes("VmHWM") - before)
"""


def epoch_seconds(batch_size: int, n_threads: int) -> Callable[[], float]:
    """A function that trains one more epoch and returns its seconds."""
    import numpy as np

    from fastmlp import Network, Trainer
    from fastmlp.datasets import load

    data = load("mnist")
    x = data.X_train.reshape(len(data.X_train), -1).astype("float32")
    y = np.eye(10, dtype="float32")[data.y_train]
    trainer = Trainer(
        Network((784, 70, 30, 10), random_state=0),
        learning_rate=0.5 / batch_size,
        batch_size=batch_size,
        n_threads=n_threads,
        random_state=0,
    )
    return lambda: float(trainer.fit(x, y, n_epochs=1)["epoch_seconds"][0])


def medians(variants: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Median of every variant over ROUNDS rounds, the first one dropped."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS + 1):
        for name, run in variants.items():
            times[name].append(run())
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def with_lanes(run: Callable[[], float], n_lanes: int) -> Callable[[], float]:
    """The same with another number of gradient buffers: other bits, depending on that number."""

    def train() -> float:
        with mock.patch("fastmlp.engine.plan.MAX_LANES", n_lanes):
            return run()

    return train


def print_threads(n_threads: int) -> None:
    """One thread against all of them."""
    for batch_size in BATCH_SIZES:
        found = medians({str(n): epoch_seconds(batch_size, n) for n in (1, n_threads)})
        ratio = found["1"] / found[str(n_threads)]
        print(f"batch {batch_size:5d}: {n_threads} threads are {ratio:.2f} times as fast as one")


def print_determinism(n_threads: int) -> None:
    """Eight lanes whatever the threads, against as many lanes as threads."""
    for batch_size in BATCH_SIZES:
        counts = sorted({n_threads, 2 * n_threads, 8})
        found = medians(
            {str(n): with_lanes(epoch_seconds(batch_size, n_threads), n) for n in counts}
        )
        ratio = found["8"] / min(found.values())
        print(f"batch {batch_size:5d}: bits that no number of threads changes cost {ratio:.3f} x")


def print_looks() -> None:
    """What an epoch spends on looking for Ctrl-C: its looks, times what one takes."""
    from fastmlp import Network, Trainer

    engine = Trainer(Network((784, 70, 30, 10), random_state=0), n_threads=1).objective.engine
    look = statistics.median(engine.time_looks(100_000) for _ in range(ROUNDS)) / 100_000
    for batch_size in BATCH_SIZES:
        run = epoch_seconds(batch_size, 1)
        epoch = statistics.median(run() for _ in range(ROUNDS))
        plan = engine.plan(batch_size)
        n_looks = 60_000 / batch_size * plan.n_rows / plan.chunk_rows
        share = n_looks * look / epoch
        print(f"batch {batch_size:5d}: looking for Ctrl-C takes {share:.3%} of an epoch")


def run_python(program: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stderr)
    return result.stdout


def print_imports() -> None:
    """`import fastmlp` against the imports that it cannot do without."""

    def importing(names: str) -> Callable[[], float]:
        program = (
            f"import time; t = time.perf_counter(); import {names}; print(time.perf_counter() - t)"
        )
        return lambda: float(run_python(program))

    basis = "numpy, scipy.linalg.cython_blas"
    found = medians({"basis": importing(basis), "all": importing(f"{basis}, fastmlp")})
    beyond = 1000 * (found["all"] - found["basis"])
    print(
        f"import fastmlp: {beyond:.0f} ms beyond NumPy and SciPy ({1000 * found['basis']:.0f} ms)"
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    if set(KERNEL_VARIABLES) & set(os.environ):
        print(f"{' and '.join(KERNEL_VARIABLES)} choose slow kernels and are unset", flush=True)
        environment = {k: v for k, v in os.environ.items() if k not in KERNEL_VARIABLES}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    from fastmlp import resolve_threads

    n_threads = resolve_threads().n_threads
    started = time.perf_counter()
    print_threads(n_threads)
    print_determinism(n_threads)
    print_looks()
    print_imports()
    print(f"training needs {float(run_python(MEMORY_PROGRAM)):.0f} MB beside data and program")
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
