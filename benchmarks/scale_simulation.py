"""What a step costs on 1 to 1,000 workers: measured on one, simulated on several.

    python benchmarks/scale_simulation.py measure [--repeats 5]
    python benchmarks/scale_simulation.py simulate
    python benchmarks/scale_simulation.py picture [--file docs/scale.png]

`measure` trains networks of 0.8 thousand to 8 million parameters with Adam on one thread, in
batches of 32 to 2048 rows, and fits ``seconds = fixed + rows * row_seconds`` to the least of the
times of each network, which are those of the processor, so that other programs count little. It
measures latency and bandwidth of a TCP connection over loopback to another process, and the peak
of the resident memory of trainings, each in a process of its own, beside the formulas of
docs/scale.md. `simulate` computes what `step_seconds` says for these networks on workers that are
connected by loopback, 1, 10 or 100 GbE. Both write benchmarks/results/scale-simulation.json;
`picture` draws it.

The model has no stragglers, no contention between connections, and workers as fast as the one that
was measured.
"""

from __future__ import annotations

import argparse
import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "scale-simulation.json"
NETWORKS = (
    (20, 32, 4),
    (784, 70, 30, 10),
    (784, 512, 256, 10),
    (784, 1024, 1024, 10),
    (2048, 2048, 2048, 10),
)
ROWS = (32, 128, 512, 2048)
WORKERS = (1, 2, 4, 8, 16, 32, 64, 100, 128, 256, 512, 1000)
BATCHES = (64, 500, 4000, 32_000)
NUMBER_BYTES = 4
PARTED_BYTES, PARTED_WORKERS = 1 << 18, 3
"""As in fastmlp/dask/exchange.py: from here on each worker adds up a part of the parameters."""


@dataclass(frozen=True)
class Network:
    """A connection between each two of the workers.

    Attributes
    ----------
    latency : float
        Seconds that a short message takes, in one direction, both programs included.
    bandwidth : float
        Bytes per second that a worker can send, and receive at the same time.
    """

    latency: float
    bandwidth: float


ETHERNET = {
    "1 GbE": Network(60e-6, 0.117e9),
    "10 GbE": Network(40e-6, 1.17e9),
    "100 GbE": Network(20e-6, 11.7e9),
}
"""Line rate without the headers of TCP, and latencies as switched networks have them; assumed."""


@dataclass(frozen=True)
class Machine:
    """Times of a step on one worker, between the networks that were measured.

    Attributes
    ----------
    parameters : sequence of int
        Rising.
    fixed, per_row : sequence of float
        Seconds of a step, apart from its rows, and of each of its rows.
    """

    parameters: Sequence[int]
    fixed: Sequence[float]
    per_row: Sequence[float]

    def seconds(self, parameters: float, rows: float) -> float:
        """Return the seconds of a step with so many rows."""
        return self._between(self.fixed, parameters) + rows * self._between(
            self.per_row, parameters
        )

    def _between(self, values: Sequence[float], parameters: float) -> float:
        """Interpolate, both axes logarithmic; beyond the ends in proportion to the parameters."""
        inside = min(max(parameters, self.parameters[0]), self.parameters[-1])
        value = np.interp(math.log(inside), np.log(self.parameters), np.log(values))
        return math.exp(value) * parameters / inside


def exchange_seconds(parameters: float, workers: int, network: Network) -> float:
    """Return the seconds of an exchange of sums: one message to all, or two of a part each.

    ``latency + (W - 1) bytes / bandwidth``, or ``2 latency + 2 (W - 1) / W bytes / bandwidth`` for
    3 workers or more and 256 KiB of parameters or more.
    """
    if workers < 2:
        return 0.0
    size = NUMBER_BYTES * parameters
    others = workers - 1
    if workers < PARTED_WORKERS or size < PARTED_BYTES:
        return network.latency + others * size / network.bandwidth
    return 2 * network.latency + 2 * others / workers * size / network.bandwidth


def step_seconds(
    parameters: float,
    rows: int,
    workers: int,
    network: Network,
    machine: Machine | None = None,
) -> float:
    """Return the seconds of a step whose rows are shared by the workers.

    Every worker computes its share of the rows, exchanges sums, and makes the whole update.

    Parameters
    ----------
    parameters : float
    rows : int
        Of the batch, of all workers together.
    workers : int
    network : Network
    machine : Machine, optional
        By default the one in benchmarks/results/scale-simulation.json.
    """
    machine = machine or measured_machine()
    share = math.ceil(rows / workers)
    return machine.seconds(parameters, share) + exchange_seconds(parameters, workers, network)


def smallest_batch(
    parameters: float, workers: int, network: Network, machine: Machine
) -> int | None:
    """Return the smallest batch from which workers are faster than one; None above 2^20 rows."""
    low, high = 1, 1 << 20
    if not _pays(parameters, high, workers, network, machine):
        return None
    while low < high:
        middle = (low + high) // 2
        if _pays(parameters, middle, workers, network, machine):
            high = middle
        else:
            low = middle + 1
    return low


def _pays(parameters: float, rows: int, workers: int, network: Network, machine: Machine) -> bool:
    alone = step_seconds(parameters, rows, 1, network, machine)
    return step_seconds(parameters, rows, workers, network, machine) < alone


def stored() -> dict[str, Any]:
    """What was measured."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    return results


def measured_machine(results: Mapping[str, Any] | None = None) -> Machine:
    """The processor that was measured."""
    steps = (results or stored())["steps"]
    return Machine(
        [step["parameters"] for step in steps],
        [step["fixed_seconds"] for step in steps],
        [step["row_seconds"] for step in steps],
    )


def networks(results: Mapping[str, Any]) -> dict[str, Network]:
    """Loopback as it was measured, and the assumed ones."""
    return {"loopback": Network(**results["loopback"])} | ETHERNET


# --- Measurements


def count_parameters(sizes: Sequence[int]) -> int:
    """Weights and biases."""
    return sum(n_out * (n_in + 1) for n_in, n_out in pairwise(sizes))


def trainer_of(sizes: Sequence[int], batch_size: int) -> Any:
    """A new network with Adam on one thread."""
    import fastmlp

    network = fastmlp.Network(sizes, activation="relu", output="softmax", random_state=0)
    return fastmlp.Trainer(
        network, optimizer="adam", reduction="mean", batch_size=batch_size, learning_rate=1e-4,
        n_threads=1, random_state=0,
    )  # fmt: skip


def rows_of(sizes: Sequence[int], n_rows: int) -> tuple[Any, Any]:
    """Random rows and one-hot targets."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n_rows, sizes[0]), dtype=np.float32)
    return x, np.eye(sizes[-1], dtype=np.float32)[rng.integers(0, sizes[-1], n_rows)]


def measure_steps(repeats: int) -> list[dict[str, Any]]:
    """Seconds of a step, by network and batch size, and the line through them."""
    results = []
    for sizes in NETWORKS:
        p = count_parameters(sizes)
        seconds = {}
        for rows in ROWS:
            n_steps = int(min(200, max(2, 2e10 / (6 * p * rows))))
            x, y = rows_of(sizes, n_steps * rows)
            trainer = trainer_of(sizes, rows)
            trainer.fit(x[:rows], y[:rows])
            times = []
            for _ in range(repeats):
                start = time.thread_time()
                trainer.fit(x, y)
                times.append((time.thread_time() - start) / n_steps)
            seconds[rows] = min(times)
        # Relative errors count: the time of a small batch as much as that of a large one.
        design = np.array([[1 / s, r / s] for r, s in seconds.items()])
        fixed, per_row = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]
        fixed = max(fixed, 1e-7)
        worst = max(abs((fixed + r * per_row) / s - 1) for r, s in seconds.items())
        results.append({
            "sizes": sizes,
            "parameters": p,
            "seconds": {str(rows): s for rows, s in seconds.items()},
            "fixed_seconds": float(fixed),
            "row_seconds": float(per_row),
            "gflops": 6 * p / per_row / 1e9,
            "largest_relative_error": worst,
        })  # fmt: skip
    return results


PING_ROUNDS, STREAM_BYTES = 400, 1 << 28


def measure_loopback() -> dict[str, float]:
    """Latency and bandwidth of a TCP connection to another process on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        child = subprocess.Popen([sys.executable, __file__, "answer", port])
        connection, _ = server.accept()
    with connection, child:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rounds = []
        for _ in range(PING_ROUNDS):
            start = time.perf_counter()
            connection.sendall(b"a")
            connection.recv(1)
            rounds.append(time.perf_counter() - start)
        piece = bytes(1 << 24)
        start = time.perf_counter()
        for _ in range(STREAM_BYTES // len(piece)):
            connection.sendall(piece)
        connection.recv(1)
        seconds = time.perf_counter() - start
    latency = float(np.median(rounds)) / 2
    return {"latency": latency, "bandwidth": STREAM_BYTES / (seconds - latency)}


def answer(port: int) -> None:
    """The other end of `measure_loopback`."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(PING_ROUNDS):
            connection.recv(1)
            connection.sendall(b"a")
        buffer, received = bytearray(1 << 20), 0
        while received < STREAM_BYTES:
            received += connection.recv_into(buffer)
        connection.sendall(b"a")


MEMORY_CASES = (((2048, 2048, 2048, 10), 200), ((784, 1024, 1024, 10), 4000),
                ((784, 70, 30, 10), 500))  # fmt: skip


def predicted_bytes(sizes: Sequence[int], batch_size: int) -> int:
    """The formula of docs/scale.md for the memory of a training with Adam, without the rows.

    A network keeps its parameters once; a run has two padded copies of them, and Adam's two states
    in two layouts. Gradients are lanes, up to eight and together at most 2 p + 64 MB, or blocks
    without memory of their own (the engine's plan says which). Layers take activations and deltas,
    of the whole batch with blocks, else of chunks.
    """
    from fastmlp.engine.plan import plan_batch

    p, numbers = count_parameters(sizes), sum(sizes[1:])
    blocks = plan_batch(batch_size, tuple(sizes), NUMBER_BYTES).blocks
    gradients = 0 if blocks else min(8 * p, 2 * p + (64 << 20) // NUMBER_BYTES)
    rows = batch_size if blocks else 256
    inputs = batch_size * sizes[0] if blocks else 0
    return NUMBER_BYTES * (7 * p + gradients + 2 * rows * numbers + inputs)


def measure_memory(sizes: Sequence[int], batch_size: int) -> dict[str, Any]:
    """Peak of the resident memory of two steps above that before, in this process."""
    from scale import Peak

    x, y = rows_of(sizes, 2 * batch_size)
    trainer_of((20, 300, 4), 100).fit(*rows_of((20, 300, 4), 200))  # threads and buffers of BLAS
    peak = Peak()
    trainer_of(sizes, batch_size).fit(x, y)
    return {
        "sizes": sizes,
        "batch_size": batch_size,
        "measured_bytes": 1e6 * peak(),
        "predicted_bytes": predicted_bytes(sizes, batch_size),
    }


def measure(repeats: int) -> None:
    """Write what was measured."""
    from fastmlp.bench.machine import describe

    results = {
        "machine": describe(),
        "loopback": measure_loopback(),
        "steps": measure_steps(repeats),
        "memory": [in_process(number) for number in range(len(MEMORY_CASES))],
    }
    write(results)


def in_process(number: int) -> dict[str, Any]:
    """The memory of a case, measured in a process of its own."""
    command = [sys.executable, __file__, "memory", str(number)]
    result: dict[str, Any] = json.loads(subprocess.check_output(command))
    return result


# --- Simulation and picture


def simulate() -> None:
    """Add what the model says for all networks, batches and numbers of workers."""
    results = stored()
    machine = measured_machine(results)
    results["simulated"] = [
        {
            "network": name,
            "parameters": p,
            "batch": batch,
            "seconds": {
                str(w): step_seconds(p, batch, w, network, machine) for w in WORKERS if w <= batch
            },
        }
        for name, network in networks(results).items()
        for p in machine.parameters
        for batch in BATCHES
    ]
    results["smallest_batch_for_two"] = {
        name: {str(p): smallest_batch(p, 2, network, machine) for p in machine.parameters}
        for name, network in networks(results).items()
    }
    write(results)


def write(results: Mapping[str, Any]) -> None:
    """Write the results, rounded."""
    RESULTS.write_text(json.dumps(_rounded(results), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def draw(path: Path) -> None:
    """Draw speed-up by workers, and the smallest batch for which two machines pay."""
    from fastmlp.plots.style import CATEGORIES, GREY, styled_pyplot

    results = stored()
    machine, known = measured_machine(results), networks(results)
    with styled_pyplot((12.0, 5.6)) as plt:
        figure, (left, right) = plt.subplots(1, 2)
        for (color, marker), p in zip(CATEGORIES, machine.parameters, strict=False):
            alone = step_seconds(p, 4000, 1, known["10 GbE"], machine)
            speedup = [alone / step_seconds(p, 4000, w, known["10 GbE"], machine) for w in WORKERS]
            left.plot(WORKERS, speedup, color=color, marker=marker, label=f"{p:,}")
        left.plot(WORKERS, WORKERS, color=GREY, linewidth=1, linestyle="--")
        left.set(xscale="log", yscale="log", xlabel="workers", ylabel="speed-up", ylim=(0.03, 100),
                 title="Batches of 4,000 rows, 10 GbE")  # fmt: skip
        left.legend(title="parameters", loc="lower left")
        sizes = np.geomspace(machine.parameters[0], machine.parameters[-1], 60)
        for (color, _), (name, network) in zip(CATEGORIES, known.items(), strict=False):
            found = [smallest_batch(p, 2, network, machine) or np.nan for p in sizes]
            right.plot(sizes, found, color=color, label=name)
        right.set(xscale="log", yscale="log", xlabel="parameters", ylabel="rows of a batch",
                  title="Above the line, two machines pay")  # fmt: skip
        right.legend(loc="lower left")
        for axis in (left.xaxis, left.yaxis, right.xaxis, right.yaxis):
            axis.set_major_formatter("{x:,.10g}")
        figure.savefig(path, dpi=100)
        plt.close(figure)


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["measure", "simulate", "picture", "memory", "answer"])
    parser.add_argument("number", nargs="?", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--file", type=Path, default=Path("docs/scale.png"))
    options = parser.parse_args()
    if options.command == "measure":
        measure(options.repeats)
    elif options.command == "simulate":
        simulate()
    elif options.command == "picture":
        draw(options.file)
    elif options.command == "answer":
        answer(options.number)
    else:
        print(json.dumps(measure_memory(*MEMORY_CASES[options.number])))


if __name__ == "__main__":
    main()
