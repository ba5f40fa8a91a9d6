"""Construction of a compiled Keras model from a CNNConfig."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from fastmlp.cnn.backend import choose_backend, import_keras
from fastmlp.cnn.config import CNNConfig
from fastmlp.cnn.schedules import keras_rate

ERROR_METRIC = "output_error"
"""Name of the metric mean(abs(y - a)), which every model gets for the History."""


def build_model(config: CNNConfig, seed: int | None = None) -> Any:
    """A new ``keras.Sequential``, not compiled; weights are Keras' Glorot uniform, biases 0.

    `seed` decides the weights, and the process' own random numbers are not touched; without it
    ``keras.utils.set_random_seed`` decides them.
    """
    keras = import_keras()
    layers = keras.layers
    seeds = _seeds(seed)
    dense_penalty = keras_regularizer(config)
    conv_penalty = dense_penalty if config.regularize_conv else None
    policy = None if config.precision == "float32" else f"mixed_{config.precision}"
    model = keras.Sequential([keras.Input(config.input_shape)])
    for conv, pool in zip_longest(config.conv, config.pools):
        model.add(
            layers.Conv2D(
                conv.maps,
                conv.kernel,
                strides=conv.stride,
                padding=conv.padding,
                activation=conv.activation,
                name=conv.name,
                kernel_regularizer=conv_penalty,
                kernel_initializer=next(seeds),
                dtype=policy,
            )
        )
        if pool is not None:
            layer_type = layers.MaxPooling2D if pool.kind == "max" else layers.AveragePooling2D
            model.add(layer_type(pool.size, strides=pool.stride, name=pool.name, dtype=policy))
    model.add(layers.Flatten(name="flatten", dtype=policy))
    for dense in config.dense:
        model.add(
            layers.Dense(
                dense.nodes,
                activation=dense.activation,
                name=dense.name,
                kernel_regularizer=dense_penalty,
                kernel_initializer=next(seeds),
                dtype="float32" if policy and dense is config.dense[-1] else policy,
            )
        )
    return model


def compile_model(
    model: Any,
    config: CNNConfig,
    *,
    xla: bool | str = "auto",
    device: str = "cpu:0",
    steps_per_execution: int = 1,
) -> None:
    """Give a model its loss, its metrics and a new optimizer at iteration 0.

    `xla` is True, False or "auto"; see `xla_for_keras`.
    """
    keras = import_keras()
    model.compile(
        optimizer=keras_optimizer(config),
        loss=config.loss,
        metrics=[*config.metrics, keras.metrics.MeanAbsoluteError(name=ERROR_METRIC)],
        jit_compile=xla_for_keras(xla, device),
        steps_per_execution=steps_per_execution,
    )
    model.optimizer.build(model.trainable_variables)


def xla_for_keras(xla: bool | str, device: str) -> bool | str:
    """Keras' ``jit_compile``: compile a step with XLA (PyTorch: with ``torch.compile``) or not.

    "auto" is left to Keras, except for TensorFlow on a processor, where the answer is no: there a
    step of the articles' CNN takes more than twice as long with XLA, and Keras goes by what devices
    the machine has, not by the one that the model is on.
    """
    if xla == "auto" and choose_backend() == "tensorflow" and device.startswith("cpu"):
        return False
    return xla


def keras_optimizer(config: CNNConfig) -> Any:
    """A new optimizer; the momentum is passed only to those that have one."""
    if config.precision == "float16":  # small gradients would be 0 without it
        return import_keras().optimizers.LossScaleOptimizer(_optimizer(config))
    return _optimizer(config)


def _optimizer(config: CNNConfig) -> Any:
    optimizers = import_keras().optimizers
    rate = keras_rate(config)
    if config.optimizer == "rmsprop":
        return optimizers.RMSprop(rate, momentum=config.momentum)
    if config.optimizer == "sgd":
        return optimizers.SGD(rate, momentum=config.momentum)
    optimizer_types = {
        "nadam": optimizers.Nadam,
        "adamax": optimizers.Adamax,
        "adam": optimizers.Adam,
    }
    return optimizer_types[config.optimizer](rate)


def keras_regularizer(config: CNNConfig) -> Any:
    """The regularizer of a kernel, or None."""
    regularizers = import_keras().regularizers
    if config.regularizer is None or callable(config.regularizer):
        return config.regularizer
    if config.regularizer == "l1":
        return regularizers.L1(config.l1)
    if config.regularizer == "l2":
        return regularizers.L2(config.l2)
    return regularizers.L1L2(l1=config.l1, l2=config.l2)


def _seeds(seed: int | None) -> Any:
    """Yield initializers with different seeds; without a `seed` Keras draws them."""
    keras = import_keras()
    rng = None if seed is None else np.random.default_rng(seed)
    while True:
        number = None if rng is None else int(rng.integers(2**31 - 1))
        yield keras.initializers.GlorotUniform(seed=number)
