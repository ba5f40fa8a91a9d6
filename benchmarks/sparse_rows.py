"""Sparse inputs: MLPClassifier of fastmlp and of scikit-learn, in processor seconds and memory.

    python benchmarks/sparse_rows.py [--rounds 5] [--out results.json]

Four data sets: three of random places in shapes of text, and the TF-IDF of the standard library's
sources, in pieces of 30 lines whose package is to be found. Every measurement is a process of its
own, with one thread; all contenders take turns, and medians are compared. A fit has two epochs in
batches of 500, float32. Needs Linux and an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

SHAPES = {
    "20000 x 50000, 50 a row, 32 hidden": (20_000, 50_000, 50, 32),
    "20000 x 5000, 50 a row, 64 hidden": (20_000, 5_000, 50, 64),
    "5000 x 20000, 100 a row, 100 hidden": (5_000, 20_000, 100, 100),
}
TEXT = "standard library, TF-IDF, 100 hidden"
SOLVERS: dict[str, dict[str, Any]] = {
    "SGD": dict(solver="sgd", momentum=0.0, nesterovs_momentum=False, alpha=0.0),
    "SGD, momentum": dict(solver="sgd"),
    "Adam": dict(solver="adam"),
}
CONTENDERS = ("fastmlp", "sklearn.neural_network")
LINES_PER_PIECE, FEWEST_PIECES = 30, 30
N_PREDICTIONS = 20


def random_rows(n_rows: int, n_columns: int, n_values: int) -> tuple[Any, Any]:
    """Rows with `n_values` in random places, and two classes that depend on the first of them."""
    import numpy as np
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    columns = np.sort(rng.integers(0, n_columns, (n_rows, n_values), dtype=np.int32), axis=1)
    values = rng.random((n_rows, n_values), dtype=np.float32)
    begin = np.arange(0, n_rows * n_values + 1, n_values, dtype=np.int32)
    labels = values[:, 0] + 0.2 * rng.random(n_rows) > 0.6
    return csr_matrix((values.ravel(), columns.ravel(), begin), (n_rows, n_columns)), labels


def library_pieces() -> tuple[Any, Any]:
    """TF-IDF of pieces of the standard library's sources, and the package of each."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    root = Path(sysconfig.get_path("stdlib"))
    pieces: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.py")):
        package = path.relative_to(root).parts[0]
        if package == "site-packages":
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for begin in range(0, len(lines), LINES_PER_PIECE):
            text = "\n".join(lines[begin : begin + LINES_PER_PIECE])
            pieces.setdefault(package, []).append(text)
    pieces = {name: texts for name, texts in pieces.items() if len(texts) >= FEWEST_PIECES}
    labels = np.repeat(list(pieces), [len(texts) for texts in pieces.values()])
    texts = [text for several in pieces.values() for text in several]
    return TfidfVectorizer(dtype=np.float32).fit_transform(texts), labels


def megabytes(name: str) -> float:
    """A number of /proc/self/status."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024


def measure(data: str, solver: str, contender: str, rows_file: str) -> dict[str, Any]:
    """One fit and some predictions, after a small fit that loads what they need."""
    import importlib
    import warnings

    import numpy as np
    from scipy.sparse import load_npz

    x = load_npz(rows_file + ".npz")
    y = np.load(rows_file + ".npy")
    held_out = np.random.default_rng(0).permutation(len(y)) < len(y) // 10
    x_test, y_test = x[held_out], y[held_out]
    x, y = (x[~held_out], y[~held_out]) if data == TEXT else (x, y)
    hidden = 100 if data == TEXT else SHAPES[data][3]
    options = SOLVERS[solver] | dict(hidden_layer_sizes=(hidden,), batch_size=500, random_state=0)
    if contender == "fastmlp":
        options["n_threads"] = 1
    MLPClassifier = importlib.import_module(contender).MLPClassifier
    warnings.simplefilter("ignore")
    model = MLPClassifier(**options, max_iter=2)
    model.fit(x[:500, :20], y[:500])
    model.predict(x_test[:2, :20])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    memory, begin = megabytes("VmRSS"), time.process_time()
    model.fit(x, y)
    seconds, peak = time.process_time() - begin, megabytes("VmHWM")
    found: dict[str, Any] = {"fit": seconds, "megabytes": peak - memory}
    for n_rows in (1, 100, len(y_test)):
        begin = time.process_time()
        for _ in range(N_PREDICTIONS):
            model.predict_proba(x_test[:n_rows])
        found[f"predict {n_rows if n_rows <= 100 else 'all'}"] = (
            time.process_time() - begin
        ) / N_PREDICTIONS
    return found | {"accuracy": float((model.predict(x_test) == y_test).mean()), "shape": x.shape}


def run_child(*arguments: str) -> dict[str, Any]:
    """The result of `measure` in a process with one thread."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        environment.pop(name, None)
    command = [sys.executable, __file__, "--measure", *arguments]
    text = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
    result: dict[str, Any] = json.loads(text)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file of all measurements")
    parser.add_argument("--only", default="", help="part of a data set's name")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    import tempfile

    import numpy as np
    from scipy.sparse import save_npz

    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for data in (*SHAPES, TEXT):
            if options.only not in data:
                continue
            x, y = library_pieces() if data == TEXT else random_rows(*SHAPES[data][:3])
            rows_file = str(Path(folder) / "rows")
            save_npz(rows_file + ".npz", x, compressed=False)
            np.save(rows_file + ".npy", y)
            for solver in SOLVERS:
                found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
                for _ in range(options.rounds):
                    for name in CONTENDERS:
                        found[name].append(run_child(data, solver, name, rows_file))
                results[f"{data}, {solver}"] = found
                print(row(f"{data}, {solver}", found), flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


def row(name: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """Medians of both contenders, fastmlp's first, and ratios where more is slower."""
    cells = []
    for what in ("fit", "megabytes", "predict 1", "predict 100", "predict all", "accuracy"):
        ours, theirs = (statistics.median(r[what] for r in found[name]) for name in CONTENDERS)
        unit = 1e3 if what.startswith(("fit", "predict")) else 1
        ratio = f" ({theirs / ours:.1f}x)" if unit > 1 else ""
        cells.append(f"{what} {unit * ours:.4g} / {unit * theirs:.4g}{ratio}")
    return f"{name}: " + "; ".join(cells)


if __name__ == "__main__":
    main()
