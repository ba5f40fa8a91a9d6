"""Fitted Pipelines of scikit-learn with an estimator of fastmlp at the end, and rows for them."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from fastmlp import MLPClassifier, MLPRegressor

SHORT = {"hidden_layer_sizes": (4, 3), "max_iter": 4, "random_state": 0}

COLUMNS = ("age", "income", "size", "town", "rooms", "owner")
"""Names of the mixed columns: three numbers, a string, a number of few values, a bool or None."""


def numbers(n_rows=80, dtype="float64", *, gaps=False, seed=0):
    """Rows (n_rows, 4) of numbers, with NaN in columns 0 and 2 if there are gaps."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n_rows, 4)) * [1, 10, 100, 0.1] + [0, 5, -50, 1]).astype(dtype)
    if gaps:
        x[::7, 0] = x[3::9, 2] = np.nan
    return x


def mixed(n_rows=80, seed=0):
    """Rows (n_rows, 6) of objects, as COLUMNS says."""
    rng = np.random.default_rng(seed)
    x = np.empty((n_rows, 6), object)
    x[:, :3] = numbers(n_rows, seed=seed)[:, :3]
    x[::7, 0] = np.nan
    x[:, 3] = rng.choice(["Ulm", "Köln", "Bonn", "Hof"], n_rows, p=[0.5, 0.3, 0.15, 0.05])
    x[:, 4] = rng.integers(1, 5, n_rows)
    x[:, 5] = rng.choice(np.array([True, False, None], object), n_rows)
    return x


def frame(n_rows=80, seed=0):
    """The mixed rows as a data frame of pandas."""
    import pandas as pd

    table = pd.DataFrame(mixed(n_rows, seed), columns=list(COLUMNS))
    return table.astype({"age": float, "income": float, "size": float, "rooms": int})


def labels(x):
    """Labels (n_rows,) that depend on column 1."""
    column = x.iloc[:, 1] if hasattr(x, "iloc") else x[:, 1]
    return (np.asarray(column, float) > 5).astype(int)


def fitted(pipeline, x, y=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few epochs do not converge
        return pipeline.fit(x, labels(x) if y is None else y)


def classify(*steps):
    """Pipeline of these steps and a classifier, not fitted."""
    named = [
        (f"{name}-{i}" if isinstance(step, str) else name, step)
        for i, (name, step) in enumerate(make_pipeline(*steps).steps)
    ]
    return Pipeline([*named, ("mlp", MLPClassifier(**SHORT))])


def by_position():
    """A ColumnTransformer of all kinds of steps, for the mixed rows."""
    return ColumnTransformer(
        [
            ("gaps", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), [0, 1]),
            ("size", RobustScaler(), slice(2, 3)),
            ("town", OneHotEncoder(handle_unknown="ignore", min_frequency=5), [3]),
            ("owner", OrdinalEncoder(), [5]),
        ],
        remainder="passthrough",
    )


def scaled():
    """Fitted numbers in front of a classifier."""
    x = numbers(gaps=True)
    return fitted(classify(SimpleImputer(), StandardScaler(), MinMaxScaler()), x)


def of_columns():
    """Fitted mixed columns in front of a regressor."""
    pipeline = Pipeline([("columns", by_position()), ("mlp", MLPRegressor(**SHORT))])
    x = mixed()
    return fitted(pipeline, x, x[:, 1].astype(float) / 10)


def rows_for(pipeline):
    """Rows that a pipeline of this file takes."""
    is_mixed = isinstance(pipeline[0], ColumnTransformer)
    return mixed(20, seed=9) if is_mixed else numbers(20, gaps=True, seed=9)
