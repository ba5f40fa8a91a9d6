"""fastmlp: fast, small, well-behaved dense neural networks on the CPU."""

from fastmlp import datasets as datasets
from fastmlp._threads import resolve_threads as resolve_threads
from fastmlp.exceptions import DataFormatError as DataFormatError
from fastmlp.exceptions import DivergenceError as DivergenceError
from fastmlp.history import History as History
from fastmlp.myann import MyANN as MyANN
from fastmlp.network import Network as Network
from fastmlp.trainer import Evaluation as Evaluation
from fastmlp.trainer import Trainer as Trainer

__version__ = "0.1.0"
