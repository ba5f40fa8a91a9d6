"""What several workers cost and bring: seconds per step by number of parameters.

    python benchmarks/cluster_cost.py measure [--seconds 2] [--repeats 3]
    python benchmarks/cluster_cost.py accuracy [--epochs 10]
    python benchmarks/cluster_cost.py picture [--file docs/several-machines.png]

`measure` trains networks of 0.8 thousand to 1.9 million parameters, one thread each: on one machine
without and with shards, on a Dask cluster of one and of two processes on this machine, and on two
with an exchange every 20 steps. All take turns; what is written are medians over the pieces of an
epoch, of seconds per step on the first worker, and the part of the exchange in them. Two processes
share the memory's bandwidth here, and no network is between them. `accuracy` trains on MNIST with
local steps, and needs FASTMLP_DATA. Both write benchmarks/results/cluster-cost.json; `picture`
draws it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
import fastmlp.dask
from fastmlp.bench.machine import describe
from fastmlp.data import ArraySource

RESULTS = Path(__file__).parent / "results" / "cluster-cost.json"
NETWORKS = (
    (20, 32, 4),
    (784, 70, 30, 10),
    (784, 512, 256, 10),
    (784, 1024, 1024, 10),
)
BATCHES = (500, 4000)
LOCAL_STEPS = 20
GFLOPS = 60e9
"""Only to choose how many rows and epochs take about the wanted seconds."""


def trainer_for(sizes: tuple[int, ...], batch_size: int, **settings: Any) -> fastmlp.Trainer:
    """Return a Trainer with Adam on one thread."""
    network = fastmlp.Network(sizes, activation="relu", output="softmax", random_state=0)
    given = {"learning_rate": 1e-4, "random_state": 0, "n_threads": 1, **settings}
    return fastmlp.Trainer(
        network, optimizer="adam", reduction="mean", batch_size=batch_size, **given
    )


def rows_for(sizes: tuple[int, ...], n_rows: int) -> ArraySource:
    """Return random rows."""
    rng = np.random.default_rng(0)
    x = rng.random((n_rows, sizes[0]), dtype=np.float32)
    return ArraySource(x, np.eye(sizes[-1], dtype=np.float32)[rng.integers(0, sizes[-1], n_rows)])


@contextmanager
def cluster(n_workers: int) -> Iterator[Any]:
    """Yield a client of a cluster of processes on this machine, with one thread each."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=0,
        ) as local,
        Client(local) as client,
    ):
        yield client


def on_one(sizes: tuple[int, ...], batch_size: int, source: ArraySource, n_epochs: int,
           **settings: Any) -> list[tuple[float, float]]:  # fmt: skip
    """Return seconds per step of every epoch but the first, and 0 for the exchange."""
    seconds = []

    def note(training: Any) -> None:
        seconds.append(training.metrics["seconds"])

    trainer = trainer_for(sizes, batch_size)
    trainer.fit(source, n_epochs=n_epochs + 1, callbacks=[note], **settings)
    n_steps = len(source) // batch_size
    return [(value / n_steps, 0.0) for value in seconds[1:]]


def on_cluster(client: Any, sizes: tuple[int, ...], batch_size: int, source: ArraySource,
               n_epochs: int, **settings: Any) -> list[tuple[float, float]]:  # fmt: skip
    """Return seconds per step of every piece but the first two, and those of the exchange."""
    module = importlib.import_module("fastmlp.dask.train")
    found: list[Any] = []
    kept, module.print_advice = module.print_advice, lambda reports, *_: found.extend(reports)
    try:
        trainer = trainer_for(sizes, batch_size)
        fastmlp.dask.train(client, trainer, source, n_epochs=n_epochs + 2, n_threads=1, **settings)
    finally:
        module.print_advice = kept
    return [
        (report.seconds / report.n_steps, report.exchange_seconds / report.n_steps)
        for report in found[2:]
    ]


def measure(seconds: float, repeats: int) -> list[dict[str, Any]]:
    """Return a row per network, batch size and contender."""
    table = []
    with ExitStack() as stack:
        one, two = stack.enter_context(cluster(1)), stack.enter_context(cluster(2))
        for sizes in NETWORKS:
            for batch_size in BATCHES:
                table += _measured(sizes, batch_size, one, two, seconds, repeats)
    return table


def _measured(sizes: tuple[int, ...], batch_size: int, one: Any, two: Any, seconds: float,
              repeats: int) -> list[dict[str, Any]]:  # fmt: skip
    n_parameters = sum((a + 1) * b for a, b in pairwise(sizes))
    step = 6 * n_parameters * batch_size / GFLOPS + 1e-3
    n_steps = int(min(200, max(LOCAL_STEPS, 2e8 / (4 * sizes[0] * batch_size))))
    n_steps = n_steps if step < 0.2 else LOCAL_STEPS
    source = rows_for(sizes, n_steps * batch_size)
    n_epochs = max(2, int(seconds / (n_steps * step)))
    given = sizes, batch_size, source, n_epochs
    contenders: dict[str, Callable[[], list[tuple[float, float]]]] = {
        "one machine": lambda: on_one(*given),
        "one machine, shards": lambda: on_one(*given, n_shards=8),
        "1 worker": lambda: on_cluster(one, *given),
        "2 workers": lambda: on_cluster(two, *given),
        f"2 workers, {LOCAL_STEPS} local steps": lambda: on_cluster(
            two, *given, local_steps=LOCAL_STEPS
        ),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            times[name] += run()
    rows = []
    for name, found in times.items():
        row = {
            "network": "-".join(map(str, sizes)),
            "parameters": n_parameters,
            "batch_size": batch_size,
            "contender": name,
            "ms_per_step": 1e3 * statistics.median(step for step, _ in found),
            "exchange_ms": 1e3 * statistics.median(exchange for _, exchange in found),
            "n": len(found),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def accuracy(n_epochs: int) -> list[dict[str, Any]]:
    """Return the accuracy on MNIST's test rows, after training with local steps."""
    mnist = fastmlp.datasets.load("mnist")
    x, x_test = (part.astype(np.float32) / 255 for part in (mnist.X_train, mnist.X_test))
    y, y_test = (np.eye(10, dtype=np.float32)[part] for part in (mnist.y_train, mnist.y_test))
    rows = []
    for local_steps, rate in product((None, 1, 20, 100), (1e-3, 4e-3)):
        scores, costs = [], []
        for seed in range(3):
            network = fastmlp.Network(
                (784, 100, 10), activation="relu", output="softmax", random_state=seed
            )
            trainer = fastmlp.Trainer(
                network, optimizer="adam", reduction="mean", batch_size=500,
                learning_rate=rate, random_state=seed,
            )  # fmt: skip
            trainer.fit(ArraySource(x, y), n_epochs=n_epochs, n_shards=8, local_steps=local_steps)
            scores.append(trainer.evaluate(x_test, y_test).accuracy)
            costs.append(trainer.metrics["cost"])
        row = {
            "local_steps": local_steps,
            "learning_rate": rate,
            "epochs": n_epochs,
            "accuracy": scores,
            "cost": costs,
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def picture(results: dict[str, Any], path: Path) -> None:
    """Draw the time of a step relative to one machine's over the number of parameters."""
    from fastmlp.plots.headline import headline
    from fastmlp.plots.style import BLUE, GREY, styled_pyplot

    local = f"2 workers, {LOCAL_STEPS} local steps"
    looks = {"2 workers": (BLUE, "-"), local: (BLUE, ":"), "1 worker": (GREY, "-")}
    with styled_pyplot((10, 4.6)) as plt:
        figure, panels = plt.subplots(1, len(BATCHES), sharey=True)
        for batch_size, panel in zip(BATCHES, panels, strict=True):
            chosen = [row for row in results["cost"] if row["batch_size"] == batch_size]
            alone = {row["network"]: row["ms_per_step"] for row in chosen
                     if row["contender"] == "one machine"}  # fmt: skip
            for name, (color, line) in looks.items():
                rows = [row for row in chosen if row["contender"] == name]
                x = [row["parameters"] for row in rows]
                y = [row["ms_per_step"] / alone[row["network"]] for row in rows]
                panel.plot(x, y, line, marker="o", color=color, label=name)
            panel.axhline(1, color=GREY, linewidth=0.8, zorder=0)
            panel.set(xscale="log", yscale="log", xlabel="parameters")
            panel.set_title(f"{batch_size:,} rows per batch", fontsize=11, loc="left")
            panel.set_yticks([0.5, 0.7, 1, 2, 5, 10, 20], ["0.5", "0.7", "1", "2", "5", "10", "20"])
            panel.minorticks_off()
        panels[0].set_ylabel("time of a step, one machine = 1")
        panels[1].legend(frameon=False, loc="upper right")
        headline(
            figure,
            "Two workers pay where network and batch are large",
            "one thread each, on one machine; below 1 is faster than one machine without Dask",
        )
        figure.savefig(path, dpi=110)


def main() -> None:
    """Run one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=["measure", "accuracy", "picture"])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run, about")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--file", type=Path, default=Path("docs/several-machines.png"))
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.part == "picture":
        picture(results, arguments.file)
        return
    if arguments.part == "measure":
        results["cost"] = measure(arguments.seconds, arguments.repeats)
    else:
        results["accuracy"] = accuracy(arguments.epochs)
    results["machine"], results["date"] = describe(), time.strftime("%Y-%m-%d")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
