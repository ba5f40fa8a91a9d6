"""Permute the hidden nodes of a network, and match them with those of another one.

Hidden nodes have no order: permuting the rows of W_l and the columns of W_{l+1} changes no output.
Weight matching (Ainsworth, Hayase and Srinivasa, 2022, "Git Re-Basin") looks for permutations that
bring the weights of one network as near to those of another as possible, layer by layer; each layer
is a linear assignment problem.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array

Order = NDArray[np.intp]

MAX_ROUNDS = 50


def permute(weights: Sequence[Array], orders: Sequence[Order]) -> list[Array]:
    """Copies of the matrices (n_out, n_in + 1) with the nodes of hidden layer l in `orders[l]`."""
    result = [w.copy() for w in weights]
    for layer, order in enumerate(orders):
        result[layer] = result[layer][order]
        below, bias = result[layer + 1][:, 1:], result[layer + 1][:, :1]
        result[layer + 1] = np.hstack([bias, below[:, order]])
    return result


def match(
    weights: Sequence[Array], target: Sequence[Array], rng: np.random.Generator
) -> list[Order]:
    """Orders of the hidden nodes that bring `weights` near to `target`.

    The sum of squared differences falls with every assignment; layers are taken in random order
    until a round changes nothing, which is a local minimum.
    """
    from scipy.optimize import linear_sum_assignment

    n_hidden = len(weights) - 1
    orders = [np.arange(len(w)) for w in weights[:-1]]
    for _ in range(MAX_ROUNDS):
        changed = False
        for layer in rng.permutation(n_hidden):
            similar = _similarity(weights, target, orders, int(layer))
            _, order = linear_sum_assignment(similar, maximize=True)
            before = similar[np.arange(len(order)), orders[layer]].sum()
            after = similar[np.arange(len(order)), order].sum()
            if after > before + 1e-6 * abs(before):
                orders[layer], changed = np.asarray(order, np.intp), True
        if not changed:
            break
    return orders


def _similarity(
    weights: Sequence[Array], target: Sequence[Array], orders: Sequence[Order], layer: int
) -> NDArray[np.float64]:
    """Scalar products (n, n) of the target's nodes with ours, over all weights that touch them."""
    incoming = weights[layer]
    if layer > 0:
        incoming = np.hstack([incoming[:, :1], incoming[:, 1:][:, orders[layer - 1]]])
    outgoing = weights[layer + 1]
    if layer + 1 < len(orders):
        outgoing = outgoing[orders[layer + 1]]
    products: NDArray[np.float64] = target[layer].astype(float) @ incoming.T.astype(float) + target[
        layer + 1
    ][:, 1:].T.astype(float) @ outgoing[:, 1:].astype(float)
    return products


def normalized_direction(weights: Sequence[Array], rng: np.random.Generator) -> Array:
    """A random direction whose part for each node is as long as that node's weights.

    Without this, equal surfaces of networks with larger weights would look flatter (Li et al.,
    2018, "Visualizing the Loss Landscape of Neural Nets"). It is flat, with biases of 0.
    """
    parts = []
    for w in weights:
        d = rng.standard_normal(w.shape).astype(w.dtype)
        d[:, 0] = 0
        lengths = np.linalg.norm(w[:, 1:], axis=1) / np.linalg.norm(d[:, 1:], axis=1)
        parts.append((d * lengths[:, np.newaxis]).ravel())
    return np.concatenate(parts)


def barrier(costs: NDArray[np.float64]) -> float:
    """Highest rise of the costs along a line over the straight line between its ends."""
    straight = np.linspace(costs[0], costs[-1], len(costs))
    return float(np.max(costs - straight))
