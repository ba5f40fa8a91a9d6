"""The mathematics of an MLP in plain NumPy: the oracle of the tests, and the place to learn it.

Written to be read next to the formulas, in the layout of the articles. Nodes are rows, samples
are columns. ``W[N]`` leads from layer N to layer N + 1, shape ``(n_{N+1}, n_N + 1)``; its column 0
holds the bias weights, and the output ``A[N]`` of every layer but the last carries a row of ones:

    A[0] = X^T with bias row          Z[N+1] = W[N] A[N]
    A[N] = phi(Z[N]) with bias row    A[E] = output function(Z[E]), without bias row

Costs and gradients are **sums** over the samples of a batch. Back propagation starts from
``delta[E] = dC/dZ[E]`` and goes down:

    delta[N] = (W[N]^T delta[N+1], without the bias row) * phi'(Z[N])
    grad[N]  = delta[N+1] A[N]^T

Three versions of it and three treatments of the bias, which the articles went through one after the
other, can be chosen; they give the same gradients at different speed.

Sources: articles "A simple Python program for an ANN to cover the MNIST dataset" VI to VIII (M6-M8)
and XIII (M13), and "MLP, Numpy, TF2 - performance issues - Step III" (P3), linux-blog.anracom.com.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.engine.rows import SparseRows
from fastmlp.optimizers import SGD, Adam, Optimizer

Version = Literal["V1.0", "V1.5", "V1.6"]
BiasTreatment = Literal["row_added", "weights_sliced", "product_sliced"]
Inputs = Array | SparseRows
Masks = Sequence[Array | None] | None

VERSIONS: tuple[Version, ...] = ("V1.0", "V1.5", "V1.6")
BIAS_TREATMENTS: tuple[BiasTreatment, ...] = ("row_added", "weights_sliced", "product_sliced")


# --- Activation functions, and their derivatives from Z and from A --------------------------------


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z); SciPy's expit does not overflow."""
    from scipy.special import expit  # here, because it takes longer to import than all the rest

    return expit(z)  # type: ignore[no-any-return, unused-ignore]


def softmax(z: Array) -> Array:
    """e^z_j / sum_i e^z_i for every column."""
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)  # type: ignore[no-any-return]


def relu(z: Array) -> Array:
    """max(z, 0)."""
    return np.maximum(z, 0)


def identity(z: Array) -> Array:
    """Return z itself."""
    return z


def leaky_relu(z: Array) -> Array:
    """z where it is positive, 0.01 z elsewhere."""
    return np.where(z > 0, z, LEAKY_SLOPE * z)


def elu(z: Array) -> Array:
    """z where it is positive, e^z - 1 elsewhere (Clevert et al., 2016)."""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def selu(z: Array) -> Array:
    """scale * z, or scale * alpha * (e^z - 1) (Klambauer et al., 2017)."""
    return np.where(z > 0, SELU_SCALE * z, SELU_SCALE * SELU_ALPHA * np.expm1(np.minimum(z, 0)))


def softplus(z: Array) -> Array:
    """log(1 + e^z)."""
    return np.logaddexp(z, 0).astype(z.dtype)


def gelu(z: Array) -> Array:
    """z Phi(z) with the normal distribution Phi (Hendrycks and Gimpel, 2016), not approximated."""
    return z * _normal_cdf(z)


def silu(z: Array) -> Array:
    """z sigmoid(z), also called swish."""
    return z * sigmoid(z)


def increasing(z: Array) -> Array:
    """z of the first row, plus log(1 + e^z) from row to row."""
    return np.cumsum(np.concatenate([z[:1], softplus(z[1:])]), axis=0, dtype=z.dtype)


def _normal_cdf(z: Array) -> Array:
    from scipy.special import ndtr

    return ndtr(z)  # type: ignore[no-any-return, unused-ignore]


LEAKY_SLOPE = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": relu,
    "identity": identity,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "softplus": softplus,
    "gelu": gelu,
    "silu": silu,
    "softmax": softmax,
    "exponential": np.exp,
    "increasing": increasing,
}

DERIVATIVES: dict[str, Callable[[Array, Array], Array]] = {
    "sigmoid": lambda z, a: a * (1 - a),
    "tanh": lambda z, a: 1 - a * a,
    "relu": lambda z, a: (a > 0).astype(a.dtype),
    "identity": lambda z, a: np.ones_like(a),
    "leaky_relu": lambda z, a: np.where(a > 0, 1, LEAKY_SLOPE).astype(a.dtype),
    "elu": lambda z, a: np.where(a > 0, 1, a + 1),
    "selu": lambda z, a: np.where(a > 0, SELU_SCALE, a + SELU_SCALE * SELU_ALPHA).astype(a.dtype),
    "softplus": lambda z, a: -np.expm1(-a),
    "gelu": lambda z, a: (
        _normal_cdf(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi, dtype=z.dtype)
    ),
    "silu": lambda z, a: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
}
"""phi'(z) by name, called with z and a = phi(z); each takes what it needs (article P3)."""


# --- Costs ---------------------------------------------------------------------------------------


def log_loss(z: Array, a: Array, y: Array, output: str) -> Array:
    """-y log(a) - (1 - y) log(1 - a), element by element.

    For the sigmoid from z, max(z, 0) - y z + log(1 + e^-|z|), which is finite for every finite z;
    otherwise a and 1 - a are clipped at the machine epsilon.
    """
    if output == "sigmoid":
        return np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
    eps = np.finfo(a.dtype).eps
    return -y * np.log(np.maximum(a, eps)) - (1 - y) * np.log(np.maximum(1 - a, eps))


def cross_entropy(z: Array, a: Array, y: Array, output: str) -> Array:
    """-y log(softmax(z)) = y (log sum e^(z - max) - (z - max)), element by element."""
    shifted = z - z.max(axis=0)
    return y * (np.log(np.exp(shifted).sum(axis=0)) - shifted)  # type: ignore[no-any-return]


def squared_error(z: Array, a: Array, y: Array, output: str) -> Array:
    """(y - a)^2 / 2, element by element."""
    return (y - a) ** 2 / 2


def poisson(z: Array, a: Array, y: Array, output: str) -> Array:
    """y log(y / a) - y + a with a = e^z and 0 log(0) = 0."""
    return a - y * z + y * np.log(np.where(y > 0, y, 1)) - y


def gamma(z: Array, a: Array, y: Array, output: str) -> Array:
    """log(a / y) + y / a - 1 with a = e^z."""
    return z - np.log(y) + y / a - 1


COSTS = {
    "log_loss": log_loss,
    "cross_entropy": cross_entropy,
    "squared_error": squared_error,
    "poisson": poisson,
    "gamma": gamma,
}


def difference_cost(d: Array, loss: str, parameters: Array | float = 0.0) -> Array:
    """Costs of d = a - y that :mod:`fastmlp.losses` lists; `parameters` (n_out, 1)."""
    size = np.abs(d)
    if loss == "absolute_error":
        return size
    if loss == "huber":
        return np.where(size <= parameters, d**2 / 2, parameters * (size - parameters / 2))
    if loss == "quantile":
        return np.where(d > 0, (1 - parameters) * d, -parameters * d)
    return d**2 if loss == "brier" else d**2 / 2


def difference_slope(d: Array, loss: str, parameters: Array | float = 0.0) -> Array:
    """dC/da of `difference_cost`; 0 at a kink."""
    if loss == "absolute_error":
        return np.sign(d)
    if loss == "huber":
        return np.clip(d, -parameters, parameters)
    if loss == "quantile":
        return np.where(d > 0, 1 - parameters, np.where(d < 0, -parameters, 0))
    return 2 * d if loss == "brier" else d


def cost(
    z: Array, a: Array, y: Array, output: str, loss: str, parameters: Array | float = 0.0
) -> Array:
    """The loss, element by element (n_out, samples)."""
    if loss in COSTS:
        return COSTS[loss](z, a, y, output)
    return difference_cost(a - y, loss, parameters)


def through_output(gradient: Array, a: Array, output: str) -> Array:
    """dC/dZ from dC/dA of the output layer.

    The softmax couples the nodes of a column: delta_k = a_k (g_k - sum_j a_j g_j). So do increasing
    outputs: delta_k = (1 - e^-(a_k - a_{k-1})) sum over j >= k of g_j, for k = 0 the sum alone.
    """
    if output == "softmax":
        return a * (gradient - (a * gradient).sum(axis=0))  # type: ignore[no-any-return]
    if output == "increasing":
        above = np.cumsum(gradient[::-1], axis=0)[::-1]
        above[1:] *= -np.expm1(-np.diff(a, axis=0))
        return above
    slopes = {"sigmoid": a * (1 - a), "exponential": a}
    return gradient * slopes.get(output, 1)


def output_delta(
    a: Array, y: Array, output: str, loss: str, parameters: Array | float = 0.0
) -> Array:
    """dC/dZ of the output layer.

    Where output function and loss cancel it is a - y; the articles' general form dC/da * f'(z)
    would divide by a (1 - a) and multiply by it again. `parameters` (n_out, 1): the levels of
    quantile or delta of huber.
    """
    if (output, loss) in (("sigmoid", "log_loss"), ("exponential", "poisson")):
        return a - y
    if (output, loss) == ("softmax", "cross_entropy"):
        return a * y.sum(axis=0) - y  # type: ignore[no-any-return]
    if (output, loss) == ("softmax", "log_loss"):  # a_j g_j = (a_j - y_j) / (1 - a_j)
        weighted = (a - y) / np.maximum(1 - a, np.finfo(a.dtype).eps)
        return weighted - a * weighted.sum(axis=0)  # type: ignore[no-any-return]
    if loss == "gamma":
        return 1 - y / a
    return through_output(difference_slope(a - y, loss, parameters), a, output)


def penalty(weights: Sequence[Array], l1: float, l2: float) -> float:
    """l2 / 2 sum w^2 + l1 sum |w| over all matrices, bias columns excluded (articles M8, M13)."""
    squares = sum(float((w[:, 1:] ** 2).sum()) for w in weights) if l2 else 0.0
    magnitudes = sum(float(np.abs(w[:, 1:]).sum()) for w in weights) if l1 else 0.0
    return l2 / 2 * squares + l1 * magnitudes


def penalty_gradient(w: Array, l1: float, l2: float) -> Array:
    """l2 w + l1 sign(w), zero in the bias column."""
    gradient = np.zeros_like(w)
    if l2:
        gradient[:, 1:] += l2 * w[:, 1:]
    if l1:
        gradient[:, 1:] += l1 * np.sign(w[:, 1:])
    return gradient


# --- Forward and back propagation -----------------------------------------------------------------


def add_bias_row(a: Array) -> Array:
    """A row of ones on top of (nodes, samples)."""
    with_bias = np.empty((len(a) + 1, a.shape[1]), a.dtype)
    with_bias[0] = 1
    with_bias[1:] = a
    return with_bias


def input_layer(X: Inputs, rows: NDArray[np.intp] | slice) -> Array:
    """A[0]: the chosen rows of X (n, features) as columns, with the bias row.

    Written row by row and transposed at the end: the copy reads and writes memory in order, where
    adding a bias row to the transposed matrix would not (performance article, Step II).
    """
    chosen = X[rows]
    with_bias = np.empty((len(chosen), X.shape[1] + 1), X.dtype)
    with_bias[:, 0] = 1
    with_bias[:, 1:] = chosen
    return with_bias.T


def _masked(values: Array, mask: Array | None) -> Array:
    return values if mask is None else values * mask


def forward(
    weights: Sequence[Array], a_input: Array, functions: Sequence[str], masks: Masks = None
) -> tuple[list[Array], list[Array]]:
    """All Z[N] and A[N]; Z[0] is the input layer itself, whose function is the identity.

    `masks` of the hidden layers, (nodes, samples) or None each, multiply their activations.
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


def _derivative_with_bias_row(z: Array, a: Array, function: str, version: Version) -> Array:
    """phi' of layer N with a row for the bias node, which V1.6 takes from A instead of Z."""
    if version == "V1.6":
        return DERIVATIVES[function](z, a)
    z_with_bias = add_bias_row(z)
    return DERIVATIVES[function](z_with_bias, FUNCTIONS[function](z_with_bias))


def _derivative(z: Array, a: Array, function: str, version: Version) -> Array:
    """phi' of layer N without bias row."""
    a_nodes = a[1:] if version == "V1.6" else FUNCTIONS[function](z)
    return DERIVATIVES[function](z, a_nodes)


def layer_delta(
    w: Array,
    delta: Array,
    z: Array,
    a: Array,
    function: str,
    version: Version = "V1.6",
    bias: BiasTreatment = "product_sliced",
) -> Array:
    """delta[N] from delta[N+1], W[N], Z[N] (nodes, samples) and A[N] (with bias row).

    ``row_added``: the derivative gets a row for the bias node, the product's row 0 is dropped at
    the end (article M8). ``weights_sliced``: the bias column of W takes no part in the product.
    ``product_sliced``: row 0 of the product is dropped before it meets the derivative (article P3).
    """
    if bias == "row_added":
        full = (w.T @ delta) * _derivative_with_bias_row(z, a, function, version)
        return full[1:]
    if bias == "weights_sliced":
        return (w[:, 1:].T @ delta) * _derivative(z, a, function, version)
    return (w.T @ delta)[1:] * _derivative(z, a, function, version)


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
    """Gradients of all W[N], without regularisation.

    ``V1.0`` (article M8) takes phi' from Z and also computes delta[0], which nobody needs; ``V1.5``
    (performance, Step I) leaves delta[0] out; ``V1.6`` (article P3) takes phi' from A.
    """
    gradients: list[Array] = []
    delta = delta_output
    for number in reversed(range(len(weights))):
        gradients.append(delta @ activations[number].T)
        if number > 0:
            mask = None if masks is None else masks[number - 1]
            # The derivative is that of the activation before its mask.
            a = activations[number] if mask is None else add_bias_row(
                FUNCTIONS[functions[number - 1]](zs[number]))  # fmt: skip
            delta = _masked(layer_delta(
                weights[number], delta, zs[number], a, functions[number - 1], version, bias,
            ), mask)  # fmt: skip
        elif version == "V1.0":
            layer_delta(weights[0], delta, zs[0][1:], activations[0], "identity", version, bias)
    return gradients[::-1]


# --- Dropout and clipping -------------------------------------------------------------------------

LAYER_KEY = 0x9E3779B97F4A7C15
"""Between the keys of two layers; 2^64 divided by the golden ratio."""


def dropout_mask(key: int, first_row: int, n_rows: int, n_nodes: int, rate: float) -> Array:
    """0 with probability `rate`, else 1 / (1 - rate), (n_rows, n_nodes) (Srivastava et al., 2014).

    A pure function of key, row and node, so that it does not matter who computes it: row keys are
    SplitMix64's finaliser of key + row, numbers a 32-bit hash of row key and node (C. Wellons).
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
    """Shorten the gradient, all layers together, to the length `max_norm`; in place."""
    norm = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in gradients))
    if norm > max_norm:
        for gradient in gradients:
            gradient *= max_norm / norm


# --- Weight update --------------------------------------------------------------------------------


def update(
    w: Array, memory: Array, gradient: Array, learning_rate: float, momentum: float, rule: str
) -> None:
    """One step of gradient descent; changes `w` and `memory` (both of its shape) in place.

    With D = learning_rate * gradient and the memory m, zero at first:
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
    """One step of Adam, or of AdamW with a weight decay; changes `w` and `states` in place.

    ``states`` holds m and v, of the shape of w each, zero before step 1:
    m <- beta_1 m + (1 - beta_1) g,  v <- beta_2 v + (1 - beta_2) g^2, and with
    m' = m / (1 - beta_1^step), v' = v / (1 - beta_2^step):
    w <- (1 - learning_rate weight_decay) w - learning_rate m' / (sqrt(v') + epsilon)
    With `epsilon_hat`, epsilon is added to sqrt(v) instead, which the correction then divides as
    well: the form at the end of the paper's section 2, and scikit-learn's.
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
    """One step of RMSprop; changes `w` and `states` in place.

    ``states`` holds v and b, zero at first: v <- rho v + (1 - rho) g^2,
    b <- momentum b + g / (sqrt(v) + epsilon),  w <- w - learning_rate b (Tieleman and Hinton, 2012;
    the momentum as in PyTorch).
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
    """Step number `step` >= 1 of any optimizer; changes `w` and `states` in place."""
    coefficients: dict[str, Any] = dict(optimizer.coefficients())
    if "epsilon" in coefficients:  # 0 / 0 would be NaN where a gradient is 0
        coefficients["epsilon"] = max(coefficients["epsilon"], float(np.finfo(w.dtype).tiny))
    if isinstance(optimizer, SGD):
        update(w, states[0], gradient, learning_rate, optimizer.momentum, optimizer.rule)
    elif isinstance(optimizer, Adam):
        adam_update(w, states, gradient, learning_rate, step, **coefficients)
    else:
        rmsprop_update(w, states, gradient, learning_rate, **coefficients)
