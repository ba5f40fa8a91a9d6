"""Ten fixed training runs and the SHA-256 of their final weights, as JSON.

Only public names are used, so two checkouts of the project can be compared. On one machine, with
one build of NumPy, SciPy and scikit-learn, equal hashes mean that no bit of a weight has changed:

    PYTHONPATH=/path/to/old python tests/tools/fixed_trainings.py > old.json
    PYTHONPATH=/path/to/new python tests/tools/fixed_trainings.py > new.json
    diff old.json new.json

The hashes are not stored in the repository, because the last bits depend on the processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Callable

import numpy as np

from fastmlp import MLPClassifier, MLPRegressor, MyANN, Network, Trainer

Arrays = list[np.ndarray]


def classes(dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian inputs (500, 20) of a dtype and int64 labels (500,) in 0..3."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 4, 500)
    inputs = rng.normal(size=(500, 20)) + 0.5 * np.eye(4, 20)[labels]
    return inputs.astype(dtype), labels


def trainer(dtype: str, engine: str, n_threads: int, **options) -> Arrays:
    """Train 20-17-9-4 for five epochs; `options` are those of Trainer."""
    inputs, labels = classes(dtype)
    network = Network([20, 17, 9, 4], dtype=dtype, activation=["tanh", "relu"], random_state=3)
    fixed = {"batch_size": 64, "learning_rate": 0.01, "random_state": 4}
    run = Trainer(network, engine=engine, n_threads=n_threads, **fixed, **options)
    run.fit(inputs, np.eye(4, dtype=dtype)[labels], n_epochs=5)
    return [network.parameters]


def myann(dtype: str, engine: str, n_threads: int) -> Arrays:
    """Train the articles' class for five epochs."""
    inputs, labels = classes()
    data = (inputs[:400], labels[:400], inputs[400:], labels[400:])
    shape = {"ay_nodes_layers": [0, 15, 0], "n_nodes_layer_out": 4}
    fixed = {"n_epochs": 5, "random_state": 5, "b_verbose": False}
    ann = MyANN(data, **shape, **fixed, dtype=dtype, engine=engine, n_threads=n_threads)
    return [ann.network.parameters]


def estimator(cls: type, solver: str, n_threads: int, **options) -> Arrays:
    """Fit an estimator with two hidden layers for eight epochs or iterations."""
    inputs, labels = classes()
    targets = labels if cls is MLPClassifier else inputs[:, :2] * labels[:, None]
    fixed = {"hidden_layer_sizes": (12, 8), "max_iter": 8, "random_state": 6}
    model = cls(solver=solver, n_threads=n_threads, **fixed, **options)
    model.fit(inputs, targets)
    return [*model.coefs_, *model.intercepts_]


TRAININGS: dict[str, Callable[[int], Arrays]] = {
    "Trainer, engine, float32": lambda n: trainer(
        "float32", "native", n, l1=1e-4, l2=1e-3, dropout=0.2
    ),
    "Trainer, engine, float64, Adam": lambda n: trainer("float64", "native", n, optimizer="adam"),
    "Trainer, reference, float32": lambda n: trainer(
        "float32", "numpy", n, l1=1e-4, l2=1e-3, dropout=0.2
    ),
    "Trainer, reference, float64, Adam": lambda n: trainer("float64", "numpy", n, optimizer="adam"),
    "MyANN, engine, float32": lambda n: myann("float32", "native", n),
    "MyANN, reference, float64": lambda n: myann("float64", "numpy", n),
    "MLPClassifier, sgd, float64": lambda n: estimator(MLPClassifier, "sgd", n),
    "MLPClassifier, adam, float32": lambda n: estimator(MLPClassifier, "adam", n, dtype="float32"),
    "MLPClassifier, lbfgs, float64": lambda n: estimator(MLPClassifier, "lbfgs", n),
    "MLPRegressor, adam, float64": lambda n: estimator(MLPRegressor, "adam", n),
}
"""Training runs by name, as functions of the number of threads."""


def sha256(arrays: Arrays) -> str:
    """Return the SHA-256 of dtypes, shapes and values, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def hashes(n_threads: int) -> dict[str, str]:
    """Run all trainings; return the hash of the final weights by name of the run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eight epochs do not converge
        return {name: sha256(train(n_threads)) for name, train in TRAININGS.items()}


def main(arguments: list[str] | None = None) -> None:
    """Print the hashes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-threads", type=int, default=2)
    options = parser.parse_args(arguments)
    json.dump(hashes(options.n_threads), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
