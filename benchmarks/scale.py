"""Memory and speed of training on sources: 20 million rows in Parquet, and MNIST as uint8.

    python benchmarks/scale.py make   [--folder /tmp/scale] [--files 10]
    python benchmarks/scale.py memory [--folder /tmp/scale]
    python benchmarks/scale.py speed  [--folder /tmp/scale] [--repeats 3]
    python benchmarks/scale.py mnist

`make` writes files of 2 million rows with 30 float32 features and a target, 248 MB each, in row
groups of 50,000 rows. `memory` trains one epoch on all of them, in a process of its own, and
reports the peak of its resident memory above that after the imports. `speed` trains on the first
file, read and as an array in memory, in turn, and reports the ratio of the rows per second, of the
least of the times. Files come from the system's cache: the disk itself is not measured. `mnist`
trains on uint8 and on float32 rows, each in a process of its own, and compares memory and weights;
it needs FASTMLP_DATA.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp import data

FILE_ROWS, N_FEATURES, GROUP_ROWS = 2_000_000, 30, 50_000
HIDDEN = {"30-64-32-1": (64, 32), "30-128-64-1": (128, 64), "30-256-128-1": (256, 128)}
BATCH_ROWS = 500


def make(folder: Path, n_files: int) -> None:
    """Write the files that are not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_files):
        path = folder / f"part-{number:02d}.parquet"
        if path.exists():
            continue
        rng = np.random.default_rng(number)
        X = rng.standard_normal((FILE_ROWS, N_FEATURES), dtype=np.float32)
        y = (X[:, 0] * X[:, 1] + np.sin(X[:, 2]) > 0).astype(np.float32)
        columns = {f"x{j}": X[:, j] for j in range(N_FEATURES)} | {"y": y}
        partial = path.with_suffix(".partial")
        pq.write_table(
            pa.table(columns), partial, row_group_size=GROUP_ROWS, use_dictionary=False,
            compression="none",
        )  # fmt: skip
        partial.rename(path)
    print(f"{n_files} files, {n_bytes(folder) / 1e9:.2f} GB")


def n_bytes(folder: Path) -> int:
    """Size of the files."""
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def trainer(hidden: tuple[int, ...]) -> fastmlp.Trainer:
    """A new network and its trainer."""
    network = fastmlp.Network((N_FEATURES, *hidden, 1), dtype="float32", random_state=0)
    return fastmlp.Trainer(
        network, learning_rate=0.05, reduction="mean", batch_size=BATCH_ROWS, random_state=0
    )


def status(name: str) -> float:
    """A number of /proc/self/status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


class Peak:
    """Peak of the resident memory above that at the beginning, in MB."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        self.before = status("VmRSS")

    def __call__(self) -> float:
        return status("VmHWM") - self.before


def measure_memory(folder: str, hidden: str) -> dict[str, Any]:
    """One epoch on all files, in this process."""
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401

    trainer(HIDDEN[hidden]).fit(np.zeros((600, N_FEATURES)), np.zeros((600, 1)))  # the threads
    peak = Peak()
    source = data.ParquetSource(folder, "y")
    t = trainer(HIDDEN[hidden])
    start = time.perf_counter()
    history = t.fit(source)
    seconds = time.perf_counter() - start
    return {
        "rows": len(source),
        "peak_mb": peak(),
        "seconds": seconds,
        "rows_per_second": len(source) / seconds,
        "accuracy": float(history["batch_accuracy"][0]),
    }


def timed(given: tuple[Any, ...], hidden: tuple[int, ...]) -> tuple[float, float]:
    """Seconds and processor seconds of one epoch on arrays or on a source."""
    t = trainer(hidden)
    window = {"window_rows": 100_000} if len(given) == 1 else {}
    start, used = time.perf_counter(), time.process_time()
    t.fit(*given, **window)
    return time.perf_counter() - start, time.process_time() - used


def measure_speed(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Rows per second of a file that is read and of the same rows in memory, in turn.

    The least of several times is that of the run that was disturbed least.
    """
    source = data.ParquetSource(folder / "part-00.parquet", "y")
    rows = source.read(0, len(source))
    memory = np.ascontiguousarray(rows.X), np.ascontiguousarray(rows.y[:, np.newaxis])
    results = []
    for name, hidden in HIDDEN.items():
        times: dict[str, list[tuple[float, float]]] = {"memory": [], "source": []}
        for repeat in range(repeats):
            for kind in sorted(times, reverse=repeat % 2 == 1):
                given = memory if kind == "memory" else (source,)
                times[kind].append(timed(given, hidden))
        (m, m_used), (s, s_used) = (
            (min(wall for wall, _ in times[kind]), min(used for _, used in times[kind]))
            for kind in ("memory", "source")
        )
        results.append({
            "network": name,
            "memory_rows_per_second": FILE_ROWS / m,
            "source_rows_per_second": FILE_ROWS / s,
            "ratio": m / s,
            "ratio_of_processor_time": m_used / s_used,
            "seconds": {kind: [round(wall, 2) for wall, _ in times[kind]] for kind in times},
        })  # fmt: skip
    return results


def measure_mnist(kind: str) -> dict[str, Any]:
    """Two epochs on MNIST as uint8 or as float32, in this process."""
    with np.load(Path(os.environ["FASTMLP_DATA"]) / "mnist.npz") as file:
        x, y = file["x_train"].reshape(-1, 784), np.eye(10, dtype=np.uint8)[file["y_train"]]
    network = fastmlp.Network((784, 70, 30, 10), dtype="float32", random_state=0)
    t = fastmlp.Trainer(network, learning_rate=1e-5, batch_size=500, dropout=0.1, random_state=0)
    t.fit(x[:600].astype(np.float32), y[:600])  # the threads
    peak = Peak()
    if kind == "uint8":
        t.fit(data.ArraySource(x, y), n_epochs=2, window_rows=5000)
        held = x.nbytes
    else:
        rows = x.astype(np.float32)
        t.fit(rows, y, n_epochs=2)
        held = rows.nbytes
    digest = hashlib.sha256(network.parameters.tobytes()).hexdigest()
    return {"kind": kind, "rows_mb": held / 1e6, "peak_mb": peak(), "weights": digest[:12]}


def in_process(*words: str) -> dict[str, Any]:
    """The result of a measurement in a process of its own."""
    command = [sys.executable, __file__, *words]
    result: dict[str, Any] = json.loads(subprocess.check_output(command))
    return result


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["make", "memory", "speed", "mnist", "one"])
    parser.add_argument("what", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/scale"))
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    if options.command == "make":
        make(options.folder, options.files)
    elif options.command == "memory":
        print(json.dumps(in_process("one", "memory", str(options.folder), "30-64-32-1"), indent=2))
    elif options.command == "speed":
        print(json.dumps(measure_speed(options.folder, options.repeats), indent=2))
    elif options.command == "mnist":
        print(json.dumps([in_process("one", "mnist", k) for k in ("uint8", "float32")], indent=2))
    else:
        measure = {"memory": measure_memory, "mnist": measure_mnist}[options.what[0]]
        print(json.dumps(measure(*options.what[1:])))


if __name__ == "__main__":
    main()
