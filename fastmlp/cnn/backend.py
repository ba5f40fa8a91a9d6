"""Import TensorFlow and Keras, with a clear error if they are missing or unsuitable."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

INSTALL = 'pip install "fastmlp[cnn]"'


def require_tensorflow() -> None:
    """Raise an ImportError with the command that installs TensorFlow, if it is missing.

    Looks for the package only; importing it takes seconds.
    """
    if find_spec("tensorflow") is None:
        raise ImportError(
            f"the CNN part needs TensorFlow: {INSTALL}, or fastmlp[cnn-cpu] for the smaller one "
            "without support of graphics cards",
            name="tensorflow",
        )


def import_tensorflow() -> Any:
    """Return the module ``tensorflow``.

    Raises
    ------
    ImportError
        If TensorFlow is missing, with the command that installs it.
    """
    require_tensorflow()
    import tensorflow

    return tensorflow


def import_keras() -> Any:
    """Return the module ``keras`` in version 3, which must run on TensorFlow.

    Raises
    ------
    ImportError
        If TensorFlow is missing, Keras is older than 3, or Keras runs on another library.
    """
    require_tensorflow()
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ImportError(
            f"the CNN part needs Keras on TensorFlow; KERAS_BACKEND is {backend!r}: unset it or "
            "set it to 'tensorflow'",
            name="keras",
        )
    import keras

    if int(keras.__version__.split(".")[0]) < 3:
        raise ImportError(
            f"the CNN part needs Keras 3; found {keras.__version__}: {INSTALL} --upgrade",
            name="keras",
        )
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            f"the CNN part needs Keras on TensorFlow; it runs on {keras.backend.backend()!r}, as "
            "keras.json in Keras' folder says: set KERAS_BACKEND=tensorflow",
            name="keras",
        )
    return keras
