"""DaskMLPClassifier: MLPClassifier for Dask collections."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassifierMixin

from fastmlp.dask.estimators import ClusterEstimator, with_parameters_of
from fastmlp.estimators.classifier import MLPClassifier


@with_parameters_of(MLPClassifier)
class DaskMLPClassifier(ClassifierMixin, ClusterEstimator):  # type: ignore[misc]
    """MLPClassifier that is trained on the workers of a Dask cluster.

    It has the parameters and the fitted attributes of :class:`fastmlp.MLPClassifier`, and three
    parameters more. The fitted network does not depend on the number of workers.

    Parameters
    ----------
    client : distributed.Client, optional
        By default the current one. Not among the parameters that `get_params` returns, and neither
        copied by scikit-learn's `clone` nor pickled.
    n_shards : int >= 1
        Parts of the rows whose gradients are summed by themselves; see :func:`fastmlp.dask.train`.
    patience : float > 0
        Seconds of silence after which a worker is taken for dead.

    Notes
    -----
    ``solver="lbfgs"`` and ``class_weight="balanced"`` need all rows at once, and `early_stopping`
    needs `X_val`.
    """

    __module__ = "fastmlp.dask"

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of all classes, (n, n_classes); lazy for a Dask collection."""
        return self._mapped("predict_proba", X)

    def decision_function(self, X: Any) -> Any:
        """Return the output layer's sums as the local estimator does; lazy for a collection."""
        return self._mapped("decision_function", X)
