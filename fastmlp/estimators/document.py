"""Conversion of MLPClassifier and MLPRegressor to the contents of a model file, and back.

It holds the parameters, the weights, the numbers of all epochs, and the state with which
`partial_fit` and warm starts continue, but no callbacks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.callbacks.plateau import Plateau
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.estimators.base import BaseMLP
from fastmlp.estimators.coefficients import Architecture, Weights
from fastmlp.estimators.parameters import check_parameters
from fastmlp.estimators.records import FitRecord
from fastmlp.estimators.settings import OptimizerState
from fastmlp.estimators.targets import ClassTargets
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.plain_values import encode
from fastmlp.network.document import (
    check_dtype_name,
    checked,
    describe_network,
    restore_classes,
    restore_network,
)
from fastmlp.network.network import Network
from fastmlp.optimizers import OPTIMIZERS

ESTIMATORS: dict[str, type[BaseMLP]] = {
    "MLPClassifier": MLPClassifier,
    "MLPRegressor": MLPRegressor,
}
FLOAT64 = np.dtype(np.float64)

_NUMBERS = {
    "n_iter_": ("n_iter", int),
    "t_": ("t", int),
    "loss_": ("loss", float),
    "best_loss_": ("best_loss", float),
    "best_epoch_": ("best_epoch", int),
    "best_validation_score_": ("best_validation_score", float),
    "_monitored": ("monitor", str),
}
"""Names in the document of values in the record, with the record's name and the type; each may be
None or missing."""

_TARGET_ARRAYS = ("target_mean_", "target_scale_", "quantile_shifts_")
"""Attributes of a regressor that are arrays of the file, where they are there."""

_OTHERS = {
    "_record", "classes_", "_targets", "n_features_in_", "feature_names_in_", *_TARGET_ARRAYS
}  # fmt: skip
"""Attributes that are saved in another form, or follow from what is saved; besides those that the
record publishes."""


def describe_estimator(
    estimator: BaseMLP, *, resumable: bool = True
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the document and the arrays of a fitted estimator.

    Parameters
    ----------
    estimator : BaseMLP
    resumable : bool
        With the states of the optimizer and the best weights, with which training continues.

    Raises
    ------
    sklearn.exceptions.NotFittedError
    TypeError
        For parameters and attributes that cannot be saved, by name.
    ValueError
        If parameters have been set after the fit that belong to other outputs.
    """
    network = estimator.network_
    record = estimator._record
    assert record is not None
    parameters = estimator.get_params(deep=False)
    check_parameters(parameters, estimator._losses)
    if (output := estimator._output_and_loss()[0]) != network.output:
        raise ValueError(
            f"parameters set after the fit want outputs {output!r}; the network has "
            f"{network.output!r}, and could not be loaded with them"
        )
    _refuse_unknown(estimator, {*parameters, *record.attributes(), *_OTHERS})
    if parameters["dtype"] is not None:
        parameters["dtype"] = np.dtype(parameters["dtype"]).name
    document, arrays = describe_network(network)
    names = getattr(estimator, "feature_names_in_", None)
    document |= {
        "parameters": {name: _encoded(name, value) for name, value in parameters.items()},
        "fitted": {
            name: _encoded(name, getattr(record, field)) for name, (field, _) in _NUMBERS.items()
        },
        "feature_names": None if names is None else encode(names),
        "plateau": {name: encode(value) for name, value in vars(record.plateau).items()},
        "history": list(record.history),
    }
    if isinstance(estimator, MLPClassifier):
        targets = estimator._targets
        document["classes"] = _encoded("classes_", targets.classes)
        document["targets"] = {"kind": targets.kind, "sparse": targets.sparse}
    for name in _TARGET_ARRAYS:
        if name in vars(estimator):
            arrays[name] = np.asarray(vars(estimator)[name], FLOAT64)
    arrays["history"] = np.array(list(record.history.values()), FLOAT64, ndmin=2)
    arrays["loss_curve"] = np.array(record.loss_curve, FLOAT64)
    if record.validation_scores is not None:
        arrays["validation_scores"] = np.array(record.validation_scores, FLOAT64)
    if resumable and record.best_parameters is not None:
        arrays["best_parameters"] = record.best_parameters
    document["training"] = _describe_optimizer(record, arrays) if resumable else None
    return document, arrays


def _refuse_unknown(estimator: BaseMLP, known: set[str]) -> None:
    """Raise an error for attributes that would otherwise be omitted silently."""
    if getattr(estimator, "_skl_callbacks", None):
        raise TypeError("callbacks cannot be saved; remove them with set_callbacks() first")
    unknown = set(vars(estimator)) - known - {"_skl_callbacks"}
    if unknown:
        raise TypeError(
            f"the attribute {min(unknown)!r} cannot be saved; delete it from the estimator first"
        )


def _encoded(name: str, value: Any) -> Any:
    try:
        return encode(value)
    except TypeError as error:
        raise TypeError(
            f"{name}={value!r}: {error}; a model file can hold numbers, strings, arrays, and lists "
            "and mappings of these"
        ) from None


def _describe_optimizer(
    record: FitRecord, arrays: dict[str, NDArray[Any]]
) -> dict[str, Any] | None:
    """Describe the optimizer state with which the next partial_fit continues."""
    state = record.optimizer_state
    if state is None:
        return None
    arrays["optimizer.states"] = state.states
    return {
        "optimizer": state.optimizer,
        "initial_learning_rate": float(state.initial_learning_rate),
        "learning_rate": float(state.learning_rate),
        "n_steps": state.n_steps,
        "epochs_done": state.epochs_done,
        "generator": None if (rng := state.rng()) is None else encode(rng),
    }


def restore_estimator(kind: str, document: Fields, arrays: Arrays) -> BaseMLP:
    """Return the estimator of a document; parameters and their relations are checked as in `fit`.

    Raises
    ------
    ModelFormatError
        If a part of the document is missing, of another type, or contradicts another part.
    """
    network = restore_network(document, arrays)
    estimator = _unfitted(ESTIMATORS[kind], document.fields("parameters"))
    if isinstance(estimator, MLPClassifier):
        estimator._take_targets(_restore_targets(document, network))
    if estimator._output_and_loss()[0] != network.output:
        raise ModelFormatError(f"a {kind} of these parameters does not end in {network.output!r}")
    estimator.n_features_in_ = network.sizes[0]
    _restore_feature_names(estimator, document)
    architecture = Architecture(
        network.sizes, network.activations, network.output, network.dtype.name
    )
    record = FitRecord.new(architecture, Weights(network), estimator)
    _restore_numbers(record, document, arrays)
    _restore_course(record, document, arrays)
    estimator._adopt(record)
    if isinstance(estimator, MLPRegressor):
        _restore_targets_scale(estimator, network, arrays)
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


def _restore_targets_scale(estimator: MLPRegressor, network: Network, arrays: Arrays) -> None:
    """Restore what turns the network's outputs into predictions."""
    n_outputs = network.sizes[-1]
    n_targets = 1 if network.output == "increasing" else n_outputs
    if "target_mean_" in arrays or "target_scale_" in arrays:
        estimator.target_mean_ = arrays.take("target_mean_", FLOAT64, (n_targets,))
        estimator.target_scale_ = arrays.take("target_scale_", FLOAT64, (n_targets,))
        below = network.output == "exponential" and bool((estimator.target_scale_ < 0).all())
        if (estimator.target_scale_ <= 0).any() and not below:
            raise ModelFormatError("array 'target_scale_' must be above 0")
    if "quantile_shifts_" in arrays:
        estimator.quantile_shifts_ = arrays.take("quantile_shifts_", FLOAT64, (n_outputs,))


def _restore_feature_names(estimator: BaseMLP, document: Fields) -> None:
    names = document.plain("feature_names", np.ndarray, type(None))
    if names is None:
        return
    fits = names.dtype == object and names.shape == (estimator.n_features_in_,)
    if not fits or not all(type(name) is str for name in names):
        raise ModelFormatError("document: 'feature_names' must be a string for every feature")
    estimator.feature_names_in_ = names


def _restore_numbers(record: FitRecord, document: Fields, arrays: Arrays) -> None:
    """The numbers of all epochs."""
    fields = document.fields("fitted")
    for name, (field, kind) in _NUMBERS.items():
        setattr(record, field, fields.plain(name, kind, type(None)))
    fields.end()
    record.loss_curve = arrays.take("loss_curve", FLOAT64, (None,), finite=False).tolist()
    if "validation_scores" in arrays:
        scores = arrays.take("validation_scores", FLOAT64, (None,), finite=False)
        record.validation_scores = scores.tolist()
    names = document.texts("history")
    table = arrays.take("history", FLOAT64, (max(len(names), 1), None), finite=False)
    if len(set(names)) < len(names):
        raise ModelFormatError("document: 'history' has a name twice")
    record.history = {name: table[i].tolist() for i, name in enumerate(names)}


def _restore_course(record: FitRecord, document: Fields, arrays: Arrays) -> None:
    """Restore the state with which the next partial_fit or warm start continues."""
    network = record.weights.network
    fields = document.fields("plateau")
    tol, patience, best = (fields.plain(name, float) for name in ("tol", "patience", "best"))
    record.plateau = Plateau(tol, patience, best, fields.count("count"))
    fields.end()
    if "best_parameters" in arrays:
        shape = (network.n_parameters,)
        record.best_parameters = arrays.take("best_parameters", network.dtype, shape)
    training = document.take("training", dict, type(None))
    if training is not None:
        record.last = _restore_optimizer(Fields(training, "training"), network, arrays)


def _restore_optimizer(fields: Fields, network: Network, arrays: Arrays) -> OptimizerState:
    name = fields.take("optimizer", str)
    if name not in OPTIMIZERS:
        raise ModelFormatError(f"{fields.where}: 'optimizer' must be {', '.join(OPTIMIZERS)}")
    initial, rate = _rate(fields, "initial_learning_rate"), _rate(fields, "learning_rate")
    shape = (OPTIMIZERS[name].n_states, network.n_parameters)
    state = OptimizerState(
        name,
        arrays.take("optimizer.states", network.dtype, shape),
        fields.count("n_steps"),
        fields.count("epochs_done"),
        initial,
        rate,
        _restore_generator(fields),
    )
    fields.end()
    return state


def _restore_generator(fields: Fields) -> dict[str, Any] | None:
    """State of the generator that shuffles, which the first files do not have."""
    if "generator" not in fields.names():
        return None
    rng = fields.plain("generator", np.random.Generator, type(None))
    return None if rng is None else rng.bit_generator.state


def _rate(fields: Fields, name: str) -> float:
    rate = float(fields.take(name, float))
    if rate < 0:
        raise ModelFormatError(f"{fields.where}: {name!r} must not be negative")
    return rate
