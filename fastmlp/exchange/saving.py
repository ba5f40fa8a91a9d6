"""Saving and loading of networks, MyANN, the estimators and Pipelines of these as model files.

A file is a safetensors file: the weights under plain names, and everything else (kind, parameters,
classes, scaler, records) as JSON in its header; see :mod:`fastmlp.files.model_file`. Loading never
runs code from the file, whatever its name, and never reads pickles.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp._checks import check_flag, check_path
from fastmlp._types import StrPath
from fastmlp.exceptions import ModelFormatError
from fastmlp.exchange.parts import is_pipeline
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.model_file import Content, read_model_file, write_model_file
from fastmlp.myann.document import describe_myann, restore_myann
from fastmlp.myann.myann import MyANN
from fastmlp.network.document import describe_network, restore_network
from fastmlp.network.network import Network

if TYPE_CHECKING:
    from fastmlp.exchange.parts import Model

RESUMES = (
    "a checkpoint holds a run and not a model: continue it with fit(..., resume=path), and save "
    "the model with fastmlp.save"
)
MODEL_NAME = "model.safetensors"
"""Name of the model in a folder that ``fastmlp train --out`` wrote."""

OTHER_FILES = {
    ".onnx": "fastmlp writes ONNX files (export_onnx) and does not read them; onnxruntime does",
    ".keras": "load it with keras, and convert it with fastmlp.from_keras; CNNs with CNN.load",
    ".h5": "load it with keras, and convert it with fastmlp.from_keras",
    ".pkl": "pickles, which can run code, are loaded by pickle alone",
    ".pickle": "pickles, which can run code, are loaded by pickle alone",
    ".joblib": "joblib's files, which can run code, are loaded by joblib alone",
    ".npz": "data sets are loaded by fastmlp.datasets.load",
    ".pt": "files of PyTorch are loaded by PyTorch",
    ".pth": "files of PyTorch are loaded by PyTorch",
}
"""What can be done with files of other programs, by the end of their names."""

KINDS = (
    "Network",
    "MyANN",
    "MLPClassifier",
    "MLPRegressor",
    "TabularClassifier",
    "TabularRegressor",
    "Pipeline",
)
TABULAR = ("TabularClassifier", "TabularRegressor")


def save(model: Model, path: StrPath, *, resumable: bool = True) -> None:
    """Save a model to a file, atomically.

    The data is written to a temporary file next to `path`, flushed to disk, and renamed, so that a
    crash or a full disk does not damage an existing file. This needs additional memory for a copy
    of the largest layer.

    Parameters
    ----------
    model : Network, MyANN, MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or \
Pipeline
        Estimators must be fitted; subclasses are not allowed. For a MyANN everything except its
        data is saved; for an estimator everything except callbacks, including the optimizer's
        state, so that `partial_fit` and warm starts can continue. The estimators for tables are
        saved with columns, categories, encodings and members, and with the importances if they have
        been computed. A Pipeline of scikit-learn ends
        in one of the estimators; the steps before it are StandardScaler, MinMaxScaler,
        RobustScaler, SimpleImputer, OneHotEncoder, OrdinalEncoder, "passthrough", and
        ColumnTransformer and Pipeline of these.
    path : str, bytes or PathLike
        Any name; with ``.safetensors``, other programs recognize the format.
    resumable : bool
        Also save what is only needed for further training of an estimator: the optimizer states
        (with Adam, two numbers per weight), the state of the generator for shuffling, and the best
        weights of early stopping. If False, the file contains little more than the weights, and
        `partial_fit` of the loaded estimator starts with a new optimizer.

    Raises
    ------
    TypeError
        For other objects, and for steps and parameters that cannot be saved, such as callables and
        splitters, with their names.
    ValueError
        If a weight is not finite, if parameters, classes and feature names need more than 16 MB as
        JSON, or if there are more than about 20000 layers.
    sklearn.exceptions.NotFittedError
        If an estimator has not been fitted.
    OSError
        If the file cannot be written (the message names the failed step), or if `path` is a
        folder, a device or a pipe.

    See Also
    --------
    load, fastmlp.export_onnx, fastmlp.to_keras

    Examples
    --------
    >>> import tempfile, fastmlp
    >>> network = fastmlp.Network((4, 3, 2), random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fastmlp.save(network, f"{folder}/network.safetensors")
    ...     fastmlp.load(f"{folder}/network.safetensors")
    Network(4-3-2, 23 parameters, float32)
    """
    target = check_path("path", path)
    content = describe_model(model, resumable=check_flag("resumable", resumable))
    write_model_file(target, content)


def load(path: StrPath) -> Any:
    """Load a model that was written by `save`.

    No code from the file is run, and only these types of model can be loaded. Predictions are
    bit-for-bit identical on the same type of processor. The steps of a Pipeline
    are rebuilt by the installed version of scikit-learn, which may differ from the one that wrote
    the file.

    Parameters
    ----------
    path : str, bytes or PathLike

    Returns
    -------
    Network, MyANN, MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        The saved model. A MyANN has no data: it can predict and plot its history, but cannot be
        fitted.

    Raises
    ------
    ModelFormatError
        If the file is truncated, modified (even by a single bit), not a model file, or has an
        unknown kind or schema version; a ValueError whose message says what was found and where.
    OSError
        If the file is missing or cannot be read.

    See Also
    --------
    save
    """
    source = check_path("path", path)
    try:
        content = read_model_file(source, KINDS)
        return restore_model(content)
    except ModelFormatError as error:
        if _is_checkpoint(source):
            raise ModelFormatError(f"{source!r}: {RESUMES}") from None
        raise ModelFormatError(f"{source!r}: {error}{_advice(source)}") from error.__cause__
    except IsADirectoryError as error:
        if (Path(source) / MODEL_NAME).is_file():
            model = str(Path(source) / MODEL_NAME)
            raise IsADirectoryError(f"{source!r} is a folder; its model is {model!r}") from None
        if _checkpoints_in(source):
            raise IsADirectoryError(f"{error}; {RESUMES}") from None
        raise


def _is_checkpoint(source: str) -> bool:
    try:
        read_model_file(source, ("Checkpoint",))
    except (ModelFormatError, OSError):
        return False
    return True


def _advice(source: str) -> str:
    """Return what can be done with a file that is no model file; "" if it is not known."""
    name = source.lower()
    return next((f"; {text}" for end, text in OTHER_FILES.items() if name.endswith(end)), "")


def _checkpoints_in(folder: str) -> bool:
    return any(Path(folder).glob("checkpoint-*.safetensors"))


def describe_model(model: object, *, resumable: bool) -> Content:
    """Return what a file of a model holds.

    Raises
    ------
    TypeError, ValueError, sklearn.exceptions.NotFittedError
        As from `save`.
    """
    kind, describe = _describer(model, resumable=resumable)
    document, arrays = describe(model)
    return Content(kind, document, arrays)


def _describer(model: object, *, resumable: bool) -> tuple[str, Callable[[Any], Any]]:
    """Return the kind of a model, and the function that describes it."""
    if type(model) is Network:
        return "Network", describe_network
    if type(model) is MyANN:
        return "MyANN", describe_myann
    if is_pipeline(model):
        from fastmlp.exchange.pipelines import describe_pipeline

        return "Pipeline", partial(describe_pipeline, resumable=resumable)
    name = type(model).__name__
    if name in TABULAR:
        from fastmlp.tables.document import KINDS as TABULAR_KINDS
        from fastmlp.tables.document import describe_tabular

        if type(model) is TABULAR_KINDS[name]:
            return name, describe_tabular
    from fastmlp.estimators.document import ESTIMATORS, describe_estimator

    if type(model) is ESTIMATORS.get(name):
        return name, partial(describe_estimator, resumable=resumable)
    raise TypeError(f"model must be of one of {', '.join(KINDS)}, not of a subclass; got {name}")


def restore_model(content: Content) -> Any:
    """Return the model of the content of a file.

    Raises
    ------
    ModelFormatError
        If a part is missing, of another type, or contradicts another part.
    """
    if content.kind not in KINDS:  # the file of groups has one for each, which it does not check
        raise ModelFormatError(f"'kind' must be one of {', '.join(KINDS)}; got {content.kind!r}")
    document, arrays = Fields(content.document, "document"), Arrays(content.arrays)
    model: Any
    if content.kind == "Network":
        model = restore_network(document, arrays)
    elif content.kind == "MyANN":
        model = restore_myann(document, arrays)
    elif content.kind == "Pipeline":
        from fastmlp.exchange.pipelines import restore_pipeline

        model = restore_pipeline(document, arrays)
    elif content.kind in TABULAR:
        from fastmlp.tables.document import restore_tabular

        model = restore_tabular(content.kind, document, arrays)
    else:
        from fastmlp.estimators.document import restore_estimator

        model = restore_estimator(content.kind, document, arrays)
    document.end()
    arrays.end()
    return model
