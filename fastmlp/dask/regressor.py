"""DaskMLPRegressor: MLPRegressor for Dask collections."""

from __future__ import annotations

from sklearn.base import RegressorMixin

from fastmlp.dask.estimators import ClusterEstimator, with_parameters_of
from fastmlp.estimators.regressor import MLPRegressor


@with_parameters_of(MLPRegressor)
class DaskMLPRegressor(RegressorMixin, ClusterEstimator):  # type: ignore[misc]
    """MLPRegressor that is trained on the workers of a Dask cluster.

    It has the parameters and the fitted attributes of :class:`fastmlp.MLPRegressor`, and three
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
    ``solver="lbfgs"`` needs all rows at once, and `early_stopping` needs `X_val`.
    """

    __module__ = "fastmlp.dask"
