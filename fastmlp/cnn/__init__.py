"""CNNs for images in Keras on TensorFlow: training, and what a trained map sees.

Needs the extra ``cnn``. TensorFlow is imported when a network is built, not with this package.
"""

from typing import TYPE_CHECKING

from fastmlp.cnn.articles.functions import build_cnn_simple as build_cnn_simple
from fastmlp.cnn.articles.functions import load_mnist as load_mnist
from fastmlp.cnn.articles.functions import my_compile as my_compile
from fastmlp.cnn.articles.functions import train as train
from fastmlp.cnn.best_epoch import BestEpoch as BestEpoch
from fastmlp.cnn.config import CNNConfig as CNNConfig
from fastmlp.cnn.device import choose_device as choose_device
from fastmlp.cnn.device import configure as configure
from fastmlp.cnn.device import devices as devices
from fastmlp.cnn.device import report as report
from fastmlp.cnn.files import load_model as load_model
from fastmlp.cnn.geometry import layer_table as layer_table
from fastmlp.cnn.geometry import receptive_fields as receptive_fields
from fastmlp.cnn.images import load_images as load_images
from fastmlp.cnn.layers import ConvLayer as ConvLayer
from fastmlp.cnn.layers import DenseLayer as DenseLayer
from fastmlp.cnn.layers import PoolLayer as PoolLayer
from fastmlp.cnn.network import CNN as CNN
from fastmlp.cnn.schedules import learning_rate_at as learning_rate_at

if TYPE_CHECKING:
    from fastmlp.cnn.articles.callbacks import EpochPlot as EpochPlot
    from fastmlp.cnn.articles.callbacks import LrHistory as LrHistory

_KERAS_CLASSES = ("EpochPlot", "LrHistory")


def __getattr__(name: str) -> object:
    """The classes that derive from Keras' own, when they are wanted."""
    if name not in _KERAS_CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastmlp.cnn import backend

    backend.import_keras()
    from fastmlp.cnn.articles import callbacks as _article_callbacks

    return getattr(_article_callbacks, name)


def __dir__() -> list[str]:
    """The classes that derive from Keras' own too."""
    return sorted({*globals(), *_KERAS_CLASSES})
