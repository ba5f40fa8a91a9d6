"""Help for the tests of the studies: tiny runs, stored results, and what figures show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fastmlp.studies import find_study
from fastmlp.studies.best_of_60s.ensemble import Recipe
from fastmlp.studies.lab.session import Session

DOCS = Path(__file__).parents[2] / "docs" / "studies"
STORED = Path(__file__).parents[1] / "studies" / "results"
"""Results of tiny runs, made by ``python tests/tools/study_tools.py NAME``."""

SMALL_CNN = {"n_train": 150, "n_validation": 50, "maps": (3, 4), "n_epochs": 2}

TINY: dict[str, dict[str, Any]] = {
    "first-run": {"n_train": 200, "n_epochs": 6, "seeds": (0, 1), "hidden": (8,)},
    "regularisation": {
        "n_train": 200,
        "n_epochs": 12,
        "seeds": (0, 1),
        "hidden": (8,),
        "lambdas": (0.01, 0.2),
        "other_scales": ("none",),
        "lambda_of_other_scales": 0.2,
    },
    "learning-rate": {
        "n_train": 200,
        "n_epochs": 5,
        "seeds": (0, 1),
        "hidden": (8,),
        "rates": (1e-3, 1e-2),
        "schedules": ("constant", "cumulative"),
        "initializers": ("sqrt_nodes", "he"),
        "scales": ("feature", "none"),
    },
    "batch-size": {
        "n_train": 200,
        "n_epochs": 4,
        "seeds": (0, 1),
        "hidden": (8,),
        "batch_sizes": (5, 50, 200),
        "timed_epochs": 1,
    },
    "bias-variants": {"batches": (50, 200), "repetitions": (5, 3)},
    "performance": {"n_train": 200, "batch_sizes": (50, 200), "n_epochs": 4, "hidden": (8,)},
    "perceptron": {"n_starts": 5, "n_steps": 50, "n_paths": 2, "rates": (1e-6, 1e-3, 0.1)},
    "softmax-vs-sigmoid": {
        "n_train": 200,
        "n_epochs": 4,
        "seeds": (0, 1),
        "hidden": (8,),
        "activations": ("sigmoid", "relu"),
        "rates": (1e-3, 1e-2),
    },
    "threads": {"n_train": 200, "thread_counts": (1,), "n_epochs": 2, "hidden": (8,)},
    "products": {
        "n_train": 200,
        "widths": (16, 144),
        "batch_sizes": (50,),
        "thread_counts": (1,),
        "n_rounds": 2,
    },
    "mini-batches": {
        "n_train": 200,
        "hidden": (8,),
        "path_begin": 2,
        "path_epochs": 3,
        "grid": 5,
        "grid_rows": 100,
        "sizes": (10, 50),
        "n_batches": 4,
        "half_epochs": 4,
        "batch_epochs": 3,
        "full_epochs": 3,
        "full_rates": (1.0, 4.0),
    },
    "confusion": {"n_train": 300, "n_epochs": 12, "hidden": (12, 8)},
    "clusters": {
        "n_train": 200,
        "n_epochs": 8,
        "hidden": (8,),
        "n_clusters": (5, 10),
        "seeds": (0, 1),
        "codings": ("distances", "nearest+pixels"),
    },
    "moons": {
        "n_train": 100,
        "n_epochs": 8,
        "shown_epochs": (0, 3, 8),
        "stored_resolution": 0.4,
        "resolution": 0.4,
        "degrees": (2,),
    },
    "best-of-60s": {
        "n_train": 200,
        "seconds": 0.1,
        "trial_seconds": 0.05,
        "recipes": (Recipe((8,), 2, dropout=0.2), Recipe((8,), 1, 1)),
    },
    "seeds": {"n_train": 200, "n_networks": 4, "n_epochs": 10, "hidden": (8,)},
    "special-records": {
        "n_train": 200,
        "n_epochs": 8,
        "seeds": (0, 1),
        "hidden": (8,),
        "removed": (0.05, 0.3),
    },
    "populations": {"n_train": 200, "n_epochs": 6, "hidden": (8,), "seeds": (0, 1)},
    "bias-off": {
        "n_train": 200,
        "n_epochs": 4,
        "hidden": (8,),
        "activations": ("sigmoid",),
        "rates": (0.04,),
        "seeds": (0, 1),
    },
    "kmeans": {
        "n_train": 200,
        "n_clusters": (5, 20),
        "scales": ("unit", "feature"),
        "seeds": (0, 1),
        "shown": 20,
    },
    "autoencoder": {
        "n_train": 200,
        "hidden": (8,),
        "widths": (2, 4),
        "left_out": (7,),
        "n_epochs": 3,
    },
    "landscapes": {
        "n_train": 200,
        "planes": (("sigmoid", (8,)), ("relu", (6, 6, 6, 6))),
        "grid": 5,
        "grid_rows": 50,
        "widths": (6, 12),
        "n_steps": 5,
        "n_epochs": 3,
    },
    "cnn-dense-layers": {**SMALL_CNN, "dense": ((6,), (6, 6))},
    "cnn-outputs": {**SMALL_CNN, "dense": (6,), "rates": (0.01,)},
    "cnn-optimizers": {**SMALL_CNN, "dense": (6,)},
    "cnn-augmentation": {**SMALL_CNN, "dense": 6},
}
"""Changes of the quick configuration on digits, with which a run takes about a second."""


def tiny_config(name: str) -> Any:
    return replace(find_study(name).configure("digits", True), **TINY[name])


def run_tiny(name: str) -> dict[str, Any]:
    return find_study(name).run(tiny_config(name), Session(name, quick=True, n_threads=2))


def stored(name: str) -> dict[str, Any]:
    return json.loads((STORED / f"{name}.json").read_text())


def lines(axes: Axes) -> dict[str, np.ndarray]:
    """Label -> (2, n) points."""
    return {str(line.get_label()): np.array(line.get_data(), float) for line in axes.get_lines()}


def select(result, **wanted):
    return [
        run for run in result["runs"] if all(run[name] == value for name, value in wanted.items())
    ]


def mean(runs, name):
    return np.mean([run[name] for run in runs], axis=0)


def shape_of(value: Any) -> Any:
    """Keys and types of a result, to compare a stored one with what a run gives now."""
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items() if key != "environment"}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return "number" if isinstance(value, int | float) else type(value).__name__


if __name__ == "__main__":
    import sys

    for name in sys.argv[1:]:
        text = json.dumps(run_tiny(name), separators=(",", ":"), ensure_ascii=False)
        (STORED / f"{name}.json").write_text(text + "\n")
