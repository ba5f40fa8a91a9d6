"""A convolutional network with changed images, dropout and batch normalization, in Keras.

:class:`fastmlp.cnn.CNNConfig` has the articles' layers; these lie beyond, and are Keras' own.
Shifts, rotations and dropout act in training alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastmlp.cnn.backend import import_keras
from fastmlp.cnn.images import ImageData
from fastmlp.studies.lab.results import rounded

DROPOUT = 0.4
"""Share of the nodes of the hidden dense layer that are 0 in a step."""

SHIFT = 0.08
"""Largest shift, as a share of the side: two of 28 pixels."""

TURN = 1 / 36
"""Largest rotation, as a share of a full turn: 10 degrees."""


def build_augmented(
    data: ImageData,
    *,
    maps: Sequence[int],
    dense: int,
    change_images: bool,
    regularize: bool,
    n_steps: int,
    seed: int,
) -> Any:
    """Build and compile a network: Adam at 0.001, which falls to 0 along a cosine.

    Parameters
    ----------
    data : ImageData
        Decides the shape of the input and the number of output nodes.
    maps : sequence of int
        Maps of each convolution, 3 x 3; a pooling, 2 x 2, follows each but the last.
    dense : int
        Nodes of the hidden dense layer.
    change_images : bool
        Shift and turn each training image at random, anew in every epoch.
    regularize : bool
        Normalize over the batch after each convolution and the hidden layer, and drop nodes of
        the latter.
    n_steps : int
        Batches of the run.
    seed : int
        Of the initial weights and of all that is random in the layers.

    Returns
    -------
    keras.Sequential
    """
    keras = import_keras()
    layers, seeds = keras.layers, _seeds(seed)
    model = keras.Sequential([keras.Input(data.image_shape)])
    if change_images:
        model.add(layers.RandomTranslation(SHIFT, SHIFT, fill_mode="nearest", seed=next(seeds)))
        model.add(layers.RandomRotation(TURN, fill_mode="nearest", seed=next(seeds)))
    for i, n in enumerate(maps):
        if i:
            model.add(layers.MaxPooling2D(2))
        model.add(layers.Conv2D(n, 3, kernel_initializer=_glorot(next(seeds))))
        _add_relu(model, regularize)
    model.add(layers.Flatten())
    model.add(layers.Dense(dense, kernel_initializer=_glorot(next(seeds))))
    _add_relu(model, regularize)
    if regularize:
        model.add(layers.Dropout(DROPOUT, seed=next(seeds)))
    n_classes = int(data.y_train.max()) + 1
    initial = _glorot(next(seeds))
    model.add(layers.Dense(n_classes, activation="softmax", kernel_initializer=initial))
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.001, n_steps)),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def train_augmented(
    data: ImageData,
    *,
    n_epochs: int,
    batch_size: int,
    seed: int,
    tick: Callable[[], None],
    **network: Any,
) -> dict[str, Any]:
    """Train a network of `build_augmented`, and measure it: on the test images once, at the end.

    Parameters
    ----------
    data : ImageData
        With validation images, which are measured after every epoch.
    n_epochs, batch_size, seed : int
    tick : callable
        Called after every epoch.
    network
        Other arguments of `build_augmented`.

    Returns
    -------
    dict
        ``n_parameters``; per epoch, five significant digits, ``train_accuracy`` (mean over the
        batches, of changed images where they are) and ``validation_accuracy``; ``test_accuracy``
        and ``n_wrong`` of the last weights.
    """
    from fastmlp.cnn.articles.batches import ShuffledBatches

    keras = import_keras()
    n_steps = n_epochs * -(-len(data.X_train) // batch_size)
    model = build_augmented(data, n_steps=n_steps, seed=seed, **network)
    targets = [
        np.eye(model.output_shape[-1], dtype=np.float32)[labels]
        for labels in (data.y_train, data.y_validation)
    ]
    history = model.fit(
        ShuffledBatches(data.X_train, targets[0], batch_size, [seed]),
        epochs=n_epochs,
        validation_data=(data.X_validation, targets[1]),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: tick())],
        shuffle=False,
        verbose=0,
    ).history
    outputs = model.predict(data.X_test, batch_size=500, verbose=0)
    n_wrong = int((outputs.argmax(axis=1) != data.y_test).sum())
    return {
        "n_parameters": int(model.count_params()),
        "train_accuracy": rounded(history["accuracy"]),
        "validation_accuracy": rounded(history["val_accuracy"]),
        "test_accuracy": round(1 - n_wrong / len(data.y_test), 6),
        "n_wrong": n_wrong,
    }


def _add_relu(model: Any, regularize: bool) -> None:
    """Add relu, of sums that are normalized over the batch first if asked."""
    layers = import_keras().layers
    if regularize:
        model.add(layers.BatchNormalization())
    model.add(layers.ReLU())


def _glorot(seed: int) -> Any:
    return import_keras().initializers.GlorotUniform(seed=seed)


def _seeds(seed: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(2**31 - 1))
