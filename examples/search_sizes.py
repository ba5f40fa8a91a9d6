"""Which hidden layers? A search on threads
========================================

::

    python examples/search_sizes.py [--quick] [--jobs N]

`fit` releases the GIL, so joblib's threads train on all cores, without processes to start and
without copies of X. The scores are the same for every number of jobs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter

import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fastmlp import MLPClassifier, datasets

SIZES = ("16", "64", "64x32", "128x64", "32x32x32")
RATES = (0.001, 0.01)


def make_search(n_jobs: int, max_iter: int) -> GridSearchCV:
    """All sizes with all rates, each on three folds; one thread per fit, n_jobs fits at a time."""
    network = MLPClassifier(
        learning_rate="cosine",
        max_iter=max_iter,
        n_iter_no_change=np.inf,  # the schedule says when to stop
        n_threads=1,
        random_state=0,
    )
    return GridSearchCV(
        make_pipeline(MinMaxScaler(), network),
        {
            "mlpclassifier__hidden_layer_sizes": SIZES,
            "mlpclassifier__learning_rate_init": RATES,
        },
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        n_jobs=n_jobs,
    )


def main(arguments: Sequence[str] | None = None) -> GridSearchCV:
    """Search, print all results, and return the search."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="5 epochs in place of 40")
    parser.add_argument("--jobs", type=int, default=-1, help="fits at a time; default: one a core")
    options = parser.parse_args(arguments)

    data = datasets.load("digits")
    search = make_search(options.jobs, max_iter=5 if options.quick else 40)
    start = perf_counter()
    with joblib.parallel_config(backend="threading"):
        search.fit(data.X_train, data.y_train)
    results = search.cv_results_
    print(f"{3 * len(results['params'])} fits in {perf_counter() - start:.1f} s")
    print(f"{'layers':<10}{'rate':>6}{'accuracy':>10}")
    for rank in results["rank_test_score"].argsort():
        size, rate = results["params"][rank].values()
        print(f"{size:<10}{rate:>6}{results['mean_test_score'][rank]:>10.4f}")
    print(f"the best one on {len(data.X_test)} other digits: ", end="")
    print(f"{search.score(data.X_test, data.y_test):.4f}")
    return search


if __name__ == "__main__":
    main()
