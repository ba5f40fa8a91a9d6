"""fastmlp: fast, small, well-behaved dense neural networks on the CPU."""

from typing import TYPE_CHECKING

from fastmlp import datasets as datasets
from fastmlp._tensorboard import TensorBoardLog as TensorBoardLog
from fastmlp._threads import resolve_threads as resolve_threads
from fastmlp.checkpoint import Checkpoint as Checkpoint
from fastmlp.exceptions import DataFormatError as DataFormatError
from fastmlp.exceptions import DivergenceError as DivergenceError
from fastmlp.exceptions import ModelFormatError as ModelFormatError
from fastmlp.exceptions import ResumeError as ResumeError
from fastmlp.history import History as History
from fastmlp.live import LivePlot as LivePlot
from fastmlp.myann import MyANN as MyANN
from fastmlp.network import Network as Network
from fastmlp.trainer import Evaluation as Evaluation
from fastmlp.trainer import Trainer as Trainer

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier as MLPClassifier
    from fastmlp.estimators import MLPRegressor as MLPRegressor
    from fastmlp.keras_exchange import from_keras as from_keras
    from fastmlp.keras_exchange import to_keras as to_keras
    from fastmlp.onnx_export import export_onnx as export_onnx
    from fastmlp.persistence import load as load
    from fastmlp.persistence import save as save

__version__ = "0.1.0"

_LAZY = {
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "from_keras": "keras_exchange",
    "to_keras": "keras_exchange",
    "export_onnx": "onnx_export",
    "load": "persistence",
    "save": "persistence",
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
