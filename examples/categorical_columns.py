"""Birds and aircraft: categorical columns and a rare class
========================================================

::

    python examples/categorical_columns.py

10,000 collisions with birds at American airports: which ones damaged the aircraft? One in ten did;
`class_weight="balanced"` makes both classes count the same. Early stopping watches the year that
follows the training years, not rows drawn at random, because the later years are what is asked
about. A Pipeline encodes the columns, and with `transform_input` the validation rows as well.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from fastmlp import MLPClassifier

DATA = Path(__file__).parent / "data" / "bird_strikes.csv.gz"
CATEGORIES = ("aircraft", "operator", "state", "phase", "time", "size", "species")
VALIDATION_YEAR = 1999


class Strikes(NamedTuple):
    """Collisions in the order of their dates.

    X: (n, 9) objects: speed in knots, NaN where nobody noted it, month, and the categories.
    y: (n,) "damage" or "none".  year: (n,) integers.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    year: NDArray[Any]

    def of(self, chosen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """X and y of the chosen rows."""
        return self.X[chosen], self.y[chosen]


def load() -> Strikes:
    """The file beside this script; examples/README.md says where it comes from."""
    with gzip.open(DATA, "rt") as file:
        rows = list(csv.DictReader(file))
    X = np.empty((len(rows), 2 + len(CATEGORIES)), dtype=object)
    X[:, 0] = [float(row["speed"] or "nan") for row in rows]
    X[:, 1] = [row["date"][5:7] for row in rows]
    for k, name in enumerate(CATEGORIES, start=2):
        X[:, k] = [row[name] for row in rows]
    y = np.array(["none" if row["damage"] == "None" else "damage" for row in rows])
    return Strikes(X, y, np.array([int(row["date"][:4]) for row in rows]))


def make_columns() -> Any:
    """Speed with a mark where it is missing; one-hot categories, the rare and new ones together."""
    return make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), [0]),
        (
            OneHotEncoder(
                handle_unknown="infrequent_if_exist", min_frequency=20, sparse_output=False
            ),
            list(range(1, 2 + len(CATEGORIES))),
        ),
    )


def make_network(class_weight: str | None) -> Pipeline:
    """The columns, then a network that stops when the validation loss falls no more.

    `set_fit_request` asks the Pipeline to hand the validation rows and their weights to the
    network, `transform_input` to send X_val through the columns first.
    """
    network = MLPClassifier(
        "64x32",
        class_weight=class_weight,
        alpha=1.0,
        dropout=0.3,
        learning_rate_init=0.003,
        early_stopping=True,
        monitor="val_loss",
        n_iter_no_change=20,
        random_state=0,
    )
    network.set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
    return Pipeline([("columns", make_columns()), ("network", network)], transform_input=["X_val"])


def report(name: str, model: Pipeline, X: NDArray[Any], y: NDArray[Any]) -> None:
    """One line: how well the model ranks the rows, and what becomes of its predictions."""
    damage = model.predict_proba(X)[:, list(model.classes_).index("damage")]
    predicted = model.predict(X)
    print(
        f"{name:<32}{roc_auc_score(y == 'damage', damage):>8.3f}"
        f"{recall_score(y, predicted, pos_label='damage'):>15.1%}"
        f"{precision_score(y, predicted, pos_label='damage'):>17.1%}"
    )


def main() -> None:
    """Fit with and without class weights, beside logistic regression."""
    strikes = load()
    X, y = strikes.of(strikes.year < VALIDATION_YEAR)
    X_val, y_val = strikes.of(strikes.year == VALIDATION_YEAR)
    X_test, y_test = strikes.of(strikes.year > VALIDATION_YEAR)
    print(
        f"{len(X)} collisions before {VALIDATION_YEAR} to train on, {len(X_val)} of "
        f"{VALIDATION_YEAR} to stop by, {len(X_test)} later ones to test; "
        f"{np.mean(y == 'damage'):.1%} did damage"
    )
    print(f"{'':<32}{'ROC AUC':>8}{'damage found':>15}{'alarms right':>17}")
    line = make_pipeline(make_columns(), LogisticRegression(max_iter=1000))
    report("logistic regression", line.fit(X, y), X_test, y_test)
    for class_weight in (None, "balanced"):
        # class_weight is for training; what early stopping watches shall weigh the classes alike.
        weights = compute_sample_weight(class_weight, y_val)
        with sklearn.config_context(enable_metadata_routing=True):
            model = make_network(class_weight)
            model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights)
        report(f"network, class_weight={class_weight}", model, X_test, y_test)
    network = model[-1]
    print(f"the last one stopped after {network.n_iter_} epochs", end="; ")
    print(f"the weights of epoch {network.best_epoch_ + 1} were kept")


if __name__ == "__main__":
    main()
