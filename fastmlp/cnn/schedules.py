"""The learning rate after any number of batches, in plain Python and as Keras' schedule."""

from __future__ import annotations

import math
from typing import Any

from fastmlp.cnn.backend import import_keras
from fastmlp.cnn.config import CNNConfig


def learning_rate_at(config: CNNConfig, n_batches: int) -> float:
    """The rate after `n_batches` batches.

    ===============  ==================================================================
    ``none``         rate
    ``power``        rate / (1 + decay_rate n / decay_steps)
    ``exponential``  rate decay_rate^(n / decay_steps)
    ``cosine``       rate ((1 - a) (1 + cos(pi min(n / decay_steps, 1))) / 2 + a), where a is
                     decay_rate
    ===============  ==================================================================

    The formulas are those of Keras' InverseTimeDecay, ExponentialDecay and CosineDecay.
    """
    rate, decay = config.learning_rate, config.decay_rate
    share = n_batches / config.decay_steps
    if config.schedule == "power":
        return rate / (1 + decay * share)
    if config.schedule == "exponential":
        return float(rate * decay**share)
    if config.schedule == "cosine":
        wave = (1 + math.cos(math.pi * min(share, 1.0))) / 2
        return rate * ((1 - decay) * wave + decay)
    return rate


def keras_rate(config: CNNConfig) -> Any:
    """The rate as a number, or as an object of ``keras.optimizers.schedules``."""
    schedules = import_keras().optimizers.schedules
    rate, steps, decay = config.learning_rate, config.decay_steps, config.decay_rate
    if config.schedule == "power":
        return schedules.InverseTimeDecay(rate, decay_steps=steps, decay_rate=decay)
    if config.schedule == "exponential":
        return schedules.ExponentialDecay(rate, decay_steps=steps, decay_rate=decay)
    if config.schedule == "cosine":
        return schedules.CosineDecay(rate, decay_steps=steps, alpha=decay)
    return rate
