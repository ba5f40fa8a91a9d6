"""Seconds of predictions by number of rows: fastmlp, NumPy, scikit-learn and onnxruntime.

    python benchmarks/predictions.py [--networks 784-70-30-10 ...] [--rows 1 2 4 ...] [--json FILE]

One thread each, float32, relu and softmax (identity for one output), random weights and rows. A
round times every contender once, with as many calls as fill a few milliseconds; the least of all
rounds is printed, because other work on the machine can only make a time longer, and for the others
how many times fastmlp's it is. onnxruntime and fastmlp's `Predictor` have packed their weights
before; NumPy (``x @ w``, the weights transposed before), scikit-learn and `Network` have not.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402

from fastmlp import Network, export_onnx  # noqa: E402
from fastmlp._terminal import text_table  # noqa: E402
from fastmlp.bench.machine import describe  # noqa: E402

NETWORKS = (
    "784-70-30-10", "784-100-10", "784-300-100-10", "784-512-256-10", "1446-512-256-64-1",
    "32-256-256-256-256-256-256-10", "20-64-64-1", "4-8-1",
)  # fmt: skip
ROWS = (1, 2, 4, 8, 9, 16, 17, 32, 64, 100, 1000, 10_000)
ROUNDS, SECONDS = 25, 0.2

Call = Callable[[], Any]


def numpy_call(network: Network, x: Any) -> Call:
    """The forward pass as five lines of NumPy, without the last function."""
    weights = [np.ascontiguousarray(w[:, 1:].T) for w in network.weights]
    biases = [w[:, 0].copy() for w in network.weights]

    def predict() -> Any:
        a = x
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            a = a @ w
            a += b
            np.maximum(a, 0, out=a)
        return a @ weights[-1] + biases[-1]

    return predict


def sklearn_call(network: Network, x: Any) -> Call:
    """The same weights in scikit-learn's regressor: its `predict` with all checks."""
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(hidden_layer_sizes=network.sizes[1:-1], activation="relu")
    y = np.random.default_rng(0).random((10, network.sizes[-1]))
    y = y[:, 0] if y.shape[1] == 1 else y
    model.partial_fit(np.zeros((10, network.sizes[0]), np.float32), y)  # for its attributes
    model.coefs_ = [np.ascontiguousarray(w[:, 1:].T) for w in network.weights]
    model.intercepts_ = [w[:, 0].copy() for w in network.weights]
    return lambda: model.predict(x)


def onnx_call(network: Network, x: Any) -> Call | None:
    """A session with one thread; None where onnxruntime or onnx is missing."""
    try:
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            export_onnx(network, path)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    except ImportError:
        return None
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})


def contenders(network: Network, x: Any) -> dict[str, Call]:
    """What is timed, by name."""
    predictor = network.predictor()
    calls = {
        "fastmlp": lambda: network.predict(x, n_threads=1),
        "predictor": lambda: predictor.predict(x),
        "NumPy": numpy_call(network, x),
        "scikit-learn": sklearn_call(network, x),
        "onnxruntime": onnx_call(network, x),
    }
    return {name: call for name, call in calls.items() if call is not None}


def least_seconds(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """The least time of a call over all rounds, in which all take turns."""
    n_calls, least = {}, dict.fromkeys(calls, np.inf)
    for name, call in calls.items():
        call()
        begin = time.perf_counter()
        call()
        n_calls[name] = max(1, int(SECONDS / rounds / (time.perf_counter() - begin)))
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            for _ in range(n_calls[name]):
                call()
            least[name] = min(least[name], (time.perf_counter() - begin) / n_calls[name])
    return least


def measure(shape: str, rows: list[int], rounds: int) -> list[dict[str, Any]]:
    """Times of one network, by number of rows."""
    sizes = tuple(map(int, shape.split("-")))
    output = "softmax" if sizes[-1] > 1 else "identity"
    network = Network(sizes, activation="relu", output=output, initializer="he", random_state=0)
    rng = np.random.default_rng(0)
    results = []
    for n in rows:
        x = rng.standard_normal((n, sizes[0]), dtype=np.float32)
        seconds = least_seconds(contenders(network, x), rounds)
        results.append({"network": shape, "rows": n, "seconds": seconds})
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Microseconds of fastmlp, and of the others how often fastmlp's."""
    names = list(results[0]["seconds"])
    lines = [["network", "rows", "fastmlp", *names[1:]]]
    for each in results:
        own = each["seconds"]["fastmlp"]
        others = [f"{each['seconds'][name] / own:.2f}" for name in names[1:]]
        lines.append([each["network"], f"{each['rows']:,}", f"{1e6 * own:.1f} µs", *others])
    return "\n".join(text_table(lines[0], lines[1:]))


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for shape in options.networks:
        results += measure(shape, options.rows, options.rounds)
    print(table(results))
    if options.json:
        facts = {"machine": describe(), "results": results}
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
