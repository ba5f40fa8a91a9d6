"""Network: layer widths, functions, and one flat parameter vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._checks import (
    check_choice,
    check_dtype,
    check_integer,
    check_matrix,
    check_random_state,
    check_sizes,
    shown,
)
from fastmlp._names import suggest_parameters
from fastmlp._types import Array, RandomState
from fastmlp.engine import _core
from fastmlp.engine.blas import single_threaded_blas
from fastmlp.engine.level import check_level
from fastmlp.engine.plan import NetworkPlan, count_parameters
from fastmlp.engine.rows import check_inputs
from fastmlp.engine.threads import MAX_THREADS, resolve_threads
from fastmlp.initializers import INITIALIZERS
from fastmlp.losses import ACTIVATIONS, ALIASES, NATURAL_LOSS, OUTPUT_FUNCTIONS, Loss
from fastmlp.network.predictor import Predictor
from fastmlp.network.summary import Summary
from fastmlp.reference.functions import FUNCTIONS

FIXED = frozenset({"sizes", "dtype", "activations", "output", "initializer"})
"""Attributes of a Network that cannot be replaced."""


class Network:
    """A dense network: A_0 = X, A_l = f_l(W_l A_{l-1} + b_l).

    Parameters
    ----------
    sizes : sequence of int
        Widths of all layers, input and output included; at least two, each >= 1.
    activation : str or sequence of str
        Activation function of all hidden layers, or one each: sigmoid (or logistic), tanh, relu,
        identity, leaky_relu, elu, selu, softplus, gelu, silu; see :mod:`fastmlp.reference`.
    output : str
        Function of the last layer: sigmoid, softmax, identity, exponential (e^z) or increasing
        (quantiles that cannot cross; see :mod:`fastmlp.losses`).
    dtype : {"float32", "float64"}
        Type of parameters, activations and arithmetic.
    initializer : str
        legacy, range, sqrt_nodes, glorot or he; see :mod:`fastmlp.initializers`.
    random_state : int, numpy.random.Generator or None
        Seed or generator for the initial weights.

    Attributes
    ----------
    parameters : ndarray of shape (n_parameters,)
        All weights and biases; change it in place.
    weights : list of ndarray of shape (n_out, n_in + 1)
        Views of `parameters`, one matrix per layer, the bias in column 0.

    Raises
    ------
    ValueError, TypeError
        If a width, a name or the dtype is not allowed.

    Examples
    --------
    >>> net = Network((784, 70, 30, 10), random_state=0)
    >>> net.n_parameters
    57390
    """

    __module__ = "fastmlp.network"  # the public address, so that pickles survive moves

    @suggest_parameters
    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "sigmoid",
        output: str = "sigmoid",
        dtype: str = "float32",
        initializer: str = "sqrt_nodes",
        random_state: RandomState = None,
    ) -> None:
        self._build(sizes, activation, output, dtype, initializer)
        self.initialize(random_state)

    def _build(
        self,
        sizes: Sequence[int],
        activation: str | Sequence[str],
        output: str,
        dtype: str,
        initializer: str,
    ) -> None:
        """Set up everything except the values of the weights."""
        check_level()
        self.dtype = check_dtype("dtype", dtype)
        self.sizes = check_sizes("sizes", sizes, self.dtype.itemsize)
        self.activations = _check_activations(activation, len(self.sizes) - 2)
        name = check_choice("output", output, (*OUTPUT_FUNCTIONS, *ALIASES))
        self.output = ALIASES.get(name, name)
        self.initializer = check_choice("initializer", initializer, INITIALIZERS)
        self._parameters: Array = np.empty(count_parameters(self.sizes), self.dtype)
        self._row_engine = self._create_engine(1)
        self._idle_engines: dict[int, list[_core.Engine]] = {}

    @classmethod
    def _with_weights(
        cls,
        weights: Sequence[Array],
        biases: Sequence[Array],
        *,
        activation: Sequence[str],
        output: str,
        dtype: str,
        initializer: str = "sqrt_nodes",
    ) -> Network:
        """Build a network from copies of finite (n_out, n_in) and (n_out,) arrays."""
        network = cls.__new__(cls)
        sizes = [weights[0].shape[1], *map(len, weights)]
        network._build(sizes, activation, output, dtype, initializer)
        for view, weight, bias in zip(network.weights, weights, biases, strict=True):
            view[:, 0], view[:, 1:] = bias, weight
        return network

    def __setattr__(self, name: str, value: Any) -> None:
        """Reject values that would not match the memory reserved by the engines."""
        if name in FIXED and name in self.__dict__:
            raise AttributeError(f"{name} of a Network cannot be replaced; make a new Network")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.sizes))
        return f"Network({widths}, {self.n_parameters} parameters, {self.dtype})"

    @property
    def parameters(self) -> Array:
        """All weights and biases, (n_parameters,); can be changed in place."""
        return self._parameters

    @parameters.setter
    def parameters(self, value: object) -> None:
        raise TypeError("a network's parameters cannot be replaced; change them in place")

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self._parameters.size

    @property
    def functions(self) -> tuple[str, ...]:
        """Function of every layer after the input."""
        return (*self.activations, self.output)

    @property
    def weights(self) -> list[Array]:
        """Views of the parameters, (n_out, n_in + 1) per layer."""
        return self.views(self.parameters)

    def views(self, flat: Array) -> list[Array]:
        """Views of a vector with the layout of `parameters`, (n_out, n_in + 1) per layer."""
        if not isinstance(flat, np.ndarray) or flat.shape != (self.n_parameters,):
            raise ValueError(
                f"flat must be an array of shape ({self.n_parameters},); got "
                f"{flat.shape if isinstance(flat, np.ndarray) else shown(flat)}"
            )
        views, begin = [], 0
        for n_in, n_out in pairwise(self.sizes):
            end = begin + n_out * (n_in + 1)
            views.append(flat[begin:end].reshape(n_out, n_in + 1))
            begin = end
        return views

    def summary(self) -> Summary:
        """Summarize the network: its layers, their output shapes, functions and parameters.

        Nothing is printed: notebooks and the interactive interpreter display the returned table; in
        scripts, use ``print(network.summary())``.

        Returns
        -------
        Summary
            A table, as text or (in notebooks) HTML; ``n_parameters``, ``n_bytes`` (memory of the
            parameters) and ``flop`` (operations to predict one row) are the totals, and ``layers``
            holds the values of every layer.

        Examples
        --------
        >>> Network((64, 30, 10), activation="relu", output="softmax").summary()
        layer      output shape   activation   parameters   FLOP per row
        ----------------------------------------------------------------
        input           (n, 64)
        hidden 1        (n, 30)   relu              1,950          3,840
        output          (n, 10)   softmax             310            600
        2,260 float32 parameters, 8.8 KiB; 4,440 FLOP to predict a row
        """
        return Summary.of(self.sizes, self.dtype, self.functions)

    def initialize(self, random_state: RandomState = None) -> None:
        """Draw new initial weights in place."""
        rng = check_random_state("random_state", random_state)
        for layer, w in enumerate(self.weights):
            INITIALIZERS[self.initializer](rng, layer, w)

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Copy `weights`, one (n_out, n_in + 1) matrix per layer, into the parameters.

        Raises
        ------
        ValueError
            If the number of matrices, a shape or a value is wrong; the parameters do not change.
        """
        if not isinstance(weights, Sequence):
            raise TypeError(f"weights must be a list of matrices; got {type(weights).__name__}")
        if len(weights) != len(self.sizes) - 1:
            raise ValueError(
                f"weights must be {len(self.sizes) - 1} matrices, one per layer; got {len(weights)}"
            )
        # Copies, because the new matrices may be views of the old ones.
        checked = [
            check_matrix(f"weights[{i}]", new, self.dtype, n_columns=old.shape[1]).copy()
            for i, (new, old) in enumerate(zip(weights, self.weights, strict=True))
        ]
        for i, (new, old) in enumerate(zip(checked, self.weights, strict=True)):
            if new.shape != old.shape:
                raise ValueError(f"weights[{i}] must have shape {old.shape}; got {new.shape}")
        for new, old in zip(checked, self.weights, strict=True):
            old[...] = new

    def predict(
        self, X: ArrayLike, *, out: Array | None = None, n_threads: int | None = None
    ) -> Array:
        """Compute the outputs of the network.

        Up to `plan.few_rows` rows, from 4 to 20 (fewer, if they take more than 40 million
        floating-point operations), are multiplied row by row, more of them side by side. The two
        add in different orders: the last bits of a row may differ from those of the same row in a
        larger array, but depend on nothing else. Any number of threads may predict with one
        network. Arrays of float32 and float64 in C order are read where they lie.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n, n_features)
            Finite numbers, scaled in the same way as the training data.
        out : ndarray of shape (n, n_out), optional
            C-ordered array of the network's dtype for the result, which must not overlap `X`; a new
            array by default. If an error is raised, its contents are undefined.
        n_threads : int or None
            As in :func:`fastmlp.resolve_threads`. It does not affect the result.

        Returns
        -------
        ndarray of shape (n, n_out)
            `out`, or the new array.
        """
        return self._predict(X, out, n_threads)

    def _predict(
        self,
        X: ArrayLike,
        out: Array | None,
        n_threads: int | None,
        panels: _core.Panels | None = None,
    ) -> Array:
        """Predict as `predict` does, with panels of these weights if there are any."""
        if (
            isinstance(X, np.ndarray)
            and isinstance(out, np.ndarray)
            and np.may_share_memory(X, out)
        ):
            raise ValueError("out must not share memory with X; outputs would overwrite inputs")
        if n_threads is not None:
            check_integer("n_threads", n_threads, minimum=1, maximum=MAX_THREADS)
        done = self._predict_dense(X, out, n_threads, panels)
        if done is not None:
            return done
        x = check_inputs("X", X, self.dtype, n_columns=self.sizes[0])
        shape = (len(x), self.sizes[-1])
        if out is None:
            out = np.empty(shape, self.dtype)
        elif not (
            isinstance(out, np.ndarray)
            and (out.shape, out.dtype) == (shape, self.dtype)
            and out.flags.c_contiguous
            and out.flags.aligned
            and out.flags.writeable
        ):
            raise ValueError(
                f"out must be a writeable C-ordered {self.dtype} array of {shape}; "
                f"got {_described(out)}"
            )
        if self._predict_dense(x, out, n_threads, panels) is None:
            with self._engine(resolve_threads(n_threads).n_threads) as engine:
                engine.predict(self.parameters, x, out)
        return out

    def _predict_dense(
        self,
        X: object,
        out: Array | None = None,
        n_threads: int | None = None,
        panels: _core.Panels | None = None,
    ) -> Array | None:
        """Predict without further checks what the engine can read as it is; None for all else."""
        engine, count = self._row_engine, 1
        if isinstance(X, np.ndarray) and X.ndim == 2 and len(X) >= engine.shared_rows:
            count = resolve_threads(n_threads).n_threads
        return engine.predict_dense(self.parameters, X, out, count, panels)

    def predictor(self) -> Predictor:
        """Freeze a copy of the network for predictions by any number of threads.

        Returns
        -------
        Predictor
            With the weights of this moment.

        Examples
        --------
        >>> net = Network((4, 8, 3), random_state=0)
        >>> predictor = net.predictor()
        >>> bool((predictor.predict(np.ones((50, 4))) == net.predict(np.ones((50, 4)))).all())
        True
        """
        return Predictor(self)

    def transform(self, X: ArrayLike, *, layer: int = -2, n_threads: int | None = None) -> Array:
        """Compute the outputs A_l of one layer, by default of the last hidden layer.

        The products are those of `predict`; the activation function is computed in NumPy, and may
        differ from the engine's in the last bits.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n, n_features)
            As in `predict`.
        layer : int
            Index in `sizes`: 0 is the input layer, 1 the first hidden layer, and negative numbers
            count from the end, so that -1 is the output layer and -2 the last before it.
        n_threads : int or None
            As in `predict`.

        Returns
        -------
        ndarray of shape (n, sizes[layer])
            A new array of the network's dtype.

        Raises
        ------
        ValueError, TypeError
            If there is no such layer, or as in `predict`.

        Examples
        --------
        >>> net = Network((64, 30, 2, 30, 64), random_state=0)
        >>> net.transform(np.zeros((5, 64)), layer=2).shape
        (5, 2)
        """
        n_layers = len(self.sizes)
        last = n_layers - 1
        number = check_integer("layer", layer, minimum=-n_layers, maximum=last) % n_layers
        if number == last:
            return self.predict(X, n_threads=n_threads)
        if number == 0:
            resolve_threads(n_threads)  # is checked here too
            return np.array(check_inputs("X", X, self.dtype, n_columns=self.sizes[0])[:])
        kept = self.weights[:number]
        head = Network._with_weights(
            [w[:, 1:] for w in kept],
            [w[:, 0] for w in kept],
            activation=self.activations[: number - 1],
            output="identity",
            dtype=str(self.dtype),
        )
        z = head.predict(X, n_threads=n_threads)
        with np.errstate(over="ignore", under="ignore"):
            return FUNCTIONS[self.activations[number - 1]](z)

    @contextmanager
    def _engine(self, n_threads: int) -> Iterator[_core.Engine]:
        """Lend an engine that is not in use; it is kept for the next prediction."""
        idle = self._idle_engines.setdefault(n_threads, [])
        try:
            engine = idle.pop()
        except IndexError:
            engine = self._create_engine(n_threads, self.plan)
        try:
            with single_threaded_blas() if engine.uses_blas else nullcontext():
                yield engine
        finally:
            idle.append(engine)

    def _create_engine(
        self, n_threads: int, network_plan: NetworkPlan | None = None
    ) -> _core.Engine:
        loss = Loss(NATURAL_LOSS[self.output])
        return _core.Engine(
            self.sizes,
            self.functions,
            loss,
            self.dtype,
            n_threads,
            network_plan,
        )

    @property
    def plan(self) -> NetworkPlan:
        """The part of the batch plans that depends only on this network's shape."""
        return self._row_engine.network_plan

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the idle engines, which are created again on demand."""
        return self.__dict__ | {"_idle_engines": {}}


def _check_activations(activation: str | Sequence[str], n_hidden: int) -> tuple[str, ...]:
    if not isinstance(activation, str | Sequence):
        raise TypeError(
            f"activation must be a name or a sequence of names; got {shown(activation)}"
        )
    names = [activation] * n_hidden if isinstance(activation, str) else list(activation)
    if isinstance(activation, str):
        check_choice("activation", activation, (*ACTIVATIONS, *ALIASES))
    if len(names) != n_hidden:
        raise ValueError(
            f"activation must be one name or {n_hidden}, one per hidden layer; "
            f"got {shown(activation)}"
        )
    known = (*ACTIVATIONS, *ALIASES)
    checked = [check_choice(f"activation[{i}]", name, known) for i, name in enumerate(names)]
    return tuple(ALIASES.get(name, name) for name in checked)


def _described(value: object) -> str:
    """Describe an array for an error message."""
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    order = "C-ordered" if value.flags.c_contiguous else "not C-ordered"
    kind = "writeable" if value.flags.writeable else "read-only"
    return f"a {kind}, {order} {value.dtype} array of {value.shape}"
