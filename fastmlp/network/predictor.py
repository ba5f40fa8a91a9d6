"""Predictor: a frozen network, for servers."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._types import Array
from fastmlp.engine import _core


class Freezable(Protocol):
    """What a Predictor needs of a network."""

    _row_engine: _core.Engine

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths of all layers."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights."""

    @property
    def parameters(self) -> Array:
        """All weights and biases, (n_parameters,)."""

    def _predict(
        self,
        X: ArrayLike,
        out: Array | None,
        n_threads: int | None,
        panels: _core.Panels | None = None,
    ) -> Array: ...


class Predictor:
    """A frozen copy of a network, which nobody can train or change.

    Predictions have the bits of :meth:`fastmlp.Network.predict`. Any number of threads may predict
    at the same time: calls share nothing but the weights, which nobody can change, and release the
    GIL where they take longer than a few microseconds. Up to a few hundred rows take as long as
    with the network; of more rows of layers above 64 nodes, on processors without AVX-512 or NEON,
    the weights are packed once, here, and not in every call.

    Made by :meth:`fastmlp.Network.predictor`; of an estimator, by ``model.network_.predictor()``,
    with the outputs of the network in place of classes. A pickle holds the weights alone, and they
    are packed again when it is loaded.

    Parameters
    ----------
    network : Network
        Is copied; later changes of its weights do not reach the predictor.

    Attributes
    ----------
    sizes : tuple of int
        Widths of all layers, input and output included.
    dtype : numpy.dtype
        Type of the weights and outputs.
    """

    __module__ = "fastmlp.network"  # the public address, so that pickles survive moves

    def __init__(self, network: Freezable) -> None:
        self._network = copy.deepcopy(network)
        self._network.parameters.flags.writeable = False
        self._panels = self._network._row_engine.fill_panels(self._network.parameters)
        self.sizes: tuple[int, ...] = network.sizes
        self.dtype: np.dtype[Any] = network.dtype

    def predict(
        self, X: ArrayLike, *, out: Array | None = None, n_threads: int | None = 1
    ) -> Array:
        """Compute the outputs of the network.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n, n_features)
            As in :meth:`fastmlp.Network.predict`. Arrays of float32 and float64 in C order are read
            where they lie.
        out : ndarray of shape (n, n_out), optional
            As in :meth:`fastmlp.Network.predict`; with it nothing is allocated but what one call of
            this size has left for the next.
        n_threads : int or None
            Threads that share this call, if it is long enough to wake them: one, because a server
            has threads of its own; None as in :func:`fastmlp.resolve_threads`. It does not affect
            the result.

        Returns
        -------
        ndarray of shape (n, n_out)
            `out`, or a new array.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`fastmlp.Network.predict`.
        """
        return self._network._predict(X, out, n_threads, self._panels)

    def __reduce__(self) -> tuple[Any, ...]:
        return Predictor, (self._network,)

    def __repr__(self) -> str:
        return f"Predictor({'-'.join(map(str, self.sizes))}, dtype={str(self.dtype)!r})"
