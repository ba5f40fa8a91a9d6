"""An estimator as scikit-learn's own, with the same predictions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp.estimators.parameters import hidden_sizes
from fastmlp.losses import ALIASES

if TYPE_CHECKING:
    from fastmlp.estimators.base import BaseMLP

SOLVERS = {"nesterov": "sgd", "adamw": "adam", "rmsprop": "adam"}
"""scikit-learn's solver that is closest to one that it does not have."""

RATES = ("constant", "invscaling", "adaptive")
ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu", "identity": "identity"}
COPIED = ("n_layers_", "n_outputs_", "out_activation_", "n_iter_", "t_", "loss_", "loss_curve_",
          "best_loss_", "validation_scores_", "best_validation_score_", "n_features_in_",
          "feature_names_in_", "classes_")  # fmt: skip


def to_sklearn(estimator: BaseMLP, cls: type[Any]) -> Any:
    """A fitted object of scikit-learn's class `cls` with copies of the weights and records."""
    network = estimator.network_
    result = cls(**_parameters(estimator, cls, _activation(network.activations)))
    result.coefs_ = [np.array(w[:, 1:].T, order="C") for w in network.weights]
    result.intercepts_ = [w[:, 0].copy() for w in network.weights]
    for name in COPIED:
        if hasattr(estimator, name):
            setattr(result, name, copy.copy(getattr(estimator, name)))
    result._no_improvement_count = 0
    if hasattr(estimator, "_targets"):
        result._label_binarizer = _label_binarizer(estimator._targets)
    return result


def _activation(activations: tuple[str, ...]) -> str:
    """scikit-learn's name of the function that all hidden layers have."""
    names = {ACTIVATIONS.get(name, "") for name in activations} or {"relu"}
    if len(names) > 1 or "" in names:
        raise ValueError(
            f"scikit-learn wants one of {', '.join(ALIASES | ACTIVATIONS)} for all hidden layers; "
            f"this network has {', '.join(activations)}"
        )
    return names.pop()


def _parameters(estimator: BaseMLP, cls: type[Any], activation: str) -> dict[str, Any]:
    """The parameters that both have; what scikit-learn does not know is replaced."""
    ours = estimator.get_params(deep=False)
    parameters = {name: ours[name] for name in cls._get_param_names() if name in ours}
    parameters |= {
        "activation": activation,
        "hidden_layer_sizes": hidden_sizes(estimator.hidden_layer_sizes),
        "solver": SOLVERS.get(estimator.solver, estimator.solver),
    }
    if estimator.learning_rate not in RATES:
        parameters["learning_rate"] = "constant"
    if not isinstance(estimator.validation_fraction, float):
        parameters["validation_fraction"] = 0.1
    return parameters


def _label_binarizer(targets: Any) -> Any:
    """scikit-learn's between labels and outputs."""
    from sklearn.preprocessing import LabelBinarizer

    binarizer = LabelBinarizer()
    if targets.kind == "multilabel":
        indicators = np.array([np.zeros(len(targets.classes)), np.ones(len(targets.classes))], int)
        if targets.sparse:
            from scipy.sparse import csr_matrix

            return binarizer.fit(csr_matrix(indicators))
        return binarizer.fit(indicators)
    return binarizer.fit(targets.classes)
