"""Model files: `save` and `load` for networks, MyANN and the estimators.

A file is a safetensors file: the weights under plain names, and everything else (kind, parameters,
classes, scaler, records) as JSON in its header; see :mod:`fastmlp.files.model_file`. Loading runs
no code from the file, whatever its name ends in. Pickles are never read here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fastmlp._checks import check_flag, check_path
from fastmlp._types import StrPath
from fastmlp.exceptions import ModelFormatError
from fastmlp.files.fields import Arrays, Fields
from fastmlp.files.model_file import Content, read_model_file, write_model_file
from fastmlp.myann.document import describe_myann, restore_myann
from fastmlp.myann.myann import MyANN
from fastmlp.network.document import describe_network, restore_network
from fastmlp.network.network import Network

if TYPE_CHECKING:
    from fastmlp.exchange.parts import Model

KINDS = ("Network", "MyANN", "MLPClassifier", "MLPRegressor")


def save(model: Model, path: StrPath, *, resumable: bool = True) -> None:
    """Save a model to a file, whole or not at all.

    The file is written beside `path`, synchronised with the disk, and renamed: a crash or a full
    disk leaves the old file as it was. That takes the memory of the largest layer besides the
    model's.

    Parameters
    ----------
    model : Network, MyANN, MLPClassifier or MLPRegressor
        The estimators fitted; not of a subclass. Of a MyANN everything but its data is saved; of an
        estimator everything but callbacks, with the optimizer's state, so that `partial_fit` and
        warm starts continue.
    path : str, bytes or PathLike
        Any name; ``.safetensors`` tells other programs what it is.
    resumable : bool
        Also save what only further training of an estimator needs: the optimizer's states (with
        Adam two numbers per weight), the generator that shuffles, and the best weights of early
        stopping. Without it the file has little more than the weights; `partial_fit` of the
        loaded estimator begins with a new optimizer.

    Raises
    ------
    TypeError
        For other objects, and for parameters that a file cannot hold, such as callables and
        splitters, by name.
    ValueError
        For weights that are not finite, and where parameters, classes and feature names need more
        than 16 MB as JSON, or there are more than some 20000 layers.
    sklearn.exceptions.NotFittedError
        For an estimator that has not been fitted.
    OSError
        Where the file cannot be written, with the step that failed, and where `path` is a folder,
        a device or a pipe.

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
    kind, describe = _describer(model, resumable=check_flag("resumable", resumable))
    document, arrays = describe(model)
    write_model_file(target, Content(kind, document, arrays))


def load(path: StrPath) -> Any:
    """Load a model that `save` wrote.

    Nothing in the file is run, and only the four kinds of model can come out of it. Predictions
    are the same to the last bit on the same kind of processor with the same BLAS.

    Parameters
    ----------
    path : str, bytes or PathLike

    Returns
    -------
    Network, MyANN, MLPClassifier or MLPRegressor
        What was saved. A MyANN comes without data: it predicts and plots its history, but cannot
        be fitted.

    Raises
    ------
    ModelFormatError
        A ValueError: for a file that is truncated, changed in a single bit, not a model file, or
        of an unknown kind or schema version; the message says what was found and where.
    OSError
        Where the file is missing or cannot be read.

    See Also
    --------
    save
    """
    source = check_path("path", path)
    try:
        content = read_model_file(source, KINDS)
        return _restore(content)
    except ModelFormatError as error:
        raise ModelFormatError(f"{source!r}: {error}") from error.__cause__


def _describer(model: object, *, resumable: bool) -> tuple[str, Callable[[Any], Any]]:
    """The model's kind, and the function that describes it."""
    if type(model) is Network:
        return "Network", describe_network
    if type(model) is MyANN:
        return "MyANN", describe_myann
    from fastmlp.estimators.document import ESTIMATORS, describe_estimator

    name = type(model).__name__
    if type(model) is ESTIMATORS.get(name):
        return name, partial(describe_estimator, resumable=resumable)
    raise TypeError(f"model must be of one of {', '.join(KINDS)}, not of a subclass; got {name}")


def _restore(content: Content) -> Any:
    document, arrays = Fields(content.document, "document"), Arrays(content.arrays)
    model: Any
    if content.kind == "Network":
        model = restore_network(document, arrays)
    elif content.kind == "MyANN":
        model = restore_myann(document, arrays)
    else:
        from fastmlp.estimators.document import restore_estimator

        model = restore_estimator(content.kind, document, arrays)
    document.end()
    arrays.end()
    return model
