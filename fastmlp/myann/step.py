"""One training step of a mini-batch, matrix by matrix, computed by :mod:`fastmlp.reference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastmlp import reference
from fastmlp._types import Array


class Penalty(NamedTuple):
    """Factors with which the gradient of a mini-batch and the penalties enter its update.

    Attributes
    ----------
    scale : float
        Factor of the summed gradient: 1, or 1 / rows for means.
    l1, l2 : float
        Factors of sign(w) and w.
    """

    scale: float
    l1: float
    l2: float


def step_matrices(
    weights: Sequence[Array],
    functions: Sequence[str],
    loss: str,
    a_input: Array,
    y: Array,
    penalty: Penalty,
    version: reference.Version,
    bias: reference.BiasTreatment,
) -> dict[str, list[Array | None]]:
    """Return the lists that the articles fill in one step, by their names; no argument is changed.

    Parameters
    ----------
    weights : sequence of ndarray of shape (n_next, n_this + 1)
    functions : sequence of str
        Functions of the layers 1 … E.
    loss : str
    a_input : ndarray of shape (n_features + 1, samples)
        Input layer with its bias row.
    y : ndarray of shape (n_out, samples)
    penalty : Penalty
    version, bias : str
        See :mod:`fastmlp.reference`.

    Returns
    -------
    dict of str to list
        ``Z``, ``A``, ``D``, ``delta`` (layers 0 … E), ``grad`` and ``grad_with_penalty`` (one per
        weight matrix). ``D`` and ``delta`` of layer 0 are None unless `version` is V1.0, ``D`` of
        layer E is None for softmax.
    """
    zs, activations = reference.forward(weights, a_input, functions)
    last = len(weights)
    derivatives: list[Array | None] = [None] * (last + 1)
    deltas: list[Array | None] = [None] * (last + 1)
    derivatives[last] = reference.output_derivative(activations[-1], functions[-1])
    delta = deltas[last] = reference.output_delta(activations[-1], y, functions[-1], loss)
    gradients: list[Array] = []
    for n in reversed(range(last)):
        gradients.insert(0, delta @ activations[n].T)
        if n == 0 and version != "V1.0":
            break
        z, function = (zs[n], functions[n - 1]) if n else (zs[0][1:], "identity")
        derivatives[n] = reference.layer_derivative(z, activations[n], function, version, bias)
        delta = deltas[n] = reference.layer_delta(
            weights[n], delta, z, activations[n], function, version, bias
        )
    whole = [
        penalty.scale * gradient + reference.penalty_gradient(w, penalty.l1, penalty.l2)
        for gradient, w in zip(gradients, weights, strict=True)
    ]
    return {
        "Z": [*zs],
        "A": [*activations],
        "D": derivatives,
        "delta": deltas,
        "grad": [*gradients],
        "grad_with_penalty": [*whole],
    }
