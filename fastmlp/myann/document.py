"""Conversion of a MyANN to the contents of a model file (without its data), and back."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._checks import check_flag
from fastmlp.datasets.labelled import without_rows
from fastmlp.datasets.loading import NAMES
from fastmlp.datasets.scaling import MOMENTS, Scaler
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.plain_values import encode
from fastmlp.myann.myann import MyANN
from fastmlp.network.document import (
    DTYPES,
    check_dtype_name,
    checked,
    describe_network,
    restore_classes,
    restore_network,
)
from fastmlp.network.network import Network
from fastmlp.training.history import PER_BATCH, History

NOT_SAVED = (
    "self",
    "my_data_set",
    "random_state",
    "b_train_on_init",
    "b_standardize",
    "callbacks",
    "resume",
)
"""Parameters of the constructor that are data, or are saved in another form."""

SOURCE = "not in the model file"
STANDARDIZE = {"none": False, "feature": True, "global": "global"}
"""Value of the parameter `b_standardize` for each kind of Scaler."""


def parameter_names() -> list[str]:
    """Return the parameters that are saved under their own names."""
    return [name for name in inspect.signature(MyANN.__init__).parameters if name not in NOT_SAVED]


def describe_myann(ann: MyANN) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return document and arrays; the name of the data is kept if it is a known data set."""
    document, arrays = describe_network(ann.network)
    parameters = {name: getattr(ann, name) for name in parameter_names()}
    parameters["dtype"] = ann.dtype.name
    known = isinstance(ann.my_data_set, str) and ann.my_data_set in NAMES
    document |= {
        "parameters": {name: encode(value) for name, value in parameters.items()},
        "data": ann.my_data_set if known else None,
        "classes": encode(ann.classes_),
        "generator": encode(ann._rng),
        "scaler": _describe_scaler(ann.scaler, arrays),
    }
    if ann.feature_names is not None:
        document["feature_names"] = list(ann.feature_names)
    arrays |= {_name_in_file(name): values for name, values in ann.history.items()}
    return document, arrays


def _describe_scaler(scaler: Scaler, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    state = scaler.state()
    arrays |= {f"scaler.{name}": state.pop(name) for name in MOMENTS if name in state}
    return {"kind": scaler.kind} | state


def restore_myann(document: Fields, arrays: Arrays) -> MyANN:
    """Return the MyANN of a document; its parameters pass through the constructor's checks."""
    network = restore_network(document, arrays)
    classes = restore_classes(document)
    rng = document.plain("generator", np.random.Generator)
    name = document.take("data", str, type(None))
    if name not in (None, *NAMES):
        raise ModelFormatError(f"{document.where}: 'data' is not a known data set")
    feature_names = None
    if "feature_names" in document.names():
        feature_names = document.texts("feature_names")
        if len(feature_names) != network.sizes[0]:
            raise ModelFormatError(f"{document.where}: 'feature_names' must be one per input")
    scaler = document.fields("scaler")
    kind = scaler.take("kind", str)
    if kind not in STANDARDIZE:
        raise ModelFormatError(f"{scaler.where}: 'kind' must be one of {', '.join(STANDARDIZE)}")
    options = _parameters(document.fields("parameters"), network)
    options |= {"b_standardize": STANDARDIZE[kind], "random_state": rng, "b_train_on_init": False}
    # The constructor would otherwise print the shapes of missing data.
    prints = options.pop("b_print_test_data", True)
    data = without_rows(network.sizes[0], classes, network.dtype, SOURCE)
    state = rng.bit_generator.state  # before the constructor draws weights with it
    ann: MyANN = checked(
        "document.parameters", lambda: MyANN(data, b_print_test_data=False, **options)
    )
    ann.b_print_test_data = checked(
        "document.parameters", lambda: check_flag("b_print_test_data", prints)
    )
    rng.bit_generator.state = state
    ann.my_data_set = SOURCE if name is None else name
    ann.feature_names = feature_names
    _adopt_weights(ann, network)
    if kind != "none":
        n_columns = 1 if kind == "global" else network.sizes[0]
        ann.scaler = _restore_scaler(kind, scaler, arrays, n_columns)
    scaler.end()
    ann.history = ann.trainer.history = _restore_history(arrays)
    return ann


def _parameters(fields: Fields, network: Network) -> dict[str, Any]:
    """Return the constructor's parameters; those missing in the file keep their defaults."""
    names = parameter_names()
    options = {name: fields.plain(name) for name in fields.names() if name in names}
    fields.end()
    check_dtype_name(options, fields.where)
    sizes = options.get("ay_nodes_layers")
    is_list = type(sizes) is list and all(type(size) is int for size in sizes)
    if not is_list or sizes != list(network.sizes):  # before weights are made of them
        raise ModelFormatError(f"{fields.where}: 'ay_nodes_layers' must be the network's sizes")
    return options


def _adopt_weights(ann: MyANN, network: Network) -> None:
    same = (ann.network.sizes, ann.network.functions, ann.network.dtype) == (
        network.sizes,
        network.functions,
        network.dtype,
    )
    if not same or ann.network.initializer != network.initializer:
        raise ModelFormatError("document.parameters do not describe document.network")
    ann.network.parameters[...] = network.parameters


def _restore_scaler(kind: str, fields: Fields, arrays: Arrays, n_columns: int) -> Scaler:
    state: dict[str, Any] = {
        name: arrays.take(f"scaler.{name}", DTYPES, (n_columns,)) for name in MOMENTS
    }
    state["n_rows"] = fields.count("n_rows", 1)
    restored: Scaler = checked(fields.where, lambda: Scaler.restored(kind, **state))
    return restored


NAMES_IN_FILES = {"val_cost": "test_cost", "val_accuracy": "test_accuracy"}
"""Column names in files: MyANN validates on the articles' test set, so its files say "test"."""


def _name_in_file(name: str) -> str:
    return f"history.{NAMES_IN_FILES.get(name, name)}"


def _restore_history(arrays: Arrays) -> History:
    """Return the history of a run; values that were not measured are NaN."""
    history, float64 = History(), np.dtype(np.float64)
    n_epochs, columns = None, {}
    for name in history:
        shape = (n_epochs, None) if name in PER_BATCH else (n_epochs,)
        columns[name] = arrays.take(_name_in_file(name), float64, shape, finite=False)
        n_epochs = len(columns[name])
    for epoch in range(n_epochs or 0):
        history.append(**{name: column[epoch] for name, column in columns.items()})
    return history
