"""A fitted network as scikit-learn's `coefs_` and `intercepts_`, and back."""

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
    """What a network is made of, apart from its numbers.

    Attributes
    ----------
    sizes : tuple of int
        Widths of all layers, input and output included.
    activations : tuple of str
        The engine's names of the hidden layers' functions.
    output : str
        Function of the last layer.
    dtype : str
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    output: str
    dtype: str

    def differences(self, old: Architecture) -> str:
        """In which parameters and data this one and the old one of a fitted network differ."""
        (n_in, *hidden, n_out), (old_in, *old_hidden, old_out) = self.sizes, old.sizes
        pairs = {
            "hidden_layer_sizes": (tuple(hidden), tuple(old_hidden)),
            "activation": (self.activations, old.activations),
            "the output function that loss and y ask for": (self.output, old.output),
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
        """A new network of this kind."""
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
    """A network with first weights.

    With "auto" they are scikit-learn's, drawn in its order: weights and biases of a layer uniform
    within sqrt(6 / (n_in + n_out)), or sqrt(2 / (n_in + n_out)) for a logistic layer (Glorot and
    Bengio, 2010). Other names are those of :mod:`fastmlp.initializers`.

    Parameters
    ----------
    activations : sequence of str
        One name or more for the layers in turn; the last counts for all that follow, the output
        layer among them.
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
    """Views of the parameters: (n_in, n_out) per layer, and (n_out,) per layer."""
    weights = network.weights
    return [w[:, 1:].T for w in weights], [w[:, 0] for w in weights]


def network_of(
    architecture: Architecture, coefs: Sequence[Any], intercepts: Sequence[Any]
) -> Network:
    """A network with copies of these weights.

    Raises
    ------
    ValueError
        Where the number or the shape of the arrays does not fit the architecture.
    """
    network = architecture.network()
    copy_weights(network, coefs, intercepts)
    return network


def copy_weights(network: Network, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
    """Copy `coefs`, (n_in, n_out) each, and `intercepts`, (n_out,) each, into a network.

    Raises
    ------
    ValueError
        Where their number or a shape does not fit.
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
    """A network, and the views of its parameters that users get as `coefs_` and `intercepts_`.

    Attributes
    ----------
    network : Network
    coefs : list of ndarray of shape (n_in, n_out)
        The list that is handed out; users may put other arrays into it.
    intercepts : list of ndarray of shape (n_out,)
        Likewise.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._views = coefficient_views(network)
        self.coefs, self.intercepts = (list(views) for views in self._views)

    def are(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
        """Whether these are still the views, so that the network has their numbers."""
        return all(
            len(given) == len(views) and all(map(operator.is_, given, views))
            for given, views in zip((coefs, intercepts), self._views, strict=True)
        )
