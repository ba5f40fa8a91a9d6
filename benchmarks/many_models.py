"""Time of fit_many over that of a loop over scikit-learn's estimator, for one model per group.

Both in wall time and in seconds of processors, which a busy machine disturbs less.
The loop is timed on a sample of the groups, half of it before and half after fit_many; times are
per group. Those of fit_many include the start of its processes.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings

import numpy as np
from sklearn.neural_network import MLPRegressor as SklearnRegressor

from fastmlp import MLPRegressor
from fastmlp.search import fit_many

N_ROWS, N_FEATURES = 60, 3


def make_data(n_groups):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_groups * N_ROWS, N_FEATURES))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=len(X))
    return X, y, np.repeat(np.arange(n_groups), N_ROWS)


def seconds():
    """Return wall time, and processor time of this process and its children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in usage)])


def loop_seconds(X, y, groups, numbers):
    """Return seconds of scikit-learn's fits to the groups of these numbers."""
    rows = [groups == number for number in numbers]
    start = seconds()
    for of_group in rows:
        model = SklearnRegressor(hidden_layer_sizes=(6,), max_iter=100, random_state=0)
        model.fit(X[of_group], y[of_group])
    return seconds() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=200, help="groups that scikit-learn fits")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    X, y, groups = make_data(options.groups)
    sample = np.random.default_rng(1).choice(options.groups, options.sample, replace=False)
    model = MLPRegressor(hidden_layer_sizes=(6,), max_iter=100)
    for _ in range(options.repeats):
        before = loop_seconds(X, y, groups, sample[::2])
        start = seconds()
        fit_many(model, X, y, groups, random_state=0, n_workers=options.workers)
        ours = (seconds() - start) / options.groups
        theirs = (before + loop_seconds(X, y, groups, sample[1::2])) / options.sample
        for name, a, b in zip(("wall", "processors"), theirs, ours, strict=True):
            print(f"{name}: {1000 * a:.2f} and {1000 * b:.2f} ms per group, ratio {a / b:.1f}")


if __name__ == "__main__":
    main()
