"""A search that ends in a fraction of a second, and an estimator whose scores are known."""

from __future__ import annotations

import numpy as np
from scipy.stats import uniform
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from fastmlp import MLPClassifier
from fastmlp.search import SuccessiveHalvingSearch

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
SPACE = {"learning_rate_init": uniform(1e-3, 0.1), "activation": ["relu", "tanh"]}


class Grower(RegressorMixin, BaseEstimator):
    """Scores ``start + slope * epochs``; fails at an epoch, if it is told to."""

    def __init__(self, start=0.0, slope=0.0, fails_at=None, random_state=None):
        self.start, self.slope, self.fails_at = start, slope, fails_at
        self.random_state = random_state

    def partial_fit(self, X, y=None, sample_weight=None):
        self.epochs_ = getattr(self, "epochs_", 0) + 1
        self.seen_ = [*getattr(self, "seen_", []), (len(X), sample_weight)]
        if self.epochs_ == self.fails_at:
            raise FloatingPointError(f"start={self.start} fails at {self.epochs_}")
        return self

    def fit(self, X, y=None):
        return self.partial_fit(X, y)

    def predict(self, X):
        return np.full(len(X), self.start)

    def score(self, X, y=None):
        return self.start + self.slope * self.epochs_


class Voter(ClassifierMixin, BaseEstimator):
    """Keeps what `partial_fit` was given."""

    def partial_fit(self, X, y, classes=None):
        self.classes_given_ = [*getattr(self, "classes_given_", []), classes]
        return self

    fit = partial_fit

    def score(self, X, y):
        return 0.0


def search(estimator=None, space=SPACE, **parameters):
    """A search of 9 configurations over 9 epochs and 2 splits."""
    given = {"n_candidates": 9, "max_epochs": 9, "cv": 2, "random_state": 0, "n_workers": 2}
    given |= parameters
    if not isinstance(given.get("backend", ""), str):
        del given["n_workers"]
    estimator = estimator or MLPClassifier(hidden_layer_sizes=(5,), n_threads=1)
    return SuccessiveHalvingSearch(estimator, space, **given)


def results(found):
    """`cv_results_` without times, as plain lists."""
    table = {name: column for name, column in found.cv_results_.items() if "_time" not in name}
    return {name: getattr(column, "tolist", lambda c=column: c)() for name, column in table.items()}


def weights(found):
    """Bytes of the weights of the best estimator."""
    return [array.tobytes() for array in found.best_estimator_.coefs_]
