"""Small tables for the tests of the estimators for tables."""

from __future__ import annotations

import numpy as np
import pandas as pd


def mixed(n_rows=300, seed=0):
    """A table with a column of every kind, with gaps, and what depends on it: numbers (n_rows,)."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n_rows),
            "town": rng.choice(["Bonn", "Ulm", "Kiel", None], n_rows),
            "street": rng.integers(0, 60, n_rows).astype(str),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n_rows), "D"),
            "flag": rng.random(n_rows) > 0.5,
            "count": pd.array(rng.integers(0, 5, n_rows), dtype="Int64"),
            "size": pd.Categorical(rng.choice(["S", "M", "L"], n_rows), ["S", "M", "L"], True),
            "constant": 1.0,
        }
    )
    truth = table["age"] / 10 + 3 * (table["town"] == "Ulm") + 2 * table["size"].cat.codes
    truth += table["street"].astype(int) % 2
    table.loc[::7, "age"] = np.nan
    table.loc[::9, "count"] = pd.NA
    table.loc[::11, "when"] = pd.NaT
    return table, truth.to_numpy(float) + 0.1 * rng.normal(size=n_rows)


QUICK = {"n_members": 2, "network": {"max_epochs": 15}, "random_state": 0, "n_threads": 1}
"""Parameters of a short fit."""
