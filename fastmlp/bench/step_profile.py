"""Where the time of one training step goes: the points of the performance articles, Step III.

======  ==========================================================================
``ti``  rows of the mini-batch gathered and transposed, with the bias row
``ta``  forward propagation
``tb``  cost, with the penalties
``tc``  averaged error
``td``  back propagation; in it ``ta-bp``, the output layer's delta; ``tib-bp`` of every layer
        N, the delta of N and the gradient of its weights; ``tb-bp``, all layers together
``tf``  update of the weights
======  ==========================================================================

A stop-watch stands between the operations of `fastmlp.reference`; `engine_profile` has the compiled
engine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fastmlp import reference
from fastmlp._types import Array
from fastmlp.network.network import Network
from fastmlp.reference.propagation import BiasTreatment, Version

POINTS = ("ti", "ta", "tb", "tc", "td", "tf")


class StopWatch:
    """A callable that measures the time between its calls."""

    def __init__(self) -> None:
        self._last = perf_counter()

    def __call__(self) -> float:
        """Return the milliseconds since the previous call, or since it was made."""
        before, self._last = self._last, perf_counter()
        return 1e3 * (self._last - before)


@dataclass(frozen=True)
class Settings:
    """The step that is profiled.

    Attributes
    ----------
    batch_size : int
        Rows of the mini-batch.
    learning_rate, momentum, l2 : float
        As for a Trainer; gradients are sums.
    """

    batch_size: int
    learning_rate: float = 1e-6
    momentum: float = 5e-5
    l2: float = 0.1


@dataclass(frozen=True)
class Variant:
    """A version of back propagation and a treatment of the bias, see `fastmlp.reference`."""

    version: Version
    bias: BiasTreatment


ARTICLE_VARIANTS = (
    Variant("V1.0", "row_added"),
    Variant("V1.5", "row_added"),
    Variant("V1.6", "product_sliced"),
)
"""The articles' versions, each with its treatment of the bias."""


def timed_step(
    network: Network,
    memory: Array,
    x: Array,
    y: Array,
    rows: NDArray[np.intp],
    settings: Settings,
    variant: Variant,
) -> dict[str, float]:
    """Do one step of SGD with the log loss, in NumPy, with a stop-watch between its operations.

    Parameters
    ----------
    network : Network
        Its weights are changed in place.
    memory : ndarray of shape (n_parameters,)
        Step before, for the momentum; changed in place.
    x, y : ndarray of shape (n, n_features), (n, n_out)
    rows : ndarray of shape (batch_size,)
        Rows of the mini-batch.
    settings, variant : Settings, Variant

    Returns
    -------
    dict of str to float
        Milliseconds of POINTS, ``ta-bp``, ``tib-bp N`` for every layer N from the last hidden one
        down to 0, and ``tb-bp``.
    """
    weights, functions = network.weights, network.functions
    found: dict[str, float] = {}
    watch = StopWatch()
    a_input, targets = reference.input_layer(x, rows), y[rows].T
    found["ti"] = watch()
    zs, activations = reference.forward(weights, a_input, functions)
    found["ta"] = watch()
    outputs = activations[-1]
    cost = reference.cost(zs[-1], outputs, targets, functions[-1], "log_loss").sum()
    float(cost + reference.penalty(weights, 0.0, settings.l2))
    found["tb"] = watch()
    float(np.abs(targets - outputs).mean())
    found["tc"] = watch()
    gradients = _timed_backward(weights, zs, activations, targets, functions, variant, settings.l2)
    found |= gradients[1]
    found["td"] = watch()
    for w, before, gradient in zip(weights, network.views(memory), gradients[0], strict=True):
        reference.update(w, before, gradient, settings.learning_rate, settings.momentum, "one_step")
    found["tf"] = watch()
    return found


def _timed_backward(
    weights: Sequence[Array],
    zs: Sequence[Array],
    activations: Sequence[Array],
    targets: Array,
    functions: Sequence[str],
    variant: Variant,
    l2: float,
) -> tuple[list[Array], dict[str, float]]:
    """Return the gradients with penalty, and the milliseconds of the points of back propagation."""
    found: dict[str, float] = {}
    whole, watch = StopWatch(), StopWatch()
    delta = reference.output_delta(activations[-1], targets, functions[-1], "log_loss")
    found["ta-bp"] = watch()
    whole()
    gradients: list[Array] = []
    for n in reversed(range(len(weights))):
        gradient = delta @ activations[n].T
        gradient += reference.penalty_gradient(weights[n], 0.0, l2)
        gradients.insert(0, gradient)
        if n or variant.version == "V1.0":
            z, function = (zs[n], functions[n - 1]) if n else (zs[0][1:], "identity")
            delta = reference.layer_delta(
                weights[n], delta, z, activations[n], function, variant.version, variant.bias
            )
        found[f"tib-bp {n}"] = watch()
    found["tb-bp"] = whole()
    return gradients, found


def profile_reference(
    sizes: Sequence[int],
    x: Array,
    y: Array,
    settings: Settings,
    variants: Sequence[Variant],
    repetitions: int,
    n_threads: int = 1,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Time steps of all variants in turn; return the medians of their points in milliseconds.

    x (n, n_features) and y (n, n_out) are those of :func:`timed_step`. A ``step`` is the sum of
    POINTS. The first step of each variant is not counted. BLAS may use `n_threads` threads.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    network = Network(sizes, dtype=x.dtype.name, initializer="sqrt_nodes", random_state=seed)
    memory = np.zeros_like(network.parameters)
    times: list[list[dict[str, float]]] = [[] for _ in variants]
    with threadpool_limits(n_threads, user_api="blas"):
        for _ in range(repetitions + 1):
            rows = rng.permutation(len(x))[: settings.batch_size]
            for variant, of_variant in zip(variants, times, strict=True):
                found = timed_step(network, memory, x, y, rows, settings, variant)
                of_variant.append(found | {"step": sum(found[point] for point in POINTS)})
    return [medians(of_variant[1:]) for of_variant in times]


def medians(times: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of every name's values."""
    return {name: float(np.median([found[name] for found in times])) for name in times[0]}
