"""MLPClassifier and MLPRegressor as what a model file holds, and back.

Saved are the parameters, the weights, what the fitted attributes say, and the state that lets
`partial_fit` and warm starts go on. Callbacks are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks.plateau import Plateau
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.estimators.base import BaseMLP
from fastmlp.estimators.coefficients import Architecture
from fastmlp.estimators.parameters import check_parameters
from fastmlp.estimators.settings import Memory
from fastmlp.estimators.targets import ClassTargets
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.plain_values import encode
from fastmlp.myann.document import restore_classes
from fastmlp.network.document import check_dtype_name, checked, describe_network, restore_network
from fastmlp.network.network import Network
from fastmlp.optimizers import OPTIMIZERS

ESTIMATORS: dict[str, type[BaseMLP]] = {
    "MLPClassifier": MLPClassifier,
    "MLPRegressor": MLPRegressor,
}
FLOAT64 = np.dtype(np.float64)

_NUMBERS = {
    "n_iter_": int, "t_": int, "loss_": float, "best_loss_": float, "best_epoch_": int,
    "best_validation_score_": float, "_monitored": str,
}  # fmt: skip
"""Fitted attributes that are one value each, and its type; each may be None or missing."""

_OTHERS = {
    "coefs_", "intercepts_", "_weights", "_architecture", "n_layers_", "n_outputs_",
    "out_activation_", "n_features_in_", "feature_names_in_", "classes_", "_targets",
    "loss_curve_", "validation_scores_", "history_", "_plateau", "_training", "_best_parameters",
    "_skl_callbacks",
}  # fmt: skip
"""Attributes that are saved in another form, or follow from what is saved."""


def describe_estimator(estimator: BaseMLP) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Document and arrays of a fitted estimator.

    Raises
    ------
    sklearn.exceptions.NotFittedError
    TypeError
        For parameters and attributes that cannot be saved, by name.
    """
    network = estimator.network_
    parameters = estimator.get_params(deep=False)
    check_parameters(parameters, estimator._losses)
    _refuse_unknown(estimator, parameters)
    if parameters["dtype"] is not None:
        parameters["dtype"] = np.dtype(parameters["dtype"]).name
    document, arrays = describe_network(network)
    names = getattr(estimator, "feature_names_in_", None)
    document |= {
        "parameters": {name: _encoded(name, value) for name, value in parameters.items()},
        "fitted": {name: _encoded(name, getattr(estimator, name, None)) for name in _NUMBERS},
        "feature_names": None if names is None else encode(names),
        "plateau": {name: encode(value) for name, value in vars(estimator._plateau).items()},
        "history": list(estimator.history_),
    }
    if isinstance(estimator, MLPClassifier):
        targets = estimator._targets
        document["classes"] = _encoded("classes_", targets.classes)
        document["targets"] = {"kind": targets.kind, "sparse": targets.sparse}
    arrays["history"] = np.array(list(estimator.history_.values()), FLOAT64, ndmin=2)
    arrays["loss_curve"] = np.array(estimator.loss_curve_, FLOAT64)
    if estimator.validation_scores_ is not None:
        arrays["validation_scores"] = np.array(estimator.validation_scores_, FLOAT64)
    if estimator._best_parameters is not None:
        arrays["best_parameters"] = estimator._best_parameters
    document["training"] = _describe_training(estimator, arrays)
    return document, arrays


def _refuse_unknown(estimator: BaseMLP, parameters: dict[str, Any]) -> None:
    """Nothing is left out without a word."""
    if getattr(estimator, "_skl_callbacks", None):
        raise TypeError("callbacks cannot be saved; remove them with set_callbacks() first")
    unknown = set(vars(estimator)) - set(parameters) - set(_NUMBERS) - _OTHERS
    if unknown:
        raise TypeError(
            f"the attribute {min(unknown)!r} cannot be saved; delete it from the estimator first"
        )


def _encoded(name: str, value: Any) -> Any:
    try:
        return encode(value)
    except TypeError as error:
        raise TypeError(
            f"{name}={value!r}: {error}; a model file holds numbers, texts, arrays, and lists and "
            "mappings of these"
        ) from None


def _describe_training(
    estimator: BaseMLP, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any] | None:
    """What the next partial_fit goes on with."""
    if estimator._training is None:
        return None
    memory = estimator._training.as_memory()
    arrays["optimizer.states"] = memory.states
    return {
        "optimizer": memory.settings["optimizer"].name,
        "initial_learning_rate": float(memory.settings["learning_rate"]),
        "learning_rate": float(memory.learning_rate),
        "n_steps": memory.n_steps,
        "epochs_done": memory.epochs_done,
    }


def restore_estimator(kind: str, document: Fields, arrays: Arrays) -> BaseMLP:
    """The estimator of a document; parameters and their relations are checked as in `fit`."""
    network = restore_network(document, arrays)
    estimator = _unfitted(ESTIMATORS[kind], document.fields("parameters"))
    if isinstance(estimator, MLPClassifier):
        estimator._targets = _restore_targets(document, network)
        estimator.classes_ = estimator._targets.classes
    if estimator._output_and_loss()[0] != network.output:
        raise ModelFormatError(f"a {kind} of these parameters does not end in {network.output!r}")
    estimator._architecture = Architecture(
        network.sizes, network.activations, network.output, network.dtype.name
    )
    estimator._adopt(network)
    estimator.n_features_in_ = network.sizes[0]
    _restore_feature_names(estimator, document)
    estimator._clear_records()
    _restore_records(estimator, document, arrays)
    _restore_progress(estimator, network, document, arrays)
    return estimator


def _unfitted(cls: type[BaseMLP], fields: Fields) -> BaseMLP:
    known = cls._get_param_names()
    parameters = {name: fields.plain(name) for name in fields.names() if name in known}
    fields.end()
    check_dtype_name(parameters, fields.where)

    def build() -> BaseMLP:
        estimator = cls(**parameters)
        check_parameters(estimator.get_params(deep=False), cls._losses)
        return estimator

    return checked(fields.where, build)  # type: ignore[no-any-return]


def _restore_targets(document: Fields, network: Network) -> ClassTargets:
    classes = restore_classes(document)
    fields = document.fields("targets")
    targets = ClassTargets(classes, fields.take("kind", str), fields.take("sparse", bool))
    fields.end()
    fits = {
        "binary": len(classes) <= 2,
        "multiclass": len(classes) > 2,
        "multilabel": classes.tolist() == list(range(len(classes))),
    }
    if not fits.get(targets.kind) or targets.n_outputs != network.sizes[-1]:
        raise ModelFormatError(
            f"{fields.where}: {len(classes)} classes of kind {targets.kind[:40]!r} do not fit "
            f"{network.sizes[-1]} outputs"
        )
    return targets


def _restore_feature_names(estimator: BaseMLP, document: Fields) -> None:
    names = document.plain("feature_names", np.ndarray, type(None))
    if names is None:
        return
    if names.dtype != object or names.shape != (estimator.n_features_in_,):
        raise ModelFormatError("document: 'feature_names' must be a text for every feature")
    estimator.feature_names_in_ = names


def _restore_records(estimator: BaseMLP, document: Fields, arrays: Arrays) -> None:
    """What scikit-learn's attributes and `history_` say."""
    fields = document.fields("fitted")
    for name, kind in _NUMBERS.items():
        value = fields.plain(name, kind, type(None))
        if name == "loss_" and value is None:  # no epoch has ended
            continue
        setattr(estimator, name, value)
    fields.end()
    estimator.loss_curve_ = arrays.take("loss_curve", FLOAT64, (None,), finite=False).tolist()
    estimator.validation_scores_ = None
    if "validation_scores" in arrays:
        scores = arrays.take("validation_scores", FLOAT64, (None,), finite=False)
        estimator.validation_scores_ = scores.tolist()
    names = document.texts("history")
    table = arrays.take("history", FLOAT64, (max(len(names), 1), None), finite=False)
    if len(set(names)) < len(names):
        raise ModelFormatError("document: 'history' has a name twice")
    estimator.history_ = {name: table[i].tolist() for i, name in enumerate(names)}


def _restore_progress(
    estimator: BaseMLP, network: Network, document: Fields, arrays: Arrays
) -> None:
    """What the next partial_fit or warm start goes on with."""
    fields = document.fields("plateau")
    tol, patience, best = (fields.plain(name, float) for name in ("tol", "patience", "best"))
    estimator._plateau = Plateau(tol, patience, best, fields.count("count"))
    fields.end()
    shape = (network.n_parameters,)
    estimator._best_parameters = None
    if "best_parameters" in arrays:
        estimator._best_parameters = arrays.take("best_parameters", network.dtype, shape)
    training = document.take("training", dict, type(None))
    estimator._training = None
    if training is not None:
        estimator._training = _restore_training(Fields(training, "training"), network, arrays)


def _restore_training(fields: Fields, network: Network, arrays: Arrays) -> Memory:
    name = fields.take("optimizer", str)
    if name not in OPTIMIZERS:
        raise ModelFormatError(f"{fields.where}: 'optimizer' must be {', '.join(OPTIMIZERS)}")
    optimizer = OPTIMIZERS[name]()
    initial, rate = _rate(fields, "initial_learning_rate"), _rate(fields, "learning_rate")
    shape = (optimizer.n_states, network.n_parameters)
    memory = Memory(
        {"optimizer": optimizer, "learning_rate": initial},
        arrays.take("optimizer.states", network.dtype, shape),
        fields.count("n_steps"),
        fields.count("epochs_done"),
        rate,
    )
    fields.end()
    return memory


def _rate(fields: Fields, name: str) -> float:
    rate = float(fields.take(name, float))
    if rate < 0:
        raise ModelFormatError(f"{fields.where}: {name!r} must not be negative")
    return rate
