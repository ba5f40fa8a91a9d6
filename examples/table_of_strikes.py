"""Birds and aircraft as a table
=============================

::

    python examples/table_of_strikes.py [--out DIR]

The same 10,000 collisions as in categorical_columns.py: dates, text, numbers with gaps, up to 200
categories in a column, given to TabularClassifier as they are in the file. It is compared with
gradient boosting, on the last two years. Then a single small network learns the probabilities of
the whole ensemble (soft labels): it predicts one row in a fraction of the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from fastmlp import TabularClassifier

DATA = Path(__file__).parent / "data" / "bird_strikes.csv.gz"
TEST_FROM = "2001"


def boosting(X: pd.DataFrame) -> Any:
    """Gradient boosting, whose categories have to be numbers, and which reads no dates."""
    text = [name for name in X if name not in ("date", "speed")]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((codes, text), ("passthrough", ["speed"]))
    return make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))


def microseconds(predict: Callable[[Any], Any], row: Any, n_calls: int = 20) -> float:
    """Return the time of a prediction, the fastest of several calls."""
    times = []
    for _ in range(n_calls):
        start = time.perf_counter()
        predict(row)
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


def main(arguments: list[str] | None = None) -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for a figure of the importances")
    out = parser.parse_args(arguments).out
    X = pd.read_csv(DATA, keep_default_na=False, na_values=[""])
    y = (X.pop("damage") != "None").to_numpy()
    test = (X["date"] >= TEST_FROM).to_numpy()
    train = ~test
    model = TabularClassifier(random_state=0).fit(X[train], y[train])
    print(model.summary(), end="\n\n")

    def report(what: str, probabilities: NDArray[Any]) -> None:
        area = roc_auc_score(y[test], probabilities[:, 1])
        print(f"{what}: AUC {area:.3f}, log loss {log_loss(y[test], probabilities):.3f}")

    report("TabularClassifier", model.predict_proba(X[test]))
    trees = boosting(X[train]).fit(X[train], y[train])
    report("gradient boosting", trees.predict_proba(X[test]))

    student = TabularClassifier(preset="fast", size=(64, 32), random_state=0)
    student.fit(X[train], model.predict_proba(X[train]))
    report("one network that learned from the ensemble", student.predict_proba(X[test]))
    for what, each in {"the ensemble": model, "one network": student, "boosting": trees}.items():
        print(f"{what}: {microseconds(each.predict_proba, X[:1]):.0f} µs to predict a row")

    order = np.argsort(-model.feature_importances_)
    print("what matters most:", ", ".join(X.columns[order[:3]]))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        model.plot_importances().savefig(out / "table_of_strikes.png")


if __name__ == "__main__":
    main()
