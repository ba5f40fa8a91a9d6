"""Load the two Keras callbacks of `fastmlp.cnn` for the reference, whether or not Keras is there.

They derive from a class of Keras, which takes long to import and is not needed to read docstrings.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any


def load_callbacks() -> None:
    """Give `fastmlp.cnn` its lazy names, derived from an empty class."""
    stand_in: Any = ModuleType("keras")
    stand_in.callbacks = SimpleNamespace(Callback=type("Callback", (), {"__module__": "builtins"}))
    before = sys.modules.get("keras")
    sys.modules["keras"] = stand_in
    try:
        import fastmlp.cnn
        from fastmlp.cnn.articles import callbacks
    finally:
        del sys.modules["keras"]
        if before is not None:
            sys.modules["keras"] = before
    for name in ("EpochPlot", "LrHistory"):
        setattr(fastmlp.cnn, name, getattr(callbacks, name))
