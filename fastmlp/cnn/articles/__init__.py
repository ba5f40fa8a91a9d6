"""The articles' functions, callbacks and settings, under the articles' names."""

from typing import TYPE_CHECKING

from fastmlp.cnn.articles.configs import ARTICLE_NAMES as ARTICLE_NAMES
from fastmlp.cnn.articles.data import load_Mnist as load_Mnist
from fastmlp.cnn.articles.data import load_mnist as load_mnist
from fastmlp.cnn.articles.functions import build_cnn_simple as build_cnn_simple
from fastmlp.cnn.articles.functions import my_compile as my_compile
from fastmlp.cnn.articles.training import train as train
from fastmlp.cnn.articles.training import train_part_2 as train_part_2
from fastmlp.cnn.articles.training import train_part_3 as train_part_3

if TYPE_CHECKING:
    from fastmlp.cnn.articles.callbacks import EpochPlot as EpochPlot
    from fastmlp.cnn.articles.callbacks import LrHistory as LrHistory

_LAZY = ("EpochPlot", "LrHistory")
"""Subclasses of Keras classes, imported at first use."""


def __getattr__(name: str) -> object:
    """Import a subclass of a Keras class on demand."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastmlp.cnn.backend import import_keras

    import_keras()
    from fastmlp.cnn.articles import callbacks

    return getattr(callbacks, name)


def __dir__() -> list[str]:
    """Return the names of this package, including those imported lazily."""
    return sorted({*globals(), *_LAZY})
