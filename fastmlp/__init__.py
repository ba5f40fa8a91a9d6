"""fastmlp: fast, small, well-behaved dense neural networks on the CPU."""

from typing import TYPE_CHECKING

from fastmlp import datasets as datasets
from fastmlp._version import __version__ as __version__
from fastmlp.callbacks.checkpoint import Checkpoint as Checkpoint
from fastmlp.callbacks.live_plot import LivePlot as LivePlot
from fastmlp.callbacks.tensorboard import TensorBoardLog as TensorBoardLog
from fastmlp.engine.threads import resolve_threads as resolve_threads
from fastmlp.exceptions import DataFormatError as DataFormatError
from fastmlp.exceptions import DivergenceError as DivergenceError
from fastmlp.exceptions import ModelFormatError as ModelFormatError
from fastmlp.exceptions import ResumeError as ResumeError
from fastmlp.myann.myann import MyANN as MyANN
from fastmlp.network.network import Network as Network
from fastmlp.training.history import Evaluation as Evaluation
from fastmlp.training.history import History as History
from fastmlp.training.trainer import Trainer as Trainer

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier as MLPClassifier
    from fastmlp.estimators import MLPRegressor as MLPRegressor
    from fastmlp.exchange.keras import from_keras as from_keras
    from fastmlp.exchange.keras import to_keras as to_keras
    from fastmlp.exchange.onnx import export_onnx as export_onnx
    from fastmlp.exchange.saving import load as load
    from fastmlp.exchange.saving import save as save

_LAZY = {
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "from_keras": "exchange.keras",
    "to_keras": "exchange.keras",
    "export_onnx": "exchange.onnx",
    "load": "exchange.saving",
    "save": "exchange.saving",
}
"""Names that are imported when they are wanted, and their modules: scikit-learn takes a second."""


def __getattr__(name: str) -> object:
    """What is imported when it is wanted."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """The lazy names too."""
    return sorted({*globals(), *_LAZY})
