"""Forward and back propagation in plain NumPy; see engine/_passes.pxi.

It follows the formulas and the layout of the articles. Nodes are rows, samples are columns.
``W[N]`` leads from layer N to layer N + 1, shape ``(n_{N+1}, n_N + 1)``; its column 0 holds the
biases, and the output ``A[N]`` of every layer except the last has a row of ones:

    A[0] = X^T with bias row          Z[N+1] = W[N] A[N]
    A[N] = phi(Z[N]) with bias row    A[E] = output function(Z[E]), without bias row

Costs and gradients are **sums** over the samples of a batch. Back propagation starts from
``delta[E] = dC/dZ[E]`` and goes down:

    delta[N] = (W[N]^T delta[N+1], without the bias row) * phi'(Z[N])
    grad[N]  = delta[N+1] A[N]^T

Three versions of back propagation and three treatments of the bias can be chosen, as developed in
the articles; they give the same gradients at different speeds.

Sources: articles "A simple Python program for an ANN to cover the MNIST dataset" VI to VIII (M6-M8)
and XIII (M13), and "MLP, Numpy, TF2 - performance issues - Step III" (P3), linux-blog.anracom.com.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.engine.rows import Inputs
from fastmlp.reference.functions import DERIVATIVES, FUNCTIONS

Version = Literal["V1.0", "V1.5", "V1.6"]
BiasTreatment = Literal["row_added", "weights_sliced", "product_sliced"]
Masks = Sequence[Array | None] | None

VERSIONS: tuple[Version, ...] = ("V1.0", "V1.5", "V1.6")
BIAS_TREATMENTS: tuple[BiasTreatment, ...] = ("row_added", "weights_sliced", "product_sliced")


def add_bias_row(a: Array) -> Array:
    """Return (nodes, samples) with a row of ones added on top."""
    with_bias = np.empty((len(a) + 1, a.shape[1]), a.dtype)
    with_bias[0] = 1
    with_bias[1:] = a
    return with_bias


def input_layer(X: Inputs, rows: NDArray[np.intp] | slice) -> Array:
    """Return A[0]: the selected rows of X (n, features) as columns, with the bias row.

    It is filled row by row and transposed at the end, so that the copy reads and writes memory in
    order; adding a bias row to the transposed matrix would not (performance article, Step II).
    """
    selected = X[rows]
    with_bias = np.empty((len(selected), X.shape[1] + 1), X.dtype)
    with_bias[:, 0] = 1
    with_bias[:, 1:] = selected
    return with_bias.T


def _masked(values: Array, mask: Array | None) -> Array:
    return values if mask is None else values * mask


def forward(
    weights: Sequence[Array], a_input: Array, functions: Sequence[str], masks: Masks = None
) -> tuple[list[Array], list[Array]]:
    """Return all Z[N] and A[N]; Z[0] is the input layer itself, whose function is the identity.

    `masks` has a factor for the activations of every hidden layer: (nodes, samples), or None.
    """
    zs, activations = [a_input], [a_input]
    for number, (w, function) in enumerate(zip(weights, functions, strict=True), start=1):
        z = w @ activations[-1]
        a = FUNCTIONS[function](z)
        if masks is not None and number < len(weights):
            a = _masked(a, masks[number - 1])
        zs.append(z)
        activations.append(a if number == len(weights) else add_bias_row(a))
    return zs, activations


def layer_derivative(
    z: Array,
    a: Array,
    function: str,
    version: Version = "V1.6",
    bias: BiasTreatment = "product_sliced",
) -> Array:
    """Return D[N] = phi'(Z[N]) from Z[N] (nodes, samples) and A[N] (with bias row).

    V1.6 computes it from A, the others from Z. With ``row_added`` it has a row for the bias node,
    (nodes + 1, samples), otherwise none.
    """
    if bias == "row_added":
        if version == "V1.6":
            return DERIVATIVES[function](z, a)
        z = add_bias_row(z)
        return DERIVATIVES[function](z, FUNCTIONS[function](z))
    return DERIVATIVES[function](z, a[1:] if version == "V1.6" else FUNCTIONS[function](z))


def layer_delta(
    w: Array,
    delta: Array,
    z: Array,
    a: Array,
    function: str,
    version: Version = "V1.6",
    bias: BiasTreatment = "product_sliced",
) -> Array:
    """Compute delta[N] from delta[N+1], W[N], Z[N] (nodes, samples) and A[N] (with bias row).

    ``row_added``: the derivative gets a row for the bias node, and row 0 of the product is dropped
    at the end (article M8). ``weights_sliced``: the bias column of W is left out of the product.
    ``product_sliced``: row 0 of the product is dropped before it is multiplied by the derivative
    (article P3).
    """
    derivative = layer_derivative(z, a, function, version, bias)
    if bias == "row_added":
        return ((w.T @ delta) * derivative)[1:]
    if bias == "weights_sliced":
        return (w[:, 1:].T @ delta) * derivative
    return (w.T @ delta)[1:] * derivative


def backward(
    weights: Sequence[Array],
    zs: Sequence[Array],
    activations: Sequence[Array],
    delta_output: Array,
    functions: Sequence[str],
    version: Version = "V1.6",
    bias: BiasTreatment = "product_sliced",
    masks: Masks = None,
) -> list[Array]:
    """Return the gradients of all W[N], without penalties.

    ``V1.0`` (article M8) computes phi' from Z and also the unnecessary delta[0]; ``V1.5``
    (performance, Step I) leaves delta[0] out; ``V1.6`` (article P3) computes phi' from A.
    """
    gradients: list[Array] = []
    delta = delta_output
    for number in reversed(range(len(weights))):
        gradients.append(delta @ activations[number].T)
        if number > 0:
            mask = None if masks is None else masks[number - 1]
            # The derivative uses the activation before the mask was applied.
            a = (
                activations[number]
                if mask is None
                else add_bias_row(FUNCTIONS[functions[number - 1]](zs[number]))
            )
            delta = _masked(
                layer_delta(
                    weights[number],
                    delta,
                    zs[number],
                    a,
                    functions[number - 1],
                    version,
                    bias,
                ),
                mask,
            )
        elif version == "V1.0":
            layer_delta(weights[0], delta, zs[0][1:], activations[0], "identity", version, bias)
    return gradients[::-1]
