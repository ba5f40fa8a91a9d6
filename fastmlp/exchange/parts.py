"""Parts of a model that exports need: network and scaling, for every type of model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.myann.myann import MyANN
from fastmlp.network.network import Network

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier, MLPRegressor
    from fastmlp.estimators.base import BaseMLP

    Model = Network | MyANN | MLPClassifier | MLPRegressor


def network_of_model(model: object) -> Network:
    """Return the network of a Network, a MyANN or a fitted estimator.

    Raises
    ------
    TypeError
        For other objects.
    sklearn.exceptions.NotFittedError
    """
    if isinstance(model, Network):
        return model
    if isinstance(model, MyANN):
        return model.network
    if as_estimator(model) is not None:
        return model.network_  # type: ignore[attr-defined, no-any-return]
    raise TypeError(
        "model must be a Network, a MyANN, an MLPClassifier, an MLPRegressor, or a Pipeline that "
        "ends in one of the latter two; "
        f"got {type(model).__name__}"
    )


def as_estimator(model: object) -> BaseMLP | None:
    """Return the model if it is an estimator, else None, without importing scikit-learn."""
    estimators = sys.modules.get("fastmlp.estimators")  # if not imported, it is no estimator
    if estimators is None:
        return None
    from fastmlp.estimators.base import BaseMLP

    return model if isinstance(model, BaseMLP) else None


def scaling(model: object) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return mean and deviation, each (1 or n_features,), of the model's scaler, or None."""
    fitted = model.scaler.standard_scaler if isinstance(model, MyANN) else None
    if fitted is None:
        return None
    return np.asarray(fitted.mean_, np.float64), np.asarray(fitted.scale_, np.float64)


def is_pipeline(model: object) -> bool:
    """Whether the model is a Pipeline of scikit-learn, not of a subclass; without importing it."""
    module = sys.modules.get("sklearn.pipeline")
    return module is not None and type(model) is module.Pipeline
