"""Checks of a ``.keras`` file before it is passed to Keras."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastmlp.cnn.backend import import_keras
from fastmlp.exceptions import DataFormatError

NEEDED = ("config.json", "metadata.json", "model.weights.h5")
CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer")
"""Classes whose description holds, or points to, code."""

MODULES = (
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.activations",
    "keras.optimizers",
    "keras.optimizers.schedules",
    "keras.losses",
    "keras.metrics",
    "keras.dtype_policies",
)
MODELS = ("Sequential", "Functional", "Model", "DTypePolicy")
"""Names allowed in the module ``keras`` itself, and in ``keras.src``."""

PLAIN = (
    "__tensor__",
    "__numpy__",
    "__bytes__",
    "__ellipsis__",
    "__slice__",
    "__keras_tensor__",
)
"""Names under which Keras writes values that are no objects of a class."""


def check_archive(path: Path) -> None:
    """Check that a file is a complete zip archive of a model that names only parts of models.

    Keras' safe mode refuses code that stands in the file; this refuses in addition every name that
    leads out of the modules of layers and their parts, where loaders have been led astray before.

    Raises
    ------
    DataFormatError
        For a damaged file.
    ValueError
        For a model with code in it, or with classes and functions that are not known here.
    """
    for part in _parts(_description(path)):
        class_name, name = part["class_name"], part["class_name"]
        if class_name in CODE:
            raise ValueError(
                f"{path}: refused, because the model has a {class_name} layer or function, which "
                "carries code of its author that would run here. Build the model without it, from "
                "layers and functions with names"
            )
        if class_name == "function":
            name = part.get("config")
        if not (_is_known(part, name) or class_name in PLAIN or _is_registered(part, name)):
            raise ValueError(
                f"{path}: refused, because the model names {name!r} of {part.get('module')!r}, "
                "which is no part of a model that Keras has. If it is yours, make it known with "
                "keras.saving.register_keras_serializable before you load the model"
            )


def _is_known(part: dict[str, Any], name: object) -> bool:
    """Return whether a class or function is one of Keras' building blocks of models."""
    module = str(part.get("module"))
    if name in MODELS and (module == "keras" or module.startswith("keras.src.")):
        return True
    return module in MODULES and isinstance(name, str) and name.isidentifier()


def _is_registered(part: dict[str, Any], name: object) -> bool:
    saving = import_keras().saving
    names = (part.get("registered_name"), name)
    return any(isinstance(n, str) and saving.get_registered_object(n) is not None for n in names)


def _description(path: Path) -> Any:
    """Return the content of config.json, after checking the archive's checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            missing = [name for name in NEEDED if name not in names]
            if missing:
                raise DataFormatError(
                    f"{path}: expected a .keras file with {missing[0]}, found {', '.join(names)}"
                )
            damaged = archive.testzip()
            if damaged is not None:
                raise DataFormatError(f"{path}, {damaged}: damaged, the checksum does not match")
            return json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
        raise DataFormatError(
            f"{path}: expected a .keras file (a zip archive), found a damaged one: {error}"
        ) from error
    except ValueError as error:
        if isinstance(error, DataFormatError):
            raise
        raise DataFormatError(f"{path}, config.json: not JSON: {error}") from error


def _parts(description: Any) -> Iterator[dict[str, Any]]:
    """Every object with a ``class_name`` anywhere in a model's description."""
    if isinstance(description, dict):
        if isinstance(description.get("class_name"), str):
            yield description
        for value in description.values():
            yield from _parts(value)
    elif isinstance(description, list):
        for value in description:
            yield from _parts(value)
