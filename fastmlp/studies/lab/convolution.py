"""Train one convolutional network in Keras, and measure it: on the test images once, at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastmlp.cnn.backend import TITLES, import_keras
from fastmlp.cnn.config import CNNConfig
from fastmlp.cnn.device import report
from fastmlp.cnn.images import ImageData, load_images
from fastmlp.cnn.layers import ConvLayer, DenseLayer, PoolLayer
from fastmlp.cnn.network import CNN
from fastmlp.exceptions import DivergenceError
from fastmlp.studies.lab.results import rounded


def versions() -> dict[str, str]:
    """Import Keras, and return its version and that of the library under it.

    TensorFlow's log lines, which would mix with the progress, are left out unless the user has set
    their level.

    Raises
    ------
    ImportError
        If one of them is missing, with the command that installs it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import_keras()
    found = report()
    return {name: str(found[name]) for name in ("keras", *TITLES) if name in found}


def load(name: str, n_train: int | None, n_validation: int, scale: str = "feature") -> ImageData:
    """Load standardized images: the first `n_train`, the last of these for validation, and tests.

    Parameters
    ----------
    name : str
        mnist, fashion or digits.
    n_train : int or None
        Training images, those for validation included; None for all.
    n_validation : int
    scale : {"feature", "global"}
        One mean and deviation per pixel, or one for all, so that a moved image is still one.
    """
    return load_images(name, scale=scale, n_train=n_train, n_validation=n_validation)


def network_config(
    data: ImageData,
    *,
    maps: Sequence[int],
    dense: Sequence[int],
    output: str = "softmax",
    **settings: Any,
) -> CNNConfig:
    """Settings of a network like that of the articles: 3 x 3 kernels, 2 x 2 pools, relu.

    Parameters
    ----------
    data : ImageData
        Decides the shape of the input and the number of output nodes.
    maps : sequence of int
        Maps of each convolution; a pooling follows each but the last.
    dense : sequence of int
        Nodes of each hidden dense layer.
    output : {"softmax", "sigmoid"}
    settings
        Other fields of :class:`fastmlp.cnn.CNNConfig`.
    """
    hidden = (DenseLayer(nodes) for nodes in dense)
    return CNNConfig(
        conv=tuple(ConvLayer(n) for n in maps),
        pools=(PoolLayer(2),) * (len(maps) - 1),
        dense=(*hidden, DenseLayer(int(data.y_train.max()) + 1, output)),
        input_shape=data.image_shape,
        **settings,
    )


def falling_rate(data: ImageData, n_epochs: int, batch_size: int) -> dict[str, Any]:
    """Settings of a rate that falls to 0 by the last batch, along a cosine.

    With a constant rate the accuracy after an epoch differs from that after the next by more than
    most networks differ.
    """
    n_batches = -(-len(data.X_train) // batch_size)
    return {"schedule": "cosine", "decay_steps": n_epochs * n_batches, "decay_rate": 0.0}


def train_cnn(
    data: ImageData, config: CNNConfig, *, seed: int, tick: Callable[[Any], None]
) -> dict[str, Any]:
    """Train a network with initial weights and order of images given by `seed`.

    Parameters
    ----------
    data : ImageData
        With validation images, which are measured after every epoch.
    config : CNNConfig
        Its metrics include the accuracy.
    seed : int
    tick : callable
        Called with the CNN after every epoch.

    Returns
    -------
    dict
        ``n_parameters``; per epoch, five significant digits, ``train_accuracy`` (mean over the
        batches of the epoch, while the weights change), ``validation_accuracy``,
        ``validation_cost`` (mean per image, penalty included) and ``learning_rates`` (at the end
        of the epoch); ``test_accuracy`` of the last weights; ``training_seconds``, without
        measurements; ``diverged``, the error's sentence or None. The test accuracy is None after a
        divergence.
    """
    cnn = CNN(config, seed=seed)
    diverged = None
    try:
        cnn.fit(
            data.X_train,
            data.y_train,
            validation_data=(data.X_validation, data.y_validation),
            callbacks=[tick],
        )
    except DivergenceError as error:
        diverged = str(error)
    history = cnn.history
    lists = {
        "train_accuracy": history["batch_accuracy"],
        "validation_accuracy": history["val_accuracy"],
        "validation_cost": history["val_cost"],
        "learning_rates": history["learning_rates"],
    }
    return {
        "n_parameters": config.n_parameters,
        **{name: rounded(np.asarray(values, float)) for name, values in lists.items()},
        "test_accuracy": None if diverged else cnn.evaluate(data.X_test, data.y_test).accuracy,
        "training_seconds": round(float(np.sum(history["epoch_seconds"])), 3),
        "diverged": diverged,
    }
