"""Where the compiled engine spends the time of a step: by points of the articles, and by layer.

The engine does several of a step's operations in one pass, and no watch slows it down: its points
are differences between calls that do more and more of a step (see `step_profile` for their names).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.bench.step_profile import Settings, StopWatch, medians
from fastmlp.engine import _core
from fastmlp.engine.blas import single_threaded_blas
from fastmlp.engine.plan import plan_network
from fastmlp.engine.products import resolve_products
from fastmlp.losses import Loss
from fastmlp.network.network import Network
from fastmlp.optimizers import SGD

MAX_BATCHES = 4
"""Mini-batches per call of the engine, so that copies of the weights in and out count little."""

MAX_NUMBERS = 1 << 25
"""Numbers in the random inputs of a layer, unless a single mini-batch has more."""

POINTS = ("ti", "ta", "tb+tc", "td", "tf")


class EngineCalls:
    """Calls of the compiled engine that do more and more of a training step.

    Parameters
    ----------
    sizes : sequence of int
    x, y : ndarray of shape (n, n_features), (n, n_out)
        Up to MAX_BATCHES mini-batches of them are used.
    settings : Settings
    n_threads : int
    functions, loss
        Functions of the layers after the input, and the loss; sigmoids and the log loss by default.
    products : str
        See :func:`fastmlp.engine.products.resolve_products`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        x: Array,
        y: Array,
        settings: Settings,
        n_threads: int,
        functions: Sequence[str] | None = None,
        loss: str = "log_loss",
        products: str = "auto",
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.n_batches = min(MAX_BATCHES, len(x) // settings.batch_size)
        n_rows = self.n_batches * settings.batch_size
        self.x, self.y = x[:n_rows], y[:n_rows]
        names = tuple(functions or ["sigmoid"] * (len(sizes) - 1))
        plan = plan_network(tuple(sizes), x.dtype.itemsize, resolve_products(products))
        self.engine = _core.Engine(tuple(sizes), names, Loss(loss), x.dtype, n_threads, plan)
        network = Network(sizes, dtype=x.dtype.name, initializer="sqrt_nodes", random_state=seed)
        self.parameters = network.parameters
        self.optimizer = SGD(momentum=settings.momentum)
        self.states = np.zeros((self.optimizer.n_states, len(self.parameters)), x.dtype)
        self.gradient_out = np.empty_like(self.parameters)
        self.outputs = np.empty_like(self.y)
        self.order = np.random.default_rng(seed).permutation(n_rows)
        self.records = [np.empty(self.n_batches) for _ in range(4)]

    def predict(self) -> None:
        """Forward propagation."""
        self.engine.predict(self.parameters, self.x, self.outputs)

    def evaluate(self) -> None:
        """Forward propagation, cost and error."""
        self.engine.evaluate(self.parameters, self.x, self.y)

    def gradient(self) -> None:
        """Forward propagation, cost and error, back propagation."""
        self.engine.gradient(self.parameters, self.x, self.y, None, self.gradient_out)

    def train(self, order: NDArray[np.intp] | None = None) -> None:
        """All steps, with rows in stored order or in a given one."""
        costs, penalties, errors, accuracies = self.records
        self.engine.train(
            self.parameters,
            self.states,
            self.x,
            self.y,
            order=order,
            sample_weights=None,
            batch_size=self.settings.batch_size,
            first_batch=0,
            last_batch=self.n_batches,
            optimizer=self.optimizer,
            learning_rate=self.settings.learning_rate,
            n_steps=0,
            l1=0.0,
            l2=self.settings.l2,
            l1_cost=0.0,
            mean_reduction=False,
            penalty_scale="per_batch",
            costs=costs,
            penalties=penalties,
            errors=errors,
            accuracies=accuracies,
        )

    def train_shuffled(self) -> None:
        """All steps, with rows in random order."""
        self.train(self.order)

    def times(self) -> dict[str, float]:
        """Return the milliseconds per mini-batch of each call, made once."""
        found: dict[str, float] = {}
        for call in (self.predict, self.evaluate, self.gradient, self.train, self.train_shuffled):
            watch = StopWatch()
            call()
            found[call.__name__] = watch() / self.n_batches
        return found


def profile_engine(
    sizes: Sequence[int],
    x: Array,
    y: Array,
    settings: Settings,
    thread_counts: Sequence[int],
    repetitions: int,
) -> list[dict[str, float]]:
    """Time the engine's calls for all numbers of threads in turn.

    Returns
    -------
    list of dict of str to float
        Milliseconds per mini-batch for each number of threads: ``ti`` is what shuffled rows cost
        more than rows in stored order, ``ta`` a prediction, ``tb+tc`` what cost and error add to
        it, ``td`` what the gradient adds, ``tf`` the rest of a step: update, and waiting for the
        other threads. The differences of medians may be slightly negative; ``step`` is
        measured as a whole.
    """
    calls = [EngineCalls(sizes, x, y, settings, n_threads) for n_threads in thread_counts]
    times = _in_turn(calls, repetitions)
    return [
        {
            "ti": found["train_shuffled"] - found["train"],
            "ta": found["predict"],
            "tb+tc": found["evaluate"] - found["predict"],
            "td": found["gradient"] - found["evaluate"],
            "tf": found["train"] - found["gradient"],
            "step": found["train_shuffled"],
        }
        for found in times
    ]


def _in_turn(calls: Sequence[EngineCalls], repetitions: int) -> list[dict[str, float]]:
    times: list[list[dict[str, float]]] = [[] for _ in calls]
    with single_threaded_blas():
        for _ in range(repetitions + 1):
            for one, found in zip(calls, times, strict=True):
                found.append(one.times())
    return [medians(found[1:]) for found in times]


@dataclass(frozen=True)
class LayerProfile:
    """Products of one layer in the engine.

    Attributes
    ----------
    n_in, n_out : int
        Shape of the layer.
    products : {"own", "blas"}
        Whether the package's own kernels compute the products, or BLAS.
    chosen : bool
        Whether the engine would choose these.
    n_threads : int
    forward, gradient : float
        Milliseconds per mini-batch of the product with the weights, and of that for the gradient;
        the latter is a difference, which may be slightly negative.
    flop : int
        Floating-point operations of each of them.
    """

    n_in: int
    n_out: int
    products: str
    chosen: bool
    n_threads: int
    forward: float
    gradient: float
    flop: int


def profile_layers(
    sizes: Sequence[int],
    dtype: np.dtype[Any],
    settings: Settings,
    thread_counts: Sequence[int],
    repetitions: int,
    seed: int = 0,
) -> list[LayerProfile]:
    """Time the products of every layer, each alone in a network of its shape, on random rows.

    The network is linear with the squared error, so that there is little beside the product. Both
    the package's own kernels and BLAS are timed, whichever the engine would choose.
    """
    rng = np.random.default_rng(seed)
    chosen = "blas" if resolve_products() == "blas" else "own"
    found: list[LayerProfile] = []
    for n_in, n_out in pairwise(sizes):
        affordable = MAX_NUMBERS // (settings.batch_size * max(n_in, n_out))
        n_rows = max(1, min(MAX_BATCHES, affordable)) * settings.batch_size
        x, y = (rng.random((n_rows, n), np.float32).astype(dtype) for n in (n_in, n_out))
        cases = list(product(("own", "blas"), thread_counts))
        calls = [
            EngineCalls((n_in, n_out), x, y, settings, n, ("identity",), "squared_error", products)
            for products, n in cases
        ]
        found += [
            LayerProfile(
                n_in,
                n_out,
                products,
                products == chosen,
                n_threads,
                times["predict"],
                times["gradient"] - times["evaluate"],
                2 * settings.batch_size * n_in * n_out,
            )
            for (products, n_threads), times in zip(
                cases, _in_turn(calls, repetitions), strict=True
            )
        ]
    return found
