"""fastmlp: fast, small, well-behaved dense neural networks on the CPU."""

from typing import TYPE_CHECKING

from fastmlp import datasets as datasets
from fastmlp._threads import resolve_threads as resolve_threads
from fastmlp.exceptions import DataFormatError as DataFormatError
from fastmlp.exceptions import DivergenceError as DivergenceError
from fastmlp.history import History as History
from fastmlp.myann import MyANN as MyANN
from fastmlp.network import Network as Network
from fastmlp.trainer import Evaluation as Evaluation
from fastmlp.trainer import Trainer as Trainer

if TYPE_CHECKING:
    from fastmlp.estimators import MLPClassifier as MLPClassifier
    from fastmlp.estimators import MLPRegressor as MLPRegressor

__version__ = "0.1.0"

_ESTIMATORS = ("MLPClassifier", "MLPRegressor")


def __getattr__(name: str) -> object:
    """The estimators when they are wanted: they import scikit-learn, which takes a second."""
    if name not in _ESTIMATORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastmlp import estimators

    return getattr(estimators, name)


def __dir__() -> list[str]:
    """The estimators too."""
    return sorted({*globals(), *_ESTIMATORS})
