"""The step from gradients to new weights: penalties, clipping, optimizers; also dropout masks.

See src/update.c. Arrays with the shape of a weight matrix W (n_out, n_in + 1) have the biases in
column 0, to which penalties do not apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp._types import Array
from fastmlp.optimizers import SGD, Adam, Optimizer

LAYER_KEY = 0x9E3779B97F4A7C15
"""Difference between the dropout keys of two layers: 2^64 divided by the golden ratio."""


def penalty(weights: Sequence[Array], l1: float, l2: float) -> float:
    """Return ``l2 / 2 sum w^2 + l1 sum |w|`` over all matrices but biases (articles M8, M13).

    `weights` are matrices of shape (n_next, n_this + 1), with the bias in column 0.
    """
    squares = sum(float((w[:, 1:] ** 2).sum()) for w in weights) if l2 else 0.0
    magnitudes = sum(float(np.abs(w[:, 1:]).sum()) for w in weights) if l1 else 0.0
    return l2 / 2 * squares + l1 * magnitudes


def penalty_gradient(w: Array, l1: float, l2: float) -> Array:
    """Return l2 w + l1 sign(w), zero in the bias column.

    `w` and the result are matrices of shape (n_next, n_this + 1), with the bias in column 0.
    """
    gradient = np.zeros_like(w)
    if l2:
        gradient[:, 1:] += l2 * w[:, 1:]
    if l1:
        gradient[:, 1:] += l1 * np.sign(w[:, 1:])
    return gradient


def dropout_mask(key: int, first_row: int, n_rows: int, n_nodes: int, rate: float) -> Array:
    """Return the dropout mask (n_rows, n_nodes): 0 with probability `rate`, else 1 / (1 - rate).

    It is a pure function of key, row and node, so that it does not depend on the thread: row keys
    are SplitMix64's finalizer of key + row, and the random numbers a 32-bit hash of row key and
    node (C. Wellons). Dropout: Srivastava et al., 2014.
    """
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.arange(first_row, first_row + n_rows, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        row_keys = (z ^ (z >> np.uint64(31))).astype(np.uint32)
        x = row_keys[:, np.newaxis] + np.arange(n_nodes, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    drawn = x ^ (x >> np.uint32(16))
    return np.where(drawn < np.uint32(int(rate * 2**32)), 0.0, 1 / (1 - rate))


def clip(gradients: list[Array], max_norm: float) -> None:
    """Scale the gradient of all layers together down to the norm `max_norm`, in place.

    `gradients` are matrices of shape (n_next, n_this + 1), one per layer.
    """
    norm = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in gradients))
    if norm > max_norm:
        for gradient in gradients:
            gradient *= max_norm / norm


def update(
    w: Array, memory: Array, gradient: Array, learning_rate: float, momentum: float, rule: str
) -> None:
    """Do one step of gradient descent; change `w` and `memory` (of the same shape) in place.

    With D = learning_rate * gradient and the memory m, which is zero at first:
    ``one_step``  w <- w - (D + momentum m), m <- D (articles: a memory of one step)
    ``classical``  m <- momentum m + D, w <- w - m (Polyak, 1964)
    ``nesterov``  m <- momentum m + D, w <- w - (D + momentum m) (Sutskever et al., 2013)
    """
    step = learning_rate * gradient
    if rule == "one_step":
        w -= step + momentum * memory
        memory[...] = step
    else:
        memory *= momentum
        memory += step
        w -= step + momentum * memory if rule == "nesterov" else memory


def adam_update(
    w: Array,
    states: Array,
    gradient: Array,
    learning_rate: float,
    step: int,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    weight_decay: float = 0.0,
    epsilon_hat: bool = False,
) -> None:
    """Do one step of Adam, or of AdamW with a weight decay; change `w` and `states` in place.

    ``states`` holds m and v, each with the shape of w and zero before step 1:
    m <- beta_1 m + (1 - beta_1) g,  v <- beta_2 v + (1 - beta_2) g^2, and with
    m' = m / (1 - beta_1^step), v' = v / (1 - beta_2^step):
    w <- (1 - learning_rate weight_decay) w - learning_rate m' / (sqrt(v') + epsilon)
    With `epsilon_hat`, epsilon is added to sqrt(v) before the bias correction: the form at the end
    of the paper's section 2, which scikit-learn uses.
    (Kingma and Ba, 2015; Loshchilov and Hutter, 2019).
    """
    m, v = states
    m *= beta_1
    m += (1 - beta_1) * gradient
    v *= beta_2
    v += (1 - beta_2) * gradient**2
    corrected_m = m / (1 - beta_1**step)
    corrected_v = v / (1 - beta_2**step)
    w *= 1 - learning_rate * weight_decay
    if epsilon_hat:
        epsilon /= np.sqrt(1 - beta_2**step)
    w -= learning_rate * corrected_m / (np.sqrt(corrected_v) + epsilon)


def rmsprop_update(
    w: Array,
    states: Array,
    gradient: Array,
    learning_rate: float,
    rho: float,
    epsilon: float,
    momentum: float,
) -> None:
    """Do one step of RMSprop; change `w` and `states` in place.

    ``states`` holds v and b, which are zero at first: v <- rho v + (1 - rho) g^2,
    b <- momentum b + g / (sqrt(v) + epsilon),  w <- w - learning_rate b (Tieleman and Hinton, 2012;
    the momentum as in PyTorch).

    `w` and `gradient` have the same shape, ``states`` is ``(n_states, *w.shape)``.
    """
    v, b = states
    v *= rho
    v += (1 - rho) * gradient**2
    b *= momentum
    b += gradient / (np.sqrt(v) + epsilon)
    w -= learning_rate * b


def apply_optimizer(
    optimizer: Optimizer, w: Array, states: Array, gradient: Array, learning_rate: float, step: int
) -> None:
    """Do step number `step` >= 1 of any optimizer; change `w` and `states` in place.

    `w` and `gradient` have the same shape, ``states`` is ``(n_states, *w.shape)``.
    """
    coefficients: dict[str, Any] = dict(optimizer.coefficients())
    if "epsilon" in coefficients:  # 0 / 0 would be NaN where a gradient is 0
        coefficients["epsilon"] = max(coefficients["epsilon"], float(np.finfo(w.dtype).tiny))
    if isinstance(optimizer, SGD):
        update(w, states[0], gradient, learning_rate, optimizer.momentum, optimizer.rule)
    elif isinstance(optimizer, Adam):
        adam_update(w, states, gradient, learning_rate, step, **coefficients)
    else:
        rmsprop_update(w, states, gradient, learning_rate, **coefficients)
