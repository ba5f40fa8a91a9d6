"""fastmlp: fast, small, well-behaved dense neural networks on the CPU."""

from typing import TYPE_CHECKING

from fastmlp import callbacks, data, datasets, losses, optimizers, plots
from fastmlp._version import __version__
from fastmlp.callbacks.base import EpochCallback
from fastmlp.callbacks.checkpoint import Checkpoint
from fastmlp.callbacks.live_plot import LivePlot
from fastmlp.callbacks.scheduler import LearningRateScheduler
from fastmlp.callbacks.stopping import EarlyStopping, TargetReached, TimeBudget
from fastmlp.callbacks.tensorboard import TensorBoardLog
from fastmlp.engine.threads import resolve_threads
from fastmlp.exceptions import DataFormatError, DivergenceError, ModelFormatError, ResumeError
from fastmlp.myann.myann import MyANN
from fastmlp.network.network import Network
from fastmlp.training.history import Evaluation, History
from fastmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier, MLPRegressor
    from fastmlp.exchange.keras import from_keras, to_keras
    from fastmlp.exchange.onnx import export_onnx
    from fastmlp.exchange.saving import load, save
    from fastmlp.tables import TabularClassifier, TabularRegressor

__all__ = [
    "Checkpoint",
    "DataFormatError",
    "DivergenceError",
    "EarlyStopping",
    "EpochCallback",
    "Evaluation",
    "History",
    "LearningRateScheduler",
    "LivePlot",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFormatError",
    "MyANN",
    "Network",
    "ResumeError",
    "TabularClassifier",
    "TabularRegressor",
    "TargetReached",
    "TensorBoardLog",
    "TimeBudget",
    "Trainer",
    "__version__",
    "callbacks",
    "data",
    "datasets",
    "export_onnx",
    "from_keras",
    "load",
    "losses",
    "optimizers",
    "plots",
    "resolve_threads",
    "save",
    "to_keras",
]
"""Public names, and all that `dir(fastmlp)` shows."""

_LAZY = {
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "TabularClassifier": "tables",
    "TabularRegressor": "tables",
    "from_keras": "exchange.keras",
    "to_keras": "exchange.keras",
    "export_onnx": "exchange.onnx",
    "load": "exchange.saving",
    "save": "exchange.saving",
}
"""Names imported at their first use, and the modules that define them.

Importing scikit-learn alone takes about a second.
"""


def __getattr__(name: str) -> object:
    """Import a lazy name at its first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, lazy ones included, and the names that every module has."""
    dunders = {name for name in globals() if name.startswith("__") and name.endswith("__")}
    return sorted({*__all__, *dunders})
