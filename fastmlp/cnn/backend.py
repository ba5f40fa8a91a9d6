"""Keras, and the library that it runs on: TensorFlow, JAX or PyTorch.

``KERAS_BACKEND`` and ``keras.json`` are obeyed. Where they name none that is installed, the first
of the three that is installed is taken, TensorFlow before the others.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastmlp.cnn.backends.protocol import Library

TITLES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
"""The libraries by Keras' names for them, in the order of preference."""

INSTALL = 'pip install "fastmlp[cnn]"'
EXTRAS = (
    f"{INSTALL}, or fastmlp[cnn-cpu] for the smaller one without support of graphics cards, "
    "fastmlp[cnn-gpu] with NVIDIA's libraries, fastmlp[cnn-jax] for JAX, fastmlp[cnn-torch] for "
    "PyTorch"
)
VARIABLE = "KERAS_BACKEND"


def choose_backend() -> str:
    """Return the name of the library that Keras runs on, or will run on: "tensorflow", "jax", ...

    Imports nothing. Sets ``KERAS_BACKEND`` and warns where TensorFlow, which Keras would take, is
    missing and another one is not.

    Raises
    ------
    ImportError
        If none is installed, or the one that is asked for is not, or cannot train.
    """
    asked = os.environ.get(VARIABLE)
    if "keras" in sys.modules:
        name = _known(str(sys.modules["keras"].config.backend()), "with which it was imported")
    elif asked:
        name = _known(asked, f"as {VARIABLE} says")
    else:
        name = _configured()
    if _is_installed(name):
        return name
    found = [other for other in TITLES if _is_installed(other)]
    if asked or not found:
        because = f", because {VARIABLE} is {asked!r}" if asked else ""
        raise ImportError(
            f"the CNN part needs Keras and {TITLES[name]}{because}: {EXTRAS}", name=name
        )
    os.environ[VARIABLE] = found[0]
    warnings.warn(
        f"Keras runs on {TITLES[found[0]]}, because {TITLES[name]} is not installed; set "
        f"{VARIABLE}={found[0]} to say so yourself, without this warning",
        stacklevel=2,
    )
    return found[0]


def _is_installed(name: str) -> bool:
    return bool(find_spec("keras") and find_spec(name))


def _known(name: str, reason: str) -> str:
    if name not in TITLES:
        raise ImportError(
            f"the CNN part needs Keras on TensorFlow, JAX or PyTorch; it would run on {name!r}, "
            f"{reason}: set {VARIABLE} to 'tensorflow', 'jax' or 'torch'",
            name="keras",
        )
    return name


def _configured() -> str:
    """Return the library that Keras' own file names, or Keras' choice without it."""
    folder = os.environ.get("KERAS_HOME") or Path("~").expanduser() / ".keras"
    try:
        content = json.loads((Path(folder) / "keras.json").read_text(encoding="utf-8"))
        name = content.get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return "tensorflow"
    return _known(str(name), "as keras.json in Keras' folder says")


def import_keras() -> Any:
    """Return the module ``keras`` in version 3, on a library that can train.

    Raises
    ------
    ImportError
        As in `choose_backend`, or if Keras is older than 3.
    """
    choose_backend()
    import keras

    if int(keras.__version__.split(".")[0]) < 3:
        raise ImportError(
            f"the CNN part needs Keras 3; found {keras.__version__}: {INSTALL} --upgrade",
            name="keras",
        )
    return keras


def library() -> Library:
    """Return what fastmlp has for the library that Keras runs on.

    Raises
    ------
    ImportError
        As in `import_keras`.
    """
    import_keras()
    module: Library = import_module(f"fastmlp.cnn.backends.{choose_backend()}")
    return module


def to_numpy(tensor: Any) -> NDArray[Any]:
    """Return a tensor or variable of the library as a NumPy array."""
    return library().to_numpy(tensor)
