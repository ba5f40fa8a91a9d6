"""Models as ``.keras`` files: written with what belongs to them, read without running foreign code.

A ``.keras`` file is a zip archive with a description in JSON and the weights. fastmlp adds one
member with the configuration and the scaler; Keras ignores it.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastmlp._atomic_file import write_atomically
from fastmlp.cnn._file_checks import check_archive
from fastmlp.cnn._tensorflow import import_keras
from fastmlp.cnn.config import CNNConfig, regularizer_name
from fastmlp.exceptions import DataFormatError
from fastmlp.scaling import Scaler

if TYPE_CHECKING:
    from fastmlp.cnn.network import CNN

MEMBER = "fastmlp.json"


def save(cnn: CNN, path: str | os.PathLike[str]) -> None:
    """Write model, configuration and scaler; `path` never holds half a file.

    Raises
    ------
    ValueError
        If the name does not end in ``.keras``, or the regulariser is a function of one's own that
        is not registered with Keras: it could not be loaded again.
    OSError
        Where the file cannot be written.
    """
    target = check_name(path)
    _check_registered(cnn.config.regularizer)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.keras"
        cnn.model.save(model)
        with zipfile.ZipFile(model, "a") as archive:
            archive.writestr(MEMBER, json.dumps(_extra(cnn)))
        write_atomically(target, [model.read_bytes()])


def load(path: str | os.PathLike[str], *, device: str = "auto") -> CNN:
    """Read what `save` wrote.

    Raises
    ------
    FileNotFoundError
    ValueError
        For another kind of file, or a model with code in it, with the reason.
    DataFormatError
        For a damaged file, or one without fastmlp's part.
    """
    from fastmlp.cnn.network import CNN

    target = check_name(path)
    model = load_model(target)
    with zipfile.ZipFile(target) as archive:
        if MEMBER not in archive.namelist():
            raise DataFormatError(
                f"{target}: expected a model saved by fastmlp, found one without {MEMBER}; "
                "fastmlp.cnn.load_model(path) returns it as a plain Keras model"
            )
        try:
            extra = json.loads(archive.read(MEMBER))
            config = CNNConfig.from_dict(extra["config"])
            scaler = _scaler(extra["scaler"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataFormatError(f"{target}, {MEMBER}: cannot be read: {error}") from error
    if regularizer_name(extra["config"].get("regularizer")).startswith("own: "):
        own = model.get_layer(config.dense[0].name).kernel_regularizer
        config = replace(config, regularizer=own)
    cnn = CNN.of_model(config, model, seed=extra.get("seed"), device=device)
    cnn.scaler, cnn.epochs_done = scaler, int(extra.get("epochs_done", 0))
    cnn._entropy = int(extra.get("entropy", cnn._entropy))
    return cnn


def load_model(path: str | os.PathLike[str]) -> Any:
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


def check_name(path: str | os.PathLike[str]) -> Path:
    """`path` if it ends in ``.keras``."""
    target = Path(path)
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
    kind = regularizer if isinstance(regularizer, FunctionType) else type(regularizer)
    if kind.__module__.startswith("keras."):
        return
    if saving.get_registered_object(saving.get_registered_name(kind)) is None:
        raise ValueError(
            f"the regularizer {regularizer_name(regularizer)!r} must be registered, or the model "
            "could not be loaded again: call keras.saving.register_keras_serializable('NAME')(it), "
            "then save"
        )


def _extra(cnn: CNN) -> dict[str, Any]:
    return {
        "config": cnn.config.to_dict(),
        "seed": cnn.seed,
        "entropy": cnn._entropy,
        "epochs_done": cnn.epochs_done,
        "scaler": _scaler_content(cnn.scaler),
    }


def _scaler_content(scaler: Scaler | None) -> dict[str, Any] | None:
    if scaler is None or scaler.standard_scaler is None:
        return None if scaler is None else {"kind": "none"}
    fitted = scaler.standard_scaler
    return {
        "kind": scaler.kind,
        "mean": fitted.mean_.tolist(),
        "var": fitted.var_.tolist(),
        "scale": fitted.scale_.tolist(),
        "n": int(np.max(fitted.n_samples_seen_)),
    }


def _scaler(content: Any) -> Scaler | None:
    """The scaler whose numbers `content` holds."""
    if content is None:
        return None
    scaler = Scaler(content["kind"])
    if scaler.kind == "none":
        return scaler
    from sklearn.preprocessing import StandardScaler

    fitted = StandardScaler()
    fitted.mean_ = np.array(content["mean"], float)
    fitted.var_ = np.array(content["var"], float)
    fitted.scale_ = np.array(content["scale"], float)
    fitted.n_samples_seen_, fitted.n_features_in_ = content["n"], len(fitted.mean_)
    if not all(np.isfinite(part).all() for part in (fitted.mean_, fitted.scale_)):
        raise ValueError("the scaler's numbers are not finite")
    scaler.standard_scaler = fitted
    return scaler
