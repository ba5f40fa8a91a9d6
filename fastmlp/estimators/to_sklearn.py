"""Conversion of a fitted estimator to scikit-learn's estimator, with the same predictions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastmlp.estimators.parameters import ADAPTED_RATES, hidden_sizes
from fastmlp.estimators.targets import ClassTargets
from fastmlp.losses import ALIASES
from fastmlp.network.network import Network

SOLVERS = {"nesterov": "sgd", "adamw": "adam", "rmsprop": "adam"}
"""Closest scikit-learn solver for each solver that scikit-learn does not have."""

LOSSES = {"identity": "squared_error", "exponential": "poisson"}
"""Losses of scikit-learn's regressor, by the function of its outputs; others become these."""

ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu", "identity": "identity"}
COPIED = ("n_layers_", "n_outputs_", "out_activation_", "n_iter_", "t_", "loss_", "loss_curve_",
          "best_loss_", "validation_scores_", "best_validation_score_", "n_features_in_",
          "feature_names_in_", "classes_")  # fmt: skip


def to_sklearn(
    name: str, network: Network, parameters: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Any:
    """Return a fitted estimator of scikit-learn with copies of the weights and records.

    Parameters
    ----------
    name : {"MLPClassifier", "MLPRegressor"}
    network : Network
    parameters : mapping
        Parameters of this package's estimator.
    attributes : mapping
        Its fitted attributes, and its ClassTargets as "_targets" if it has any.

    Raises
    ------
    ValueError
        If the hidden layers do not share an activation that scikit-learn has, or the outputs are
        several quantiles.
    """
    import sklearn.neural_network

    if network.output == "increasing":
        raise ValueError("scikit-learn has no outputs that increase; several quantiles need them")
    cls = getattr(sklearn.neural_network, name)
    result = cls(**_parameters(parameters, cls, _activation(network.activations), network.output))
    result.coefs_ = [np.array(w[:, 1:].T, order="C") for w in network.weights]
    result.intercepts_ = [w[:, 0].copy() for w in network.weights]
    for copied in COPIED:
        if copied in attributes:
            setattr(result, copied, copy.copy(attributes[copied]))
    result._no_improvement_count = 0
    if result.early_stopping:  # to which a fit with warm_start returns if it finds no better ones
        result._best_coefs = [w.copy() for w in result.coefs_]
        result._best_intercepts = [b.copy() for b in result.intercepts_]
    if "_targets" in attributes:
        result._label_binarizer = _label_binarizer(attributes["_targets"])
    return result


def _activation(activations: tuple[str, ...]) -> str:
    """Return scikit-learn's name of the activation that all hidden layers share."""
    names = {ACTIVATIONS.get(name, "") for name in activations} or {"relu"}
    if len(names) > 1 or "" in names:
        raise ValueError(
            f"scikit-learn needs one of {', '.join(ALIASES | ACTIVATIONS)} for all hidden layers; "
            f"this network has {', '.join(activations)}"
        )
    return names.pop()


def _parameters(
    ours: Mapping[str, Any], cls: type[Any], activation: str, output: str
) -> dict[str, Any]:
    """Return the common parameters, with values that scikit-learn does not allow replaced."""
    parameters = {name: ours[name] for name in cls._get_param_names() if name in ours}
    if parameters.get("loss", "log_loss") not in ("log_loss", *LOSSES.values()):
        parameters["loss"] = LOSSES[output]
    parameters |= {
        "activation": activation,
        "hidden_layer_sizes": hidden_sizes(ours["hidden_layer_sizes"]),
        "solver": SOLVERS.get(ours["solver"], ours["solver"]),
    }
    if ours["learning_rate"] not in ADAPTED_RATES:
        parameters["learning_rate"] = "constant"
    if not isinstance(ours["validation_fraction"], float):
        parameters["validation_fraction"] = 0.1
    return parameters


def _label_binarizer(targets: ClassTargets) -> Any:
    """Return a fitted LabelBinarizer of scikit-learn for these classes."""
    from sklearn.preprocessing import LabelBinarizer

    binarizer = LabelBinarizer()
    if targets.kind == "multilabel":
        indicators = np.array([np.zeros(len(targets.classes)), np.ones(len(targets.classes))], int)
        if targets.sparse:
            from scipy.sparse import csr_matrix

            return binarizer.fit(csr_matrix(indicators))
        return binarizer.fit(indicators)
    return binarizer.fit(targets.classes)
