"""CNNs for images in Keras: training, and what a trained map responds to.

Needs the extra ``cnn``, ``cnn-jax`` or ``cnn-torch``. Keras and the library under it are imported
when a network is built, not with this package.
"""

from typing import TYPE_CHECKING

from fastmlp.cnn.articles.data import load_mnist as load_mnist
from fastmlp.cnn.articles.functions import build_cnn_simple as build_cnn_simple
from fastmlp.cnn.articles.functions import my_compile as my_compile
from fastmlp.cnn.articles.training import train as train
from fastmlp.cnn.best_epoch import BestEpoch as BestEpoch
from fastmlp.cnn.config import CNNConfig as CNNConfig
from fastmlp.cnn.device import choose_device as choose_device
from fastmlp.cnn.device import configure as configure
from fastmlp.cnn.device import devices as devices
from fastmlp.cnn.device import report as report
from fastmlp.cnn.device import why_no_card as why_no_card
from fastmlp.cnn.files import load_model as load_model
from fastmlp.cnn.from_keras import from_keras as from_keras
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

_LAZY = ("EpochPlot", "LrHistory")
"""Subclasses of Keras classes, imported at first use."""


def __getattr__(name: str) -> object:
    """Import a subclass of a Keras class on demand."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastmlp.cnn import articles

    return getattr(articles, name)


def __dir__() -> list[str]:
    """Return the names of this package, including those imported lazily."""
    return sorted({*globals(), *_LAZY})
