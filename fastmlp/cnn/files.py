"""Models as ``.keras`` files, read without running code from the file.

A ``.keras`` file is a zip archive with a description in JSON and the weights. fastmlp adds one
member with the configuration and the scaler, and one for every array of the initial state, to
which `CNN.reset` goes back; Keras ignores them.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from fastmlp._checks import check_integer, check_path
from fastmlp._types import StrPath
from fastmlp.cnn.backend import import_keras
from fastmlp.cnn.config import CNNConfig, regularizer_name
from fastmlp.cnn.file_checks import check_archive
from fastmlp.cnn.geometry import layer_table
from fastmlp.cnn.state import TrainingState, count_variables
from fastmlp.datasets.npz import read_npz
from fastmlp.datasets.scaling import MOMENTS, Scaler
from fastmlp.exceptions import DataFormatError
from fastmlp.files.atomic import write_atomically

MEMBER = "fastmlp.json"
PRIVATE = re.compile(rb'"module": "keras\.src\.backend\.torch\.optimizers\.\w+"')
"""Addresses of Keras' optimizers for PyTorch, which cannot be imported on other libraries."""

INITIAL = "fastmlp_initial_"
"""Prefix of the names of the initial state's arrays."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything that the file of a CNN contains.

    Attributes
    ----------
    config : CNNConfig
    model : keras.Model
        Compiled, with the current weights and the state of its optimizer.
    initial_state : TrainingState
        The state to which `CNN.reset` goes back.
    seed : int or None
    entropy : int
        Decides the order of the images in every epoch.
    epochs_done : int
    scaler : Scaler or None
    """

    config: CNNConfig
    model: Any
    initial_state: TrainingState
    seed: int | None
    entropy: int
    epochs_done: int
    scaler: Scaler | None


def save(cnn: Parts, path: StrPath) -> None:
    """Write model, initial state, configuration and scaler atomically.

    Raises
    ------
    ValueError
        If the name does not end in ``.keras``, or the regularizer is a function of one's own that
        is not registered with Keras: it could not be loaded again.
    OSError
        Where the file cannot be written.
    """
    target = check_name(path)
    _check_registered(cnn.config.regularizer)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.keras"
        cnn.model.save(model)
        _name_publicly(model)
        with zipfile.ZipFile(model, "a") as archive:
            archive.writestr(MEMBER, json.dumps(_extra(cnn)))
            for name, content in _initial_members(cnn):
                archive.writestr(name, content, zipfile.ZIP_DEFLATED)
        write_atomically(target, [model.read_bytes()])


def _name_publicly(path: Path) -> None:
    """Give optimizers their public address, under which every library under Keras has them.

    On PyTorch, Keras writes that of its own subclasses.
    """
    with zipfile.ZipFile(path) as archive:
        public, n_private = PRIVATE.subn(
            b'"module": "keras.optimizers"', archive.read("config.json")
        )
        if not n_private:
            return
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "config.json": public}.items():
            archive.writestr(name, content)


def load(path: StrPath) -> Parts:
    """Read a file written by `save`.

    Raises
    ------
    FileNotFoundError
    ValueError
        For another kind of file, a model with code in it, or a device that is not there, with the
        reason.
    DataFormatError
        For a damaged file, or one without fastmlp's part.
    """
    target = check_name(path)
    model = load_model(target)
    with zipfile.ZipFile(target) as archive:
        if MEMBER not in archive.namelist():
            raise DataFormatError(
                f"{target}: expected a model saved by fastmlp, found one without {MEMBER}; "
                "fastmlp.cnn.load_model(path) returns it as a plain Keras model"
            )
        content = archive.read(MEMBER)
    try:
        settings = _settings(json.loads(content), model)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataFormatError(f"{target}, {MEMBER}: cannot be read: {error}") from error
    names = [f"{INITIAL}{i}" for i in range(count_variables(model))]
    initial = read_npz(target, names)
    try:
        state = TrainingState.of_values(model, list(initial.values()))
    except ValueError as error:
        raise DataFormatError(f"{target}, initial state: {error}") from error
    return Parts(model=model, initial_state=state, **settings)


def load_model(path: StrPath) -> Any:
    """Read a ``.keras`` file as a Keras model, in safe mode.

    Raises
    ------
    FileNotFoundError, ValueError, DataFormatError
        As in :meth:`fastmlp.cnn.CNN.load`.
    """
    target = check_name(path)
    if not target.is_file():
        raise FileNotFoundError(f"{target}: expected a .keras file, found none")
    check_archive(target)
    keras = import_keras()
    try:
        return keras.saving.load_model(target, safe_mode=True)
    except Exception as error:  # Keras raises many kinds; all mean that the file does not fit
        reason = str(error).rpartition("Exception encountered: ")[2].strip().split("\n")[0]
        raise DataFormatError(f"{target}: Keras cannot read this model: {reason[:300]}") from error


def check_name(path: StrPath) -> Path:
    """Return `path`, which must end in ``.keras``."""
    target = Path(check_path("path", path))
    if target.suffix in (".h5", ".hdf5"):
        raise ValueError(
            f"path must end in .keras; got {target.name!r}: the old HDF5 format of whole models "
            "can carry Python code that runs when it is loaded, and Keras' safe mode does not "
            "protect from it. Load it with Keras where you trust it, and save it as .keras"
        )
    if target.suffix != ".keras":
        raise ValueError(f"path must end in .keras; got {target.name!r}")
    return target


def _check_registered(regularizer: Any) -> None:
    saving = import_keras().saving
    if regularizer is None or isinstance(regularizer, str):
        return
    definition = regularizer if isinstance(regularizer, FunctionType) else type(regularizer)
    if definition.__module__.startswith("keras."):
        return
    if saving.get_registered_object(saving.get_registered_name(definition)) is None:
        raise ValueError(
            f"the regularizer {regularizer_name(regularizer)!r} must be registered, or the model "
            "could not be loaded again: call keras.saving.register_keras_serializable('NAME')(it), "
            "then save"
        )


def _extra(cnn: Parts) -> dict[str, Any]:
    return {
        "config": cnn.config.to_dict(),
        "seed": cnn.seed,
        "entropy": cnn.entropy,
        "epochs_done": cnn.epochs_done,
        "scaler": _scaler_content(cnn.scaler),
    }


def _settings(extra: dict[str, Any], model: Any) -> dict[str, Any]:
    """The fields of Parts that `_extra` wrote, checked against the Keras model of the file."""
    config, scaler = CNNConfig.from_dict(extra["config"]), _scaler(extra["scaler"])
    expected = [(layer.name, layer.output) for layer in layer_table(config)]
    found = [(layer.name, tuple(layer.output.shape[1:])) for layer in model.layers]
    if expected != found or getattr(model, "optimizer", None) is None:
        raise ValueError("it describes another model than the one in the file")
    if regularizer_name(extra["config"].get("regularizer")).startswith("own: "):
        own = model.get_layer(config.dense[0].name).kernel_regularizer
        config = replace(config, regularizer=own)
    seed = extra["seed"]
    return {
        "config": config,
        "scaler": scaler,
        "seed": None if seed is None else check_integer("seed", seed, minimum=0, maximum=None),
        "entropy": check_integer("entropy", extra["entropy"], minimum=0, maximum=None),
        "epochs_done": check_integer("epochs_done", extra["epochs_done"], minimum=0),
    }


def _initial_members(cnn: Parts) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the members with the initial state, one array each."""
    for i, value in enumerate(cnn.initial_state.values):
        content = io.BytesIO()
        np.save(content, np.atleast_1d(value), allow_pickle=False)
        yield f"{INITIAL}{i}.npy", content.getvalue()


def _scaler_content(scaler: Scaler | None) -> dict[str, Any] | None:
    if scaler is None or scaler.standard_scaler is None:
        return None if scaler is None else {"kind": "none"}
    state = scaler.state()
    moments = {name: state[name].tolist() for name in MOMENTS}
    return {"kind": scaler.kind, **moments, "n": state["n_rows"]}


def _scaler(content: Any) -> Scaler | None:
    """Return the scaler stored in `content`."""
    if content is None:
        return None
    if content["kind"] == "none":
        return Scaler("none")
    moments = {name: np.array(content[name], float) for name in MOMENTS}
    return Scaler.restored(content["kind"], n_rows=content["n"], **moments)
