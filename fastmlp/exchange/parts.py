"""What the exports take out of a model, of whatever kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.myann.myann import MyANN
from fastmlp.network.network import Network

if TYPE_CHECKING:
    from fastmlp.estimators.base import BaseMLP


def network_of_model(model: object) -> Network:
    """The network of a Network, a MyANN or a fitted estimator.

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
        "model must be a Network, a MyANN, an MLPClassifier or an MLPRegressor; "
        f"got {type(model).__name__}"
    )


def as_estimator(model: object) -> BaseMLP | None:
    """The model where it is an estimator; scikit-learn is not imported to find that it is none."""
    import sys

    base = sys.modules.get("fastmlp.estimators.base")
    return model if base is not None and isinstance(model, base.BaseMLP) else None


def scaling(model: object) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Mean and deviation (1 or n_features,) that the model takes off its input, if it does."""
    fitted = model.scaler.standard_scaler if isinstance(model, MyANN) else None
    if fitted is None:
        return None
    return np.asarray(fitted.mean_, np.float64), np.asarray(fitted.scale_, np.float64)
