"""NumPy version of the engine: the formulas of `reference`, combined into epochs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp._types import Array
from fastmlp.engine.rows import Inputs
from fastmlp.losses import Loss
from fastmlp.optimizers import Optimizer
from fastmlp.reference.losses import cost, output_delta, through_output
from fastmlp.reference.propagation import (
    BiasTreatment,
    Masks,
    Version,
    backward,
    forward,
    input_layer,
)
from fastmlp.reference.updates import (
    LAYER_KEY,
    apply_optimizer,
    clip,
    dropout_mask,
    penalty,
    penalty_gradient,
)

DONE, DIVERGED = 0, 2
"""Status codes of ``ReferenceEngine.train``, the same as in ``_core``."""


class ReferenceEngine:
    """NumPy version of the engine, with the same interface (see ``_core.pyi``).

    Parameters
    ----------
    version, bias : str
        Version of back propagation and treatment of the bias; see :mod:`fastmlp.reference`.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        functions: tuple[str, ...],
        loss: Loss,
        dtype: np.dtype[Any],
        n_threads: int = 1,
        version: Version = "V1.6",
        bias: BiasTreatment = "product_sliced",
    ) -> None:
        self.sizes, self.functions, self.loss = sizes, functions, loss
        self.dtype, self.n_threads = np.dtype(dtype), n_threads
        numbers = loss.parameters(sizes[-1])
        self.loss_parameters: Array | float = 0.0
        if numbers is not None:
            self.loss_parameters = np.array(numbers, dtype)[:, np.newaxis]
        self.version: Version = version
        self.bias: BiasTreatment = bias

    def matrices(self, flat: Array) -> list[Array]:
        """Return a view per layer, (…, n_next, n_this + 1), of flat vectors (…, n_parameters)."""
        views, offset = [], 0
        for n_in, n_out in pairwise(self.sizes):
            size = n_out * (n_in + 1)
            view = flat[..., offset : offset + size]
            views.append(view.reshape(*flat.shape[:-1], n_out, n_in + 1))
            offset += size
        return views

    def totals(
        self,
        z: Array,
        a: Array,
        y: Array,
        sample_weights: Array | None,
        own: tuple[Array, Array] | None = None,
    ) -> tuple[float, float, float, float]:
        """Return a batch's sums of loss, |y - a|, sample weights and correctly predicted weight."""
        w = np.ones(a.shape[1], a.dtype) if sample_weights is None else sample_weights
        if own is None:
            costs = cost(z, a, y, self.functions[-1], self.loss.name, self.loss_parameters)
        else:
            costs = own[0]
        loss = float((costs * w).sum())
        if len(a) == 1:
            right = (a[0] > 0.5) == (y[0] > 0.5)
        else:
            right = a.argmax(axis=0) == y.argmax(axis=0)
        return loss, float((np.abs(y - a) * w).sum()), float(w.sum()), float((right * w).sum())

    def gradients(
        self,
        weights: Sequence[Array],
        x: Inputs,
        y: Array,
        sample_weights: Array | None = None,
        masks: Masks = None,
    ) -> tuple[list[Array], tuple[float, float, float, float]]:
        """Return the gradients of the summed loss of all rows, and the totals of these rows."""
        rows = slice(None)
        zs, activations = forward(weights, input_layer(x, rows), self.functions, masks)
        own = self.custom_loss(activations[-1], y)
        delta = self.delta(activations[-1], y.T, own)
        if sample_weights is not None:
            delta = delta * sample_weights
        totals = self.totals(zs[-1], activations[-1], y.T, sample_weights, own)
        gradients = backward(
            weights, zs, activations, delta, self.functions, self.version, self.bias, masks
        )
        return gradients, totals

    def custom_loss(self, a: Array, y: Array) -> tuple[Array, Array] | None:
        """Return losses and gradients of a custom loss for a (n_out, n) and y (n, n_out)."""
        if self.loss.function is None:
            return None
        return self.loss.function(y.copy(), a.T.copy())

    def delta(self, a: Array, y: Array, own: tuple[Array, Array] | None) -> Array:
        """Return dC/dZ of the output layer, (n_out, samples)."""
        if own is None:
            return output_delta(a, y, self.functions[-1], self.loss.name, self.loss_parameters)
        return through_output(own[1].T, a, self.functions[-1])

    def masks(
        self, dropout: tuple[float, ...], seed: int, begin: int, n_rows: int
    ) -> list[Array | None]:
        """Return the dropout masks of the hidden layers for an epoch's rows from `begin` on."""
        masks: list[Array | None] = [None] * (len(self.sizes) - 2)
        for layer, rate in enumerate(dropout):
            if rate > 0:
                key = (seed + layer * LAYER_KEY) % 2**64
                mask = dropout_mask(key, begin, n_rows, self.sizes[layer + 1], rate)
                masks[layer] = mask.T.astype(self.dtype)
        return masks

    def train(
        self,
        parameters: Array,
        states: Array,
        x: Inputs,
        targets: Array,
        *,
        order: NDArray[np.intp] | None,
        sample_weights: Array | None,
        batch_size: int,
        first_batch: int,
        last_batch: int,
        optimizer: Optimizer,
        learning_rate: float,
        n_steps: int,
        l1: float,
        l2: float,
        l1_cost: float,
        mean_reduction: bool,
        penalty_scale: str,
        costs: NDArray[np.float64],
        penalties: NDArray[np.float64],
        errors: NDArray[np.float64],
        accuracies: NDArray[np.float64],
        dropout: tuple[float, ...] = (),
        dropout_seed: int = 0,
        max_grad_norm: float = 0.0,
        progress: NDArray[np.intp] | None = None,
    ) -> tuple[int, int, BaseException | None]:
        """Train on the batches first_batch … last_batch - 1 of an epoch; see ``_core.pyi``."""
        weights = self.matrices(parameters)
        layer_states = self.matrices(states)
        for batch in range(first_batch, last_batch):
            rows: Any = slice(batch * batch_size, (batch + 1) * batch_size)
            rows = rows if order is None else order[rows]
            batch_weights = None if sample_weights is None else sample_weights[rows]
            n_rows = len(targets[rows])
            masks = self.masks(dropout, dropout_seed, batch * batch_size, n_rows)
            gradients, (loss, error, weight, right) = self.gradients(
                weights, x[rows], targets[rows], batch_weights, masks
            )
            if not np.isfinite(loss):
                return DIVERGED, batch - first_batch, None
            scale = (1 / weight if weight else 0.0) if mean_reduction else 1.0
            share = {
                "per_batch": 1.0,
                "per_sample": n_rows / len(x if order is None else order),
                "per_weight": 1 / weight if weight else 0.0,
            }[penalty_scale]
            before = parameters.copy(), states.copy()
            penalty_cost = penalty(weights, l1_cost * share, l2 * share)
            gradients = [
                scale * gradient + penalty_gradient(w, l1 * share, l2 * share)
                for w, gradient in zip(weights, gradients, strict=True)
            ]
            if max_grad_norm > 0:
                clip(gradients, max_grad_norm)
            step = n_steps + batch - first_batch + 1
            try:
                for w, w_states, gradient in zip(weights, layer_states, gradients, strict=True):
                    apply_optimizer(optimizer, w, w_states, gradient, learning_rate, step)
                if not (np.isfinite(penalty_cost) and np.isfinite(parameters).all()):
                    parameters[...], states[...] = before
                    return DIVERGED, batch - first_batch, None
                costs[batch], penalties[batch] = scale * loss + penalty_cost, penalty_cost
                errors[batch] = error / ((weight or 1.0) * targets.shape[1])
                accuracies[batch] = right / (weight or 1.0)
                if progress is not None:
                    progress[0] += 1
            except BaseException:  # Ctrl-C in between
                parameters[...], states[...] = before
                raise
        return DONE, last_batch - first_batch, None

    def gradient(
        self, parameters: Array, x: Inputs, targets: Array, sample_weights: Array | None, out: Array
    ) -> tuple[float, float, float, float]:
        """Write the gradient of the summed loss, without penalty, to `out`; return the totals."""
        gradients, totals = self.gradients(self.matrices(parameters), x, targets, sample_weights)
        for view, gradient in zip(self.matrices(out), gradients, strict=True):
            view[...] = gradient
        return totals

    def evaluate(
        self, parameters: Array, x: Inputs, targets: Array, sample_weights: Array | None = None
    ) -> tuple[float, float, float, float]:
        """Return the sums of loss, |y - a|, sample weights and correctly classified weight."""
        zs, activations = forward(
            self.matrices(parameters), input_layer(x, slice(None)), self.functions
        )
        own = self.custom_loss(activations[-1], targets)
        return self.totals(zs[-1], activations[-1], targets.T, sample_weights, own)

    def predict(self, parameters: Array, x: Inputs, out: Array) -> None:
        """Write the outputs of all rows to `out` (n, n_out)."""
        _, activations = forward(
            self.matrices(parameters), input_layer(x, slice(None)), self.functions
        )
        out[...] = activations[-1].T
