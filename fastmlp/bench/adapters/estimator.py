"""MLPClassifier and MLPRegressor in typical use: defaults, and one call of `fit`.

The variant is the package that brings them, "fastmlp" or "sklearn.neural_network". Both have the
same parameters with the same meanings, so the settings here are equal because they are written
once. Threads come from the environment, as for any user.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
import scipy
import sklearn
from sklearn.exceptions import ConvergenceWarning

from fastmlp._version import __version__
from fastmlp.bench.adapters.contract import Fitter
from fastmlp.bench.adapters.job import Job
from fastmlp.engine import _core


class Contestant(Fitter):
    """A new estimator for every fit."""

    def versions(self) -> dict[str, str]:
        """fastmlp's estimators are built on scikit-learn's base classes."""
        own = {"fastmlp": __version__, "simd": _core.selected_level()}
        return {
            **(own if self.variant == "fastmlp" else {}),
            "sklearn": sklearn.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        }

    def prepare(self, job: Job) -> None:
        """Labels as integers, numbers as (n,) of the job's dtype."""
        self._job = job
        name = "MLPRegressor" if job.regression else "MLPClassifier"
        self._class = getattr(import_module(self.variant), name)
        y = self.data.y_train
        self._y = y[:, 0] if job.regression else y.argmax(axis=1)
        self._model: Any = None

    def fit(self, max_epochs: int) -> int:
        """Fit; the time of this call is what is measured."""
        self._model = self._class(max_iter=max_epochs, random_state=self._job.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(self.data.x_train, self._y)
        return int(self._model.n_iter_)

    def accuracy(self) -> float:
        """`score`: the share of the test rows recognized, or R²."""
        return float(self._model.score(self.data.x_test, self.data.labels_test))
