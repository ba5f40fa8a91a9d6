"""Conversion of a network to scikit-learn's `coefs_` and `intercepts_`, and back."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from fastmlp._types import Array
from fastmlp.network.network import Network


class Architecture(NamedTuple):
    """Structure of a network: everything except the values of its weights.

    Attributes
    ----------
    sizes : tuple of int
        Widths of all layers, input and output included.
    activations : tuple of str
        Activations of the hidden layers, by the engine's names.
    output : str
        Function of the last layer.
    dtype : str
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    output: str
    dtype: str

    def differences(self, old: Architecture) -> str:
        """Describe the parameters and data in which this and the fitted architecture differ."""
        (n_in, *hidden, n_out), (old_in, *old_hidden, old_out) = self.sizes, old.sizes
        pairs = {
            "hidden_layer_sizes": (tuple(hidden), tuple(old_hidden)),
            "activation": (self.activations, old.activations),
            "the output function for loss and y": (self.output, old.output),
            "the number of features": (n_in, old_in),
            "the number of outputs": (n_out, old_out),
            "dtype": (self.dtype, old.dtype),
        }
        return "; ".join(
            f"{name} must be as it was, {was!r}; got {now!r}"
            for name, (now, was) in pairs.items()
            if now != was
        )

    def network(self, initializer: str = "sqrt_nodes", random_state: Any = None) -> Network:
        """Create a network with this architecture."""
        return Network(
            self.sizes,
            activation=self.activations,
            output=self.output,
            dtype=self.dtype,
            initializer=initializer,
            random_state=random_state,
        )


def initial_network(
    architecture: Architecture,
    activations: Sequence[str],
    initializer: str,
    random_state: np.random.RandomState,
) -> Network:
    """Create a network with initial weights.

    With "auto" they are the same as scikit-learn's: weights and biases of a layer are uniform
    within +-sqrt(6 / (n_in + n_out)), or +-sqrt(2 / (n_in + n_out)) for a logistic layer (Glorot
    and Bengio, 2010). For other names, see :mod:`fastmlp.initializers`.

    Parameters
    ----------
    activations : sequence of str
        One or more names, for the layers in order; the last one applies to all remaining layers,
        including the output layer.
    """
    if initializer != "auto":
        seed = random_state.randint(2**31 - 1)
        return architecture.network(initializer, np.random.default_rng(seed))
    network = architecture.network()
    layers = pairwise(architecture.sizes)
    for number, (w, (n_in, n_out)) in enumerate(zip(network.weights, layers, strict=True)):
        activation = activations[min(number, len(activations) - 1)]
        bound = math.sqrt((2 if activation == "sigmoid" else 6) / (n_in + n_out))
        w[:, 1:] = random_state.uniform(-bound, bound, (n_in, n_out)).T
        w[:, 0] = random_state.uniform(-bound, bound, n_out)
    return network


def coefficient_views(network: Network) -> tuple[list[Array], list[Array]]:
    """Return views of the weights, (n_in, n_out) per layer, and the biases, (n_out,) per layer."""
    weights = network.weights
    return [w[:, 1:].T for w in weights], [w[:, 0] for w in weights]


def network_of(
    architecture: Architecture, coefs: Sequence[Any], intercepts: Sequence[Any]
) -> Network:
    """Create a network with copies of these weights.

    Raises
    ------
    ValueError
        If the number or shapes of the arrays do not match the architecture.
    """
    network = architecture.network()
    copy_weights(network, coefs, intercepts)
    return network


def copy_weights(network: Network, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
    """Copy `coefs`, (n_in, n_out) each, and `intercepts`, (n_out,) each, into a network.

    Raises
    ------
    ValueError
        If their number or a shape does not match.
    """
    views = coefficient_views(network)
    for name, old, new in zip(("coefs_", "intercepts_"), views, (coefs, intercepts), strict=True):
        if len(new) != len(old):
            raise ValueError(f"{name} must hold {len(old)} arrays, one per layer; got {len(new)}")
        for i, (view, array) in enumerate(zip(old, new, strict=True)):
            if np.shape(array) != view.shape:
                raise ValueError(f"{name}[{i}] must have shape {view.shape}; got {np.shape(array)}")
    for old, new in zip(views, (coefs, intercepts), strict=True):
        for view, array in zip(old, new, strict=True):
            view[...] = array


class Weights:
    """A network and the views of its parameters that are published as `coefs_` and `intercepts_`.

    Attributes
    ----------
    network : Network
    coefs : list of ndarray of shape (n_in, n_out)
        The published list; users may assign other arrays to its elements.
    intercepts : list of ndarray of shape (n_out,)
        The published list of biases.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._views = coefficient_views(network)
        self.coefs, self.intercepts = (list(views) for views in self._views)

    def are(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
        """Return whether these are still the views, so that the network has the same values."""
        return all(
            len(given) == len(views) and all(map(operator.is_, given, views))
            for given, views in zip((coefs, intercepts), self._views, strict=True)
        )
